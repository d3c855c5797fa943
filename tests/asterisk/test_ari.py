"""ARI: requests, calls that come by Stasis, and all the ways in which either can fail."""

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from pydantic import SecretStr

from muru.asterisk import program
from muru.asterisk.ari import Ari
from muru.asterisk.ari_channel import AriChannel
from muru.errors import AriUnavailable
from muru.settings import Settings
from tests import sip
from tests.asterisk.temporary import create_temporary, own_ari
from tests.conftest import Stack, free_port
from tests.observe import console, create, faults, restart_seen, until

TOKEN = "123456789012"
START: dict[str, Any] = {
    "type": "StasisStart",
    "args": ["claim", "x"],
    "channel": {"id": "1.2", "name": "PJSIP/a-b-0001", "caller": {"name": "", "number": ""}},
}


# What is said to whoever claims a phone, and the beep for one that is to be found.
SOUNDS = [
    *("num-was-successfully", "activated"),
    *("privacy-incorrect", "check-number-dial-again"),
    *("feature-not-avail-line", "please-try-call-later", "beep", "silence/1"),
]


@pytest.fixture
async def silent_server() -> AsyncIterator[BaseTestServer]:
    """A server that takes requests and does not answer."""

    async def wait(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", wait)
    async with TestServer(app) as server:
        yield server


def client(port: int, secret: str = "ari secret", **more: Any) -> Ari:
    return Ari(host="127.0.0.1", port=port, username="muru", secret=SecretStr(secret), **more)


async def test_reload(stack: Stack) -> None:
    """When it returns the module is loaded anew."""
    before = stack.asterisk_log.count("is not reloadable, maintaining previous values")

    await client(stack.settings.asterisk_http_port).reload_module("res_pjsip.so")

    log = stack.asterisk_log
    assert log.count("is not reloadable, maintaining previous values") == before + 1
    assert "Running" in await console(stack.asterisk, "module show like res_pjsip.so")


@pytest.mark.parametrize(
    ("secret", "module", "answer"),
    [("ari secret", "no_such_module.so", "404"), ("wrong", "res_pjsip.so", "401")],
)
async def test_refused(stack: Stack, secret: str, module: str, answer: str) -> None:
    """What Asterisk does not do is told with its answer, and without the secret."""
    ari = client(stack.settings.asterisk_http_port, secret)

    with pytest.raises(AriUnavailable, match=answer) as caught:
        await ari.reload_module(module)

    assert secret not in str(caught.value)


async def test_away() -> None:
    """An Asterisk that is away is told as such."""
    with pytest.raises(AriUnavailable, match="not available"):
        await client(free_port()).reload_module("res_pjsip.so")


async def test_no_answer(silent_server: BaseTestServer) -> None:
    """One that does not answer is waited for no longer than said."""
    assert silent_server.port
    async with asyncio.timeout(5):
        with pytest.raises(AriUnavailable, match="Timeout"):
            await client(silent_server.port).reload_module("res_pjsip.so", seconds=0.2)


# --- calls, at the real Asterisk ------------------------------------------------------------------


Dial = Callable[..., Coroutine[Any, Any, sip.Outcome]]


@pytest.fixture
async def ari(stack: Stack) -> AsyncIterator[Ari]:
    """A client at the stack's Asterisk, whose link is up."""
    async with own_ari(stack) as client:
        yield client


@pytest.fixture
async def dial(stack: Stack, ari: Ari) -> Dial:
    """Returns a function that dials a token at an unclaimed phone, and waits for the call's end."""
    del ari
    phone = await create_temporary(stack, "claim-abc")

    async def call(dialled: str = TOKEN, **more: Any) -> sip.Outcome:
        return await sip.call(stack.sip_server, *phone, dialled, **more)

    return call


async def calls(stack: Stack) -> str:
    return await console(stack.asterisk, "core show channels count")


async def no_calls(stack: Stack, within: float = 3.0) -> None:
    await until(lambda: calls(stack), lambda shown: "0 active channels" in shown, within)


async def test_sounds(stack: Stack, ari: Ari) -> None:
    """A caller hears Asterisk's sounds, and the handler goes on when the last is over."""
    played: list[bool] = []

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        assert await channel.answer()
        began = time.monotonic()
        played.append(await channel.play("beep", "activated", "beep"))
        assert time.monotonic() - began > 0.8

    ari.on_enter("claim", handle)
    phone = await create_temporary(stack, "claim-abc")
    async with sip.Phone(stack.sip_server, *phone) as caller:
        await caller.dial(TOKEN)
        assert await caller.heard(seconds=0.5) > 0
        await caller.ended()

    assert played == [True]
    assert faults(stack.asterisk_log) == []


def test_sounds_are_there(make_settings: Callable[..., Settings]) -> None:
    """What muru says in a call comes with Asterisk."""
    folder = program.find(make_settings()).data / "sounds/en"

    missing = [name for name in SOUNDS if not list(folder.glob(f"{name}.*"))]

    assert missing == []


async def test_channel(ari: Ari, dial: Dial) -> None:
    """A handler learns who calls, from which account, and what was dialled."""
    seen: list[tuple[AriChannel, tuple[str, ...]]] = []

    async def handle(channel: AriChannel, arguments: tuple[str, ...]) -> None:
        seen.append((channel, arguments))

    ari.on_enter("claim", handle)

    await dial()

    ((channel, arguments),) = seen
    assert arguments == ("claim-abc", TOKEN)
    assert channel.endpoint == "claim-abc"
    assert (channel.caller_name, channel.caller_number) == ("New phone", "0")


async def test_end_of_handler(stack: Stack, ari: Ari, dial: Dial) -> None:
    """A call ends with its handler, which may give the reason that the caller is told."""

    async def handle(channel: AriChannel, arguments: tuple[str, ...]) -> None:
        if arguments[1] != TOKEN:
            assert await channel.hangup(17)
            assert not await channel.hangup()

    ari.on_enter("claim", handle)

    assert (await dial()).status == 603
    assert (await dial("111122223333")).status == 486
    await no_calls(stack)


async def test_fault_in_handler(
    stack: Stack, ari: Ari, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that fails is logged, without the token, and its call ends; others go on."""

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        raise LookupError(channel.id)

    ari.on_enter("claim", handle)

    assert (await dial()).status == 603
    assert (await dial()).status == 603

    assert caplog.text.count("What handles calls to 'claim' failed") == 2
    assert TOKEN not in caplog.text
    await no_calls(stack)


async def test_slow_handler(
    stack: Stack, ari: Ari, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler has its time, and no more."""
    monkeypatch.setattr("muru.asterisk.ari._CALL_TIMEOUT", 0.3)

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        await channel.answer()
        await asyncio.sleep(30)

    ari.on_enter("claim", handle)
    began = time.monotonic()

    assert (await dial(hold=10)).status == 200

    assert time.monotonic() - began < 3
    await no_calls(stack)


async def test_no_handler(stack: Stack, dial: Dial, caplog: pytest.LogCaptureFixture) -> None:
    """A call that nobody handles is hung up."""
    assert (await dial()).status == 603
    assert "nobody handles" in caplog.text
    await no_calls(stack)


async def test_too_many(
    stack: Stack, ari: Ari, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a number of calls at once the next are hung up, and those are not disturbed."""
    monkeypatch.setattr("muru.asterisk.ari._MOST_CALLS", 1)
    entered = asyncio.Event()

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        entered.set()
        await channel.answer()
        await asyncio.sleep(30)

    ari.on_enter("claim", handle)
    first = asyncio.create_task(dial(hold=1))
    await asyncio.wait_for(entered.wait(), 5)

    assert (await dial()).status == 603

    assert (await first).status == 200
    assert any(message.sent and message.method == "BYE" for message in (await first).messages)
    await no_calls(stack)


async def test_caller_hangs_up(stack: Stack, ari: Ari, dial: Dial) -> None:
    """When the caller hangs up the handler goes on at once, and is told that it was not heard."""
    told: list[bool] = []
    done = asyncio.Event()

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        await channel.answer()
        told.append(await channel.play("silence/10"))
        told.append(await channel.play("beep"))
        told.append(await channel.answer())
        told.append(await channel.continue_dialplan())
        told.append(await channel.hangup())
        told.append(channel.is_gone)
        done.set()

    ari.on_enter("claim", handle)

    assert (await dial(hold=0.3)).status == 200

    await asyncio.wait_for(done.wait(), 2)
    assert told == [False, False, False, False, False, True]
    await no_calls(stack)


async def test_sound_that_is_not_there(ari: Ari, dial: Dial) -> None:
    """A missing sound is told, and takes no time."""
    told: list[bool] = []

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        await channel.answer()
        told.append(await channel.play("no-such-sound"))
        told.append(await channel.play("silence/10", timeout=0.1))

    ari.on_enter("claim", handle)

    assert (await dial(hold=5)).status == 200
    assert told == [False, False]


async def test_back_to_the_dialplan(ari: Ari, dial: Dial) -> None:
    """A call that was given back is the dialplan's, which goes on after Stasis."""
    told: list[bool] = []

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        told.append(await channel.continue_dialplan())
        told.append(await channel.answer())

    ari.on_enter("claim", handle)

    assert (await dial()).status == 603  # its last line hangs up
    assert told == [True, False]


async def test_originate(stack: Stack, ari: Ari) -> None:
    """A phone rings, the one that is meant, and shows what it is to; who takes it is handled."""
    account = await create(stack.alice, "2001")
    entered: asyncio.Queue[tuple[AriChannel, tuple[str, ...]]] = asyncio.Queue()

    async def handle(channel: AriChannel, arguments: tuple[str, ...]) -> None:
        await channel.play("beep")
        entered.put_nowait((channel, arguments))

    ari.on_enter("identify", handle)
    async with sip.AnsweringPhone(stack.sip_server, *account) as phone:
        channel_id = await ari.originate(
            f"PJSIP/2001/sip:2001@127.0.0.1:{phone.port}",
            app_arguments=("identify", "x-1"),
            caller_id='"muru" <0>',
            timeout=5,
        )

        channel, arguments = await asyncio.wait_for(entered.get(), 5)
        assert (channel.id, channel.endpoint, arguments) == (channel_id, "2001", ("x-1",))
        assert (await phone.request()).caller == ("muru", "0")
        await phone.request("BYE")
    await no_calls(stack)


async def test_originate_ends(stack: Stack, ari: Ari) -> None:
    """A phone that rings stops when it is told to, or after the time."""
    account = await create(stack.alice, "2001")
    async with sip.Phone(stack.sip_server, *account) as phone:

        async def ring(seconds: float) -> str:
            channel = await ari.originate(
                "PJSIP/2001", app_arguments=("identify",), caller_id="<0>", timeout=seconds
            )
            await until(lambda: state(phone), lambda found: found == "ringing", within=3)
            return channel

        await ari.hangup(await ring(30))
        await phone.ended(within=3)
        await ring(1)
        await phone.ended(within=4)
    await ari.hangup("no-such-channel")


async def state(phone: sip.Phone) -> str:
    return phone.state


async def test_originate_fails(ari: Ari) -> None:
    """What cannot be rung is told, and nothing gets in by way of an argument."""

    async def ring(endpoint: str = "PJSIP/2001", *arguments: str) -> None:
        await ari.originate(endpoint, app_arguments=arguments, caller_id="<0>", timeout=1)

    with pytest.raises(AriUnavailable):
        await ring("PJSIP/2999", "identify")
    for argument in ("a,b", 'a"', "a b", "a\n", "a;b", "$(x)", "ü"):
        with pytest.raises(ValueError, match="argument"):
            await ring("PJSIP/2001", "identify", argument)
    await ari.stop()
    with pytest.raises(AriUnavailable, match="no link"):
        await ring("PJSIP/2001", "identify")


async def test_two_handlers(ari: Ari) -> None:
    """One name has one handler."""

    async def handle(channel: AriChannel, arguments: tuple[str, ...]) -> None:
        del channel, arguments

    ari.on_enter("claim", handle)
    with pytest.raises(ValueError, match="claim"):
        ari.on_enter("claim", handle)


# --- the link -------------------------------------------------------------------------------------


async def test_asterisk_restarts(
    stack: Stack, ari: Ari, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls come again after Asterisk was killed; the loss and the return are logged once each."""

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        await channel.hangup(17)

    ari.on_enter("claim", handle)
    assert (await dial()).status == 486
    caplog.set_level(logging.INFO, "muru.asterisk.ari")
    caplog.clear()
    pid = stack.asterisk.pid
    assert pid

    os.kill(pid, signal.SIGKILL)

    await until(lambda: connected(ari), lambda is_so: not is_so, within=3)
    await restart_seen(stack, pid)
    assert await ari.wait_connected(20)
    await asyncio.to_thread(stack.asterisk.command_line, "core waitfullybooted")
    assert (await dial()).status == 486
    logged = [each.levelname for each in caplog.records if each.name == "muru.asterisk.ari"]
    assert [each for each in logged if each != "DEBUG"] == ["WARNING", "INFO"]


async def connected(ari: Ari) -> bool:
    return ari.connected


async def test_call_during_loss(stack: Stack, ari: Ari, dial: Dial) -> None:
    """A handler that waits for a sound when Asterisk dies does not go on waiting."""
    failed = asyncio.Event()

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        await channel.answer()
        try:
            await channel.play("silence/10")
        except AriUnavailable:
            with pytest.raises(AriUnavailable):
                await channel.play("beep")
            failed.set()
            raise

    ari.on_enter("claim", handle)
    call = asyncio.create_task(dial(hold=1))
    await until(lambda: calls(stack), lambda shown: "1 active call" in shown)
    assert stack.asterisk.pid

    os.kill(stack.asterisk.pid, signal.SIGKILL)

    await asyncio.wait_for(failed.wait(), 3)
    await asyncio.gather(call, return_exceptions=True)


async def test_second_controller(
    stack: Stack, ari: Ari, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go to who came last; what the one before left on the line is hung up."""
    entered = asyncio.Event()

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        await channel.answer()
        entered.set()
        await channel.play("silence/10")

    ari.on_enter("claim", handle)
    call = asyncio.create_task(dial(hold=10))
    await asyncio.wait_for(entered.wait(), 5)
    other = client(stack.settings.asterisk_http_port)

    await other.start()

    assert await other.wait_connected(5)
    assert (await asyncio.wait_for(call, 3)).status == 200
    await until(lambda: connected(ari), lambda is_so: not is_so, within=3)
    assert "another controller" in caplog.text
    await asyncio.sleep(1)
    assert other.connected  # they do not take turns
    await other.stop()


async def test_stop(stack: Stack, ari: Ari, dial: Dial) -> None:
    """Who is on the line when muru ends is hung up, and nothing of it runs on."""
    entered = asyncio.Event()

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        await channel.answer()
        entered.set()
        await channel.play("silence/10")

    ari.on_enter("claim", handle)
    call = asyncio.create_task(dial(hold=10))
    await asyncio.wait_for(entered.wait(), 5)

    await ari.stop()

    assert not ari.connected
    assert (await asyncio.wait_for(call, 3)).status == 200
    await no_calls(stack)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not [name for name in names if name == "ari" or name.startswith("call ")]
    await ari.stop()


async def test_wrong_password(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong password is told once, as an answer of Asterisk's and not with the password."""
    ari = client(
        stack.settings.asterisk_http_port, "a wrong one", backoff=(0.01, 0.02), refusal_retry=0.05
    )
    caplog.clear()
    await ari.start()

    assert not await ari.wait_connected(0.5)

    await ari.stop()
    assert caplog.text.count("401") == 1
    assert "wrong one" not in caplog.text
    assert "Basic" not in caplog.text


# --- the link, at a server that is no Asterisk ----------------------------------------------------


class FakeAri:
    """ARI's part about events, modelled on Asterisk 22; what it is asked for is in ``requests``."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.sockets: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.answers_pings = True
        self.port = 0

    async def events(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        socket = web.WebSocketResponse(autoping=self.answers_pings)
        await socket.prepare(request)
        self.sockets.put_nowait(socket)
        async for _ in socket:
            pass
        return socket

    async def other(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        return web.Response(status=404 if request.method == "GET" else 204)

    async def socket(self) -> web.WebSocketResponse:
        return await asyncio.wait_for(self.sockets.get(), 5)


@pytest.fixture
async def fake_ari() -> AsyncIterator[FakeAri]:
    fake = FakeAri()
    app = web.Application()
    app.router.add_get("/ari/events", fake.events)
    app.router.add_route("*", "/{path:.*}", fake.other)
    async with TestServer(app) as server:
        fake.port = server.port or 0
        yield fake


async def test_given_back(fake_ari: FakeAri) -> None:
    """Muru does not hang up what it gave back."""
    ari = client(fake_ari.port)

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        assert await channel.continue_dialplan()

    ari.on_enter("claim", handle)
    await ari.start()

    await (await fake_ari.socket()).send_str(json.dumps(START))

    await until(lambda: asked(fake_ari), lambda found: "POST /ari/channels/1.2/continue" in found)
    await asyncio.sleep(0.1)
    await ari.stop()
    assert not [each for each in await asked(fake_ari) if each.startswith("DELETE")]


async def asked(fake: FakeAri) -> list[str]:
    return [f"{each.method} {each.path}" for each in fake.requests]


async def test_half_open(fake_ari: FakeAri, caplog: pytest.LogCaptureFixture) -> None:
    """A link on which nothing comes back any more is noticed, and made anew."""
    fake_ari.answers_pings = False
    ari = client(fake_ari.port, ping_interval=0.2, backoff=(0.01, 0.05))
    await ari.start()
    await fake_ari.socket()
    fake_ari.answers_pings = True

    await fake_ari.socket()

    await asyncio.sleep(0.6)
    assert ari.connected
    assert fake_ari.sockets.empty()
    assert caplog.text.count("No calls come") == 1
    await ari.stop()


async def test_password_is_in_no_url(fake_ari: FakeAri) -> None:
    """What a proxy or an access log keeps of a request has no password in it."""
    ari = client(fake_ari.port)
    await ari.start()
    await fake_ari.socket()
    await ari.hangup("1.2/../?x")

    await ari.stop()

    assert [each.path_qs for each in fake_ari.requests] == [
        "/ari/applications/muru",
        "/ari/events?app=muru&subscribeAll=false",
        "/ari/channels/1.2%2F..%2F%3Fx",
    ]
    assert {each.headers["Authorization"][:6] for each in fake_ari.requests} == {"Basic "}


@pytest.mark.parametrize(
    "nonsense",
    [
        *("", "[]", "null", "{}", "7", "{", '{"type": 7}', '{"type": "Other"}', '"\\ud800"'),
        *(json.dumps({"type": each}) for each in ("StasisStart", "StasisEnd", "PlaybackFinished")),
        json.dumps({**START, "args": None}),
        json.dumps({**START, "args": [[]]}),
        json.dumps({**START, "channel": {"id": []}}),
        json.dumps({**START, "channel": {**START["channel"], "name": None}}),
        json.dumps({"type": "PlaybackFinished", "playback": {"id": 7, "target_uri": 7}}),
    ],
)
async def test_nonsense(fake_ari: FakeAri, nonsense: str) -> None:
    """An event that is none is skipped, and the next one handled."""
    ari = client(fake_ari.port)
    entered: asyncio.Queue[str] = asyncio.Queue()

    async def handle(channel: AriChannel, _: tuple[str, ...]) -> None:
        entered.put_nowait(channel.endpoint)

    ari.on_enter("claim", handle)
    await ari.start()
    socket = await fake_ari.socket()

    await socket.send_str(nonsense)
    await socket.send_str(json.dumps(START))

    assert await asyncio.wait_for(entered.get(), 3) == "a-b"
    assert ari.connected
    await ari.stop()


async def test_message_that_is_too_long(fake_ari: FakeAri) -> None:
    """A message without end does not fill the memory: the link is ended, and made anew."""
    ari = client(fake_ari.port, backoff=(0.01, 0.05))
    await ari.start()
    socket = await fake_ari.socket()

    await socket.send_str("x" * 2 * 1024 * 1024)

    await fake_ari.socket()
    assert await ari.wait_connected(3)
    await ari.stop()
