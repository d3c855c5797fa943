"""Extensions: a number, a name and a phone type, with an owner."""

import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import ColumnElement, exc, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from muru.db import realtime
from muru.db.models import Extension, Media, TakenNumber, User
from muru.db.sessions import Transaction
from muru.errors import (
    Conflict,
    DatabaseDeadlock,
    Forbidden,
    Invalid,
    NotFound,
)
from muru.services import audit, extension_media, groups, kept_numbers, lines, passwords
from muru.services.hooks import run_hook
from muru.services.rules import (
    check_number,
    check_special,
    clean_extra_fields,
    clean_name,
    clean_text,
    is_reserved,
)
from muru.services.site import Actor, Site, retried
from muru.settings import Settings

_log = logging.getLogger(__name__)

_ATTEMPTS = 20  # at a free number, when many people take them at the same time
_CANDIDATES = 10
# The names of the constraints, or for SQLite those of the columns
_NUMBER_IS_UNIQUE = re.compile(r"muru_(?:extensions|numbers)[._]number")


class _Unset:
    """The type of :data:`UNSET`, which leaves a field as it is (None is a value)."""


UNSET = _Unset()


@dataclass(frozen=True, slots=True)
class NewExtension:
    """*number* None asks for any free one; *owner* None means whoever asks."""

    type: str
    name: str
    number: str | None = None
    info: str = ""
    public: bool = False
    location: dict[str, float] | None = None
    extra_fields: dict[str, Any] = field(default_factory=dict)
    media: extension_media.Choice = field(default_factory=dict)
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class ExtensionChange:
    """The fields to change; the others are :data:`UNSET`."""

    type: str | _Unset = UNSET
    name: str | _Unset = UNSET
    info: str | _Unset = UNSET
    public: bool | _Unset = UNSET
    location: dict[str, float] | _Unset | None = UNSET
    extra_fields: dict[str, Any] | _Unset = UNSET
    media: extension_media.Choice | _Unset = UNSET


async def create_extension(site: Site, actor: Actor, new: NewExtension) -> Extension:
    """Create an extension, run its flavor's hook, and tell Asterisk.

    Raises:
        Invalid: something in *new* does not fit, or the flavor's hook says so.
        Forbidden: the phone type, number or owner is not for *actor* to choose.
        Conflict: the number is taken, or the owner has as many as one may have.
    """
    flavor = site.registry.require_type(new.type)
    check_special(site.settings, actor, flavor)
    if new.number is not None:
        check_number(site.settings, actor, new.number)
    extension = Extension(
        name=clean_name(site.settings, actor, flavor, new.name),
        type=new.type,
        info=clean_text("info", new.info, 1000),
        public=new.public,
        location=new.location,
        extra_fields=clean_extra_fields(flavor, new.extra_fields),
    )
    media = await extension_media.prepare(site, actor, new.type, new.media)
    for _ in range(_ATTEMPTS):
        number = new.number or (await free_numbers(site, 1))[0]
        try:
            return await _insert(site, actor, _copy(extension, number), new.owner, media)
        except DatabaseDeadlock:
            continue
        except Conflict as conflict:
            if new.number is not None or conflict.key != "number-taken":
                raise
    raise Conflict("Everybody takes numbers at the moment; try again.", key="number-taken")


async def _insert(
    site: Site,
    actor: Actor,
    extension: Extension,
    owner: str | None,
    media: Mapping[str, Media],
) -> Extension:
    flavor = site.registry.require_type(extension.type)
    extension.password = passwords.sip_password()
    extension.token = passwords.dial_token()
    try:
        async with site.transaction() as transaction:
            user = await _owner(transaction.session, actor, owner)
            await _check_quota(site.settings, transaction.session, user)
            await kept_numbers.take(transaction.session, actor, extension.number, user)
            extension.owner = user
            await groups.check(transaction, site.registry, actor, extension)
            transaction.session.add(extension)
            await transaction.session.flush()
            transaction.session.add(TakenNumber(number=extension.number, extension_id=extension.id))
            await transaction.session.flush()
            await extension_media.assign(transaction.session, flavor, extension, media)
            await run_hook(transaction, flavor.on_extension_create, actor, extension)
            changed = await lines.hold(transaction.session, site.registry, actor, extension)
    except exc.IntegrityError as error:
        # Not looked up: whoever took the number may have given it back by now.
        if _NUMBER_IS_UNIQUE.search(str(error.orig)):
            raise Conflict(
                f"The number {extension.number} is taken; choose another.", key="number-taken"
            ) from None
        raise
    site.resync_soon(changed)
    return extension


