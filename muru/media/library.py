"""The files of media on disk: what was uploaded, and the formats that were made of it.

``media/kept`` has what people uploaded, converted to one lossless format, each under the SHA-256 of
its content. ``media/made`` has what was made of that for phones: it can be made again, so what was
asked for longest ago goes when there is too much.
"""

import asyncio
import hashlib
import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muru.errors import Unavailable
from muru.flavor import AudioFormat, ImageFormat, MediaType
from muru.media import Refused, formats
from muru.media.converter import Converter
from muru.media.sniff import HEAD, Sniffed, sniff
from muru.media.worker import Job
from muru.settings import Settings

VERSION = 1  # of what is made: raise it when the same format comes out otherwise

_OLD = 3600.0  # seconds after which a file that nothing refers to is left over


@dataclass(frozen=True, slots=True)
class Prepared:
    """An upload in the form in which it is kept, not yet in its place.

    *digest* will be its name; *details* tells width and height, or length.
    """

    path: Path
    type: MediaType
    digest: str
    size: int
    details: dict[str, Any]


class Library:
    """The media of one application."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_dir.absolute() / "media"
        self._converter = Converter()
        self._making: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self.uploads: Counter[int] = Counter()  # that go on, by user
        #: Held while a file and the rows that refer to it come or go together.
        self.turn = asyncio.Lock()

    @asynccontextmanager
    async def incoming(self) -> AsyncIterator[Path]:
        """Yield the path of a new file, which goes at the end."""
        path = await asyncio.to_thread(self._draft)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @asynccontextmanager
    async def prepared(self, upload: Path, *, raw: bool = False) -> AsyncIterator[Prepared]:
        """Yield *upload* in the format in which it is kept, without what else was in it.

        *raw* leaves it as it is. What is not adopted goes at the end.

        Raises:
            Refused: it is no picture or sound, or one that does harm.
            Unavailable: the disk is full, or there is too much to do.
        """
        if raw:
            digest, size = await asyncio.to_thread(_hash, upload)
            if not size:
                raise Refused("is empty")
            yield Prepared(upload, MediaType.RAW, digest, size, {})
            return
        found = _sniffed(await asyncio.to_thread(_head, upload))
        options: dict[str, Any] = {"format_": found.format}
        if found.kind == "audio":
            options["seconds"] = self._settings.media_max_seconds
        async with self.incoming() as target:
            job = Job("store", found.kind, str(upload), str(target), options)
            details = await self._converter.run(job)
            digest, size = await asyncio.to_thread(_hash, target)
            yield Prepared(target, MediaType(found.kind), digest, size, details)

    async def adopt(self, prepared: Prepared) -> None:
        """Put an upload where it is found by its digest.

        To be called with :attr:`turn`, until the row that refers to it is committed.
        """
        await asyncio.to_thread(_move, prepared.path, self._kept(prepared.digest))

    async def get(self, digest: str, format_: ImageFormat | AudioFormat | None = None) -> Path:
        """Return the file of a medium: as it is kept, or in another format, made if need be.

        Raises:
            Refused: that cannot be made of it.
            Unavailable: the file is gone, the disk is full, or there is too much to do.
        """
        kept = self._kept(digest)
        if format_ is None:
            await asyncio.to_thread(_require, kept)
            return kept
        name = version_of(digest, format_)
        made = self._folder / "made" / name
        self._waiting[name] += 1
        try:
            async with self._making.setdefault(name, asyncio.Lock()):
                if not await asyncio.to_thread(_touch, made):
                    await self._make(kept, made, format_)
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name], self._making[name]
        return made

    async def drop(self, digest: str) -> None:
        """Delete a file that no row refers to. To be called with :attr:`turn`."""
        await asyncio.to_thread(self._kept(digest).unlink, missing_ok=True)

    async def sweep(self, digests: Collection[str]) -> None:
        """Delete files that are none of *digests*, if they are no longer new."""
        await asyncio.to_thread(self._sweep, frozenset(digests))

    def _kept(self, digest: str) -> Path:
        return self._folder / "kept" / digest

    async def _make(self, kept: Path, made: Path, format_: ImageFormat | AudioFormat) -> None:
        await asyncio.to_thread(_require, kept)
        kind: Any = "image" if isinstance(format_, ImageFormat) else "audio"
        async with self.incoming() as target:
            options = formats.options(format_)
            await self._converter.run(Job("convert", kind, str(kept), str(target), options))
            await asyncio.to_thread(_move, target, made)
        await asyncio.to_thread(_shrink, made.parent, self._settings.media_cache_mb * 2**20)

    def _draft(self) -> Path:
        try:
            self._settings.make_data_dir()
            folder = self._folder / "incoming"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / secrets.token_hex(16)
            path.touch(mode=0o600)
        except OSError as error:
            raise Unavailable("Media cannot be written at the moment.") from error
        return path

    def _sweep(self, digests: frozenset[str]) -> None:
        for name in ("kept", "incoming"):
            for path in _files(self._folder / name):
                old = _age(path) > _OLD
                if old and (name == "incoming" or path.name not in digests):
                    path.unlink(missing_ok=True)


def version_of(digest: str, format_: ImageFormat | AudioFormat) -> str:
    """Return a name that changes with the content, with the format, and with how it is made."""
    return hashlib.sha256(f"{digest} {format_!r} {VERSION}".encode()).hexdigest()


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _sniffed(head: bytes) -> Sniffed:
    if not head:
        raise Refused("is empty")
    found = sniff(head)
    if found is None:
        raise Refused(
            "is neither a picture (PNG, JPEG, GIF, BMP, TIFF, WebP, AVIF) nor a sound (WAV, FLAC, "
            "Ogg, MP3, AIFF)"
        )
    return found


def _require(path: Path) -> None:
    if not path.exists():
        raise Unavailable("The file of this medium is gone.")


def _hash(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def _move(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source.chmod(0o600)
        source.replace(target)
    except OSError as error:
        raise Unavailable("Media cannot be written at the moment.") from error


def _touch(path: Path) -> bool:
    """Note that a file is in use, without changing when it was made; tell if it is there."""
    try:
        found = path.stat()
        os.utime(path, ns=(time.time_ns(), found.st_mtime_ns))
    except FileNotFoundError:
        return False
    return True


def _shrink(folder: Path, bound: int) -> None:
    """Delete what was used longest ago until the rest is not larger than *bound* bytes."""
    found = [(path, path.stat()) for path in _files(folder)]
    found.sort(key=lambda each: each[1].st_atime_ns)
    size = sum(stat.st_size for _, stat in found)
    for path, stat in found[:-1]:  # the newest is what was just made
        if size <= bound:
            return
        path.unlink(missing_ok=True)
        size -= stat.st_size


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
