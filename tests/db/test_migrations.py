"""The tables come about by migrations, which spare what is there, on each kind of database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, MetaData, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from muru.db import migrations
from muru.db.models import Base
from muru.db.realtime import TABLES, RealtimeBase
from muru.db.sessions import Database
from muru.errors import DatabaseUnavailable, MuruError
from muru.services import extensions, users
from muru.services.extensions import ExtensionChange, NewExtension
from muru.services.site import OPERATOR
from muru.settings import Settings
from tests.conftest import PASSWORD, open_test_site
from tests.databases import SPLIT, Databases, execute, read_rows

HEADS = {"own": "own_0007", "realtime": "realtime_0002"}

# The tables of Asterisk's contrib/ast-db-manage as of 2026: the columns that muru uses, of the
# types that they have there, and one more each.
YES_NO = "'yes', 'no'"
BOOLEAN = "'0', '1', 'off', 'on', 'false', 'true', 'no', 'yes'"
DTMF = "'rfc4733', 'inband', 'info', 'auto', 'auto_info'"
AUTH = "'md5', 'userpass', 'google_oauth', 'digest'"
MOH = "'custom', 'files', 'mp3nb', 'quietmp3nb', 'quietmp3', 'playlist'"
ENUMS = {
    "yesno": YES_NO,
    "ast_bool": BOOLEAN,
    "dtmf_mode": DTMF,
    "auth_type": AUTH,
    "moh_mode": MOH,
}
ASTERISK_TABLES = (
    """CREATE TABLE ps_endpoints (id VARCHAR(255) NOT NULL UNIQUE, transport VARCHAR(40),
    aors VARCHAR(2048), auth VARCHAR(255), context VARCHAR(40), disallow VARCHAR(200),
    allow VARCHAR(200), allow_overlap {yesno}, callerid VARCHAR(40),
    codec_prefs_incoming_offer VARCHAR(128), codec_prefs_outgoing_offer VARCHAR(128),
    direct_media {yesno}, dtmf_mode {dtmf_mode}, force_rport {yesno}, moh_suggest VARCHAR(40),
    rewrite_contact {yesno},
    rtp_symmetric {yesno}, webrtc {yesno}, mailboxes VARCHAR(40))""",
    """CREATE TABLE ps_auths (id VARCHAR(255) NOT NULL UNIQUE, auth_type {auth_type},
    nonce_lifetime INTEGER, password VARCHAR(80), realm VARCHAR(255), username VARCHAR(40))""",
    """CREATE TABLE ps_aors (id VARCHAR(255) NOT NULL UNIQUE, contact VARCHAR(255),
    default_expiration INTEGER, max_contacts INTEGER, minimum_expiration INTEGER,
    remove_existing {yesno}, qualify_frequency INTEGER, maximum_expiration INTEGER,
    remove_unavailable {ast_bool})""",
    """CREATE TABLE extensions ({serial}, context VARCHAR(40) NOT NULL, exten VARCHAR(40) NOT NULL,
    priority INTEGER NOT NULL, app VARCHAR(40) NOT NULL, appdata VARCHAR(256) NOT NULL,
    UNIQUE (context, exten, priority))""",
    """CREATE TABLE musiconhold (name VARCHAR(80) NOT NULL PRIMARY KEY, mode {moh_mode},
    directory VARCHAR(255), application VARCHAR(255), digit VARCHAR(1), sort VARCHAR(10),
    format VARCHAR(10), stamp TIMESTAMP NULL)""",
)
SERIAL = {
    "sqlite": "id INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgresql": "id BIGSERIAL PRIMARY KEY",
    "mariadb": "id BIGINT PRIMARY KEY AUTO_INCREMENT",
}


def asterisk_schema(kind: str) -> list[str]:
    """Return what creates Asterisk's own tables, with its enumerations where there are any."""
    if kind == "postgresql":
        names = {name: f"{name}_values" for name in ENUMS}
        types = [f"CREATE TYPE {names[name]} AS ENUM ({ENUMS[name]})" for name in ENUMS]
    else:
        columns = "VARCHAR(16)" if kind == "sqlite" else "ENUM({})"
        names = {name: columns.format(values) for name, values in ENUMS.items()}
        types = []
    charset = " CHARACTER SET utf8mb4" if kind == "mariadb" else ""
    tables = [table.format(serial=SERIAL[kind], **names) for table in ASTERISK_TABLES]
    return types + [table + charset for table in tables]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database for both kinds of tables."""
    opened = Database(database_url, database_url)
    yield opened
    await opened.dispose()


def kind_of(url: str) -> str:
    return url.partition(":")[0]


async def table_names(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda each: inspect(each).get_table_names()))


async def test_upgrade_makes_all_tables_in_an_empty_database(database: Database) -> None:
    """From nothing, each history comes to its newest version, and says so."""
    assert await migrations.behind(database) == ["own", "realtime"]

    done = await migrations.upgrade(database)

    assert done == [f"{history}: empty -> {head}" for history, head in HEADS.items()]
    assert await migrations.behind(database) == []
    assert await table_names(database.own) == {
        *Base.metadata.tables,
        *RealtimeBase.metadata.tables,
        *(f"muru_alembic_{history}" for history in HEADS),
    }


async def test_upgrade_of_what_is_up_to_date_does_nothing(database: Database) -> None:
    """It may be run as often as one likes."""
    await migrations.upgrade(database)

    assert await migrations.upgrade(database) == []


async def test_two_upgrades_at_the_same_time_are_one(database: Database, database_url: str) -> None:
    """Whoever comes second waits for the first, and finds all done."""
    others = [Database(database_url, database_url) for _ in range(3)]

    done = await asyncio.gather(*map(migrations.upgrade, [database, *others]))

    assert sorted(map(len, done)) == [0, 0, 0, 2]
    for other in others:
        await other.dispose()


@pytest.mark.parametrize("databases", SPLIT, indirect=True)
async def test_upgrade_puts_each_history_into_its_database(databases: Databases) -> None:
    """Asterisk's database holds no account, and muru's own no table of Asterisk's."""
    database = Database(*databases)

    own, asterisk = await table_names(database.own), await table_names(database.asterisk)

    assert own == {*Base.metadata.tables, "muru_alembic_own"}
    assert asterisk == {*RealtimeBase.metadata.tables, "muru_alembic_realtime"}
    await database.dispose()


