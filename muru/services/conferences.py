"""Conferences: who is in them, for those whose they are, and what they may do about it."""

from muru.asterisk import conferences
from muru.asterisk.ami import Ami
from muru.asterisk.conferences import Action, Participant
from muru.errors import AmiRefused, NotFound
from muru.services import audit, extensions
from muru.services.site import Actor, Site


async def participants(site: Site, ami: Ami, actor: Actor, number: str) -> list[Participant]:
    """Return who is in the conference *number* now.

    Raises:
        NotFound: there is no such extension of *actor*'s.
        AmiUnavailable: Asterisk is away.
    """
    await extensions.get_extension(site, actor, number)
    return await conferences.participants(ami, number)


async def act(
    site: Site, ami: Ami, actor: Actor, number: str, participant: str, action: Action
) -> None:
    """Put a participant out of one's conference, mute them, or end that.

    Raises:
        NotFound: there is no such extension of *actor*'s, or nobody in it with that id.
        AmiUnavailable: Asterisk is away.
    """
    extension = await extensions.get_extension(site, actor, number)
    listed = await conferences.participants(ami, number)
    found = next((each for each in listed if each.id == participant), None)
    if found is None:
        raise NotFound("Nobody with this id is in the conference.")
    if actor.user_id == extension.owner_id:
        await _act(ami, number, found, action)
        return
    async with audit.noted(site, actor, f"conference.{action}", f"{number}: {found.number}"):
        await _act(ami, number, found, action)


async def _act(ami: Ami, number: str, found: Participant, action: Action) -> None:
    try:
        await conferences.act(ami, number, found.channel, action)
    except AmiRefused as refusal:
        if "found" in refusal.message.lower():
            raise NotFound("They have just left the conference.") from None
        raise
