"""Finding an Asterisk, and keeping one alive that dies, hangs, or was left behind."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from muru.asterisk import config, program
from muru.errors import MuruError
from muru.settings import Settings
from tests import sip
from tests.conftest import asterisk_ports
from tests.observe import console, until

MakeSettings = Callable[..., Settings]


def fake_asterisk(path: Path, version: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)


def fake_root(root: Path) -> None:
    """What scripts/get-asterisk leaves behind, as far as it is looked for."""
    fake_asterisk(root / "usr/sbin/asterisk", "unused")
    (root / "usr/lib/x86_64-linux-gnu/asterisk/modules").mkdir(parents=True)
    (root / "lib64").mkdir()
    (root / "lib64/ld-linux-x86-64.so.2").write_text("")


@pytest.fixture
def own_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it, and nothing in the user's cache."""
    monkeypatch.delenv("MURU_ASTERISK_ROOT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if shutil.which("asterisk", path="/usr/sbin:/usr/local/sbin"):
        pytest.skip("this machine has an Asterisk of its own, which is found without PATH")
    return tmp_path / "bin"


def test_none(own_path: Path, make_settings: MakeSettings) -> None:
    """Where there is no Asterisk the text says where it was looked for, and how to get one."""
    with pytest.raises(MuruError, match="get-asterisk") as caught:
        program.find(make_settings())

    assert "asterisk-root" in caught.value.message
    assert "20 or newer" in caught.value.message


@pytest.mark.parametrize("version", ["Asterisk 18.10.0", "Asterisk certified/18.9", "nonsense", ""])
def test_too_old(own_path: Path, make_settings: MakeSettings, tmp_path: Path, version: str) -> None:
    """One that is too old, or does not say what it is, is as good as none."""
    fake_asterisk(own_path / "asterisk", version)
    with pytest.raises(MuruError, match="20 or newer"):
        program.find(make_settings())

    fake_root(tmp_path / "cache/muru/asterisk-root")

    assert program.find(make_settings()).root == tmp_path / "cache/muru/asterisk-root"


def test_root_folder(own_path: Path, make_settings: MakeSettings, tmp_path: Path) -> None:
    """The folder that is set wins; it is run with its own loader and libraries."""
    fake_root(tmp_path / "root")
    fake_root(tmp_path / "cache/muru/asterisk-root")

    found = program.find(make_settings(asterisk_root=tmp_path / "root"))

    assert found.root == tmp_path / "root"
    assert found.command[0] == str(tmp_path / "root/lib64/ld-linux-x86-64.so.2")
    assert found.command[-1] == str(tmp_path / "root/usr/sbin/asterisk")
    assert found.modules.is_relative_to(found.root)


def test_folder_that_is_not_complete(
    own_path: Path, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """What an interrupted installation left is told as such."""
    fake_asterisk(tmp_path / "root/usr/sbin/asterisk", "unused")

    with pytest.raises(MuruError, match="not complete"):
        program.find(make_settings(asterisk_root=tmp_path / "root"))


def test_real_one(make_settings: MakeSettings) -> None:
    """The one that the tests use is found, and says what it is."""
    found = program.find(make_settings())

    output = subprocess.run([*found.command, "-V"], capture_output=True, text=True, check=True)

    assert output.stdout.startswith("Asterisk ")
    assert (found.modules / "chan_pjsip.so").is_file()


MakeProcess = Callable[[], program.Process]


@pytest.fixture
def folder(make_settings: MakeSettings) -> Path:
    """A configuration."""
    settings = make_settings(**asterisk_ports())
    folder = settings.data_dir / "asterisk/etc"
    config.write(settings, program.find(settings), folder)
    return folder


@pytest.fixture
async def make_process(
    folder: Path, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeProcess]:
    """Returns a function to a new Asterisk in the same folder."""
    monkeypatch.setattr(program, "_RESTART_BACKOFF", (0.1, 0.5))
    made: list[program.Process] = []

    def make() -> program.Process:
        made.append(program.Process(program.find(make_settings()), folder))
        return made[-1]

    yield make
    for process in made:
        await process.stop()
    assert processes_of(folder) == set()


def processes_of(folder: Path) -> set[int]:
    """All processes that run with this configuration."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = each.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(folder / "asterisk.conf") in arguments:
            found.add(int(each.parent.name))
    return found


async def booted(process: program.Process) -> int:
    """Its id, as soon as it takes calls."""

    async def answer() -> str:
        return await console(process, "core waitfullybooted")

    await until(answer, lambda text: "fully booted" in text)
    assert process.pid
    return process.pid


async def takes_sip(folder: Path) -> None:
    """Shows that it has its SIP port, which a second one on the same port would not get."""
    transports = (folder / "pjsip.conf").read_text()
    port = int(transports.partition("bind = 127.0.0.1:")[2].split()[0])
    assert (await sip.register(sip.Server(port), "2001", "wrong")).status == 401


async def gone(pid: int) -> None:
    async def runs() -> bool:
        return Path(f"/proc/{pid}/exe").exists()  # noqa: ASYNC240 - it is no disk

    await until(runs, lambda there: not there)


async def test_start_and_stop(folder: Path, make_process: MakeProcess) -> None:
    """It runs as a process of ours, and is gone when stop returns."""
    process = make_process()
    assert process.pid is None
    await process.start()
    pid = await booted(process)
    assert processes_of(folder) == {pid}

    await process.stop()

    assert processes_of(folder) == set()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "asterisk process"]
    await process.stop()


async def test_stop_at_any_time(folder: Path, make_process: MakeProcess) -> None:
    """Also one that is only just starting ends soon, although it may lose a signal."""
    for after in (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        process = make_process()
        await process.start()
        await asyncio.sleep(after)

        async with asyncio.timeout(6):
            await process.stop()

        assert processes_of(folder) == set()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
async def test_restart(
    folder: Path,
    make_process: MakeProcess,
    caplog: pytest.LogCaptureFixture,
    how: signal.Signals,
) -> None:
    """One that dies is started again, and that it died is in the log, with where to look."""
    process = make_process()
    await process.start()
    pid = await booted(process)

    os.kill(pid, how)

    await gone(pid)
    new = await until(lambda: _pid(process), lambda found: found not in {None, pid})
    await booted(process)
    assert processes_of(folder) == {new}
    await takes_sip(folder)
    assert "Asterisk ended" in caplog.text
    assert str(folder.parent / "log") in caplog.text


async def _pid(process: program.Process) -> int | None:
    return process.pid


async def test_stop_while_it_is_dead(
    folder: Path, make_process: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the pause before a restart a stop is a stop."""
    monkeypatch.setattr(program, "_RESTART_BACKOFF", (60.0, 60.0))
    process = make_process()
    await process.start()
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    await gone(process.pid)

    await process.stop()

    assert processes_of(folder) == set()


async def test_program_that_goes_missing(
    folder: Path, make_process: MakeProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """Amid an upgrade the program may be away for a while; it is tried again until it is there."""
    process = make_process()
    await process.start()
    pid = await booted(process)
    right = process._program
    process._program = program.Program(("/no/such/asterisk",), Path("/"), Path("/"), Path("/"))
    os.kill(pid, signal.SIGKILL)

    async def log() -> str:
        return caplog.text

    await until(log, lambda text: text.count("cannot be started") >= 2)
    process._program = right

    await until(lambda: _pid(process), lambda found: found != pid)
    await booted(process)


async def test_no_such_program(folder: Path) -> None:
    """One that cannot be run at all is told in one line."""
    nothing = program.Program(("/no/such/asterisk",), Path("/"), Path("/"), Path("/"))
    with pytest.raises(MuruError, match="cannot be started"):
        await program.Process(nothing, folder).start()


async def test_hanging(
    folder: Path, make_process: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not react is killed."""
    monkeypatch.setattr(program, "_STOP_TRIES", 2)
    monkeypatch.setattr(program, "_STOP_PAUSE", 0.3)
    process = make_process()
    await process.start()
    pid = await booted(process)
    os.kill(pid, signal.SIGSTOP)

    async with asyncio.timeout(5):
        await process.stop()

    assert processes_of(folder) == set()


LEAVE_BEHIND = """
import asyncio, os, signal, sys
from pathlib import Path
from muru.asterisk import program
from muru.settings import load

async def run():
    process = program.Process(program.find(load()), Path(sys.argv[1]))
    await process.start()
    while "fully booted" not in process.command_line("core waitfullybooted"):
        await asyncio.sleep(0.1)
    print(process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(run())
"""


async def left_behind(folder: Path) -> int:
    """The id of an Asterisk whose muru was killed."""
    result = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", LEAVE_BEHIND, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    pid = int(result.stdout)
    assert processes_of(folder) == {pid}
    return pid


@pytest.mark.parametrize("hangs", [False, True], ids=["well", "hanging"])
async def test_left_over(
    folder: Path, make_process: MakeProcess, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    """What a killed muru left behind is ended first, also if it hangs; only then ports are free."""
    monkeypatch.setattr(program, "_STOP_TRIES", 3 if hangs else 10)
    old = await left_behind(folder)
    if hangs:
        os.kill(old, signal.SIGSTOP)

    process = make_process()
    await process.start()

    new = await booted(process)
    assert processes_of(folder) == {new}
    assert new != old
    await takes_sip(folder)


async def test_stale_files(folder: Path, make_process: MakeProcess) -> None:
    """Files of before a power cut do not hinder; whoever has that process id now is left alone."""
    innocent = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        (folder.parent / "run/asterisk.pid").write_text(f"{innocent.pid}\n")
        (folder.parent / "run/asterisk.ctl").write_text("")

        process = make_process()
        await process.start()

        await booted(process)
        assert innocent.returncode is None
    finally:
        innocent.kill()
        await innocent.wait()


async def test_another_muru(folder: Path, make_process: MakeProcess) -> None:
    """A second one in the same folder is refused, and does the first no harm."""
    first = make_process()
    await first.start()
    pid = await booted(first)

    with pytest.raises(MuruError, match="runs already"):
        await make_process().start()

    assert processes_of(folder) == {pid}
    await first.stop()
    second = make_process()
    await second.start()
    await booted(second)


async def test_long_path(make_settings: MakeSettings, tmp_path: Path) -> None:
    """A folder too deep for Asterisk's socket is told, instead of an Asterisk that fails."""
    folder = tmp_path / ("x" * 100) / "etc"
    folder.mkdir(parents=True)

    with pytest.raises(MuruError, match="MURU_DATA_DIR"):
        await program.Process(program.find(make_settings()), folder).start()
