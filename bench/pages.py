"""How long pages take, with few and with many extensions and phones."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from bench import FIRST_NUMBER, PASSWORD, servers
from bench.client import Client, Request, clients, load
from bench.families import HTTP_FAMILIES, mac_of
from bench.reads import REGISTERED, wait_registered
from bench.report import Report
from bench.sites import Bench
from muru.provisioning.mac import written


class _Page(NamedTuple):
    user: str  # empty: nobody is logged in
    path: str
    shows: str  # what is on it for sure


_PAGES = {
    "start": _Page("", "/", f"{FIRST_NUMBER}"),
    "phonebook, searched": _Page("", "/?search=Phone", f"{FIRST_NUMBER}"),
    "own phones": _Page("alice", "/phones", f"{FIRST_NUMBER + 9}"),
    "a phone": _Page("alice", f"/phones/{FIRST_NUMBER}", written(mac_of(0))),
    "operator: overview": _Page("root", "/operator", HTTP_FAMILIES[0].flavor),
    "operator: extensions": _Page("root", "/operator/extensions", f"{FIRST_NUMBER + 9}"),
    "operator: devices": _Page("root", "/operator/devices", written(mac_of(9))),
}
_Times = dict[int, float]  # percentile, ms


async def measure(bench: Bench, report: Report) -> None:
    best: dict[tuple[str, int], tuple[_Times, _Times]] = {}
    lengths: dict[tuple[str, int], int] = {}
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(servers.bare(bench.folder))
        (bare_client,) = await stack.enter_async_context(clients(bare.port))
        browsers: dict[tuple[str, int], Client] = {}
        for size in bench.sizes:
            port = await _start(stack, bench, size)
            for user in {page.user for page in _PAGES.values()}:
                browser = await stack.enter_async_context(_browser(port, user))
                browsers[user, size] = browser
        for _ in range(bench.rounds):
            for what, page in _PAGES.items():
                for size in bench.sizes:
                    browser = browsers[page.user, size]
                    content = await browser.ask(Request("GET", page.path))
                    assert page.shows in content.decode(), (what, size)
                    lengths[what, size] = len(content)
                    await bare_client.ask(Request("PUT", "/page", content))
                    times = (
                        await _times(browser, page.path, bench.reads),
                        await _times(bare_client, "/page", bench.reads),
                    )
                    known = best.get((what, size), times)
                    best[what, size] = _least(known[0], times[0]), _least(known[1], times[1])
    for (what, size), (found, bare_found) in best.items():
        numbers: dict[str, float] = {"kB": lengths[what, size] / 1000}
        for percent in (50, 99):
            numbers[f"ms p{percent}"] = found[percent]
            numbers[f"x bare p{percent}"] = found[percent] / bare_found[percent]
        smallest = best[what, bench.sizes[0]][0]
        numbers[f"x with {bench.sizes[0]:,}"] = found[50] / smallest[50]
        report.add(f"{what}, {size:,} present", numbers)


async def _start(stack: AsyncExitStack, bench: Bench, size: int) -> int:
    registered = min(size, REGISTERED)
    ami_port = await stack.enter_async_context(servers.fake_asterisk(bench.folder, registered))
    site = await bench.site(size, ami_port=ami_port, families=HTTP_FAMILIES)
    server = await stack.enter_async_context(servers.muru(site))
    async with clients(server.port, user="root") as (root,):
        await wait_registered(root, registered)
    return server.port


@asynccontextmanager
async def _browser(port: int, user: str) -> AsyncIterator[Client]:
    """Connect, and log in as *user* by a session cookie, as browsers do."""
    async with clients(port) as (client,):
        if user:
            credentials = {"username": user, "password": PASSWORD, "kind": "session"}
            await client.ask(Request("POST", "/api/v1/auth/login", credentials))
        yield client


async def _times(client: Client, path: str, count: int) -> _Times:
    done = await load([client], count, lambda _: Request("GET", path), at_most=2.0)
    return {percent: done.percentile(percent) for percent in (50, 99)}


def _least(one: _Times, other: _Times) -> _Times:
    return {percent: min(one[percent], other[percent]) for percent in one}
