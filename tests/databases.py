"""Database servers of the tests' own, in temporary folders and on free ports. They survive a
kill, but not a power cut, which is what makes them fast.

They are Debian's PostgreSQL and MariaDB, as scripts/get-test-parts installs them. A session starts
at most one of each. Each speaks TCP only, to a user with a password that has all the characters
which somebody may forget to escape.
"""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import pool, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from muru.db import migrations
from muru.db.models import Base
from muru.db.realtime import RealtimeBase
from muru.db.sessions import Database, parse_url
from tests import sip

HOST = "127.0.0.1"
USER = "muru"
PASSWORD = "a;b#\"c'd\\e f%g@:/"
_PATIENCE = 30.0  # seconds for a server to start or end

SHARED = ("sqlite", "postgresql", "mariadb")
SPLIT = ("sqlite+sqlite", "postgresql+mariadb", "mariadb+postgresql")


class Server:
    """A database server that can be taken away and brought back."""

    def __init__(self, kind: str, port: int) -> None:
        self.kind = kind
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix=f"muru-{kind}-"))
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        if _as_nobody():
            shutil.chown(self.folder, "nobody")
        make = {"postgresql": _make_postgresql, "mariadb": _make_mariadb}[kind]
        self._command, self._ping = make(self.folder, port)

    def url(self, name: str = "") -> str:
        """Return the URL of one of its databases, by default the one that is always there."""
        database = name or {"postgresql": "postgres", "mariadb": "mysql"}[self.kind]
        url = URL.create(self.kind, USER, PASSWORD, HOST, self.port, database)
        return url.render_as_string(hide_password=False)

    async def create_database(self) -> str:
        """Create an empty database, and return its URL."""
        name = f"muru_{next(self._numbers)}"
        await execute(self.url(), f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_as_nobody()
            )
        end = time.monotonic() + _PATIENCE
        while subprocess.run(self._ping, capture_output=True, check=False).returncode:
            said = (self.folder / "log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.02)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it take connections and answer nothing for a while, as an overloaded one does."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in [pid, *map(int, children)]:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in [pid, *map(int, children)]:
                os.kill(each, signal.SIGCONT)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let it be gone for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            # PostgreSQL's parent needs a signal that it can pass on to its children.
            kill = signal.SIGQUIT if self.kind == "postgresql" else signal.SIGKILL
            self._process.send_signal(kill)
            self._process.wait(_PATIENCE)
            self._process = None


def _as_nobody() -> dict[str, Any]:
    """Return how to start a program that refuses to run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def _program(name: str) -> str:
    folders = [os.environ.get("PATH", ""), "/usr/sbin"]
    folders += sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    found = shutil.which(name, path=":".join(folders))
    assert found, f"there is no {name} here: run scripts/get-test-parts (make test-parts)"
    return found


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **_as_nobody())
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"


def _make_postgresql(folder: Path, port: int) -> tuple[Sequence[str], Sequence[str]]:
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    data = str(folder / "data")
    options = ("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    _run(_program("initdb"), "-D", data, "-U", USER, f"--pwfile={password}", *options)
    settings = {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "200",
    }
    flags = itertools.chain.from_iterable(("-c", f"{key}={each}") for key, each in settings.items())
    command = (_program("postgres"), "-D", data, "-p", str(port), *flags)
    return command, (_program("pg_isready"), "-h", HOST, "-p", str(port), "-q")


def _make_mariadb(folder: Path, port: int) -> tuple[Sequence[str], Sequence[str]]:
    data = f"--datadir={folder / 'data'}"
    _run(_program("mariadb-install-db"), "--no-defaults", data, "--skip-test-db")
    secret = PASSWORD.replace("\\", "\\\\").replace("'", "''")
    rights = (
        f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{secret}';\n"
        f"GRANT ALL ON *.* TO '{USER}'@'%';\n"
    )
    (folder / "rights.sql").write_text(rights)
    (folder / "rights.sql").chmod(0o644)
    command = (
        *(_program("mariadbd"), "--no-defaults", data, f"--port={port}", f"--bind-address={HOST}"),
        *(f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"),
        *(f"--init-file={folder / 'rights.sql'}", "--skip-name-resolve", "--max-connections=200"),
        *("--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync"),
        *("--innodb-doublewrite=0", "--innodb-buffer-pool-size=64M", "--character-set-server=utf8"),
    )
    address = ("--protocol=tcp", f"--host={HOST}", f"--port={port}")
    return command, (_program("mariadb-admin"), "--no-defaults", *address, "ping")


def _serve(kind: str, port: int) -> Iterator[Server]:
    server = Server(kind, port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server."""
    yield from _serve("postgresql", sip.free_ports())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server."""
    yield from _serve("mariadb", sip.free_ports())


async def execute(url: str, *statements: str) -> list[Sequence[Any]]:
    """Run SQL from outside of muru, each statement by itself; return the rows of the last."""
    engine = create_async_engine(
        parse_url(url), poolclass=pool.NullPool, isolation_level="AUTOCOMMIT"
    )
    rows: list[Sequence[Any]] = []
    try:
        async with engine.connect() as connection:
            if engine.dialect.name == "sqlite":  # the others always do what foreign keys say
                await connection.exec_driver_sql("PRAGMA foreign_keys=ON")
            for statement in statements:
                result = await connection.exec_driver_sql(statement)
                rows = [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()
    return rows


CreateDatabase = Callable[[str], str]


@pytest.fixture
def create_database(request: pytest.FixtureRequest, tmp_path: Path) -> CreateDatabase:
    """Return a function from a kind of database to the URL of an empty one."""
    numbers = itertools.count(1)

    def create(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path}/empty-{next(numbers)}.sqlite3"
        server: Server = request.getfixturevalue(kind)
        return asyncio.run(server.create_database())

    return create


@pytest.fixture(params=SHARED)
def database_url(request: pytest.FixtureRequest, create_database: CreateDatabase) -> str:
    """An empty database of each kind in turn."""
    return create_database(request.param)


class Databases(NamedTuple):
    """URLs of muru's own database and of Asterisk's, which may be one."""

    own: str
    asterisk: str

    @property
    def shared(self) -> bool:
        return self.own == self.asterisk


@pytest.fixture(scope="session")
def kept_databases() -> dict[str, Databases]:
    """Databases of this session that have all tables, by kind."""
    return {}


@pytest.fixture(params=[*SHARED, *SPLIT])
def databases(
    request: pytest.FixtureRequest,
    create_database: CreateDatabase,
    kept_databases: dict[str, Databases],
) -> Databases:
    """One database with all tables and no rows, or two, of each kind in turn.

    Those of servers are used again, since it takes less time to delete rows than to make tables.
    """
    kind: str = request.param
    own, _, asterisk = kind.partition("+")
    if kind in kept_databases:
        asyncio.run(_empty(kept_databases[kind]))
        return kept_databases[kind]
    url = create_database(own)
    found = Databases(url, create_database(asterisk) if asterisk else url)
    asyncio.run(_upgrade(found))
    if "sqlite" not in kind:
        kept_databases[kind] = found
    return found


async def _upgrade(urls: Databases) -> None:
    database = Database(*urls)
    await migrations.upgrade(database)
    await database.dispose()


async def _empty(urls: Databases) -> None:
    for url, metadata in zip(urls, (Base.metadata, RealtimeBase.metadata), strict=True):
        tables = [table.name for table in reversed(metadata.sorted_tables)]
        await execute(url, *(f"DELETE FROM {table}" for table in tables))


async def read_rows(url: str, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table as the database has them, in the order of their keys."""
    return (await _read_tables(url, [table]))[table]


async def read_all(urls: Databases) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of all tables, but for the accounts: to see that nothing has changed."""
    own = [name for name in Base.metadata.tables if name != "muru_users"]
    found = await _read_tables(urls.own, own)
    return found | await _read_tables(urls.asterisk, list(RealtimeBase.metadata.tables))


async def _read_tables(url: str, tables: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    engine = create_async_engine(parse_url(url), poolclass=pool.NullPool)
    found = {}
    try:
        async with engine.connect() as connection:
            for table in tables:
                rows = await connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2"))
                found[table] = [dict(row) for row in rows.mappings()]
    finally:
        await engine.dispose()
    return found
