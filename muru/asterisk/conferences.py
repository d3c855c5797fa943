"""Who is in a conference at Asterisk, and what can be done about it."""

from dataclasses import dataclass
from typing import Literal

from muru.asterisk.ami import Ami, AmiMessage
from muru.errors import AmiRefused

Action = Literal["kick", "mute", "unmute"]

_NOBODY = "No Conference by that name found"  # nor are there any, where it says "No active"
_ACTIONS = {"kick": "ConfbridgeKick", "mute": "ConfbridgeMute", "unmute": "ConfbridgeUnmute"}


@dataclass(frozen=True, slots=True)
class Participant:
    """*id* tells the call from others; *channel* is Asterisk's name for it."""

    id: str
    channel: str
    number: str
    name: str
    moderator: bool
    muted: bool
    talking: bool
    seconds: int


async def participants(ami: Ami, conference: str) -> list[Participant]:
    """Return who is in a conference, who came first in front; nobody where there is none.

    Raises:
        AmiUnavailable, AmiRefused: Asterisk is away, or does not tell.
    """
    try:
        listed = await ami.list("ConfbridgeList", {"Conference": conference})
    except AmiRefused as refusal:
        if _NOBODY in refusal.message:
            return []
        raise
    return sorted(map(_participant, listed), key=lambda each: (-each.seconds, each.id))


async def act(ami: Ami, conference: str, channel: str, action: Action) -> None:
    """Put somebody out, or let the others hear them no more, or again.

    Raises:
        AmiUnavailable, AmiRefused: Asterisk is away, or there is no such channel in it.
    """
    await ami.send(_ACTIONS[action], {"Conference": conference, "Channel": channel})


def _participant(message: AmiMessage) -> Participant:
    told = message.headers
    number, name = (told.get(key, "") for key in ("CallerIDNum", "CallerIDName"))
    seconds = told.get("AnsweredTime", "")
    return Participant(
        id=told.get("Uniqueid", ""),
        channel=told.get("Channel", ""),
        number="" if number == "<unknown>" else number,
        name="" if name == "<unknown>" else name,
        moderator=told.get("Admin") == "Yes",
        muted=told.get("Muted") == "Yes",
        talking=told.get("Talking") == "Yes",
        seconds=int(seconds) if seconds.isdecimal() and seconds.isascii() else 0,
    )
