"""What holds for every flavor: those that muru brings along, and one from somebody else."""

import asyncio
import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select

from muru import flavor as public
from muru.app import create_app
from muru.flavor import CODECS, MediaType, PhoneFlavor
from muru.paths import bundled
from muru.services.reconcile import reconcile
from muru.settings import Settings
from tests.conftest import World
from tests.media.samples import picture, tone, upload
from tests.written_flavors import realtime_rows

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUNDLED = sorted(
    module.name
    for module in pkgutil.iter_modules([str(bundled("flavors"))])
    if not module.name.startswith("_")
)
MODULES = [*BUNDLED, "examplephone"]

# What a person fills in, by module: the least that the flavor's EXTRA_FIELDS accepts.
EXTRA_FIELDS: dict[str, dict[str, Any]] = {"examplephone": {"mac": "0004137f0001"}}

HOSTILE = (
    "<b>&amp;</b>",
    "\"'\\`",
    "a;b,c^${EXTEN}|d",
    "%s %(x)s {x} {{x}}",
    "a \N{NO-BREAK SPACE} b",
    "\N{BELL}\N{ZERO WIDTH JOINER}\N{BELL}",
    "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}",
    "\N{LATIN SMALL LETTER E WITH ACUTE}" * 64,
)
REFUSED = ("a\r\nsecret=b", "a\0b", "\N{RIGHT-TO-LEFT OVERRIDE}321", "x" * 129, " ")


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    """All flavors are enabled, and everybody may use them."""
    return make_settings(
        enabled_phone_flavors=MODULES,
        flavor_paths=[HERE.parent / "seed_flavor"],
        all_extension_types_public=True,
        extensions_per_user=1000,
    )


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> str:
    """Each flavor's module in turn."""
    name: str = request.param
    return name


@pytest.fixture
async def world(
    settings: Settings, start: Callable[[Settings], Awaitable[World]], module: str
) -> World:
    """The application, with the media in it that the module's phone types need."""
    started = await start(settings)
    if any(
        _needed(flavor, each)
        for flavor in flavors_of(started, module)
        for each in flavor.PHONE_TYPES
    ):
        for content in (tone(), picture()):
            await upload(started.alice, content)
    return started


def _needed(flavor: PhoneFlavor, phone_type: str) -> dict[str, int]:
    """Return ids of media for what a phone type requires."""
    ids = {MediaType.AUDIO: 1, MediaType.IMAGE: 2}
    found = flavor.media_for(phone_type).items()
    return {key: ids[each.media_type] for key, each in found if each.required}


def flavors_of(world: World, module: str) -> list[PhoneFlavor]:
    active = world.site.registry.active()
    return [flavor for entry, flavor in active if entry.module == module]


def bodies(world: World, module: str) -> list[dict[str, Any]]:
    """Return what creates one extension of each phone type of a module."""
    return [
        {
            "type": phone_type,
            "name": "Phone",
            "number": f"2{index:03}",
            "extra_fields": EXTRA_FIELDS.get(module, {}),
            "media": _needed(flavor, phone_type),
        }
        for flavor in flavors_of(world, module)
        for index, phone_type in enumerate(flavor.PHONE_TYPES)
    ]


def first_bodies(world: World, module: str) -> list[dict[str, Any]]:
    """As :func:`bodies`, of one type for each class: names are the class's business."""
    firsts = {flavor.PHONE_TYPES[0] for flavor in flavors_of(world, module)}
    return [body for body in bodies(world, module) if body["type"] in firsts]


async def test_flavor_is_sound(world: World, module: str) -> None:
    """Each class of the module is used, has a type to choose, and codecs that Asterisk knows."""
    listed = [each for each in await world.root.get("/flavors") if each["module"] == module]

    assert listed
    assert {each["state"] for each in listed} == {"active"}, listed
    for flavor in flavors_of(world, module):
        assert flavor.PHONE_TYPES
        codecs = flavor.get_codec(None)
        assert set((codecs,) if isinstance(codecs, str) else codecs) <= set(CODECS)


async def test_every_type_lives_and_dies(world: World, module: str) -> None:
    """An extension of each type is created, changed and deleted; nothing of it is left over.

    After each step Asterisk's tables are as reconciliation would make them.
    """
    alive = {}
    for body in bodies(world, module):
        created = await world.alice.post("/extensions", body, status=201)
        assert created["extra_fields"].items() >= body["extra_fields"].items()
        alive[body["number"]] = created["extra_fields"]
    assert not (await reconcile(world.site)).changes

    for number, fields in alive.items():
        change = {"name": "Renamed", "extra_fields": fields}
        await world.alice.patch(f"/extensions/{number}", change)
        await world.alice.post(f"/extensions/{number}/password")
    report = await reconcile(world.site)
    assert (report.changes, report.foreign, report.skipped) == ([], [], {})

    for number in alive:
        await world.alice.delete(f"/extensions/{number}")
        assert await realtime_rows(world.site, number) == {}
    assert not (await reconcile(world.site)).changes


