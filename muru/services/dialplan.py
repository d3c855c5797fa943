"""The operator's own numbers: a list of steps each, done when it is dialled; for administrators.

Each save is a version, and may be undone by making an older one the newest. Versions outlive their
number, so that a deletion may be undone as well.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exc, func, select
from sqlalchemy.orm import Session

from muru.asterisk.ari import Ari
from muru.asterisk.dialplan.checks import Finding
from muru.asterisk.dialplan.numbers import OwnNumber, Step
from muru.asterisk.escape import caller_id
from muru.asterisk.registrations import Contact, Registrations
from muru.db.models import DialplanNumber, DialplanVersion, Extension, TakenNumber
from muru.errors import Conflict, Invalid, NotFound
from muru.services import audit, extensions, own_numbers
from muru.services.dialing import phone_of
from muru.services.own_numbers import Stored, own_number
from muru.services.rules import clean_text
from muru.services.site import Actor, Site, retried
from muru.settings import Settings

MOST_STEPS_IN_ALL = 3000  # since all are read and checked at each change
MOST_VERSIONS = 50  # of each number; older ones go

#: What may be saved all the same.
WARNINGS = frozenset({"unreachable", "caller-text"})

_NUMBER = re.compile(r"\*?[0-9]+")
_TEMPORARY = re.compile(r"000[0-9]{12}")
_RING_SECONDS = 30.0
# The names of the constraints, or for SQLite those of the columns
_NUMBER_IS_UNIQUE = re.compile(r"muru_(?:dialplan_)?numbers[._]number")

_Find = Callable[[Session, str], DialplanNumber]


@dataclass(frozen=True, slots=True)
class Draft:
    """Steps to save. *based_on* is the version that was edited: none else may be the newest."""

    number: str
    steps: Sequence[Step | dict[str, Any]]
    comment: str = ""
    based_on: int | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved, and what may be wrong with it."""

    version: DialplanVersion
    warnings: list[Finding]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a draft would be in Asterisk's extensions.conf, and what is wrong with it."""

    lines: list[str]
    findings: list[Finding]


def check_own_number(settings: Settings, number: str) -> None:
    """Check that *number* may be an own number here.

    Raises:
        Invalid: it is no number that phones dial.
        Conflict: somebody else answers it.
    """
    if not _NUMBER.fullmatch(number, endpos=15) or not number.isascii():
        text = 'up to 15 digits, the first of which may be a "*"; phones take "#" for themselves'
        raise Invalid(f"{number!r} is no number here.", {"number": text})
    code = next(filter(number.startswith, settings.group_codes), None)
    if code or number == settings.selftest_number or _TEMPORARY.fullmatch(number):
        raise Conflict(
            f"The number {number} is reserved; choose another."
            + (f" Those of call groups begin with {code}." if code else ""),
            key="number-reserved",
        )


async def list_numbers(site: Site, actor: Actor) -> list[DialplanVersion]:
    """Return the newest version of each own number, by number."""
    actor.require_admin()
    async with site.database.read() as session:
        return list(await session.scalars(own_numbers.current().order_by(DialplanVersion.number)))


async def get_number(site: Site, actor: Actor, number: str) -> DialplanVersion:
    """Return the newest version of an own number.

    Raises:
        NotFound: there is no such own number.
    """
    actor.require_admin()
    async with site.database.read() as session:
        found = await session.scalar(own_numbers.current().where(DialplanVersion.number == number))
    if found is None:
        raise _no(number)
    return found


async def list_versions(site: Site, actor: Actor, number: str) -> list[DialplanVersion]:
    """Return what is kept of an own number, the newest first; also if it is deleted.

    Raises:
        NotFound: there never was such an own number.
    """
    actor.require_admin()
    async with site.database.read() as session:
        query = select(DialplanVersion).where(DialplanVersion.number == number)
        found = list(await session.scalars(query.order_by(DialplanVersion.version.desc())))
    if not found:
        raise _no(number)
    return found


async def create(site: Site, actor: Actor, draft: Draft) -> Saved:
    """Add an own number.

    Raises:
        Invalid: a step does not fit, or leads nowhere; the fields say which.
        Conflict: the number is taken, or there are as many as there may be.
    """
    return await _save(site, actor, draft, "dialplan.create", _make_place)


