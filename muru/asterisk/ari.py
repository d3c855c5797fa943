"""Asterisk's REST interface (ARI): requests, and the calls that come to muru by ``Stasis``.

What takes long goes by ARI: each request has a thread of its own in Asterisk, while AMI does one
action of a link after the other. And only by ARI can muru speak to whoever calls.
"""

# ruff: noqa: ASYNC109 - "timeout" is part of the contract: callers know what is slow

import asyncio
import json
import logging
import random
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import aiohttp
from pydantic import SecretStr

from muru.asterisk.ari_channel import GONE, NORMAL_CLEARING, AriChannel, Line, hang_up
from muru.asterisk.dialplan import STASIS
from muru.errors import AriUnavailable

log = logging.getLogger(__name__)

_MAX_MESSAGE = 1024 * 1024
_REQUEST_TIMEOUT = 5.0
_MOST_CALLS = 100  # that are handled at once; more are hung up
_CALL_TIMEOUT = 60.0  # of one handler
_SUCCESS = range(200, 300)
CHANNEL_PREFIX = "muru-"  # of the ids of channels by which muru itself rings
_DIALLED = re.compile(r"\*?[0-9]+")
_ARGUMENT = re.compile(r"[\w.:@/-]*", re.ASCII)  # else Asterisk would take it for several

Handler = Callable[[AriChannel, tuple[str, ...]], Awaitable[None]]


