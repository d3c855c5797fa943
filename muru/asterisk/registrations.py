"""Which phones are registered now: a snapshot after each login, and events on top of it.

Asterisk tells too little by itself: of a refreshed registration nothing, and of a phone whose AOR
was created after its last (re)load not even that it came or went. But each REGISTER proves a
password, which is told (``SuccessfulAuth``): the contacts of that AOR are then looked up.
``ContactStatus`` is faster where it comes, and brings what phones answer to qualify. What no event
told of is found when it expires, or by the snapshot that is taken now and then;
:attr:`Registrations.corrected` counts what that one had to set right.
"""

import asyncio
import heapq
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

from muru.asterisk import contacts
from muru.asterisk.ami import Ami, AmiMessage
from muru.asterisk.contacts import StoredContact, join_address
from muru.errors import AmiRefused, AmiUnavailable

_log = logging.getLogger(__name__)

#: Seconds after a proven password when the contact is stored; lookups are collected meanwhile.
REGISTER_TAKES = 0.25

_SNAPSHOT_INTERVAL = 60.0  # seconds
_SNAPSHOT_TIMEOUT = 30.0  # seconds
_RETRY = 1.0  # seconds after Asterisk did not answer
_TOO_MANY = 400  # more AORs to look up than this, and one look at all contacts is quicker
_LINGER = timedelta(seconds=12)  # Asterisk looks for expired contacts every 5 s


