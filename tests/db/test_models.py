"""What is written is read again as it was, on each kind of database, and found by an index."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Connection, Select, Text, cast, select

from muru.db import realtime
from muru.db.models import Extension, Invite, Token, User
from muru.db.realtime import DialplanStep, Ownership, PsAor, PsAuth, PsEndpoint
from muru.services.site import Site
from tests.databases import SHARED, Databases, read_rows

pytestmark = pytest.mark.parametrize("databases", SHARED, indirect=True)

Make = Callable[..., Extension]


@pytest.fixture
def make() -> Make:
    """Return a function from fields to an extension of a user's that is not saved yet."""

    def make_extension(number: str, **fields: Any) -> Extension:
        defaults = {"name": "Anna", "type": "SIP", "password": "x", "token": f"t{number}"}
        return Extension(number=number, owner_id=1, **{**defaults, **fields})

    return make_extension


async def save(site: Site, *rows: object) -> None:
    async with site.database.transaction() as transaction:
        owner = await transaction.session.scalar(select(User))
        assert owner is not None
        for row in rows:
            if isinstance(row, Extension):
                row.owner_id = owner.id
        transaction.session.add_all(rows)


async def load(site: Site, number: str) -> Extension:
    async with site.database.read() as session:
        found = await session.scalar(select(Extension).where(Extension.number == number))
    assert found is not None
    return found


NAMES = {
    "1000": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f4de",
    "1001": "\"<>;^^5E\\'%_&`",
    "1002": "\u05e9\u05dc\u05d5\u05dd",
    "1003": "\U0001f4de" * 128,
}


async def test_names_come_back_as_they_were(any_site: Site, make: Make) -> None:
    """No database folds, cuts or refuses any character."""
    await save(
        any_site,
        *(make(number, name=name, extra_fields={name: [name]}) for number, name in NAMES.items()),
    )

    for number, name in NAMES.items():
        found = await load(any_site, number)
        assert (found.name, found.extra_fields) == (name, {name: [name]})


async def test_texts_are_told_apart_by_case_and_accent(any_site: Site, make: Make) -> None:
    """Tokens and the like are compared by code points, as people on MariaDB do not expect."""
    tokens = ["token", "TOKEN", "tok\u00e9n", "token\U0001f4de", "token\U0001f4f1"]
    rows = [make(str(1000 + place), token=token) for place, token in enumerate(tokens)]
    await save(any_site, *rows)

    async with any_site.database.read() as session:
        for place, token in enumerate(tokens):
            found = await session.scalars(select(Extension.number).where(Extension.token == token))
            assert found.all() == [str(1000 + place)]


async def test_times_are_aware_and_in_utc(any_site: Site) -> None:
    """To the microsecond, and whatever the time zone that they were given in."""
    moment = datetime(2026, 7, 1, 23, 59, 59, 123456, timezone(timedelta(hours=2)))
    await save(any_site, Invite(code="here", expires_at=moment), Invite(code="open"))

    async with any_site.database.read() as session:
        rows = await session.execute(select(Invite.code, Invite.expires_at))
        times = {row.code: row.expires_at for row in rows}
        later = select(Invite.code).where(Invite.expires_at > moment - timedelta(microseconds=1))
        assert (await session.scalars(later)).all() == ["here"]
        earlier = select(Invite.code).where(Invite.expires_at < moment)
        assert (await session.scalars(earlier)).all() == []

    assert times == {"here": datetime(2026, 7, 1, 21, 59, 59, 123456, UTC), "open": None}
    assert {time.tzinfo for time in times.values() if time} == {UTC}


async def test_no_location_is_null(any_site: Site, databases: Databases, make: Make) -> None:
    """It is not the JSON text "null", which a query for IS NULL would miss."""
    place = {"lat": 53.5503, "lon": 10.0006}
    await save(any_site, make("1000"), make("1001", location=place))

    async with any_site.database.read() as session:
        numbers = select(Extension.number).where(Extension.location.is_(None))
        assert (await session.scalars(numbers)).all() == ["1000"]
        as_text = await session.scalar(
            select(cast(Extension.location, Text)).where(Extension.number == "1000")
        )
    assert as_text is None
    assert (await load(any_site, "1001")).location == place
    first, _ = await read_rows(databases.own, "muru_extensions")
    assert first["location"] is None


