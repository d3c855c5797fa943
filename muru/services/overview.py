"""What an operator sees at one glance: how many phones are there, of which kind, and which go.

The curve is kept in memory, so it begins when muru does; all else is asked for, and what the
database says is kept for a moment, as several people look at the same page every few seconds.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import select

from muru.asterisk.registrations import RegistrationChange, Registrations
from muru.db.models import Extension, RegistrationEvent, now
from muru.services.presence import Kind
from muru.services.site import Actor, Site

SHOWN = timedelta(hours=24)
_RECENT = timedelta(minutes=15)
_MOST_EVENTS = 500
_MOST_LISTED = 20
_FRESH = 2.0  # seconds
_GONE = (Kind.WENT, Kind.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Share:
    """How many extensions a flavor has, and how many phones are registered at them."""

    flavor: str
    extensions: int
    registered: int


@dataclass(frozen=True, slots=True)
class Flapping:
    extension: str
    count: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Glance:
    """*gone* and *flapping* are of the last minutes, the newest and the worst first."""

    registered: int
    extensions: int
    shares: list[Share]
    gone: list[RegistrationEvent]
    flapping: list[Flapping]


@dataclass(slots=True)
class _Told:
    """What the database said last."""

    types: dict[str, str] = field(default_factory=dict)
    events: list[RegistrationEvent] = field(default_factory=list)
    until: float = 0.0


class Curve:
    """How many phones were registered, minute by minute, as far as it changed."""

    def __init__(self) -> None:
        self._points: deque[tuple[datetime, int]] = deque(
            [(_minute(now()), 0)], maxlen=int(SHOWN.total_seconds() // 60)
        )

    @property
    def count(self) -> int:
        return self._points[-1][1]

    def take(self, change: RegistrationChange) -> None:
        step = {"added": 1, "removed": -1}.get(change.kind, 0)
        if step == 0:
            return
        minute, count = _minute(now()), max(self.count + step, 0)
        if self._points[-1][0] >= minute:
            self._points[-1] = self._points[-1][0], count
        else:
            self._points.append((minute, count))

    def points(self) -> list[tuple[datetime, int]]:
        """Return from when on how many were there, the oldest first; the last one holds still."""
        begin = now() - SHOWN
        old = [each for each in self._points if each[0] < begin]
        shown = [each for each in self._points if each[0] >= begin]
        return [(begin, old[-1][1]), *shown] if old else shown


class Overview:
    """Listens to *registrations* from the start on."""

    def __init__(self, site: Site, registrations: Registrations) -> None:
        self.curve = Curve()
        self._site, self._registrations = site, registrations
        self._told = _Told()
        registrations.subscribe(self.curve.take)

    async def glance(self, actor: Actor) -> Glance:
        """Return what is to be seen now.

        Raises:
            Forbidden: *actor* is no administrator.
        """
        actor.require_admin()
        told = await self._ask()
        contacts = self._registrations.contacts()
        return Glance(
            registered=len(contacts),
            extensions=len(told.types),
            shares=self._shares(told.types, Counter(each.extension for each in contacts)),
            gone=self._gone(told.events),
            flapping=_flapping(told.events),
        )

    async def _ask(self) -> _Told:
        if self._told.until > monotonic():
            return self._told
        async with self._site.database.read() as session:
            rows = await session.execute(select(Extension.number, Extension.type))
            types = {row.number: row.type for row in rows}
            query = (
                select(RegistrationEvent)
                .where(RegistrationEvent.at > now() - _RECENT)
                .where(RegistrationEvent.kind.in_([*_GONE, Kind.FLAPPED]))
                .order_by(RegistrationEvent.at.desc())
                .limit(_MOST_EVENTS)
            )
            events = list(await session.scalars(query))
        self._told = _Told(types, events, monotonic() + _FRESH)
        return self._told

    def _shares(self, types: dict[str, str], contacts: Counter[str]) -> list[Share]:
        names = {
            phone_type: entry.name
            for entry in self._site.registry.listing()
            for phone_type in entry.phone_types
        }
        extensions = Counter(names.get(each, "") for each in types.values())
        registered: Counter[str] = Counter()
        for number, count in contacts.items():
            registered[names.get(types.get(number, ""), "")] += count
        shares = [
            Share(name, extensions[name], registered[name]) for name in {*extensions, *registered}
        ]
        return sorted(shares, key=lambda each: (-each.registered, -each.extensions, each.flavor))

    def _gone(self, events: list[RegistrationEvent]) -> list[RegistrationEvent]:
        """Return the last time that each phone went, without those that are back."""
        last: dict[str, RegistrationEvent] = {}
        for event in events:
            if event.kind in _GONE:
                last.setdefault(event.extension, event)
        gone = [
            event
            for event in last.values()
            if event.kind == Kind.UNREACHABLE or not self._registrations.contacts(event.extension)
        ]
        return gone[:_MOST_LISTED]


def _flapping(events: list[RegistrationEvent]) -> list[Flapping]:
    counts: Counter[str] = Counter()
    last: dict[str, datetime] = {}
    for event in events:
        if event.kind == Kind.FLAPPED:
            counts[event.extension] += event.count
            last.setdefault(event.extension, event.at)
    return [Flapping(each, count, last[each]) for each, count in counts.most_common(_MOST_LISTED)]


def _minute(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0)
