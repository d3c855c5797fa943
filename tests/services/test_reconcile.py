"""Reconciliation mends what differs in Asterisk's tables, and nothing else."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from muru.db.models import Extension, User
from muru.db.realtime import Change
from muru.flavor import RealtimeRow
from muru.registry import discover
from muru.services import extensions
from muru.services import reconcile as services_reconcile
from muru.services.extensions import NewExtension
from muru.services.reconcile import Report, reconcile
from muru.services.site import OPERATOR, Site
from tests.databases import SPLIT, Databases, execute, read_all, read_rows

Create = Callable[..., Awaitable[Extension]]
ONE_OF_EACH = ["sqlite", "mariadb", "sqlite+sqlite", "mariadb+postgresql"]

on_one_of_each = pytest.mark.parametrize("databases", ONE_OF_EACH, indirect=True)


@pytest.fixture
def create(any_site: Site) -> Create:
    """Return a function that creates an extension of the user ``owner``."""

    async def create_extension(number: str, phone_type: str = "SIP") -> Extension:
        new = NewExtension(type=phone_type, name="Anna; ^", number=number, owner="owner")
        return await extensions.create_extension(any_site, OPERATOR, new)

    return create_extension


def told(report: Report) -> set[tuple[Any, ...]]:
    """Return what a report says was changed."""
    return {(each.action, each.table, each.row_key, *each.columns) for each in report.changes}


async def rows_without_ids(databases: Databases) -> dict[str, Any]:
    """Return all rows; those of the dialplan without the ids that the database has chosen."""
    rows = await read_all(databases)
    for row in rows["extensions"]:
        del row["id"]
    return {name: sorted(table, key=str) for name, table in rows.items()}


async def save(site: Site, numbers: range) -> None:
    """Save extensions of another user without their rows in Asterisk's tables."""
    async with site.database.transaction() as transaction:
        owner = User(username="crowd", password_hash="none")
        transaction.session.add_all(
            Extension(
                number=str(number),
                name=f"Phone {number}",
                type="SIP",
                password="secret",
                token=f"t{number}",
                owner=owner,
            )
            for number in numbers
        )


MENDED: dict[str, tuple[str, set[tuple[Any, ...]]]] = {
    "endpoint deleted": (
        "DELETE FROM ps_endpoints WHERE id = '1000'",
        {("inserted", "ps_endpoints", "1000")},
    ),
    "auth deleted": (
        "DELETE FROM ps_auths WHERE id = '1000'",
        {("inserted", "ps_auths", "1000")},
    ),
    "aor deleted": ("DELETE FROM ps_aors WHERE id = '1000'", {("inserted", "ps_aors", "1000")}),
    "step deleted": (
        "DELETE FROM extensions WHERE exten = '1000'",
        {("inserted", "extensions", "muru|1000|1")},
    ),
    "endpoint altered": (
        (
            "UPDATE ps_endpoints SET callerid = 'x', context = 'outside', allow = NULL"
            " WHERE id = '1000'"
        ),
        {("updated", "ps_endpoints", "1000", "context", "allow", "callerid")},
    ),
    "auth altered": (
        "UPDATE ps_auths SET password = 'guessed' WHERE id = '1000'",
        {("updated", "ps_auths", "1000", "password")},
    ),
    "aor altered": (
        "UPDATE ps_aors SET max_contacts = 99, qualify_frequency = NULL WHERE id = '1000'",
        {("updated", "ps_aors", "1000", "max_contacts", "qualify_frequency")},
    ),
    "step altered": (
        "UPDATE extensions SET app = 'System', appdata = 'x' WHERE exten = '1000'",
        {("updated", "extensions", "muru|1000|1", "app", "appdata")},
    ),
    "step moved": (
        "UPDATE extensions SET priority = 7 WHERE exten = '1000'",
        {("inserted", "extensions", "muru|1000|1"), ("deleted", "extensions", "muru|1000|7")},
    ),
    "step added": (
        (
            "INSERT INTO extensions (context, exten, priority, app, appdata)"
            " VALUES ('muru', '1000', 2, 'System', 'x')"
        ),
        {("deleted", "extensions", "muru|1000|2")},
    ),
    "step added before": (
        (
            "INSERT INTO extensions (context, exten, priority, app, appdata)"
            " VALUES ('muru', '1000', -1, 'System', 'x')"
        ),
        {("deleted", "extensions", "muru|1000|-1")},
    ),
    "endpoint renamed": (
        "UPDATE ps_endpoints SET id = 'other' WHERE id = '1000'",
        {("inserted", "ps_endpoints", "1000")},
    ),
}


