"""Which media an extension has: for its phone, and for Asterisk to play."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from muru.db.models import Extension, ExtensionMedia, Media
from muru.errors import Invalid, NotFound
from muru.flavor import MediaDescriptor, PhoneFlavor
from muru.media import Refused, names, sounds
from muru.services.site import Actor, Site

Choice = Mapping[str, int | None]  # ids of media by the names in a flavor's MEDIA
_A = {"audio": "a sound", "image": "a picture", "raw": "a file of its own kind"}


@dataclass(frozen=True, slots=True)
class Slot:
    """A name in a flavor's ``MEDIA``, and what an extension has for it, if anything."""

    key: str
    descriptor: MediaDescriptor
    media: Media | None


@dataclass(frozen=True, slots=True)
class Found:
    """A medium as an extension's phone gets it."""

    digest: str
    descriptor: MediaDescriptor


async def prepare(
    site: Site,
    actor: Actor,
    phone_type: str,
    chosen: Choice,
    present: Collection[int] = (),
) -> dict[str, Media]:
    """Return the media that *actor* chose for an extension, converted for its phone already.

    One's own may be chosen, and those that the extension has at *present*, which an administrator
    may have given to it. To be called before the transaction, as converting takes a while.

    Raises:
        Invalid: the phone type has no such, or one of *chosen* does not fit; fields are
            ``media.<name>``.
    """
    if not chosen:
        return {}
    flavor = site.registry.require_type(phone_type)
    descriptors = flavor.media_for(phone_type)
    found: dict[str, Media] = {}
    faults: dict[str, str] = {}
    async with site.database.read() as session:
        for key, media_id in chosen.items():
            if key not in descriptors:
                faults[f"media.{key}"] = "this phone type has no such medium"
            elif media_id is not None:
                media = await session.get(Media, media_id)
                if media is None or not _may_choose(actor, media, present):
                    faults[f"media.{key}"] = "there is no such medium of yours"
                elif media.type != descriptors[key].media_type:
                    faults[f"media.{key}"] = f"it must be {_A[descriptors[key].media_type]}"
                else:
                    found[key] = media
    for key, media in found.items():
        try:
            await _convert(site, flavor, key, descriptors[key], media)
        except Refused as refusal:
            faults[f"media.{key}"] = f"it {refusal}"
    if faults:
        raise Invalid("Some media do not fit.", faults)
    return found


async def assign(
    session: AsyncSession, flavor: PhoneFlavor, extension: Extension, media: Mapping[str, Media]
) -> None:
    """Let *media* be all that *extension* has; its row must be there. Part of a transaction.

    Raises:
        Invalid: one that is required is missing, or was deleted just now.
    """
    check_required(flavor, extension.type, media)
    if not media and not extension.media:
        return
    ids = {each.id for each in media.values()}
    # Locked, so that none is deleted meanwhile.
    query = select(Media.id).where(Media.id.in_(ids)).order_by(Media.id).with_for_update()
    there = set(await session.scalars(query)) if ids else set()
    if gone := {
        f"media.{key}": "it is gone" for key, each in media.items() if each.id not in there
    }:
        raise Invalid("Some media were deleted meanwhile.", gone)
    await session.execute(delete(ExtensionMedia).where(ExtensionMedia.extension_id == extension.id))
    session.add_all(
        ExtensionMedia(extension_id=extension.id, key=key, media_id=each.id)
        for key, each in media.items()
    )
    extension.media = {key: each.digest for key, each in media.items()}
    await session.flush()


async def keep_fitting(session: AsyncSession, flavor: PhoneFlavor, extension: Extension) -> None:
    """Take away what *extension*'s type has no use for: it may have been another type before.

    Raises:
        Invalid: one that is required is missing.
    """
    descriptors = flavor.media_for(extension.type)
    check_required(flavor, extension.type, extension.media)
    if extension.media.keys() <= descriptors.keys():
        return
    await session.execute(
        delete(ExtensionMedia).where(
            ExtensionMedia.extension_id == extension.id,
            ExtensionMedia.key.not_in(descriptors.keys()),
        )
    )
    extension.media = {key: each for key, each in extension.media.items() if key in descriptors}


def check_required(flavor: PhoneFlavor, phone_type: str, present: Mapping[str, object]) -> None:
    """Raise Invalid if one of the media that a phone type needs is not *present*."""
    missing = {
        f"media.{key}": f"choose one: {descriptor.label}"
        for key, descriptor in flavor.media_for(phone_type).items()
        if descriptor.required and key not in present
    }
    if missing:
        raise Invalid(f"A {phone_type} needs media that are missing.", missing)


async def slots(site: Site, extension: Extension) -> list[Slot]:
    """Return what the extension's type can have, and what it has."""
    flavor = site.registry.require_type(extension.type)
    async with site.database.read() as session:
        query = select(ExtensionMedia).where(ExtensionMedia.extension_id == extension.id)
        given = {each.key: each.media for each in await session.scalars(query)}
    return [
        Slot(key, descriptor, given.get(key))
        for key, descriptor in flavor.media_for(extension.type).items()
    ]


def find(site: Site, extension: Extension, name: str) -> Found:
    """Return the medium that an extension has under *name*, with or without a suffix.

    Raises:
        NotFound: it has none.
    """
    flavor = site.registry.for_type(extension.type)
    descriptors = flavor.media_for(extension.type) if flavor else {}
    key = names.key_of(descriptors, name)
    digest = extension.media.get(key) if key else None
    if key is None or digest is None:
        raise NotFound(f"{extension.number} has no medium {name!r}.")
    return Found(digest, descriptors[key])


def _may_choose(actor: Actor, media: Media, present: Collection[int]) -> bool:
    return actor.is_admin or media.owner_id == actor.user_id or media.id in present


async def _convert(
    site: Site, flavor: PhoneFlavor, key: str, descriptor: MediaDescriptor, media: Media
) -> None:
    await site.media.get(media.digest, descriptor.out_format)
    if key in flavor.ASTERISK_MEDIA:
        await sounds.place(site.media, site.settings, media.digest)