class Ari:
    """A client, and while it is started the link by which Asterisk hands it calls.

    Requests may also be made without the link. It is kept up as that of ``Ami`` is: a ping every
    ``ping_interval`` finds a half-open one, ``backoff`` is the first and the longest pause between
    attempts; where Asterisk says no it is ``refusal_retry``. All in seconds.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        *,
        host: str,
        port: int,
        username: str,
        secret: SecretStr,
        ping_interval: float = 10.0,
        backoff: tuple[float, float] = (0.5, 15.0),
        refusal_retry: float = 60.0,
    ) -> None:
        self._place = f"{host}:{port}"
        self._url = f"http://{host}:{port}/ari"
        login = f"{username}:{secret.get_secret_value()}".encode()
        self._headers = {"Authorization": f"Basic {b64encode(login).decode()}"}
        self._ping_interval, self._backoff = ping_interval, backoff
        self._refusal_retry = refusal_retry
        self._handlers: dict[str, Handler] = {}
        self._lines: dict[str, Line] = {}  # of the channels that are being handled
        self._calls: set[asyncio.Task[None]] = set()
        self._rung: dict[str, asyncio.Future[bool]] = {}  # whether somebody answered
        self._connected = asyncio.Event()
        self._told: set[type[AriUnavailable]] = set()  # trouble that is in the log already
        self._pause = backoff[0]
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether calls come to muru now."""
        return self._connected.is_set()

    async def start(self) -> None:
        """Returns at once; the link comes up in the background, as soon as Asterisk is there."""
        if self._task is None:
            self._session = self._new_session()
            self._task = asyncio.create_task(self._keep_up(self._session), name="ari")

    async def stop(self) -> None:
        """Ends the link, and hangs up the calls that are being handled."""
        if self._task is None or self._session is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._session.close()
        self._task = self._session = None

    async def wait_connected(self, timeout: float) -> bool:
        """Whether the link is up, after ``timeout`` seconds at the latest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        return self.connected

    def on_enter(self, name: str, handler: Handler) -> None:
        """Has ``handler`` called with each channel that enters ``Stasis(muru,<name>,…)``.

        Each call has a task of its own, for a minute at most. When the handler ends, also by an
        exception, the call is hung up, unless it went back to the dialplan.
        """
        if name in self._handlers:
            raise ValueError(f"{name!r} is handled already")
        self._handlers[name] = handler

    async def originate(
        self, endpoint: str, *, app_arguments: Sequence[str], caller_id: str, timeout: float
    ) -> str:
        """Has a phone rung (``PJSIP/2001``) for ``timeout`` seconds; returns the channel's id.

        When somebody answers, the channel enters ``Stasis(muru,<app_arguments>)``. AriUnavailable:
        there is no link, so that nobody would be told, or no such phone. ValueError: an argument
        with characters that mean something to Asterisk.
        """
        channel = _new_channel()
        await self._enter_when_answered(channel, endpoint, app_arguments, caller_id, timeout)
        return channel

    async def ring(
        self, endpoint: str, *, app_arguments: Sequence[str], caller_id: str, timeout: float
    ) -> tuple[str, bool]:
        """As ``originate``, but waits; returns the channel's id, and whether somebody answered."""
        channel = _new_channel()
        answered = self._rung[channel] = asyncio.get_running_loop().create_future()
        try:
            await self._enter_when_answered(channel, endpoint, app_arguments, caller_id, timeout)
            async with asyncio.timeout(timeout + _REQUEST_TIMEOUT):
                return channel, await answered
        except TimeoutError:
            await self.hangup(channel)
            return channel, False
        finally:
            del self._rung[channel]

    async def dial(
        self, endpoint: str, number: str, *, context: str, caller_id: str, timeout: float
    ) -> str:
        """Has a phone rung that calls ``number`` in ``context`` when it is answered.

        Returns and raises what ``originate`` does; also ValueError where it is no number.
        """
        if not _DIALLED.fullmatch(number):
            raise ValueError("a number has digits only, but for a star in front")
        channel = _new_channel()
        then = {"context": context, "extension": number, "priority": 1}
        await self._create(channel, endpoint, caller_id, timeout, then)
        return channel

    async def _enter_when_answered(
        self,
        channel: str,
        endpoint: str,
        app_arguments: Sequence[str],
        caller_id: str,
        timeout: float,
    ) -> None:
        if not all(map(_ARGUMENT.fullmatch, app_arguments)):
            raise ValueError("an argument for Stasis has letters, digits and .:@/_- only")
        if not self.connected:
            raise AriUnavailable("muru has no link to Asterisk's ARI")
        then = {"app": STASIS, "appArgs": ",".join(app_arguments)}
        await self._create(channel, endpoint, caller_id, timeout, then)

    async def _create(
        self,
        channel: str,
        endpoint: str,
        caller_id: str,
        timeout: float,
        then: Mapping[str, object],
    ) -> None:
        whom = {"endpoint": endpoint, "callerId": caller_id, "channelId": channel}
        body = {**whom, "timeout": max(1, round(timeout)), **then}
        await self._request("POST", "/channels", body)

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[str]:
        """The id of a bridge of its own, for as long as the block takes."""
        bridge = f"{CHANNEL_PREFIX}{uuid4().hex}"
        await self._request("POST", f"/bridges/{bridge}", {"type": "mixing"})
        try:
            yield bridge
        finally:
            with suppress(AriUnavailable):
                await self._request("DELETE", f"/bridges/{bridge}", also=GONE)

    async def hangup(self, channel_id: str, cause: int = NORMAL_CLEARING) -> None:
        """Ends a call; nothing happens if it is over. ``cause`` is Q.850's."""
        await hang_up(self._request, channel_id, cause)

    async def reload_module(self, name: str, *, seconds: float = 60.0) -> None:
        """Reload a module (``res_pjsip.so``) and wait until that is done.

        Raises:
            AriUnavailable: Asterisk is away, does not let us in, or takes longer than *seconds*.
        """
        await self._request("PUT", f"/asterisk/modules/{name}", seconds=seconds)

    async def modules(self) -> dict[str, str]:
        """Return the modules that Asterisk has loaded, each with its status (``Running``)."""
        _, text = await self._request("GET", "/asterisk/modules")
        try:
            return {str(each["name"]): str(each["status"]) for each in json.loads(text)}
        except (ValueError, LookupError, TypeError):
            raise AriUnavailable("what it answers is not ARI") from None

    # Requests

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        also: frozenset[int] = frozenset(),
        seconds: float = _REQUEST_TIMEOUT,
    ) -> tuple[int, str]:
        """The status and text of an answer that is a success, or one of those in ``also``."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=5)
        url = self._url + path
        try:
            async with (
                self._open_session() as session,
                session.request(method, url, json=body, timeout=timeout) as response,
            ):
                status, text = response.status, await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AriUnavailable(f"ARI is not available: {_reason(error)}") from None
        if status not in _SUCCESS and status not in also:
            kind = _Refused if status in {401, 403} else AriUnavailable
            raise kind(f"ARI answered {status} to {method} {path}")
        return status, text

    @asynccontextmanager
    async def _open_session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """The session of the link, or one for a single request while there is none."""
        if self._session is not None:
            yield self._session
        else:
            async with self._new_session() as session:
                yield session

    def _new_session(self) -> aiohttp.ClientSession:
        # A connection for each request: one that was kept could be an Asterisk's that is no more.
        connector = aiohttp.TCPConnector(force_close=True)
        return aiohttp.ClientSession(headers=self._headers, connector=connector)

    # The link

    async def _keep_up(self, session: aiohttp.ClientSession) -> None:
        """One link after the other, with pauses between them, until it is cancelled."""
        while True:
            try:
                await self._live_through_a_link(session)
            except _Refused as refusal:
                self._note_trouble(refusal)
                await asyncio.sleep(self._refusal_retry)
            except AriUnavailable as error:
                self._note_trouble(error)
                # Jitter, so that several controllers do not all come back at the same moment.
                await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311
                self._pause = min(self._pause * 2, self._backoff[1])

    async def _live_through_a_link(self, session: aiohttp.ClientSession) -> None:
        """Connects and takes what comes; ends by raising why the link is no more."""
        reason = AriUnavailable("muru ended the link")
        try:
            await self._end_left_over()
            async with await self._connect(session) as socket:
                self._came_up()
                await self._take_all(socket)
        except AriUnavailable as error:
            reason = error
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = AriUnavailable(_reason(error))
            raise reason from None
        finally:
            self._connected.clear()
            for line in self._lines.values():
                line.lose(reason)
            for rung in self._rung.values():
                if not rung.done():
                    rung.set_exception(reason)

    async def _connect(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        async with asyncio.timeout(_REQUEST_TIMEOUT):
            return await session.ws_connect(
                f"{self._url}/events",
                params={"app": STASIS, "subscribeAll": "false"},
                heartbeat=self._ping_interval,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                max_msg_size=_MAX_MESSAGE,
            )

    async def _end_left_over(self) -> None:
        """Hangs up those that an earlier link had: their events are lost, so nobody has them."""
        status, text = await self._request("GET", f"/applications/{STASIS}", also=GONE)
        try:
            left = json.loads(text)["channel_ids"] if status == 200 else []
        except (ValueError, LookupError, TypeError):
            raise AriUnavailable("what it answers is not ARI") from None
        await asyncio.gather(*(self.hangup(str(channel)) for channel in left))

    def _came_up(self) -> None:
        self._pause = self._backoff[0]
        self._told.clear()
        self._connected.set()
        log.info("Asterisk hands calls to muru, by its ARI at %s", self._place)

    def _note_trouble(self, error: AriUnavailable) -> None:
        """Logs each kind of trouble once per outage, however many attempts fail."""
        level = logging.DEBUG if type(error) in self._told else logging.WARNING
        log.log(level, "No calls come from Asterisk's ARI at %s: %s", self._place, error)
        self._told.add(type(error))

    # What comes by it

    async def _take_all(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._take(message.data)
        raise AriUnavailable(f"the link was closed: {_reason(socket.exception())}")

    def _take(self, text: str) -> None:
        try:
            event = json.loads(text)
            match event["type"]:
                case "StasisStart":
                    self._note_answer(event["channel"]["id"], answered=True)
                    self._enter(event["args"], event["channel"])
                case "StasisEnd" | "ChannelDestroyed":
                    self._note_answer(event["channel"]["id"], answered=False)
                    self._leave(event["channel"]["id"])
                case "ChannelDtmfReceived":
                    self._press(event["channel"]["id"], event["digit"])
                case "PlaybackFinished":
                    self._finish(event["playback"])
                case "ApplicationReplaced":
                    raise _Refused("another controller has taken them over")
        except (ValueError, LookupError, TypeError, AttributeError):
            log.debug("Skipped %d bytes that are no event of ARI", len(text), exc_info=True)

    def _enter(self, arguments: list[str], facts: dict[str, Any]) -> None:
        name = arguments[0] if arguments else ""
        line = Line()
        channel = AriChannel.of(facts, self._request, line)
        handler = self._handlers.get(name)
        if handler is None or len(self._calls) >= _MOST_CALLS:
            why = "more than can be handled at once" if handler else "nobody handles these"
            log.warning("A call to %r is hung up: %s", name, why)
            handler = _do_nothing
        if len(self._calls) >= 2 * _MOST_CALLS:
            return  # the dialplan ends it
        self._lines[channel.id] = line
        call = self._handle(name, handler, channel, tuple(arguments[1:]))
        task = asyncio.create_task(call, name=f"call {channel.id}")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _handle(
        self, name: str, handler: Handler, channel: AriChannel, arguments: tuple[str, ...]
    ) -> None:
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                await handler(channel, arguments)
        except AriUnavailable as error:
            log.warning("A call to %r ends early: %s", name, error)
        except Exception:
            log.exception("What handles calls to %r failed", name)
        finally:
            with suppress(AriUnavailable):
                await channel.hangup()
            self._leave(channel.id)

    def _note_answer(self, channel_id: str, *, answered: bool) -> None:
        rung = self._rung.get(channel_id)
        if rung is not None and not rung.done():
            rung.set_result(answered)

    def _press(self, channel_id: str, digit: str) -> None:
        line = self._lines.get(channel_id)
        if line is not None:
            line.press(digit)

    def _leave(self, channel_id: str) -> None:
        line = self._lines.pop(channel_id, None)
        if line is not None:
            line.leave()

    def _finish(self, playback: dict[str, str]) -> None:
        line = self._lines.get(playback["target_uri"].removeprefix("channel:"))
        if line is not None:
            line.finish(playback["id"], how=playback["state"] == "done")


def _new_channel() -> str:
    return f"{CHANNEL_PREFIX}{uuid4().hex}"


class _Refused(AriUnavailable):
    """Trouble that does not pass by itself."""


async def _do_nothing(channel: AriChannel, arguments: tuple[str, ...]) -> None:
    """Handles a call that is to be hung up."""


def _reason(error: BaseException | None) -> str:
    """What to tell of it. Never the whole of an aiohttp error: that has the password in it."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"ARI answered {error.status}"
    return "by Asterisk" if error is None else str(error) or repr(error)
