"""Extensions as lines of phones, on each kind of database."""

import asyncio

import pytest

from muru.db.models import Device, DeviceLine, Role
from muru.errors import Conflict, Invalid, NotFound
from muru.services import devices, extensions
from muru.services.extensions import ExtensionChange
from muru.services.site import OPERATOR, Actor, Site
from tests.databases import Databases, read_rows
from tests.services.grandstreams import (
    MAC,
    OTHER,
    SMALL,
    TYPE,
    actor,
    create,
    device,
    make_settings,  # noqa: F401  # a fixture
    move,
    positions,
)
from tests.services.test_consistency import outcomes

pytestmark = pytest.mark.usefixtures("make_settings")


@pytest.fixture
async def alice(site: Site) -> Actor:
    return await actor(site, "alice")


@pytest.fixture
async def eve(site: Site) -> Actor:
    return await actor(site, "eve")


@pytest.fixture
async def root(site: Site) -> Actor:
    return await actor(site, "root", Role.ADMIN)


@pytest.mark.parametrize(
    "written",
    [
        "000B82AABBCC",
        "00:0b:82:aa:bb:cc",
        "00-0B-82-AA-BB-CC",
        "000b.82aa.bbcc",
        " 00 0b 82 aa bb cc ",
    ],
)
async def test_mac_in_any_writing(site: Site, alice: Actor, written: str) -> None:
    """However a MAC address is written, it is kept in one writing, and means the same phone."""
    await create(site, alice, "2001")

    second = await create(site, alice, "2002", written)

    assert second.extra_fields["mac"] == MAC
    assert await positions(site) == {1: "2001", 2: "2002"}


@pytest.mark.parametrize(
    "written", ["000b82aabb", "ff:ff:ff:ff:ff:ff", "0" * 12, "phone", "ü" * 12]
)
async def test_no_mac(site: Site, alice: Actor, written: str) -> None:
    """What is no phone's MAC address is told as such, with the field."""
    with pytest.raises(Invalid) as refusal:
        await create(site, alice, "2001", written)

    assert set(refusal.value.fields) == {"extra_fields.mac"}


async def test_as_many_lines_as_the_model_has(site: Site, alice: Actor) -> None:
    """Extensions with one MAC are lines 1 to n of that phone; one more than it has is refused."""
    for number in range(2001, 2007):
        await create(site, alice, str(number))

    with pytest.raises(Conflict) as refusal:
        await create(site, alice, "2007")

    assert refusal.value.key == "no-free-line"
    assert await positions(site) == {at: str(2000 + at) for at in range(1, 7)}
    with pytest.raises(NotFound):  # nothing of it is left
        await extensions.get_extension(site, alice, "2007")


async def test_line_that_became_free(site: Site, alice: Actor) -> None:
    """The line of an extension that was deleted is the next one's, and the others keep theirs."""
    for number in ("2001", "2002", "2003"):
        await create(site, alice, number)

    await extensions.delete_extension(site, alice, "2001")
    await create(site, alice, "2004")

    assert await positions(site) == {1: "2004", 2: "2002", 3: "2003"}


async def test_without_mac(site: Site, alice: Actor) -> None:
    """An extension without a MAC address holds no phone."""
    await create(site, alice, "2001", None)

    assert await devices.list_devices(site, OPERATOR) == []


async def test_somebody_elses_phone(site: Site, alice: Actor, eve: Actor) -> None:
    """Typing the MAC of a phone that somebody else holds gives nothing, and tells nothing of it."""
    await create(site, alice, "2001")
    await create(site, eve, "2002", None)
    before = await device(site)

    attempts = [
        create(site, eve, "2003"),
        create(site, eve, "2003", type_=SMALL),
        create(site, eve, "2003", type_="Mitel 6869i"),
        move(site, eve, "2002", MAC),
    ]
    for attempt in attempts:
        with pytest.raises(Conflict) as refusal:
            await attempt
        assert refusal.value.key == "device-taken"
        assert all(secret not in str(refusal.value) for secret in (TYPE, "alice"))

    after = await device(site)
    assert await positions(site) == {1: "2001"}
    assert (after.token, after.is_open) == (before.token, before.is_open)


