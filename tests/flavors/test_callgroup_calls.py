"""Call groups in real calls: who rings, when, and what a phone does about it by star codes."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from muru.keys import ARI
from tests import sip
from tests.conftest import Stack, StartStack
from tests.flavors.test_callgroup import FLAVORS, GROUP, group, members
from tests.observe import api_contacts, create, faults, until


@pytest.fixture
async def group_stack(start_stack: StartStack) -> AsyncIterator[Stack]:
    """A stack that takes star codes, of which Asterisk has nothing to complain."""
    stack = await start_stack(enabled_phone_flavors=FLAVORS)
    assert await stack.app[ARI].wait_connected(10)
    yield stack
    assert faults(stack.asterisk_log) == []


async def phones(stack: Stack, *numbers: str) -> list[sip.AnsweringPhone]:
    accounts = [await create(stack.alice, number) for number in numbers]
    return [sip.AnsweringPhone(stack.sip_server, *account) for account in accounts]


async def ringing_phone(stack: Stack, number: str) -> sip.Phone:
    """A phone that rings until somebody takes the call."""
    return sip.Phone(stack.sip_server, *await create(stack.alice, number))


async def rings(phone: sip.Phone) -> None:
    async def state() -> str:
        return phone.state

    await until(state, lambda found: found == "ringing", within=5)


async def registered(stack: Stack, count: int) -> None:
    await until(lambda: api_contacts(stack.alice), lambda found: len(found) == count, within=5)


async def test_all_ring_at_once(group_stack: Stack) -> None:
    """All members ring; one takes the call, both hear each other, and the others fall silent."""
    stack = group_stack
    anna = await create(stack.alice, "2001")
    one, two = [await ringing_phone(stack, number) for number in ("2002", "2003")]
    await create(stack.alice, "2004")
    await group(stack.alice, "2002", "2003", "2004")
    async with one, two, sip.Phone(stack.sip_server, *anna, tone=660) as caller:
        await registered(stack, 3)
        call = asyncio.create_task(caller.dial(GROUP))
        await asyncio.gather(rings(one), rings(two))
        await two.answer()
        await call
        assert await two.heard() == pytest.approx(660, abs=5)
        assert await caller.heard() == pytest.approx(440, abs=5)
        await one.ended()
        await caller.hangup()
        await two.ended()


async def test_members_ring_in_turn(group_stack: Stack) -> None:
    """Each rings for its seconds, in the order of the list; who is off costs no time."""
    stack = group_stack
    anna = await create(stack.alice, "2001")
    one, two = [await ringing_phone(stack, number) for number in ("2002", "2003")]
    for number in ("2004", "2005"):
        await create(stack.alice, number)
    await group(stack.alice, "2004", "2003", "2005", "2002", ring="in-turn", seconds=5)
    async with one, two:
        await registered(stack, 2)
        began = time.monotonic()
        call = asyncio.create_task(sip.call(stack.sip_server, *anna, GROUP, ring=20))
        await rings(two)
        assert time.monotonic() - began < 2
        assert one.state == "idle"
        await rings(one)
        assert 4.5 < time.monotonic() - began < 7
        assert two.state == "idle"
        await one.answer()
        assert (await call).status == 200


async def test_busy_member_is_passed_over(group_stack: Stack) -> None:
    """Who refuses the call lets the next one ring at once."""
    stack = group_stack
    anna = await create(stack.alice, "2001")
    one = await ringing_phone(stack, "2002")
    [two] = await phones(stack, "2003")
    await group(stack.alice, "2002", "2003", ring="in-turn")
    async with one, two:
        await registered(stack, 2)
        call = asyncio.create_task(sip.call(stack.sip_server, *anna, GROUP))
        await rings(one)
        await one.hangup()
        assert (await call).status == 200
        await two.request()


async def test_delays(group_stack: Stack) -> None:
    """Each rings after its delay; as the first one is off, the second does so at once."""
    stack = group_stack
    anna = await create(stack.alice, "2001")
    one, two = [await ringing_phone(stack, number) for number in ("2002", "2003")]
    await create(stack.alice, "2004")
    listed = [("2003", 22), ("2004", 0), ("2002", 20)]
    delayed = [{"number": number, "delay": delay} for number, delay in listed]
    await group(stack.alice, *delayed, ring="delayed")
    async with one, two:
        await registered(stack, 2)
        began = time.monotonic()
        call = asyncio.create_task(sip.call(stack.sip_server, *anna, GROUP, ring=10))
        await rings(one)
        assert time.monotonic() - began < 1.5
        assert two.state == "idle"
        await rings(two)
        assert 1.5 < time.monotonic() - began < 4
        assert one.state == "ringing"
        await two.answer()
        assert (await call).status == 200


async def test_group_within_a_group(group_stack: Stack) -> None:
    """A group rings what is in the groups within it, each in its own way."""
    stack = group_stack
    anna = await create(stack.alice, "2001")
    one, two = [await ringing_phone(stack, number) for number in ("2002", "2003")]
    await create(stack.alice, "2004")
    await group(stack.alice, "2004", "2003", number="2101", ring="in-turn")
    await group(stack.alice, "2101", number="2102")
    await group(stack.alice, "2002", "2102")
    async with one, two:
        await registered(stack, 2)
        call = asyncio.create_task(sip.call(stack.sip_server, *anna, GROUP))
        await asyncio.gather(rings(one), rings(two))
        await two.answer()
        assert (await call).status == 200
        await one.ended()


async def test_nobody_there(group_stack: Stack) -> None:
    """A group of which nobody is there says so at once, whatever its way of ringing."""
    stack = group_stack
    anna = await create(stack.alice, "2001")
    for number in ("2002", "2003"):
        await create(stack.alice, number)
    await group(stack.alice, number="2101")
    for ring in ("all", "in-turn", "delayed"):
        listed = [{"number": number, "delay": 20} for number in ("2002", "2101", "2003")]
        created = await group(stack.alice, *listed, ring=ring)
        began = time.monotonic()
        assert (await sip.call(stack.sip_server, *anna, created["number"])).status == 480
        assert time.monotonic() - began < 1.5
        await stack.alice.delete(f"/extensions/{GROUP}")


async def test_caller_is_not_rung(group_stack: Stack) -> None:
    """Who calls a group that they are in themselves rings the others alone."""
    stack = group_stack
    anna, ben = await phones(stack, "2001", "2002")
    await group(stack.alice, "2001", "2002", number="2101")
    await group(stack.alice, "2101")
    async with anna, ben:
        await registered(stack, 2)
        assert (await sip.call(stack.sip_server, *anna.account, GROUP)).status == 200
        assert [each.method for each in anna.requests if each.method == "INVITE"] == []
        await ben.request()


async def test_nobody_answers(group_stack: Stack) -> None:
    """After its seconds a group stops to ring."""
    stack = group_stack
    anna = await create(stack.alice, "2001")
    one = await ringing_phone(stack, "2002")
    await group(stack.alice, "2002", seconds=5)
    async with one:
        await registered(stack, 1)
        outcome = await sip.call(stack.sip_server, *anna, GROUP, ring=15)
        assert outcome.status == 480
        await one.ended()


async def dial(phone: sip.Phone, code: str) -> None:
    """Dial a star code, and listen to the end."""
    await phone.dial(code)
    await phone.ended(within=15)


async def test_pause_by_phone(group_stack: Stack) -> None:
    """With star codes a phone pauses, joins and leaves, and is told so; from the next call on."""
    stack = group_stack
    anna = await create(stack.alice, "2001")
    ben = await ringing_phone(stack, "2002")
    await group(stack.alice, "2002")
    async with ben:
        await registered(stack, 1)
        await dial(ben, f"*82{GROUP}")
        assert await members(stack.alice) == {"2002": True}
        assert (await sip.call(stack.sip_server, *anna, GROUP)).status == 480
        await dial(ben, f"*80{GROUP}")
        assert await members(stack.alice) == {"2002": False}
        call = asyncio.create_task(sip.call(stack.sip_server, *anna, GROUP))
        await ben.answer()
        assert (await call).status == 200
        await ben.ended()
        await dial(ben, f"*81{GROUP}")
        assert await members(stack.alice) == {}


async def test_star_codes_of_others(group_stack: Stack) -> None:
    """Who may not join is told so, and nothing changes: not by an administrator's phone either."""
    stack = group_stack
    await group(stack.alice)
    account = await create(stack.root, "2009")
    async with sip.Phone(stack.sip_server, *account) as phone:
        for number in (GROUP, "2999", "2009%2Cx"):
            await dial(phone, f"*80{number}")
        with pytest.raises(sip.CallFailed):
            await phone.dial("*80")
    assert await members(stack.alice) == {}
