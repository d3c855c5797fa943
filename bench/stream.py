"""How soon many readers of the stream hear of a phone that registers at the real Asterisk."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import FIRST_NUMBER, PASSWORD, servers
from bench.client import Request, connect
from bench.reads import wait_registered
from bench.report import Report
from bench.sites import SECRET, Bench, Site, sip_password
from muru.asterisk import config, program
from tests import sip

_READERS = 100
_RATE = 500  # registrations per second
_SETTLED = 2.0  # seconds after muru knows of all phones


async def measure(bench: Bench, report: Report) -> None:
    count = 500 if bench.quick else 5_000
    site = await bench.site(count)
    if not servers.has_asterisk(site):
        report.note("no Asterisk on this machine: make asterisk")
        return
    async with _asterisk(site) as asterisk, servers.muru(site) as server:
        token = await _token(server.port)
        await _connected(server.port)
        await _idle(server)
        async with (
            _readers(site.folder / "bare", "ami", site.ami_port, SECRET, 1) as bare,
            _readers(site.folder / "followers", "stream", server.port, token, _READERS) as streams,
        ):
            numbers = [str(FIRST_NUMBER + number) for number in range(count)]
            accounts = [sip.Account(number, sip_password(number)) for number in numbers]
            bulk = await sip.register_many(sip.Server(site.settings.sip_port), accounts, rate=_RATE)
            assert bulk.failed == 0, bulk
            await _all_known(server.port, token, count)
            there = await _contacts(asterisk)
    (events,) = bare.results
    assert len(there) == len(events) == count, (len(there), len(events))
    delays = [
        came - events[number][0]
        for each in streams.results
        for number, came in each["came"].items()
    ]
    assert len(delays) == count * _READERS
    assert all({tuple(place) for place in each["places"]} == there for each in streams.results)
    beside = _percentiles([came - sent for sent, came in events.values()])
    report.add("bare AMI reader", beside)
    found = _percentiles(delays)
    ratios = {f"x bare {name.removeprefix('ms ')}": found[name] / beside[name] for name in found}
    report.add(f"each of {_READERS} stream readers", found | ratios)


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"ms p{p}": ordered[(len(ordered) - 1) * p // 100] * 1000 for p in (50, 99)}


@asynccontextmanager
async def _asterisk(site: Site) -> AsyncIterator[program.Process]:
    """Run an Asterisk that says of each event when it was raised."""
    folder = site.folder / "asterisk/etc"
    found = program.find(site.settings)
    config.write(site.settings, found, folder)
    manager = folder / "manager.conf"
    manager.write_text(
        manager.read_text().replace("[general]\n", "[general]\ntimestampevents = yes\n", 1)
    )
    process = program.Process(found, folder)
    await process.start()
    try:
        await asyncio.to_thread(process.command_line, "core waitfullybooted")
        yield process
    finally:
        await process.stop()


async def _connected(port: int) -> None:
    client = await connect(port)

    async def is_ok() -> bool:
        return bool((await client.get("/api/v1/health/ready"))["asterisk"] == "ok")

    await servers.until(is_ok)
    client.close()


async def _idle(server: servers.Server) -> None:
    """Wait until muru has compared the tables, which it begins 2 s after its login to Asterisk."""

    async def is_idle() -> bool:
        before = server.cpu_seconds
        await asyncio.sleep(3)
        return server.cpu_seconds - before < 0.1

    await servers.until(is_idle)


async def _all_known(port: int, token: str, count: int) -> None:
    """Wait until muru knows of so many phones, and what it has looked up of them was sent."""
    client = await connect(port, token)
    await wait_registered(client, count)
    await asyncio.sleep(_SETTLED)
    client.close()


async def _token(port: int) -> str:
    client = await connect(port)
    credentials = {"username": "root", "password": PASSWORD}
    answer = await client.ask(Request("POST", "/api/v1/auth/login", credentials))
    client.close()
    token: str = json.loads(answer)["token"]
    return token


@dataclass
class _Readers:
    results: list[Any] = field(default_factory=list)


@asynccontextmanager
async def _readers(
    file: Path, kind: str, port: int, secret: str, count: int
) -> AsyncIterator[_Readers]:
    """Have so many read in a process of their own; there are results after the block."""
    argv = ("-m", "bench.stream_readers", str(file), kind, str(port), secret, str(count))
    process = await asyncio.create_subprocess_exec(sys.executable, *argv, env=os.environ)
    readers = _Readers()

    async def is_ready() -> bool:
        assert process.returncode is None
        return file.with_suffix(".ready").exists()

    try:
        await servers.until(is_ready)
        yield readers
    finally:
        process.terminate()
        await process.wait()
    readers.results = _read(file)


def _read(file: Path) -> Any:
    return json.loads(file.read_text())


async def _contacts(asterisk: program.Process) -> set[tuple[str, str]]:
    """Return what ``pjsip show contacts`` shows."""
    output = await asyncio.to_thread(asterisk.command_line, "pjsip show contacts")
    return set(re.findall(r"^  Contact:  ([^<\s/]+)/(\S+)", output, re.MULTILINE))
