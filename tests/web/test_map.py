"""The map: the operator's floor plan, the phones on it, and how one gets there."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from muru.errors import SettingsError
from muru.settings import load
from muru.web.plan import Plan
from tests.conftest import World, configured
from tests.web.conftest import PHONE, OpenWindow, Visitor
from tests.web.pages import PIXEL, PLAN

HALL = {"lat": 0.75, "lng": 0.25}


async def add(world: World, name: str, **more: Any) -> str:
    body = {"type": "SIP", "name": name, "public": True, **more}
    number: str = (await world.alice.post("/extensions", body, status=201))["number"]
    return number


def draw(content: bytes | None) -> None:
    """Make that the floor plan; None takes it away."""
    Path("plan").unlink(missing_ok=True)
    if content is not None:
        Path("plan").write_bytes(content)


@configured(map_image="plan.svg")
async def test_map_shows_public_phones_with_a_place(world: World, visitor: Visitor) -> None:
    """Who is public and on the plan is shown where it is; nobody else is, and names stay names."""
    number = await add(world, "<b>Hall</b>", location=HALL)
    await add(world, "Elsewhere", location={"lat": 48.1, "lng": 11.5})
    await add(world, "Nowhere")
    await add(world, "Hidden", location=HALL, public=False)

    answer = await visitor.get("/map")

    assert f'href="tel:{number}"' in answer.text
    assert 'x="25.0%" y="25.0%"' in answer.text
    assert "&lt;b&gt;Hall" in answer.text
    assert not [name for name in ("Elsewhere", "Nowhere", "Hidden") if name in answer.text]
    assert 'href="/map"' in (await visitor.get("/")).text


async def test_site_may_have_no_map(world: World, visitor: Visitor) -> None:
    """Without a floor plan there is no map, no way to one, and no place to be filled in."""
    number = await add(world, "Hall", location=HALL)
    await visitor.log_in()

    assert (await visitor.get("/map")).status == 404
    assert (await visitor.get("/map/plan")).status == 404
    assert 'href="/map"' not in (await visitor.get("/")).text
    changed = await visitor.submit(
        f"/phones/{number}/edit", f"/phones/{number}/edit", name="Hall 2"
    )

    assert "location" not in (await visitor.get(f"/phones/{number}/edit")).text
    assert changed.path == f"/phones/{number}"
    assert (await world.alice.get(f"/extensions/{number}"))["location"] == HALL


@configured(map_image="plan")
async def test_floor_plan_is_what_its_content_says(visitor: Visitor) -> None:
    """A picture is served as what it is, and what is none not at all, whatever it is called."""
    shown = {}
    jpeg, webp = b"\xff\xd8\xff\xe0 jpeg", b"RIFF\0\0\0\0WEBPVP8 "
    for content in (PIXEL, jpeg, webp, PLAN.read_bytes(), b"<html><script>", b"GIF89a", b""):
        draw(content)
        answer = await visitor.request("HEAD", "/map/plan")
        shown[content[:5]] = answer.response.content_type if answer.status == 200 else None
    draw(None)

    assert list(shown.values()) == [
        *("image/png", "image/jpeg", "image/webp", "image/svg+xml"),
        *(None, None, None),
    ]
    assert (await visitor.get("/map/plan")).status == 404
    assert (await visitor.get("/map")).status == 200


@configured(map_image="plan.svg")
async def test_floor_plan_runs_nothing(open_window: OpenWindow) -> None:
    """A script in the drawing does nothing, even if somebody opens the drawing itself."""
    shutil.copy(PLAN, "plan.svg")
    window = await open_window()

    assert await window.open("/map/plan") == 200

    assert await window.page.get_attribute("svg", "viewBox")
    assert await window.page.get_attribute("svg", "data-ran") is None


@configured(map_image="plan.svg")
async def test_place_is_chosen_by_a_tap(world: World, open_window: OpenWindow) -> None:
    """A tap on the plan fills in the place, however large it is shown; the map has it then."""
    shutil.copy(PLAN, "plan.svg")
    number = await add(world, "Hall")
    window = await open_window(PHONE, user="alice")
    page = window.page
    await window.open(f"/phones/{number}/edit")
    await page.get_by_text("Place on the map").click()

    await page.get_by_role("button", name="Larger").click()
    sheet = page.locator(".plan-sheet")
    box = await sheet.bounding_box()
    assert box is not None
    await sheet.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    await expect(page.get_by_label("Upwards")).to_have_value(re.compile(r"0\.(499|5)\d*"))
    await expect(page.locator("[data-spot]")).to_have_attribute("x", re.compile(r"(49\.9|50)"))
    await page.get_by_label("To the right").fill("0.25")
    await expect(page.locator("[data-spot]")).to_have_attribute("x", "25%")
    await window.check()
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url(f"**/phones/{number}")

    await window.open("/map")
    pin = page.get_by_role("link", name=f"Call Hall, {number} (not reachable)")
    await expect(page.locator(".pin")).to_have_attribute("x", "25.0%")
    await expect(pin).to_have_attribute("href", f"tel:{number}")
    await window.check()


@configured(map_image="plan.svg")
async def test_place_is_written_without_scripts(world: World, visitor: Visitor) -> None:
    """A place can be filled in by hand, taken away again, and what is none is told at its field."""
    number = await add(world, "Hall")
    await visitor.log_in()
    page = f"/phones/{number}/edit"

    async def write(lat: str, lng: str) -> str:
        place = {"location.lat": lat, "location.lng": lng}
        answer = await visitor.submit(page, page, **place)
        return "saved" if answer.path == f"/phones/{number}" else answer.seen

    async def place() -> Any:
        return (await world.alice.get(f"/extensions/{number}"))["location"]

    assert await write("0.75", "0,25") == "saved"
    assert await place() == HALL
    for lat, lng in (("91", "0"), ("nan", "0"), ("1e999", "0"), ("here", "0"), ("", "0.5")):
        assert "write a number from -90 to 90" in await write(lat, lng)
    assert "write a number from -180 to 180" in await write("0", "-181")
    assert await place() == HALL
    assert await write("", " ") == "saved"
    assert await place() is None


def test_plan_has_the_corners_it_is_given() -> None:
    """Places lie evenly between the corners; what is beyond them is not on the plan."""
    plan = Plan(Path("plan"), 48.0, 11.0, 48.5, 12.0)

    assert plan.spot({"lat": 48.0, "lng": 11.0}) == (0, 100)
    assert plan.spot({"lat": 48.5, "lng": 12.0}) == (100, 0)
    assert plan.spot({"lat": 48.25, "lng": 11.25}) == (25, 50)
    assert plan.decimals == 5
    for place in (None, {}, {"lat": 48.6, "lng": 11.5}, {"lat": 48.1, "lng": 0.0}):
        assert plan.spot(place) is None


@pytest.mark.parametrize("bounds", ["[0, 0, 1]", "[1, 0, 0, 1]", "[0, 0, 91, 1]", '["a"]'])
def test_corners_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, bounds: str) -> None:
    """Corners that are no rectangle of places are told at the start."""
    monkeypatch.setenv("MURU_MAP_BOUNDS", bounds)

    with pytest.raises(SettingsError) as refusal:
        load()

    assert set(refusal.value.faults) == {"MURU_MAP_BOUNDS"}
