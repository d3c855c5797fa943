"""A flavor written from the text that defines flavors works, in a folder and installed."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from muru.settings import Settings
from tests.conftest import World
from tests.media.samples import tone, upload
from tests.written_flavors import flavors, realtime_rows

PROJECT = Path(__file__).parent / "seed_flavor"
ROUTES = "/telephoning/examplephone"
MAC = "0004137f0001"
RINGTONE = 1


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flavor, installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("distribution")
    shutil.copytree(PROJECT, folder / "project")  # a build leaves files beside the source
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--target", folder / "installed")
    done = subprocess.run(
        [*pip, *offline, folder / "project"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    return folder / "installed"


@pytest.fixture(params=["folder", "distribution"])
def place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The flavor's origin as it is listed, and the settings by which it is found."""
    enabled = {"enabled_phone_flavors": ["sip", "dummy", "examplephone"]}
    if request.param == "folder":
        yield str(PROJECT), {"flavor_paths": [PROJECT], **enabled}
        return
    monkeypatch.syspath_prepend(request.getfixturevalue("distribution"))
    yield "muru-flavor-examplephone", enabled
    sys.modules.pop("examplephone", None)


@pytest.fixture
async def world(
    place: tuple[str, dict[str, Any]],
    make_settings: Callable[..., Settings],
    start: Callable[[Settings], Awaitable[World]],
) -> World:
    """The application with the flavor, and a medium that is its ringtone."""
    world = await start(make_settings(**place[1]))
    assert (await upload(world.root, tone()))["id"] == RINGTONE
    return world


async def status(world: World) -> Any:
    """Return what the flavor's route tells of both databases and of itself."""
    async with world.root.client.get(f"{ROUTES}/status") as response:
        assert response.status == 200
        return await response.json()


def body(**more: Any) -> dict[str, Any]:
    return {
        "type": "Example 100",
        "name": "Kitchen",
        "number": "2001",
        "extra_fields": {"mac": MAC},
        "media": {"ringtone": RINGTONE},
    } | more


async def test_flavor_is_listed(world: World, place: tuple[str, dict[str, Any]]) -> None:
    """It is active, with its origin, its class and its types."""
    listed = (await flavors(world.root))["examplephone"]

    assert listed["state"] == "active", listed["reason"]
    assert listed["origin"] == place[0]
    assert listed["module"] == "examplephone"
    assert listed["class_name"] == "ExamplePhone"
    assert listed["phone_types"] == ["Example 100", "Example 200"]


async def test_types_are_offered_as_declared(world: World) -> None:
    """The list of phone types shows every attribute, in the order of DISPLAY_INDEX."""
    types = await world.alice.get("/phone-types")

    assert [each["type"] for each in types] == ["Example 100", "Example 200", "SIP", "Dummy"]
    first, second, *_ = types
    assert first["flavor"] == "examplephone"
    assert first["special"] is True
    assert first["may_create"] is False
    assert first["max_name_chars"] == 12
    assert (first["codecs"], second["codecs"]) == (["alaw"], ["g722"])
    schema = first["extra_fields"]
    assert schema["required"] == ["mac"]
    assert schema["properties"]["mac"]["pattern"] == "^[0-9a-f]{12}$"
    assert schema["properties"]["volume"]["default"] == 5
    assert set(schema["$defs"]["Place"]["properties"]) == {"building", "floor"}
    assert first["media"] == {
        "ringtone": {
            "media_type": "audio",
            "required": True,
            "label": "Ringtone",
            "out_format": {"out_type": "wav", "samplerate": 16000, "channels": 1, "bitdepth": 16},
            "endpoint_filename": None,
        },
        "logo": {
            "media_type": "image",
            "required": False,
            "label": "Logo",
            "out_format": {"out_type": "bmp", "colormode": "1", "width": 128, "height": 64},
            "endpoint_filename": "logo.bmp",
        },
    }


