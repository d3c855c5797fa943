"""Databases: sessions, muru's own tables, Asterisk's realtime tables, migrations."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from muru.keys import SITE


@asynccontextmanager
async def open_sessions(request: web.Request) -> AsyncIterator[tuple[AsyncSession, AsyncSession]]:
    """Give the handler of a flavor's route both sessions: muru's own, and Asterisk's.

    They are one transaction, which commits at the end of the block (Asterisk is then told what
    changed) and is undone by an error in it.

    Raises:
        DatabaseUnavailable: answered to the client as 503.
    """
    async with request.config_dict[SITE].transaction() as transaction:
        yield transaction.session, transaction.asterisk_session
