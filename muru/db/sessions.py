"""Transactions over muru's own database and Asterisk's."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, event, exc
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    AsyncTransaction,
    create_async_engine,
)
from sqlalchemy.orm import Session

from muru.db import realtime
from muru.errors import DatabaseDeadlock, DatabaseUnavailable, MuruError

P = ParamSpec("P")
T = TypeVar("T")

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mariadb+asyncmy",
}
_CONNECT_ARGS: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": 10},
    "postgresql": {"timeout": 5, "command_timeout": 20},
    "mysql": {"connect_timeout": 5, "charset": "utf8mb4"},
    "mariadb": {"connect_timeout": 5, "charset": "utf8mb4"},
}
# MariaDB's default lets a transaction read what was there at its first query, and not what was
# committed while it waited for a lock since then.
_ENGINE_OPTIONS: dict[str, dict[str, Any]] = {
    "mysql": {"isolation_level": "READ COMMITTED"},
    "mariadb": {"isolation_level": "READ COMMITTED"},
}
_TRANSACTION_TIMEOUT = 30.0  # seconds; nobody waits longer for an answer
_ENDED = "A flavor ended the transaction that it was given: nothing was saved."
# Classes of SQLSTATE: connection, rollback (e.g. deadlock), resources, operator's intervention
_UNAVAILABLE = ("08", "40", "53", "57")


def parse_url(text: str) -> URL:
    """Return *text* as the URL of one of the supported databases, with muru's driver for it.

    Raises:
        ValueError: it is no database URL, or of another kind of database.
    """
    try:
        url = make_url(text)
    except exc.ArgumentError:
        raise ValueError(
            "no database URL; write e.g. postgresql://user:password@host/name"
        ) from None
    backend = url.get_backend_name()
    if backend not in DRIVERS:
        raise ValueError(f"{backend} is not supported; use one of {', '.join(sorted(DRIVERS))}")
    return url.set(drivername=DRIVERS[backend])


@dataclass(slots=True)
class Transaction:
    """One transaction over both databases; the two sessions are one where the databases are one."""

    session: AsyncSession
    asterisk_session: AsyncSession
    changes: list[realtime.Change]  # filled at the commit
    begun: list[AsyncTransaction | None] = field(default_factory=list)

    def require_whole(self) -> None:
        """Raise MuruError if somebody has ended the transaction: a flavor's hook can."""
        # After a rollback the session begins anew, so it is not enough to be in a transaction.
        if not all(each is not None and each.is_active for each in self.begun):
            raise MuruError(_ENDED)

    async def run(
        self, function: Callable[Concatenate[Session, Session, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        """Call *function* with both ordinary sessions; waiting for them blocks nobody else."""
        return await self.session.run_sync(
            lambda session: function(session, self.asterisk_session.sync_session, *args, **kw)
        )


class Database:
    """The engines of one application. *own* and *asterisk* are SQLAlchemy URLs, maybe equal."""

    def __init__(self, own: str, asterisk: str) -> None:
        own_url, asterisk_url = parse_url(own), parse_url(asterisk)
        self.shared = own_url == asterisk_url
        self.own = _engine(own_url)
        self.asterisk = self.own if self.shared else _engine(asterisk_url)
        # SQLite has one writer at a time, and waits for its turn by polling: a queue is fairer.
        names = {self.own.dialect.name, self.asterisk.dialect.name}
        self._turn = asyncio.Lock() if "sqlite" in names else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that commits at the end of the block, and undoes all on an error.

        Where there are two databases, both are flushed before Asterisk's commits, and muru's own
        commits last: what a crash leaves between the two is then a row in Asterisk's too many or
        too few, which reconciliation sees and mends.

        Raises:
            DatabaseUnavailable: a database is away, or does not answer in time.
        """
        async with _translated(), AsyncExitStack() as stack:
            await stack.enter_async_context(asyncio.timeout(_TRANSACTION_TIMEOUT))
            if self._turn:
                await stack.enter_async_context(self._turn)
            connections = [await stack.enter_async_context(_writing(self.own))]
            session = await stack.enter_async_context(_session(connections[0]))
            asterisk_session = session
            if not self.shared:
                connections.insert(0, await stack.enter_async_context(_writing(self.asterisk)))
                asterisk_session = await stack.enter_async_context(_session(connections[0]))
            begun = [connection.get_transaction() for connection in connections]
            transaction = Transaction(session, asterisk_session, [], begun)
            yield transaction
            for each in {session, asterisk_session}:
                await each.flush()
            transaction.require_whole()
            for connection in connections:
                await commit(connection)
            transaction.changes = realtime.take_changes(asterisk_session.sync_session)

    @asynccontextmanager
    async def read(self, *, asterisk: bool = False) -> AsyncIterator[AsyncSession]:
        """Open a session on muru's own tables, or on Asterisk's, that is for reading only.

        Raises:
            DatabaseUnavailable: as for :meth:`transaction`.
        """
        async with (
            _translated(),
            asyncio.timeout(_TRANSACTION_TIMEOUT),
            AsyncSession(
                self.asterisk if asterisk else self.own, expire_on_commit=False
            ) as session,
        ):
            yield session

    @asynccontextmanager
    async def connect_for_migration(self) -> AsyncIterator[tuple[AsyncConnection, AsyncConnection]]:
        """Open a transaction on each database, for changes of their tables; commits at the end."""
        async with _translated(), AsyncExitStack() as stack:
            own = asterisk = await stack.enter_async_context(_writing(self.own))
            if not self.shared:
                asterisk = await stack.enter_async_context(_writing(self.asterisk))
            yield own, asterisk
            for connection in {own, asterisk}:
                await commit(connection)

    async def dispose(self) -> None:
        await self.own.dispose()
        if not self.shared:
            await self.asterisk.dispose()


def _engine(url: URL) -> AsyncEngine:
    backend = url.get_backend_name()
    engine = create_async_engine(
        url,
        connect_args=_CONNECT_ARGS[backend],
        pool_pre_ping=backend != "sqlite",
        pool_timeout=10,
        hide_parameters=True,  # passwords must not reach a log by way of a database error
        **_ENGINE_OPTIONS.get(backend, {}),
    )
    event.listen(engine.sync_engine, "handle_error", _name_loss)
    event.listen(engine.sync_engine, "commit", _guard_commit)
    if backend == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        event.listen(engine.sync_engine, "invalidate", _unlock_sqlite)
    return engine


def _name_loss(context: ExceptionContext) -> BaseException | None:
    """Let a database that is away be an OperationalError by every driver; asyncpg has others."""
    error = context.original_exception
    if (
        context.is_pre_ping  # what is away is then connected anew
        or not isinstance(error, Exception)  # but a cancellation
        or isinstance(context.sqlalchemy_exception, exc.OperationalError | exc.InterfaceError)
    ):
        return None
    if (
        context.connection is None
        or context.is_disconnect
        or isinstance(error, OSError)
        or (getattr(error, "sqlstate", None) or "").startswith(_UNAVAILABLE)
    ):
        return exc.OperationalError(context.statement, None, error, hide_parameters=True)
    return None


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    cursor = connection.cursor()
    # SQLite's own knows ASCII only, and the search is to find "ärger" by "ÄRGER".
    connection.create_function("lower", 1, _lower, deterministic=True)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Any) -> None:
    # A transaction that reads first and writes later can fail at the write, whatever the timeout;
    # one that says at once that it will write waits for its turn.
    writes = connection.get_execution_options().get("muru_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _unlock_sqlite(connection: Any, *_: object) -> None:
    # A connection that is thrown away, as on a cancellation, is closed. But SQLite keeps its lock
    # until the last cursor is gone, and that of a cancelled task may be in its traceback for long.
    with contextlib.suppress(Exception):
        connection.rollback()


@asynccontextmanager
async def _writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        _ = await connection.execution_options(muru_writes=True)
        _ = await connection.begin()
        yield connection  # what is not committed is rolled back when the connection is returned


async def commit(connection: AsyncConnection) -> None:
    """End what :class:`Database` has begun; the commit of the connection itself is refused."""
    _ = await connection.execution_options(muru_commits=True)
    await connection.commit()


def _guard_commit(connection: Connection) -> None:
    """Refuse a commit that is not this module's: a flavor may have found a way to the connection.

    One is Session.rollback(), after which Session.commit() is not that of :func:`_session` any
    more.
    """
    options = connection.get_execution_options()
    if options.get("muru_writes") and not options.get("muru_commits"):
        connection.invalidate()  # SQLAlchemy takes it for committed, and would not roll it back
        raise MuruError(_ENDED)


def _session(connection: AsyncConnection) -> AsyncSession:
    # "rollback_only": a hook that calls commit() only flushes, so what fails later can undo it.
    return AsyncSession(connection, join_transaction_mode="rollback_only", expire_on_commit=False)


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except exc.OperationalError as error:
        if _is_deadlock(error.orig):
            raise DatabaseDeadlock("Others wrote the same at the same time; try again.") from error
        raise DatabaseUnavailable(_text(error)) from error
    except (exc.InterfaceError, exc.TimeoutError, TimeoutError) as error:
        raise DatabaseUnavailable(_text(error)) from error
    except (OSError, sqlite3.OperationalError) as error:
        raise DatabaseUnavailable(_text(error)) from error


def _is_deadlock(error: BaseException | None) -> bool:
    if error is None:
        return False
    code = getattr(error, "sqlstate", None) or next(iter(error.args), None)
    return code in {"40001", "40P01", 1213}  # of PostgreSQL, and of MariaDB


def _text(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    detail = str(cause) or "no answer in time"
    return f"The database is not available: {detail}"
