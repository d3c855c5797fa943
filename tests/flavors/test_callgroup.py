"""Call groups: who may be in one, and whom a call to it rings."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from muru.services import users
from muru.services.reconcile import reconcile
from muru.services.site import OPERATOR
from tests.conftest import PASSWORD, Api, World, configured
from tests.observe import create

FLAVORS = ["sip", "dummy", "callgroup", "conference"]
GROUP = "2100"

pytestmark = configured(enabled_phone_flavors=FLAVORS)


async def group(api: Api, *members: str | dict[str, Any], number: str = GROUP, **more: Any) -> Any:
    """Create a call group; a member is a number, or with more."""
    body = {"type": "Call group", "name": "A group", "number": number}
    return await api.post("/extensions", body | {"extra_fields": fields(members, **more)})


def fields(members: Iterable[str | dict[str, Any]], **more: Any) -> dict[str, Any]:
    listed = [each if isinstance(each, dict) else {"number": each} for each in members]
    return {"members": listed, **more}


async def refused(api: Api, *members: Any, number: str = GROUP, **more: Any) -> dict[str, str]:
    """Return the faults of a group that is refused."""
    body = {"type": "Call group", "name": "A group", "number": number}
    answer = await api.post(
        "/extensions", body | {"extra_fields": fields(members, **more)}, status=422
    )
    return {each["field"]: each["message"] for each in answer["errors"]}


async def members(api: Api, number: str = GROUP) -> dict[str, bool]:
    """Return the members of a group, and which of them pause."""
    found = await api.get(f"/extensions/{number}")
    return {each["number"]: each["paused"] for each in found["extra_fields"]["members"]}


@pytest.fixture
async def bob(world: World) -> Api:
    """Another user, with the extension 2009."""
    await users.create_user(world.site, OPERATOR, "bob", PASSWORD)
    api = await world.nobody.log_in("bob")
    await create(api, "2009")
    return api


# Who may be a member


async def test_members_are_kept(world: World) -> None:
    """A group has the members that it was given, and Asterisk's tables say whom it rings."""
    for number in ("2001", "2002"):
        await create(world.alice, number)

    created = await group(world.alice, "2001", {"number": "2002", "delay": 5}, ring="delayed")

    assert created["extra_fields"] == {
        "members": [
            {"number": "2001", "delay": 0, "paused": False},
            {"number": "2002", "delay": 5, "paused": False},
        ],
        "open": False,
        "ring": "delayed",
        "seconds": 30,
    }
    assert created["sip"] is None
    assert not (await reconcile(world.site)).changes


async def test_hostile_members_are_refused(world: World) -> None:
    """What is no number, nobody's, twice, or much too long is refused by its place in the list."""
    await create(world.alice, "2001")
    place = "extra_fields.members.0"

    for number in (
        "",
        "20x1",
        "2001&Local/1@x",
        "2001)",
        "${EXTEN}",
        "1" * 16,
        "\u0662\u0660\u0660\u0661",
        2001,
    ):
        assert list(await refused(world.alice, {"number": number})) == [f"{place}.number"], number
    for delay in (-1, 301, 1.5, "5", None):
        faults = await refused(world.alice, {"number": "2001", "delay": delay})
        assert list(faults) == [f"{place}.delay"], delay
    assert list(await refused(world.alice, {"number": "2001", "x": 1})) == [f"{place}.x"]
    assert list(await refused(world.alice, "2999")) == [f"{place}.number"]
    assert list(await refused(world.alice, "2001", "2001")) == ["extra_fields.members.1.number"]
    assert list(await refused(world.alice, *["2001"] * 51)) == ["extra_fields.members"]
    assert list(await refused(world.alice, ring="loudly")) == ["extra_fields.ring"]
    assert list(await refused(world.alice, seconds=0)) == ["extra_fields.seconds"]
    await world.alice.get(f"/extensions/{GROUP}", status=404)


async def test_only_what_rings_is_a_member(world: World) -> None:
    """Numbers that are answered by the machine, or by nobody, cannot be rung."""
    for type_, number in (("Dummy", "2001"), ("Conference", "2002")):
        await world.alice.post("/extensions", {"type": type_, "name": "X", "number": number})
        faults = await refused(world.alice, number)
        assert "cannot ring" in faults["extra_fields.members.0.number"]


async def test_members_of_others(world: World, bob: Api) -> None:
    """Users take their own phones; administrators any, which then may stay."""
    await create(world.alice, "2001")
    assert list(await refused(world.alice, "2001", "2009")) == ["extra_fields.members.1.number"]

    await group(world.alice, "2001")
    both = {"extra_fields": fields(["2001", "2009"])}
    await world.alice.patch(f"/extensions/{GROUP}", both, status=422)
    await world.root.patch(f"/extensions/{GROUP}", both)
    await world.alice.patch(
        f"/extensions/{GROUP}", {"extra_fields": fields(["2009", "2001"], ring="in-turn")}
    )

    assert list(await members(world.alice)) == ["2009", "2001"]


