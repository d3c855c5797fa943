"""Who is registered, told to many readers at once as it changes.

Each change is written once, however many hear of it. What readers have missed is sent again out of
the last :data:`KEPT` changes; where that is not enough they get all that they may see anew, as they
do when that itself has changed. A reader that does not keep up is dropped.
"""

import asyncio
import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from sqlalchemy import select

from muru.asterisk.registrations import Contact, RegistrationChange, Registrations
from muru.db.models import Extension, Role, Token, User, now
from muru.db.realtime import batches
from muru.db.sessions import Database
from muru.errors import DatabaseUnavailable, TooManyRequests
from muru.services.readers import Connection, Reader, Scope
from muru.services.site import Actor

_log = logging.getLogger(__name__)

KEPT = 10_000  # changes that can be sent again
LOOK = 2.0  # seconds between two looks at who may see what

_MOST, _MOST_EACH = 4_000, 100  # readers in all, and of one user who is no administrator
_PAUSE_EACH = 0.00005  # seconds between two rounds for each reader: writing takes a third of that
_USERS = 10_000  # of whom is known since when they may see what
_RETRY = b"retry: 2000\n"  # milliseconds after which a reader that lost the stream comes back


@dataclass(slots=True)
class _Event:
    number: int
    change: RegistrationChange | None  # None: somebody's scope changed
    written: bytes = b""  # when it is asked for


class Feed:
    """The changes of *registrations* as server-sent events; *write* makes a contact's JSON."""

    def __init__(
        self, registrations: Registrations, database: Database, write: Callable[[Contact], bytes]
    ) -> None:
        self.dropped = 0  # readers who did not keep up
        self._registrations, self._database, self._write = registrations, database, write
        self._run_id = secrets.token_hex(4)  # numbers of another run of muru mean nothing here
        self._number = 0
        self._kept: deque[_Event] = deque(maxlen=KEPT)
        self._pending: list[_Event] = []
        self._rows: dict[tuple[str, str], tuple[Contact, bytes]] = {}
        self._everything: tuple[int, bytes] = (-1, b"")
        self._readers: set[Reader] = set()
        self._seeing_all: set[Reader] = set()
        self._seeing: dict[str, set[Reader]] = {}  # by extension
        self._scopes: OrderedDict[int, tuple[Scope, int]] = OrderedDict()  # since which number
        self._closed = False
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        registrations.subscribe(self._take)

    @property
    def readers(self) -> int:
        return len(self._readers)

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._send(), name="registration streams"),
            asyncio.create_task(self._watch(), name="who sees registrations"),
        ]

    async def stop(self) -> None:
        self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def close(self) -> None:
        """End all streams now, and those to come."""
        self._closed = True
        self._end_all()

    def rows(self, scope: Scope) -> bytes:
        """Return the JSON of the phones in *scope*, as a list."""
        if scope is not None:
            found = (each for number in sorted(scope) for each in self._contacts(number))
            return _listed(map(self._row, found))
        if self._everything[0] != self._number:
            self._everything = (self._number, _listed(map(self._row, self._contacts())))
        return self._everything[1]

    @contextmanager
    def follow(
        self,
        actor: Actor,
        login_id: int,
        scope: Scope,
        *,
        after: str = "",
        connection: Connection,
    ) -> Iterator[Reader]:
        """Add a reader for the time of the block, who has all changes *after* that id already.

        Raises:
            TooManyRequests: there are too many already.
        """
        assert actor.user_id is not None  # nobody logs in as the operator
        self._check_room(actor)
        reader = Reader(login_id, actor.user_id, scope, connection)
        self._flush()  # what waits is older
        reader.put_anew(self._begin(reader, after))
        self._add(reader)
        if self._closed:
            reader.end()
        try:
            yield reader
        finally:
            self.dropped += reader.dropped
            self._remove(reader)

    def _check_room(self, actor: Actor) -> None:
        mine = sum(reader.user_id == actor.user_id for reader in self._readers)
        if len(self._readers) >= _MOST or (mine >= _MOST_EACH and not actor.is_admin):
            raise TooManyRequests("Too many streams are open; close some.", retry_after=60)

    def _begin(self, reader: Reader, after: str) -> list[bytes]:
        missed = self._missed(reader, after) if after else None
        self._note_scope(reader)
        if missed is None:
            return self._anew(reader, "reset" if after else "snapshot")
        seen = (each for each in missed if _is_in(reader.scope, each))
        return [_RETRY + b"\n", *map(self._written, seen)]

    def _missed(self, reader: Reader, after: str) -> list[_Event] | None:
        """Return the changes after that id, None where they and the scope are not all known."""
        run_id, _, given = after.partition("-")
        scope, since = self._scopes.get(reader.user_id, (None, self._number + 1))
        if run_id != self._run_id or not (
            given.isascii() and given.isdecimal() and len(given) < 19
        ):
            return None
        number, oldest = int(given), self._number - len(self._kept)
        if scope != reader.scope or not max(since, oldest) <= number <= self._number:
            return None
        return list(islice(self._kept, number - oldest, None))

    def _note_scope(self, reader: Reader) -> None:
        known = self._scopes.get(reader.user_id)
        if known is None or known[0] != reader.scope:
            if known is not None:
                self._keep(None)  # so that no other stream is taken for one that knows
            self._scopes[reader.user_id] = (reader.scope, self._number)
        self._scopes.move_to_end(reader.user_id)
        while len(self._scopes) > _USERS:
            self._scopes.popitem(last=False)

    def _anew(self, reader: Reader, name: Literal["snapshot", "reset"]) -> list[bytes]:
        head = f"id: {self._run_id}-{self._number}\nevent: {name}\ndata: ".encode()
        return [_RETRY + head, self.rows(reader.scope), b"\n\n"]

    def _add(self, reader: Reader) -> None:
        self._readers.add(reader)
        if reader.scope is None:
            self._seeing_all.add(reader)
        for number in reader.scope or ():
            self._seeing.setdefault(number, set()).add(reader)

    def _remove(self, reader: Reader) -> None:
        self._readers.discard(reader)
        self._seeing_all.discard(reader)
        for number in reader.scope or ():
            readers = self._seeing.get(number, set())
            readers.discard(reader)
            if not readers:
                self._seeing.pop(number, None)

    # Changes

    def _keep(self, change: RegistrationChange | None) -> _Event:
        self._number += 1
        event = _Event(self._number, change)
        self._kept.append(event)
        return event

    def _take(self, change: RegistrationChange) -> None:
        event = self._keep(change)
        if change.kind == "removed":
            self._rows.pop((change.contact.extension, change.contact.uri), None)
        if self._readers:
            self._pending.append(event)
            self._wake.set()

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                self._flush()
            except Exception:
                _log.exception("changes of registrations could not be sent")
                self._end_all()
            # The more readers, the more changes in one write, which is what a reader costs.
            await asyncio.sleep(len(self._readers) * _PAUSE_EACH)

    def _end_all(self) -> None:
        for reader in self._readers:
            reader.end()

    def _flush(self) -> None:
        events, self._pending = self._pending, []
        if self._seeing_all and events:
            written = b"".join(map(self._written, events))
            for reader in self._seeing_all:
                reader.put(written)
        for event in events:
            assert event.change is not None
            for reader in self._seeing.get(event.change.contact.extension, ()):
                reader.put(self._written(event))

    def _written(self, event: _Event) -> bytes:
        if not event.written:
            assert event.change is not None
            row = self._write(event.change.contact)
            head = f"id: {self._run_id}-{event.number}\nevent: {event.change.kind}\ndata: "
            event.written = b"".join((head.encode(), row, b"\n\n"))
        return event.written

    def _contacts(self, extension: str | None = None) -> list[Contact]:
        return self._registrations.contacts(extension)

    def _row(self, contact: Contact) -> bytes:
        key = contact.extension, contact.uri
        known = self._rows.get(key)
        if known is None or known[0] is not contact:
            known = self._rows[key] = contact, self._write(contact)
        return known[1]

    # Who may see what

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self._look()
            except DatabaseUnavailable as error:
                _log.debug("who may see registrations is not known: %s", error)
            except Exception:
                _log.exception("looking at who may see registrations failed")

    async def _look(self) -> None:
        """Let open streams follow what has changed of logins, roles and extensions."""
        looked_at = list(self._readers)
        if not looked_at:
            return
        scopes = await _scopes_of(self._database, {reader.login_id for reader in looked_at})
        self._flush()
        for reader in self._readers.intersection(looked_at):
            if reader.login_id not in scopes:
                reader.end()
            elif scopes[reader.login_id] != reader.scope:
                self._remove(reader)
                reader.scope = scopes[reader.login_id]
                self._note_scope(reader)
                reader.put_anew(self._anew(reader, "reset"))
                self._add(reader)


