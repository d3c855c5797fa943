"""The public extensions, as the phonebooks of phones have them."""

from collections.abc import Mapping

from sqlalchemy import func, select

from muru.db.models import Extension
from muru.provisioning.vocabulary import Entry, Phonebook
from muru.services.site import Site

ARGUMENTS = ("first", "count", "offset", "limit")  # of a request for a part


async def part(site: Site, query: Mapping[str, str], *, limit: int) -> Phonebook:
    """Return the part of the phonebook that a phone asks for, by name; *limit* entries at most.

    *query* may have ``first`` (from 1) and ``count``, or ``offset`` (from 0) and ``limit``.
    """
    offset = _number(query.get("offset"), 0)
    if "first" in query:
        offset = max(_number(query["first"], 1), 1) - 1
    count = min(_number(query.get("count", query.get("limit")), limit), limit)
    public = Extension.public.is_(True)
    async with site.database.read() as session:
        total = await session.scalar(select(func.count(Extension.id)).where(public)) or 0
        rows = await session.execute(
            select(Extension.number, Extension.name)
            .where(public)
            .order_by(func.lower(Extension.name), Extension.number)
            .offset(offset)
            .limit(count)
        )
        entries = tuple(Entry(number, name) for number, name in rows)
    return Phonebook(site.settings.site_name, entries, offset + 1, total)


def _number(text: str | None, otherwise: int) -> int:
    """Return a small number that a phone wrote, *otherwise* where that is none."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 6:
        return otherwise
    return int(text)