async def test_administrator_joins(site: Site, alice: Actor, eve: Actor, root: Actor) -> None:
    """An administrator may put anybody's extension on a phone; its owner is a guest there."""
    await create(site, alice, "2001")
    await create(site, eve, "2002", None)

    await move(site, root, "2002", MAC)

    assert await positions(site) == {1: "2001", 2: "2002"}
    await devices.remove_guest(site, alice, MAC, "eve")
    assert await positions(site) == {1: "2001"}


async def test_consent(site: Site, alice: Actor, eve: Actor) -> None:
    """A guest may have lines on the phone for as long as its owner agrees."""
    await create(site, alice, "2001")
    await devices.invite_guest(site, alice, MAC, " Eve ")
    await create(site, eve, "2002")
    await create(site, eve, "2003")
    assert await positions(site) == {1: "2001", 2: "2002", 3: "2003"}

    await devices.remove_guest(site, alice, MAC, "eve")

    assert await positions(site) == {1: "2001"}
    kept = await extensions.get_extension(site, eve, "2002")
    assert kept.extra_fields["mac"] is None
    with pytest.raises(Conflict):
        await move(site, eve, "2002", MAC)


async def test_owner_leaves_guests_behind(site: Site, alice: Actor, eve: Actor) -> None:
    """When its owner has given a phone up, it is theirs who are still on it."""
    await create(site, alice, "2001")
    await devices.invite_guest(site, alice, MAC, "eve")
    await create(site, eve, "2002")

    await extensions.delete_extension(site, alice, "2001")

    await devices.reopen(site, eve, MAC)
    with pytest.raises(Conflict):
        await create(site, alice, "2003")


async def test_move(site: Site, alice: Actor, eve: Actor) -> None:
    """With another MAC an extension leaves its phone, which is free if it was the last one."""
    await create(site, alice, "2001")
    await create(site, alice, "2002")
    changed: list[set[int]] = []
    site.on_changed_devices(lambda ids: changed.append(set(ids)))
    old = await device(site)

    await move(site, alice, "2001", OTHER)

    new = await device(site, OTHER)
    assert changed == [{old.id, new.id}]
    assert (await positions(site), await positions(site, OTHER)) == ({2: "2002"}, {1: "2001"})
    await move(site, alice, "2002", None)
    assert await positions(site) == {}
    await create(site, eve, "2003")  # it is free for others
    assert await positions(site) == {1: "2003"}


async def test_freed_phone_forgets(site: Site, alice: Actor, eve: Actor) -> None:
    """Whoever holds a phone next shares neither its token nor its guests with the one before."""
    await create(site, alice, "2001")
    await devices.invite_guest(site, alice, MAC, "eve")
    before = await device(site)
    await extensions.delete_extension(site, alice, "2001")
    assert await positions(site) == {}

    await create(site, alice, "2001")

    after = await device(site)
    assert after.token != before.token
    assert after.guests == []


async def test_type_follows_the_only_line(site: Site, alice: Actor) -> None:
    """A phone takes the type of its only extension, and its line if it has just one."""
    await create(site, alice, "2001")
    await create(site, alice, "2002")
    to_small = ExtensionChange(type=SMALL)

    with pytest.raises(Invalid) as refusal:
        await extensions.change_extension(site, alice, "2002", to_small)
    assert set(refusal.value.fields) == {"type"}
    await extensions.delete_extension(site, alice, "2001")
    await extensions.change_extension(site, alice, "2002", to_small)

    found = await device(site)
    assert found.type == SMALL
    assert await positions(site) == {1: "2002"}


