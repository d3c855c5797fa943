"""What administrators, and they alone, do at Asterisk by hand; all of it is in the audit log."""

import re

from muru.asterisk import console, contacts
from muru.asterisk.ami import Ami
from muru.asterisk.ari import Ari
from muru.errors import AmiRefused, NotFound
from muru.services import audit
from muru.services.site import Actor, Site

_MODULE = re.compile(r"[a-z0-9_]{1,60}\.so")


async def hang_up(site: Site, ami: Ami, ari: Ari, actor: Actor, channel_id: str) -> None:
    """End a channel.

    Raises:
        NotFound: there is none with that id (any more).
        AmiUnavailable, AriUnavailable: Asterisk is away.
    """
    actor.require_admin()
    async with audit.noted(site, actor, "channel.hangup", channel_id):
        # Looked for first: the id becomes part of a path.
        if all(each.id != channel_id for each in await console.channels(ami)):
            raise NotFound("There is no such channel; maybe the call is over.")
        await ari.hangup(channel_id)


async def qualify(site: Site, ami: Ami, actor: Actor, number: str) -> None:
    """Have Asterisk ask the phones of an extension now whether they are there.

    Raises:
        NotFound: Asterisk has no such endpoint.
    """
    actor.require_admin()
    async with audit.noted(site, actor, "contact.qualify", number):
        try:
            await console.qualify(ami, number)
        except AmiRefused as refusal:
            raise NotFound(f"Asterisk has no endpoint {number}.") from refusal


async def unregister(site: Site, ami: Ami, actor: Actor, number: str, uri: str) -> None:
    """Make Asterisk forget a registered phone, until it registers again.

    Raises:
        NotFound: no phone is registered there.
    """
    actor.require_admin()
    async with audit.noted(site, actor, "contact.unregister", f"{number} {uri}"):
        contact = await contacts.read(ami, number, uri)
        if contact is None:
            raise NotFound("No phone is registered there (any more).")
        await contacts.expire(ami, contact)


async def reload(site: Site, ari: Ari, actor: Actor, module: str) -> None:
    """Have Asterisk read the configuration of a module again.

    Raises:
        NotFound: it has not loaded any of that name.
    """
    actor.require_admin()
    async with audit.noted(site, actor, "module.reload", module):
        if not _MODULE.fullmatch(module) or module not in await ari.modules():
            raise NotFound(f"Asterisk has not loaded a module {module!r}.")
        await ari.reload_module(module)


async def run_command(site: Site, actor: Actor, command: str) -> str:
    """Run one of ``MURU_CONSOLE_COMMANDS`` at Asterisk's console; return what it prints.

    Raises:
        Invalid: it is none of them.
        ConsoleUnavailable: Asterisk is away, or on another machine.
    """
    actor.require_admin()
    control = site.settings.data_dir.absolute() / "asterisk/run/asterisk.ctl"
    async with audit.noted(site, actor, "console.command", command):
        return await console.command(control, command, site.settings.console_commands)
