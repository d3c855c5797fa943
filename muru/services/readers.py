"""One who follows a stream, and what waits to be sent to them."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Protocol

HEARTBEAT = 15.0  # seconds between two signs that a stream is alive
PIECE = 2**16  # bytes that are sent, or joined, at once

_BACKLOG = 2**20  # bytes; a reader for whom more wait when there is news is dropped
_ALIVE = b": alive\n\n"

#: The extensions whose phones one may see; None: those of all.
Scope = frozenset[str] | None


class Connection(Protocol):
    """How a reader is reached. *is_free*: what is sent now is not held up by what was before."""

    @property
    def is_free(self) -> bool: ...

    @property
    def is_lost(self) -> bool: ...

    def send(self, written: bytes) -> None:
        """Send at once; it must be free."""

    def abort(self) -> None: ...


class Reader:
    """One who follows, until :meth:`next` says that the stream is over.

    News goes out at once, without a task being woken, wherever the connection is free; else it
    waits, and is what :meth:`next` returns.
    """

    def __init__(self, login_id: int, user_id: int, scope: Scope, connection: Connection) -> None:
        self.login_id, self.user_id, self.scope = login_id, user_id, scope
        self.dropped = False
        self._connection = connection
        self._waiting: deque[bytes] = deque()
        self._anew = self._backlog = 0  # bytes that wait: at first what was put anew, then news
        self._wake = asyncio.Event()
        self._sending = True  # what next() has returned; before the first one, what comes first
        self._ended = False

    def put(self, written: bytes) -> None:
        """Have *written* sent; a reader who has too much waiting is dropped instead."""
        if self._ended:
            return
        if self._backlog > _BACKLOG:  # before: much at once is not the reader's fault
            self.dropped = True
            self.end()
        elif self._connection.is_lost:
            self.end()
        elif self._may_send(written):
            self._connection.send(written)
        else:
            self._waiting.append(written)
            self._backlog += len(written)
            self._wake.set()

    def put_anew(self, pieces: Iterable[bytes]) -> None:
        """Have *pieces* sent instead of all that waits; however long they are, that is no fault."""
        self._waiting = deque(pieces)
        self._anew, self._backlog = sum(map(len, self._waiting)), 0
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._waiting.clear()
        self._wake.set()
        if self._sending:
            self._connection.abort()

    async def next(self) -> bytes | None:
        """Return what is to be sent next, when there is something; None at the end."""
        self._sending = False
        if not self._waiting and not self._ended:
            self._wake.clear()
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await self._wake.wait()
            except TimeoutError:
                return _ALIVE
        if self._ended:
            return None
        self._sending = True
        return self._taken()

    def _may_send(self, written: bytes) -> bool:
        if self._waiting or self._sending or len(written) > PIECE:
            return False
        return self._connection.is_free

    def _taken(self) -> bytes:
        """Take one long piece, which is shared by many, or several short ones."""
        pieces = [self._waiting.popleft()]
        size = len(pieces[0])
        while self._waiting and size + len(self._waiting[0]) <= PIECE:
            pieces.append(self._waiting.popleft())
            size += len(pieces[-1])
        anew = min(size, self._anew)
        self._anew -= anew
        self._backlog -= size - anew
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
