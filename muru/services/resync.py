"""Has phones fetch their files again: NOTIFY, then the fetch, then the REGISTER.

A number may ring several phones. The NOTIFY goes to the contact of the device in question and to no
other. Many at once are paced, since all that get one come back at the same moment.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

from muru.asterisk.ami import Ami
from muru.asterisk.notify import notify
from muru.asterisk.registrations import Contact, RegistrationChange, Registrations
from muru.db.models import Device, Extension, now
from muru.errors import MuruError
from muru.flavor import PhoneFlavor
from muru.provisioning.identification import Candidates, Evidence, identify
from muru.provisioning.journal import Journal, Visit
from muru.services import claims, devices
from muru.services.site import Site

_log = logging.getLogger(__name__)

State = Literal["no-device", "no-way", "not-registered", "sent", "fetched", "registered"]
_WORDS: dict[State, str] = {
    "no-device": "No phone of this extension fetches its configuration here.",
    "no-way": "Phones of this kind cannot be told to; they ask again by themselves.",
    "not-registered": "The phone is not registered, so nothing reaches it. Restart it.",
    "sent": "The phone was told, and has not fetched its configuration yet. Restart it if need be.",
    "fetched": "The phone has its new configuration.",
    "registered": "The phone has its new configuration, and has registered again.",
}


@dataclass(slots=True)
class Resync:
    """How far it got; ``text`` says so to the owner. Times are UTC."""

    number: str
    state: State
    contact: str | None = None
    sent_at: datetime | None = None
    fetched_at: datetime | None = None
    registered_at: datetime | None = None

    @property
    def text(self) -> str:
        return _WORDS[self.state]


class Resyncs:
    """Sends the NOTIFYs of one application, one after the other."""

    def __init__(
        self, site: Site, ami: Ami, registrations: Registrations, journal: Journal
    ) -> None:
        self._site, self._ami = site, ami
        self._registrations, self._journal = registrations, journal
        self._waiting: dict[int, None] = {}  # devices, in the order in which they changed
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._next = 0.0  # when the next NOTIFY may be sent, by the loop's clock
        self._task: asyncio.Task[None] | None = None
        site.on_changed_devices(self.soon)

    @property
    def waiting(self) -> int:
        """How many changed devices are still to be told."""
        return len(self._waiting)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="resyncs")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def soon(self, device_ids: Collection[int]) -> None:
        """Have changed devices told in the background."""
        self._waiting |= dict.fromkeys(device_ids)
        self._wake.set()

    async def resync(self, extension: Extension, *, within: float) -> Resync:
        """Tell the phone of an extension, and wait *within* seconds for what it does.

        Raises:
            AmiUnavailable: Asterisk is away.
        """
        device = await devices.device_of(self._site, extension)
        if device is None:
            return Resync(extension.number, "no-device")
        return await self._resync(device, extension.number, within)

    async def tell(self, contacts: Iterable[Contact], flavor: PhoneFlavor, type_: str) -> None:
        """Send the family's NOTIFY to *contacts*, each in its turn; what fails is logged."""
        headers = flavor.resync_headers(type_)
        for contact in contacts if headers else ():
            try:
                async with self._slot():
                    await notify(self._ami, contact.uri, headers)
            except (MuruError, ValueError) as error:
                _log.warning("a phone could not be told to fetch its files: %s", error)

    async def _resync(self, device: Device, number: str, within: float) -> Resync:
        flavor = self._site.registry.by_name(device.flavor)
        headers = flavor.resync_headers(device.type) if flavor else ()
        if not headers:
            return Resync(number, "no-way")
        contact = self._contact(number, device)
        if contact is None:
            return Resync(number, "not-registered")
        watch = _Watch(Resync(number, "sent", contact.uri), device, self._registrations)
        ends = [self._journal.subscribe(watch.see), self._registrations.subscribe(watch.hear)]
        try:
            async with self._slot():
                watch.begin()
                await notify(self._ami, contact.uri, headers)
            with suppress(TimeoutError):  # the result says how far it got
                await asyncio.wait_for(watch.done.wait(), within)
        except ValueError as error:
            _log.error("a phone cannot be told to fetch its files: %s", error)
            return Resync(number, "no-way")
        finally:
            for end in ends:
                end()
        return watch.result

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Wait until one NOTIFY may be sent."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(self._next - loop.time())
            yield
            self._next = loop.time() + 1 / self._site.settings.resync_rate

    def _contact(self, number: str, device: Device) -> Contact | None:
        contacts = self._registrations.contacts(number)
        return choose(contacts, device, self._site.registry.with_files())

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                device_id = next(iter(self._waiting))
                del self._waiting[device_id]
                try:
                    await self._tell_device(device_id)
                except MuruError as error:
                    _log.info("a changed phone was not told: %s", error)
                except Exception:
                    _log.exception("a changed phone could not be told")

    async def _tell_device(self, device_id: int) -> None:
        device = await devices.by_id(self._site, device_id)
        flavor = self._site.registry.by_name(device.flavor) if device else None
        if device is None or flavor is None:
            return
        found = (self._contact(line.extension.number, device) for line in device.lines)
        contact = next(filter(None, found), None)  # one will do: they are all the same phone's
        contacts = [contact] if contact else await self._unclaimed(device)
        await self.tell(contacts, flavor, device.type)

    async def _unclaimed(self, device: Device) -> list[Contact]:
        """Return the contacts of a phone that was plugged in before its address was typed."""
        accounts = await claims.accounts_of(self._site, device.mac) if device.mac else []
        return [each for account in accounts for each in self._registrations.contacts(account)]


