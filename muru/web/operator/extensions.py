"""All extensions: found, exported, and told to fetch their configuration again."""

from typing import get_args
from urllib.parse import urlencode

from aiohttp import web

from muru.errors import Invalid
from muru.keys import REGISTRATIONS
from muru.services import extension_import, extension_search
from muru.services.extension_search import State, Wanted
from muru.web.language import _, ngettext
from muru.web.operator.area import PAGE_SIZE, show
from muru.web.routing import Pages, Visit

pages = Pages()

_STATES = get_args(State)


@pages.get("/operator/extensions", access="admin")
async def list_extensions(visit: Visit) -> web.Response:
    wanted, offset = _wanted(visit), visit.number("offset")
    registrations = visit.request.config_dict[REGISTRATIONS]
    found, total = await extension_search.find_some(
        visit.site,
        visit.actor,
        wanted,
        _registered(visit) if wanted.state else (),
        offset=offset,
        limit=PAGE_SIZE,
    )
    return show(
        visit,
        "extensions.html",
        extensions=[(each, registrations.contacts(each.number)) for each in found],
        wanted=wanted,
        query=_query(wanted),
        flavors=_flavors(visit),
        states=_labelled_states(),
        total=total,
        offset=offset,
        page_size=PAGE_SIZE,
    )


@pages.get("/operator/extensions.csv", access="admin")
async def export(visit: Visit) -> web.Response:
    """All that the filter leaves, as comma-separated values; without passwords."""
    numbers = await _find(visit, _wanted(visit))
    found = await extension_search.load(visit.site, visit.actor, numbers)
    return web.Response(
        text=extension_import.write(found),
        content_type="text/csv",
        charset="utf-8",
        headers={"Content-Disposition": 'attachment; filename="extensions.csv"'},
    )


@pages.post("/operator/extensions/resync", access="admin")
async def resync(visit: Visit) -> web.Response:
    """Have the phones that were ticked, or all that were found, fetch their configuration."""
    form = await visit.form()
    wanted = Wanted(form["search"], form["flavor"], form["owner"], _state(form["state"]))
    back = f"/operator/extensions?{urlencode(_query(wanted))}"
    numbers = await _find(visit, wanted) if form["which"] == "all" else form.all("number")
    if not numbers:
        return visit.redirect(back, flash=_("Tick some extensions first."), kind="info")
    if any(not (each.isdigit() and each.isascii()) for each in numbers):
        raise Invalid("This is no number.")
    told = await extension_search.resync(visit.site, visit.actor, numbers)
    text = ngettext(
        "%(num)s phone is told to fetch its configuration.",
        "%(num)s phones are told to fetch their configuration, one after the other.",
        told,
    )
    return visit.redirect(back, flash=text % {"num": told})


async def _find(visit: Visit, wanted: Wanted) -> list[str]:
    return await extension_search.find(visit.site, visit.actor, wanted, _registered(visit))


def _registered(visit: Visit) -> set[str]:
    contacts = visit.request.config_dict[REGISTRATIONS].contacts()
    return {each.extension for each in contacts}


def _wanted(visit: Visit) -> Wanted:
    return Wanted(
        search=visit.query("search", 100).strip(),
        flavor=visit.query("flavor", 100),
        owner=visit.query("owner", 64).strip(),
        state=_state(visit.query("state", 20)),
    )


def _state(given: str) -> State:
    state: State = next((each for each in _STATES if each == given), "")
    return state


def _query(wanted: Wanted) -> dict[str, str]:
    given = {
        "search": wanted.search,
        "flavor": wanted.flavor,
        "owner": wanted.owner,
        "state": wanted.state,
    }
    return {name: value for name, value in given.items() if value}


def _flavors(visit: Visit) -> list[str]:
    return [entry.name for entry in visit.site.registry.listing() if entry.phone_types]


def _labelled_states() -> list[tuple[str, str]]:
    return [("", _("any")), ("registered", _("registered")), ("missing", _("not registered"))]
