"""Groups of extensions: who may be a member, who joins, leaves and pauses, and what ends with whom.

A group is an extension of a flavor whose ``EXTRA_FIELDS`` inherits ``MemberFields``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import attributes, selectinload

from muru.asterisk.dialplan import GROUP_DEPTH
from muru.db import realtime
from muru.db.models import Extension
from muru.db.sessions import Transaction
from muru.errors import Conflict, Forbidden, Invalid, NotFound
from muru.flavor import Member, MemberFields, PhoneFlavor
from muru.registry import Registry
from muru.services import audit
from muru.services.hooks import run_hook
from muru.services.site import Actor, Site, retried

Action = Literal["join", "leave", "pause"]

MOST_MEMBERS = 50  # of one group
MOST_RUNG = 100  # by one call, with all groups within groups

_FIELD = "extra_fields.members"


@dataclass(frozen=True, slots=True)
class Membership:
    """*state* is active, paused or none."""

    group: str
    name: str
    member: str
    state: str


def is_group(flavor: PhoneFlavor | None) -> bool:
    """Tell whether the extensions of a flavor are groups of others."""
    fields = flavor.EXTRA_FIELDS if flavor else None
    return fields is not None and issubclass(fields, MemberFields)


async def check(
    transaction: Transaction,
    registry: Registry,
    actor: Actor,
    extension: Extension,
    *,
    joining: str | None = None,
) -> None:
    """Check the members of *extension*, if it is a group, before it is flushed.

    Other groups and the members are locked, so that nobody else makes a loop or deletes one at the
    same time. Whose members are new, other than *joining*, must own them, or be an administrator.

    Raises:
        Invalid: one is not there, not one's own, or nothing that rings; or groups would be in a
            loop, too deep in each other, or too many. Fields are ``extra_fields.members.<place>``.
    """
    if not is_group(registry.for_type(extension.type)):
        return
    changes = attributes.get_history(extension, "extra_fields")
    if not changes.added:
        return
    before = {each for old in changes.deleted or () for each in _numbers(old)}
    numbers = _numbers(extension.extra_fields)
    with transaction.session.no_autoflush:
        found = await _lock(transaction.session, registry, numbers)
        phones = await transaction.run(
            lambda _, asterisk: realtime.existing_aors(asterisk, numbers)
        )
    groups = {
        each.number: _numbers(each.extra_fields)
        for each in found.values()
        if is_group(registry.for_type(each.type))
    }
    groups[extension.number] = numbers
    faults: dict[str, str] = {}
    for place, number in enumerate(numbers):
        member = found.get(number)
        known = member is not None and (
            number in before | {joining} or actor.is_admin or member.owner_id == extension.owner.id
        )
        fault = _fault(number, known=known, rings=number in phones or number in groups)
        if number == extension.number or extension.number in _within(groups, number):
            fault = "this would be a loop"
        elif number in numbers[:place]:
            fault = "it is there twice"
        if fault:
            faults[f"{_FIELD}.{place}.number"] = fault
    if faults:
        raise Invalid("Some members do not fit.", faults)
    _check_size(groups, extension.number)


def _fault(number: str, *, known: bool, rings: bool) -> str:
    if not known:
        return f"there is no extension {number} that you may add"
    return "" if rings else "it cannot ring: only phones and call groups can be members"


def _check_size(groups: Mapping[str, Sequence[str]], number: str) -> None:
    sizes: dict[str, tuple[int, int]] = {}
    for each in groups:
        if each != number and number not in _within(groups, each):
            continue
        depth, count = _size(groups, each, sizes)
        if depth > GROUP_DEPTH:
            fault = f"{each} would be more than {GROUP_DEPTH} groups within each other"
        elif count > MOST_RUNG:
            fault = f"{each} would ring more than {MOST_RUNG} phones"
        else:
            continue
        raise Invalid("These are too many groups in groups.", {_FIELD: fault})


async def forget(transaction: Transaction, site: Site, actor: Actor, number: str) -> None:
    """Take *number*, which goes, out of all groups."""
    for group in await _groups(transaction.session, site.registry):
        rest = [each for each in _members(group) if each["number"] != number]
        if len(rest) < len(_members(group)):
            await _write(transaction, site, actor, group, rest)


async def groups_of(site: Site, actor: Actor, number: str) -> list[Membership]:
    """Return the groups that an extension of *actor*'s is a member of.

    Raises:
        NotFound: there is no such extension.
    """
    async with site.database.read() as session:
        await _require_member(session, actor, number)
        query = select(Extension).where(Extension.type.in_(_types(site.registry)))
        groups = list(await session.scalars(query.order_by(Extension.number)))
    found = [_membership(group, number) for group in groups]
    return [each for each in found if each.state != "none"]


@retried
async def change(site: Site, actor: Actor, number: str, member: str, action: Action) -> Membership:
    """Let *member* join the group *number*, leave it, or pause in it; joining ends a pause.

    The owner of the member may do all of it where the group is open, and the owner of the group
    too; where it is not, only the latter lets somebody new in.

    Raises:
        NotFound: there is no such group or member, or the member is in no such group.
        Forbidden: it is neither one's own group nor one's own member, or the group is not open.
        Invalid: it cannot be a member, as :func:`check` says.
        Conflict: the group has as many as it can have.
    """
    async with site.transaction() as transaction:
        session = transaction.session
        group = await session.scalar(
            select(Extension)
            .where(Extension.number == number, Extension.type.in_(_types(site.registry)))
            .with_for_update(of=Extension)
            .options(selectinload(Extension.owner))
        )
        if group is None:
            raise NotFound(f"There is no call group {number}.")
        mine = actor.may_touch(group.owner_id)
        if not mine:
            await _require_member(session, actor, member)
        members = [dict(each) for each in _members(group)]
        present = next((each for each in members if each["number"] == member), None)
        if action == "join" and present is None:
            await _check_may_join(session, actor, group, member)
            members.append(Member(number=member).model_dump())
            _set(group, members)
            await check(transaction, site.registry, actor, group, joining=member)
        elif present is None:
            raise NotFound(f"{member} is no member of {number}.")
        elif action == "leave":
            members.remove(present)
        else:
            present["paused"] = action == "pause"
        owner_id = group.owner_id if mine else actor.user_id  # of the member
        audit.note_for(session, actor, owner_id, f"group.{action}", f"{number}: {member}")
        await _write(transaction, site, actor, group, members)
    return _membership(group, member)


async def _check_may_join(
    session: AsyncSession, actor: Actor, group: Extension, number: str
) -> None:
    member = await _require_member(session, actor, number)
    if not (actor.is_admin or group.extra_fields.get("open") or member.owner_id == group.owner_id):
        raise Forbidden(f"The call group {group.number} is not open.", key="group-closed")
    if len(_members(group)) >= MOST_MEMBERS:
        raise Conflict(f"A call group has {MOST_MEMBERS} members at most.", key="group-full")


async def _require_member(session: AsyncSession, actor: Actor, number: str) -> Extension:
    member: Extension | None = await session.scalar(
        select(Extension).where(Extension.number == number)
    )
    if member is None or not actor.may_touch(member.owner_id):
        raise NotFound(f"There is no extension {number}{'' if actor.is_admin else ' of yours'}.")
    return member


async def _write(
    transaction: Transaction,
    site: Site,
    actor: Actor,
    group: Extension,
    members: list[dict[str, Any]],
) -> None:
    _set(group, members)
    await transaction.session.flush()
    flavor = site.registry.require_type(group.type)
    await run_hook(transaction, flavor.on_extension_update, actor, group)


def _set(group: Extension, members: list[dict[str, Any]]) -> None:
    group.extra_fields = {**group.extra_fields, "members": members}


async def _groups(session: AsyncSession, registry: Registry) -> list[Extension]:
    found = await _lock(session, registry, ())
    return list(found.values())


async def _lock(
    session: AsyncSession, registry: Registry, numbers: Collection[str]
) -> dict[str, Extension]:
    """Return all groups, and the extensions with one of *numbers*, locked in one order."""
    types = _types(registry)
    if not types:
        return {}
    rows = await session.scalars(
        select(Extension)
        .where(or_(Extension.type.in_(types), Extension.number.in_(numbers)))
        .order_by(Extension.id)
        .with_for_update(of=Extension)
        .options(selectinload(Extension.owner))
    )
    return {each.number: each for each in rows}


def _types(registry: Registry) -> list[str]:
    kinds = [(entry, flavor) for entry, flavor in registry.active() if is_group(flavor)]
    return [phone_type for entry, _ in kinds for phone_type in entry.phone_types]


def _members(group: Extension) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = group.extra_fields.get("members", [])
    return found


def _numbers(extra_fields: Mapping[str, Any]) -> list[str]:
    return [each["number"] for each in extra_fields.get("members", [])]


def _membership(group: Extension, number: str) -> Membership:
    found = next((each for each in _members(group) if each["number"] == number), None)
    state = "none" if found is None else "paused" if found.get("paused") else "active"
    return Membership(group.number, group.name, number, state)


def _within(groups: Mapping[str, Sequence[str]], number: str) -> set[str]:
    """Return all that a number rings, directly or by other groups."""
    found: set[str] = set()
    ahead = [number]
    while ahead:
        new = set(groups.get(ahead.pop(), ())) - found
        found |= new
        ahead += new
    return found


def _size(
    groups: Mapping[str, Sequence[str]], number: str, known: dict[str, tuple[int, int]]
) -> tuple[int, int]:
    """Return how many groups are within each other at *number*, and how many phones are rung.

    What was found is kept in *known*, also against a loop, of which there should be none.
    """
    if number not in groups:
        return 0, 1
    if number not in known:
        known[number] = (0, 0)
        inner = [_size(groups, each, known) for each in groups[number]]
        known[number] = (
            1 + max((depth for depth, _ in inner), default=0),
            sum(count for _, count in inner),
        )
    return known[number]
