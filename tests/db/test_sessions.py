"""A transaction is all or nothing, over both databases, whatever a flavor or a server does."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, exc, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from muru.db import migrations, sessions
from muru.db.models import Extension, Invite, User
from muru.db.realtime import DialplanStep, PsAor
from muru.db.sessions import Database, parse_url
from muru.errors import Conflict, DatabaseUnavailable, HookRefused, MuruError
from muru.flavor import PhoneFlavor
from muru.services import extensions
from muru.services.extensions import ExtensionChange, NewExtension
from muru.services.reconcile import reconcile
from muru.services.site import OPERATOR, Site
from tests.databases import PASSWORD, SPLIT, Databases, Server, read_all, read_rows

Hook = Callable[[Session, Session, User, Extension], None]
Create = Callable[..., Awaitable[Extension]]

SERVERS = ("postgresql", "mariadb")
ONE_OF_EACH = ("sqlite", "postgresql", "sqlite+sqlite", "postgresql+mariadb")

on_one_of_each = pytest.mark.parametrize("databases", ONE_OF_EACH, indirect=True)


@pytest.fixture
def create(any_site: Site) -> Create:
    """Return a function that creates an extension of the user ``owner``."""

    async def create_extension(number: str, **fields: Any) -> Extension:
        new = NewExtension(**{"type": "SIP", "name": "Anna", "owner": "owner", **fields})
        return await extensions.create_extension(any_site, OPERATOR, _numbered(new, number))

    return create_extension


def _numbered(new: NewExtension, number: str) -> NewExtension:
    return NewExtension(type=new.type, name=new.name, number=number, owner=new.owner)


@pytest.fixture
def flavor(any_site: Site) -> PhoneFlavor:
    """The flavor of the phone type SIP, for tests to replace its hooks."""
    return any_site.registry.require_type("SIP")


@pytest.fixture
def server(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Server]:
    """The server on which muru's own tables are; it runs again after the test."""
    server: Server = request.getfixturevalue(make_url(databases.own).get_backend_name())
    yield server
    server.start()


# --- hooks ----------------------------------------------------------------------------------------


def write(session: Session, asterisk_session: Session) -> None:
    """Write a row of each kind, as a flavor may."""
    session.add(Invite(code="by the hook"))
    asterisk_session.add(DialplanStep(context="other", exten="1", priority=1, app="NoOp"))


def raise_at_once(session: Session, asterisk: Session, user: User, extension: Extension) -> None:
    raise RuntimeError("not today")


def raise_after_writes(
    session: Session, asterisk: Session, user: User, extension: Extension
) -> None:
    write(session, asterisk)
    session.flush()
    asterisk.flush()
    raise RuntimeError("not today")


def raise_after_commits(
    session: Session, asterisk: Session, user: User, extension: Extension
) -> None:
    write(session, asterisk)
    session.commit()
    asterisk.commit()
    write(session, asterisk)
    raise RuntimeError("not today")


def roll_back(session: Session, asterisk: Session, user: User, extension: Extension) -> None:
    write(session, asterisk)
    session.flush()
    session.rollback()


def roll_back_asterisk(
    session: Session, asterisk: Session, user: User, extension: Extension
) -> None:
    write(session, asterisk)
    asterisk.flush()
    asterisk.rollback()


def roll_back_then_write(
    session: Session, asterisk: Session, user: User, extension: Extension
) -> None:
    session.rollback()
    asterisk.rollback()
    write(session, asterisk)


def roll_back_then_commit(
    session: Session, asterisk: Session, user: User, extension: Extension
) -> None:
    roll_back_then_write(session, asterisk, user, extension)
    session.commit()
    asterisk.commit()


def commit_the_connection(
    session: Session, asterisk: Session, user: User, extension: Extension
) -> None:
    write(session, asterisk)
    session.flush()
    session.connection().commit()


def delete_what_it_was_given(
    session: Session, asterisk: Session, user: User, extension: Extension
) -> None:
    session.delete(extension)
    session.flush()
    raise RuntimeError("not today")


def clash(session: Session, asterisk: Session, user: User, extension: Extension) -> None:
    write(session, asterisk)
    session.add(User(username="owner", password_hash="x"))


def clash_in_asterisk(
    session: Session, asterisk: Session, user: User, extension: Extension
) -> None:
    write(session, asterisk)
    asterisk.flush()
    write(session, asterisk)


def wrong_sql(session: Session, asterisk: Session, user: User, extension: Extension) -> None:
    write(session, asterisk)
    session.flush()
    session.execute(text("SELECT nonsense FROM nowhere"))


