"""Call groups and conferences: who is a member of which, and who is talking."""

from typing import Self

from pydantic import BaseModel

from muru.api.routing import Call, Endpoints
from muru.asterisk.conferences import Action, Participant
from muru.keys import AMI
from muru.services import conferences, groups
from muru.services.groups import Membership

endpoints = Endpoints()

_EXTENSION = "/extensions/{number:\\d{1,15}}"
_MEMBER = _EXTENSION + "/members/{member:\\d{1,15}}"
_PARTICIPANT = _EXTENSION + "/participants/{id:[A-Za-z0-9_.-]{1,64}}"


class MembershipView(BaseModel):
    """*state* is active, paused or none."""

    group: str
    name: str
    member: str
    state: str

    @classmethod
    def of(cls, membership: Membership) -> Self:
        return cls(**{name: getattr(membership, name) for name in cls.model_fields})


class ParticipantView(BaseModel):
    """*seconds* is for how long they have been there; *number* and *name* are the caller's."""

    id: str
    number: str
    name: str
    moderator: bool
    muted: bool
    talking: bool
    seconds: int

    @classmethod
    def of(cls, participant: Participant) -> Self:
        return cls(**{name: getattr(participant, name) for name in cls.model_fields})


@endpoints.get(_EXTENSION + "/groups")
async def list_groups(call: Call) -> list[MembershipView]:
    """List the call groups that the extension is a member of."""
    found = await groups.groups_of(call.site, call.actor, call.path("number"))
    return [MembershipView.of(each) for each in found]


@endpoints.post(_MEMBER + "/join")
async def join_group(call: Call) -> MembershipView:
    """Let an extension join a call group, or go on after a pause."""
    return await _change(call, "join")


@endpoints.post(_MEMBER + "/leave")
async def leave_group(call: Call) -> MembershipView:
    """Take an extension out of a call group."""
    return await _change(call, "leave")


@endpoints.post(_MEMBER + "/pause")
async def pause_in_group(call: Call) -> MembershipView:
    """Let an extension stay in a call group that does not ring it for now."""
    return await _change(call, "pause")


async def _change(call: Call, action: groups.Action) -> MembershipView:
    number, member = call.path("number"), call.path("member")
    return MembershipView.of(await groups.change(call.site, call.actor, number, member, action))


@endpoints.get(_EXTENSION + "/participants")
async def list_participants(call: Call) -> list[ParticipantView]:
    """List who is in the conference now."""
    ami = call.request.config_dict[AMI]
    found = await conferences.participants(call.site, ami, call.actor, call.path("number"))
    return [ParticipantView.of(each) for each in found]


@endpoints.post(_PARTICIPANT + "/kick", status=204)
async def kick(call: Call) -> None:
    """Put somebody out of the conference."""
    await _act(call, "kick")


@endpoints.post(_PARTICIPANT + "/mute", status=204)
async def mute(call: Call) -> None:
    """Let the others in the conference hear somebody no more."""
    await _act(call, "mute")


@endpoints.post(_PARTICIPANT + "/unmute", status=204)
async def unmute(call: Call) -> None:
    """Let the others in the conference hear somebody again."""
    await _act(call, "unmute")


async def _act(call: Call, action: Action) -> None:
    ami, number = call.request.config_dict[AMI], call.path("number")
    await conferences.act(call.site, ami, call.actor, number, call.path("id"), action)
