"""The operator's own pages, and the pictures on them."""

from aiohttp import web

from muru.errors import NotFound
from muru.keys import PAGES_FOLDER
from muru.web.language import current
from muru.web.markdown import PICTURES
from muru.web.routing import Pages, Visit

pages = Pages()


@pages.get("/pages/{name:[a-z0-9][a-z0-9_-]{0,60}}", access="anybody")
async def show_document(visit: Visit) -> web.Response:
    document = visit.request.config_dict[PAGES_FOLDER].get(visit.path("name"), current())
    if document is None:
        raise NotFound(f"There is nothing at {visit.request.path}.")
    return visit.render("document.html", document=document)


@pages.get(f"/pages/{{file:[A-Za-z0-9_-]+\\.(?:{'|'.join(PICTURES)})}}", access="anybody")
async def show_picture(visit: Visit) -> web.StreamResponse:
    path = visit.request.config_dict[PAGES_FOLDER].picture(visit.path("file"))
    if path is None:
        raise NotFound(f"There is nothing at {visit.request.path}.")
    return web.FileResponse(path, headers={"Cache-Control": "no-cache"})