FAILING: dict[Hook, type[MuruError]] = {
    raise_at_once: HookRefused,
    raise_after_writes: HookRefused,
    raise_after_commits: HookRefused,
    delete_what_it_was_given: HookRefused,
    roll_back: MuruError,
    roll_back_asterisk: MuruError,
    roll_back_then_write: MuruError,
    roll_back_then_commit: MuruError,
    commit_the_connection: MuruError,
    clash: Conflict,
    clash_in_asterisk: Conflict,
    wrong_sql: MuruError,
}


@pytest.mark.parametrize("databases", ONE_OF_EACH[1:], indirect=True)
@pytest.mark.parametrize("hook", FAILING, ids=lambda hook: hook.__name__)
async def test_a_failing_create_hook_leaves_no_trace(
    any_site: Site,
    databases: Databases,
    create: Create,
    flavor: PhoneFlavor,
    monkeypatch: pytest.MonkeyPatch,
    hook: Hook,
) -> None:
    """Neither of the extension, nor of what the hook wrote, in either database."""
    await create("1000")
    before = await read_all(databases)
    own_hook = flavor.on_extension_create

    def fail(session: Session, asterisk: Session, user: User, extension: Extension) -> None:
        own_hook(session, asterisk, user, extension)
        hook(session, asterisk, user, extension)

    monkeypatch.setattr(flavor, "on_extension_create", fail)
    with pytest.raises(FAILING[hook]):
        await create("1001")

    assert await read_all(databases) == before
    monkeypatch.undo()
    await create("1001")  # the connections are fit for use


@on_one_of_each
@pytest.mark.parametrize(
    "hook",
    [raise_after_commits, roll_back_then_write, clash_in_asterisk],
    ids=lambda hook: hook.__name__,
)
@pytest.mark.parametrize("action", ["update", "delete"])
async def test_a_failing_later_hook_leaves_no_trace(
    any_site: Site,
    databases: Databases,
    create: Create,
    flavor: PhoneFlavor,
    monkeypatch: pytest.MonkeyPatch,
    hook: Hook,
    action: str,
) -> None:
    """What was there before a change or a delete that fails is there as it was."""
    await create("1000")
    before = await read_all(databases)
    own_hook: Hook = getattr(flavor, f"on_extension_{action}")

    def fail(session: Session, asterisk: Session, user: User, extension: Extension) -> None:
        own_hook(session, asterisk, user, extension)
        hook(session, asterisk, user, extension)

    monkeypatch.setattr(flavor, f"on_extension_{action}", fail)
    change = ExtensionChange(name="Ben", extra_fields={"codec": "gsm"})
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "update": lambda: extensions.change_extension(any_site, OPERATOR, "1000", change),
        "delete": lambda: extensions.delete_extension(any_site, OPERATOR, "1000"),
    }
    with pytest.raises(FAILING[hook]):
        await calls[action]()

    assert await read_all(databases) == before


