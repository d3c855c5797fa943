"""People, the API, the real Asterisk and real phones: what all of muru is for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests import sip
from tests.conftest import Stack
from tests.observe import api_contacts, asterisk_contacts, console, create, faults, until

NOT_REGISTERED, BUSY, UNKNOWN = 480, 486, 404
EVERYTHING = ["ulaw", "gsm", "alaw", "g722"]


@pytest.fixture
async def clean_stack(stack: Stack) -> AsyncIterator[Stack]:
    """A stack of whose log a test shows, at its end, that Asterisk had nothing to complain of."""
    yield stack
    assert faults(stack.asterisk_log) == []


async def test_sipp_registers(clean_stack: Stack) -> None:
    """An account from the API registers; the API and Asterisk then show the same phone."""
    account = await create(clean_stack.alice, "2001")

    outcome = await sip.register(clean_stack.sip_server, *account)

    assert outcome.status == 200
    shown = await until(lambda: api_contacts(clean_stack.alice), within=3)
    assert shown == await asterisk_contacts(clean_stack.asterisk)
    assert (await clean_stack.alice.get("/extensions/2001"))["registered"]


async def test_baresip_registers_and_leaves(clean_stack: Stack) -> None:
    """A phone shows up with what it says of itself, and is gone as soon as it says goodbye."""
    account = await create(clean_stack.alice, "2001")

    async with sip.Phone(clean_stack.sip_server, *account) as phone:
        (row,) = await until(lambda: clean_stack.alice.get("/registrations"), within=3)
        assert row["extension"] == "2001"
        assert row["address"] == f"127.0.0.1:{phone.port}"
        assert row["user_agent"].startswith("baresip")
        assert row["expires_at"] > row["since"]

    await until(lambda: clean_stack.alice.get("/registrations"), lambda rows: rows == [], within=3)


async def test_wrong_password(clean_stack: Stack) -> None:
    """Another password, none, and the same in capitals are refused."""
    account = await create(clean_stack.alice, "2001")

    for password in ("wrong", "", account.password.swapcase()):
        outcome = await sip.register(clean_stack.sip_server, account.number, password)
        assert outcome.status == 401

    assert await asterisk_contacts(clean_stack.asterisk) == set()
    assert await clean_stack.alice.get("/registrations") == []


async def test_stranger(clean_stack: Stack) -> None:
    """Nobody registers or calls with the name of an extension that is not there, or with another's.

    So it is for the accounts that are there with the password of another one.
    """
    ben = await create(clean_stack.alice, "2002")
    await create(clean_stack.alice, "2001")

    for number in ("2001", "2999", "muru", "anonymous", "2002%40x"):
        assert (await sip.register(clean_stack.sip_server, number, ben.password)).status != 200
        assert (await sip.call(clean_stack.sip_server, number, ben.password, "2002")).status in {
            *(400, 401, 403),
        }


async def test_changed_password(clean_stack: Stack) -> None:
    """From the answer on the old password fails and the new one works, also for calls."""
    old = await create(clean_stack.alice, "2001")
    assert (await sip.register(clean_stack.sip_server, *old)).status == 200

    changed = await clean_stack.alice.post("/extensions/2001/password")

    new = sip.Account("2001", changed["sip"]["password"])
    assert new != old
    assert (await sip.register(clean_stack.sip_server, *old)).status == 401
    assert (await sip.call(clean_stack.sip_server, *old, "2999")).status == 401
    assert (await sip.register(clean_stack.sip_server, *new)).status == 200
    assert (await sip.call(clean_stack.sip_server, *new, "2999")).status == UNKNOWN


async def test_deleted_extension(clean_stack: Stack) -> None:
    """When the deletion is answered, its phone is out: no REGISTER, no call from it, none to it."""
    anna, ben = [await create(clean_stack.alice, number) for number in ("2001", "2002")]
    async with sip.AnsweringPhone(clean_stack.sip_server, *ben) as phone:
        await until(lambda: api_contacts(clean_stack.alice), within=3)

        await clean_stack.alice.delete("/extensions/2002")

        assert await clean_stack.alice.get("/registrations") == []
        assert (await sip.call(clean_stack.sip_server, *anna, "2002")).status == UNKNOWN
        assert (await sip.call(clean_stack.sip_server, *ben, "2001")).status == 401
        assert (await sip.register(clean_stack.sip_server, *ben)).status == 401
        assert phone.requests == []
    # Asterisk shows a contact that is over until it looks for such, every 5 s.
    await until(lambda: asterisk_contacts(clean_stack.asterisk), lambda found: not found)
    assert await clean_stack.alice.get("/registrations") == []


async def test_deleted_at_once(clean_stack: Stack) -> None:
    """A phone that came only just before its extension was deleted does not stay behind either."""
    anna = await create(clean_stack.alice, "2001")
    ben = await create(clean_stack.alice, "2002")
    async with sip.AnsweringPhone(clean_stack.sip_server, *ben):
        await clean_stack.alice.delete("/extensions/2002")
        await create(clean_stack.root, "2002")

        call = await sip.call(clean_stack.sip_server, *anna, "2002")

        assert call.status == NOT_REGISTERED
        assert await clean_stack.root.get("/registrations") == []
        await until(lambda: asterisk_contacts(clean_stack.asterisk), lambda found: not found)


async def test_created_again(clean_stack: Stack) -> None:
    """Whoever gets a number next has nothing of its last owner's phone."""
    anna, ben = [await create(clean_stack.alice, number) for number in ("2001", "2002")]
    async with sip.AnsweringPhone(clean_stack.sip_server, *ben) as phone:
        await until(lambda: api_contacts(clean_stack.alice), within=3)
        await clean_stack.alice.delete("/extensions/2002")

        new = await create(clean_stack.root, "2002")

        assert await clean_stack.root.get("/registrations") == []
        assert (await sip.register(clean_stack.sip_server, *ben)).status == 401
        call = await sip.call(clean_stack.sip_server, *anna, "2002")
        assert call.status == NOT_REGISTERED
        assert (await sip.register(clean_stack.sip_server, *new)).status == 200
        await until(lambda: api_contacts(clean_stack.root), within=3)
        assert (await clean_stack.root.get("/registrations"))[0]["address"] != (
            f"127.0.0.1:{phone.port}"
        )


