"""How long the programs take to start, and how much memory they have then."""

from collections import defaultdict
from contextlib import AsyncExitStack

from bench import servers
from bench.client import clients
from bench.reads import REGISTERED, wait_registered
from bench.report import Report
from bench.sites import Bench


async def measure(bench: Bench, report: Report) -> None:
    await _commands(bench, report)
    await _servers(bench, report)
    await _memory(bench, report)


async def _commands(bench: Bench, report: Report) -> None:
    commands = {
        "python -c pass": ("-c", "pass"),
        "muru --help": ("-m", "muru", "--help"),
        "muru flavors": ("-m", "muru", "flavors"),
    }
    least: dict[str, float] = {}
    for _ in range(bench.rounds):
        for name, argv in commands.items():
            seconds = await servers.seconds_to_end(bench.folder, *argv)
            least[name] = min(seconds, least.get(name, seconds))
    for name, seconds in least.items():
        report.add(name, {"s": seconds, "x python -c pass": seconds / least["python -c pass"]})


async def _servers(bench: Bench, report: Report) -> None:
    least: dict[int, float] = defaultdict(lambda: float("inf"))
    sites = {size: await bench.site(size) for size in bench.sizes}
    for _ in range(bench.rounds):
        async with servers.bare(bench.folder) as server:
            least[0] = min(least[0], server.start_seconds)
        for size, site in sites.items():
            async with servers.muru(site) as server:
                least[size] = min(least[size], server.start_seconds)
    report.add("bare aiohttp, start to first answer", {"s": least[0]})
    for size in bench.sizes:
        numbers = {"s": least[size], "x bare aiohttp": least[size] / least[0]}
        report.add(f"muru, start to ready, {size:,} extensions", numbers)


async def _memory(bench: Bench, report: Report) -> None:
    async with servers.bare(bench.folder) as bare:
        report.add("memory of bare aiohttp", {"MiB": bare.memory})
        for size in (bench.sizes[0], bench.sizes[-1]):
            registered = min(size, REGISTERED)
            async with AsyncExitStack() as stack:
                fake = servers.fake_asterisk(bench.folder, registered)
                site = await bench.site(size, ami_port=await stack.enter_async_context(fake))
                muru = await stack.enter_async_context(servers.muru(site))
                (root,) = await stack.enter_async_context(clients(muru.port, user="root"))
                await wait_registered(root, registered)
                report.add(
                    f"memory, {size:,} extensions, {registered:,} phones",
                    {"MiB": muru.memory, "x bare aiohttp": muru.memory / bare.memory},
                )
