"""Which phone of an extension rings, and calls from the web: one's own phone rings first."""

import asyncio
import re

from muru.asterisk.ari import Ari
from muru.asterisk.dialplan import WEB
from muru.asterisk.escape import caller_id
from muru.asterisk.registrations import Contact, Registrations, Status
from muru.errors import Invalid, NotFound
from muru.services import extensions
from muru.services.site import Actor, Site

_NUMBER = re.compile(r"[0-9]{1,15}")
_RING_SECONDS = 30.0
_SETTLES = 1.0  # seconds in which a phone is known that has just registered


async def settled(registrations: Registrations, number: str) -> list[Contact]:
    """Return the phones of an extension, also one that is just being looked up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLES
    while not registrations.is_settled(number) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return registrations.contacts(number)


async def phone_of(registrations: Registrations, number: str) -> Contact:
    """Return the phone to ring: one that answers, and of these the newest.

    Raises:
        NotFound: there is none.
    """
    contacts = await settled(registrations, number)
    if not contacts:
        raise NotFound("No phone of this extension is registered at the moment.")
    return max(contacts, key=lambda each: (each.status != Status.UNREACHABLE, each.since))


async def call_from(
    site: Site, ari: Ari, registrations: Registrations, actor: Actor, number: str, to: str
) -> Contact:
    """Ring a phone of *number*, an extension of *actor*'s; who answers it calls *to*.

    The call is made in the context of the extensions, as if it were dialled on the phone. Where it
    has no such number, who answered is told so.

    Raises:
        Invalid: *to* is no number, or the own one.
        NotFound: there is no such extension of *actor*'s, or no phone of it is registered.
        AriUnavailable: Asterisk is away.
    """
    extension = await extensions.get_extension(site, actor, number)
    if not _NUMBER.fullmatch(to):
        raise Invalid("This is no number.", {"to": "up to 15 digits, 0 to 9"})
    if to == number:
        raise Invalid("A phone cannot call itself.", {"to": "another number"})
    contact = await phone_of(registrations, number)
    await ari.dial(
        f"PJSIP/{number}/{contact.uri}",
        to,
        context=WEB,
        caller_id=caller_id(extension.name, number),
        timeout=_RING_SECONDS,
    )
    return contact
