"""How fast muru takes in registrations: from a fake Asterisk at full speed, and from the real one.

muru's part runs in this process, and what counts is the processor time that it takes: there it is
seen apart from the pauses in which muru collects what it looks up.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from pydantic import SecretStr

from bench import FIRST_NUMBER, HOST, servers
from bench.phones import register
from bench.report import Report
from bench.sites import SECRET, Bench, free_port, sip_password
from muru.asterisk import config, program
from muru.asterisk.ami import Ami
from muru.asterisk.registrations import RegistrationChange, Registrations

_FEW = 200  # phones that muru looks up one by one
_EVENTS = {"new": 2, "refresh": 1}  # per registration


@dataclass(frozen=True)
class Cost:
    events: int
    seconds: float
    cpu_seconds: float

    def numbers(self, bare: "Cost") -> dict[str, float]:
        rate, bare_rate = self.events / self.cpu_seconds, bare.events / bare.cpu_seconds
        return {
            "events/s of CPU": rate,
            "x bare reader": rate / bare_rate,
            "s until all is seen": self.seconds,
        }


async def measure(bench: Bench, report: Report) -> None:
    count = 1_000 if bench.quick else 5_000
    found: dict[str, list[Cost]] = {}
    for _ in range(bench.rounds):
        async with servers.fake_asterisk(bench.folder, 0) as port:
            for what, cost in (await _round(port, count)).items():
                found.setdefault(what, []).append(cost)
    best = {what: min(costs, key=lambda cost: cost.cpu_seconds) for what, costs in found.items()}
    bare = best.pop("bare")
    report.add("bare reader", {"events/s of CPU": bare.events / bare.cpu_seconds})
    for what, cost in best.items():
        report.add(what, cost.numbers(bare))
    await _from_asterisk(bench, report)


async def _round(port: int, count: int) -> dict[str, Cost]:
    """Have the phones register for the first time, again, and a few of them at a time."""
    costs = {"bare": await _read_only(port, count)}
    async with _following(port) as (ami, seen):
        for what, kind, many in (
            (f"{count:,} phones register", "new", count),
            (f"{count:,} phones register again", "refresh", count),
            (f"{_FEW} phones register again", "refresh", _FEW),
        ):
            async with _Stopwatch() as watch:
                seen.expect(many)
                await ami.send("Replay", {"Kind": kind, "First": "0", "Count": str(many)})
                await seen.all()
            costs[what] = watch.cost(many * _EVENTS[kind])
    async with _Stopwatch() as watch, _following(port) as (_, seen):
        assert len(seen.registrations.contacts()) == count
    costs[f"snapshot of {count:,} phones"] = watch.cost(count)
    return costs


@dataclass
class Seen:
    """Waits until so many phones were seen with a new end of their registration.

    *at* has the moment when each was first seen, or seen again.
    """

    registrations: Registrations
    at: dict[str, float] = field(default_factory=dict)
    _missing: int = 0
    _ends: dict[str, object] = field(default_factory=dict)
    _all: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.registrations.subscribe(self._take)

    def expect(self, count: int) -> None:
        self._missing = count
        self._all.clear()
        self.at.clear()

    async def all(self) -> None:
        async with asyncio.timeout(60):
            await self._all.wait()

    def _take(self, change: RegistrationChange) -> None:
        contact = change.contact
        is_new_end = contact.expires_at not in {None, self._ends.get(contact.extension)}
        if change.kind == "added" or is_new_end:
            self.at.setdefault(contact.extension, time.perf_counter())
        if not is_new_end:
            return
        self._ends[contact.extension] = contact.expires_at
        self._missing -= 1
        if not self._missing:
            self._all.set()


@asynccontextmanager
async def _following(port: int) -> AsyncIterator[tuple[Ami, Seen]]:
    ami = Ami(host=HOST, port=port, username="muru", secret=SecretStr(SECRET))
    registrations = Registrations(ami)
    seen = Seen(registrations)
    booted = asyncio.Event()  # Asterisk takes logins a while before it takes calls
    ami.subscribe(lambda _: booted.set(), "FullyBooted")
    await registrations.start()
    await ami.start()
    try:
        async with asyncio.timeout(60):
            await booted.wait()
            await registrations.ready.wait()
        yield ami, seen
    finally:
        await ami.stop()
        await registrations.stop()


class _Stopwatch:
    async def __aenter__(self) -> Self:
        self._began, self._cpu_began = time.perf_counter(), time.process_time()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._seconds = time.perf_counter() - self._began
        self._cpu_seconds = time.process_time() - self._cpu_began

    def cost(self, events: int) -> Cost:
        return Cost(events, self._seconds, self._cpu_seconds)


async def _read_only(port: int, count: int) -> Cost:
    """Read the events of new phones from a socket, and part them; nothing else."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"Action: Login\r\n\r\n")
    await reader.readuntil(b"Fully Booted\r\n\r\n")
    expected, rest = count * _EVENTS["new"], b""
    events = 0
    async with _Stopwatch() as watch:
        writer.write(f"Action: Replay\r\nKind: new\r\nFirst: 0\r\nCount: {count}\r\n\r\n".encode())
        while events < expected:
            *messages, rest = (rest + await reader.read(2**18)).split(b"\r\n\r\n")
            events += sum(message.startswith(b"Event: ") for message in messages)
    writer.close()
    assert events == expected
    return watch.cost(events)


async def _from_asterisk(bench: Bench, report: Report) -> None:
    """Tell how long after the 200 of its REGISTER a phone is seen, at 100 a second."""
    count = 100 if bench.quick else 500
    site = await bench.site(1_000)
    if not servers.has_asterisk(site):
        report.note("no Asterisk on this machine: make asterisk")
        return
    folder = site.folder / "asterisk/etc"
    found = program.find(site.settings)
    config.write(site.settings, found, folder)
    asterisk = program.Process(found, folder)
    await asterisk.start()
    accounts = {str(FIRST_NUMBER + i): sip_password(str(FIRST_NUMBER + i)) for i in range(count)}
    own_port = free_port()
    try:
        async with _following(site.ami_port) as (_, seen):
            for what in ("real phones register", "real phones register again"):
                seen.expect(count)
                answered_at = await register(
                    site.settings.sip_port, accounts, own_port=own_port, rate=100
                )
                await seen.all()
                delays = sorted(max(seen.at[n] - answered_at[n], 0) * 1000 for n in accounts)
                numbers = {f"ms p{p}": delays[(count - 1) * p // 100] for p in (50, 99)}
                report.add(f"{count} {what}", numbers)
    finally:
        await asterisk.stop()
