"""What all phones asked for and got, for the operator."""

from sqlalchemy import ColumnElement, func, or_, select

from muru.db.models import ProvisioningLogEntry
from muru.services.site import Actor, Site

_REFUSED = 400  # the lowest status of an answer without a file


async def list_entries(
    site: Site,
    actor: Actor,
    *,
    search: str = "",
    failed: bool = False,
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[ProvisioningLogEntry], int]:
    """Return some entries, the newest first, and how many there are.

    *search* is looked for in the address, the file, the flavor, and the MAC address as it is kept;
    *failed* leaves out what was delivered.

    Raises:
        Forbidden: *actor* is no administrator.
    """
    actor.require_admin()
    table = ProvisioningLogEntry
    conditions: list[ColumnElement[bool]] = []
    if search:
        fields = (table.mac, table.address, table.file, table.flavor)
        conditions.append(or_(*(each.icontains(search, autoescape=True) for each in fields)))
    if failed:
        conditions.append(or_(table.status >= _REFUSED, table.reason != ""))
    async with site.database.read() as session:
        total = await session.scalar(select(func.count(table.id)).where(*conditions)) or 0
        page = select(table).where(*conditions).order_by(table.id.desc())
        return list(await session.scalars(page.offset(offset).limit(limit))), total
