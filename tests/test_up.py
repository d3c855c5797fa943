"""``muru up`` as people run it: a command in a terminal, which ends with Ctrl-C."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from muru.asterisk import program
from muru.settings import Settings
from tests import sip
from tests.asterisk.test_program import processes_of
from tests.conftest import asterisk_ports, free_port
from tests.observe import faults, until

NOBODY = "65534"


@dataclass
class Up:
    """A ``muru up``, all that it printed until now, and where it is."""

    process: asyncio.subprocess.Process
    data: Path
    environment: Mapping[str, str]
    printed: dict[str, str] = field(default_factory=lambda: {"stdout": "", "stderr": ""})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['MURU_HTTP_PORT']}"

    @property
    def sip_server(self) -> sip.Server:
        return sip.Server(int(self.environment["MURU_SIP_PORT"]))

    @property
    def asterisks(self) -> set[int]:
        return processes_of(self.data.absolute() / "asterisk/etc")

    async def ready(self) -> str:
        """What it says when it is up; all before is only log."""

        async def stdout() -> str:
            assert self.process.returncode is None, self.printed
            return self.printed["stdout"]

        return await until(stdout, lambda text: "Ctrl-C" in text, within=40)

    async def end(self, number: signal.Signals) -> int:
        """Sends a signal; the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(15):
            return await self.process.wait()

    async def finished(self) -> int:
        """The exit code of one that ends by itself, when all that it printed is there."""
        async with asyncio.timeout(40):
            return await self.process.wait()

    def password(self) -> str:
        """The one of the administrator; fails unless it is there exactly once."""
        (found,) = re.findall(r"^password +(\S+)", self.printed["stdout"], re.MULTILINE)
        return str(found)

    async def ask(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.url}/api/v1{path}", json=body) as response,
        ):
            assert response.ok, await response.text()
            return await response.json()

    async def log_in(self) -> str:
        """The token of the administrator."""
        body = {"username": "admin", "password": self.password()}
        return str((await self.ask("POST", "/auth/login", body))["token"])


StartUp = Callable[..., Any]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """All that the command is told: free ports, and a data folder."""
    ports = {"http_host": "127.0.0.1", "http_port": free_port(), **asterisk_ports()}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MURU_")},
        **{f"MURU_{name.upper()}": str(value) for name, value in ports.items()},
        "MURU_DATA_DIR": str(tmp_path / "data"),
        "MURU_ASTERISK_ROOT": os.environ.get("MURU_ASTERISK_ROOT", ""),
        "PYTHONWARNINGS": "error",
        "PYTHONASYNCIODEBUG": "0",
    }


@pytest.fixture
async def start_up(environment: dict[str, str], tmp_path: Path) -> AsyncIterator[StartUp]:
    """Returns a function that starts the command; at the end no process of it may be left."""
    if not environment["MURU_ASTERISK_ROOT"]:
        del environment["MURU_ASTERISK_ROOT"]
    started: list[Up] = []
    readers: list[asyncio.Task[None]] = []

    async def start(*prefix: str, **overrides: str) -> Up:
        more = {f"MURU_{name.upper()}": value for name, value in overrides.items()}
        process = await asyncio.create_subprocess_exec(
            *(*prefix, sys.executable, "-m", "muru", "up"),
            cwd=tmp_path,
            env={**environment, **more},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        data = Path({**environment, **more}["MURU_DATA_DIR"])
        up = Up(process, data, {**environment, **more})
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert stream
            readers.append(asyncio.create_task(_collect(up, name, stream)))
        started.append(up)
        return up

    yield start
    left = {pid for up in started for pid in up.asterisks}
    for up in started:
        if up.process.returncode is None:
            left.add(up.process.pid)
            up.process.kill()
            await up.process.wait()
    for pid in left:
        if processes_of(started[0].data.absolute() / "asterisk/etc"):
            os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*readers)
    assert left == set()
    for up in started:
        assert "Traceback" not in up.printed["stderr"]
        assert "Warning:" not in up.printed["stderr"]
        assert "never" not in up.printed["stderr"]


