"""Has phones fetch their files again: NOTIFY, then the fetch, then the REGISTER.

A number may ring several phones. The NOTIFY goes to the contact of the device in question and to no
other. Many at once are paced, since all that get one come back at the same moment.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from muru.asterisk.ami import Ami
from muru.asterisk.notify import notify
from muru.asterisk.registrations import Contact, RegistrationChange, Registrations
from muru.db.models import Device, Extension, now
from muru.errors import AmiRefused, AmiUnavailable, MuruError
from muru.flavor import PhoneFlavor
from muru.provisioning.identification import Evidence, identify
from muru.provisioning.journal import Journal, Visit
from muru.services import devices
from muru.services.site import Actor, Site

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

    async def resync(self, actor: Actor, extension: Extension, *, within: float) -> Resync:
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
        for contact in contacts:
            try:
                await self._send(contact, flavor.resync_headers(type_))
            except (MuruError, ValueError) as error:
                _log.warning("a phone could not be told to fetch its files: %s", error)

    async def _resync(self, device: Device, number: str, within: float) -> Resync:
        result = Resync(number, "no-way")
        flavor = self._site.registry.by_name(device.flavor)
        headers = flavor.resync_headers(device.type) if flavor else ()
        if flavor is None or not headers:
            return result
        contact = choose(self._registrations.contacts(number), device, flavor)
        if contact is None:
            result.state = "not-registered"
            return result
        numbers = {line.extension.number for line in device.lines}
        watch = _Watch(result, device.id, numbers, self._expiries(numbers))
        ends = [self._journal.subscribe(watch.see), self._registrations.subscribe(watch.hear)]
        try:
            await self._send(contact, headers)
            result.state, result.contact, result.sent_at = "sent", contact.uri, now()
            with suppress(TimeoutError):  # the result says how far it got
                await asyncio.wait_for(watch.done.wait(), within)
        finally:
            for end in ends:
                end()
        return result

    def _expiries(self, numbers: Iterable[str]) -> dict[tuple[str, str], datetime | None]:
        return {
            (number, contact.uri): contact.expires_at
            for number in numbers
            for contact in self._registrations.contacts(number)
        }

    async def _send(self, contact: Contact, headers: tuple[str, ...]) -> None:
        if not headers:
            return
        async with self._turn:
            await notify(self._ami, contact.uri, headers)
            await asyncio.sleep(1 / self._site.settings.resync_rate)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                device_id = next(iter(self._waiting))
                del self._waiting[device_id]
                try:
                    await self._tell_device(device_id)
                except (AmiUnavailable, AmiRefused, MuruError, ValueError) as error:
                    _log.info("a changed phone was not told: %s", error)
                except Exception:
                    _log.exception("a changed phone could not be told")

    async def _tell_device(self, device_id: int) -> None:
        device = await devices.by_id(self._site, device_id)
        flavor = self._site.registry.by_name(device.flavor) if device else None
        if device is None or flavor is None:
            return
        for line in device.lines:  # one contact will do: they are all the same phone's
            contacts = self._registrations.contacts(line.extension.number)
            contact = choose(contacts, device, flavor)
            if contact is not None:
                await self._send(contact, flavor.resync_headers(device.type))
                return


class _Watch:
    """Notes what a phone does after it was told."""

    def __init__(
        self,
        result: Resync,
        device_id: int,
        numbers: set[str],
        before: dict[tuple[str, str], datetime | None],
    ) -> None:
        self.done = asyncio.Event()
        self._result, self._device_id = result, device_id
        self._numbers, self._before = numbers, before

    def see(self, visit: Visit) -> None:
        if visit.device_id == self._device_id and visit.status == 200 and visit.proof:
            self._result.fetched_at = self._result.fetched_at or visit.at
            self._result.state = "fetched"

    def hear(self, change: RegistrationChange) -> None:
        contact, result = change.contact, self._result
        if contact.extension not in self._numbers or change.kind == "removed":
            return
        before = self._before.get((contact.extension, contact.uri))
        again = before is None or (contact.expires_at is not None and contact.expires_at > before)
        if again and contact.expires_at is not None and result.fetched_at is not None:
            result.registered_at = datetime.now(UTC)
            result.state = "registered"
            self.done.set()


def choose(contacts: Iterable[Contact], device: Device, flavor: PhoneFlavor) -> Contact | None:
    """Return the contact that is *device*, as far as can be told; None if none seems to be.

    Its address and its user agent tell. A single contact will do, unless it is of another kind.
    """
    scored = [(_likeness(contact, device, flavor), contact) for contact in contacts]
    scored = [each for each in scored if each[0] >= 0]
    if not scored:
        return None
    best = max(score for score, _ in scored)
    found = [contact for score, contact in scored if score == best]
    if best == 0 and len(found) > 1:
        return None
    return max(found, key=lambda contact: contact.since)  # the others are what it was before


def _likeness(contact: Contact, device: Device, flavor: PhoneFlavor) -> int:
    agent = (contact.user_agent or "").lower()
    if device.mac and device.mac in agent.replace(":", "").replace("-", ""):
        return 8
    told = identify([(device.flavor, flavor)], Evidence(user_agent=agent))
    ours = told.confidence > 0
    at_home = bool(device.address) and _host(contact.address) == device.address
    if at_home:
        return 4 + 2 * ours
    return 2 if ours else 0


def _host(address: str | None) -> str:
    return (address or "").rpartition(":")[0].strip("[]")
