"""Extensions and accounts behave the same on each database, also when many people come at once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from muru.db import realtime
from muru.db.models import Extension, Role
from muru.errors import Conflict, Forbidden, MuruError, NotFound
from muru.services import extensions, invites, users
from muru.services.extensions import ExtensionChange, NewExtension
from muru.services.site import OPERATOR, Site
from tests.conftest import PASSWORD
from tests.databases import SHARED, Databases, read_all, read_rows

NEW = NewExtension(type="SIP", name="Anna", owner="owner")
Create = Callable[..., Awaitable[Extension]]


@pytest.fixture
def create(any_site: Site) -> Create:
    """Return a function that creates an extension of the user ``owner``."""

    async def create_extension(number: str | None = None, **fields: Any) -> Extension:
        new = replace(NEW, number=number, **fields)
        return await extensions.create_extension(any_site, OPERATOR, new)

    return create_extension


async def outcomes(*calls: Awaitable[Any]) -> tuple[list[Any], list[BaseException]]:
    """Await all at the same time; return what came of them, and what they raised."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    failed = [each for each in found if isinstance(each, BaseException)]
    return [each for each in found if not isinstance(each, BaseException)], failed


async def test_an_extension_lives_in_both_databases(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """From create by change to delete; at the end nothing is left of it."""
    before = await read_all(databases)
    created = await create("1000", location={"lat": 1.5, "lon": -2.0}, public=True)
    assert len(await read_rows(databases.asterisk, "muru_realtime_rows")) == 4
    [auth] = await read_rows(databases.asterisk, "ps_auths")
    assert auth["password"] == created.password

    change = ExtensionChange(name="Zo\u00eb \U0001f4de", location=None)
    await extensions.change_extension(any_site, OPERATOR, "1000", change)
    renewed = await extensions.renew_password(any_site, OPERATOR, "1000")

    found = await extensions.get_extension(any_site, OPERATOR, "1000")
    assert (found.name, found.location, found.public) == (change.name, None, True)
    assert found.password == renewed.password != created.password
    assert found.updated_at > found.created_at == created.created_at
    [auth] = await read_rows(databases.asterisk, "ps_auths")
    [endpoint] = await read_rows(databases.asterisk, "ps_endpoints")
    assert auth["password"] == found.password
    assert endpoint["callerid"] == '"Zo\u00eb \U0001f4de" <1000>'

    await extensions.delete_extension(any_site, OPERATOR, "1000")
    after = await read_all(databases)
    assert {table for table in after if after[table] != before[table]} == {
        *("muru_kept_numbers", "muru_audit_log")  # what is to stay: for its owner, and for the log
    }
    with pytest.raises(NotFound):
        await extensions.get_extension(any_site, OPERATOR, "1000")


@pytest.mark.parametrize("databases", SHARED, indirect=True)
async def test_extensions_are_listed_page_by_page_and_searched(
    any_site: Site, create: Create
) -> None:
    """By number or part of the name, whatever the case; what LIKE takes for a pattern is none."""
    names = ["Anna", "anneliese", "Ben 100%", "Ben_2", "Zo\u00eb", "\U0001f4de desk"]
    for place, name in enumerate(names):
        await create(str(1009 - place), name=name, public=place % 2 == 0)

    async def search(text: str) -> list[str]:
        found, total = await extensions.list_extensions(any_site, OPERATOR, search=text)
        assert total == len(found)
        return [extension.name for extension in found]

    assert await search("") == names[::-1]
    assert await search("ANN") == ["anneliese", "Anna"]
    assert await search("0%") == ["Ben 100%"]
    assert await search("n_") == ["Ben_2"]
    assert await search("zo\u00cb") == ["Zo\u00eb"]
    assert await search("\U0001f4de") == ["\U0001f4de desk"]
    assert await search("1004") == ["\U0001f4de desk"]
    assert await search("009") == []

    page, total = await extensions.list_extensions(any_site, OPERATOR, offset=1, limit=2)
    assert ([extension.number for extension in page], total) == (["1005", "1006"], 6)
    public, total = await extensions.phonebook(any_site, search="b")
    assert ([extension.name for extension in public], total) == (["Ben 100%"], 1)


async def test_twenty_people_want_one_number(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """Exactly one gets it, and all others are told that it is taken."""
    made, failed = await outcomes(*(create("1000", name=f"Phone {n}") for n in range(20)))

    assert len(made) == 1
    assert {(type(error), getattr(error, "key", "")) for error in failed} == {
        (Conflict, "number-taken")
    }
    [endpoint] = await read_rows(databases.asterisk, "ps_endpoints")
    assert endpoint["callerid"] == f'"{made[0].name}" <1000>'
    [auth] = await read_rows(databases.asterisk, "ps_auths")
    assert auth["password"] == made[0].password


async def test_a_number_changes_hands_at_once(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """Deleted and created by many at the same time, it ends as one account or none."""
    await create("1000")

    async def delete() -> None:
        await extensions.delete_extension(any_site, OPERATOR, "1000")

    calls = [call() for _ in range(8) for call in (delete, lambda: create("1000"))]
    _, failed = await outcomes(*calls)

    assert {type(error) for error in failed} <= {Conflict, NotFound}
    rows = await read_all(databases)
    present = {row["number"]: row for row in rows["muru_extensions"]}
    assert [row["id"] for row in rows["ps_endpoints"]] == list(present)
    assert [row["password"] for row in rows["ps_auths"]] == [
        row["password"] for row in present.values()
    ]
    assert len(rows["muru_realtime_rows"]) == 4 * len(present)
    assert len(rows["extensions"]) == len(present)


async def test_many_changes_of_one_extension_are_one_after_the_other(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """Whichever is last: both databases say the same."""
    await create("1000")

    _, failed = await outcomes(
        *(
            extensions.change_extension(any_site, OPERATOR, "1000", ExtensionChange(name=f"N{n}"))
            for n in range(8)
        ),
        *(extensions.renew_password(any_site, OPERATOR, "1000") for _ in range(8)),
    )

    assert failed == []
    found = await extensions.get_extension(any_site, OPERATOR, "1000")
    [endpoint] = await read_rows(databases.asterisk, "ps_endpoints")
    [auth] = await read_rows(databases.asterisk, "ps_auths")
    assert endpoint["callerid"] == f'"{found.name}" <1000>'
    assert auth["password"] == found.password


@pytest.mark.parametrize("databases", SHARED, indirect=True)
async def test_whoever_takes_any_number_gets_one(
    any_site: Site, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when there are as many people as numbers; the next one hears that all are gone."""
    settings = any_site.settings.model_copy(
        update={"extension_digits": 2, "reserved_extensions": ["30-99"], "extensions_per_user": 50}
    )
    site = replace(any_site, settings=settings)
    new = replace(NEW, type="Dummy")

    taken = await extensions.free_numbers(site, 5)
    assert all("10" <= number <= "29" for number in taken)
    made, failed = await outcomes(
        *(extensions.create_extension(site, OPERATOR, new) for _ in range(20))
    )

    assert failed == []
    assert sorted(extension.number for extension in made) == [str(n) for n in range(10, 30)]
    with pytest.raises(Conflict) as caught:
        await extensions.create_extension(site, OPERATOR, new)
    assert caught.value.key == "no-free-number"


@pytest.mark.parametrize("databases", SHARED, indirect=True)
async def test_the_last_place_of_an_invite_is_given_once(
    any_site: Site, databases: Databases
) -> None:
    """Ten people at once get its three places; a place that was not used is not lost."""
    invite = await invites.create_invite(any_site, OPERATOR, max_uses=3)

    made, failed = await outcomes(
        *(users.register(any_site, f"guest{n}", PASSWORD, invite.code) for n in range(10))
    )

    assert len(made) == 3
    assert {getattr(error, "key", "") for error in failed} == {"invite-invalid"}
    [row] = await read_rows(databases.own, "muru_invites")
    assert row["uses"] == 3

    another = await invites.create_invite(any_site, OPERATOR, max_uses=1)
    with pytest.raises(Conflict):
        await users.register(any_site, "Owner", PASSWORD, another.code)
    await users.register(any_site, "late", PASSWORD, another.code)


@pytest.mark.parametrize("databases", SHARED, indirect=True)
async def test_one_user_name_is_given_once(any_site: Site) -> None:
    """Whatever its case, and however many ask."""
    made, failed = await outcomes(
        *(users.register(any_site, name, PASSWORD) for name in ("anna", "ANNA", " Anna ") * 4)
    )

    assert [user.username for user in made] == ["anna"]
    assert {getattr(error, "key", "") for error in failed} == {"username-taken"}
    _, total = await users.list_users(any_site, OPERATOR, search="AN")
    assert total == 1


@pytest.mark.parametrize("databases", SHARED, indirect=True)
async def test_a_user_with_extensions_is_not_deleted(any_site: Site, create: Create) -> None:
    """Not even when an extension comes in the same moment."""
    await users.create_user(any_site, OPERATOR, "root", PASSWORD, Role.ADMIN)

    _, failed = await outcomes(create("1000"), users.delete_user(any_site, OPERATOR, "owner"))

    assert len(failed) == 1
    assert isinstance(failed[0], MuruError)
    _, owners = await users.list_users(any_site, OPERATOR, search="owner")
    _, numbers = await extensions.list_extensions(any_site, OPERATOR)
    assert owners == numbers


async def test_changes_are_told_after_the_commit(
    any_site: Site, databases: Databases, create: Create
) -> None:
    """With the rows that were written, and none of a transaction that failed."""
    async with any_site.database.transaction() as transaction:
        await transaction.run(
            lambda _, asterisk: realtime.replace(asterisk, "1", [realtime.PsAor(id="1")])
        )
        assert transaction.changes == []
    assert [(change.action, change.row_key) for change in transaction.changes] == [
        ("inserted", "1")
    ]

    async def fail() -> None:
        async with any_site.database.transaction() as failing:
            transactions.append(failing)
            await failing.run(lambda _, asterisk: realtime.replace(asterisk, "1", []))
            raise Forbidden("not today")

    transactions: list[Any] = []
    with pytest.raises(Forbidden):
        await fail()
    assert transactions[0].changes == []
