"""How many phones get their configuration per second over HTTP, with few and with many there."""

import asyncio
import random
from contextlib import AsyncExitStack

from bench import FIRST_NUMBER, power_cut, servers
from bench.client import Client, Load, Request, clients, load
from bench.families import HTTP_FAMILIES
from bench.report import Report
from bench.sites import Bench, sip_password

_CONNECTIONS = (1, 64, 256)
_STRIDE = 7_919  # from one device to the next: a prime, so that all have their turn
_CHANGED = 20  # phones whose name is changed


async def measure(bench: Bench, report: Report) -> None:
    await _rates(bench, report)
    await _changes(bench, report)
    await power_cut.measure(bench, report)


async def _rates(bench: Bench, report: Report) -> None:
    """Rounds go over all sizes, so that noise meets them alike."""
    best: dict[tuple[int, int], Load] = {}
    bare_best: dict[int, Load] = {}
    async with AsyncExitStack() as stack:
        ports, first = {}, {}
        for size in bench.sizes:
            site = await bench.site(size, families=HTTP_FAMILIES)
            ports[size] = (await stack.enter_async_context(servers.muru(site))).port
            async with clients(ports[size], _CONNECTIONS[1]) as connected:
                first[size] = await _each_once(connected, size)
        # Not sooner: what is idle for too long is closed.
        bare_server = await stack.enter_async_context(servers.bare(bench.folder))
        bare = await stack.enter_async_context(clients(bare_server.port, max(_CONNECTIONS)))
        phones = {
            size: await stack.enter_async_context(clients(port, max(_CONNECTIONS)))
            for size, port in ports.items()
        }
        await _keep_same(phones[bench.sizes[0]][0], bare[0])
        for _ in range(bench.rounds):
            for count in _CONNECTIONS:
                done = await _fetch(bare[:count], len(HTTP_FAMILIES))
                bare_best[count] = _faster(bare_best.get(count, done), done)
                for size in bench.sizes:
                    done = await _fetch(phones[size][:count], size)
                    best[count, size] = _faster(best.get((count, size), done), done)
    for count, bare_load in bare_best.items():
        connections = "1 connection" if count == 1 else f"{count} connections"
        report.add(
            f"bare handler, {connections}",
            {"/s": bare_load.rate, "ms p99": bare_load.percentile(99)},
        )
        for size in bench.sizes:
            done = best[count, size]
            numbers = {
                "/s": done.rate,
                "ms p99": done.percentile(99),
                "x bare handler": done.rate / bare_load.rate,
                f"x with {bench.sizes[0]:,}": done.rate / best[count, bench.sizes[0]].rate,
            }
            report.add(f"{connections}, {size:,} present", numbers)
    largest = bench.sizes[-1]
    numbers = {"/s": first[largest].rate, "ms p99": first[largest].percentile(99)}
    numbers["x bare handler"] = first[largest].rate / bare_best[64].rate
    report.add(f"64 connections, {largest:,} present, first time", numbers)


def _request(number: int) -> Request:
    """Return what the device *number* asks for: the file with its account, by its token."""
    family = HTTP_FAMILIES[number % len(HTTP_FAMILIES)]
    return Request("GET", family.path(family.own, number), agent=family.agent(number))


async def _keep_same(muru: Client, bare: Client) -> None:
    """Have the bare handler answer the first phone of each family as muru does."""
    for number in range(len(HTTP_FAMILIES)):
        request = _request(number)
        content = await muru.ask(request)
        assert sip_password(str(FIRST_NUMBER + number)).encode() in content
        await bare.ask(Request("PUT", request.path, content))


async def _each_once(connected: list[Client], devices: int) -> Load:
    """Let all devices fetch one time."""
    done = await load(connected, devices, _request, at_most=120.0)
    assert len(done.times) == devices
    return done


async def _fetch(connected: list[Client], devices: int) -> Load:
    """Let devices from all over fetch, for a second."""
    begin = random.randrange(devices)
    return await load(
        connected, 100_000, lambda index: _request((begin + index * _STRIDE) % devices), at_most=1.0
    )


async def _changes(bench: Bench, report: Report) -> None:
    """Change what phones get, and see that the very next request of each has it."""
    size = bench.sizes[-1]
    site = await bench.site(size, families=HTTP_FAMILIES)
    async with (
        servers.muru(site) as server,
        clients(server.port, _CONNECTIONS[1]) as others,
        clients(server.port) as (phone,),
        clients(server.port, user="root") as (root,),
    ):
        busy = asyncio.create_task(_fetch(others, size))
        for number in range(_CHANGED):
            before = await phone.ask(_request(number))
            path, name = f"/api/v1/extensions/{FIRST_NUMBER + number}", f"Changed {number}"
            await root.ask(Request("PATCH", path, {"name": name}))
            after = await phone.ask(_request(number))
            assert name.encode() in after
            assert name.encode() not in before
        await busy
        changed = str(FIRST_NUMBER)
        argv = ("-m", "muru", "extension", "password", changed)
        await servers.seconds_to_end(site.folder, *argv, more=site.environment)
        after = await phone.ask(_request(0))
        password = (await root.get(f"/api/v1/extensions/{changed}"))["sip"]["password"]
        assert password != sip_password(changed)
        assert password.encode() in after
    report.note(f"{_CHANGED} changes over the API and one by the command line: none was missed")


def _faster(one: Load, other: Load) -> Load:
    return max(one, other, key=lambda load: load.rate)
