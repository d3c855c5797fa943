"""A number stays for a while with whoever deleted its extension."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from muru.db.models import KeptNumber, now
from muru.errors import Conflict
from muru.services import extensions, users
from muru.services.extensions import NewExtension
from muru.services.site import OPERATOR, Actor, Site
from tests.conftest import PASSWORD, configured


@pytest.fixture
async def owner(any_site: Site) -> Actor:
    user = await users.get_user(any_site, OPERATOR, "owner")
    return Actor(user.id, user.username, is_admin=False)


@pytest.fixture
async def other(any_site: Site) -> Actor:
    user = await users.create_user(any_site, OPERATOR, "other", PASSWORD)
    return Actor(user.id, user.username, is_admin=False)


async def create(site: Site, actor: Actor, number: str = "2001", owner: str | None = None) -> None:
    await extensions.create_extension(site, actor, NewExtension("SIP", "Desk", number, owner=owner))


async def give_up(site: Site, actor: Actor, number: str = "2001") -> None:
    """Have an extension, and delete it."""
    await create(site, actor, number)
    await extensions.delete_extension(site, actor, number)


async def kept(site: Site) -> list[str]:
    async with site.database.read() as session:
        return list(await session.scalars(select(KeptNumber.number)))


async def test_number_is_kept_for_its_owner(any_site: Site, owner: Actor, other: Actor) -> None:
    """Nobody else can take the number of a deleted extension; its owner can, at once."""
    await give_up(any_site, owner)

    with pytest.raises(Conflict) as refusal:
        await create(any_site, other)
    assert refusal.value.key == "number-kept"
    await give_up(any_site, owner)
    await create(any_site, owner)
    assert await kept(any_site) == []


async def test_administrators_give_it_to_others(any_site: Site, owner: Actor, other: Actor) -> None:
    """What is kept is kept from users; whose it is then, it is kept for next."""
    await give_up(any_site, owner)

    await create(any_site, OPERATOR, owner=other.username)
    await extensions.delete_extension(any_site, OPERATOR, "2001")

    with pytest.raises(Conflict):
        await create(any_site, owner)
    await create(any_site, other)


async def test_time_is_over(any_site: Site, owner: Actor, other: Actor) -> None:
    """After its time anybody can take the number, and it is not remembered."""
    for number in ("2001", "2002"):
        await give_up(any_site, owner, number)
    async with any_site.transaction() as transaction:
        await transaction.session.execute(update(KeptNumber).values(until=now() - timedelta(1)))

    await create(any_site, other)
    await extensions.delete_extension(any_site, other, "2001")

    assert await kept(any_site) == ["2001"]


async def test_account_that_goes(any_site: Site, owner: Actor, other: Actor) -> None:
    """Nothing is kept for an account that was deleted."""
    await give_up(any_site, owner)

    await users.delete_user(any_site, OPERATOR, owner.username)

    await create(any_site, other)


@configured(extension_digits=2)
async def test_kept_numbers_are_not_suggested(site: Site) -> None:
    """Whoever asks for any free number gets none that is kept, not even for themselves."""
    user = await users.get_user(site, OPERATOR, "owner")
    owner = Actor(user.id, user.username, is_admin=False)
    for number in range(20, 60):
        await give_up(site, owner, str(number))

    free = await extensions.free_numbers(site, 90)

    assert sorted(free) == [str(number) for number in (*range(10, 20), *range(60, 100))]


@configured(number_kept_hours=0)
async def test_nothing_is_kept(site: Site) -> None:
    """With no hours a deleted number is anybody's."""
    user = await users.get_user(site, OPERATOR, "owner")
    await give_up(site, Actor(user.id, user.username, is_admin=False))

    assert await kept(site) == []
    assert len(await extensions.free_numbers(site, 10)) == 10
