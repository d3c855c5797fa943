"""Finds extensions as an operator looks for them, and does something with many at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, func, or_, select

from muru.db.models import DeviceLine, Extension, User
from muru.db.realtime import batches
from muru.services import audit
from muru.services.site import Actor, Site

State = Literal["", "registered", "missing"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; what is empty does not matter. *flavor* is the name of one."""

    search: str = ""
    flavor: str = ""
    owner: str = ""
    state: State = ""


async def find(site: Site, actor: Actor, wanted: Wanted, registered: Collection[str]) -> list[str]:
    """Return the numbers that fit, in order; *registered* are those at which a phone is.

    Raises:
        Forbidden: *actor* is no administrator.
    """
    actor.require_admin()
    query = select(Extension.number).join(User, User.id == Extension.owner_id)
    query = query.where(*_conditions(site, wanted)).order_by(Extension.number)
    async with site.database.read() as session:
        numbers = list(await session.scalars(query))
    if not wanted.state:
        return numbers
    return [each for each in numbers if (each in registered) == (wanted.state == "registered")]


async def find_some(
    site: Site,
    actor: Actor,
    wanted: Wanted,
    registered: Collection[str],
    *,
    offset: int,
    limit: int,
) -> tuple[list[Extension], int]:
    """Return some of the extensions that :func:`find` finds, and how many these are."""
    if wanted.state:  # which the database does not know
        numbers = await find(site, actor, wanted, registered)
        return await load(site, actor, numbers[offset : offset + limit]), len(numbers)
    actor.require_admin()
    of_owner, conditions = User.id == Extension.owner_id, _conditions(site, wanted)
    count = select(func.count(Extension.id)).join(User, of_owner).where(*conditions)
    query = select(Extension).join(User, of_owner).where(*conditions).order_by(Extension.number)
    async with site.database.read() as session:
        total = await session.scalar(count) or 0
        return list(await session.scalars(query.offset(offset).limit(limit))), total


async def load(site: Site, actor: Actor, numbers: Sequence[str]) -> list[Extension]:
    """Return the extensions with those *numbers*, in order, without those that are gone."""
    actor.require_admin()
    found: list[Extension] = []
    async with site.database.read() as session:
        for chunk in batches(numbers):
            found += await session.scalars(select(Extension).where(Extension.number.in_(chunk)))
    return sorted(found, key=lambda each: each.number)


async def resync(site: Site, actor: Actor, numbers: Sequence[str]) -> int:
    """Have the phones of extensions fetch their configuration again; return how many are told."""
    actor.require_admin()
    devices: set[int] = set()
    async with site.transaction() as transaction:
        session = transaction.session
        for chunk in batches(numbers):
            query = select(DeviceLine.device_id).join(
                Extension, Extension.id == DeviceLine.extension_id
            )
            devices.update(await session.scalars(query.where(Extension.number.in_(chunk))))
        audit.note(session, actor, "extension.resync", f"{len(devices)}: {', '.join(numbers)}")
    site.resync_soon(devices)
    return len(devices)


def _conditions(site: Site, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.search:
        conditions.append(
            or_(
                Extension.number.startswith(wanted.search, autoescape=True),
                Extension.name.icontains(wanted.search, autoescape=True),
                User.username.startswith(wanted.search.lower(), autoescape=True),
            )
        )
    if wanted.flavor:
        entries = [each for each in site.registry.listing() if each.name == wanted.flavor]
        types = [phone_type for entry in entries for phone_type in entry.phone_types]
        conditions.append(Extension.type.in_(types))
    if wanted.owner:
        conditions.append(User.username == wanted.owner.lower())
    return conditions
