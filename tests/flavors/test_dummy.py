"""An extension without a phone."""

from tests.conftest import World
from tests.written_flavors import realtime_rows


async def test_number_is_kept_without_an_account(world: World) -> None:
    """It holds number and name, can be changed and deleted, and is nothing to Asterisk."""
    body = {"type": "Dummy", "name": "x" * 40, "number": "2001"}

    created = await world.alice.post("/extensions", body, status=201)
    await world.alice.post("/extensions", body, status=409)
    changed = await world.alice.patch("/extensions/2001", {"name": "Nobody"})

    assert (created["sip"], created["extra_fields"]) == (None, {})
    assert changed["name"] == "Nobody"
    assert await realtime_rows(world.site, "2001") == {}
    await world.alice.delete("/extensions/2001")


async def test_type_is_offered_last(world: World) -> None:
    """Who looks for a phone finds it further up."""
    types = await world.alice.get("/phone-types")

    assert [each["type"] for each in types][-1] == "Dummy"
    assert types[-1]["max_name_chars"] == 40
