"""How many phones get their configuration per second over HTTP, with few and with many there."""

from contextlib import AsyncExitStack

from bench import FIRST_NUMBER, power_cut, servers
from bench.client import Client, Load, Request, clients, load
from bench.families import HTTP_FAMILIES
from bench.report import Report
from bench.sites import Bench, sip_password

_CONNECTIONS = (1, 64, 256)
_CHANGED = 20  # phones whose name is changed


async def measure(bench: Bench, report: Report) -> None:
    await _rates(bench, report)
    await power_cut.measure(bench, report)


async def _rates(bench: Bench, report: Report) -> None:
    """Rounds go over all sizes, so that noise meets them alike."""
    best: dict[tuple[int, int], Load] = {}
    bare_best: dict[int, Load] = {}
    async with AsyncExitStack() as stack:
        bare_server = await stack.enter_async_context(servers.bare(bench.folder))
        bare = await stack.enter_async_context(clients(bare_server.port, max(_CONNECTIONS)))
        phones: dict[int, list[Client]] = {}
        for size in bench.sizes:
            site = await bench.site(size, families=HTTP_FAMILIES)
            server = await stack.enter_async_context(servers.muru(site))
            phones[size] = await stack.enter_async_context(clients(server.port, max(_CONNECTIONS)))
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


async def _fetch(connected: list[Client], devices: int) -> Load:
    """Let the devices fetch, by turns, and none of them shortly after itself."""
    return await load(connected, 6_000, lambda index: _request(index % devices), at_most=1.0)


def _faster(one: Load, other: Load) -> Load:
    return max(one, other, key=lambda load: load.rate)
