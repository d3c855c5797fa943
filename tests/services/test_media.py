"""Media on each kind of database."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from muru.db.models import Extension, ExtensionMedia, Media
from muru.errors import Conflict, Invalid, MuruError
from muru.services import extension_media, extensions, media, users
from muru.services.extensions import ExtensionChange, NewExtension
from muru.services.site import OPERATOR, Actor, Site
from tests.media.samples import tone


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def owner_of(site: Site) -> Actor:
    user = await users.get_user(site, OPERATOR, "owner")
    return Actor(user.id, user.username, is_admin=False)


async def test_life_of_a_medium(any_site: Site) -> None:
    """Uploaded, given to an extension, in use, taken away, deleted; its rows and file are gone."""
    site, owner = any_site, await owner_of(any_site)
    ring = await media.upload(site, owner, "Ring", pieces(tone()))
    new = NewExtension("SIP", "Desk", "2001", media={"ringback": ring.id})

    extension = await extensions.create_extension(site, owner, new)

    assert extension.media == {"ringback": ring.digest}
    assert (await media.list_media(site, owner))[1] == 1
    assert await media.uses_of(site, [ring]) == {ring.id: [("2001", "ringback")]}
    assert [each.key for each in await extension_media.slots(site, extension) if each.media] == [
        "ringback"
    ]
    with pytest.raises(Conflict, match=r"2001 \(ringback\)"):
        await media.delete(site, owner, ring.id)
    assert (await media.rename(site, owner, ring.id, "Other")).name == "Other"

    await extensions.delete_extension(site, owner, "2001")
    await media.tidy(site)
    await media.delete(site, owner, ring.id)

    async with site.database.read() as session:
        assert list(await session.scalars(select(Media))) == []
        assert list(await session.scalars(select(ExtensionMedia))) == []
    assert list((site.settings.data_dir / "media/kept").iterdir()) == []


async def test_deletion_while_it_is_given(any_site: Site) -> None:
    """Of giving and deleting at the same moment one happens: never an extension without a file."""
    site, owner = any_site, await owner_of(any_site)
    await extensions.create_extension(site, owner, NewExtension("SIP", "Desk", "2001"))
    for hertz in range(300, 306):
        ring = await media.upload(site, owner, "Ring", pieces(tone(hertz=hertz, seconds=0.2)))
        change = ExtensionChange(media={"moh": ring.id})

        given, deleted = await asyncio.gather(
            extensions.change_extension(site, owner, "2001", change),
            media.delete(site, owner, ring.id),
            return_exceptions=True,
        )

        refusals = [each for each in (given, deleted) if isinstance(each, BaseException)]
        assert [type(each) in {Invalid, Conflict} for each in refusals] == [True], refusals
        async with site.database.read() as session:
            rows = await session.execute(
                select(Extension.media, Media.digest)
                .outerjoin(ExtensionMedia, ExtensionMedia.extension_id == Extension.id)
                .outerjoin(Media, Media.id == ExtensionMedia.media_id)
            )
            ((copied, digest),) = rows
        assert copied == ({"moh": digest} if digest else {})
        await extensions.change_extension(site, owner, "2001", ExtensionChange(media={}))


async def test_upload_that_is_broken_off(site: Site) -> None:
    """Whoever goes away in the middle leaves nothing behind."""

    async def broken() -> AsyncIterator[bytes]:
        yield tone()[:1000]
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, MuruError)):
        await media.upload(site, await owner_of(site), "Ring", broken())

    assert site.media.uploads == {}
    files = (site.settings.data_dir / "media").rglob("*")
    assert [path for path in files if path.is_file()] == []