async def change(site: Site, actor: Actor, draft: Draft) -> Saved:
    """Save a new version of an own number. Raises as :func:`create`, and NotFound.

    Raises:
        Conflict: somebody else has saved a version meanwhile (``changed-meanwhile``), too.
    """
    return await _save(site, actor, draft, "dialplan.change", _find_place)


async def undo(site: Site, actor: Actor, number: str, version: int) -> Saved:
    """Make an older version the newest; also of an own number that is deleted.

    Raises:
        NotFound: there is no such version (any more).
        Invalid, Conflict: as for :func:`create`; what was right once may be wrong by now.
    """
    actor.require_admin()
    async with site.database.read() as session:
        found = await session.get(DialplanVersion, (number, version))
    if found is None:
        raise NotFound(f"There is no version {version} of the number {number}.")
    draft = Draft(number, found.steps, f"As version {version}")
    return await _save(site, actor, draft, "dialplan.undo", _find_or_make_place)


@retried
async def delete_number(site: Site, actor: Actor, number: str) -> None:
    """Delete an own number; its versions stay.

    Raises:
        NotFound: there is no such own number.
        Conflict: another one leads there.
    """
    actor.require_admin()
    async with site.transaction() as transaction:
        await transaction.run(_delete, site.settings, number)
        audit.note(transaction.session, actor, "dialplan.delete", number)


async def preview(site: Site, actor: Actor, draft: Draft) -> Preview:
    """Return what a draft would be for Asterisk, and what is wrong with it; nothing is saved.

    Raises:
        Invalid: a step does not fit by itself, or a label is nowhere.
        Conflict: the number is reserved.
    """
    actor.require_admin()
    check_own_number(site.settings, draft.number)
    own = own_number(draft.number, draft.steps)
    before, known = await _read(site)
    after = before.having(own)
    lines = after.dialplan.lines(own.number)
    return Preview(lines, _concerning(own.number, before, after, known))


async def check(site: Site, actor: Actor) -> list[Finding]:
    """Return what is wrong with all own numbers together."""
    actor.require_admin()
    stored, known = await _read(site)
    return stored.findings(known)


async def try_out(
    site: Site,
    ari: Ari,
    registrations: Registrations,
    actor: Actor,
    number: str,
    extension_number: str,
) -> Contact:
    """Ring a phone; who answers it hears the own number, as if it were dialled there.

    Raises:
        NotFound: there is no such own number or extension, or no phone of it is registered.
        AriUnavailable: Asterisk is away.
    """
    await get_number(site, actor, number)
    extension = await extensions.get_extension(site, actor, extension_number)
    contact = await phone_of(registrations, extension_number)
    async with audit.noted(site, actor, "dialplan.try", f"{number} on {extension_number}"):
        await ari.dial(
            f"PJSIP/{extension_number}/{contact.uri}",
            number,
            context=site.settings.asterisk_context,
            caller_id=caller_id(extension.name, extension_number),
            timeout=_RING_SECONDS,
        )
    return contact


# --- saving ---------------------------------------------------------------------------------------


@retried
async def _save(site: Site, actor: Actor, draft: Draft, action: str, find: _Find) -> Saved:
    actor.require_admin()
    check_own_number(site.settings, draft.number)
    own = own_number(draft.number, draft.steps)
    version = DialplanVersion(
        number=own.number,
        steps=[
            step.model_dump(mode="json", by_alias=True, exclude_none=True) for step in own.steps
        ],
        username=actor.username,
        comment=clean_text("comment", draft.comment, 200),
    )
    try:
        async with site.transaction() as transaction:
            saving = _Saving(own, version, draft.based_on, find)
            warnings = await transaction.run(_insert, site.settings, saving)
            target = f"{own.number} version {version.version}: {version.comment}"
            audit.note(transaction.session, actor, action, target.removesuffix(": "))
    except exc.IntegrityError as error:
        # Not looked up: whoever took the number may have given it back by now.
        if _NUMBER_IS_UNIQUE.search(str(error.orig)):
            raise _taken(own.number) from None
        raise
    return Saved(version, warnings)


@dataclass(frozen=True, slots=True)
class _Saving:
    own: OwnNumber
    version: DialplanVersion
    based_on: int | None
    find: _Find


