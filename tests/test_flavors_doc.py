"""docs/flavors.md: what it shows works as it says."""

import json
import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from muru.app import check_flavors
from muru.settings import Settings, load
from tests.conftest import World
from tests.written_flavors import flavors, realtime_rows

DOCUMENT = (Path(__file__).parent.parent / "docs" / "flavors.md").read_text(encoding="utf-8")
BODY = {
    "type": "Doorphone 2 HD",
    "name": "Front door",
    "number": "2001",
    "extra_fields": {"button": "2000"},
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the example, with the example in it."""
    (source,) = (each for each in blocks("python") if each.startswith("# doorphone.py\n"))
    folder = tmp_path / "flavors"
    folder.mkdir()
    (folder / "doorphone.py").write_text(source)
    return folder


@pytest.fixture
def settings(
    folder: Path, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The settings that the document tells to make, with the test's folder in place of its own."""
    (lines,) = (each for each in blocks("sh") if "MURU_FLAVOR_PATHS" in each)
    for line in lines.splitlines():
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value.strip("'").replace("/srv/flavors", str(folder)))
    read = load()
    return make_settings(
        flavor_paths=read.flavor_paths, enabled_phone_flavors=read.enabled_phone_flavors
    )


async def test_example_is_listed_as_shown(settings: Settings, folder: Path) -> None:
    """The example is found, sound, and in the place where the document has it."""
    (shown, _) = (each for each in blocks("console") if "$ muru flavors" in each)
    names = [line.split()[0] for line in shown.splitlines()[2:]]

    listed = await check_flavors(settings)

    assert [(each.name, each.state) for each in listed] == [(name, "active") for name in names]
    assert listed[names.index("doorphone")].origin == str(folder)


async def test_example_does_what_it_is_for(
    settings: Settings, start: Callable[[Settings], Awaitable[World]]
) -> None:
    """The hooks check the button, the route gives the configuration to who has the token."""
    world = await start(settings)
    refused = await world.alice.post("/extensions", BODY, status=422)
    await world.alice.post("/extensions", {"type": "SIP", "name": "Bar", "number": "2000"})
    door = await world.alice.post("/extensions", BODY, status=201)
    again = await world.alice.patch(
        "/extensions/2001", {"extra_fields": {"button": "9999"}}, status=422
    )

    fault = {"field": "extra_fields.button", "message": "no such number"}
    assert (refused["detail"], refused["errors"]) == ("The button would ring nobody.", [fault])
    assert again["errors"] == [fault]
    rows = await realtime_rows(world.site, "2001")
    assert rows["ps_endpoints"]["allow"] == "g722,alaw"

    async def fetch(number: str, token: str) -> tuple[int, str]:
        path = f"/telephoning/doorphone/{number}.cfg"
        async with world.nobody.client.get(path, params={"token": token}) as response:
            return response.status, await response.text()

    status, text = await fetch("2001", door["token"])
    assert status == 200
    assert dict(line.split("=") for line in text.splitlines()) == {
        "user": "2001",
        "password": door["sip"]["password"],
        "display": "Front door",
        "port": "5060",
        "button": "2000",
        "seconds": "30",
    }
    for number, token in (("2001", "guess"), ("2001", "t\u00f6ken"), ("2000", door["token"])):
        assert (await fetch(number, token))[0] == 404
    await world.alice.delete("/extensions/2001")
    assert (await fetch("2001", door["token"]))[0] == 404


async def test_example_has_a_job(
    settings: Settings, start: Callable[[Settings], Awaitable[World]]
) -> None:
    """It ran at the start, and will run again."""
    world = await start(settings)

    job = (await flavors(world.root))["doorphone"]["job"]

    assert (job["runs"], job["last_error"], job["interval"]) == (1, None, 300)
    assert job["next_run"]


async def test_fault_is_told_as_shown(settings: Settings, folder: Path) -> None:
    """The document's example of a fault is what muru says to it."""
    (_, shown) = (each for each in blocks("console") if "$ muru flavors" in each)
    module = folder / "doorphone.py"
    source = module.read_text().replace(', "Doorphone 2 HD": ("g722", "alaw")}', "}")
    module.write_text(source)

    listed = {each.name: each for each in await check_flavors(settings)}

    assert f"doorphone is faulty: {listed['doorphone'].reason}\n" in shown


def test_other_examples_are_sound(folder: Path, make_settings: Callable[..., Settings]) -> None:
    """The attributes and methods that are shown by themselves fit into the example's class."""
    from muru.registry import discover

    module = folder / "doorphone.py"
    for block in blocks("python"):
        if not block.startswith("# doorphone.py\n"):
            indented = re.sub(r"^(?=.)", "    ", block, flags=re.MULTILINE)
            module.write_text(
                "from muru.db.realtime import PsEndpoint\nfrom muru.flavor import *\n"
                + module.read_text()
                + indented
            )

    registry = discover(make_settings(flavor_paths=[folder], enabled_phone_flavors=["doorphone"]))

    (doorphone,) = (each for each in registry.listing() if each.module == "doorphone")
    assert doorphone.state == "active", doorphone.reason
    assert doorphone.flavor
    assert set(doorphone.flavor.MEDIA) == {"ringtone", "logo"}


def test_distribution_offers_the_module() -> None:
    """The pyproject.toml that is shown has the same entry point as the one that is tested."""
    (shown,) = map(tomllib.loads, blocks("toml"))
    tested = tomllib.loads(
        (Path(__file__).parent / "seed_flavor" / "pyproject.toml").read_text(encoding="utf-8")
    )
    renamed = json.loads(json.dumps(tested).replace("examplephone", "doorphone"))

    assert shown["project"]["entry-points"] == renamed["project"]["entry-points"]
    assert shown["build-system"] == renamed["build-system"]
    assert shown["tool"]["setuptools"] == renamed["tool"]["setuptools"]
