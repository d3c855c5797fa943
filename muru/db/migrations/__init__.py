"""Brings the tables up to date with alembic, without alembic's command line or ini file.

Two histories, since muru's own tables and Asterisk's realtime tables may lie in two databases. In
Asterisk's, a table that is already there is left as it is, provided it has the columns that muru
uses.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncConnection

from muru.db.realtime import TABLES
from muru.db.sessions import Database, commit
from muru.errors import MuruError

_HERE = Path(__file__).parent
HISTORIES = ("own", "realtime")


async def upgrade(database: Database) -> list[str]:
    """Bring all tables up to date; return what was done, a line each. May be repeated.

    Raises:
        MuruError: a realtime table that was already there lacks a column that muru uses.
        DatabaseUnavailable: a database is away.
    """
    done: list[str] = []
    async with database.connect_for_migration() as (own, asterisk):
        for history, connection in zip(HISTORIES, (own, asterisk), strict=True):
            async with _alone(connection):
                done += await connection.run_sync(_upgrade, history)
        await asterisk.run_sync(_check_columns)
    return done


@asynccontextmanager
async def _alone(connection: AsyncConnection) -> AsyncIterator[None]:
    """Let one process at a time change the tables; SQLite's transaction does that by itself."""
    if connection.dialect.name == "postgresql":  # until the end of the transaction
        await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('muru'))")
        yield
    elif connection.dialect.name == "sqlite":
        yield
    else:  # where changes of tables commit what was before them, so the lock must be longer
        await connection.exec_driver_sql("SELECT get_lock(concat('muru ', database()), 60)")
        try:
            yield
            await commit(connection)
        finally:
            await connection.exec_driver_sql("DO release_lock(concat('muru ', database()))")


async def behind(database: Database) -> list[str]:
    """Return the histories (``own``, ``realtime``) whose tables are not up to date.

    Raises:
        DatabaseUnavailable: a database is away.
    """
    late = []
    async with database.connect_for_migration() as connections:
        for history, connection in zip(HISTORIES, connections, strict=True):
            current, head = await connection.run_sync(_versions, history)
            if current != head:
                late.append(history)
    return late


def config(history: str) -> Config:
    """Return alembic's configuration for ``own`` or ``realtime``."""
    configuration = Config()
    configuration.set_main_option("script_location", str(_HERE))
    configuration.set_main_option("path_separator", "newline")
    configuration.set_main_option("version_locations", str(_HERE / history / "versions"))
    configuration.attributes["version_table"] = f"muru_alembic_{history}"
    return configuration


def _upgrade(connection: Connection, history: str) -> list[str]:
    before, head = _versions(connection, history)
    if before == head:
        return []
    configuration = config(history)
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")
    return [f"{history}: {before or 'empty'} -> {head}"]


def _versions(connection: Connection, history: str) -> tuple[str | None, str | None]:
    """Return the version of the tables, and the newest."""
    configuration = config(history)
    context = MigrationContext.configure(
        connection, opts={"version_table": configuration.attributes["version_table"]}
    )
    script = ScriptDirectory.from_config(configuration)
    return context.get_current_revision(), script.get_current_head()


def _check_columns(connection: Connection) -> None:
    inspector = inspect(connection)
    for name, table in TABLES.items():
        present = {column["name"] for column in inspector.get_columns(name)}
        missing = sorted(set(inspect(table).columns.keys()) - present)
        if missing:
            raise MuruError(
                f"Asterisk's table {name} lacks the columns {', '.join(missing)}: bring it up to "
                "date with Asterisk's own alembic scripts (contrib/ast-db-manage)."
            )
