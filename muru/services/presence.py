"""Makes a history out of changes: who came, went, moved, flapped, and how long answers took.

What happened is often plain a little later only. A phone that goes is waited for: if it comes back
it has flapped, and if one of its kind comes to the same extension from elsewhere, or came since it
was last heard of, it has moved. So entries are not in the order of their times.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from muru.asterisk.registrations import Contact, RegistrationChange, Status

GRACE = timedelta(seconds=30)  # in which a phone that went may come back
_UNNAMED = timedelta(seconds=5)  # in which the user agent of one that came is looked up
_FLAPS = timedelta(seconds=60)  # flaps of one phone in that time are one entry
_MOST_GONE = 20_000  # phones that are waited for
_ROUND_TRIPS = timedelta(seconds=300)  # between two of a phone; if it has changed much:
_ROUND_TRIPS_SOON = timedelta(seconds=55)  # less than a minute, since no clock is exact


class Kind(StrEnum):
    CAME = "came"
    WENT = "went"
    MOVED = "moved"  # it is at another address now
    FLAPPED = "flapped"  # it went, and was back soon
    UNREACHABLE = "unreachable"  # it is registered, and does not answer
    REACHABLE = "reachable"  # it answers again


@dataclass(frozen=True, slots=True)
class Entry:
    """*previous* is the address before a move, *count* how often a phone flapped until then."""

    at: datetime
    kind: Kind
    extension: str
    uri: str
    address: str | None
    user_agent: str | None
    previous: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class RoundTrip:
    at: datetime
    extension: str
    uri: str
    rtt_ms: float


@dataclass(slots=True)
class _Seen:
    """A phone that is there, or has just gone."""

    contact: Contact
    heard_at: datetime  # when it registered for the last time
    told: bool = False  # that it came
    replaces: bool = False  # one that went from elsewhere
    confirmed: bool = True  # False: it was there before muru was started, and may be gone
    unreachable: bool = False
    gone_at: datetime | None = None
    round_trip: RoundTrip | None = None

    @property
    def kind(self) -> str | None:
        return self.contact.user_agent


@dataclass(slots=True)
class _Flaps:
    first: datetime
    last: datetime
    contact: Contact
    count: int = 0


_ByUri = dict[str, _Seen]


@dataclass(slots=True)
class Presence:
    """Calls *note* with what is to be kept. *silent*: phones are told of as if they were known."""

    note: Callable[[Entry | RoundTrip], None]
    silent: bool = False
    _here: dict[str, _ByUri] = field(default_factory=dict)  # by extension
    _gone: dict[str, _ByUri] = field(default_factory=dict)
    _leaving: deque[_Seen] = field(default_factory=deque)  # in the order of their times
    _unnamed: deque[_Seen] = field(default_factory=deque)  # likewise
    _flaps: dict[tuple[str, str], _Flaps] = field(default_factory=dict)  # likewise

    def expect(self, known: Iterable[Contact], at: datetime) -> None:
        """Let these phones be there already; those that do not turn up :meth:`leave`."""
        for contact in known:
            seen = _Seen(contact, at, told=True, confirmed=False)
            self._here.setdefault(contact.extension, {})[contact.uri] = seen

    def dismiss(self, at: datetime) -> set[str]:
        """Let those go that were expected, and have not turned up; return their extensions."""
        self.silent = False
        missing = [
            seen for by_uri in self._here.values() for seen in by_uri.values() if not seen.confirmed
        ]
        for seen in missing:
            self._leave(seen, at)
        return {seen.contact.extension for seen in missing}

    def take(self, change: RegistrationChange, at: datetime) -> bool:
        """Take in a change; tell whether a phone came, went, or is known by another name now."""
        contact = change.contact
        seen = self._here.get(contact.extension, {}).get(contact.uri)
        if change.kind == "removed":
            if seen is not None:
                self._leave(seen, at)
            return seen is not None
        if seen is None:
            self._come(contact, at)
            return True
        renamed = contact.user_agent != seen.kind
        self._update(seen, contact, at)
        return renamed

    def settle(self, at: datetime, *, everything: bool = False) -> None:
        """Note what has waited long enough, or *everything*."""
        while self._unnamed and (everything or self._unnamed[0].heard_at + _UNNAMED <= at):
            self._tell(self._unnamed.popleft())
        while self._leaving and (everything or _gone_at(self._leaving[0]) + GRACE <= at):
            self._part(self._leaving.popleft())
        for key, flaps in list(self._flaps.items()):
            if not everything and flaps.first + _FLAPS > at:
                break
            del self._flaps[key]
            self._note(Kind.FLAPPED, flaps.contact, flaps.last, count=flaps.count)

    def _come(self, contact: Contact, at: datetime) -> None:
        seen = _Seen(contact, at, told=self.silent)
        back = _pop(self._gone, contact)
        self._here.setdefault(contact.extension, {})[contact.uri] = seen
        if back is not None:
            key = contact.extension, contact.uri
            flaps = self._flaps.setdefault(key, _Flaps(at, at, contact))
            flaps.last, flaps.count = at, flaps.count + 1
            seen.told, seen.round_trip = True, back.round_trip
        if not seen.told:
            self._unnamed.append(seen)
        self._update(seen, contact, at)

    def _update(self, seen: _Seen, contact: Contact, at: datetime) -> None:
        before, seen.contact, seen.confirmed = seen.contact, contact, True
        if before.expires_at not in {None, contact.expires_at}:
            seen.heard_at = at
        if contact.status is Status.UNREACHABLE and not seen.unreachable:
            seen.unreachable = True
            self._note(Kind.UNREACHABLE, contact, at)
        elif contact.status is Status.REACHABLE and seen.unreachable:
            seen.unreachable = False
            self._note(Kind.REACHABLE, contact, at)
        self._note_round_trip(seen, at)
        if seen.kind is not None:
            self._tell(seen)

    def _tell(self, seen: _Seen) -> None:
        """Note that a phone came, or that it moved if one of its kind has just gone."""
        if seen.told:
            return
        seen.told = True
        contact = seen.contact
        for left in self._gone.get(contact.extension, {}).values():
            if _same(left, seen):
                _pop(self._gone, left.contact)
                seen.replaces = True
                self._note(Kind.MOVED, contact, contact.since, previous=left.contact.address)
                return
        self._note(Kind.CAME, contact, contact.since)

    def _leave(self, seen: _Seen, at: datetime) -> None:
        _pop(self._here, seen.contact)
        self._tell(seen)
        seen.gone_at = at
        self._gone.setdefault(seen.contact.extension, {})[seen.contact.uri] = seen
        self._leaving.append(seen)
        if len(self._leaving) > _MOST_GONE:
            self._part(self._leaving.popleft())

    def _part(self, seen: _Seen) -> None:
        """Note that a phone went, or that it moved if one of its kind has come meanwhile."""
        contact = seen.contact
        if self._gone.get(contact.extension, {}).get(contact.uri) is not seen:
            return  # it is back, or elsewhere
        _pop(self._gone, contact)
        for other in self._here.get(contact.extension, {}).values():
            if _same(seen, other) and not other.replaces and other.contact.since > seen.heard_at:
                other.replaces = True
                came_at = other.contact.since
                self._note(Kind.MOVED, other.contact, came_at, previous=contact.address)
                return
        self._note(Kind.WENT, contact, _gone_at(seen))

    def _note(
        self,
        kind: Kind,
        contact: Contact,
        at: datetime,
        *,
        previous: str | None = None,
        count: int = 1,
    ) -> None:
        agent, where = contact.user_agent, contact.address
        self.note(Entry(at, kind, contact.extension, contact.uri, where, agent, previous, count))

    def _note_round_trip(self, seen: _Seen, at: datetime) -> None:
        contact, last = seen.contact, seen.round_trip
        if contact.rtt_ms is None or (last is not None and last.rtt_ms == contact.rtt_ms):
            return
        if last is not None:
            pause = _ROUND_TRIPS_SOON if _differ(last.rtt_ms, contact.rtt_ms) else _ROUND_TRIPS
            if at - last.at < pause:
                return
        seen.round_trip = RoundTrip(at, contact.extension, contact.uri, contact.rtt_ms)
        self.note(seen.round_trip)


def _pop(phones: dict[str, _ByUri], contact: Contact) -> _Seen | None:
    by_uri = phones.get(contact.extension, {})
    seen = by_uri.pop(contact.uri, None)
    if seen is not None and not by_uri:
        del phones[contact.extension]
    return seen


def _same(one: _Seen, other: _Seen) -> bool:
    """Tell whether they may be one phone that is known by two addresses."""
    return one.kind is not None and one.kind == other.kind and one.contact.uri != other.contact.uri


def _gone_at(seen: _Seen) -> datetime:
    assert seen.gone_at is not None
    return seen.gone_at


def _differ(one: float, other: float) -> bool:
    return abs(one - other) >= 2 and max(one, other) > 1.5 * min(one, other)
