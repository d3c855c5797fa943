"""What people upload is heard in calls, through the real Asterisk."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from muru.services.media import tidy
from tests import sip
from tests.conftest import Stack, StartStack
from tests.databases import Databases
from tests.media.samples import tone, upload
from tests.observe import console, create, faults, until


@pytest.fixture
async def clean_stack(stack: Stack) -> AsyncIterator[Stack]:
    """A stack of whose log a test shows, at its end, that Asterisk had nothing to complain of."""
    yield stack
    assert faults(stack.asterisk_log) == []


async def give(stack: Stack, number: str, **tones: float) -> None:
    """Upload a tone for each name, in hertz, and assign it."""
    media: dict[str, Any] = {}
    for key, hertz in tones.items():
        content = tone("OGG", hertz=hertz, seconds=5)
        media[key] = (await upload(stack.alice, content, key))["id"]
    await stack.alice.call("PUT", f"/extensions/{number}/media", {"media": media})


@pytest.mark.parametrize("codec", ["alaw", "g722"])
async def test_ringback_is_the_uploaded_tone(clean_stack: Stack, codec: str) -> None:
    """While it rings the caller hears what the called one uploaded, and then the called one."""
    anna, ben = [await create(clean_stack.alice, number) for number in ("2001", "2002")]
    await give(clean_stack, "2002", ringback=440)
    async with (
        sip.Phone(clean_stack.sip_server, *anna, codecs=[codec], tone=300) as caller,
        sip.Phone(clean_stack.sip_server, *ben, codecs=[codec], tone=660) as called,
    ):
        await caller.command("dial", "2002")
        await called._until(lambda: called.state == "ringing", "a call", 10)

        assert await caller.heard() == pytest.approx(440, abs=5)
        await called.answer()
        assert await caller.heard() == pytest.approx(660, abs=5)
        assert await called.heard() == pytest.approx(300, abs=5)
        await caller.hangup()


@pytest.mark.parametrize("databases", ["postgresql", "mariadb"], indirect=True)
async def test_sounds_on_each_database(databases: Databases, start_stack: StartStack) -> None:
    """Asterisk reads which sound an extension has from each kind of database."""
    own, asterisk = map(SecretStr, databases)
    stack = await start_stack(database_url=own, asterisk_database_url=asterisk)
    anna, ben = [await create(stack.alice, number) for number in ("2001", "2002")]
    await give(stack, "2001", moh=880)
    await give(stack, "2002", ringback=440)
    async with (
        sip.Phone(stack.sip_server, *anna, tone=300) as caller,
        sip.Phone(stack.sip_server, *ben, tone=660) as called,
    ):
        await caller.command("dial", "2002")
        await called._until(lambda: called.state == "ringing", "a call", 10)
        assert await caller.heard() == pytest.approx(440, abs=5)
        await called.answer()

        await caller.command("hold")

        assert await until(lambda: called.heard(seconds=0.6), lambda hertz: abs(hertz - 880) < 5)
        await caller.hangup()
    assert faults(stack.asterisk_log) == []


async def test_ringback_that_was_taken_away(clean_stack: Stack) -> None:
    """An extension that has none, or none any more, rings as usual; one that is off is off."""
    anna, ben = [await create(clean_stack.alice, number) for number in ("2001", "2002")]
    await give(clean_stack, "2002", ringback=440)
    assert (await sip.call(clean_stack.sip_server, *anna, "2002")).status == 480
    async with sip.Phone(clean_stack.sip_server, *ben, auto_answer=True):
        assert (await sip.call(clean_stack.sip_server, *anna, "2002")).status == 200
        await give(clean_stack, "2002")
        assert (await sip.call(clean_stack.sip_server, *anna, "2002")).status == 200
    classes = await console(clean_stack.asterisk, "moh show classes")
    assert "ringback" not in classes


async def test_music_on_hold_is_the_uploaded_one(clean_stack: Stack) -> None:
    """Who is put on hold hears the music of whoever does it, and nobody else's."""
    anna, ben = [await create(clean_stack.alice, number) for number in ("2001", "2002")]
    await give(clean_stack, "2001", moh=880)
    async with (
        sip.Phone(clean_stack.sip_server, *anna, codecs=["alaw"], tone=300) as holding,
        sip.Phone(
            clean_stack.sip_server, *ben, codecs=["alaw"], tone=660, auto_answer=True
        ) as held,
    ):
        await holding.dial("2002")
        assert await held.heard() == pytest.approx(300, abs=5)

        await holding.command("hold")

        assert await until(lambda: held.heard(seconds=0.6), lambda hertz: abs(hertz - 880) < 5)
        processes = await console(clean_stack.asterisk, "moh show files")
        assert "Class: muru" not in processes  # read when it is used, and not kept
        await holding.hangup()


async def test_asterisk_finds_its_sounds_again(stack: Stack) -> None:
    """What is missing in Asterisk's folder, as after a restore, is there again after the start."""
    await create(stack.alice, "2001")
    await give(stack, "2001", moh=440)
    (folder,) = stack.settings.asterisk_media.iterdir()
    (sound,) = folder.iterdir()
    assert sound.stat().st_mode & 0o777 == 0o640
    sound.unlink()

    await tidy(stack.site)

    assert sound.exists()
