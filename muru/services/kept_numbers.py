"""Numbers that are kept for whoever deleted an extension, for a while."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from muru.db.models import Extension, KeptNumber, User, now
from muru.errors import Conflict
from muru.services.site import Actor
from muru.settings import Settings


async def keep(session: AsyncSession, settings: Settings, extension: Extension) -> None:
    """Keep the number of *extension*, which goes, for its owner."""
    await session.execute(delete(KeptNumber).where(KeptNumber.until <= now()))
    if settings.number_kept_hours:
        until = now() + timedelta(hours=settings.number_kept_hours)
        await session.merge(
            KeptNumber(number=extension.number, owner_id=extension.owner_id, until=until)
        )


async def take(session: AsyncSession, actor: Actor, number: str, owner: User) -> None:
    """Let *owner* have a number; administrators may give them also what is kept for somebody else.

    Raises:
        Conflict: it is kept for somebody else.
    """
    await check(session, actor, number, owner.id)
    kept = await session.get(KeptNumber, number)
    if kept is not None:
        await session.delete(kept)


async def check(session: AsyncSession, actor: Actor, number: str, owner_id: int | None) -> None:
    """Raise Conflict if :func:`take` would."""
    kept = await session.get(KeptNumber, number)
    if kept is None or kept.until <= now() or kept.owner_id == owner_id or actor.is_admin:
        return
    raise Conflict(
        f"The number {number} was somebody else's until recently, and is kept for them;"
        " choose another.",
        key="number-kept",
    )


async def kept(session: AsyncSession, numbers: Collection[str]) -> set[str]:
    """Return those of *numbers* that are kept for anybody."""
    query = select(KeptNumber.number).where(KeptNumber.number.in_(numbers))
    return set(await session.scalars(query.where(KeptNumber.until > now())))