class _Watch:
    """Notes what a phone does after it was told."""

    def __init__(self, result: Resync, device: Device, registrations: Registrations) -> None:
        self.result = result
        self.done = asyncio.Event()
        self._device_id = device.id
        self._numbers = {line.extension.number for line in device.lines}
        self._registrations = registrations
        self._before: dict[tuple[str, str], datetime | None] = {}

    def begin(self) -> None:
        self.result.sent_at = now()
        self._before = {
            (number, contact.uri): contact.expires_at
            for number in self._numbers
            for contact in self._registrations.contacts(number)
        }

    def see(self, visit: Visit) -> None:
        result = self.result
        if result.sent_at is None or result.fetched_at is not None:
            return
        if visit.device_id == self._device_id and visit.is_own and visit.proof:
            result.fetched_at, result.state = visit.at, "fetched"

    def hear(self, change: RegistrationChange) -> None:
        contact, result = change.contact, self.result
        if contact.extension not in self._numbers or change.kind == "removed":
            return
        before = self._before.get((contact.extension, contact.uri))
        again = before is None or (contact.expires_at is not None and contact.expires_at > before)
        if again and contact.expires_at is not None and result.fetched_at is not None:
            result.registered_at, result.state = datetime.now(UTC), "registered"
            self.done.set()


def choose(contacts: Iterable[Contact], device: Device, kinds: Candidates) -> Contact | None:
    """Return the contact that is *device*, as far as can be told; None if none seems to be.

    Its address and its user agent tell, by which the flavors *kinds* know their phones. A single
    contact will do, unless it is of another kind.
    """
    kinds = list(kinds)
    scored = [(_likeness(contact, device, kinds), contact) for contact in contacts]
    scored = [each for each in scored if each[0] >= 0]
    if not scored:
        return None
    best = max(score for score, _ in scored)
    found = [contact for score, contact in scored if score == best]
    if best == 0 and len(found) > 1:
        return None
    return max(found, key=lambda contact: contact.since)  # the others are what it was before


def _likeness(contact: Contact, device: Device, kinds: Candidates) -> int:
    """Return how much speaks for a contact; less than 0 if it is another phone."""
    told = identify(kinds, Evidence(user_agent=contact.user_agent or ""))
    if told.mac and device.mac:
        return 8 if told.mac == device.mac else -1
    if told.flavor not in {None, device.flavor}:
        return -1
    at_home = bool(device.address) and _host(contact.address) == device.address
    return 4 * at_home + 2 * (told.flavor is not None)


def _host(address: str | None) -> str | None:
    return urlsplit(f"//{address}").hostname if address else None
