"""Keeps which phones were registered when, and shows it to their owners.

Entries are kept back for a moment and written many at once, and so is which phones are there: what
muru compares with when it starts again, so that none seems to have come with muru.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exc, func, insert, select

from muru.asterisk.registrations import (
    Contact,
    RegistrationChange,
    Registrations,
    Status,
    address_of,
)
from muru.db.models import KnownContact, RegistrationEvent, RegistrationRoundTrip, now
from muru.db.realtime import batches
from muru.db.sessions import Database, Transaction
from muru.errors import DatabaseUnavailable
from muru.services import extensions
from muru.services.presence import Entry, Presence, RoundTrip
from muru.services.site import Actor, Site

_log = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds in which entries are collected
_BOUND = 20_000  # entries that wait to be written; the oldest are dropped
_AT_ONCE = 1_000  # written in one transaction, so that others have their turn
_KEPT: list[tuple[Any, int]] = [  # entries in all
    (RegistrationEvent, 500_000),
    (RegistrationRoundTrip, 1_000_000),
]
_TURNING_UP = 5.0  # seconds after the first snapshot in which phones are looked up once more
_LONGEST_NUMBER = 15  # what has a longer name is no extension of muru's
_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class History:
    """Writes in the background what *registrations* tell."""

    def __init__(
        self,
        database: Database,
        registrations: Registrations,
        *,
        days: int,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.dropped = 0  # entries
        self._database, self._registrations = database, registrations
        self._days = days
        self._now = clock
        self._waiting: deque[Entry | RoundTrip] = deque()
        self._changed: set[str] = set()  # extensions of which other phones are there than written
        self._presence = Presence(self._note, silent=True)
        self._ending = asyncio.Event()
        self._failing = False
        self._task: asyncio.Task[None] | None = None
        registrations.subscribe(self._take)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def load(self) -> None:
        """Read which phones were there; without a database those that are found count as such."""
        try:
            async with self._database.read() as session:
                known = [_contact(row) for row in await session.scalars(select(KnownContact))]
        except (DatabaseUnavailable, exc.SQLAlchemyError) as error:  # or its tables are too old
            _log.warning("which phones were registered is not known: %s", error)
            return
        self._presence.silent = False
        self._presence.expect(known, self._now())
        self._registrations.remember({(each.extension, each.uri): each.since for each in known})

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="registration history")

    async def stop(self) -> None:
        """End the writing, after what waits is written."""
        if self._task is not None:
            self._ending.set()
            await self._task
            self._task = None
            await self._settle(everything=True)

    async def flush(self) -> None:
        """Write what waits; where the database is away, entries are lost."""
        while self._waiting or self._changed:
            batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            changed = set(list(self._changed)[:_AT_ONCE])
            self._changed -= changed
            written = False
            try:
                async with self._database.transaction() as transaction:
                    await self._write(transaction, batch, changed)
                written, self._failing = True, False
            except DatabaseUnavailable as error:
                self._changed |= changed  # what is there is written when it is back
                if not self._failing:
                    _log.warning("the history of registrations has gaps: %s", error)
                self._failing = True
                return
            finally:
                self.dropped += 0 if written else len(batch)

    async def prune(self) -> None:
        """Delete what is older than the days that it is kept for, or beyond the bounds."""
        oldest = self._now() - timedelta(days=self._days)
        for table, kept in _KEPT:
            async with self._database.transaction() as transaction:
                session = transaction.session
                await session.execute(delete(table).where(table.at < oldest))
                newest = await session.scalar(select(func.max(table.id)))
                if newest is not None:
                    await session.execute(delete(table).where(table.id <= newest - kept))

    def _take(self, change: RegistrationChange) -> None:
        contact = change.contact
        if len(contact.extension) <= _LONGEST_NUMBER and self._presence.take(change, self._now()):
            self._changed.add(contact.extension)

    def _note(self, entry: Entry | RoundTrip) -> None:
        if len(self._waiting) >= _BOUND:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(entry)

    async def _run(self) -> None:
        turning_up = asyncio.create_task(self._dismiss_missing(), name="phones that were there")
        while not self._ending.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _PAUSE)
            await self._settle()
        turning_up.cancel()
        await asyncio.gather(turning_up, return_exceptions=True)

    async def _dismiss_missing(self) -> None:
        await self._registrations.ready.wait()
        await asyncio.sleep(_TURNING_UP)
        self._changed |= self._presence.dismiss(self._now())

    async def _settle(self, *, everything: bool = False) -> None:
        try:
            self._presence.settle(self._now(), everything=everything)
            await self.flush()
        except Exception:
            _log.exception("the history of registrations could not be written")

    async def _write(
        self, transaction: Transaction, batch: Iterable[Entry | RoundTrip], changed: set[str]
    ) -> None:
        session = transaction.session
        entries = [_entry_row(each) for each in batch if isinstance(each, Entry)]
        round_trips = [_round_trip_row(each) for each in batch if isinstance(each, RoundTrip)]
        if entries:
            await session.execute(insert(RegistrationEvent), entries)
        if round_trips:
            await session.execute(insert(RegistrationRoundTrip), round_trips)
        for chunk in batches(changed):
            await session.execute(delete(KnownContact).where(KnownContact.extension.in_(chunk)))
        here = {
            (each.extension, _clean(each.uri, 255)): _known_row(each)
            for extension in changed
            for each in self._registrations.contacts(extension)
        }
        if here:
            await session.execute(insert(KnownContact), list(here.values()))


@dataclass(frozen=True, slots=True)
class Period:
    """What is asked for: from *since* on, before *until*; None has no bound."""

    since: datetime | None = None
    until: datetime | None = None
    offset: int = 0
    limit: int = 50


async def events_of(
    site: Site, actor: Actor, number: str, period: Period
) -> tuple[list[RegistrationEvent], int]:
    """Return what happened to an extension's phones, the newest first, and how much there is.

    Raises:
        NotFound: there is no such extension, or it is somebody else's and *actor* no administrator.
    """
    return await _page(site, actor, number, period, RegistrationEvent)


async def round_trips_of(
    site: Site, actor: Actor, number: str, period: Period
) -> tuple[list[RegistrationRoundTrip], int]:
    """Return how long an extension's phones took to answer, as :func:`events_of`."""
    return await _page(site, actor, number, period, RegistrationRoundTrip)