async def test_loop_is_refused(world: World) -> None:
    """Groups ring groups, but never themselves, however many are between."""
    await create(world.alice, "2001")
    assert "loop" in (await refused(world.alice, GROUP))["extra_fields.members.0.number"]
    await group(world.alice, "2001", number="2101")
    await group(world.alice, "2101", number="2102")
    await group(world.alice, "2102", "2001", number="2103")

    for number in ("2101", "2102", "2103"):
        change = {"extra_fields": fields(["2001", number])}
        answer = await world.alice.patch("/extensions/2101", change, status=422)
        assert answer["errors"][0]["field"] == "extra_fields.members.1.number"
        assert "loop" in answer["errors"][0]["message"]


async def test_loop_made_by_two_at_once(world: World) -> None:
    """Of two changes that make a loop only together, one is refused."""
    await create(world.alice, "2001")
    for number in ("2101", "2102"):
        await group(world.alice, "2001", number=number)

    async def change(number: str, other: str) -> int:
        body = {"extra_fields": fields([other])}
        async with world.alice.client.patch(
            f"/api/v1/extensions/{number}",
            json=body,
            headers={"Authorization": f"Bearer {world.alice.token}"},
        ) as response:
            return response.status

    assert sorted(await asyncio.gather(change("2101", "2102"), change("2102", "2101"))) == [
        *(200, 422),
    ]


async def test_depth_and_number_are_bounded(world: World) -> None:
    """No call goes through more than five groups, nor rings more than a hundred phones."""
    await create(world.alice, "2001")
    await group(world.alice, "2001", number="2101")
    for last in range(2101, 2105):
        await group(world.alice, str(last), number=str(last + 1))
    assert list(await refused(world.alice, "2105")) == ["extra_fields.members"]

    phones = [str(number) for number in range(3000, 3050)]
    for number in phones:
        await create(world.root, number)
    await group(world.root, *phones, number="2201")
    await group(world.root, *phones, number="2202")
    await group(world.root, "2201", "2202", number="2203")
    assert list(await refused(world.root, "2203", "3000")) == ["extra_fields.members"]
    change = {"extra_fields": fields(["3000", "2202"])}
    await world.root.patch("/extensions/2201", change, status=422)


async def test_deleted_member_is_forgotten(world: World) -> None:
    """Whoever gets the number of a deleted member next is not rung in its place."""
    for number in ("2001", "2002"):
        await create(world.alice, number)
    await group(world.alice, "2001", "2002")
    await group(world.alice, GROUP, number="2101")

    await world.alice.delete("/extensions/2001")
    assert await members(world.alice) == {"2002": False}
    await world.alice.delete(f"/extensions/{GROUP}")
    assert await members(world.alice, "2101") == {}
    assert not (await reconcile(world.site)).changes


# Joining, leaving, pausing


async def act(api: Api, action: str, member: str, status: int = 200) -> Any:
    return await api.post(f"/extensions/{GROUP}/members/{member}/{action}", status=status)


async def test_member_pauses_and_joins(world: World) -> None:
    """A pause keeps the member, and joining ends it; who has left is no member."""
    await create(world.alice, "2001")
    await group(world.alice, "2001")

    assert (await act(world.alice, "pause", "2001"))["state"] == "paused"
    assert await members(world.alice) == {"2001": True}
    assert (await act(world.alice, "join", "2001"))["state"] == "active"
    assert (await act(world.alice, "leave", "2001"))["state"] == "none"
    assert await members(world.alice) == {}
    await act(world.alice, "pause", "2001", status=404)
    assert (await act(world.alice, "join", "2001"))["state"] == "active"
    shown = await world.alice.get("/extensions/2001/groups")
    assert shown == [{"group": GROUP, "name": "A group", "member": "2001", "state": "active"}]


async def test_open_group(world: World, bob: Api) -> None:
    """Others join an open group with their own phones, and decide on these alone."""
    await create(world.alice, "2001")
    await group(world.alice, "2001")
    await act(bob, "join", "2009", status=403)
    await world.alice.patch(f"/extensions/{GROUP}", {"extra_fields": fields(["2001"], open=True)})

    await act(bob, "join", "2009")
    await act(bob, "pause", "2009")
    for action in ("join", "pause", "leave"):
        await act(bob, action, "2001", status=404)
    assert await members(world.alice) == {"2001": False, "2009": True}
    await act(world.alice, "leave", "2009")
    await act(world.alice, "join", "2009", status=404)
    await act(world.root, "join", "2009")


async def test_unknown_groups(world: World) -> None:
    """What is no group has no members, and what is no number is no member."""
    await create(world.alice, "2001")
    for number in ("2001", "2999"):
        await world.alice.post(f"/extensions/{number}/members/2001/join", status=404)
    await group(world.alice)
    await act(world.alice, "join", "2999", status=404)


async def test_group_in_the_phonebook(world: World) -> None:
    """The phonebook tells groups from phones."""
    await create(world.alice, "2001", public=True)
    await group(world.alice, "2001")
    await world.alice.patch(f"/extensions/{GROUP}", {"public": True})

    listed = (await world.nobody.get("/phonebook"))["items"]

    assert {each["number"]: each["group"] for each in listed} == {"2001": False, GROUP: True}
