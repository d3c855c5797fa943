"""Service numbers: an echo, the own number, the time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests import sip
from tests.conftest import Stack, StartStack, World, configured
from tests.observe import console, create, faults, until

FLAVORS = ["sip", "services"]
TYPES = {"2400": "Echo test", "2401": "Own number", "2402": "Speaking clock"}


@configured(enabled_phone_flavors=FLAVORS)
async def test_operator_chooses_them(world: World) -> None:
    """Service numbers are for administrators to give."""
    for number, phone_type in TYPES.items():
        body = {"type": phone_type, "name": phone_type, "number": number}
        await world.alice.post("/extensions", body, status=403)
        created = await world.root.post("/extensions", body, status=201)
        assert created["sip"] is None


@pytest.fixture
async def talk(start_stack: StartStack) -> AsyncIterator[Stack]:
    """A stack with all service numbers, of which Asterisk has nothing to complain."""
    stack = await start_stack(enabled_phone_flavors=FLAVORS, phone_time_zone="Europe/Berlin")
    for number, phone_type in TYPES.items():
        body = {"type": phone_type, "name": phone_type, "number": number}
        await stack.root.post("/extensions", body)
    yield stack
    assert faults(stack.asterisk_log) == []


async def running(stack: Stack) -> list[str]:
    """The application of the only call, and its arguments."""
    shown = await console(stack.asterisk, "core show channels concise")
    return shown.split("!")[5:7]


async def test_echo(talk: Stack) -> None:
    """After a beep one hears oneself."""
    account = await create(talk.alice, "2001")
    async with sip.Phone(talk.sip_server, *account, tone=520) as phone:
        await phone.dial("2400")
        await until(lambda: running(talk), lambda found: found[:1] == ["Echo"], within=5)
        await asyncio.sleep(0.5)
        assert await phone.heard() == pytest.approx(520, abs=5)


async def test_own_number(talk: Stack) -> None:
    """The number of the phone that calls is read out, twice, and then the call ends."""
    account = await create(talk.alice, "2001")
    async with sip.Phone(talk.sip_server, *account) as phone:
        await phone.dial("2401")
        said = await until(lambda: running(talk), lambda found: found[:1] == ["SayDigits"])
        assert said == ["SayDigits", "2001"]
        await phone.ended(within=20)


async def test_clock(talk: Stack) -> None:
    """The time is read out in the time zone of the site, over and over."""
    account = await create(talk.alice, "2001")
    async with sip.Phone(talk.sip_server, *account) as phone:
        await phone.dial("2402")
        for wanted in (["SayUnixTime", ",Europe/Berlin,HMS"], ["Wait", "3"]) * 2:
            await until(lambda: running(talk), wanted.__eq__, within=15)