async def _page(
    site: Site, actor: Actor, number: str, period: Period, table: Any
) -> tuple[list[Any], int]:
    extension = await extensions.get_extension(site, actor, number)
    conditions: list[ColumnElement[bool]] = [
        table.extension == number,
        table.at >= max(extension.created_at, period.since or extension.created_at),
    ]
    if period.until is not None:
        conditions.append(table.at < period.until)
    async with site.database.read() as session:
        total = await session.scalar(select(func.count(table.id)).where(*conditions)) or 0
        page = (
            select(table)
            .where(*conditions)
            .order_by(table.at.desc(), table.id.desc())
            .offset(period.offset)
            .limit(period.limit)
        )
        return list(await session.scalars(page)), total


def _contact(row: KnownContact) -> Contact:
    return Contact(
        extension=row.extension,
        uri=row.uri,
        address=address_of(row.uri),
        via_address=None,
        user_agent=row.user_agent,
        status=Status.UNKNOWN,
        rtt_ms=None,
        since=row.since,
        expires_at=None,
    )


def _known_row(contact: Contact) -> dict[str, Any]:
    return {
        "extension": contact.extension,
        "uri": _clean(contact.uri, 255),
        "user_agent": _clean(contact.user_agent, 255),
        "since": contact.since,
    }


def _entry_row(entry: Entry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "extension": entry.extension,
        "kind": entry.kind.value,
        "uri": _clean(entry.uri, 255),
        "address": _clean(entry.address, 100),
        "previous": _clean(entry.previous, 100),
        "user_agent": _clean(entry.user_agent, 255),
        "count": entry.count,
    }


def _round_trip_row(round_trip: RoundTrip) -> dict[str, Any]:
    return {
        "at": round_trip.at,
        "extension": round_trip.extension,
        "uri": _clean(round_trip.uri, 255),
        "rtt_ms": round_trip.rtt_ms,
    }


def _clean(text: str | None, longest: int) -> str | None:
    return None if text is None else _UNWRITABLE.sub("?", text)[:longest]
