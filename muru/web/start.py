"""The start page: the public phonebook, and who can be reached at the moment."""

from dataclasses import dataclass

from aiohttp import web

from muru.keys import REGISTRATIONS
from muru.services import extensions
from muru.web import language
from muru.web.routing import THEME_COOKIE, THEMES, Pages, Visit, set_cookie

pages = Pages()

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Entry:
    number: str
    name: str
    info: str
    reachable: bool


@pages.get("/", access="anybody")
async def show_start(visit: Visit) -> web.Response:
    """The phonebook; ``search`` and ``offset`` say which part of it."""
    search, offset = visit.query("search", 100).strip(), visit.number("offset")
    found, total = await extensions.phonebook(
        visit.site, search=search, offset=offset, limit=PAGE_SIZE
    )
    registrations = visit.request.config_dict[REGISTRATIONS]
    entries = [
        Entry(each.number, each.name, each.info, bool(registrations.contacts(each.number)))
        for each in found
    ]
    return visit.render(
        "start.html",
        entries=entries,
        total=total,
        search=search,
        offset=offset,
        page_size=PAGE_SIZE,
        has_map=visit.site.settings.map_image is not None,
    )


@pages.post("/preferences", access="anybody")
async def set_preferences(visit: Visit) -> web.Response:
    """Choose the language or the colours, for this browser."""
    form = await visit.form()
    response = visit.redirect(form["next"])
    if form["language"] in language.LANGUAGES:
        set_cookie(visit.request, response, language.COOKIE, form["language"])
    if form["theme"] in THEMES:
        set_cookie(visit.request, response, THEME_COOKIE, form["theme"])
    return response
