"""The self-test of a phone, and calls from the web, at the real Asterisk."""

import asyncio

import pytest
from pydantic import ValidationError

from muru.keys import ARI
from muru.services import selftest
from muru.settings import Settings
from tests import sip
from tests.conftest import Stack, StartStack
from tests.observe import create, faults, until

TEST = "/extensions/2001/selftest"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the time that a person needs."""
    monkeypatch.setattr(selftest, "_ECHO_SECONDS", 1.5)
    monkeypatch.setattr(selftest, "_ANSWER_SECONDS", 0.5)


async def start(start_stack: StartStack, **settings: object) -> Stack:
    stack = await start_stack(**settings)
    assert await stack.app[ARI].wait_connected(10)
    return stack


async def press(phone: sip.Phone, key: str, *, after: float) -> None:
    """Presses a key some seconds after the phone was answered."""
    await phone.established(within=15)
    await asyncio.sleep(after)
    await phone.command("sndcode", key)


async def test_phone_that_works(start_stack: StartStack) -> None:
    """A phone rings, hears itself, presses a key; the codec and both directions are told."""
    stack = await start(start_stack)
    account = await create(stack.alice, "2001")
    async with sip.Phone(
        stack.sip_server, *account, codecs=["g722"], tone=550, auto_answer=True
    ) as phone:
        test = asyncio.create_task(stack.alice.post(TEST, {"ring": 5}))
        await phone.established(within=15)
        await asyncio.sleep(4)
        assert await phone.heard(seconds=1) == pytest.approx(550, abs=5)
        assert (await stack.alice.post(TEST, status=409))["detail"]
        pressing = asyncio.create_task(press(phone, "1", after=0))

        result = await test

        await pressing
        assert (result["outcome"], result["digit"], result["cause"]) == ("done", "1", None)
        assert (result["audio_from_phone"], result["audio_to_phone"]) == (True, True)
        assert result["call"]["codec"] == "g722"
        assert result["call"]["lost"] == 0
        assert result["call"]["jitter"] is not None
        assert await stack.alice.get(TEST) == result
    assert faults(stack.asterisk_log) == []


@pytest.mark.usefixtures("quick")
async def test_phone_without_sound(start_stack: StartStack) -> None:
    """A phone that answers and sends no sound is told from one of which nobody says a thing."""
    stack = await start(start_stack)
    account = await create(stack.alice, "2001")
    async with sip.AnsweringPhone(stack.sip_server, *account, audible=False):
        result = await stack.alice.post(TEST)

    assert (result["outcome"], result["digit"]) == ("hung-up", None)
    assert (result["audio_from_phone"], result["audio_to_phone"]) == (False, None)
    assert result["cause"] == "no-audio-from-phone"
    assert result["text"]
    assert result["call"]["sent"] > 50


async def test_phone_that_does_not_answer(start_stack: StartStack) -> None:
    """A phone that rings in vain, one that cannot, and one that is not there are told apart."""
    stack = await start(start_stack)
    account = await create(stack.alice, "2001")
    assert (await stack.alice.post(TEST, status=404))["detail"]
    await stack.alice.get(TEST, status=404)

    async with sip.Phone(stack.sip_server, *account) as phone:
        result = await stack.alice.post(TEST, {"ring": 1})
        assert (result["outcome"], result["cause"]) == ("no-answer", None)
        assert result["call"]["state"] == "ringing"
        assert phone.state == "idle"

    async with sip.Phone(stack.sip_server, *account, codecs=["slin16"]):
        result = await stack.alice.post(TEST, {"ring": 5})
        assert (result["outcome"], result["cause"]) == ("refused", "codec-mismatch")
        assert result["call"]["sip"] == 488


@pytest.mark.usefixtures("quick")
async def test_dialled(start_stack: StartStack) -> None:
    """The number of the self-test can be dialled by every extension; the result is kept for it."""
    stack = await start(start_stack, selftest_number="9999")
    body = {"type": "SIP", "name": "A phone", "number": "9999"}
    await stack.root.post("/extensions", body, status=409)
    account = await create(stack.alice, "2001")
    async with sip.Phone(stack.sip_server, *account, tone=550) as phone:
        await phone.dial("9999")
        await phone.ended(within=20)

    result = await until(
        lambda: stack.alice.client.get(
            f"/api/v1{TEST}", headers={"Authorization": f"Bearer {stack.alice.token}"}
        ),
        lambda answer: answer.status == 200,
    )
    found = await result.json()
    assert (found["audio_from_phone"], found["cause"]) == (True, None)
    assert found["call"]["codec"] == "alaw"

    await stack.app[ARI].stop()
    async with sip.Phone(stack.sip_server, *account, tone=550) as phone:
        await phone.dial("9999")
        assert await phone.heard(seconds=1) == pytest.approx(550, abs=5)


async def test_call_from_the_web(start_stack: StartStack) -> None:
    """A person's own phone rings first; then the call goes where it would if it were dialled."""
    stack = await start(start_stack)
    account, other = await create(stack.alice, "2001", "Anna"), await create(stack.alice, "2002")
    path = "/extensions/2001/originate"
    async with (
        sip.Phone(stack.sip_server, *account) as anna,
        sip.AnsweringPhone(stack.sip_server, *other) as ben,
    ):
        shown = await stack.alice.post(path, {"to": "2002"})
        assert str(anna.port) in shown["contact"]
        await anna.answer()
        assert (await ben.request()).caller == ("Anna", "2001")
        await anna.hangup()

        await stack.alice.post(path, {"to": "4711"})
        await anna.answer()
        assert await anna.heard(seconds=0.5) > 0  # there is no such number
        await anna.ended()
        assert [each.method for each in ben.requests].count("INVITE") == 1

    await create(stack.root, "2003")
    await stack.alice.post("/extensions/2003/originate", {"to": "2001"}, status=404)
    for to in ("", "2001", "20 02", "echo", "2002,1", "2002@muru-claim", "+492002", "²", "s", "h"):
        assert (await stack.alice.post(path, {"to": to}, status=422))["errors"]
    assert faults(stack.asterisk_log) == []


@pytest.mark.parametrize("number", ["", "+49", "_X.", "1,2", "²", "1" * 16])
def test_wrong_number(number: str) -> None:
    """The number of the self-test has digits only: nothing else gets into the dialplan."""
    with pytest.raises(ValidationError, match="selftest_number"):
        Settings(selftest_number=number)
