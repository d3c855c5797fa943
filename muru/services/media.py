"""Media: what people upload, and may give to their extensions."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from muru.db.models import Extension, ExtensionMedia, Media, User
from muru.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unavailable,
)
from muru.media import Refused, sounds
from muru.media.library import Prepared
from muru.services.rules import clean_text
from muru.services.site import Actor, Site, retried

_log = logging.getLogger(__name__)

_MB = 2**20
_LONGEST_NAME = 100
_AT_ONCE = 3  # uploads of one user
_PIECE_TAKES = 30.0  # seconds at most
_UPLOAD_TAKES = 900.0


async def upload(
    site: Site, actor: Actor, name: str, content: AsyncIterable[bytes], *, raw: bool = False
) -> Media:
    """Take a picture or a sound, told by its content; or any file as it is, if *raw*.

    Raises:
        Invalid: it is neither, or one that does harm; the field is ``file``.
        Forbidden: raw files are not allowed.
        TooLarge, Conflict: it is larger than one may be, or all are together.
    """
    cleaned = _clean_name(name)
    if raw and not (site.settings.media_raw or actor.is_admin):
        raise Forbidden("Only pictures and sounds may be uploaded here.", key="media-raw")
    if actor.user_id is None:
        raise Forbidden("Media belong to users; log in as one.")
    await _check_room(site, actor, 0)
    async with _Turn(site.media.uploads, actor.user_id), site.media.incoming() as file:
        await _receive(site, actor, file, content)
        try:
            async with site.media.prepared(file, raw=raw) as prepared:
                return await _add(site, actor, cleaned, prepared)
        except Refused as refusal:
            raise Invalid(
                f"This file {refusal}.", {"file": f"it {refusal}"}, key="media-refused"
            ) from None


async def list_media(
    site: Site, actor: Actor, *, search: str = "", offset: int = 0, limit: int = 50
) -> tuple[list[Media], int]:
    """Return some of one's own media, for administrators of all, the newest first."""
    conditions: list[ColumnElement[bool]] = []
    if search:
        conditions.append(Media.name.icontains(search, autoescape=True))
    if not actor.is_admin:
        conditions.append(Media.owner_id == actor.user_id)
    async with site.database.read() as session:
        total = await session.scalar(select(func.count(Media.id)).where(*conditions)) or 0
        page = select(Media).where(*conditions).order_by(Media.id.desc())
        return list(await session.scalars(page.offset(offset).limit(limit))), total