async def test_a_hook_may_commit_close_and_use_savepoints(
    databases: Databases, create: Create, flavor: PhoneFlavor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a commit nor a close ends anything, and an undone savepoint undoes only itself."""

    def hook(session: Session, asterisk: Session, user: User, extension: Extension) -> None:
        session.add(Invite(code="kept"))
        session.commit()
        with suppress(exc.IntegrityError), session.begin_nested():
            session.add(Invite(code="kept"))
        savepoint = asterisk.begin_nested()
        asterisk.add(PsAor(id="undone"))
        asterisk.flush()
        savepoint.rollback()
        asterisk.add(PsAor(id="kept"))
        asterisk.commit()
        session.close()
        asterisk.close()

    monkeypatch.setattr(flavor, "on_extension_create", hook)
    await create("1000")

    assert [row["code"] for row in await read_rows(databases.own, "muru_invites")] == ["kept"]
    assert [row["id"] for row in await read_rows(databases.asterisk, "ps_aors")] == ["kept"]
    assert len(await read_rows(databases.own, "muru_extensions")) == 1


@on_one_of_each
async def test_a_cancelled_request_is_all_or_nothing(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """As when the client hangs up in the middle; the next ones get their turn."""
    before = await read_all(databases)
    for steps in range(0, 60, 2):
        task = asyncio.ensure_future(create("1000"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        report = await reconcile(any_site, grace=0)

        assert report.changes == [] or not databases.shared
        after = await read_all(databases)
        if after["muru_extensions"]:
            assert len(after["muru_realtime_rows"]) == 4
            await extensions.delete_extension(any_site, OPERATOR, "1000")
            # What stays of one that was there: the number is kept, and the log tells of it.
            before = await read_all(databases)
            assert not before["muru_extensions"]
            assert not before["muru_realtime_rows"]
        else:
            assert after == before

    await asyncio.gather(*(create(str(number)) for number in range(1000, 1020)))


# --- databases that are away ----------------------------------------------------------------------


async def count_users(site: Site) -> int:
    async with site.database.read() as session:
        return len((await session.scalars(select(User.id))).all())


@pytest.mark.parametrize("databases", SERVERS, indirect=True)
async def test_a_database_that_is_away_is_told_and_found_again(
    any_site: Site, server: Server, create: Create
) -> None:
    """Reading and writing fail as DatabaseUnavailable, and work when it is back."""
    with server.away():
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await count_users(any_site)
            with pytest.raises(DatabaseUnavailable):
                await create("1000")

    await create("1000")
    assert await count_users(any_site) == 1


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("part", ["port", "password", "database", "host"])
async def test_a_database_that_lets_nobody_in_is_unavailable(
    request: pytest.FixtureRequest, kind: str, part: str
) -> None:
    """A wrong setting is told as such by the database, and no traceback."""
    server: Server = request.getfixturevalue(kind)
    right = make_url(server.url())
    wrong = {
        "port": right.set(port=9),
        "password": right.set(password="wrong"),
        "database": right.set(database="none"),
        "host": right.set(host="host.invalid"),
    }[part]
    url = wrong.render_as_string(hide_password=False)
    database = Database(url, url)

    async def read() -> None:
        async with database.read() as session:
            await session.scalar(select(1))

    with pytest.raises(DatabaseUnavailable) as reading:
        await read()
    with pytest.raises(DatabaseUnavailable) as writing:
        await migrations.upgrade(database)

    assert PASSWORD not in reading.value.message + writing.value.message
    await database.dispose()


@pytest.mark.parametrize("databases", SERVERS, indirect=True)
async def test_all_pooled_connections_recover(any_site: Site, server: Server) -> None:
    """A restart that nobody noticed harms no request after it."""
    await asyncio.gather(*(count_users(any_site) for _ in range(12)))
    with server.away():
        pass

    assert await asyncio.gather(*(count_users(any_site) for _ in range(12))) == [1] * 12


@pytest.mark.parametrize("databases", SERVERS, indirect=True)
@pytest.mark.parametrize("moment", ["statement", "commit"])
async def test_a_database_that_goes_in_the_middle_undoes_all(
    any_site: Site, databases: Databases, server: Server, moment: str
) -> None:
    """At the next statement or at the commit: the caller hears of it, and nothing was saved."""
    before = await read_all(databases)

    async def write_and_lose() -> None:
        async with any_site.transaction() as transaction:
            transaction.session.add(Invite(code="lost"))
            await transaction.session.flush()
            server.stop()
            if moment == "statement":
                await transaction.session.scalar(select(User.id))

    with pytest.raises(DatabaseUnavailable):
        await write_and_lose()
    server.start()

    assert await read_all(databases) == before
    assert await count_users(any_site) == 1


@pytest.mark.parametrize("databases", SERVERS, indirect=True)
async def test_a_database_that_goes_while_one_reads_is_told(any_site: Site, server: Server) -> None:
    """Also in a session that only reads."""

    async def read_and_lose() -> None:
        async with any_site.database.read() as session:
            await session.scalar(select(User.id))
            server.stop()
            await session.scalar(select(Extension.id))

    with pytest.raises(DatabaseUnavailable):
        await read_and_lose()
    server.start()

    assert await count_users(any_site) == 1


@pytest.mark.parametrize("databases", SPLIT[1:], indirect=True)
@pytest.mark.parametrize("action", ["create", "update", "delete"])
async def test_a_loss_between_the_two_commits_is_mended(
    any_site: Site, databases: Databases, server: Server, create: Create, action: str
) -> None:
    """Asterisk's rows are then ahead of muru's, until reconciliation puts them back."""
    await create("1000")
    before = await read_all(databases)

    def lose(_: object) -> None:
        server.stop()

    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "create": lambda: create("1001"),
        "update": lambda: extensions.renew_password(any_site, OPERATOR, "1000"),
        "delete": lambda: extensions.delete_extension(any_site, OPERATOR, "1000"),
    }
    event.listen(any_site.database.own.sync_engine, "commit", lose, once=True)
    with pytest.raises(DatabaseUnavailable):
        await calls[action]()
    server.start()
    assert await read_all(databases) != before

    report = await reconcile(any_site, grace=0)

    assert report.changes
    after = await read_all(databases)
    for table in ("extensions",):  # its ids are the database's to choose
        for rows in (before[table], after[table]):
            for row in rows:
                del row["id"]
    assert after == before


@pytest.mark.parametrize("databases", SERVERS, indirect=True)
async def test_a_database_without_answer_is_waited_for_only_so_long(
    any_site: Site, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs is one that is away; when it goes on, so does muru."""
    await count_users(any_site)
    monkeypatch.setattr(sessions, "_TRANSACTION_TIMEOUT", 0.3)
    with server.frozen():
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable, match="no answer in time"):
                await asyncio.wait_for(count_users(any_site), 15)
    monkeypatch.undo()

    assert await count_users(any_site) == 1


