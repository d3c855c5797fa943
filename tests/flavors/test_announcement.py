"""Announcements: what was uploaded is what a caller hears."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import sip
from tests.conftest import Api, Stack, StartStack, World, configured
from tests.media.samples import picture, tone, upload
from tests.observe import create, faults
from tests.written_flavors import realtime_rows

FLAVORS = ["sip", "announcement"]
NUMBER = "2300"


def body(media: int | None, **fields: Any) -> dict[str, Any]:
    chosen = {"announcement": media} if media else {}
    new = {"type": "Announcement", "name": "News", "number": NUMBER}
    return new | {"media": chosen, "extra_fields": fields}


async def announcement(api: Api, hertz: float, **fields: Any) -> int:
    """Upload a tone of two seconds, make it an announcement, and return the medium's id."""
    media: int = (await upload(api, tone(hertz=hertz)))["id"]
    await api.post("/extensions", body(media, **fields), status=201)
    return media


@configured(enabled_phone_flavors=FLAVORS)
async def test_sound_is_needed(world: World) -> None:
    """There is no announcement without a sound, and a picture is none."""
    image = (await upload(world.alice, picture()))["id"]
    for media in (None, image):
        refused = await world.alice.post("/extensions", body(media), status=422)
        assert [each["field"] for each in refused["errors"]] == ["media.announcement"]
    assert await realtime_rows(world.site, NUMBER) == {}


@pytest.fixture
async def talk(start_stack: StartStack) -> AsyncIterator[Stack]:
    """A stack with announcements, of which Asterisk has nothing to complain."""
    stack = await start_stack(enabled_phone_flavors=FLAVORS)
    yield stack
    assert faults(stack.asterisk_log) == []


@pytest.mark.parametrize("codec", ["alaw", "g722"])
async def test_caller_hears_it_once(talk: Stack, codec: str) -> None:
    """The caller hears the tone that was uploaded, and then the call ends."""
    await announcement(talk.alice, 700)
    account = await create(talk.alice, "2001")
    async with sip.Phone(talk.sip_server, *account, codecs=[codec]) as phone:
        await phone.dial(NUMBER)
        assert await phone.heard(seconds=1.5) == pytest.approx(700, abs=5)
        await phone.ended(within=5)


async def test_caller_hears_it_again(talk: Stack) -> None:
    """Round and round, it begins again; another sound is played from the next call on."""
    await announcement(talk.alice, 700, repeat=True)
    other = (await upload(talk.alice, tone(hertz=900)))["id"]
    account = await create(talk.alice, "2001")
    async with sip.Phone(talk.sip_server, *account) as phone:
        await phone.dial(NUMBER)
        assert await phone.heard(seconds=5) == pytest.approx(700, abs=5)
        await phone.hangup()
        await talk.alice.patch(f"/extensions/{NUMBER}", {"media": {"announcement": other}})
        await phone.dial(NUMBER)
        assert await phone.heard(seconds=1.5) == pytest.approx(900, abs=5)