class Status(StrEnum):
    """What the phone answers to qualify (SIP OPTIONS)."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    UNQUALIFIED = "unqualified"  # it is not asked, or has not answered yet
    UNKNOWN = "unknown"


_STATUS = {
    "Reachable": Status.REACHABLE,
    "Unreachable": Status.UNREACHABLE,
    "NonQualified": Status.UNQUALIFIED,
}


_TRANSPORT = re.compile(r";transport=(udp|tcp|tls|wss?)(?=[;?]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Contact:
    """One registered phone.

    *address* is where its packets come from, *via_address* what it takes for its own (they differ
    behind NAT); *since* is when muru first saw it, times are UTC.
    """

    extension: str
    uri: str
    address: str | None
    via_address: str | None
    user_agent: str | None
    status: Status
    rtt_ms: float | None
    since: datetime
    expires_at: datetime | None

    @property
    def transport(self) -> str:
        """Return how it is reached: ``udp``, ``tcp``, ``tls``, ``ws`` or ``wss``."""
        found = _TRANSPORT.search(self.uri)
        named = found[1].lower() if found else "udp"
        secured = self.uri[:5].lower() == "sips:"
        return {"tcp": "tls", "udp": "tls", "ws": "wss"}.get(named, named) if secured else named


@dataclass(frozen=True, slots=True)
class RegistrationChange:
    kind: Literal["added", "updated", "removed"]
    contact: Contact


class Registrations:
    """The contacts of all extensions, kept up to date in the background."""

    def __init__(self, ami: Ami, *, snapshot_interval: float = _SNAPSHOT_INTERVAL) -> None:
        self.corrected = 0  # contacts that a regular snapshot found to be wrong
        self.ready = asyncio.Event()  # a snapshot was taken since the last login
        self._ami = ami
        self._snapshot_interval = snapshot_interval
        self._next_snapshot = 0.0  # by the loop's clock
        self._contacts: dict[str, dict[str, Contact]] = {}  # by extension, by URI
        self._to_look_up: set[str] = set()  # AORs
        self._looked_up: set[str] = set()  # AORs of which Asterisk is being asked
        self._expiries: list[tuple[datetime, str, str]] = []  # a heap; may have outdated entries
        self._remembered: dict[tuple[str, str], datetime] = {}
        self._told: set[str] = set()  # extensions of which more is known than a question asked for
        self._subscribers: list[Callable[[RegistrationChange], None]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        ami.subscribe(self._on_contact_status, "ContactStatus")
        ami.subscribe(self._on_successful_auth, "SuccessfulAuth")
        # While Asterisk boots it lets us log in already, and shows no contacts yet.
        ami.subscribe(lambda _: self._on_login(), "FullyBooted")
        ami.on_login(self._on_login)
        ami.on_loss(self.ready.clear)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="registrations")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def contacts(self, extension: str | None = None) -> list[Contact]:
        """Return the phones registered for *extension*, or for all; costs a lookup, or a copy."""
        if extension is not None:
            return list(self._contacts.get(extension, {}).values())
        return list(self._all())

    def is_settled(self, extension: str) -> bool:
        """Tell whether Asterisk has told of nothing that is still to be looked up."""
        pending = self._to_look_up | self._looked_up
        return self.ready.is_set() and extension not in pending

    def subscribe(self, callback: Callable[[RegistrationChange], None]) -> Callable[[], None]:
        """Have *callback* called with each change, in order; it must be quick and not raise.

        What is returned ends that.
        """
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def remember(self, since: Mapping[tuple[str, str], datetime]) -> None:
        """Let contacts that are found by the first snapshot have been there since then.

        *since* is by extension and URI, and what an earlier run of muru saw.
        """
        self._remembered = dict(since)

    def forget(self, extension: str) -> None:
        """Drop the contacts of an extension that was deleted, ahead of Asterisk's own events."""
        self._told.add(extension)
        for contact in self.contacts(extension):
            self._remove(contact.extension, contact.uri)

    # Events

    def _on_login(self) -> None:
        self._next_snapshot = 0.0
        self.ready.clear()
        self._wake.set()

    def _on_contact_status(self, event: AmiMessage) -> None:
        extension, uri = event.headers.get("AOR", ""), event.headers.get("URI", "")
        told = event.headers.get("ContactStatus")
        if not extension or not uri:
            return
        self._told.add(extension)
        if told == "Removed":
            self._remove(extension, uri)
            return
        known = self._known(extension, uri)
        rtt = _milliseconds(event.headers.get("RoundtripUsec"))
        status = _STATUS.get(told or "", Status.UNKNOWN)
        self._put(replace(known, status=status, rtt_ms=rtt))
        self._look_up_soon({extension})

    def _on_successful_auth(self, event: AmiMessage) -> None:
        if event.headers.get("Service") == "PJSIP":  # logins to AMI raise it too
            self._look_up_soon({event.headers.get("AccountID", "")})

    def _look_up_soon(self, aors: set[str]) -> None:
        self._to_look_up |= aors
        self._wake.set()

    # The background task

    async def _run(self) -> None:
        failing = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_next()):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._catch_up()
                failing = False
            except (AmiUnavailable, AmiRefused) as error:  # refused: Asterisk is still booting
                if self._ami.state.connected:
                    level = logging.DEBUG if failing else logging.WARNING
                    _log.log(level, "registrations could not be looked up: %s", error)
                    failing = True
                    await asyncio.sleep(_RETRY)
            except Exception:
                _log.exception("looking up registrations failed")
                await asyncio.sleep(_RETRY)

    def _until_next(self) -> float:
        """Return the seconds until something is due of which no event tells."""
        pause = self._next_snapshot - asyncio.get_running_loop().time()
        if not self._ami.state.connected:
            pause = self._snapshot_interval
        if self._expiries:
            pause = min(pause, (self._expiries[0][0] - _now()).total_seconds())
        return max(pause, 0.05)

    async def _catch_up(self) -> None:
        self._note_expired()
        if not self._ami.state.connected:
            return
        if asyncio.get_running_loop().time() >= self._next_snapshot:
            await self._take_snapshot()
        elif self._to_look_up:
            await asyncio.sleep(REGISTER_TAKES)
            aors, self._to_look_up = self._to_look_up, set()
            self._looked_up = aors
            try:
                await self._look_up(aors)
            except AmiUnavailable:
                self._look_up_soon(aors)
                raise
            finally:
                self._looked_up = set()

    def _note_expired(self) -> None:
        now = _now()
        while self._expiries and self._expiries[0][0] <= now:
            _, extension, uri = heapq.heappop(self._expiries)
            contact = self._contacts.get(extension, {}).get(uri)
            if contact is None or contact.expires_at is None or contact.expires_at > now:
                continue  # it went, or was refreshed
            if self._ami.state.connected and contact.expires_at + _LINGER > now:
                self._to_look_up.add(extension)
                heapq.heappush(self._expiries, (now + _LINGER / 4, extension, uri))
            else:
                self._remove(extension, uri)

    async def _look_up(self, aors: set[str]) -> None:
        self._told.clear()
        if len(aors) > _TOO_MANY:
            stored = await contacts.read_all(self._ami)
            found = [self._from_store(each) for each in stored if each.aor in aors]
        else:
            listed = await asyncio.gather(*map(self._list_contacts, sorted(aors)))
            found = [contact for each in listed for contact in each]
        # What was told meanwhile is newer than the answer: there it is asked again.
        answered = aors - self._told
        self._look_up_soon(aors & self._told)
        current = {
            (contact.extension, contact.uri): contact
            for contact in found
            if contact.extension in answered and not _is_over(contact)
        }
        for extension in answered:
            for contact in self.contacts(extension):
                if (extension, contact.uri) not in current:
                    self._remove(extension, contact.uri)
        for contact in current.values():
            self._put(contact)

    async def _list_contacts(self, aor: str) -> list[Contact]:
        try:
            listed = await self._ami.list(
                "PJSIPShowEndpoint", {"Endpoint": aor}, only={"ContactStatusDetail"}
            )
        except AmiRefused:  # it was deleted meanwhile
            return []
        return [self._from_detail(each) for each in listed]

    async def _take_snapshot(self) -> None:
        regular = self.ready.is_set()
        self._told.clear()
        listed = await self._ami.list("PJSIPShowContacts", timeout=_SNAPSHOT_TIMEOUT)
        # What was told meanwhile is newer than the list, or maybe older: there it is asked again.
        told = set(self._told)
        self._look_up_soon(told)
        current = {
            (contact.extension, contact.uri): contact
            for contact in map(self._from_listing, listed)
            if contact.extension not in told and not _is_over(contact)
        }
        before = {(each.extension, each.uri) for each in self._all() if each.extension not in told}
        for extension, uri in before - current.keys():
            self._remove(extension, uri)
        for contact in current.values():
            self._put(contact)
        wrong = before ^ current.keys()
        if regular and wrong:
            self.corrected += len(wrong)
            _log.warning("%d registrations were not as the events had told", len(wrong))
        self._remembered.clear()
        self._next_snapshot = asyncio.get_running_loop().time() + self._snapshot_interval
        self.ready.set()
        self._wake.set()  # what is to be looked up has waited

    def _known(self, extension: str, uri: str) -> Contact:
        known = self._contacts.get(extension, {}).get(uri)
        since = self._remembered.get((extension, uri))
        return known or _new_contact(extension, uri, since or _now())

    def _from_store(self, stored: StoredContact) -> Contact:
        return replace(
            self._known(stored.aor, stored.uri),
            user_agent=stored.user_agent,
            via_address=stored.via_address,
            expires_at=stored.expires_at,
        )

    def _from_detail(self, message: AmiMessage) -> Contact:
        headers = message.headers
        return replace(
            self._known(headers.get("AOR", ""), headers.get("URI", "")),
            via_address=headers.get("ViaAddress"),
            user_agent=headers.get("UserAgent") or None,
            status=_STATUS.get(headers.get("Status", ""), Status.UNKNOWN),
            rtt_ms=_milliseconds(headers.get("RoundtripUsec")),
            expires_at=_time(headers.get("RegExpire")),
        )

    def _from_listing(self, message: AmiMessage) -> Contact:
        headers = message.headers
        return replace(
            self._known(headers.get("ObjectName", "").partition(";@")[0], headers.get("Uri", "")),
            via_address=join_address(headers.get("ViaAddr"), headers.get("ViaPort")),
            user_agent=headers.get("UserAgent") or None,
            status=_STATUS.get(headers.get("Status", ""), Status.UNKNOWN),
            rtt_ms=_milliseconds(headers.get("RoundtripUsec")),
            expires_at=_time(headers.get("ExpirationTime")),
        )

    # The state

    def _all(self) -> Iterator[Contact]:
        return (contact for by_uri in self._contacts.values() for contact in by_uri.values())

    def _put(self, contact: Contact) -> None:
        by_uri = self._contacts.setdefault(contact.extension, {})
        known = by_uri.get(contact.uri)
        if contact == known:
            return
        by_uri[contact.uri] = contact
        if contact.expires_at is not None and (
            known is None or contact.expires_at != known.expires_at
        ):
            heapq.heappush(self._expiries, (contact.expires_at, contact.extension, contact.uri))
        self._tell(RegistrationChange("updated" if known else "added", contact))

    def _remove(self, extension: str, uri: str) -> None:
        by_uri = self._contacts.get(extension, {})
        contact = by_uri.pop(uri, None)
        if contact is None:
            return
        if not by_uri:
            del self._contacts[extension]
        self._tell(RegistrationChange("removed", contact))

    def _tell(self, change: RegistrationChange) -> None:
        for callback in list(self._subscribers):
            callback(change)


