"""The audit log: what those did who may more than others, when, and how it ended.

What changes the database is noted in the same transaction. What is done at Asterisk is noted before
it is tried, so that nothing goes unnoted, and once more when it has ended.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from muru.db.models import AuditEntry, now
from muru.errors import MuruError
from muru.services.site import Actor, Site

_TRYING = "not ended"
_KEPT = 200_000  # entries in all
_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def note(session: AsyncSession, actor: Actor, action: str, target: str = "") -> None:
    """Note what *actor* does, as part of the transaction by which it is done.

    *action* is a noun and a verb (``user.delete``), *target* what it was done to.
    """
    session.add(_entry(actor, action, target))


def note_for(
    session: AsyncSession, actor: Actor, owner_id: int | None, action: str, target: str
) -> None:
    """Note it only if what is changed is somebody else's: one's own is nobody's business."""
    if actor.user_id != owner_id:
        note(session, actor, action, target)


@asynccontextmanager
async def noted(site: Site, actor: Actor, action: str, target: str = "") -> AsyncIterator[None]:
    """Note what the block does, before it begins and when it has ended.

    Raises:
        DatabaseUnavailable: it cannot be noted, so that the block does not run.
    """
    entry = _entry(actor, action, target, _TRYING)
    async with site.transaction() as transaction:
        transaction.session.add(entry)
    try:
        yield
    except MuruError as error:
        await _end(site, entry.id, error.message)
        raise
    await _end(site, entry.id, "")


async def list_entries(
    site: Site, actor: Actor, *, search: str = "", offset: int = 0, limit: int = 50
) -> tuple[list[AuditEntry], int]:
    """Return some entries, the newest first, and how many there are in all."""
    actor.require_admin()
    conditions: list[ColumnElement[bool]] = []
    if search:
        fields = (AuditEntry.username, AuditEntry.action, AuditEntry.target)
        conditions = [or_(*(each.icontains(search, autoescape=True) for each in fields))]
    async with site.database.read() as session:
        total = await session.scalar(select(func.count(AuditEntry.id)).where(*conditions)) or 0
        page = select(AuditEntry).where(*conditions).order_by(AuditEntry.id.desc())
        return list(await session.scalars(page.offset(offset).limit(limit))), total


async def prune(site: Site) -> None:
    """Delete what is older than the days that it is kept for, or beyond the bound."""
    oldest = now() - timedelta(days=site.settings.audit_log_days)
    async with site.transaction() as transaction:
        session = transaction.session
        await session.execute(delete(AuditEntry).where(AuditEntry.at < oldest))
        newest = await session.scalar(select(func.max(AuditEntry.id))) or 0
        await session.execute(delete(AuditEntry).where(AuditEntry.id <= newest - _KEPT))


async def _end(site: Site, entry_id: int, outcome: str) -> None:
    async with site.transaction() as transaction:
        await transaction.session.execute(
            update(AuditEntry).where(AuditEntry.id == entry_id).values(outcome=_fit(outcome))
        )


def _entry(actor: Actor, action: str, target: str, outcome: str = "") -> AuditEntry:
    return AuditEntry(
        username=actor.username, action=action, target=_fit(target), outcome=_fit(outcome)
    )


def _fit(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)[:255]
