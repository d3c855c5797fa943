"""Makes Asterisk's realtime tables equal to what muru wants there (``muru sync``)."""

import asyncio
from dataclasses import dataclass, field

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, selectinload

from muru.asterisk import contacts
from muru.asterisk.ami import Ami
from muru.db import realtime
from muru.db.models import DialplanNumber, Extension, TakenNumber, UnclaimedDevice
from muru.db.realtime import Change, RealtimeRow
from muru.registry import Registry
from muru.services import own_numbers
from muru.services.site import Site, retried

_BATCH = 50  # extensions in one transaction: nobody waits long for the next


@dataclass(slots=True)
class Report:
    """What reconciliation found.

    *changes* were made; *foreign* rows stand where muru wants its own, and were left alone;
    *skipped* maps numbers to why nothing was done for them.
    """

    changes: list[Change] = field(default_factory=list)
    foreign: list[Change] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, part: "Report") -> None:
        self.changes += part.changes
        self.foreign += part.foreign
        self.skipped |= part.skipped


async def reconcile(site: Site, *, grace: float = 5.0) -> Report:
    """Mend every row that differs, batch by batch, so that others get their turn in between.

    Where the databases are two, a number that is just being created is in Asterisk's before it is
    in muru's. So what looks left over is looked at again after *grace* seconds before it goes.
    """
    report = Report()
    last_id: int | None = 0
    while last_id is not None:
        last_id, part = await _mend(site, last_id)
        report.add(part)
    report.add(await _mend_own_numbers(site))
    left_over = await _left_over(site)
    if left_over and not site.database.shared and grace:
        await asyncio.sleep(grace)
        left_over &= await _left_over(site)
    if left_over:
        report.changes += await _remove(site, left_over)
    return report


async def remove_orphan_contacts(site: Site, ami: Ami) -> list[str]:
    """Make Asterisk forget phones whose AOR is gone, and return their AORs.

    Else they would ring again for whoever gets the number next.

    Raises:
        AmiUnavailable: Asterisk is away; the next reconciliation after its return does it.
    """
    stored = await contacts.read_all(ami)
    async with site.transaction() as transaction:
        present = await transaction.run(
            lambda _, asterisk_session: realtime.existing_aors(
                asterisk_session, {contact.aor for contact in stored}
            )
        )
    orphans = [contact for contact in stored if contact.aor not in present]
    for contact in orphans:
        await contacts.expire(ami, contact)
    return sorted({contact.aor for contact in orphans})


@retried
async def _mend(site: Site, last_id: int) -> tuple[int | None, Report]:
    """Mend the next extensions after *last_id*; return where to go on, None at the end."""
    async with site.transaction() as transaction:
        return await transaction.run(_mend_batch, site.registry, last_id)


def _mend_batch(
    session: Session, asterisk_session: Session, registry: Registry, last_id: int
) -> tuple[int | None, Report]:
    # Locked, so that none is deleted while its rows are written again; without their owners, which
    # MariaDB would lock too.
    extensions = session.scalars(
        select(Extension)
        .where(Extension.id > last_id)
        .order_by(Extension.id)
        .limit(_BATCH)
        .with_for_update(of=Extension)
        .options(selectinload(Extension.owner))
    ).all()
    report = Report()
    wanted: dict[str, list[RealtimeRow]] = {}
    for extension in extensions:
        flavor = registry.for_type(extension.type)
        if flavor is None:
            report.skipped[extension.number] = f"no active flavor has the type {extension.type!r}"
            continue
        try:
            wanted[extension.number] = flavor.realtime_rows(extension)
        except Exception as error:  # one faulty extension must not stop the rest
            report.skipped[extension.number] = f"{type(error).__name__}: {error}"
    report.changes, report.foreign = realtime.replace_many(asterisk_session, wanted)
    return (extensions[-1].id if extensions else None), report


@retried
async def _mend_own_numbers(site: Site) -> Report:
    async with site.transaction() as transaction:
        return await transaction.run(_mend_dialplan, site.settings.asterisk_context)


def _mend_dialplan(session: Session, asterisk_session: Session, context: str) -> Report:
    own_numbers.lock(session)
    _free_numbers_of_nothing(session)
    wanted, skipped = own_numbers.load(session, context).rows()
    changes, foreign = realtime.replace_many(asterisk_session, wanted)
    return Report(changes, foreign, skipped)


def _free_numbers_of_nothing(session: Session) -> None:
    """Free the numbers of what was deleted by hand, where the database did not do it itself."""
    of_extension = exists().where(Extension.id == TakenNumber.extension_id)
    of_own_number = exists().where(DialplanNumber.id == TakenNumber.dialplan_number_id)
    for each in session.scalars(select(TakenNumber).where(~of_extension, ~of_own_number)):
        session.delete(each)


async def _left_over(site: Site) -> set[str]:
    async with site.transaction() as transaction:
        return await transaction.run(
            lambda session, asterisk_session: (
                realtime.owners(asterisk_session)
                - set(session.scalars(select(Extension.number)))
                - set(session.scalars(select(UnclaimedDevice.account)))
                - set(session.scalars(select(DialplanNumber.number)))
            )
        )


@retried
async def _remove(site: Site, numbers: set[str]) -> list[Change]:
    async with site.transaction() as transaction:
        return await transaction.run(_remove_rows, numbers)


def _remove_rows(session: Session, asterisk_session: Session, numbers: set[str]) -> list[Change]:
    # Locked before the last look: whoever creates one of them in between waits, or is seen.
    realtime.lock(asterisk_session, numbers)
    found = set[str]()
    for chunk in realtime.batches(numbers):
        for column in (Extension.number, UnclaimedDevice.account, DialplanNumber.number):
            found.update(session.scalars(select(column).where(column.in_(chunk))))
    gone: dict[str, list[RealtimeRow]] = {number: [] for number in numbers - found}
    changes, _ = realtime.replace_many(asterisk_session, gone)
    return changes
