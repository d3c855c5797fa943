"""Where phones are: the public extensions that have a place on the site's map."""

from sqlalchemy import select

from muru.db.models import Extension
from muru.services.site import Site

MOST = 1000  # on one map


async def placed(site: Site) -> list[Extension]:
    """Return the public extensions that have a place, by number, up to :data:`MOST` of them."""
    query = (
        select(Extension)
        .where(Extension.public.is_(True), Extension.location.is_not(None))
        .order_by(Extension.number)
        .limit(MOST)
    )
    async with site.database.read() as session:
        return list(await session.scalars(query))