async def _collect(up: Up, name: str, stream: asyncio.StreamReader) -> None:
    while line := await stream.readline():
        up.printed[name] += line.decode()


async def test_first_steps(start_up: StartUp) -> None:
    """It prints where to go and the password, which logs in; a phone registers; Ctrl-C ends it."""
    up = await start_up()
    text = await up.ready()
    assert up.url in text
    assert f":{up.sip_server.port}" in text
    assert "user name admin" in text
    token = await up.log_in()
    assert up.password() not in up.printed["stderr"]
    assert (await up.ask("GET", "/health/ready"))["asterisk"] == "ok"

    body = {"type": "SIP", "name": "Anna", "number": "2001"}
    account = (await up.ask("POST", "/extensions", body, token))["sip"]
    outcome = await sip.register(up.sip_server, account["username"], account["password"])

    assert outcome.status == 200
    await until(lambda: up.ask("GET", "/registrations", token=token), within=5)
    assert len(up.asterisks) == 1
    assert await up.end(signal.SIGINT) == 0
    assert up.asterisks == set()
    assert faults((up.data / "asterisk/log/messages").read_text()) == []
    assert [line for line in up.printed["stderr"].splitlines() if " ERROR " in line] == []


async def test_second_start(start_up: StartUp) -> None:
    """A second start finds all that the first one made, and tells no password."""
    first = await start_up()
    await first.ready()
    password = first.password()
    token = await first.log_in()
    body = {"type": "SIP", "name": "Anna", "number": "2001"}
    account = (await first.ask("POST", "/extensions", body, token))["sip"]
    assert await first.end(signal.SIGTERM) == 0
    assert first.asterisks == set()

    second = await start_up()

    text = await second.ready()
    assert "password" not in text
    assert password not in text + second.printed["stderr"]
    assert await second.ask("GET", "/extensions/2001", token=token)
    outcome = await sip.register(second.sip_server, account["username"], account["password"])
    assert outcome.status == 200
    assert await second.end(signal.SIGTERM) == 0


async def test_terminal_closed(start_up: StartUp) -> None:
    """A terminal that is closed ends both as well."""
    up = await start_up()
    await up.ready()

    assert await up.end(signal.SIGHUP) == 0

    assert up.asterisks == set()


@pytest.mark.parametrize(
    "reached",
    [
        lambda up: up.data.exists(),
        lambda up: up.asterisks,
        lambda up: (up.data / "asterisk/run/asterisk.ctl").exists(),
        lambda up: "Logged in" in up.printed["stderr"],
    ],
    ids=["data folder", "asterisk", "asterisk's socket", "login"],
)
async def test_ended_while_it_starts(start_up: StartUp, reached: Callable[[Up], object]) -> None:
    """Whenever it is ended, that does not take long, and nothing is left of it."""
    up = await start_up()

    async def there() -> object:
        return reached(up)

    await until(there)

    assert await up.end(signal.SIGINT) == 0
    assert up.asterisks == set()


async def test_killed(start_up: StartUp) -> None:
    """After a kill -9 the next start ends the Asterisk that was left, and goes on."""
    first = await start_up()
    await first.ready()
    token = await first.log_in()
    await first.end(signal.SIGKILL)
    (left,) = first.asterisks

    second = await start_up()

    await second.ready()
    assert second.asterisks != {left}
    assert len(second.asterisks) == 1
    assert await second.ask("GET", "/users/me", token=token)
    assert (await sip.register(second.sip_server, "2001", "wrong")).status == 401
    assert await second.end(signal.SIGINT) == 0


async def test_twice(start_up: StartUp) -> None:
    """A second one in the same folder says so, and leaves the first one alone."""
    first = await start_up()
    await first.ready()
    asterisks = first.asterisks

    second = await start_up(http_port=str(free_port()))

    assert await second.finished() == 1
    assert "runs already" in second.printed["stderr"]
    assert first.asterisks == asterisks
    assert (await first.ask("GET", "/health/ready"))["asterisk"] == "ok"
    assert await first.end(signal.SIGINT) == 0