async def test_numbers_of_extensions_that_are_there_are_taken(
    database: Database, database_url: str
) -> None:
    """Whoever updates has each number noted as its extension's."""

    def upgrade_before(connection: Connection) -> None:
        configuration = migrations.config("own")
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "own_0006")

    async with database.connect_for_migration() as (own, _):
        await own.run_sync(upgrade_before)
    await execute(
        database_url,
        "INSERT INTO muru_users (id, username, password_hash, role, created_at)"
        " VALUES (7, 'owner', 'x', 'user', '2026-01-01')",
        "INSERT INTO muru_extensions (id, number, name, type, password, token, info, public,"
        " extra_fields, owner_id, created_at, updated_at) VALUES (5, '1000', 'A', 'SIP', 'x', 'x',"
        " '', FALSE, '{}', 7, '2026-01-01', '2026-01-01')",
    )

    await migrations.upgrade(database)

    [row] = await read_rows(database_url, "muru_numbers")
    assert (row["number"], row["extension_id"], row["dialplan_number_id"]) == ("1000", 5, None)


@pytest.mark.parametrize("history", HEADS)
async def test_models_are_what_the_migrations_make(database: Database, history: str) -> None:
    """Nobody can change a model and forget the migration."""
    metadata: MetaData = {"own": Base.metadata, "realtime": RealtimeBase.metadata}[history]
    await migrations.upgrade(database)

    def compare(connection: Connection) -> list[Any]:
        def is_ours(name: str | None, kind: str, _: object) -> bool:
            return kind != "table" or name in metadata.tables

        options = {"compare_type": True, "include_name": is_ours}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    async with database.own.connect() as connection:
        assert await connection.run_sync(compare) == []


