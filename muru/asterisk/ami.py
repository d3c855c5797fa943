"""Asterisk's manager interface (AMI): one link, kept up in the background.

The only module that knows panoramisk. It uses panoramisk's protocol, actions and messages, but not
its ``Manager``: that one sends old actions again after a reconnect, returns after its ``close()``
and looks at no ping's answer. Here each attempt has a link object of its own, and all that waits
on a link ends with it.
"""

# ruff: noqa: ASYNC109 - "timeout" is part of the contract: callers know which actions are slow

import asyncio
import hashlib
import logging
import random
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message
from panoramisk.utils import IdGenerator
from pydantic import SecretStr

from muru.errors import AmiRefused, AmiTimeout, AmiUnavailable

log = logging.getLogger(__name__)
logging.getLogger("panoramisk").setLevel(logging.CRITICAL)  # it logs whole actions, with secrets

_MAX_MESSAGE = 1024 * 1024
_LOGOFF_TIMEOUT = 1.0
_HISTORY = 100  # states of the link that are remembered
_UNSENDABLE = re.compile("[\r\n\0\ud800-\udfff]")
_EMPTY_LIST = re.compile(r"No (?:active \w+|dialplan hints|.*s found)\b")

# The id tells that an event belongs to a list, even when nobody waits for that list any more.
_LIST_PREFIX = "muru-list"
_ID_MARK = b"\r\nActionID: "
_LIST_MARK = _ID_MARK + _LIST_PREFIX.encode()
_new_id = IdGenerator("muru")
_new_list_id = IdGenerator(_LIST_PREFIX)

Headers = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class AmiMessage:
    """A response or an event; the names of its headers keep Asterisk's spelling.

    ``name`` is the event's name, or a response's ``Response`` ("Success", "Goodbye" ...). Values of
    a repeated header are joined by line breaks. ``output`` is what a ``Command`` printed.
    """

    name: str
    headers: Mapping[str, str]
    output: str = ""


@dataclass(frozen=True, slots=True)
class LinkState:
    """Whether muru is logged in, since when (UTC) that is so, and if it is not, the reason."""

    connected: bool
    since: datetime
    reason: str


@dataclass(slots=True)
class Traffic:
    """What came from Asterisk since the start, over all links."""

    events: int = 0
    bytes: int = 0


EventCallback = Callable[[AmiMessage], None]
_Messages = list[AmiMessage]  # within Ami, "list" is the method