def _insert(
    session: Session, asterisk_session: Session, settings: Settings, saving: _Saving
) -> list[Finding]:
    number, version = saving.own.number, saving.version
    own_numbers.lock(session)
    row = saving.find(session, number)
    if saving.based_on not in {None, row.version}:
        raise Conflict(
            f"Somebody else has changed {number} meanwhile: look at their version first.",
            key="changed-meanwhile",
        )
    before = own_numbers.load(session, settings.asterisk_context)
    after = before.having(saving.own)
    if sum(len(each.steps) for each in after.numbers.values()) > MOST_STEPS_IN_ALL:
        raise Conflict(
            f"Own numbers have {MOST_STEPS_IN_ALL} steps at most, all together.",
            key="too-many-steps",
        )
    findings = _concerning(number, before, after, _others(session, settings))
    _refuse(number, findings)
    version.version = row.version = _newest(session, number) + 1
    session.add(version)
    session.flush()
    too_old = DialplanVersion.version <= version.version - MOST_VERSIONS
    session.execute(delete(DialplanVersion).where(DialplanVersion.number == number, too_old))
    own_numbers.write(asterisk_session, after, number)
    return findings


def _make_place(session: Session, number: str) -> DialplanNumber:
    row = DialplanNumber(number=number, version=0)
    session.add(row)
    session.flush()
    # Whoever creates an extension with it waits here, or has been before.
    session.add(TakenNumber(number=number, dialplan_number_id=row.id))
    session.flush()
    return row


def _find_place(session: Session, number: str) -> DialplanNumber:
    row = session.scalar(select(DialplanNumber).where(DialplanNumber.number == number))
    if row is None:
        raise _no(number)
    return row


def _find_or_make_place(session: Session, number: str) -> DialplanNumber:
    try:
        return _find_place(session, number)
    except NotFound:
        return _make_place(session, number)


def _delete(session: Session, asterisk_session: Session, settings: Settings, number: str) -> None:
    own_numbers.lock(session)
    row = _find_place(session, number)
    before = own_numbers.load(session, settings.asterisk_context)
    after = before.without(number)
    broken = _concerning(number, before, after, _others(session, settings))
    if faults := [each for each in broken if each.fault not in WARNINGS]:
        raise Conflict(
            f"Others lead to {number}: {'; '.join(map(_told, faults))}", key="number-in-use"
        )
    session.delete(row)
    session.flush()
    own_numbers.write(asterisk_session, after, number)


def _newest(session: Session, number: str) -> int:
    newest = select(func.max(DialplanVersion.version)).where(DialplanVersion.number == number)
    return session.scalar(newest) or 0


# --- what is wrong --------------------------------------------------------------------------------


def _concerning(number: str, before: Stored, after: Stored, known: set[str]) -> list[Finding]:
    """Return what is wrong with *number*, and with others that were right before."""
    found = after.findings(known)
    if all(each.number == number for each in found):
        return found
    old = set(before.findings(known))
    return [each for each in found if each.number == number or each not in old]


def _refuse(number: str, findings: list[Finding]) -> None:
    faults = [each for each in findings if each.fault not in WARNINGS]
    if any(each.fault == "extension-number" for each in faults):
        raise _taken(number)
    if faults:
        raise Invalid(
            "; ".join(map(_told, faults)),
            {_field(number, each): each.text for each in faults},
            key="dialplan-fault",
        )


def _told(finding: Finding) -> str:
    step = f" step {finding.priority}" if finding.priority else ""
    return f"{finding.number}{step}: {finding.text}"


def _field(number: str, finding: Finding) -> str:
    place = "steps" if finding.priority is None else f"steps.{finding.priority - 1}"
    return place if finding.number == number else f"{finding.number}.{place}"


async def _read(site: Site) -> tuple[Stored, set[str]]:
    async with site.database.read() as session:
        return await session.run_sync(
            lambda each: (
                own_numbers.load(each, site.settings.asterisk_context),
                _others(each, site.settings),
            )
        )


def _others(session: Session, settings: Settings) -> set[str]:
    """Return the numbers that are there besides."""
    selftest = {settings.selftest_number} if settings.selftest_number else set()
    return {*session.scalars(select(Extension.number)), *selftest}


def _no(number: str) -> NotFound:
    return NotFound(f"There is no own number {number}.")


def _taken(number: str) -> Conflict:
    return Conflict(f"The number {number} is taken; choose another.", key="number-taken")
