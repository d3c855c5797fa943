"""``replace`` makes the rows of a number what is wanted, and touches no others."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from muru.db import realtime
from muru.db.realtime import (
    Change,
    DialplanStep,
    PsAor,
    PsAuth,
    PsEndpoint,
    RealtimeRow,
)
from muru.errors import Conflict
from muru.services import extensions
from muru.services.extensions import NewExtension
from muru.services.site import OPERATOR, Site
from tests.databases import SHARED, Databases, execute, read_all, read_rows

pytestmark = pytest.mark.parametrize("databases", SHARED, indirect=True)

Replace = Callable[..., Awaitable[list[Change]]]


@pytest.fixture
def replace(any_site: Site) -> Replace:
    """Return a function that calls ``realtime.replace`` in a transaction of its own."""

    async def replace_rows(number: str, *rows: RealtimeRow) -> list[Change]:
        async with any_site.database.transaction() as transaction:
            return await transaction.run(
                lambda _, asterisk: realtime.replace(asterisk, number, rows)
            )

    return replace_rows


def step(priority: int = 1, appdata: str = "x", exten: str = "1000") -> DialplanStep:
    return DialplanStep(context="muru", exten=exten, priority=priority, app="NoOp", appdata=appdata)


def account(number: str = "1000", password: str = "secret") -> list[RealtimeRow]:
    return [
        PsEndpoint(id=number, aors=number, callerid='"Anna" <1000>'),
        PsAuth(id=number, auth_type="userpass", username=number, password=password),
        PsAor(id=number, max_contacts=4),
        step(exten=number),
    ]


def told(changes: Sequence[Change]) -> set[tuple[Any, ...]]:
    return {(change.action, change.table, change.row_key, *change.columns) for change in changes}


ACCOUNT = {
    ("ps_endpoints", "1000"),
    ("ps_auths", "1000"),
    ("ps_aors", "1000"),
    ("extensions", "muru|1000|1"),
}


async def test_replace_inserts_updates_and_deletes(replace: Replace, databases: Databases) -> None:
    """And tells each row that it wrote, with the columns that differed."""
    before = await read_all(databases)
    inserted = await replace("1000", *account())
    assert told(inserted) == {("inserted", *place) for place in ACCOUNT}

    updated = await replace("1000", *account(password="new")[:3], step(1, "y"), step(2))
    assert told(updated) == {
        ("updated", "ps_auths", "1000", "password"),
        ("updated", "extensions", "muru|1000|1", "appdata"),
        ("inserted", "extensions", "muru|1000|2"),
    }
    [auth] = await read_rows(databases.asterisk, "ps_auths")
    assert auth["password"] == "new"

    deleted = await replace("1000")
    assert told(deleted) == {
        ("deleted", *place) for place in [*ACCOUNT, ("extensions", "muru|1000|2")]
    }
    assert await read_all(databases) == before


async def test_replace_by_the_same_rows_writes_nothing(replace: Replace) -> None:
    """So it may be repeated, and Asterisk hears of nothing."""
    rows = [*account(), step(2, ";^<>\"'\\ \U0001f4de")]
    await replace("1000", *rows)

    assert await replace("1000", *account(), step(2, ";^<>\"'\\ \U0001f4de")) == []


async def test_replace_leaves_other_rows_alone(replace: Replace, databases: Databases) -> None:
    """Neither those of other numbers, nor those that somebody else wrote."""
    await replace("1001", *account("1001"))
    await execute(
        databases.asterisk,
        "INSERT INTO ps_endpoints (id, context) VALUES ('trunk', 'outside')",
        "INSERT INTO ps_aors (id) VALUES ('trunk')",
        "INSERT INTO extensions (context, exten, priority, app, appdata)"
        " VALUES ('outside', '1000', 1, 'NoOp', ''), ('muru', '_0X.', 1, 'NoOp', '')",
    )
    before = await read_all(databases)

    await replace("1000", *account())
    await replace("1000", *account(password="new"))
    await replace("1000")

    assert await read_all(databases) == before


async def test_a_foreign_row_in_the_way_is_a_conflict(any_site: Site, databases: Databases) -> None:
    """The person hears 409, nothing has changed, and the number can be had when the row is gone."""
    new = NewExtension(type="SIP", name="Anna", number="1000", owner="owner")
    for table, columns, values in (
        ("ps_endpoints", "id", "'1000'"),
        ("ps_auths", "id, password", "'1000', 'theirs'"),
        ("ps_aors", "id", "'1000'"),
        ("extensions", "context, exten, priority, app, appdata", "'muru', '1000', 1, 'Dial', ''"),
    ):
        await execute(databases.asterisk, f"INSERT INTO {table} ({columns}) VALUES ({values})")
        before = await read_all(databases)

        with pytest.raises(Conflict, match=f"{table} already holds '.*1000") as caught:
            await extensions.create_extension(any_site, OPERATOR, new)

        assert caught.value.status == 409
        assert await read_all(databases) == before
        await execute(databases.asterisk, f"DELETE FROM {table}")
    await extensions.create_extension(any_site, OPERATOR, new)


async def test_any_free_number_is_one_that_asterisk_knows_nothing_of(
    any_site: Site, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lets muru choose does not meet the rows of others."""
    await execute(databases.asterisk, "INSERT INTO ps_aors (id) VALUES ('1000')")
    drawn = iter([["1000"], ["1000"], ["1001"]])

    async def draw(*_: object) -> list[str]:
        return next(drawn)

    monkeypatch.setattr(extensions, "free_numbers", draw)
    new = NewExtension(type="SIP", name="Anna", owner="owner")
    extension = await extensions.create_extension(any_site, OPERATOR, new)

    assert extension.number == "1001"