class Ami:
    """The link to Asterisk. Nothing is queued, and every wait has an end.

    Each wait for an answer takes at most ``action_timeout``; a ping every ``ping_interval`` finds a
    half-open link. ``backoff`` is the first and the longest pause between attempts; after a refused
    login it is ``wrong_password_retry``. All in seconds. Callbacks are quick, ordinary functions.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        *,
        host: str,
        port: int,
        username: str,
        secret: SecretStr,
        action_timeout: float = 5.0,
        ping_interval: float = 10.0,
        backoff: tuple[float, float] = (0.5, 15.0),
        wrong_password_retry: float = 60.0,
    ) -> None:
        _check_sendable("Username", [username])
        self._host, self._port = host, port
        self._username, self._secret = username, secret
        self._action_timeout, self._ping_interval = action_timeout, ping_interval
        self._backoff, self._wrong_password_retry = backoff, wrong_password_retry
        self._pause = backoff[0]
        self._subscribers: dict[str, list[EventCallback]] = {}
        self._login_callbacks: list[Callable[[], None]] = []
        self._loss_callbacks: list[Callable[[], None]] = []
        self._state = LinkState(connected=False, since=datetime.now(UTC), reason="not started")
        self.history: deque[LinkState] = deque(maxlen=_HISTORY)  # the oldest first
        self.traffic = Traffic()
        self.losses = 0  # links that were lost after the login
        self._connected = asyncio.Event()
        self.tried = asyncio.Event()  # whether the first attempt has ended, well or not
        self._link: _Link | None = None  # only while logged in
        self._told: set[type[Exception]] = set()  # kinds of trouble that are in the log already
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> LinkState:
        return self._state

    async def start(self) -> None:
        """Returns at once; the link comes up in the background, as soon as Asterisk is there."""
        if self._task is None:
            self._set_state(connected=False, reason="not connected yet")
            self._task = asyncio.create_task(self._keep_up(), name="ami")

    async def stop(self) -> None:
        """Ends the link, also amid a login or a pause. ``on_loss`` is not told."""
        if self._task is None:
            return
        self._link = None
        self._set_state(connected=False, reason="stopped")
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None

    async def wait_connected(self, timeout: float) -> bool:
        """Whether muru is logged in, after ``timeout`` seconds at the latest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        return self._state.connected

    async def send(
        self, action: str, headers: Headers | None = None, *, timeout: float | None = None
    ) -> AmiMessage:
        """Asterisk's answer to one action; a header with several values is repeated in their order.

        AmiUnavailable: not connected, or the link was lost meanwhile, and nobody knows whether
        Asterisk acted. AmiTimeout: no answer in time, so likewise. AmiRefused: ``Response: Error``.
        ValueError: a name or value does not fit into its line. For list actions there is ``list``.
        """
        (response,) = await self._ask(action, headers, timeout)
        return response

    async def list(
        self,
        action: str,
        headers: Headers | None = None,
        *,
        only: Collection[str] = (),
        timeout: float | None = None,
    ) -> _Messages:
        """The events that answer a list action, all or none of them; raises what ``send`` raises.

        Asterisk answers some empty lists with an error ("No Contacts found"): here they are empty.
        Where ``only`` names events, others are skipped without the cost of reading them.
        """
        answers = await self._ask(action, headers, timeout, listed=True, only=only)
        return answers[1:-1]  # without the response and the event that says that this was all

    def subscribe(self, callback: EventCallback, *names: str) -> None:
        """Has ``callback`` called with each event of these exact names, in the wire's order."""
        for name in names:
            self._subscribers.setdefault(name, []).append(callback)

    def on_login(self, callback: Callable[[], None]) -> None:
        """Has ``callback`` called after each login: all that is known of Asterisk may be stale.

        If Asterisk sends FullyBooted along with its answer to the login, that event comes first.
        """
        self._login_callbacks.append(callback)

    def on_loss(self, callback: Callable[[], None]) -> None:
        """Has ``callback`` called each time that muru was logged in and the link is lost."""
        self._loss_callbacks.append(callback)

    async def _ask(
        self,
        action: str,
        headers: Headers | None,
        timeout: float | None,
        *,
        listed: bool = False,
        only: Collection[str] = (),
    ) -> _Messages:
        if self._link is None:
            raise AmiUnavailable(f"muru has no link to Asterisk: {self._state.reason}")
        limit = self._action_timeout if timeout is None else timeout
        return await self._link.ask(action, headers, limit=limit, listed=listed, only=only)

    async def _keep_up(self) -> None:
        """One link after the other, with pauses between them, until it is cancelled."""
        while True:
            try:
                await self._live_through_a_link()
            except AmiRefused as refusal:
                self._note_trouble(refusal)
                await asyncio.sleep(self._wrong_password_retry)
            except (AmiUnavailable, OSError, ValueError) as error:  # ValueError: an impossible host
                self._note_trouble(error)
                # Jitter, so that several controllers do not all come back at the same moment.
                await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311
                self._pause = min(self._pause * 2, self._backoff[1])

    async def _live_through_a_link(self) -> None:
        """Connects, logs in, watches; ends by raising why the link is no more."""
        async with asyncio.timeout(self._action_timeout):
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: _Link(self._subscribers, self.traffic), self._host, self._port
            )
        reason = "muru ended the link"
        try:
            await self._log_in(link)
            self._came_up(link)
            await self._watch(link)
        except (AmiRefused, AmiUnavailable) as error:
            reason = error.message
            raise
        finally:
            await link.end(reason)

    async def _log_in(self, link: "_Link") -> None:
        """By MD5 challenge: the only way of AMI to keep the secret off the wire."""
        limit = self._action_timeout
        (answer,) = await link.ask("Challenge", {"AuthType": "MD5"}, limit=limit)
        salted = answer.headers.get("Challenge", "") + self._secret.get_secret_value()
        key = hashlib.md5(salted.encode()).hexdigest()  # noqa: S324 - AMI has no other digest
        login = {"AuthType": "MD5", "Username": self._username, "Key": key}
        try:
            await link.ask("Login", login, limit=limit)
        except AmiRefused as refusal:
            raise AmiRefused(
                f"{refusal.message}. Give muru the name and secret of a user in manager.conf, and"
                f" permit muru's address there; the name it tried is {self._username!r}"
            ) from None

    async def _watch(self, link: "_Link") -> None:
        """Pings, as a half-open link looks like a quiet one; raises when the link is lost."""
        try:
            while True:
                await asyncio.wait([link.lost], timeout=self._ping_interval)
                await self._ping(link)
        except asyncio.CancelledError:
            with suppress(AmiUnavailable, AmiRefused):
                await link.ask("Logoff", limit=_LOGOFF_TIMEOUT)
            raise

    async def _ping(self, link: "_Link") -> None:
        heard = self.traffic.bytes
        try:
            await link.ask("Ping", limit=max(self._action_timeout, link.busy_for()))
        except AmiTimeout:
            if self.traffic.bytes == heard:  # else the answer comes behind a long list
                raise

    def _came_up(self, link: "_Link") -> None:
        self._link = link
        link.lost.add_done_callback(lambda _: self._went_down(link))
        self._pause = self._backoff[0]
        self._told.clear()
        self.tried.set()
        self._set_state(connected=True, reason="")
        log.info("Logged in to Asterisk's manager interface at %s:%d", self._host, self._port)
        for callback in self._login_callbacks:
            _call(callback)

    def _went_down(self, link: "_Link") -> None:
        if self._link is not link:  # stopped on purpose
            return
        self._link = None
        self.losses += 1
        self._note_trouble(AmiUnavailable(link.reason))
        for callback in self._loss_callbacks:
            _call(callback)

    def _note_trouble(self, error: Exception) -> None:
        """Logs each kind of trouble once per outage, however many attempts fail."""
        reason = str(error) or "no answer"
        kind = AmiRefused if isinstance(error, AmiRefused) else AmiUnavailable
        level = logging.DEBUG if kind in self._told else logging.WARNING
        log.log(level, "No link to Asterisk at %s:%d: %s", self._host, self._port, reason)
        self._told.add(kind)
        self.tried.set()
        self._set_state(connected=False, reason=reason)

    def _set_state(self, *, connected: bool, reason: str) -> None:
        before = self._state
        turned = connected != before.connected
        since = datetime.now(UTC) if turned else before.since
        self._state = LinkState(connected=connected, since=since, reason=reason)
        if turned:
            self.history.append(self._state)
        elif reason != before.reason:  # another trouble in the same outage
            self.history.append(replace(self._state, since=datetime.now(UTC)))
        if connected:
            self._connected.set()
        else:
            self._connected.clear()


