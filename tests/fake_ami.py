"""A stand-in for Asterisk's manager interface: a real server on a real socket.

Modelled on Asterisk 22's AMI 11.0.0: its greeting, its login with and without MD5 challenge, its
texts, and where it closes the connection. Two things differ: Asterisk waits a second before it
refuses a login, and its events are filtered by the user's rights.

Answers are written as text: messages are parted by a blank line, and get the ActionID and their
line ends here. ::

    async with FakeAmi() as asterisk:
        asterisk.answers["CoreStatus"] = "Response: Success\\nCoreCurrentCalls: 3"
        asterisk.emit("PeerStatus", Peer="PJSIP/100")
"""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
CHALLENGE = "302842398"
UNKNOWN = (
    "Response: Error\nMessage: Invalid/unknown command: {}."
    " Use Action: ListCommands to show available commands."
)


@dataclass(frozen=True)
class Request:
    """One action as it came, and the connection that it came on."""

    headers: tuple[tuple[str, str], ...]
    session: "Session"

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str:
        return next(iter(self.all(name)), "")


class FakeAmi:
    """Answers what ``answers`` has, per action's name, and keeps all ``requests``.

    Faults: names in ``silent`` get no answer; those in ``slow`` keep the connection busy for some
    seconds; a ``deaf`` server reads nothing and keeps the connections (half-open); ``send_raw``
    writes any bytes; ``stop`` and ``start`` are a restart on the same port; ``cut`` resets.
    """

    def __init__(self, *, username: str = "muru", secret: str = "correct horse") -> None:
        self.username, self.secret = username, secret
        self.port = 0
        self.answers: dict[str, str | Callable[[Request], str]] = {
            "Ping": "Response: Success\nPing: Pong\nTimestamp: 1795442681.226944",
            "Logoff": "Response: Goodbye\nMessage: Thanks for all the fish.",
        }
        self.silent: set[str] = set()
        self.slow: dict[str, float] = {}
        self.deaf = False
        self.requests: list[Request] = []
        self.sessions: set[Session] = set()
        self.sessions_ever = 0
        self._news = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens on a free port, or again on that of the last time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends as Asterisk does: a Shutdown event, then the end of each connection."""
        if self._server is None:
            return
        self._server.close()
        self.emit("Shutdown", Privilege="system,all", Shutdown="Cleanly", Restart="False")
        for session in self.sessions:
            session.writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def cut(self) -> None:
        for session in self.sessions:
            session.writer.transport.abort()

    def emit(self, event: str, **headers: str) -> None:
        """Sends an event to all who are logged in."""
        lines = [f"Event: {event}", *(f"{name}: {value}" for name, value in headers.items())]
        self.send_raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send_raw(self, data: bytes) -> None:
        for session in self.sessions:
            if session.logged_in:
                session.writer.write(data)

    def count(self, action: str) -> int:
        return sum(request.get("Action") == action for request in self.requests)

    async def received(self, action: str, *, count: int = 1, within: float = 3.0) -> Request:
        """The ``count``-th request for this action, as soon as it is there."""
        async with asyncio.timeout(within):
            while self.count(action) < count:
                self._news.clear()
                await self._news.wait()
        return [request for request in self.requests if request.get("Action") == action][count - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, writer)
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self.sessions.add(session)
        self.sessions_ever += 1
        try:
            # A cancelled handler would make asyncio's streams print a traceback.
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await session.run(reader)
        finally:
            writer.close()
            self.sessions.discard(session)
            self._tasks.discard(task)

    def note(self, request: Request) -> None:
        self.requests.append(request)
        self._news.set()


class Session:
    """One connection."""

    def __init__(self, server: FakeAmi, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.writer = writer
        self.logged_in = False
        self._challenge = ""

    async def run(self, reader: asyncio.StreamReader) -> None:
        self.writer.write(GREETING)
        while not self.writer.is_closing():
            raw = await reader.readuntil(b"\r\n\r\n")
            if self.server.deaf:
                await asyncio.Event().wait()
            lines = raw.decode().rstrip("\r\n").split("\r\n")
            parts = (line.partition(":") for line in lines)
            request = Request(tuple((name, value.strip()) for name, _, value in parts), self)
            self.server.note(request)
            await asyncio.sleep(self.server.slow.get(request.get("Action"), 0))
            if request.get("Action") not in self.server.silent:
                self.reply(request, self._answer(request))

    def reply(self, request: Request, text: str) -> None:
        """Sends an answer; also good for one that comes late, or twice."""
        for message in text.split("\n\n"):
            first, *rest = message.split("\n")
            lines = [first, f"ActionID: {request.get('ActionID')}", *rest]
            self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        if text.startswith("Response: Goodbye") or "Authentication failed" in text:
            self.writer.close()

    def _answer(self, request: Request) -> str:
        action = request.get("Action")
        if action == "Challenge":
            self._challenge = CHALLENGE
            return f"Response: Success\nChallenge: {CHALLENGE}"
        if action == "Login":
            return self._log_in(request)
        if not self.logged_in:
            return "Response: Error\nMessage: Permission denied"
        answer = self.server.answers.get(action, UNKNOWN.format(action))
        return answer if isinstance(answer, str) else answer(request)

    def _log_in(self, request: Request) -> str:
        key = hashlib.md5((self._challenge + self.server.secret).encode()).hexdigest()
        right = (
            self._challenge and request.get("Key") == key
            if request.get("AuthType") == "MD5"
            else request.get("Secret") == self.server.secret
        )
        if not right or request.get("Username") != self.server.username:
            return "Response: Error\nMessage: Authentication failed"
        self.logged_in = True
        return "Response: Success\nMessage: Authentication accepted"
