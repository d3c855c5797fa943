"""Each link of the chain is broken for real, at the real Asterisk, and the diagnosis names it."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from muru.asterisk.program import Process
from muru.services.causes import CAUSES
from muru.services.chain import LINKS
from muru.testing import sip as testing_sip
from muru.testing.sip import UserAgent
from tests import sip
from tests.conftest import Stack, StartStack
from tests.observe import create, until
from tests.services.virtual import Phone
from tests.services.virtual import create as create_grandstream

SOON = 3.0  # seconds
MAC = "000b82aabbcc"


async def named(stack: Stack, number: str, cause: str | None) -> Mapping[str, Any]:
    """Return the first diagnosis that names *cause*, which is one within three seconds."""
    began = time.monotonic()
    found: Mapping[str, Any] = {}
    while time.monotonic() < began + SOON:
        found = await stack.alice.get(f"/extensions/{number}/diagnosis")
        if found["cause"] == cause:
            assert time.monotonic() < began + SOON + 0.5
            check(found)
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{cause} is not named in {found}")


def check(found: Mapping[str, Any]) -> None:
    """Check that just one cause is named, with all its texts filled in."""
    assert [link["name"] for link in found["links"]] == list(LINKS)
    assert [link["cause"] for link in found["links"] if link["cause"]] == (
        [found["cause"]] if found["cause"] else []
    )
    assert found["ok"] is (found["cause"] is None)
    for name in ("text", "operator_text"):
        assert bool(found[name]) is not found["ok"]
        assert "{" not in (found[name] or "")


def link(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = next(each for each in found["links"] if each["name"] == name)
    return facts


async def execute(stack: Stack, statement: str) -> None:
    """Change the database by hand."""
    async with stack.site.database.own.begin() as connection:
        await connection.execute(text(statement))


async def test_logins(start_stack: StartStack) -> None:
    """Whoever has a wrong password, a wrong name or none at all is told so, and so is who is in."""
    stack = await start_stack()
    server = stack.sip_server
    account, other = await create(stack.alice, "2001"), await create(stack.alice, "2002")

    await named(stack, "2001", "no-register")
    assert (await sip.register(server, "2001", "wrong")).status == 401
    found = await named(stack, "2001", "wrong-password")
    assert link(found, "password")["facts"]["address"].startswith("127.0.0.1:")
    await named(stack, "2002", "no-register")

    await sip.register(server, *account, aor="2002")
    await named(stack, "2001", "wrong-name")

    port = sip.free_ports()
    assert (await sip.register(server, *account, port=port)).status == 200
    assert (await sip.register(server, "2001", "guessed")).status == 401
    found = await named(stack, "2001", None)
    assert link(found, "registration")["facts"]["contacts"][0]["address"] == f"127.0.0.1:{port}"

    await sip.unregister(server, *account)
    await named(stack, "2001", "gone")
    assert other.number == "2002"


async def test_challenge_unanswered(start_stack: StartStack) -> None:
    """A phone that does not get the challenge is heard, and sends no password."""
    stack = await start_stack()
    await create(stack.alice, "2001")

    await ask_once(stack, "2001")

    found = await named(stack, "2001", "challenge-unanswered")
    assert link(found, "register")["facts"]["address"].startswith("127.0.0.1:")


async def test_who_guesses(start_stack: StartStack) -> None:
    """The operator sees from where passwords are guessed, and nobody else does."""
    stack = await start_stack()
    account = await create(stack.alice, "2001")
    await sip.register(stack.sip_server, "2001", "wrong")
    await sip.register(stack.sip_server, "4711", "wrong")
    await sip.register(stack.sip_server, *account)

    async def addresses() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await stack.root.get("/diagnostics/events"))["addresses"]
        return found

    [suspect] = await until(
        addresses, lambda all_: all_ and "4711" in all_[0]["accounts"], within=SOON
    )
    assert (suspect["host"], suspect["refused"] >= 2) == ("127.0.0.1", True)
    assert suspect["accounts"] == {"2001": "wrong-password", "4711": "unknown-account"}
    await stack.alice.get("/diagnostics/events", status=403)
    await create(stack.root, "2002")
    await stack.alice.get("/extensions/2002/diagnosis", status=404)


async def test_provisioning(start_stack: StartStack) -> None:
    """A phone is followed from its MAC address to its first REGISTER."""
    stack = await start_stack(enabled_phone_flavors=["sip", "grandstream"], claim=False)
    await create_grandstream(stack.alice, "2001")
    await named(stack, "2001", "no-device")
    await create_grandstream(stack.alice, "2002", MAC)
    found = await named(stack, "2002", "device-unseen")
    assert "00:0B:82:AA:BB:CC" in found["text"].upper()

    async with Phone.at(stack, MAC) as phone:
        await phone.request("GET", f"cfg{MAC}.bin")
        await named(stack, "2002", "wrong-file")
        await phone.boot()
        found = await named(stack, "2002", "no-register")
        files = link(found, "files")["facts"]["files"]
        assert [files[0]["status"], files[0]["transport"]] == [200, "http"]

        await sip.register(stack.sip_server, "20O2", "wrong")  # with the letter
        found = await named(stack, "2002", "unknown-account")
        assert "20O2" in found["text"]

        await phone.register()
        await named(stack, "2002", None)

    await create_grandstream(stack.alice, "2003", "000b82aabb00")
    async with Phone.at(stack, "000b82aabb00") as phone:
        await phone.boot()
        await execute(stack, "UPDATE muru_devices SET granted_to = '192.0.2.7', token_used = 1")
        phone.base = None
        await phone.request("GET", "cfg000b82aabb00.xml")
        await named(stack, "2003", "proof-refused")


async def test_rows(start_stack: StartStack) -> None:
    """Rows that somebody changed or deleted are named by table and column, without their values."""
    stack = await start_stack()
    account = await create(stack.alice, "2001")
    await sip.register(stack.sip_server, *account)
    await named(stack, "2001", None)

    await execute(stack, "UPDATE ps_auths SET password = 'guessed' WHERE id = '2001'")
    found = await named(stack, "2001", "account-differs")
    assert link(found, "account")["facts"]["rows"] == ["ps_auths 2001: password"]
    assert "guessed" not in str(found)
    assert account.password not in str(found)

    await execute(stack, "DELETE FROM extensions WHERE exten = '2001'")
    await execute(stack, "UPDATE ps_auths SET password = '' WHERE id = '2001'")
    found = await named(stack, "2001", "account-differs")
    assert "extensions muru|2001|1: missing" in link(found, "account")["facts"]["rows"]


async def test_unplugged(start_stack: StartStack) -> None:
    """A phone that lost its power is noticed when it is asked, long before it expires."""
    stack = await start_stack(qualify_frequency=60)
    account = await create(stack.alice, "2001")
    await introduced(stack)
    async with sip.AnsweringPhone(stack.sip_server, *account):
        await until(
            lambda: stack.alice.get("/extensions/2001/registration"),
            lambda row: [each["status"] for each in row["contacts"]] == ["reachable"],
            within=10,
        )
        found = await named(stack, "2001", None)
        assert link(found, "answer")["state"] == "ok"
        assert link(found, "registration")["facts"]["contacts"][0]["rtt_ms"] > 0

    await named(stack, "2001", "unreachable")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [("486 Busy Here", "busy"), ("603 Decline", "declined"), ("404 Not Found", "call-failed")],
)
async def test_refused_call(
    start_stack: StartStack, monkeypatch: pytest.MonkeyPatch, answer: str, cause: str
) -> None:
    """A phone that takes no calls is named, with what it answered."""
    monkeypatch.setitem(testing_sip._ANSWERS, "INVITE", answer)
    stack = await start_stack()
    caller, account = await create(stack.alice, "2001"), await create(stack.alice, "2002")
    await sip.register(stack.sip_server, *caller)
    agent = user_agent(stack, account)
    try:
        assert await agent.register(600) == 200

        await sip.call(stack.sip_server, *caller, "2002")

        found = await named(stack, "2002", cause)
        assert link(found, "call")["facts"]["sip"] == int(answer[:3])
        assert link(found, "call")["facts"]["peer"] == "2001"
        assert link(await named(stack, "2001", None), "call")["state"] == "ok"
    finally:
        agent.close()


async def test_audio(start_stack: StartStack) -> None:
    """No codec in common, a phone of which nothing is heard, and a call in which all is well."""
    stack = await start_stack()
    server = stack.sip_server
    caller, account = await create(stack.alice, "2001"), await create(stack.alice, "2002")

    async with sip.Phone(server, *caller) as anna:
        async with sip.Phone(server, *account, codecs=["slin16"]):
            with pytest.raises(sip.CallFailed):
                await anna.dial("2002")
            found = await named(stack, "2002", "codec-mismatch")
            assert link(found, "call")["facts"]["sip"] == 488

        async with sip.AnsweringPhone(server, *account, audible=False) as mute:
            await anna.dial("2002")
            await asyncio.sleep(2.5)
            await anna.hangup()
            found = await named(stack, "2002", "no-audio-from-phone")
            assert link(found, "call")["facts"]["received"] == 0
            assert (await mute.request()).method == "INVITE"

        async with sip.Phone(server, *account, codecs=["g722"], auto_answer=True):
            await anna.dial("2002")
            await anna.heard()
            await anna.hangup()
            facts = link(await named(stack, "2002", None), "call")["facts"]
            assert (facts["codec"], facts["peer"], facts["incoming"]) == ("g722", "2001", True)
            assert facts["received"] > 40
            assert facts["lost"] == 0
            facts = link(await named(stack, "2001", None), "call")["facts"]
            assert (facts["codec"], facts["peer"], facts["incoming"]) == ("alaw", "2002", False)


async def test_parts_away(start_stack: StartStack) -> None:
    """Where Asterisk or the flavor is away it is that, and not the phone, that is named."""
    stack = await start_stack(enabled_phone_flavors=["sip", "dummy"])
    account = await create(stack.alice, "2001")
    await sip.register(stack.sip_server, *account)
    await stack.alice.post("/extensions", {"type": "Dummy", "name": "Nobody", "number": "2002"})
    await named(stack, "2001", None)
    await named(stack, "2002", None)

    await stop(stack.asterisk)
    await named(stack, "2001", "asterisk-away")

    entry = next(each for each in stack.site.registry.listing() if each.name == "sip")
    stack.site.registry.disable(entry, "a test")
    await named(stack, "2001", "flavor-faulty")


def test_texts() -> None:
    """Each cause tells participants and operators apart, and what to do."""
    for key, cause in CAUSES.items():
        assert cause.key == key
        assert cause.text.endswith((".", "?"))
        assert cause.text != cause.operator_text


async def stop(asterisk: Process) -> None:
    await asterisk.stop()


async def introduced(stack: Stack) -> None:
    """Returns when Asterisk qualifies new accounts."""
    from tests.test_load import all_introduced

    await all_introduced(stack)


def user_agent(stack: Stack, account: sip.Account) -> UserAgent:
    known = testing_sip.Account(
        "127.0.0.1", stack.settings.sip_port, "udp", account.number, account.password
    )
    return UserAgent(known, "a test", lambda _: None)


async def ask_once(stack: Stack, number: str) -> None:
    """Sends a REGISTER, and is deaf for what comes back."""
    loop = asyncio.get_running_loop()
    place = ("127.0.0.1", stack.settings.sip_port)
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=place)
    host, port = transport.get_extra_info("sockname")
    lines = [
        f"REGISTER sip:{host} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bKdeaf;rport",
        f"From: <sip:{number}@{host}>;tag=deaf",
        f"To: <sip:{number}@{host}>",
        "Call-ID: deaf",
        "CSeq: 1 REGISTER",
        f"Contact: <sip:{number}@{host}:{port}>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    transport.sendto("\r\n".join([*lines, "", ""]).encode())
    await asyncio.sleep(0.1)
    transport.close()