async def test_extension_lives_and_dies_with_its_account(world: World) -> None:
    """Each hook runs once, with both sessions, at its time; ``super()`` keeps the SIP account."""
    created = await world.root.post("/extensions", body(), status=201)
    rows = await realtime_rows(world.site, "2001")

    assert created["extra_fields"] == {"mac": MAC, "volume": 5, "place": None}
    assert created["sip"]["username"] == "2001"
    assert rows["ps_endpoints"]["allow"] == "alaw"
    assert rows["ps_auths"]["password"] == created["sip"]["password"]
    assert set(rows) == {"ps_endpoints", "ps_auths", "ps_aors", "extensions"}

    quiet = {
        "name": "Cellar",
        "type": "Example 200",
        "extra_fields": {"mac": MAC, "volume": 0, "place": {"building": "B"}},
    }
    changed = await world.root.patch("/extensions/2001", quiet)
    rows = await realtime_rows(world.site, "2001")

    assert changed["extra_fields"]["place"] == {"building": "B", "floor": None}
    assert rows["ps_endpoints"]["allow"] == "gsm"
    assert rows["ps_endpoints"]["callerid"] == '"Cellar" <2001>'
    now = await status(world)
    assert (now["extensions"], now["accounts"]) == (["2001"], ["2001"])

    await world.root.post("/extensions/2001/password")
    await world.root.delete("/extensions/2001")

    now = await status(world)
    assert (now["extensions"], now["accounts"]) == ([], [])
    assert await realtime_rows(world.site, "2001") == {}
    same = {"user": "root", "number": "2001", "rows": 1}
    cellar = {**same, "name": "Cellar", "caller": '"Cellar" <2001>'}
    assert now["hooks"] == [
        {**same, "hook": "create", "name": "Kitchen", "caller": '"Kitchen" <2001>'},
        {**cellar, "hook": "update"},
        {**cellar, "hook": "update"},
        {**cellar, "hook": "delete", "caller": None},
    ]


async def test_input_is_held_to_the_declaration(world: World) -> None:
    """MAX_EXTENSION_NAME_CHARS and EXTRA_FIELDS bind on create and on update."""
    await world.root.post("/extensions", body(), status=201)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": "Thirteen char"}, "name"),
        ({"extra_fields": {}}, "extra_fields.mac"),
        ({"extra_fields": {"mac": "00:04"}}, "extra_fields.mac"),
        ({"extra_fields": {"mac": MAC, "place": {}}}, "extra_fields.place.building"),
    ]

    for more, field in cases:
        refused = await world.root.post("/extensions", body(number="2002", **more), status=422)
        refused_too = await world.root.patch("/extensions/2001", more, status=422)

        assert [each["field"] for each in refused["errors"]] == [field]
        assert refused_too["errors"] == refused["errors"]
    assert (await world.root.get("/extensions/2001"))["name"] == "Kitchen"


async def test_special_type_is_for_administrators(world: World) -> None:
    """IS_SPECIAL keeps others from creating one."""
    refused = await world.alice.post("/extensions", body(), status=403)

    assert refused["type"] == "urn:muru:problem:special-type"
    assert (await status(world))["hooks"] == []


async def test_routes_are_the_ones_of_the_class(world: World) -> None:
    """A handler as plain as the text has it is called by its method, and by no other."""
    async with world.root.client.post(f"{ROUTES}/") as response:
        assert (response.status, await response.text()) == (200, "null")
    async with world.root.client.get(f"{ROUTES}/") as response:
        assert response.status == 405
    async with world.root.client.post("/telephoning/other/") as response:
        assert response.status == 404

    assert (await status(world))["pressed"] == 1


async def test_job_runs_at_start_and_over_and_over(world: World) -> None:
    """The job ran once before the application was up, and runs on with JOB_INTERVAL."""
    job = (await flavors(world.root))["examplephone"]["job"]
    assert (job["runs"], job["interval"], job["last_error"]) == (1, 1, None)
    assert job["last_run"] is not None
    assert job["next_run"] > job["last_run"]

    async with asyncio.timeout(3):
        while (await status(world))["jobs"] < 2:  # noqa: ASYNC110  # it is seen by its route only
            await asyncio.sleep(0.1)
