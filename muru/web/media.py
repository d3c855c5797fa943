"""My media: sounds and pictures for one's phones."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO

from aiohttp import web
from aiohttp.web_request import FileField

from muru.db.models import Media
from muru.errors import Invalid, MuruError
from muru.services import media
from muru.web.forms import Form
from muru.web.language import _, told
from muru.web.routing import Pages, Visit

pages = Pages()

PAGE_SIZE = 24
_PIECE = 2**16


@dataclass(frozen=True, slots=True)
class Shown:
    """A medium, and the numbers that have it."""

    media: Media
    numbers: list[str]

    @property
    def details(self) -> str:
        size = f"{self.media.size / 2**20:.1f} MB"
        known = self.media.details
        if "width" in known:
            return f"{known['width']} \u00d7 {known['height']} · {size}"
        if "seconds" in known:
            minutes, seconds = divmod(round(known["seconds"]), 60)
            return f"{minutes}:{seconds:02} min · {size}"
        return size


@pages.get("/media")
async def list_media(visit: Visit) -> web.Response:
    return await _show(visit, Form())


@pages.post("/media", upload=True)
async def upload(visit: Visit) -> web.Response:
    """Take a file from a form; with scripts it goes to the API, which takes large ones too."""
    form = await visit.form()
    given = (await visit.request.post()).get("file")
    try:
        if not isinstance(given, FileField) or not given.filename:
            raise Invalid("Choose a file first.", {"file": "choose one"})
        name = form["name"].strip() or given.filename
        await media.upload(visit.site, visit.actor, name[:100], _pieces(given.file))
    except MuruError as error:
        return await _show(visit, form.take(error))
    finally:
        if isinstance(given, FileField):
            given.file.close()
    return visit.redirect("/media", flash=_("Uploaded."))


@pages.post("/media/{id:\\d{1,9}}/delete")
async def delete(visit: Visit) -> web.Response:
    try:
        await media.delete(visit.site, visit.actor, int(visit.path("id")))
    except MuruError as error:
        if error.status >= 500:
            raise
        return visit.redirect("/media", flash=told(error.public), kind="error")
    return visit.redirect("/media", flash=_("Deleted."))


@pages.post("/media/{id:\\d{1,9}}/name")
async def rename(visit: Visit) -> web.Response:
    form = await visit.form()
    try:
        await media.rename(visit.site, visit.actor, int(visit.path("id")), form["name"])
    except MuruError as error:
        if error.status >= 500:
            raise
        return visit.redirect("/media", flash=told(error.public), kind="error")
    return visit.redirect("/media", flash=_("Saved."))


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, _PIECE):
        yield piece


async def _show(visit: Visit, form: Form) -> web.Response:
    search, offset = visit.query("search", 100).strip(), visit.number("offset")
    found, total = await media.list_media(
        visit.site, visit.actor, search=search, offset=offset, limit=PAGE_SIZE
    )
    uses = await media.uses_of(visit.site, found)
    return visit.render(
        "media.html",
        status=form.status,
        form=form,
        media=[Shown(each, sorted({number for number, _key in uses[each.id]})) for each in found],
        total=total,
        search=search,
        offset=offset,
        page_size=PAGE_SIZE,
        most_mb=visit.site.settings.media_max_mb,
    )
