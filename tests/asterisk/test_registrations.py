"""Who is registered: against a server that loses, delays and reorders, and the real Asterisk."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from muru.asterisk.ami import Ami
from muru.asterisk.registrations import Contact, RegistrationChange, Registrations, Status
from muru.keys import REGISTRATIONS
from tests import sip
from tests.conftest import Stack, StartStack
from tests.fake_ami import FakeAmi, Request
from tests.fake_registrar import Phone, Registrar, soon
from tests.observe import api_contacts, asterisk_contacts, create, restart_seen, until

LONG = 3600.0


MakeTracker = Callable[..., Any]


@pytest.fixture
async def registrar() -> AsyncIterator[Registrar]:
    async with FakeAmi() as server:
        yield Registrar(server)


@pytest.fixture
async def make_tracker(registrar: Registrar) -> AsyncIterator[MakeTracker]:
    """Returns a function that starts a tracker; returns it with all changes that it tells."""
    made: list[tuple[Ami, Registrations]] = []

    async def make(snapshot_interval: float = LONG) -> tuple[Registrations, list[str]]:
        ami = Ami(
            host="127.0.0.1",
            port=registrar.ami.port,
            username=registrar.ami.username,
            secret=SecretStr(registrar.ami.secret),
            backoff=(0.01, 0.05),
        )
        tracker = Registrations(ami, snapshot_interval=snapshot_interval)
        made.append((ami, tracker))
        changes: list[str] = []

        def note(change: RegistrationChange) -> None:
            changes.append(f"{change.kind} {change.contact.extension}")

        tracker.subscribe(note)
        await tracker.start()
        await ami.start()
        await ready(tracker)
        return tracker, changes

    yield make
    for ami, tracker in made:
        await tracker.stop()
        await ami.stop()


async def ready(tracker: Registrations) -> None:
    async with asyncio.timeout(5):
        await tracker.ready.wait()


async def settle(
    tracker: Registrations, wanted: Callable[[list[Contact]], object], within: float = 5
) -> list[Contact]:
    """The contacts, as soon as they are as wanted."""

    async def contacts() -> list[Contact]:
        return tracker.contacts()

    return await until(contacts, wanted, within)


def extensions(contacts: list[Contact]) -> list[str]:
    return sorted(contact.extension for contact in contacts)


async def test_snapshot(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """After a login everything is known of the phones that were there before."""
    registrar.add(Phone("100", 5070, agent="Zoë's phone", via="10.0.0.3", rtt="1802"))
    registrar.add(Phone("100", 5071, status="Unreachable"))

    tracker, changes = await make_tracker()

    one, other = sorted(tracker.contacts("100"), key=lambda contact: contact.uri)
    assert one.uri == "sip:100@192.0.2.7:5070"
    assert one.address == "192.0.2.7:5070"
    assert one.via_address == "10.0.0.3:5070"
    assert one.user_agent == "Zoë's phone"
    assert (one.status, one.rtt_ms) == (Status.UNQUALIFIED, 1.802)
    assert (other.status, other.rtt_ms) == (Status.UNREACHABLE, None)
    assert one.expires_at
    assert timedelta(590) > one.expires_at - datetime.now(UTC) > timedelta(seconds=590)
    assert changes == ["added 100", "added 100"]


async def test_no_phones(make_tracker: MakeTracker) -> None:
    """An Asterisk without contacts says so by an error, which is no fault."""
    tracker, changes = await make_tracker()

    assert tracker.contacts() == []
    assert tracker.contacts("100") == []
    assert changes == []


async def test_events(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """A phone that comes is there at once, then with all details; one that leaves is not."""
    tracker, changes = await make_tracker()

    phone = registrar.add(Phone("100"))
    (contact,) = await settle(tracker, bool)
    assert (contact.address, contact.status) == ("192.0.2.7:5062", Status.UNQUALIFIED)
    (contact,) = await settle(tracker, lambda contacts: contacts[0].user_agent)
    assert contact.expires_at
    since = contact.since

    registrar.tell(phone, "Reachable", "8200")
    (contact,) = await settle(tracker, lambda contacts: contacts[0].status is Status.REACHABLE)
    assert (contact.rtt_ms, contact.since) == (8.2, since)

    registrar.remove(phone)
    await settle(tracker, lambda contacts: not contacts)
    assert changes[0] == "added 100"
    assert changes[-1] == "removed 100"
    assert set(changes[1:-1]) == {"updated 100"}


async def test_registration_without_contact_status(
    registrar: Registrar, make_tracker: MakeTracker
) -> None:
    """Of a new AOR Asterisk tells only that a password was right; its phone is found anyway."""
    tracker, _ = await make_tracker()
    phone = registrar.add(Phone("100"), tell=False)

    registrar.authenticate("100")

    await settle(tracker, bool)
    registrar.remove(phone, tell=False)
    registrar.authenticate("100")
    await settle(tracker, lambda contacts: not contacts)
    assert tracker.corrected == 0


async def test_other_logins_are_no_registrations(
    registrar: Registrar, make_tracker: MakeTracker
) -> None:
    """A login to AMI with the name of an extension looks nothing up."""
    tracker, _ = await make_tracker()
    registrar.authenticate("100", "AMI")
    registrar.add(Phone("200"))

    await settle(tracker, lambda contacts: contacts and contacts[0].user_agent)

    assert {each.get("Endpoint") for each in registrar.ami.requests} == {"", "200"}


async def test_refreshed(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """A phone that registers again lives longer; it is the same one, and no other is told of."""
    phone = registrar.add(Phone("100", expires=soon(2)))
    tracker, changes = await make_tracker()
    (before,) = tracker.contacts()

    phone.expires = soon(600)
    registrar.authenticate("100")

    (after,) = await settle(tracker, lambda contacts: contacts[0].expires_at > before.expires_at)
    assert after.since == before.since
    await asyncio.sleep(2.5)  # the old time is over
    assert tracker.contacts() == [after]
    assert changes == ["added 100", "updated 100"]


async def test_expired_without_event(
    registrar: Registrar, make_tracker: MakeTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone whose time is over goes, although no event says so."""
    monkeypatch.setattr("muru.asterisk.registrations._LINGER", timedelta(seconds=1))
    phone = registrar.add(Phone("100", expires=soon(2)))
    registrar.add(Phone("200"))
    tracker, changes = await make_tracker()

    registrar.remove(phone, tell=False)

    await settle(tracker, lambda contacts: extensions(contacts) == ["200"])
    assert changes[-1] == "removed 100"
    assert tracker.corrected == 0


