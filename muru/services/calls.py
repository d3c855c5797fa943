"""Calls that muru takes or makes itself: a claim by telephone, the ring that tells phones apart.

What is played are sounds of Debian's package asterisk-core-sounds-en.
"""

import asyncio
import logging

from muru.asterisk.ari import Ari
from muru.asterisk.ari_channel import AriChannel
from muru.asterisk.registrations import Contact, Registrations
from muru.db.models import Device
from muru.errors import AriUnavailable, Conflict, Invalid, MuruError, NotFound
from muru.services import claims, devices
from muru.services.resync import Resyncs, choose
from muru.services.site import Actor, Site

_log = logging.getLogger(__name__)

CLAIM_APP, IDENTIFY_APP = "claim", "identify"
_RING_SECONDS = 15.0
_LOOKS, _PAUSE = 30, 0.05  # at where a caller is registered, and the seconds between them

_CLAIMED = ("num-was-successfully", "activated")
_UNKNOWN = ("privacy-incorrect", "check-number-dial-again")
_TAKEN = ("feature-not-avail-line",)
_LATER = ("please-try-call-later",)


class Calls:
    """What a site does by telephone itself."""

    def __init__(
        self, site: Site, ari: Ari, registrations: Registrations, resyncs: Resyncs
    ) -> None:
        self._site, self._ari = site, ari
        self._registrations, self._resyncs = registrations, resyncs
        ari.on_enter(CLAIM_APP, self._take_claim)
        ari.on_enter(IDENTIFY_APP, self._take_identify)

    async def claim(
        self, actor: Actor, mac: str, number: str, account: str | None
    ) -> claims.Claimed:
        """Bind an unclaimed phone to an extension of *actor*'s; it is told to fetch its files."""
        claims.check_enabled(self._site)
        chosen = await claims.one_of(self._site, mac, account)
        contacts = self._registrations.contacts(chosen.account)
        claimed = await claims.claim(self._site, actor, mac, number, chosen.account)
        await self._tell(claimed, contacts)
        return claimed

    async def identify(self, actor: Actor, mac: str, account: str | None = None) -> str:
        """Ring the phone with that MAC address: one of *actor*'s, or one that nobody owns.

        *account* tells unclaimed ones apart.

        Returns:
            The number, or temporary account, of the contact that is rung.

        Raises:
            NotFound: there is no such phone, or it is not registered.
            AriUnavailable: Asterisk is away.
        """
        number, contact = await self._contact_of(actor, mac, account)
        if contact is None:
            raise NotFound("This phone is not registered at the moment, so it cannot ring.")
        await self._ari.originate(
            f"PJSIP/{number}/{contact.uri}",
            app_arguments=(IDENTIFY_APP,),
            caller_id="It is me <000>",
            timeout=_RING_SECONDS,
        )
        return number

    async def _contacts_of_caller(self, account: str) -> list[Contact]:
        """Return the contacts of a temporary account: it may have registered in this moment."""
        for _ in range(_LOOKS):
            contacts = self._registrations.contacts(account)
            if contacts and self._registrations.is_settled(account):
                break
            await asyncio.sleep(_PAUSE)
        return self._registrations.contacts(account)

    async def _contact_of(
        self, actor: Actor, mac: str, account: str | None
    ) -> tuple[str, Contact | None]:
        device = await self._device(actor, mac) if account is None else None
        if device is None:
            unclaimed = await claims.one_of(self._site, mac, account)
            contacts = self._registrations.contacts(unclaimed.account)
            return unclaimed.account, max(contacts, key=lambda each: each.since, default=None)
        kinds = self._site.registry.with_files()
        for line in device.lines:
            number = line.extension.number
            found = choose(self._registrations.contacts(number), device, kinds)
            if found is not None:
                return number, found
        return "", None

    async def _device(self, actor: Actor, mac: str) -> Device | None:
        try:
            return await devices.get_device(self._site, actor, mac)
        except NotFound:
            return None

    async def _take_claim(self, channel: AriChannel, arguments: tuple[str, ...]) -> None:
        account, token = arguments
        await channel.answer()
        contacts = await self._contacts_of_caller(account)  # of which the claim leaves nothing
        try:
            claimed = await claims.claim_by_token(self._site, account, token)
        except (NotFound, Invalid):
            await channel.play(*_UNKNOWN)
        except Conflict as error:
            _log.info("a phone was not claimed: %s", error)
            await channel.play(*_TAKEN)
        except MuruError as error:
            _log.warning("a claim failed: %s", error)
            await channel.play(*_LATER)
        else:
            try:
                await channel.play(*_CLAIMED)
                await channel.hangup()
            except AriUnavailable as error:
                _log.warning("a claim was not confirmed to its caller: %s", error)
            await self._tell(claimed, contacts)

    async def _take_identify(self, channel: AriChannel, _: tuple[str, ...]) -> None:
        await channel.play("beep", "beep")

    async def _tell(self, claimed: claims.Claimed, contacts: list[Contact]) -> None:
        flavor = self._site.registry.require_type(claimed.extension.type)
        await self._resyncs.tell(contacts, flavor, claimed.extension.type)
