"""Invites: made, listed, deleted, and printed as cards that can be cut out."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from aiohttp import web

from muru.db.models import Invite, now
from muru.errors import Invalid, MuruError
from muru.provisioning import qr
from muru.provisioning.doors import origin_of
from muru.services import invites
from muru.web.forms import Form
from muru.web.language import _, ngettext
from muru.web.operator.area import failed, show
from muru.web.routing import Pages, Visit

pages = Pages()

_LIST = "/operator/invites"
_MOST_AT_ONCE, _MOST_USES = 100, 100_000
_MOST_CARDS = 200


@dataclass(frozen=True, slots=True)
class Card:
    code: str
    url: str
    qr: str  # SVG
    expires_at: datetime | None


@pages.get(_LIST, access="admin")
async def list_invites(visit: Visit) -> web.Response:
    return await _list(visit, Form({"count": "1", "max_uses": "1"}))


@pages.post(_LIST, access="admin")
async def create_invites(visit: Visit) -> web.Response:
    form = await visit.form()
    try:
        count = _number(form, "count", _MOST_AT_ONCE)
        uses = _number(form, "max_uses", _MOST_USES) if form["max_uses"].strip() else None
        until, note = _end_of(form["expires"]), form["note"].strip()[:200]
        for _each in range(count):
            await invites.create_invite(
                visit.site, visit.actor, max_uses=uses, expires_at=until, note=note
            )
    except MuruError as error:
        return await _list(visit, form.take(error))
    text = ngettext("%(num)s invite created.", "%(num)s invites created.", count)
    return visit.redirect(_LIST, flash=text % {"num": count})


@pages.post(_LIST + "/delete", access="admin")
async def delete_invite(visit: Visit) -> web.Response:
    try:
        await invites.delete_invite(visit.site, visit.actor, (await visit.form())["code"])
    except MuruError as error:
        return failed(visit, _LIST, error)
    return visit.redirect(_LIST, flash=_("The invite is worth nothing any more."))


@pages.get(_LIST + "/cards", access="admin")
async def show_cards(visit: Visit) -> web.Response:
    """Those that are still worth something, to be printed; ``note`` says which."""
    note = visit.query("note")
    found = [
        each
        for each in await invites.list_invites(visit.site, visit.actor)
        if is_valid(each) and note in {"", each.note}
    ]
    origin = origin_of(visit.request)
    return show(visit, "cards.html", cards=[_card(origin, each) for each in found[:_MOST_CARDS]])


def is_valid(invite: Invite) -> bool:
    """Tell whether somebody can still register with it."""
    used_up = invite.max_uses is not None and invite.uses >= invite.max_uses
    return not used_up and (invite.expires_at is None or invite.expires_at > now())


def _card(origin: str, invite: Invite) -> Card:
    url = f"{origin}/register?{urlencode({'invite': invite.code})}"
    return Card(invite.code, url, qr.svg(url), invite.expires_at)


async def _list(visit: Visit, form: Form) -> web.Response:
    found = await invites.list_invites(visit.site, visit.actor)
    return show(
        visit,
        "invites.html",
        invites=[(each, is_valid(each)) for each in found],
        notes=sorted({each.note for each in found if each.note and is_valid(each)}),
        any_valid=any(map(is_valid, found)),
        form=form,
        status=form.status,
    )


def _number(form: Form, name: str, most: int) -> int:
    text = form[name].strip()
    fits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not fits or not 1 <= int(text) <= most:
        raise Invalid("This number does not fit.", {name: f"a number from 1 to {most}"})
    return int(text)


def _end_of(day: str) -> datetime | None:
    """Return the end of a day that was typed, UTC."""
    if not day.strip():
        return None
    try:
        end = datetime.combine(date.fromisoformat(day.strip()), time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise Invalid("This is no day.", {"expires": "write a day like 2026-12-31"}) from None
    if end <= now():
        raise Invalid("This day is over.", {"expires": "choose a day that is not over"})
    return end