async def test_expired_while_asterisk_is_away(
    registrar: Registrar, make_tracker: MakeTracker
) -> None:
    """Time passes also without Asterisk."""
    registrar.add(Phone("100", expires=soon(2)))
    registrar.add(Phone("200"))
    tracker, _ = await make_tracker()

    await registrar.ami.stop()

    assert extensions(tracker.contacts()) == ["100", "200"]
    await settle(tracker, lambda contacts: extensions(contacts) == ["200"])
    assert not tracker.ready.is_set()


async def test_lost_events(
    registrar: Registrar, make_tracker: MakeTracker, caplog: pytest.LogCaptureFixture
) -> None:
    """What no event told of the next snapshot sets right; it is counted, and logged once."""
    gone = registrar.add(Phone("100"))
    registrar.add(Phone("200"))
    tracker, changes = await make_tracker(0.5)

    registrar.remove(gone, tell=False)
    registrar.add(Phone("300"), tell=False)

    await settle(tracker, lambda contacts: extensions(contacts) == ["200", "300"])
    assert tracker.corrected == 2
    assert set(changes[2:]) == {"removed 100", "added 300"}
    told = [record for record in caplog.records if "2 registrations" in record.getMessage()]
    assert len(told) == 1


async def test_regular_snapshots_correct_nothing(
    registrar: Registrar, make_tracker: MakeTracker
) -> None:
    """Where every event came the snapshots change nothing, and tell nothing."""
    tracker, changes = await make_tracker(0.1)
    registrar.add(Phone("100"))
    await settle(tracker, lambda contacts: contacts and contacts[0].user_agent)
    before = len(changes)

    await registrar.ami.received("PJSIPShowContacts", count=8)

    assert tracker.corrected == 0
    assert len(changes) == before