@pytest.mark.parametrize("databases", SERVERS, indirect=True)
async def test_a_lock_is_waited_for_only_so_long(
    any_site: Site, databases: Databases, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for a row that another process keeps gets an answer, and the row later."""
    await create("1000")
    other = Database(*databases)
    async with other.transaction() as transaction:
        await transaction.session.execute(select(Extension).with_for_update(of=Extension))
        monkeypatch.setattr(sessions, "_TRANSACTION_TIMEOUT", 0.3)
        with pytest.raises(DatabaseUnavailable):
            await extensions.renew_password(any_site, OPERATOR, "1000")
        monkeypatch.undo()
    await other.dispose()

    await extensions.renew_password(any_site, OPERATOR, "1000")


async def test_a_transaction_without_end_is_ended(
    any_site: Site, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves no trace, and lets the next ones in."""
    before = await read_all(databases)
    monkeypatch.setattr(sessions, "_TRANSACTION_TIMEOUT", 0.2)

    async def linger() -> None:
        async with any_site.transaction() as transaction:
            transaction.session.add(Invite(code="lost"))
            await transaction.session.flush()
            await asyncio.sleep(60)

    with pytest.raises(DatabaseUnavailable):
        await linger()
    monkeypatch.undo()

    assert await read_all(databases) == before
    async with any_site.transaction() as transaction:
        transaction.session.add(Invite(code="next"))


# --- SQLite ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("databases", ["sqlite", "sqlite+sqlite"], indirect=True)
async def test_many_writers_take_turns_on_sqlite(any_site: Site, create: Create) -> None:
    """Fifty at once all get theirs, and readers in between."""
    numbers = [str(number) for number in range(1000, 1050)]

    creating = asyncio.gather(*map(create, numbers))
    reading = asyncio.gather(*(count_users(any_site) for _ in range(50)))

    assert [extension.number for extension in await creating] == numbers
    assert await reading == [1] * 50


WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
print("ready", flush=True)
count = 0
while True:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO ps_aors (id) VALUES (?)", (f"other-{count}",))
    connection.execute("COMMIT")
    count += 1
    time.sleep(0.002)
"""


@pytest.mark.parametrize("databases", ["sqlite", "sqlite+sqlite"], indirect=True)
async def test_another_process_may_write_to_the_same_file(
    databases: Databases, create: Create
) -> None:
    """As Asterisk or a command of muru's does; neither side fails or loses a row."""
    path = make_url(databases.asterisk).database
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"ready\n"

    for start in range(1000, 1030, 10):
        await asyncio.gather(*(create(str(number)) for number in range(start, start + 10)))

    assert writer.returncode is None
    writer.terminate()
    _, errors = await writer.communicate()
    assert errors == b""
    ids = [row["id"] for row in await read_rows(databases.asterisk, "ps_aors")]
    theirs = [key for key in ids if key.startswith("other-")]
    assert sorted(set(ids) - set(theirs)) == [str(number) for number in range(1000, 1030)]
    assert theirs


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite wait for the lock of another process for a moment only."""
    monkeypatch.setitem(sessions._CONNECT_ARGS, "sqlite", {"timeout": 0.1})


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("databases", ["sqlite", "sqlite+sqlite"], indirect=True)
async def test_a_file_that_another_process_keeps_is_unavailable(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """One can still read it, and write when it is free again."""
    with closing(sqlite3.connect(str(make_url(databases.own).database))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="locked"):
            await create("1000")
        assert await count_users(any_site) == 1
        other.rollback()

    await create("1000")


async def test_a_file_in_no_folder_is_unavailable(tmp_path: Path) -> None:
    """It is found as soon as the folder is there."""
    url = f"sqlite:///{tmp_path}/mounted/muru.sqlite3"
    database = Database(url, url)
    with pytest.raises(DatabaseUnavailable):
        await migrations.upgrade(database)
    (tmp_path / "mounted").mkdir()
    await migrations.upgrade(database)
    await database.dispose()


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["", "no url", "oracle://host/name", "postgresql"])
def test_what_is_no_database_url_is_refused(address: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match=r"postgresql"):
        parse_url(address)


def test_the_driver_is_murus_to_choose() -> None:
    """Whatever driver a URL names, it is reached by one that does not block."""
    names = {
        "sqlite:////srv/x": "sqlite+aiosqlite",
        "postgresql+psycopg2://h/x": "postgresql+asyncpg",
        "mysql://h/x": "mysql+asyncmy",
        "mariadb+pymysql://h/x": "mariadb+asyncmy",
    }

    assert {url: parse_url(url).drivername for url in names} == names