async def test_renamed(clean_stack: Stack) -> None:
    """A called phone shows the caller's name; a new name from the very next call on."""
    anna = await create(clean_stack.alice, "2001", "Anna")
    ben = await create(clean_stack.alice, "2002", "Ben")
    async with sip.AnsweringPhone(clean_stack.sip_server, *ben) as phone:
        for name in ("Anna", "Änni Ørsted", 'Dr. "A" \\ <Anna>; x'):
            await clean_stack.alice.patch("/extensions/2001", {"name": name})
            assert (await sip.call(clean_stack.sip_server, *anna, "2002")).status == 200

            shown = [each.caller for each in phone.requests if each.method == "INVITE"]
            assert shown[-1] == (name, "2001")


@pytest.mark.parametrize(
    ("chosen", "offered"),
    [
        (("g722", "g722"), (EVERYTHING, EVERYTHING)),
        (("alaw", "alaw"), (EVERYTHING, EVERYTHING)),
        (("gsm", "gsm"), (EVERYTHING, EVERYTHING)),
        (("g722", "alaw"), (EVERYTHING, ["alaw"])),
    ],
    ids=["g722", "alaw", "gsm", "two"],
)
async def test_talk(
    clean_stack: Stack, chosen: tuple[str, str], offered: tuple[list[str], list[str]]
) -> None:
    """Two phones hear each other, with the codec that their owners chose.

    Where each has another codec Asterisk translates.
    """
    anna, ben = [
        await create(clean_stack.alice, number, extra_fields={"codec": codec})
        for number, codec in zip(("2001", "2002"), chosen, strict=True)
    ]
    server = clean_stack.sip_server
    async with (
        sip.Phone(server, *anna, codecs=offered[0], tone=440) as one,
        sip.Phone(server, *ben, codecs=offered[1], tone=660, auto_answer=True) as other,
    ):
        call, answer = await one.dial("2002"), await other.established()

        assert (call.sends, answer.sends) == chosen
        assert (call.receives, answer.receives) == chosen
        assert await one.heard() == pytest.approx(660, abs=5)
        assert await other.heard() == pytest.approx(440, abs=5)
        await one.hangup()
        await other.ended()
    assert "0 active channels" in await console(clean_stack.asterisk, "core show channels count")