async def test_stray_steps_at_a_number_of_murus_go(replace: Replace, databases: Databases) -> None:
    """They would run as part of the call; those at other numbers or in other contexts stay."""
    await replace("1000", *account())
    await execute(
        databases.asterisk,
        "INSERT INTO extensions (context, exten, priority, app, appdata)"
        " VALUES ('muru', '1000', 2, 'System', 'x'), ('muru', '10', 2, 'NoOp', 'stays'),"
        " ('other', '1000', 2, 'NoOp', 'stays')",
    )

    changes = await replace("1000", *account())

    assert told(changes) == {("deleted", "extensions", "muru|1000|2")}
    rows = await read_rows(databases.asterisk, "extensions")
    assert sorted((row["context"], row["exten"], row["priority"]) for row in rows) == [
        ("muru", "10", 2),
        ("muru", "1000", 1),
        ("other", "1000", 2),
    ]


async def test_a_row_belongs_to_one_number(replace: Replace, databases: Databases) -> None:
    """One that muru wrote for another is as little to be touched as a stranger's."""
    await replace("1000", PsAor(id="shared", max_contacts=1))

    with pytest.raises(Conflict):
        await replace("1001", PsAor(id="shared", max_contacts=2))

    [aor] = await read_rows(databases.asterisk, "ps_aors")
    assert aor["max_contacts"] == 1


async def test_replace_many_takes_any_number_of_them(any_site: Site, databases: Databases) -> None:
    """More than fit into one statement, with those in the way of others left out."""
    numbers = [str(number) for number in range(1000, 1500)]
    await execute(databases.asterisk, "INSERT INTO ps_aors (id) VALUES ('1250')")
    async with any_site.database.transaction() as transaction:
        changes, foreign = await transaction.run(
            lambda _, asterisk: realtime.replace_many(
                asterisk, {number: [PsAor(id=number, max_contacts=4)] for number in numbers}
            )
        )

    assert [change.row_key for change in changes] == [key for key in numbers if key != "1250"]
    assert [(change.table, change.row_key) for change in foreign] == [("ps_aors", "1250")]
    assert len(await read_rows(databases.asterisk, "muru_realtime_rows")) == 499