VALUES = ["a;b", ";;", "^", "^3B", "^5E3B", "a^3b;c^", "\\;", "", "100%"]


async def test_realtime_values_come_back_as_they_were(any_site: Site, databases: Databases) -> None:
    """And on servers they hold nothing at which Asterisk's drivers would split or decode."""
    async with any_site.database.transaction() as transaction:
        rows = [PsAuth(id=str(place), password=value) for place, value in enumerate(VALUES)]
        await transaction.run(lambda _, asterisk: realtime.replace(asterisk, "1000", rows))

    async with any_site.database.read() as session:
        assert (await session.scalars(select(PsAuth.password).order_by(PsAuth.id))).all() == VALUES
    stored = [row["password"] for row in await read_rows(databases.asterisk, "ps_auths")]
    if databases.asterisk.startswith("sqlite"):
        assert stored == VALUES
    else:
        assert stored == [value.replace("^", "^5E").replace(";", "^3B") for value in VALUES]


LOOKUPS: dict[str, Select[Any]] = {
    "number": select(Extension).where(Extension.number == "1500"),
    "token": select(Extension).where(Extension.token == "t1500"),
    "owner": select(Extension).where(Extension.owner_id == 4),
    "user": select(User).where(User.username == "user50"),
    "login": select(Token).where(Token.digest == "digest50"),
    "invite": select(Invite).where(Invite.code == "code50"),
    "endpoint": select(PsEndpoint).where(PsEndpoint.id == "1500"),
    "auth": select(PsAuth).where(PsAuth.id == "1500"),
    "aor": select(PsAor).where(PsAor.id == "1500"),
    "step": select(DialplanStep).where(
        DialplanStep.context == "muru", DialplanStep.exten == "1500"
    ),
    "owned rows": select(Ownership).where(Ownership.number == "1500"),
}


async def test_lookups_use_an_index(any_site: Site, make: Make) -> None:
    """What they cost does not grow with the number of extensions."""
    await save(any_site, *(User(username=f"user{n}", password_hash="x") for n in range(100)))
    async with any_site.database.transaction() as transaction:
        session = transaction.session
        users = (await session.scalars(select(User.id))).all()
        rows: list[object] = [
            Token(digest=f"digest{n}", kind="bearer", user_id=user) for n, user in enumerate(users)
        ]
        rows += [Invite(code=f"code{n}") for n in range(100)]
        for place in range(1000):
            number = str(1000 + place)
            extension = make(number)
            extension.owner_id = users[place % 100]
            rows += [
                extension,
                *(table(id=number) for table in (PsEndpoint, PsAuth, PsAor)),
                DialplanStep(context="muru", exten=number, priority=1, app="NoOp"),
                Ownership(table_name="ps_aors", row_key=number, number=number),
            ]
        session.add_all(rows)
    plans = {}
    async with any_site.database.own.connect() as connection:
        if connection.dialect.name == "postgresql":  # reads a small table as a whole, if it may
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for name, query in LOOKUPS.items():
            plans[name] = await connection.run_sync(_plan, query)

    assert {name: plan for name, plan in plans.items() if not _is_indexed(plan)} == {}


def _plan(connection: Connection, query: Select[Any]) -> str:
    """Return how the database would look for *query*, in one line."""
    compiled = query.compile(dialect=connection.dialect)
    values = tuple(compiled.params[name] for name in compiled.positiontup or ())
    verb = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{verb} {compiled}", values).mappings()
    return " | ".join(str(dict(row)) for row in rows)


def _is_indexed(plan: str) -> bool:
    sqlite, postgresql = r"SEARCH \w+ USING .*INDEX", r"Index (Only )?Scan|Bitmap Index Scan"
    return bool(re.search(rf"{sqlite}|{postgresql}|'type': '(const|ref|eq_ref|range)'", plan))