async def test_link_lost_and_back(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """What changed while the link was down is there after the return, and counts as no fault."""
    gone = registrar.add(Phone("100"))
    registrar.add(Phone("200"))
    tracker, changes = await make_tracker()
    before = tracker.contacts("200")

    registrar.remove(gone, tell=False)
    registrar.add(Phone("300"), tell=False)
    registrar.ami.cut()

    await settle(tracker, lambda contacts: extensions(contacts) == ["200", "300"])
    assert [(each.uri, each.since) for each in tracker.contacts("200")] == [
        (each.uri, each.since) for each in before
    ]
    assert "removed 200" not in changes
    assert tracker.corrected == 0


async def test_boot_after_the_login(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """An Asterisk that is logged in to while it boots is asked again when it has booted."""
    tracker, _ = await make_tracker()
    registrar.add(Phone("100"), tell=False)

    registrar.ami.emit("FullyBooted", Status="Fully Booted")

    await settle(tracker, bool)
    assert tracker.corrected == 0


async def test_refused_snapshot(
    registrar: Registrar, make_tracker: MakeTracker, caplog: pytest.LogCaptureFixture
) -> None:
    """While Asterisk boots it does not know the action; that is no reason for a traceback."""
    tracker, _ = await make_tracker()
    answer = registrar.ami.answers.pop("PJSIPShowContacts")
    registrar.add(Phone("100"), tell=False)

    registrar.ami.emit("FullyBooted", Status="Fully Booted")
    await registrar.ami.received("PJSIPShowContacts", count=2)
    registrar.ami.answers["PJSIPShowContacts"] = answer

    await settle(tracker, bool)
    await ready(tracker)
    assert not [record for record in caplog.records if record.exc_info]


async def test_events_during_a_snapshot(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """What an event says is newer than a list that was asked for before it."""
    stays, leaves = registrar.add(Phone("100")), registrar.add(Phone("200"))
    tracker, changes = await make_tracker()
    await asyncio.sleep(0)
    changes.clear()
    late: list[Phone] = []

    def old_list(_: Request) -> str:
        text = registrar.show_all()
        registrar.remove(leaves)
        late.append(registrar.add(Phone("300")))
        return text

    registrar.ami.answers["PJSIPShowContacts"] = old_list
    registrar.ami.emit("FullyBooted")

    await settle(tracker, lambda contacts: extensions(contacts) == ["100", "300"])
    await ready(tracker)
    assert extensions(tracker.contacts()) == [stays.aor, late[0].aor]
    assert changes.count("removed 200") == 1
    assert "added 200" not in changes


async def test_deleted_during_a_snapshot(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """A list that was asked for before an extension was deleted brings no phone of it back."""
    registrar.add(Phone("100"))
    registrar.add(Phone("200"))
    tracker, changes = await make_tracker()
    registrar.ami.slow["PJSIPShowContacts"] = 0.3

    registrar.ami.emit("FullyBooted")
    await registrar.ami.received("PJSIPShowContacts", count=2)
    tracker.forget("100")
    await ready(tracker)

    assert extensions(tracker.contacts()) == ["200"]
    assert changes.count("added 100") == 1


async def test_deleted_during_a_lookup(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """So it is with the details of one phone."""
    registrar.add(Phone("100"))
    tracker, changes = await make_tracker()
    registrar.ami.slow["PJSIPShowEndpoint"] = 0.3

    registrar.authenticate("100")
    await registrar.ami.received("PJSIPShowEndpoint")
    tracker.forget("100")
    await asyncio.sleep(0.5)

    assert tracker.contacts() == []
    assert changes == ["added 100", "removed 100"]


async def test_unregistered_during_a_lookup(
    registrar: Registrar, make_tracker: MakeTracker
) -> None:
    """An event is newer than the details that were asked for before it."""
    phone = registrar.add(Phone("100"))
    tracker, changes = await make_tracker()
    registrar.ami.slow["PJSIPShowEndpoint"] = 0.3

    registrar.authenticate("100")
    await registrar.ami.received("PJSIPShowEndpoint")
    registrar.tell(phone, "Removed")
    await asyncio.sleep(0.5)

    assert tracker.contacts() == []
    assert changes == ["added 100", "removed 100"]


async def test_expired_contacts_in_a_snapshot(
    registrar: Registrar, make_tracker: MakeTracker
) -> None:
    """Asterisk lists a phone for some seconds after its end; it is not told of as a new one."""
    registrar.add(Phone("100", expires=1))

    tracker, changes = await make_tracker()

    assert tracker.contacts() == []
    assert changes == []


async def test_many_at_once(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """A flood of logins is looked up by one look at the store; a stale entry there is no phone."""
    tracker, _ = await make_tracker()
    phones = [registrar.add(Phone(str(number)), tell=False) for number in range(1000, 1600)]
    entries = [
        f'Event: DBGetTreeResponse\nKey: /registrar/contact/{each.aor};@x\nVal: {{"uri": '
        f'"{each.uri}", "expiration_time": "{each.expires if each.aor != "1599" else 1}"}}'
        for each in phones
    ]
    start = "Response: Success\nEventList: start\nMessage: Result will follow"
    end = "Event: DBGetTreeComplete\nEventList: Complete"
    registrar.ami.answers["DBGetTree"] = "\n\n".join([start, *entries, end])

    for phone in phones:
        registrar.authenticate(phone.aor)

    await settle(tracker, lambda contacts: len(contacts) == 599)
    assert registrar.ami.count("PJSIPShowEndpoint") < 400


async def test_events_without_sense(
    registrar: Registrar, make_tracker: MakeTracker, caplog: pytest.LogCaptureFixture
) -> None:
    """Events that lack what they are about make no phone, and harm nothing."""
    tracker, changes = await make_tracker()

    registrar.ami.emit("ContactStatus", ContactStatus="Reachable")
    registrar.ami.emit("ContactStatus", ContactStatus="Removed", AOR="100")
    registrar.ami.emit("SuccessfulAuth", Service="PJSIP")
    registrar.add(Phone("200"))

    await settle(tracker, lambda contacts: extensions(contacts) == ["200"])
    assert {change.partition(" ")[2] for change in changes} == {"200"}
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_lookup_without_answer(registrar: Registrar, make_tracker: MakeTracker) -> None:
    """A lookup that fails is made again, and not forgotten."""
    tracker, _ = await make_tracker()
    phone = Phone("100")
    registrar.phones.append(phone)
    registrar.ami.silent.add("PJSIPShowEndpoint")
    registrar.authenticate("100")
    await registrar.ami.received("PJSIPShowEndpoint")
    registrar.ami.silent.clear()

    await settle(tracker, bool, within=15)


async def test_nothing_is_left(registrar: Registrar) -> None:
    """A tracker that is stopped leaves no task; one that never ran can be stopped."""
    ami = Ami(host="127.0.0.1", port=registrar.ami.port, username="x", secret=SecretStr("y"))
    tracker = Registrations(ami)
    await tracker.stop()
    before = asyncio.all_tasks()
    await tracker.start()

    await tracker.stop()

    assert asyncio.all_tasks() == before


# --- the real Asterisk ----------------------------------------------------------------------------

SHORT = """
from muru.db.realtime import PsAor
from muru.flavors.sip import SIP


class Short(SIP):
    PHONE_TYPES = ["Short"]

    def realtime_rows(self, extension):
        rows = super().realtime_rows(extension)
        for row in rows:
            if isinstance(row, PsAor):
                row.minimum_expiration = 1
        return rows
"""


async def test_real_expiry(start_stack: StartStack, tmp_path: Path) -> None:
    """A phone that does not come again is gone when its time is over."""
    (tmp_path / "flavors").mkdir()
    (tmp_path / "flavors/short.py").write_text(SHORT)
    stack = await start_stack(
        flavor_paths=[tmp_path / "flavors"], enabled_phone_flavors=["sip", "short"]
    )
    account = await create(stack.alice, "2001", type="Short")
    assert (await sip.register(stack.sip_server, *account, expires=2)).status == 200
    await until(lambda: api_contacts(stack.alice), within=3)

    await until(lambda: api_contacts(stack.alice), lambda found: not found)
    assert await asterisk_contacts(stack.asterisk) == set()


async def test_real_refresh_and_end(stack: Stack) -> None:
    """A second REGISTER moves the end of the registration, a last one ends it."""
    account = await create(stack.alice, "2001")
    port = sip.free_ports()
    await sip.register(stack.sip_server, *account, expires=100, port=port)
    (before,) = await until(lambda: stack.alice.get("/registrations"), within=3)

    await sip.register(stack.sip_server, *account, expires=300, port=port)

    (after,) = await until(
        lambda: stack.alice.get("/registrations"),
        lambda rows: rows[0]["expires_at"] != before["expires_at"],
        within=3,
    )
    moved = datetime.fromisoformat(after["expires_at"]) - datetime.fromisoformat(
        before["expires_at"]
    )
    assert timedelta(seconds=195) < moved < timedelta(seconds=220)
    assert after["since"] == before["since"]
    assert (await sip.unregister(stack.sip_server, *account)).status == 200
    await until(lambda: api_contacts(stack.alice), lambda found: not found, within=3)


async def test_real_limit_of_phones(start_stack: StartStack) -> None:
    """One phone more than may be displaces the one that would have gone first."""
    stack = await start_stack(max_contacts=2)
    account = await create(stack.alice, "2001")
    ports = [sip.free_ports() for _ in range(3)]
    for port, expires in zip(ports, (100, 200, 300), strict=True):
        outcome = await sip.register(stack.sip_server, *account, expires=expires, port=port)
        assert outcome.status == 200

    wanted = {("2001", f"sip:2001@127.0.0.1:{port}") for port in ports[1:]}
    await until(lambda: api_contacts(stack.alice), lambda found: found == wanted, within=3)
    assert await asterisk_contacts(stack.asterisk) == wanted


async def test_real_nat(stack: Stack) -> None:
    """Behind NAT a phone is reached where its packets come from; what it says of itself is kept."""
    account = await create(stack.alice, "2001")
    port = sip.free_ports()

    await sip.register(stack.sip_server, *account, port=port, behind="192.168.77.5:5060")

    (row,) = await until(lambda: stack.alice.get("/registrations"), within=3)
    assert row["address"] == f"127.0.0.1:{port}"
    (contact,) = stack.app[REGISTRATIONS].contacts("2001")
    assert contact.via_address == "192.168.77.5:5060"


async def test_real_foreign_aor(stack: Stack) -> None:
    """With one's own password one cannot take another's calls."""
    anna = await create(stack.alice, "2001")
    await create(stack.alice, "2002")

    outcome = await sip.register(stack.sip_server, *anna, aor="2002")

    assert outcome.status in {403, 404}
    assert await asterisk_contacts(stack.asterisk) == set()


async def test_real_who_sees_what(stack: Stack) -> None:
    """People see their own phones, administrators all; a stranger's number is not there at all."""
    mine = await create(stack.alice, "2001")
    other = await create(stack.root, "2002")
    for account in (mine, other):
        await sip.register(stack.sip_server, *account)

    everything = await until(
        lambda: api_contacts(stack.root), lambda found: len(found) == 2, within=3
    )
    assert everything == await asterisk_contacts(stack.asterisk)
    assert {number for number, _ in await api_contacts(stack.alice)} == {"2001"}
    assert (await stack.alice.get("/extensions/2001/registration"))["registered"]
    await stack.alice.get("/extensions/2002/registration", status=404)
    await stack.nobody.get("/registrations", status=401)


async def test_real_qualify(start_stack: StartStack) -> None:
    """Where phones are asked, it is shown how long they take, and that one stopped to answer."""
    stack = await start_stack(qualify_frequency=1)
    account = await create(stack.alice, "2001")
    async with sip.AnsweringPhone(stack.sip_server, *account):
        (row,) = await until(
            lambda: stack.alice.get("/registrations"),
            lambda rows: rows and rows[0]["status"] == "reachable",
        )
        assert 0 < row["rtt_ms"] < 3000

    (row,) = await until(
        lambda: stack.alice.get("/registrations"),
        lambda rows: rows and rows[0]["status"] == "unreachable",
    )
    assert row["rtt_ms"] is None


async def test_real_deleted_while_away(stack: Stack) -> None:
    """A phone whose extension was deleted while Asterisk was away is out soon after its return."""
    anna, ben = [await create(stack.alice, number) for number in ("2001", "2002")]
    for account in (anna, ben):
        await sip.register(stack.sip_server, *account)
    await until(lambda: api_contacts(stack.root), lambda found: len(found) == 2, within=3)
    await asyncio.sleep(1.5)  # Asterisk writes its contacts to the disk once in a second
    pid = stack.asterisk.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    await until(lambda: stack.nobody.get("/health/ready"), lambda row: row["asterisk"] == "away")

    await stack.alice.delete("/extensions/2002")

    await restart_seen(stack, pid)
    await until(lambda: stack.nobody.get("/health/ready"), lambda row: row["asterisk"] == "ok")
    kept = {number for number, _ in await api_contacts(stack.root)}
    assert kept <= {"2001", "2002"}
    await until(
        lambda: asterisk_contacts(stack.asterisk),
        lambda found: {number for number, _ in found} == {"2001"},
        within=15,
    )
    await until(
        lambda: api_contacts(stack.root),
        lambda found: {number for number, _ in found} == {"2001"},
        within=3,
    )