async def _scopes_of(database: Database, login_ids: set[int]) -> dict[int, Scope]:
    """Return what may be seen by those of the logins that are valid."""
    users: dict[int, int] = {}  # by login
    numbers: dict[int, set[str]] = {}  # by user
    admins: set[int] = set()
    async with database.read() as session:
        for chunk in batches(map(str, login_ids)):
            logins = await session.execute(
                select(Token.id, Token.expires_at, User.id, User.role)
                .join(User, Token.user_id == User.id)
                .where(Token.id.in_(map(int, chunk)))
            )
            for login_id, expires_at, user_id, role in logins:
                if expires_at is None or expires_at > now():
                    users[login_id] = user_id
                    if role == Role.ADMIN:
                        admins.add(user_id)
        owners = set(users.values()) - admins
        for chunk in batches(map(str, owners)):
            owned = await session.execute(
                select(Extension.owner_id, Extension.number).where(
                    Extension.owner_id.in_(map(int, chunk))
                )
            )
            for owner_id, number in owned:
                numbers.setdefault(owner_id, set()).add(number)
    return {
        login_id: None if user_id in admins else frozenset(numbers.get(user_id, ()))
        for login_id, user_id in users.items()
    }


def _is_in(scope: Scope, event: _Event) -> bool:
    if event.change is None:
        return False
    return scope is None or event.change.contact.extension in scope


def _listed(rows: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(rows) + b"]"
