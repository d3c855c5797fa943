"""Groups of extensions, on each kind of database: what two people do at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from muru.db.models import Extension
from muru.errors import Invalid, NotFound
from muru.services import extensions, groups, users
from muru.services.extensions import ExtensionChange, NewExtension
from muru.services.reconcile import reconcile
from muru.services.site import OPERATOR, Actor, Site
from muru.settings import Settings
from tests.conftest import PASSWORD, open_test_site
from tests.databases import Databases


@pytest.fixture
async def group_site(make_settings: Callable[..., Settings], databases: Databases) -> Any:
    """A site with call groups, on each kind of database in turn."""
    own, asterisk = map(SecretStr, databases)
    flavors = ["sip", "callgroup"]
    settings = make_settings(
        database_url=own, asterisk_database_url=asterisk, enabled_phone_flavors=flavors
    )
    async with open_test_site(settings) as site:
        await users.create_user(site, OPERATOR, "owner", PASSWORD)
        yield site


@pytest.fixture
async def owner(group_site: Site) -> Actor:
    user = await users.get_user(group_site, OPERATOR, "owner")
    return Actor(user.id, user.username, is_admin=False)


async def create(site: Site, owner: Actor, number: str, *members: str) -> Extension:
    """A phone, or a group if there are members."""
    new = NewExtension("Call group" if members else "SIP", "X", number, extra_fields=_of(members))
    return await extensions.create_extension(site, owner, new)


def _of(members: tuple[str, ...]) -> dict[str, Any]:
    return {"members": [{"number": each} for each in members]} if members else {}


async def members(site: Site, number: str) -> list[str]:
    group = await extensions.get_extension(site, OPERATOR, number)
    return [each["number"] for each in group.extra_fields["members"]]


async def outcome(action: Awaitable[object]) -> str:
    try:
        await action
    except (Invalid, NotFound) as error:
        return type(error).__name__
    return "done"


async def test_loop_by_two_at_once(group_site: Site, owner: Actor) -> None:
    """Of changes that make a loop only together, the last one is refused."""
    await create(group_site, owner, "2001")
    circle = ["2101", "2102", "2103"]
    for number in circle:
        await create(group_site, owner, number, "2001")

    def point(number: str, to: str) -> Awaitable[object]:
        change = ExtensionChange(extra_fields=_of((to,)))
        return extensions.change_extension(group_site, owner, number, change)

    found = await asyncio.gather(
        *(outcome(point(each, circle[at - 1])) for at, each in enumerate(circle))
    )

    assert sorted(found) == ["Invalid", "done", "done"]


async def test_member_that_goes_and_joins_at_once(group_site: Site, owner: Actor) -> None:
    """A number that is deleted while it joins is in no group afterwards."""
    await create(group_site, owner, "2009")
    await create(group_site, owner, "2100", "2009")
    for number in ("2001", "2002", "2003"):
        await create(group_site, owner, number)

        await asyncio.gather(
            outcome(groups.change(group_site, owner, "2100", number, "join")),
            outcome(extensions.delete_extension(group_site, owner, number)),
        )

        assert await members(group_site, "2100") == ["2009"]
    assert not (await reconcile(group_site, grace=0)).changes


async def test_many_join_at_once(group_site: Site, owner: Actor) -> None:
    """Of several that join at the same moment none is lost."""
    numbers = [f"20{number:02}" for number in range(8)]
    for number in numbers:
        await create(group_site, owner, number)
    await create(group_site, owner, "2100", numbers[0])

    await asyncio.gather(
        *(groups.change(group_site, owner, "2100", each, "join") for each in numbers[1:])
    )

    assert sorted(await members(group_site, "2100")) == numbers
    assert not (await reconcile(group_site, grace=0)).changes