class _Link(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
    """One TCP connection; panoramisk's part is to write actions and to match answers to them."""

    encoding = "utf-8"

    def __init__(
        self, subscribers: Mapping[str, Iterable[EventCallback]], traffic: Traffic
    ) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reason = "Asterisk closed the connection"
        self._subscribers = subscribers
        self._traffic = traffic
        self._only: dict[bytes, set[bytes]] = {}  # the events that a list is asked for, by its id
        self._rest = b""

    async def ask(
        self,
        name: str,
        headers: Headers | None = None,
        *,
        limit: float,
        listed: bool = False,
        only: Collection[str] = (),
    ) -> list[AmiMessage]:
        """All that answers one action: a single message, unless it is ``listed``."""
        if self.transport.is_closing():
            raise AmiUnavailable(self.reason)
        request = _build(name, headers, _new_list_id() if listed else _new_id())
        request.limit = 0.0 if listed else limit  # a list shows that it is on its way
        if only:
            self._only[request.id.encode()] = {name.encode() for name in only}
        self.send(request, as_list=None if listed else False)  # None: panoramisk looks for the end
        try:
            async with asyncio.timeout(limit):
                await request.future
        except TimeoutError:
            raise AmiTimeout(f"Asterisk did not answer {name} within {limit:g} s") from None
        finally:
            self.responses.pop(request.id, None)
            self._only.pop(request.id.encode(), None)
        answers = [_read(message) for message in request.responses]
        complaint = _complaint(answers[0])
        if complaint and not (listed and _EMPTY_LIST.match(complaint)):
            raise AmiRefused(f"Asterisk refused {name}: {complaint}")
        return answers

    def busy_for(self) -> float:
        """How long a ping may have to wait: Asterisk handles a link's actions one by one."""
        return max((request.limit for request in self.responses.values()), default=0.0)

    async def end(self, reason: str) -> None:
        if not self.lost.done():
            self._abort(reason)
            await asyncio.wait([self.lost])

    def _abort(self, reason: str) -> None:
        self.reason = reason
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.reason = str(exc)
        self.lost.set_result(None)  # first, so that whoever wakes up below finds the right state
        for request in self.responses.values():
            if not request.future.done():
                request.future.set_exception(AmiUnavailable(self.reason))

    def data_received(self, data: bytes) -> None:
        self._traffic.bytes += len(data)
        # Only whole messages are decoded, since a packet may end within a character.
        *messages, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for raw in messages:
            if not self._is_unwanted(raw):
                self._take(raw)
        if len(self._rest) > _MAX_MESSAGE:
            self._abort(f"what it sends is not AMI: over {_MAX_MESSAGE} bytes without an end")

    def _is_unwanted(self, raw: bytes) -> bool:
        """Tells most events that nobody wants before they cost the price of parsing."""
        if not raw.startswith(b"Event: "):
            return False
        self._traffic.events += 1
        name = raw[7:].partition(b"\r\n")[0]
        if _LIST_MARK in raw:
            only = self._only.get(raw.partition(_ID_MARK)[2].partition(b"\r\n")[0])
            return only is not None and name not in only and not name.endswith(b"Complete")
        return name.decode(errors="replace") not in self._subscribers

    def _take(self, raw: bytes) -> None:
        try:
            message = Message.from_line(raw.decode(errors="replace"))
            if message.actionid in self.responses:
                self.handle_message(message)
            elif message.event and not message.actionid.startswith(_LIST_PREFIX):
                for callback in self._subscribers.get((event := _read(message)).name, ()):
                    _call(callback, event)
        except (AttributeError, KeyError, TypeError):  # from panoramisk, if malformed
            log.debug("Skipped %d bytes that are no message of AMI", len(raw), exc_info=True)


def _call(callback: Callable[..., None], *args: Any) -> None:
    """The border to the rest of muru: what a callback raises must not reach the link."""
    try:
        callback(*args)
    except Exception:
        log.exception("%r failed", callback)


def _build(name: str, headers: Headers | None, action_id: str) -> Action:
    fields = {**(headers or {}), "Action": name, "ActionID": action_id}
    for key, value in fields.items():
        _check_sendable(key, [value] if isinstance(value, str) else value)
    return Action({k: v if isinstance(v, str) else list(v) for k, v in fields.items()})


def _check_sendable(name: str, values: Iterable[str]) -> None:
    """AMI has no escapes: a line break in a value would begin a header of that value's choice."""
    if any(_UNSENDABLE.search(text) for text in (name, *values)):
        raise ValueError(f"AMI header {name!r} has a line break, NUL or lone surrogate in it")


def _read(message: Message) -> AmiMessage:
    headers = {k: v if isinstance(v, str) else "\n".join(v) for k, v in message.items()}
    body = headers.pop("content")  # panoramisk's own; old Asterisks put a Command's output there
    name = headers.get("Event") or headers.get("Response", "")
    return AmiMessage(name, headers, headers.get("Output", body))


def _complaint(response: AmiMessage) -> str:
    """Why Asterisk refused; empty if it did not. What a failed Command printed says more."""
    if not response.name.startswith(("Error", "Fail")):
        return ""
    return (response.output or response.headers.get("Message", "no reason given")).strip()