async def test_what_was_done_by_hand_is_mended_and_told(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """Row by row and column by column; a second run has nothing to do."""
    numbers = {case: str(1000 + place) for place, case in enumerate(MENDED)}
    expected = set()
    for number in [*numbers.values(), "1999"]:
        await create(number)
    before = await rows_without_ids(databases)
    for case, number in numbers.items():
        statement, changes = MENDED[case]
        await execute(databases.asterisk, statement.replace("1000", number))
        for action, table, key, *columns in changes:
            expected.add((action, table, key.replace("1000", number), *columns))

    report = await reconcile(any_site, grace=0)

    assert told(report) == expected
    assert {change.number for change in report.changes} == set(numbers.values())
    assert (report.foreign, report.skipped) == ([], {})
    # What was renamed is a stranger's.
    await execute(databases.asterisk, "DELETE FROM ps_endpoints WHERE id = 'other'")
    assert await rows_without_ids(databases) == before
    assert (await reconcile(any_site, grace=0)).changes == []


@pytest.mark.parametrize("table", ["ps_endpoints", "ps_auths", "ps_aors", "extensions"])
@pytest.mark.parametrize("databases", ["postgresql", "sqlite+sqlite"], indirect=True)
async def test_foreign_rows_are_left_alone_and_told_if_in_the_way(
    any_site: Site, databases: Databases, create: Create, table: str
) -> None:
    """Of an extension whose place a stranger's row takes, the other rows are mended."""
    await create("1000")
    await execute(
        databases.asterisk,
        "INSERT INTO ps_endpoints (id, context) VALUES ('trunk', 'outside')",
        "INSERT INTO ps_auths (id, password) VALUES ('trunk', 'theirs')",
        "INSERT INTO ps_aors (id, max_contacts) VALUES ('trunk', 1)",
        "INSERT INTO extensions (context, exten, priority, app, appdata)"
        " VALUES ('outside', '1000', 1, 'Dial', 'PJSIP/trunk'),"
        " ('muru', '99', 1, 'Dial', 'PJSIP/trunk')",
        f"DELETE FROM muru_realtime_rows WHERE table_name = '{table}'",
        "UPDATE ps_aors SET max_contacts = 99 WHERE id = '1000'",
        "UPDATE ps_auths SET password = 'theirs' WHERE id = '1000'",
    )
    before = await read_all(databases)

    report = await reconcile(any_site, grace=0)

    altered = {
        ("updated", "ps_aors", "1000", "max_contacts"),
        ("updated", "ps_auths", "1000", "password"),
    }
    key = "muru|1000|1" if table == "extensions" else "1000"
    assert report.foreign == [Change("foreign", table, key, "1000")]
    assert told(report) == {change for change in altered if change[1] != table}
    after = await read_all(databases)
    assert after["ps_endpoints"] == before["ps_endpoints"]
    assert after["extensions"] == before["extensions"]
    assert [row["id"] for row in after["ps_aors"]] == ["1000", "trunk"]
    if table == "ps_auths":
        assert after["ps_auths"] == before["ps_auths"]


@on_one_of_each
async def test_rows_of_extensions_that_are_gone_go(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """And those of all others stay."""
    await create("1001")
    before = await rows_without_ids(databases)
    await create("1000")
    await execute(databases.own, "DELETE FROM muru_extensions WHERE number = '1000'")

    report = await reconcile(any_site, grace=0)

    assert told(report) == {
        ("deleted", "ps_endpoints", "1000"),
        ("deleted", "ps_auths", "1000"),
        ("deleted", "ps_aors", "1000"),
        ("deleted", "extensions", "muru|1000|1"),
    }
    assert await rows_without_ids(databases) == before


@on_one_of_each
async def test_the_rows_of_extensions_come_back(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """Also when all of Asterisk's tables were emptied, muru's notes on them included."""
    for number in range(1000, 1005):
        await create(str(number))
    before = await rows_without_ids(databases)
    tables = ("ps_endpoints", "ps_auths", "ps_aors", "extensions", "muru_realtime_rows")
    await execute(databases.asterisk, *(f"DELETE FROM {table}" for table in tables))

    report = await reconcile(any_site)

    assert len(report.changes) == 20
    assert await rows_without_ids(databases) == before


@pytest.mark.parametrize("databases", SPLIT, indirect=True)
async def test_a_number_that_is_just_being_created_is_given_time(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """Between the two commits of a create its rows look left over, and are not."""
    await create("1000")
    [kept] = await read_rows(databases.own, "muru_extensions")
    await execute(databases.own, "DELETE FROM muru_extensions")  # as if not committed yet
    before = (await read_all(databases))["ps_endpoints"]

    sync = asyncio.ensure_future(reconcile(any_site, grace=0.5))
    await asyncio.sleep(0.1)
    await save(any_site, range(1000, 1001))
    report = await sync

    assert report.changes == []
    assert (await read_all(databases))["ps_endpoints"] == before
    assert kept["number"] == "1000"


@on_one_of_each
async def test_a_number_that_is_taken_anew_keeps_its_rows(
    any_site: Site, databases: Databases, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody creates it after its rows were found left over, and before they are removed."""
    await create("1000")
    await execute(databases.own, "DELETE FROM muru_extensions")
    look = services_reconcile._left_over

    async def look_then_create(site: Site) -> set[str]:
        found = await look(site)
        await create("1000")
        return found

    monkeypatch.setattr(services_reconcile, "_left_over", look_then_create)
    report = await reconcile(any_site, grace=0)
    monkeypatch.undo()

    assert report.changes == []
    assert len(await read_rows(databases.asterisk, "muru_realtime_rows")) == 4
    assert (await reconcile(any_site, grace=0)).changes == []


@on_one_of_each
async def test_an_extension_of_an_inactive_flavor_is_left_alone(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """Its phone goes on working while the flavor is switched off, and the report says so."""
    await create("1000")
    await create("1001", "Dummy")
    await execute(databases.asterisk, "UPDATE ps_aors SET max_contacts = 99")
    before = await read_all(databases)
    settings = any_site.settings.model_copy(update={"enabled_phone_flavors": ["dummy"]})
    site = replace(any_site, settings=settings, registry=discover(settings))

    report = await reconcile(site, grace=0)

    assert report.changes == []
    assert set(report.skipped) == {"1000"}
    assert "'SIP'" in report.skipped["1000"]
    assert await read_all(databases) == before
    await extensions.delete_extension(site, OPERATOR, "1000")  # which takes all of it away
    assert await read_rows(databases.asterisk, "ps_aors") == []


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_a_faulty_extension_does_not_stop_the_others(
    any_site: Site, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told with the reason, and its rows stay as they are."""
    await create("1000")
    await create("1001")
    await execute(any_site.settings.database, "UPDATE ps_aors SET max_contacts = 99")
    flavor = any_site.registry.require_type("SIP")
    own_rows = flavor.realtime_rows

    def fail(extension: Extension) -> list[RealtimeRow]:
        if extension.number == "1000":
            raise RuntimeError("not today")
        return own_rows(extension)

    monkeypatch.setattr(flavor, "realtime_rows", fail)
    report = await reconcile(any_site)

    assert report.skipped == {"1000": "RuntimeError: not today"}
    assert told(report) == {("updated", "ps_aors", "1001", "max_contacts")}


@pytest.mark.parametrize("databases", ["sqlite", "postgresql+mariadb"], indirect=True)
async def test_two_thousand_extensions_are_reconciled_quickly(
    any_site: Site, databases: Databases
) -> None:
    """All rows are written within seconds, and read again in less."""
    await save(any_site, range(1000, 3000))

    began = time.monotonic()
    written = await reconcile(any_site)
    between = time.monotonic()
    again = await reconcile(any_site)
    ended = time.monotonic()

    assert len(written.changes) == 8000
    assert again == Report()
    # Measured on two quiet cores: 2.2 s and 0.7 s
    assert between - began < 20
    assert ended - between < 8
    assert len(await read_rows(databases.asterisk, "muru_realtime_rows")) == 8000


@on_one_of_each
async def test_reconciling_loses_nothing_of_what_goes_on(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """Creates, changes and deletes, over and over, while two reconciliations never stop.

    The numbers have rows left over from earlier, as after a crash.
    """
    numbers = [str(number) for number in range(1000, 1008)]
    for number in numbers:
        await create(number)
    await execute(databases.own, "DELETE FROM muru_extensions")
    await save(any_site, range(2000, 2300))  # so that it takes a while
    busy = True

    async def sync() -> None:
        while busy:
            await reconcile(any_site, grace=0 if databases.shared else 0.2)

    async def use(number: str) -> None:
        for _ in range(3):
            await create(number)
            await extensions.renew_password(any_site, OPERATOR, number)
            await extensions.delete_extension(any_site, OPERATOR, number)
        await create(number)

    syncing = asyncio.gather(sync(), sync())
    try:
        await asyncio.gather(*map(use, numbers))
    finally:
        busy = False
        await syncing

    assert (await reconcile(any_site, grace=0)).changes == []
    endpoints = await read_rows(databases.asterisk, "ps_endpoints")
    assert [row["id"] for row in endpoints] == [*numbers, *map(str, range(2000, 2300))]
    passwords = {
        row["number"]: row["password"] for row in await read_rows(databases.own, "muru_extensions")
    }
    auths = await read_rows(databases.asterisk, "ps_auths")
    assert {row["id"]: row["password"] for row in auths} == passwords
