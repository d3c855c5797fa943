"""docs/flavors.md: what it shows works as it says."""

import asyncio
import importlib.util
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType

import pytest

from muru import cli
from muru.app import check_flavors
from muru.settings import Settings, load
from tests.conftest import StartStack, World, free_port
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


def write_blocks(language: str, folder: Path) -> None:
    """Write each block that begins with the name of its file in a comment."""
    for block in blocks(language):
        if name := re.match(r"(?:# |\{# )([\w/.]+\.\w+)", block):
            path = folder / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, encoding="utf-8")


def enable(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the settings that the document tells to make for a flavor."""
    (lines,) = (each for each in blocks("sh") if f'"{name}"' in each)
    for line in lines.splitlines():
        setting, _, value = line.partition("=")
        monkeypatch.setenv(setting, value.strip("'").replace("/srv/flavors", str(folder)))


# --- a flavor in ten minutes ----------------------------------------------------------------------


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """The folder of the first example, with all that the document writes into it."""
    folder = tmp_path / "flavors"
    write_blocks("python", folder)
    write_blocks("jinja", folder)
    (folder / "doorphone.py").unlink()
    return folder


def test_commands_answer_as_shown(
    acme: Path,
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each command of the first example prints what the document says, after one another."""
    enable("acme", acme, monkeypatch)
    monkeypatch.setenv("MURU_PUBLIC_URL", "http://192.0.2.1:8000")
    monkeypatch.setenv("MURU_AMI_PORT", str(make_settings().ami_port))  # nobody is there
    cli.main(["user", "create", "you"])
    capsys.readouterr()
    shown = "".join(each for each in blocks("console") if "acme" in each and "$ muru" in each)

    for command, expected in re.findall(r"^\$ muru (.*)\n((?:[^$\n].*\n)*)", shown, re.MULTILINE):
        code = cli.main(shlex.split(command))
        printed = capsys.readouterr().out

        assert code == 0, printed
        told, _, _ = expected.partition("…")  # the flavors that are switched off
        assert pressed(printed.replace(str(acme), "/srv/flavors"))[: told.count("\n")] == pressed(
            told
        )


def pressed(table: str) -> list[str]:
    """Lines without the white space that depends on what else is in the table."""
    return [" ".join(line.split()) for line in table.splitlines()]


async def test_phone_of_the_document_registers(
    acme: Path,
    start_stack: StartStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The page's virtual phone boots over HTTP and TFTP, and registers at the real Asterisk.

    Its second boot is below the URL that the first one told it.
    """
    enable("acme", acme, monkeypatch)
    read = load()
    stack = await start_stack(
        flavor_paths=read.flavor_paths,
        enabled_phone_flavors=read.enabled_phone_flavors,
        tftp_host="127.0.0.1",
        tftp_port=free_port(),
    )
    for number, mac in (("2001", "02-AC-3E-00-00-01"), ("2002", "02ac3e000002")):
        body = {"type": "Acme 200", "name": "Alice", "extra_fields": {"mac": mac}}
        await stack.alice.post("/extensions", body | {"number": number}, status=201)
    page = imported(acme / "tests/acme_phone.py")
    url = str(stack.nobody.client.make_url("/telephoning/acme/"))

    await page.main(url)
    async with page.AcmePhone("02ac3e000001", "200", http=url) as phone:
        await phone.boot()
        assert "/k/" in phone.http
        await phone.boot()
        by_http = await phone.register()
    address = "127.0.0.1", stack.settings.tftp_port
    async with page.AcmePhone("02ac3e000002", "200", tftp=address) as phone:
        await phone.boot()
        by_tftp = await phone.register()

    assert capsys.readouterr().out == "[200]\n"
    assert (by_http, by_tftp) == ([200], [200])
    (account,) = phone.accounts
    assert (account.username, account.codecs) == ("2002", ["G722", "PCMA", "PCMU"])
    assert phone.requests == ["02ac3e000002.cfg"]


async def test_tests_of_the_document_pass(acme: Path) -> None:
    """The page's own tests pass when they are run as it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"),
        cwd=acme,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    (shown,) = (each for each in blocks("console") if "pytest" in each)
    assert shown.splitlines()[1] in output.decode(), output.decode()


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- an example with hooks and a route ------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the second example, with the example in it."""
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
    enable("doorphone", folder, monkeypatch)
    read = load()
    return make_settings(
        flavor_paths=read.flavor_paths, enabled_phone_flavors=read.enabled_phone_flavors
    )


async def test_example_is_listed_as_shown(settings: Settings, folder: Path) -> None:
    """The example is found, sound, and in the place where the document has it."""
    (shown, _) = (each for each in blocks("console") if "doorphone" in each)
    names = [line.split()[0] for line in shown.splitlines()[2:-1]]

    listed = await check_flavors(settings)

    used = [each.name for each in listed if each.state == "active"]
    assert used == names
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
    (_, shown) = (each for each in blocks("console") if "doorphone" in each)
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
        if not block.startswith("# "):  # the files of the examples
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
    (shown, package) = map(tomllib.loads, blocks("toml"))
    tested = tomllib.loads(
        (Path(__file__).parent / "seed_flavor" / "pyproject.toml").read_text(encoding="utf-8")
    )
    renamed = json.loads(json.dumps(tested).replace("examplephone", "doorphone"))

    assert shown["project"]["entry-points"] == renamed["project"]["entry-points"]
    assert shown["build-system"] == renamed["build-system"]
    assert shown["tool"]["setuptools"] == renamed["tool"]["setuptools"]
    assert package["project"]["entry-points"] == {"muru.flavors": {"acme": "acme_phones"}}