async def test_tables_of_asterisks_own_schema_are_left_as_they_are(
    database: Database, database_url: str
) -> None:
    """Where Asterisk's tables are there already, muru adds none of its own columns or rows."""
    statements = asterisk_schema(kind_of(database_url))
    insert = "INSERT INTO ps_aors (id, contact) VALUES ('trunk', 'sip:example.org')"
    await execute(database_url, *statements, insert)

    def columns(connection: Connection) -> dict[str, list[str]]:
        inspector = inspect(connection)
        return {
            name: [f"{column['name']} {column['type']}" for column in inspector.get_columns(name)]
            for name in TABLES
        }

    async with database.own.connect() as connection:
        before = await connection.run_sync(columns)
    await migrations.upgrade(database)
    async with database.own.connect() as connection:
        assert await connection.run_sync(columns) == before
    assert [row["id"] for row in await read_rows(database_url, "ps_aors")] == ["trunk"]


async def test_extensions_live_in_asterisks_own_tables(
    database: Database, database_url: str, make_settings: Callable[..., Settings]
) -> None:
    """Create, change and delete work on columns that are enumerations, or shorter than muru's."""
    await execute(database_url, *asterisk_schema(kind_of(database_url)))
    await migrations.upgrade(database)
    async with open_test_site(make_settings(database_url=SecretStr(database_url))) as site:
        await users.create_user(site, OPERATOR, "owner", PASSWORD)
        new = NewExtension(type="SIP", name="Zoë; ^5E", number="1000", owner="owner")
        await extensions.create_extension(site, OPERATOR, new)
        [endpoint] = await read_rows(database_url, "ps_endpoints")
        assert (endpoint["direct_media"], endpoint["dtmf_mode"]) == ("no", "rfc4733")
        assert endpoint["transport"] is None

        await extensions.change_extension(site, OPERATOR, "1000", ExtensionChange(name="Anna"))
        [endpoint] = await read_rows(database_url, "ps_endpoints")
        assert endpoint["callerid"] == '"Anna" <1000>'

        await extensions.delete_extension(site, OPERATOR, "1000")
    for table in TABLES:
        assert await read_rows(database_url, table) == []


async def test_a_name_too_long_for_asterisks_column_is_refused(
    database: Database, database_url: str, make_settings: Callable[..., Settings]
) -> None:
    """Asterisk's own callerid has 40 characters: what does not fit is told, and leaves no trace."""
    await execute(database_url, *asterisk_schema(kind_of(database_url)))
    await migrations.upgrade(database)
    async with open_test_site(make_settings(database_url=SecretStr(database_url))) as site:
        await users.create_user(site, OPERATOR, "owner", PASSWORD)
        new = NewExtension(type="SIP", name="x" * 40, number="1000", owner="owner")
        if kind_of(database_url) == "sqlite":  # does not bound the length of texts
            await extensions.create_extension(site, OPERATOR, new)
            return
        with pytest.raises(MuruError, match=r"callerid|too long") as caught:
            await extensions.create_extension(site, OPERATOR, new)
    assert caught.value.status == 422
    assert "INSERT" not in caught.value.message
    assert await read_rows(database_url, "muru_extensions") == []
    assert await read_rows(database_url, "ps_endpoints") == []


async def test_a_missing_column_is_named(database: Database, database_url: str) -> None:
    """Tables of an Asterisk that is too old are refused, with the way out."""
    *others, extensions_table = asterisk_schema(kind_of(database_url))
    kept = [statement.replace("remove_unavailable", "something_else") for statement in others]
    await execute(database_url, *kept, extensions_table)

    for _ in range(2):  # the second time is no other
        with pytest.raises(MuruError, match=r"ps_aors lacks .* remove_unavailable.*ast-db-manage"):
            await migrations.upgrade(database)


async def test_upgrade_of_a_database_that_is_away_says_so() -> None:
    """No traceback of a driver, but which of muru's errors it is."""
    port = 9  # discard: nobody listens there
    for kind in ("postgresql", "mariadb"):
        database = Database(*[f"{kind}://muru@127.0.0.1:{port}/muru"] * 2)
        with pytest.raises(DatabaseUnavailable):
            await migrations.upgrade(database)
        await database.dispose()
