"""My phones: one's own extensions, and whether their phones can be reached."""

from aiohttp import web

from muru.keys import REGISTRATIONS
from muru.services import extensions
from muru.web.routing import Pages, Visit

pages = Pages()

PAGE_SIZE = 50


@pages.get("/phones")
async def list_phones(visit: Visit) -> web.Response:
    search, offset = visit.query("search", 100).strip(), visit.number("offset")
    found, total = await extensions.list_extensions(
        visit.site, visit.actor, search=search, offset=offset, limit=PAGE_SIZE, own=True
    )
    registrations = visit.request.config_dict[REGISTRATIONS]
    return visit.render(
        "phones.html",
        phones=[(each, registrations.contacts(each.number)) for each in found],
        total=total,
        search=search,
        offset=offset,
        page_size=PAGE_SIZE,
    )
