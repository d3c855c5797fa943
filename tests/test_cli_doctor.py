"""``muru doctor NUMBER``, with and without a running controller, at the real Asterisk."""

import argparse
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from muru import cli_doctor
from muru.api import local
from muru.errors import MuruError
from tests import sip
from tests.conftest import Stack, World
from tests.observe import create


async def doctor(world: World, number: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    """Runs the command; returns its exit code and what it printed as JSON."""
    options = argparse.Namespace(number=number, json=True)
    code = await cli_doctor.doctor(world.site.settings, options)
    return code, json.loads(capsys.readouterr().out)


async def test_controller_is_asked(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """What the running controller knows is told, to the owner of the data folder alone."""
    account = await create(stack.alice, "2001")
    await sip.register(stack.sip_server, "2001", "wrong")

    code, found = await doctor(stack, "2001", capsys)

    assert (code, found["cause"]) == (1, "wrong-password")
    assert found == await stack.alice.get("/extensions/2001/diagnosis")
    door = local.socket_path(stack.settings)
    assert stat.S_IMODE(door.stat().st_mode) == 0o600
    assert stat.S_IMODE(door.parent.stat().st_mode) == 0o700

    await sip.register(stack.sip_server, *account)
    assert (await doctor(stack, "2001", capsys))[0] == 0
    for number in ("4711", "root", "²"):
        with pytest.raises(MuruError, match="no"):
            await doctor(stack, number, capsys)


async def test_no_controller(
    stack: Stack,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Without a controller the command sees who is registered, and accuses nobody of the rest."""
    monkeypatch.setattr(local, "socket_path", lambda _: tmp_path / "none.sock")
    account = await create(stack.alice, "2001")
    await sip.register(stack.sip_server, "2001", "wrong")
    code, found = await doctor(stack, "2001", capsys)
    assert (code, found["cause"]) == (1, "not-registered")

    await sip.register(stack.sip_server, *account)
    code, found = await doctor(stack, "2001", capsys)
    assert (code, found["cause"]) == (0, None)


async def test_printed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """People get the cause with both texts, and a line for each link."""
    await create(world.alice, "2001")

    options = argparse.Namespace(number="2001", json=False)
    assert await cli_doctor.doctor(world.site.settings, options) == 1

    first, text, operator_text, empty, *links = capsys.readouterr().out.splitlines()
    assert first == "2001: asterisk-away"
    assert "telephone system" in text
    assert "manager interface" in operator_text
    assert empty == ""
    assert [line.split()[:2] for line in links[:2]] == [["ok", "flavor"], ["broken", "asterisk"]]


async def test_flavor_with_a_syntax_error(
    world: World,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A flavor that cannot be read is named, with its reason, before all that follows from it."""
    await create(world.alice, "2001")
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "mybrand.py").write_text("class MyBrand(SIP:\n")
    monkeypatch.setattr(local, "socket_path", lambda _: tmp_path / "none.sock")
    settings = world.site.settings.model_copy(
        update={"enabled_phone_flavors": ["mybrand"], "flavor_paths": [folder]}
    )

    options = argparse.Namespace(number="2001", json=True)
    assert await cli_doctor.doctor(settings, options) == 1

    found = json.loads(capsys.readouterr().out)
    assert found["cause"] == "flavor-faulty"
    assert "mybrand: cannot be imported: SyntaxError" in found["operator_text"]
