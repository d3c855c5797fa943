"""How many extensions can be created in a second, and whether that stays so with many there."""

import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiosqlite

from bench import servers
from bench.client import Client, Request, clients, load
from bench.report import Report
from bench.sites import Bench

_PATH = "/api/v1/extensions"
_CLIENTS = (1, 8)
_BODY = {"type": "SIP", "name": "Anna", "public": True, "extra_fields": {"codec": "g722"}}


async def measure(bench: Bench, report: Report) -> None:
    await _alone(bench, report)
    await _beside_asterisk(bench, report)


async def _alone(bench: Bench, report: Report) -> None:
    """Without an Asterisk. Rounds go over all sizes, so that noise meets them alike."""
    inserts = 0.0
    bare: dict[int, float] = defaultdict(float)
    created: dict[tuple[int, int], float] = defaultdict(float)
    async with AsyncExitStack() as stack:
        bare_server = await stack.enter_async_context(servers.bare(bench.folder))
        bare_users = await stack.enter_async_context(clients(bare_server.port, max(_CLIENTS)))
        users = {}
        for size in bench.sizes:
            server = await stack.enter_async_context(servers.muru(await bench.site(size)))
            users[size] = await stack.enter_async_context(_log_in(server.port))
        for _ in range(bench.rounds):
            inserts = max(inserts, await _inserts(bench.folder / "inserts.sqlite3", 500))
            for count in _CLIENTS:
                bare[count] = max(bare[count], await _bare(bare_users[:count]))
                for size in bench.sizes:
                    rate = await _create(users[size], count, bench.creations, size)
                    created[count, size] = max(created[count, size], rate)
    report.add("bare INSERT and commit, 1 client", {"/s": inserts})
    for count in _CLIENTS:
        report.add(f"bare handler, {_clients(count)}", {"/s": bare[count]})
        for size in bench.sizes:
            rate = created[count, size]
            numbers = {
                "/s": rate,
                "x bare handler": rate / bare[count],
                "x bare INSERT": rate / inserts,
                f"x with {bench.sizes[0]:,}": rate / created[count, bench.sizes[0]],
            }
            report.add(f"create, {_clients(count)}, {size:,} present", numbers)


async def _beside_asterisk(bench: Bench, report: Report) -> None:
    """With the real one, which hears of each extension before the answer."""
    size = 1_000
    site = await bench.site(size)
    if not servers.has_asterisk(site):
        report.note("no Asterisk on this machine: make asterisk")
        return
    async with servers.muru(site, "up") as server, _log_in(server.port) as users:
        await servers.until(lambda: _has_asterisk(users[0]))
        for count in _CLIENTS:
            rate = 0.0
            for _ in range(bench.rounds):
                rate = max(rate, await _create(users, count, bench.creations, size))
            report.add(f"create, {_clients(count)}, {size:,} present, Asterisk", {"/s": rate})


async def _has_asterisk(client: Client) -> bool:
    health = await client.get("/api/v1/health/ready")
    return bool(health["asterisk"] == "ok")


@asynccontextmanager
async def _log_in(port: int) -> AsyncIterator[list[Client]]:
    """Connect the clients of an ordinary user, and after them one of an administrator."""
    async with (
        clients(port, max(_CLIENTS), user="alice") as alice,
        clients(port, user="root") as (root,),
    ):
        yield [*alice, root]


async def _create(users: Sequence[Client], count: int, creations: int, present: int) -> float:
    """Create so many, check that they are there, and delete them again; return the rate."""
    *alice, root = users
    created = await load(alice[:count], creations, lambda _: Request("POST", _PATH, _BODY, 201))
    assert await _total(root) == present + creations
    paths = [f"{_PATH}/{json.loads(answer)['number']}" for answer in created.answers]
    await load(alice, creations, lambda i: Request("DELETE", paths[i], status=204))
    assert await _total(root) == present
    return created.rate


async def _total(root: Client) -> int:
    total: int = (await root.get(f"{_PATH}?limit=1"))["total"]
    return total


async def _bare(connected: Sequence[Client]) -> float:
    answer = {**_BODY, "number": "100000", "and": "what else is in muru's answer" * 10}
    await connected[0].ask(Request("PUT", _PATH, answer))
    return (await load(connected, 1_000, lambda _: Request("POST", _PATH, _BODY, 201))).rate


async def _inserts(path: Path, count: int) -> float:
    """Insert rows like an extension's, one by one, as muru has SQLite set."""
    async with aiosqlite.connect(path, isolation_level=None) as database:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            await database.execute(f"PRAGMA {pragma}")
        await database.execute(
            "CREATE TABLE IF NOT EXISTS extensions (id INTEGER PRIMARY KEY, number TEXT, name TEXT)"
        )
        began = time.perf_counter()
        for number in range(count):
            await database.execute("BEGIN IMMEDIATE")
            await database.execute(
                "INSERT INTO extensions (number, name) VALUES (?, ?)", (str(number), "Anna")
            )
            await database.execute("COMMIT")
        return count / (time.perf_counter() - began)


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"