async def test_hostile_name_does_no_harm(world: World, module: str) -> None:
    """Whatever a person may be called, the name is shown as it is and stays one value."""
    for body in first_bodies(world, module):
        longest = world.site.registry.require_type(body["type"]).MAX_EXTENSION_NAME_CHARS
        for name in HOSTILE:
            given = name[:longest].strip()
            created = await world.alice.post("/extensions", body | {"name": given}, status=201)
            rows = await realtime_rows(world.site, body["number"])
            await world.alice.delete(f"/extensions/{body['number']}")

            assert created["name"] == given
            values = [str(value) for row in rows.values() for value in row.values()]
            assert not any(ord(character) < 32 for value in values for character in value)
            if "ps_endpoints" in rows:
                kept = given.encode()[:79].decode(errors="ignore")  # as much as Asterisk keeps
                quoted = kept.replace("\\", "\\\\").replace('"', '\\"')
                assert rows["ps_endpoints"]["callerid"] == f'"{quoted}" <{body["number"]}>'


async def test_impossible_name_is_refused(world: World, module: str) -> None:
    """A name that no phone can show is refused by name, and nothing is saved."""
    for body in first_bodies(world, module):
        for name in REFUSED:
            refused = await world.alice.post("/extensions", body | {"name": name}, status=422)

            assert [each["field"] for each in refused["errors"]] == ["name"], name
            assert await realtime_rows(world.site, body["number"]) == {}


async def test_rows_follow_from_the_extension_alone(world: World, module: str) -> None:
    """realtime_rows gives the same each time, and only keys of the extension's own number."""
    for body in bodies(world, module):
        flavor = world.site.registry.require_type(body["type"])
        await world.alice.post("/extensions", body, status=201)
        async with world.site.database.read() as session:
            extension = (await session.scalars(select(public.Extension))).one()
        first, second = flavor.realtime_rows(extension), flavor.realtime_rows(extension)

        assert [row.values() for row in first] == [row.values() for row in second]
        assert all(extension.number in row.row_key.split("|") for row in first)
        await world.alice.delete(f"/extensions/{body['number']}")


async def test_application_ends_without_a_rest(settings: Settings) -> None:
    """After an application with all flavors has ended, none of their tasks is left."""
    before = asyncio.all_tasks()
    runner = web.AppRunner(create_app(settings))

    await runner.setup()
    await runner.cleanup()

    assert asyncio.all_tasks() == before


async def test_application_can_start_again(
    settings: Settings, start: Callable[[Settings], Awaitable[World]]
) -> None:
    """What one run of the flavors leaves is no hindrance for the next."""
    runner = web.AppRunner(create_app(settings))
    await runner.setup()
    await runner.cleanup()

    world = await start(settings)

    assert {entry.module for entry, _ in world.site.registry.active()} == set(MODULES)


def test_every_bundled_flavor_has_tests() -> None:
    """No flavor comes with muru without tests of its own."""
    assert [name for name in BUNDLED if not (HERE / f"test_{name}.py").is_file()] == []


def test_documentation_names_the_whole_interface() -> None:
    """docs/flavors.md mentions each attribute, method and name that an author may use."""
    text = (ROOT / "docs" / "flavors.md").read_text(encoding="utf-8")
    parts = {name for name in vars(PhoneFlavor) if not name.startswith("_")}
    names = parts | set(inspect.get_annotations(PhoneFlavor)) | set(public.__all__)

    assert sorted(name for name in names if f"`{name}" not in text) == []


def test_documentation_tells_the_defaults() -> None:
    """The table of attributes in docs/flavors.md has the defaults that PhoneFlavor has."""
    text = (ROOT / "docs" / "flavors.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    told = {row[1].strip(" `"): row[2].strip(" `") for row in rows}
    declared = {name: value for name, value in vars(PhoneFlavor).items() if name.isupper()}

    shown = {name: repr(value).replace("'", '"') for name, value in declared.items()}
    assert {name: told.get(name) for name in declared} == {
        **shown,
        "IDENTIFICATION": "Identification()",
    }