@retried
async def change_extension(
    site: Site, actor: Actor, number: str, change: ExtensionChange
) -> Extension:
    """Change an extension, run its flavor's hook, and tell Asterisk.

    The type can only change to another one of the same flavor. Raises as :func:`create_extension`,
    and NotFound.
    """
    media = await _prepare_media(site, actor, number, change)
    async with site.transaction() as transaction:
        extension = await _require(transaction.session, actor, number, for_update=True)
        flavor = site.registry.require_type(extension.type)
        changes = {
            each.name: value
            for each in fields(change)
            if (value := getattr(change, each.name)) is not UNSET and each.name != "media"
        }
        if "type" in changes and site.registry.for_type(changes["type"]) is not flavor:
            raise Invalid(
                f"{number} cannot become a {changes['type']}: delete it and create it anew.",
                {"type": f"choose one of {', '.join(flavor.PHONE_TYPES)}"},
            )
        if "name" in changes and changes["name"] != extension.name:
            changes["name"] = clean_name(site.settings, actor, flavor, changes["name"])
        if "info" in changes:
            changes["info"] = clean_text("info", changes["info"], 1000)
        if "extra_fields" in changes:
            changes["extra_fields"] = clean_extra_fields(flavor, changes["extra_fields"])
        for name, value in changes.items():
            setattr(extension, name, value)
        if named := [*changes, *(["media"] if media is not None else [])]:
            target = f"{number}: {', '.join(named)}"
            _note(transaction, actor, extension, "extension.change", target)
        await groups.check(transaction, site.registry, actor, extension)
        await transaction.session.flush()
        if media is None:
            await extension_media.keep_fitting(transaction.session, flavor, extension)
        else:
            await extension_media.assign(transaction.session, flavor, extension, media)
        await run_hook(transaction, flavor.on_extension_update, actor, extension)
        changed = await lines.hold(transaction.session, site.registry, actor, extension)
    site.resync_soon(changed)
    return extension


async def _prepare_media(
    site: Site, actor: Actor, number: str, change: ExtensionChange
) -> dict[str, Media] | None:
    """Return the media of a change for the type that the extension has then; None: no change."""
    if isinstance(change.media, _Unset):
        return None
    extension = await get_extension(site, actor, number)
    flavor, type_ = site.registry.require_type(extension.type), extension.type
    if not isinstance(change.type, _Unset) and site.registry.for_type(change.type) is flavor:
        type_ = change.type
    slots = await extension_media.slots(site, extension)
    present = {slot.media.id for slot in slots if slot.media}
    return await extension_media.prepare(site, actor, type_, change.media, present)


@retried
async def renew_password(site: Site, actor: Actor, number: str) -> Extension:
    """Give the extension's SIP account a new password; the old one is refused from now on."""
    async with site.transaction() as transaction:
        extension = await _require(transaction.session, actor, number, for_update=True)
        flavor = site.registry.require_type(extension.type)
        extension.password = passwords.sip_password()
        _note(transaction, actor, extension, "extension.password", number)
        await transaction.session.flush()
        await run_hook(transaction, flavor.on_extension_update, actor, extension)
        line = await lines.line_of(transaction.session, extension)
    site.resync_soon({line.device_id} if line else set())
    return extension


@retried
async def delete_extension(site: Site, actor: Actor, number: str) -> None:
    """Run the flavor's hook, then delete the extension, and make Asterisk forget its phones.

    Where the flavor is not active any more, what muru wrote into Asterisk's tables goes all the
    same.
    """
    async with site.transaction() as transaction:
        extension = await _require(transaction.session, actor, number, for_update=True)
        flavor = site.registry.for_type(extension.type)
        if flavor is not None:
            await run_hook(transaction, flavor.on_extension_delete, actor, extension)
        line = await lines.line_of(transaction.session, extension)
        changed = await lines.release(transaction.session, line)
        await groups.forget(transaction, site, actor, number)
        await kept_numbers.keep(transaction.session, site.settings, extension)
        _note(transaction, actor, extension, "extension.delete", f"{number} {extension.name}")
        await transaction.session.delete(extension)
        await transaction.run(lambda _, asterisk: realtime.replace(asterisk, number, []))
    site.resync_soon(changed)


async def get_extension(site: Site, actor: Actor, number: str) -> Extension:
    """Return an extension with all that its owner may know.

    Raises:
        NotFound: there is none, or it is somebody else's and *actor* no administrator.
    """
    async with site.database.read() as session:
        return await _require(session, actor, number)


async def list_extensions(
    site: Site,
    actor: Actor,
    *,
    search: str = "",
    offset: int = 0,
    limit: int = 50,
    own: bool = False,
) -> tuple[list[Extension], int]:
    """Return some of the extensions that *actor* may see, by number, and how many there are.

    *search* is looked for in number and name; *own* leaves out those of others.
    """
    condition = _search(search)
    if own or not actor.is_admin:
        condition.append(Extension.owner_id == actor.user_id)
    return await _page(site, condition, offset, limit)


async def numbers_of(site: Site, actor: Actor) -> list[str]:
    """Return the numbers of *actor*'s own extensions."""
    async with site.database.read() as session:
        return list(
            await session.scalars(
                select(Extension.number)
                .where(Extension.owner_id == actor.user_id)
                .order_by(Extension.number)
            )
        )