async def test_codec_changed(clean_stack: Stack) -> None:
    """Another codec counts from the next call on."""
    anna = await create(clean_stack.alice, "2001", extra_fields={"codec": "gsm"})
    ben = await create(clean_stack.alice, "2002")
    async with sip.AnsweringPhone(clean_stack.sip_server, *ben, codecs=["alaw", "gsm"]):
        for codec in ("gsm", "alaw"):
            await clean_stack.alice.patch("/extensions/2001", {"extra_fields": {"codec": codec}})
            call = await sip.call(
                clean_stack.sip_server, *anna, "2002", codecs=["ulaw", "alaw", "gsm"]
            )
            assert call.codec == codec


async def test_reasons_why_a_call_fails(clean_stack: Stack) -> None:
    """A number that is not there, a phone that is off, and one that is busy are told apart."""
    anna, ben = [await create(clean_stack.alice, number) for number in ("2001", "2002")]

    assert (await sip.call(clean_stack.sip_server, *anna, "2999")).status == UNKNOWN
    assert (await sip.call(clean_stack.sip_server, *anna, "2002")).status == NOT_REGISTERED
    async with sip.Phone(clean_stack.sip_server, *ben) as phone:
        call = asyncio.create_task(sip.call(clean_stack.sip_server, *anna, "2002"))
        await until(lambda: _state(phone), lambda state: state == "ringing")
        await phone.hangup()
        assert (await call).status == BUSY


async def _state(phone: sip.Phone) -> str:
    return phone.state


async def test_call_rings_all_phones(clean_stack: Stack) -> None:
    """Two phones at one extension ring, over UDP and TCP; the one that answers has the call."""
    anna, ben = [await create(clean_stack.alice, number) for number in ("2001", "2002")]
    async with (
        sip.Phone(clean_stack.sip_server, *ben) as desk,
        sip.Phone(clean_stack.sip_server, *ben, transport="tcp") as kitchen,
        sip.Phone(clean_stack.sip_server, *anna, transport="tcp") as caller,
    ):
        call = asyncio.create_task(caller.dial("2002"))
        await until(lambda: _state(desk), lambda state: state == "ringing")
        await kitchen.answer()
        assert (await call).peer.startswith("sip:2002@")
        await desk.ended()
        await caller.hangup()
        await kitchen.ended()


NO_EXTENSIONS = [
    *("h", "s", "i", "t", "T", "o", "a", "e", "failed", "hangup"),
    *("muru", "muru-sip", "911", "112", "0049301234567", "+49301234567"),
    *("*8", "*", "#", "_X.", "_XXXX", "XXXX", "N.", "!", "."),
    *("%25", "20%25", "____", "2%5B0%5D01", "2001%3Bx", "%27%20OR%201=1--", "%22", "%5C"),
    *("PJSIP%2F2001", "Local%2F2001%40muru", "2001%40muru-sip", "2001,1", "20", "20010"),
]


async def test_no_way_out(clean_stack: Stack) -> None:
    """A phone reaches extensions and nothing else: no special name, feature code or pattern."""
    account = await create(clean_stack.alice, "2001")
    async with sip.AnsweringPhone(clean_stack.sip_server, *account) as phone:
        at_once = asyncio.Semaphore(8)

        async def dial(dialled: str) -> int:
            async with at_once:
                return (await sip.call(clean_stack.sip_server, *account, dialled)).status

        statuses = await asyncio.gather(*map(dial, NO_EXTENSIONS))

        reached = {
            dialled: status
            for dialled, status in zip(NO_EXTENSIONS, statuses, strict=True)
            if status != UNKNOWN
        }
        assert reached == {}
        assert phone.requests == []
    channels = await console(clean_stack.asterisk, "core show channels count")
    assert "0 calls processed" in channels