async def get_media(site: Site, actor: Actor, media_id: int) -> Media:
    """Return one's own medium, for administrators any.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    async with site.database.read() as session:
        return await _require(session, actor, media_id)


async def uses_of(site: Site, media: Iterable[Media]) -> dict[int, list[tuple[str, str]]]:
    """Return by whom media are used: by id the numbers of extensions, each with the key."""
    found: dict[int, list[tuple[str, str]]] = {each.id: [] for each in media}
    ids = sorted(found)
    async with site.database.read() as session:
        for start in range(0, len(ids), 200):
            for media_id, number, key in await session.execute(_uses(ids[start : start + 200])):
                found[media_id].append((number, key))
    return found


@retried
async def rename(site: Site, actor: Actor, media_id: int, name: str) -> Media:
    cleaned = _clean_name(name)
    async with site.transaction() as transaction:
        media = await _require(transaction.session, actor, media_id, for_update=True)
        media.name = cleaned
    return media


@retried
async def delete(site: Site, actor: Actor, media_id: int) -> None:
    """Delete a medium that no extension has.

    Raises:
        Conflict: extensions have it; the text names them.
    """
    async with site.media.turn:
        async with site.transaction() as transaction:
            session = transaction.session
            media = await _require(session, actor, media_id, for_update=True)
            uses = list(await session.execute(_uses([media.id]).limit(5)))
            if uses:
                where = ", ".join(f"{number} ({key})" for _, number, key in uses)
                raise Conflict(f"{media.name} is in use: {where}.", key="media-in-use")
            await session.delete(media)
        await _drop_unused(site, media.digest)


async def tidy(site: Site) -> None:
    """Delete what nobody has any more, and have Asterisk find all sounds that it is to play."""
    async with site.media.turn:
        for digest in await _delete_ownerless(site):
            await _drop_unused(site, digest)
        async with site.database.read() as session:
            await site.media.sweep(set(await session.scalars(select(Media.digest).distinct())))
    digests = await _digests_at_asterisk(site)
    for digest in digests:
        try:
            await sounds.place(site.media, site.settings, digest)
        except (Refused, Unavailable) as error:
            _log.warning("Asterisk lacks the sound %s: %s", digest, error)
    await sounds.sweep(site.settings, digests)


class _Turn:
    """Counts the uploads of a user, of which only a few go on at once."""

    def __init__(self, uploads: Counter[int], user_id: int) -> None:
        self._uploads, self._user_id = uploads, user_id

    async def __aenter__(self) -> None:
        if self._uploads[self._user_id] >= _AT_ONCE:
            raise TooManyRequests("Wait until your other uploads are done.", retry_after=5)
        self._uploads[self._user_id] += 1

    async def __aexit__(self, *_: object) -> None:
        self._uploads[self._user_id] -= 1
        if not self._uploads[self._user_id]:
            del self._uploads[self._user_id]


def _is_limited(site: Site, actor: Actor) -> bool:
    return not actor.is_admin or site.settings.media_limit_admins


async def _receive(site: Site, actor: Actor, file: Path, content: AsyncIterable[bytes]) -> None:
    most = site.settings.media_max_mb * _MB if _is_limited(site, actor) else None
    size = 0
    try:
        async with asyncio.timeout(_UPLOAD_TAKES):
            with await asyncio.to_thread(file.open, "wb") as out:
                pieces = aiter(content)
                while piece := await asyncio.wait_for(anext(pieces, b""), _PIECE_TAKES):
                    size += len(piece)
                    if most is not None and size > most:
                        raise TooLarge(f"A file has {site.settings.media_max_mb} MB at most here.")
                    await asyncio.to_thread(_write, out, piece)
    except TimeoutError:
        raise Invalid("The upload took too long.", {"file": "try again"}) from None


def _write(out: BinaryIO, piece: bytes) -> None:
    try:
        out.write(piece)
    except OSError as error:
        raise Unavailable("Media cannot be written at the moment.") from error


async def _add(site: Site, actor: Actor, name: str, prepared: Prepared) -> Media:
    media = Media(
        owner_id=actor.user_id,
        type=prepared.type.value,
        name=name,
        digest=prepared.digest,
        size=prepared.size,
        details=prepared.details,
    )
    async with site.media.turn, site.transaction() as transaction:
        # Locked, so that the quota holds.
        query = select(User).where(User.id == actor.user_id).with_for_update()
        media.owner = await transaction.session.scalar(query)
        await _check_quota(site, actor, transaction.session, prepared.size)
        await site.media.adopt(prepared)
        transaction.session.add(media)
    return media


async def _check_room(site: Site, actor: Actor, size: int) -> None:
    async with site.database.read() as session:
        await _check_quota(site, actor, session, size)


async def _check_quota(site: Site, actor: Actor, session: AsyncSession, size: int) -> None:
    if not _is_limited(site, actor):
        return
    query = select(func.sum(Media.size)).where(Media.owner_id == actor.user_id)
    used = int(await session.scalar(query) or 0)
    most = site.settings.media_quota_mb
    if used + size > most * _MB or used >= most * _MB:
        raise Conflict(
            f"Your media would take more than {most} MB: delete some first.", key="media-quota"
        )


async def _require(
    session: AsyncSession, actor: Actor, media_id: int, *, for_update: bool = False
) -> Media:
    query = select(Media).where(Media.id == media_id)
    media = await session.scalar(query.with_for_update(of=Media) if for_update else query)
    if media is None or not (actor.is_admin or actor.user_id == media.owner_id):
        raise NotFound(f"There is no medium {media_id}{'' if actor.is_admin else ' of yours'}.")
    return media


def _uses(ids: Sequence[int]) -> Select[int, str, str]:
    return (
        select(ExtensionMedia.media_id, Extension.number, ExtensionMedia.key)
        .join(Extension, Extension.id == ExtensionMedia.extension_id)
        .where(ExtensionMedia.media_id.in_(ids))
        .order_by(Extension.number, ExtensionMedia.key)
    )


def _clean_name(name: str) -> str:
    cleaned = clean_text("name", name, _LONGEST_NAME)
    if not cleaned:
        raise Invalid("A medium needs a name.", {"name": "must not be empty"})
    return cleaned


async def _drop_unused(site: Site, digest: str) -> None:
    async with site.database.read() as session:
        query = select(Media.id).where(Media.digest == digest).limit(1)
        if await session.scalar(query) is None:
            await site.media.drop(digest)


async def _delete_ownerless(site: Site) -> list[str]:
    """Delete the media of accounts that are gone, but for those that extensions have."""
    used = exists().where(ExtensionMedia.media_id == Media.id)
    async with site.transaction() as transaction:
        query = select(Media).where(Media.owner_id.is_(None), ~used)
        found = list(await transaction.session.scalars(query))
        for media in found:
            await transaction.session.delete(media)
    return [media.digest for media in found]


async def _digests_at_asterisk(site: Site) -> set[str]:
    types = {
        phone_type: flavor.ASTERISK_MEDIA
        for entry, flavor in site.registry.active()
        for phone_type in entry.phone_types
        if flavor.ASTERISK_MEDIA
    }
    keys = set().union(*types.values()) if types else set()
    async with site.database.read() as session:
        rows = await session.execute(
            select(Extension.type, ExtensionMedia.key, Media.digest)
            .join(ExtensionMedia, ExtensionMedia.extension_id == Extension.id)
            .join(Media, Media.id == ExtensionMedia.media_id)
            .where(ExtensionMedia.key.in_(keys))
        )
        return {digest for type_, key, digest in rows if key in types.get(type_, ())}