async def test_port_in_use(start_up: StartUp) -> None:
    """A port that somebody else has is told in one line, and what to set; nothing is left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        up = await start_up(http_port=str(port), log_level="ERROR")

        assert await up.finished() == 1
    (line,) = up.printed["stderr"].splitlines()
    assert line.startswith(f"muru: Port {port} ")
    assert "MURU_HTTP_PORT" in line
    assert up.printed["stdout"] == ""
    assert up.asterisks == set()


@pytest.mark.parametrize(
    ("overrides", "code", "text"),
    [
        ({"asterisk_root": "/no/such/folder"}, 1, "get-asterisk"),
        ({"data_dir": "/proc/muru"}, 1, "data folder"),
        ({"sip_port": "many"}, 2, "MURU_SIP_PORT"),
    ],
)
async def test_wrong_settings(
    start_up: StartUp, overrides: dict[str, str], code: int, text: str
) -> None:
    """What cannot work is told in a few words, before anything is started."""
    up = await start_up(**overrides)

    assert await up.finished() == code
    assert text in up.printed["stderr"]


async def test_asterisk_killed(start_up: StartUp) -> None:
    """An Asterisk that dies is started again; who watches sees it in the log."""
    up = await start_up()
    await up.ready()
    (pid,) = up.asterisks

    os.kill(pid, signal.SIGKILL)

    await until(lambda: up.ask("GET", "/health/ready"), lambda row: row["asterisk"] == "away")
    await until(lambda: up.ask("GET", "/health/ready"), lambda row: row["asterisk"] == "ok")
    assert "Asterisk ended with code -9" in up.printed["stderr"]
    assert up.asterisks != {pid}
    assert await up.end(signal.SIGINT) == 0


def runs(command: Sequence[str], folder: Path) -> bool:
    """Whether this much works for whoever the command makes us."""
    try:
        return not subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode
    except OSError:
        return False


def owners(folder: Path) -> set[int]:
    """Whose all the files in it are."""
    return {path.stat().st_uid for path in folder.rglob("*")}


def user_of(pid: int) -> int:
    """Who runs a process; its folder in /proc may be root's all the same."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nUid:")[2].split()[0])


@pytest.fixture
def world_readable(tmp_path: Path) -> Path:
    """A folder that is nobody's, on a path that everybody may follow."""
    folder = Path("/tmp") / f"muru-nobody-{os.getpid()}"  # tmp_path is for its owner alone
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, int(NOBODY), int(NOBODY))
    return folder


@pytest.fixture
def ordinary_user(make_settings: Callable[..., Settings], world_readable: Path) -> list[str]:
    """What makes a command one of an ordinary user's, who can run Python and Asterisk.

    Where these lie in a folder of root's, that user may read what root may read, and no more.
    """
    if os.geteuid() != 0:
        return []
    identity = ("--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")
    reading = "-all,+dac_read_search"
    asterisk = [*program.find(make_settings()).command, "-V"]
    for more in (("--inh-caps=-all",), (f"--inh-caps={reading}", f"--ambient-caps={reading}")):
        prefix = ["setpriv", *identity, *more]
        python = [sys.executable, "-c", "import muru.up"]
        if all(runs([*prefix, *command], world_readable) for command in (python, asterisk)):
            return prefix
    pytest.skip("Python, muru or Asterisk lie where only root may read")


async def test_ordinary_user(
    start_up: StartUp, ordinary_user: list[str], world_readable: Path
) -> None:
    """It needs no root: neither to start nor for a phone to register."""
    try:
        up = await start_up(*ordinary_user, data_dir=str(world_readable / "data"))
        await up.ready()

        token = await up.log_in()
        body = {"type": "SIP", "name": "Anna", "number": "2001"}
        account = (await up.ask("POST", "/extensions", body, token))["sip"]
        outcome = await sip.register(up.sip_server, account["username"], account["password"])

        assert outcome.status == 200
        (pid,) = up.asterisks
        user = int(NOBODY) if ordinary_user else os.geteuid()
        assert owners(up.data) == {user}
        assert user_of(pid) == user
        assert await up.end(signal.SIGINT) == 0
        assert faults((up.data / "asterisk/log/messages").read_text()) == []
    finally:
        shutil.rmtree(world_readable)
