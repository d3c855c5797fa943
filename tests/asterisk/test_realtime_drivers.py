"""A real Asterisk reads the accounts from each kind of database, as muru has written them."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import URL

from muru.asterisk import config
from muru.asterisk.program import Program
from muru.db import migrations
from muru.db.sessions import Database
from muru.errors import MuruError
from muru.settings import Settings
from tests import sip
from tests.conftest import StartStack
from tests.databases import SHARED, CreateDatabase, Databases, Server, execute
from tests.db.test_migrations import asterisk_schema

NAME = '"<A>";^5E;^\\ \u00e9 \U0001f4de'


def faults(log: str) -> list[str]:
    """Return the lines of Asterisk's log that somebody should look into."""
    return [line for line in log.splitlines() if re.search(r"\b(WARNING|ERROR)\b", line)]


@pytest.mark.parametrize("databases", [*SHARED, "sqlite+sqlite"], indirect=True)
async def test_phones_live_on_each_database(databases: Databases, start_stack: StartStack) -> None:
    """From the account over a call to its end, with a password that has to be escaped."""
    own, asterisk = map(SecretStr, databases)
    stack = await start_stack(database_url=own, asterisk_database_url=asterisk)
    server = stack.sip_server
    assert faults(stack.asterisk_log) == []

    anna = await stack.alice.post("/extensions", {"type": "SIP", "name": NAME, "number": "1000"})
    ben = await stack.alice.post("/extensions", {"type": "SIP", "name": "Ben", "number": "1001"})
    refused = await sip.register(server, "1000", "wrong")
    assert refused.status == 401
    assert (await sip.register(server, "1000", anna["sip"]["password"])).status == 200

    async with sip.AnsweringPhone(server, "1001", ben["sip"]["password"]) as phone:
        outcome = await sip.call(server, "1000", anna["sip"]["password"], "1001")
        assert outcome.status == 200
        assert (await phone.request()).caller == (NAME, "1000")

    renewed = await stack.alice.post("/extensions/1000/password")
    assert (await sip.register(server, "1000", anna["sip"]["password"])).status == 401
    assert (await sip.register(server, "1000", renewed["sip"]["password"])).status == 200

    await stack.alice.delete("/extensions/1000")
    assert (await sip.register(server, "1000", renewed["sip"]["password"])).status == 401
    assert (await sip.call(server, "1001", ben["sip"]["password"], "1000")).status == 404
    assert [
        line for line in faults(stack.asterisk_log) if "failed to authenticate" not in line
    ] == []


@pytest.fixture(params=["postgresql", "mariadb"])
def asterisks_own(request: pytest.FixtureRequest, create_database: CreateDatabase) -> str:
    """A database that has had Asterisk's own tables before muru came."""

    async def make(url: str) -> None:
        await execute(url, *asterisk_schema(request.param))
        database = Database(url, url)
        await migrations.upgrade(database)
        await database.dispose()

    url = create_database(request.param)
    asyncio.run(make(url))
    return url


async def test_phones_live_in_asterisks_own_tables(
    asterisks_own: str, start_stack: StartStack
) -> None:
    """With its enumerations, and columns that muru knows nothing of."""
    stack = await start_stack(database_url=SecretStr(asterisks_own))
    server = stack.sip_server
    assert faults(stack.asterisk_log) == []

    new = {"type": "SIP", "name": NAME, "extra_fields": {"codec": "g722"}}
    anna = await stack.alice.post("/extensions", {**new, "number": "1000"})
    ben = await stack.alice.post("/extensions", {**new, "number": "1001"})

    async with sip.AnsweringPhone(server, "1001", ben["sip"]["password"], codecs=["g722"]) as phone:
        call = sip.call(server, "1000", anna["sip"]["password"], "1001", codecs=["alaw", "g722"])
        assert (await call).codec == "g722"
        assert (await phone.request()).caller == (NAME, "1000")


@pytest.mark.parametrize("databases", ["postgresql", "mariadb"], indirect=True)
async def test_asterisk_finds_a_database_again(
    databases: Databases, start_stack: StartStack, request: pytest.FixtureRequest
) -> None:
    """After a restart of the server phones register again, with nothing done for it."""
    stack = await start_stack(database_url=SecretStr(databases.own))
    account = await stack.alice.post("/extensions", {"type": "SIP", "name": "Anna"})
    server: Server = request.getfixturevalue(databases.own.partition(":")[0])
    with server.away():
        pass

    async with asyncio.timeout(20):
        sip_account = account["number"], account["sip"]["password"]
        while (await sip.register(stack.sip_server, *sip_account)).status != 200:
            pass
    await stack.alice.post("/extensions", {"type": "SIP", "name": "Ben"})


REFUSED = {
    "a password that the driver cuts off": ("postgresql", {"password": "x" * 62}, "61 bytes"),
    "a password with many escapes": ("postgresql", {"password": "'" * 31}, "too long"),
    "a line break": ("postgresql", {"password": "a\nb"}, "password has a character"),
    "a line break for ODBC": ("mariadb", {"password": "a\nb"}, "password has a character"),
    "a blank at the end": ("mariadb", {"password": "hush "}, "begins or ends with a blank"),
    "a name for no ini file": ("mariadb", {"database": "a;b"}, "name has a character"),
    "a host for no ini file": ("mariadb", {"host": "a#b"}, "host has a character"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_asterisk_cannot_be_told_is_refused(
    case: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    """Before Asterisk starts and fails for a reason that nobody finds; no secret is told."""
    kind, parts, message = REFUSED[case]
    whole = {"username": "muru", "password": "ok", "host": "db", "database": "muru", **parts}
    url = URL.create(kind, **whole).render_as_string(hide_password=False)  # type: ignore[arg-type]
    settings = make_settings(asterisk_database_url=SecretStr(url))
    program = Program(("asterisk",), Path("/"), Path("/modules"), Path("/data"))

    with pytest.raises(MuruError, match=message) as caught:
        config.write(settings, program, tmp_path / "etc")

    assert "MURU_ASTERISK_DATABASE_URL" in caught.value.message
    assert parts.get("password", "?") not in caught.value.message
