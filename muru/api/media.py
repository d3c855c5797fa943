"""Media: uploads, which extension has which, and their files."""

from datetime import datetime
from typing import Any, Self

from aiohttp import web
from pydantic import BaseModel, Field

from muru.api.extensions import MediaIds
from muru.api.routing import Call, Endpoints, Input, PageQuery
from muru.db.models import Media
from muru.errors import NotFound, TooLarge, Unavailable
from muru.flavor import MediaType
from muru.media import Refused, formats, names
from muru.media.delivery import MediaFile
from muru.services import extension_media, extensions, media
from muru.services.extension_media import Slot
from muru.services.extensions import ExtensionChange

endpoints = Endpoints()

_EXTENSION = "/extensions/{number:\\d{1,15}}"
_MEDIUM = "/media/{id:\\d{1,9}}"


class UploadQuery(Input):
    """*name* is for people to find it again; *raw* keeps the file as it is."""

    name: str = Field(max_length=500)
    raw: bool = False


class MediaPatch(Input):
    name: str = Field(max_length=500)


class Use(BaseModel):
    """The extension *number* has it, under that name in its phone type's media."""

    number: str
    key: str


class MediaView(BaseModel):
    """*size* is in bytes, and *details* width and height in pixels, or the length in seconds.

    *url* is the path of its file.
    """

    id: int
    name: str
    type: str
    size: int
    details: dict[str, Any]
    owner: str | None
    created_at: datetime
    url: str
    used_by: list[Use]

    @classmethod
    def of(cls, medium: Media, uses: list[tuple[str, str]]) -> Self:
        return cls(
            id=medium.id,
            name=medium.name,
            type=medium.type,
            size=medium.size,
            details=medium.details,
            owner=medium.owner.username if medium.owner else None,
            created_at=medium.created_at,
            url=f"/api/v1/media/byid/{medium.id}",
            used_by=[Use(number=number, key=key) for number, key in uses],
        )


class MediaPage(BaseModel):
    items: list[MediaView]
    total: int


class SlotView(BaseModel):
    """*media_id* is None where the extension has none; *url* is the file as its phone gets it."""

    key: str
    label: str
    media_type: MediaType
    required: bool
    filename: str
    media_id: int | None
    name: str | None
    url: str | None

    @classmethod
    def of(cls, number: str, slot: Slot) -> Self:
        file = names.filename(slot.key, slot.descriptor)
        return cls(
            key=slot.key,
            label=slot.descriptor.label,
            media_type=slot.descriptor.media_type,
            required=slot.descriptor.required,
            filename=file,
            media_id=slot.media.id if slot.media else None,
            name=slot.media.name if slot.media else None,
            url=f"/api/v1/media/byextension/{number}/{file}" if slot.media else None,
        )


class Assignment(Input):
    """Ids by the names in the phone type's media; what is not named, or is null, goes."""

    media: MediaIds


@endpoints.post("/media", status=201, upload=True)
async def upload_media(call: Call, query: UploadQuery) -> MediaView:
    """Upload a picture or a sound; the body is the file itself."""
    length, most = call.request.content_length, call.site.settings.media_max_mb
    limited = not call.actor.is_admin or call.site.settings.media_limit_admins
    if limited and length is not None and length > most * 2**20:
        raise TooLarge(f"A file has {most} MB at most here.")
    content = call.request.content.iter_chunked(2**16)
    medium = await media.upload(call.site, call.actor, query.name, content, raw=query.raw)
    return MediaView.of(medium, [])


@endpoints.get("/media")
async def list_media(call: Call, query: PageQuery) -> MediaPage:
    """List one's own media, for administrators all, and which extensions have them."""
    found, total = await media.list_media(call.site, call.actor, **query.model_dump())
    uses = await media.uses_of(call.site, found)
    return MediaPage(items=[MediaView.of(each, uses[each.id]) for each in found], total=total)


@endpoints.get(_MEDIUM)
async def get_media(call: Call) -> MediaView:
    return await _view(call, await media.get_media(call.site, call.actor, _id(call)))


@endpoints.patch(_MEDIUM)
async def rename_media(call: Call, body: MediaPatch) -> MediaView:
    return await _view(call, await media.rename(call.site, call.actor, _id(call), body.name))


@endpoints.delete(_MEDIUM)
async def delete_media(call: Call) -> None:
    """Delete a medium that no extension has."""
    await media.delete(call.site, call.actor, _id(call))


@endpoints.get("/media/byid/{name:\\d{1,9}(?:\\.\\w{1,8})?}", head=True)
async def get_file(call: Call) -> web.StreamResponse:
    """Return the file of a medium as it is kept: PNG, FLAC, or as it was uploaded."""
    number, _, suffix = call.path("name").partition(".")
    medium = await media.get_media(call.site, call.actor, int(number))
    kept = formats.KEPT[MediaType(medium.type)]
    if suffix and medium.type != MediaType.RAW and suffix.lower() != kept:
        raise NotFound(f"This medium is kept as {kept} alone.")
    path = await call.site.media.get(medium.digest)
    return MediaFile(path, formats.content_type(kept))


@endpoints.get("/media/byextension/{number:\\d{1,15}}/{name}", head=True)
async def get_file_of_extension(call: Call) -> web.StreamResponse:
    """Return a medium of an extension as its phone gets it."""
    extension = await extensions.get_extension(call.site, call.actor, call.path("number"))
    found = extension_media.find(call.site, extension, call.path("name"))
    try:
        path = await call.site.media.get(found.digest, found.descriptor.out_format)
    except Refused as refusal:
        raise Unavailable(f"The medium {refusal}.") from None
    return MediaFile(path, formats.content_type(names.format_name(found.descriptor)))


@endpoints.get(_EXTENSION + "/media")
async def list_media_of_extension(call: Call) -> list[SlotView]:
    """List the media that the extension's phone type can have, and which it has."""
    extension = await extensions.get_extension(call.site, call.actor, call.path("number"))
    found = await extension_media.slots(call.site, extension)
    return [SlotView.of(extension.number, each) for each in found]


@endpoints.put(_EXTENSION + "/media")
async def assign_media(call: Call, body: Assignment) -> list[SlotView]:
    """Let these be the media of the extension."""
    change = ExtensionChange(media=body.media)
    extension = await extensions.change_extension(
        call.site, call.actor, call.path("number"), change
    )
    found = await extension_media.slots(call.site, extension)
    return [SlotView.of(extension.number, each) for each in found]


def _id(call: Call) -> int:
    return int(call.path("id"))


async def _view(call: Call, medium: Media) -> MediaView:
    uses = await media.uses_of(call.site, [medium])
    return MediaView.of(medium, uses[medium.id])
