"""Hands a medium's file out over HTTP, or parts of it."""

import math
from email.utils import formatdate
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from muru.media import formats

_HEADERS = {
    "Cache-Control": "private, no-cache",  # to be asked for again, which costs no content
    # What a stranger uploaded is never a page of ours.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class MediaFile(web.FileResponse):
    """A file with ETag and Last-Modified, of which a client may ask for parts.

    A date other than that of the file is another file, be it later or earlier: what is assigned now
    may have been made before what was assigned until now.
    """

    def __init__(self, path: Path, content_type: str) -> None:
        super().__init__(path, headers=_HEADERS)
        self.content_type = content_type
        if content_type == formats.BYTES:
            self.headers["Content-Disposition"] = "attachment"

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Answer *request*: 200, 206, 304, 412 or 416."""
        stat = self._path.stat()
        modified = math.ceil(stat.st_mtime)
        headers = request.headers.copy()
        since = request.if_modified_since
        if since is not None and since.timestamp() != modified:
            del headers["If-Modified-Since"]
        known = {f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"', formatdate(modified, usegmt=True)}
        if headers.get("If-Range", "") not in {"", *known}:
            headers.popall("Range", None)  # a part of another file: the whole of this one is sent
        headers.popall("If-Range", None)
        return await super().prepare(request.clone(headers=headers))