@pytest.mark.parametrize("other", [SMALL, "Mitel 6869i"])
async def test_another_type(site: Site, alice: Actor, other: str) -> None:
    """One phone is of one type."""
    await create(site, alice, "2001")

    with pytest.raises(Invalid) as refusal:
        await create(site, alice, "2002", type_=other)

    assert set(refusal.value.fields) == {"extra_fields.mac"}
    assert TYPE in str(refusal.value)


async def test_unchanged_phone(site: Site, alice: Actor) -> None:
    """A change of name or password has the phone fetch its files, and leaves its proof as it is."""
    await create(site, alice, "2001")
    before = await device(site)
    changed: list[set[int]] = []
    site.on_changed_devices(lambda ids: changed.append(set(ids)))

    await extensions.change_extension(site, alice, "2001", ExtensionChange(name="Zoë"))
    await extensions.renew_password(site, alice, "2001")

    after = await device(site)
    assert changed == [{after.id}, {after.id}]
    assert (after.token, after.is_open) == (before.token, before.is_open)


# At the same moment, on each kind of database


async def test_same_new_phone_at_once(any_site: Site, databases: Databases) -> None:
    """Of two people who type a new MAC at the same moment one gets the phone, and all her lines."""
    people = [await actor(any_site, name) for name in ("alice", "bob")]
    attempts = [
        create(any_site, person, f"2{at}0{line}")
        for line in range(2)
        for at, person in enumerate(people)
    ]

    created, refused = await outcomes(*attempts)

    assert [type(each) for each in refused] == [Conflict, Conflict]
    assert len({each.owner_id for each in created}) == 1
    assert set((await positions(any_site)).values()) == {each.number for each in created}
    assert set(await positions(any_site)) == {1, 2}
    assert len(await read_rows(databases.own, "muru_devices")) == 1


async def test_last_lines_at_once(any_site: Site, databases: Databases) -> None:
    """When all leave a phone at the same moment it is gone; one who comes then has a line."""
    alice = await actor(any_site, "alice")
    for _ in range(3):
        await asyncio.gather(*(create(any_site, alice, f"200{at}") for at in range(1, 5)))

        leaving = [move(any_site, alice, f"200{at}", None) for at in (1, 2)]
        leaving += [extensions.delete_extension(any_site, alice, f"200{at}") for at in (3, 4)]  # type: ignore[misc]
        _, failed = await outcomes(*leaving, create(any_site, alice, "2005"))

        assert failed == []
        assert list((await positions(any_site)).values()) == ["2005"]
        for number in ("2001", "2002", "2005"):
            await extensions.delete_extension(any_site, alice, number)
        for table in (Device, DeviceLine):
            assert await read_rows(databases.own, table.__tablename__) == []


async def test_two_phones_swapped_at_once(any_site: Site) -> None:
    """Extensions that change places at the same moment do so, whoever waits for whom."""
    alice = await actor(any_site, "alice")
    await create(any_site, alice, "2001")
    await create(any_site, alice, "2002", OTHER)

    _, failed = await outcomes(
        move(any_site, alice, "2001", OTHER), move(any_site, alice, "2002", MAC)
    )

    assert failed == []
    assert list((await positions(any_site)).values()) == ["2002"]
    assert list((await positions(any_site, OTHER)).values()) == ["2001"]


async def test_guest_leaves_and_comes_at_once(any_site: Site) -> None:
    """A guest who is sent away while she adds a line has none afterwards, or none was added."""
    alice, eve = await actor(any_site, "alice"), await actor(any_site, "eve")
    await create(any_site, alice, "2001")
    await devices.invite_guest(any_site, alice, MAC, "eve")
    await create(any_site, eve, "2002")

    _, failed = await outcomes(
        devices.remove_guest(any_site, alice, MAC, "eve"), create(any_site, eve, "2003")
    )

    assert {type(each) for each in failed} <= {Conflict}
    assert await positions(any_site) == {1: "2001"}