async def phonebook(
    site: Site, *, search: str = "", offset: int = 0, limit: int = 50
) -> tuple[list[Extension], int]:
    """Return some of the public extensions, as :func:`list_extensions`."""
    return await _page(site, [Extension.public.is_(True), *_search(search)], offset, limit)


async def free_numbers(site: Site, count: int) -> list[str]:
    """Return up to *count* numbers that nobody has and everybody may choose, in random order.

    Raises:
        Conflict: all are taken.
    """
    digits = site.settings.extension_digits
    lowest, span = 10 ** (digits - 1), 9 * 10 ** (digits - 1)
    found: list[str] = []
    async with site.database.read() as session:
        # Chance finds a free number at once unless the site is nearly full.
        for _ in range(10):
            drawn = {str(lowest + secrets.randbelow(span)) for _ in range(max(count, _CANDIDATES))}
            found += await _untaken(site.settings, session, drawn - set(found))
            if len(found) >= count:
                return found[:count]
        if span <= 100_000:
            found = await _untaken(site.settings, session, map(str, range(lowest, lowest + span)))
    if not found:
        raise Conflict(
            "All numbers are taken; ask the people who run this site for more digits.",
            key="no-free-number",
        )
    secrets.SystemRandom().shuffle(found)
    return found[:count]


async def check_free(site: Site, actor: Actor, number: str) -> None:
    """Tell whether *actor* could have that number for a new extension, as far as is known now.

    Raises:
        Invalid, Conflict: not; the text says why.
    """
    check_number(site.settings, actor, number)
    async with site.database.read() as session:
        query = select(TakenNumber.id).where(TakenNumber.number == number)
        if await session.scalar(query) is not None:
            raise Conflict(f"The number {number} is taken; choose another.", key="number-taken")
        await kept_numbers.check(session, actor, number, actor.user_id)


async def _untaken(
    settings: Settings, session: AsyncSession, candidates: Iterable[str]
) -> list[str]:
    allowed = [number for number in candidates if not is_reserved(settings, number)]
    taken: set[str] = set()
    for chunk in realtime.batches(allowed):
        taken.update(
            await session.scalars(select(TakenNumber.number).where(TakenNumber.number.in_(chunk)))
        )
        taken |= await kept_numbers.kept(session, chunk)
    return [number for number in allowed if number not in taken]


async def _require(
    session: AsyncSession, actor: Actor, number: str, *, for_update: bool = False
) -> Extension:
    query = select(Extension).where(Extension.number == number)
    if for_update:
        # The owner by a query of its own: MariaDB would lock what is joined as well.
        query = query.with_for_update(of=Extension).options(selectinload(Extension.owner))
    extension = await session.scalar(query)
    if extension is None or not actor.may_touch(extension.owner_id):
        raise NotFound(f"There is no extension {number}{'' if actor.is_admin else ' of yours'}.")
    return extension


def _note(
    transaction: Transaction, actor: Actor, extension: Extension, action: str, target: str
) -> None:
    audit.note_for(transaction.session, actor, extension.owner_id, action, target)


async def _owner(session: AsyncSession, actor: Actor, username: str | None) -> User:
    name = actor.username if username is None else username.strip().lower()
    if name != actor.username and not actor.is_admin:
        raise Forbidden("Only administrators create extensions for others.")
    # Locked, so that the quota holds, and the owner stays, until this one is there.
    owner = await session.scalar(select(User).where(User.username == name).with_for_update())
    if owner is None:
        raise Invalid("There is no such user.", {"owner": "name an existing user"})
    return owner


async def _check_quota(settings: Settings, session: AsyncSession, owner: User) -> None:
    if owner.is_admin:
        return
    count = select(func.count(Extension.id)).where(Extension.owner_id == owner.id)
    if (await session.scalar(count) or 0) >= settings.extensions_per_user:
        raise Conflict(
            f"{owner.username} has {settings.extensions_per_user} extensions already, and more "
            "are not allowed here.",
            key="too-many-extensions",
        )


def _copy(extension: Extension, number: str) -> Extension:
    """Return a fresh row, since one whose transaction failed cannot be added again."""
    return Extension(
        number=number,
        name=extension.name,
        type=extension.type,
        info=extension.info,
        public=extension.public,
        location=extension.location,
        extra_fields=extension.extra_fields,
    )


def _search(search: str) -> list[ColumnElement[bool]]:
    if not search:
        return []
    return [
        or_(
            Extension.number.startswith(search, autoescape=True),
            Extension.name.icontains(search, autoescape=True),
        )
    ]


async def _page(
    site: Site, conditions: list[ColumnElement[bool]], offset: int, limit: int
) -> tuple[list[Extension], int]:
    async with site.database.read() as session:
        total = await session.scalar(select(func.count(Extension.id)).where(*conditions)) or 0
        page = (
            select(Extension)
            .where(*conditions)
            .order_by(Extension.number)
            .offset(offset)
            .limit(limit)
        )
        return list(await session.scalars(page)), total
