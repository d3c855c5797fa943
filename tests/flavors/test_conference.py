"""Conferences: who comes in, who hears whom, and what the owner does about it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from muru.services import users
from muru.services.site import OPERATOR
from tests import sip
from tests.conftest import PASSWORD, Api, Stack, StartStack, World, configured
from tests.observe import create, faults, until

FLAVORS = ["sip", "conference"]
NUMBER = "2200"
DIGIT = 0.15  # seconds between two keys


async def conference(api: Api, **fields: Any) -> Any:
    body = {"type": "Conference", "name": "Talk", "number": NUMBER, "extra_fields": fields}
    return await api.post("/extensions", body)


async def participants(api: Api) -> dict[str, dict[str, Any]]:
    """Return who is in the conference, by number."""
    listed = await api.get(f"/extensions/{NUMBER}/participants")
    return {each["number"]: each for each in listed}


async def inside(api: Api, *numbers: str) -> dict[str, dict[str, Any]]:
    """Wait until just these are in the conference."""
    return await until(lambda: participants(api), lambda found: set(found) == set(numbers))


async def press(phone: sip.Phone, keys: str) -> None:
    for key in keys:
        await phone.command("sndcode", key)
        await asyncio.sleep(DIGIT)


@configured(enabled_phone_flavors=FLAVORS)
async def test_pins(world: World) -> None:
    """A PIN has three to eight digits, and that of moderators is another one."""
    for pin in ("", "12", "123456789", "12a4", "1234,x", "12 4", 1234):
        body = {"type": "Conference", "name": "Talk", "extra_fields": {"pin": pin}}
        refused = await world.alice.post("/extensions", body, status=422)
        assert [each["field"] for each in refused["errors"]] == ["extra_fields.pin"], pin
    same = {"pin": "1234", "moderator_pin": "1234"}
    body = {"type": "Conference", "name": "Talk", "extra_fields": same}
    refused = await world.alice.post("/extensions", body, status=422)
    assert "another one" in refused["errors"][0]["message"]


@pytest.fixture
async def talk(start_stack: StartStack) -> AsyncIterator[Stack]:
    """A stack with conferences, of which Asterisk has nothing to complain."""
    stack = await start_stack(enabled_phone_flavors=FLAVORS)
    yield stack
    assert faults(stack.asterisk_log) == []


async def test_three_hear_one_another(talk: Stack) -> None:
    """Of three, each hears each other one; the owner sees who is there, mutes and puts out."""
    await conference(talk.alice, announcements=False)
    tones = {"2001": 440, "2002": 660, "2003": 880}
    accounts = [await create(talk.alice, number) for number in tones]
    async with AsyncExitStack() as calls:
        phones = [
            await calls.enter_async_context(
                sip.Phone(talk.sip_server, *account, tone=tones[account.number])
            )
            for account in accounts
        ]
        for phone in phones:
            await phone.dial(NUMBER)
        found = await inside(talk.alice, *tones)
        assert {each["muted"] for each in found.values()} == {False}
        assert found["2001"]["name"] == "A phone"

        for silent in range(3):
            muted = found[phones[silent].account.number]["id"]
            await talk.alice.post(f"/extensions/{NUMBER}/participants/{muted}/mute")
            one, two = (phones[(silent + step) % 3] for step in (1, 2))
            assert (await participants(talk.alice))[phones[silent].account.number]["muted"]
            assert await one.heard() == pytest.approx(two.tone, abs=5)
            assert await two.heard() == pytest.approx(one.tone, abs=5)
            await talk.alice.post(f"/extensions/{NUMBER}/participants/{muted}/unmute")

        await talk.alice.post(f"/extensions/{NUMBER}/participants/{found['2003']['id']}/kick")
        await phones[2].ended()
        await inside(talk.alice, "2001", "2002")
        await talk.alice.post(
            f"/extensions/{NUMBER}/participants/{found['2003']['id']}/kick", status=404
        )


async def test_pin_is_asked_for(talk: Stack) -> None:
    """The PIN lets one in, another one as a moderator; after three wrong ones the call ends."""
    await conference(talk.alice, pin="0012", moderator_pin="4711", announcements=False)
    accounts = [await create(talk.alice, number) for number in ("2001", "2002", "2003")]
    async with AsyncExitStack() as calls:
        guest, moderator, stranger = [
            await calls.enter_async_context(sip.Phone(talk.sip_server, *account))
            for account in accounts
        ]
        for phone, pin in ((guest, "0012#"), (moderator, "4711#"), (stranger, "12#")):
            await phone.dial(NUMBER)
            await press(phone, pin)
        found = await inside(talk.alice, "2001", "2002")
        assert {number: each["moderator"] for number, each in found.items()} == {
            "2001": False,
            "2002": True,
        }
        for pin in ("4712#", "#"):
            await asyncio.sleep(1)
            await press(stranger, pin)
        await stranger.ended(within=15)
        await inside(talk.alice, "2001", "2002")


async def test_others_see_nothing(talk: Stack) -> None:
    """Who is in a conference is its owner's business, and that of administrators."""
    await users.create_user(talk.site, OPERATOR, "bob", PASSWORD)
    bob = await talk.nobody.log_in("bob")
    await conference(talk.alice)
    assert await participants(talk.alice) == await participants(talk.root) == {}
    await bob.get(f"/extensions/{NUMBER}/participants", status=404)
    await bob.post(f"/extensions/{NUMBER}/participants/1.1/kick", status=404)
    await talk.alice.post(f"/extensions/{NUMBER}/participants/1.1/kick", status=404)
