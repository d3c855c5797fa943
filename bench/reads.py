"""How long lists and lookups take, with few and with many extensions and phones."""

from contextlib import AsyncExitStack

from bench import FIRST_NUMBER, servers
from bench.client import Client, Request, clients, load
from bench.report import Report
from bench.sites import OWNED, Bench

REGISTERED = 5_000  # phones at most; fewer where there are fewer extensions
_READS = {  # what: (who, path)
    "one extension": ("alice", f"/api/v1/extensions/{FIRST_NUMBER}"),
    "own extensions": ("alice", "/api/v1/extensions?limit=50"),
    "own registrations": ("alice", "/api/v1/registrations"),
    "all extensions, 50 of": ("root", "/api/v1/extensions?limit=50"),
    "all registrations": ("root", "/api/v1/registrations"),
}
_Times = dict[int, float]  # percentile, ms


async def measure(bench: Bench, report: Report) -> None:
    best: dict[tuple[str, int], tuple[_Times, _Times]] = {}
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(servers.bare(bench.folder))
        (bare_client,) = await stack.enter_async_context(clients(bare.port))
        connected: dict[tuple[str, int], Client] = {}
        for size in bench.sizes:
            port = await _start(stack, bench, size)
            for user in ("alice", "root"):
                (client,) = await stack.enter_async_context(clients(port, user=user))
                connected[user, size] = client
        for _ in range(bench.rounds):
            for what, (user, path) in _READS.items():
                for size in bench.sizes:
                    client = connected[user, size]
                    answer = await _check(client, what, path, size)
                    await bare_client.ask(Request("PUT", path.partition("?")[0], answer))
                    times = (
                        await _times(client, path, bench.reads),
                        await _times(bare_client, path, bench.reads),
                    )
                    known = best.get((what, size), times)
                    best[what, size] = _least(known[0], times[0]), _least(known[1], times[1])
    for (what, size), (found, bare_found) in best.items():
        numbers: dict[str, float] = {}
        for percent in (50, 99):
            numbers[f"ms p{percent}"] = found[percent]
            numbers[f"x bare p{percent}"] = found[percent] / bare_found[percent]
        smallest = best[what, bench.sizes[0]][0]
        numbers[f"x with {bench.sizes[0]:,}"] = found[50] / smallest[50]
        report.add(f"{what}, {size:,} present", numbers)


async def _start(stack: AsyncExitStack, bench: Bench, size: int) -> int:
    registered = min(size, REGISTERED)
    ami_port = await stack.enter_async_context(servers.fake_asterisk(bench.folder, registered))
    site = await bench.site(size, ami_port=ami_port)
    server = await stack.enter_async_context(servers.muru(site))
    async with clients(server.port, user="root") as (root,):
        await wait_registered(root, registered)
    return server.port


async def wait_registered(root: Client, count: int) -> None:
    """Wait until muru knows of so many phones, which it asks Asterisk for when it is up."""

    async def all_there() -> bool:
        return len(await root.get("/api/v1/registrations")) == count

    await servers.until(all_there)


async def _check(client: Client, what: str, path: str, size: int) -> object:
    """Return the answer, after checking that it has what is to be measured."""
    answer = await client.get(path)
    if what == "one extension":
        assert answer["registered"]
        return answer
    rows = answer["items"] if "/extensions" in path else answer
    there = OWNED if what.startswith("own") else size
    assert len(rows) == min(there, 50 if "/extensions" in path else REGISTERED)
    return answer


async def _times(client: Client, path: str, count: int) -> _Times:
    done = await load([client], count, lambda _: Request("GET", path), at_most=1.0)
    return {percent: done.percentile(percent) for percent in (50, 99)}


def _least(one: _Times, other: _Times) -> _Times:
    return {percent: min(one[percent], other[percent]) for percent in one}
