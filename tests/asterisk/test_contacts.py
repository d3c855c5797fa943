"""Contacts as Asterisk stores them."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from muru.asterisk import contacts
from muru.asterisk.ami import Ami
from muru.asterisk.contacts import StoredContact, join_address
from muru.keys import AMI
from tests import sip
from tests.conftest import Stack
from tests.fake_ami import FakeAmi, Request
from tests.observe import asterisk_contacts, create, until

FIELDS = {
    "uri": "sip:2001@192.0.2.7:5060",
    "user_agent": "snom300/8.7",
    "via_addr": "10.0.0.3",
    "via_port": "5060",
    "expiration_time": "1795445653",
}


@pytest.fixture
async def asterisk() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as server:
        yield server


@pytest.fixture
async def ami(asterisk: FakeAmi) -> AsyncIterator[Ami]:
    """A link to the stand-in."""
    secret = SecretStr(asterisk.secret)
    ami = Ami(host="127.0.0.1", port=asterisk.port, username=asterisk.username, secret=secret)
    await ami.start()
    assert await ami.wait_connected(3)
    yield ami
    await ami.stop()


def test_entry() -> None:
    """All that an entry says is read."""
    contact = StoredContact.of("2001;@abc", json.dumps(FIELDS))

    assert (contact.aor, contact.key, contact.uri) == ("2001", "2001;@abc", FIELDS["uri"])
    assert (contact.user_agent, contact.via_address) == ("snom300/8.7", "10.0.0.3:5060")
    assert contact.expires_at == datetime(2026, 11, 23, 14, 54, 13, tzinfo=UTC)
    assert contact.fields == FIELDS


def test_entry_with_little_in_it() -> None:
    """What a phone does not tell is unknown."""
    few = {"uri": "sip:2001@192.0.2.7", "expiration_time": 0, "user_agent": ""}
    contact = StoredContact.of("2001;@abc", json.dumps(few))

    assert (contact.user_agent, contact.via_address) == (None, None)


@pytest.mark.parametrize(
    "value",
    [
        *("", "{", "[]", "null", "1", '"text"', "{}"),
        '{"uri": "sip:a@b"}',
        '{"uri": "sip:a@b", "expiration_time": "soon"}',
        '{"uri": "sip:a@b", "expiration_time": null}',
        '{"uri": "sip:a@b", "expiration_time": 1e400}',
        '{"uri": "sip:a@b", "expiration_time": 99999999999999999999}',
    ],
)
def test_no_entry(value: str) -> None:
    """Anything else is refused by one kind of error."""
    with pytest.raises(ValueError, match="2001;@abc is no contact"):
        StoredContact.of("2001;@abc", value)


@pytest.mark.parametrize(
    ("host", "port", "joined"),
    [
        (None, None, None),
        ("", "5060", None),
        ("10.0.0.3", None, "10.0.0.3"),
        ("10.0.0.3", "", "10.0.0.3"),
        ("10.0.0.3", "0", "10.0.0.3"),
        ("10.0.0.3", "5060", "10.0.0.3:5060"),
    ],
)
def test_join_address(host: str | None, port: str | None, joined: str | None) -> None:
    """A port that is not known is left out."""
    assert join_address(host, port) == joined


async def test_rubbish_in_the_store(asterisk: FakeAmi, ami: Ami) -> None:
    """An entry that is no contact does not hide the others."""
    entries = [("2001;@a", "{"), ("2002;@b", json.dumps(FIELDS)), ("2003;@c", "{}")]
    listed = "\n\n".join(
        f"Event: DBGetTreeResponse\nKey: /registrar/contact/{key}\nVal: {value}"
        for key, value in entries
    )
    start, end = "Response: Success\nEventList: start", "Event: DBGetTreeComplete"
    asterisk.answers["DBGetTree"] = f"{start}\n\n{listed}\n\n{end}"

    assert [contact.aor for contact in await contacts.read_all(ami)] == ["2002"]


async def test_empty_store(asterisk: FakeAmi, ami: Ami) -> None:
    """No entry at all is an error to AMI, and none here."""
    asterisk.answers["DBGetTree"] = "Response: Error\nMessage: Database entry not found"
    asterisk.answers["DBGet"] = "Response: Error\nMessage: Database entry not found"

    assert await contacts.read_all(ami) == []
    assert await contacts.read(ami, "2001", "sip:2001@192.0.2.7") is None


async def test_entry_that_is_too_long_to_change(asterisk: FakeAmi, ami: Ami) -> None:
    """Where Asterisk does not take the changed entry it is deleted."""
    asterisk.answers["DBPut"] = "Response: Error\nMessage: Failed to update entry"
    deleted: list[str] = []

    def delete(request: Request) -> str:
        deleted.append(request.get("Key"))
        return "Response: Success\nMessage: Key deleted successfully"

    asterisk.answers["DBDel"] = delete

    await contacts.expire(ami, StoredContact.of("2001;@abc", json.dumps(FIELDS)))

    assert deleted == ["2001;@abc"]


async def test_real_store(stack: Stack) -> None:
    """A phone is found by its URI and in the list of all, and is out once it is expired."""
    account = await create(stack.alice, "2001")
    outcome = await sip.register(stack.sip_server, *account, port=(port := sip.free_ports()))
    assert outcome.status == 200
    ami, uri = stack.app[AMI], f"sip:2001@127.0.0.1:{port}"

    contact = await contacts.read(ami, "2001", uri)

    assert contact is not None
    assert [contact] == await contacts.read_all(ami)
    assert (contact.aor, contact.uri, contact.user_agent) == ("2001", uri, "SIPp")
    assert await contacts.read(ami, "2001", f"{uri}0") is None
    await contacts.expire(ami, contact)
    assert (await sip.call(stack.sip_server, *account, "2001")).status == 480
    await until(lambda: asterisk_contacts(stack.asterisk), lambda found: not found)
    assert await contacts.read_all(ami) == []


async def test_real_long_contact(stack: Stack) -> None:
    """Also one that says so much of itself that AMI cannot take it back goes."""
    account = await create(stack.alice, "2001")
    await sip.register(
        stack.sip_server, *account, port=(port := sip.free_ports()), user_agent="x" * 240
    )
    ami = stack.app[AMI]
    contact = await contacts.read(ami, "2001", f"sip:2001@127.0.0.1:{port}")
    assert contact is not None

    await contacts.expire(ami, contact)

    assert (await sip.call(stack.sip_server, *account, "2001")).status == 480
