"""The programs that are measured, each a process of its own."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench import HOST
from bench.sites import Site, free_port
from muru.asterisk.program import find
from muru.errors import MuruError

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Server:
    """A server that answers: its port, and the seconds that its start took."""

    port: int
    pid: int
    start_seconds: float

    @property
    def memory(self) -> float:
        """Its resident memory in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        assert found
        return int(found[1]) / 1024

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has taken so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def quiet(server: Server) -> None:
    """Wait until it has done what there is to do after its start."""
    before = -1.0
    while server.cpu_seconds > before + 0.05:
        before = server.cpu_seconds
        await asyncio.sleep(1)


@asynccontextmanager
async def muru(site: Site, command: str = "serve") -> AsyncIterator[Server]:
    """Run muru until it is ready; with *command* ``up``, and an Asterisk with it."""
    argv = ("-m", "muru", command)
    path = "/api/v1/health/ready"
    async with _serving(site.folder, argv, site.http_port, path, site.environment) as server:
        yield server


@asynccontextmanager
async def bare(folder: Path) -> AsyncIterator[Server]:
    """Run an aiohttp application that does nothing."""
    port = free_port()
    async with _serving(folder, ("-m", "bench.bare", str(port)), port, "/") as server:
        yield server


@asynccontextmanager
async def fake_asterisk(folder: Path, registered: int) -> AsyncIterator[int]:
    """Run a manager interface with so many registered phones; return its port."""
    port = free_port()
    async with _running(folder, ("-m", "bench.fake_asterisk", str(port), str(registered))):
        await until(lambda: _accepts(port))
        yield port


def has_asterisk(site: Site) -> bool:
    try:
        find(site.settings)
    except MuruError:
        return False
    return True


async def until(true: Callable[[], Awaitable[bool]], *, pause: float = 0.05) -> None:
    """Ask again and again, for a minute at most."""
    async with asyncio.timeout(60):
        while True:
            if await true():
                return
            await asyncio.sleep(pause)


async def seconds_to_end(folder: Path, *argv: str, more: dict[str, str] | None = None) -> float:
    """Run Python with these arguments, and *more* environment, to its end; return how long."""
    began = time.perf_counter()
    async with _running(folder, argv, more) as process:
        code = await process.wait()
        seconds = time.perf_counter() - began
    assert code == 0, (argv, (folder / "errors").read_text())
    return seconds


@asynccontextmanager
async def _serving(
    folder: Path, argv: tuple[str, ...], port: int, path: str, more: dict[str, str] | None = None
) -> AsyncIterator[Server]:
    began = time.perf_counter()
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(_running(folder, argv, more))
        while not await _answers(port, path):
            assert process.returncode is None, (folder / "errors").read_text()
            await asyncio.sleep(0.005)
        server = Server(port, process.pid, time.perf_counter() - began)
        try:
            yield server
        except Exception:
            print((folder / "errors").read_text(), file=sys.stderr)  # the server's part of it
            raise


@asynccontextmanager
async def _running(
    folder: Path, argv: tuple[str, ...], more: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python in that folder, where no ``.env`` is."""
    with (folder / "errors").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *argv),
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(_ROOT), **(more or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


async def _answers(port: int, path: str) -> bool:
    """Tell whether a GET is answered by 200; costs the server as little as may be."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200 ")
