"""The databases: whether they answer, and have the tables that this muru needs."""

from pathlib import Path

from sqlalchemy import text

from muru.db import migrations
from muru.db.sessions import Database, parse_url
from muru.doctor.finding import Finding, fault, ok, warning
from muru.errors import DatabaseUnavailable
from muru.settings import Settings

_UPGRADE = "muru db upgrade"


async def examine(settings: Settings) -> list[Finding]:
    """Examine both databases, without creating anything in them."""
    missing = [finding for url in _urls(settings) if (finding := _file(url))]
    if missing:
        return missing
    database = Database(settings.database, settings.asterisk_database)
    try:
        return await _examine(database)
    finally:
        await database.dispose()


def is_there(settings: Settings) -> bool:
    """Tell whether to look into the databases creates nothing."""
    return not any(map(_file, _urls(settings)))


async def _examine(database: Database) -> list[Finding]:
    for asterisk in (False, True):
        name = "MURU_ASTERISK_DATABASE_URL" if asterisk else "MURU_DATABASE_URL"
        try:
            async with database.read(asterisk=asterisk) as session:
                await session.execute(text("SELECT 1"))
        except DatabaseUnavailable as error:
            remedy = f"Start the database server, or correct {name}."
            return [fault("database", f"{error.message}.", remedy)]
    behind = await migrations.behind(database)
    if behind:
        tables = " and ".join(behind)
        return [fault("database", f"Its tables ({tables}) are not up to date.", _UPGRADE)]
    return [ok("database", "It answers, and its tables are up to date.")]


def _urls(settings: Settings) -> list[str]:
    return list(dict.fromkeys((settings.database, settings.asterisk_database)))


def _file(url: str) -> Finding | None:
    """Tell of a SQLite file that is not there: to connect to it would create it."""
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    if Path(parsed.database).exists():
        return None
    text = f"There is no {parsed.database} yet."
    return warning("database", text, f"The first muru up creates it, and so does {_UPGRADE}.")
