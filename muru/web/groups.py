"""Who is in a call group or a conference: shown on the page of its number, and changed there."""

from contextlib import suppress
from typing import Any

from aiohttp import web

from muru.asterisk.conferences import Action, Participant
from muru.db.models import Extension
from muru.errors import AmiRefused, Invalid, MuruError, Unavailable
from muru.keys import AMI
from muru.services import conferences, groups
from muru.web.forms import relative
from muru.web.language import _, told
from muru.web.routing import Pages, Visit

pages = Pages()

_CONFERENCE = "Conference"  # the type of those
_NUMBER = "/phones/{number:\\d{1,15}}"
_DO = "{do:join|leave|pause}"
_ACTIONS: dict[str, groups.Action] = {"join": "join", "leave": "leave", "pause": "pause"}
_CALLS: dict[str, Action] = {"kick": "kick", "mute": "mute", "unmute": "unmute"}


async def gathered(visit: Visit, extension: Extension) -> dict[str, Any]:
    """Return what the page of a number shows of a group or conference; None where it is none."""
    is_group = groups.is_group(visit.site.registry.for_type(extension.type))
    in_conference: list[Participant] | None = None
    if extension.type == _CONFERENCE:
        ami = visit.request.config_dict[AMI]
        with suppress(Unavailable, AmiRefused):  # shown as not known
            in_conference = await conferences.participants(
                visit.site, ami, visit.actor, extension.number
            )
    return {
        "members": extension.extra_fields.get("members", []) if is_group else None,
        "is_conference": extension.type == _CONFERENCE,
        "participants": in_conference,
    }


@pages.post(_NUMBER + "/members/" + _DO)
async def change_member(visit: Visit) -> web.Response:
    """Let a number join a group, leave it or pause in it; the group is in the form or the path."""
    form, number = await visit.form(), visit.path("number")
    back = relative(form["next"], f"/phones/{number}")
    action = _ACTIONS[visit.path("do")]
    group, member = (form["group"].strip() or number, form["member"].strip() or number)
    try:
        await groups.change(visit.site, visit.actor, group[:15], member[:15], action)
    except MuruError as error:
        return _sorry(visit, back, error)
    said = {
        "join": _("%(number)s is rung by %(group)s."),
        "leave": _("%(number)s has left %(group)s."),
        "pause": _("%(number)s pauses in %(group)s."),
    }
    return visit.redirect(back, flash=said[action] % {"number": member, "group": group})


@pages.post(_NUMBER + "/participants/{do:kick|mute|unmute}")
async def change_participant(visit: Visit) -> web.Response:
    form, number = await visit.form(), visit.path("number")
    ami, action = visit.request.config_dict[AMI], _CALLS[visit.path("do")]
    try:
        await conferences.act(
            visit.site, ami, visit.actor, number, form["participant"][:64], action
        )
    except MuruError as error:
        return _sorry(visit, f"/phones/{number}", error)
    return visit.redirect(f"/phones/{number}")


def _sorry(visit: Visit, back: str, error: MuruError) -> web.Response:
    if error.key == "database-unavailable" or error.status == 500:
        raise error
    faults = error.fields.values() if isinstance(error, Invalid) else ()
    said = " ".join(map(told, faults)) or told(error.public)
    return visit.redirect(back, flash=said, kind="error")