def _new_contact(extension: str, uri: str, since: datetime) -> Contact:
    return Contact(
        extension=extension,
        uri=uri,
        address=address_of(uri),
        via_address=None,
        user_agent=None,
        status=Status.UNKNOWN,
        rtt_ms=None,
        since=since,
        expires_at=None,
    )


def address_of(uri: str) -> str | None:
    """Return the ``host:port`` of a contact: Asterisk put in where the packets came from."""
    host = uri.partition("@")[2] or uri.partition(":")[2]
    return host.partition(";")[0].partition("?")[0] or None


def _is_over(contact: Contact) -> bool:
    """Tell whether it expired; Asterisk goes on to list it until it looks for such contacts."""
    return contact.expires_at is not None and contact.expires_at + _LINGER <= _now()


def _milliseconds(microseconds: str | None) -> float | None:
    """Return AMI's RoundtripUsec in ms; 0 and N/A mean that the phone was not asked."""
    if not microseconds or not microseconds.isdigit() or microseconds == "0":
        return None
    return int(microseconds) / 1000


def _time(seconds: str | None) -> datetime | None:
    """Return AMI's seconds since 1970 as a time."""
    return datetime.fromtimestamp(int(seconds), UTC) if seconds and seconds.isdigit() else None


def _now() -> datetime:
    return datetime.now(UTC)
