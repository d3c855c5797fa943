"""Invites: tickets by which people may register."""

from datetime import datetime

from sqlalchemy import delete, select

from muru.db.models import Invite
from muru.errors import NotFound
from muru.services import audit, passwords
from muru.services.site import Actor, Site


async def create_invite(
    site: Site,
    actor: Actor,
    *,
    max_uses: int | None = 1,
    expires_at: datetime | None = None,
    note: str = "",
) -> Invite:
    """Create an invite for *max_uses* people until *expires_at*; None sets no bound."""
    actor.require_admin()
    invite = Invite(
        code=passwords.readable(12), max_uses=max_uses, expires_at=expires_at, note=note, uses=0
    )
    async with site.transaction() as transaction:
        audit.note(transaction.session, actor, "invite.create", note)
        transaction.session.add(invite)
    return invite


async def list_invites(site: Site, actor: Actor) -> list[Invite]:
    actor.require_admin()
    async with site.database.read() as session:
        return list(await session.scalars(select(Invite).order_by(Invite.id.desc())))


async def delete_invite(site: Site, actor: Actor, code: str) -> None:
    """Make an invite worthless. Accounts that were made with it stay."""
    actor.require_admin()
    async with site.transaction() as transaction:
        deleted = await transaction.session.execute(delete(Invite).where(Invite.code == code))
        if deleted.rowcount != 1:  # type: ignore[attr-defined]
            raise NotFound("There is no such invite.")
        audit.note(transaction.session, actor, "invite.delete")
