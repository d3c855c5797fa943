"""How long it takes until all phones of a big site are configured, if they come back at once."""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bench import FIRST_NUMBER, servers
from bench.client import Request, connect
from bench.families import HTTP_FAMILIES, TFTP_FAMILY, Family, address_of
from bench.report import Report
from bench.sites import Bench, sip_password
from bench.tftp_phones import File, fetch_once

_FAMILIES = (*HTTP_FAMILIES, *HTTP_FAMILIES, *HTTP_FAMILIES, TFTP_FAMILY)  # a tenth has TFTP
_PATIENCE = 120.0  # seconds
_TFTP_PATIENCE = 5.0  # seconds after which a phone begins a transfer anew

# The phone with that number gets all its files; returns how often it had to begin anew.
Boot = Callable[[int, Family], Awaitable[int]]


@dataclass
class Outcome:
    """When each phone was configured, in seconds after the power was back.

    *errors* are those of the others, *retries* the transfers by TFTP that were begun anew.
    """

    times: list[float] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    retries: int = 0

    def numbers(self) -> dict[str, float]:
        ranked = sorted(self.times)
        return {
            "s until all": ranked[-1],
            "s p50": ranked[len(ranked) // 2],
            "s p99": ranked[(len(ranked) - 1) * 99 // 100],
            "errors": len(self.errors),
            "retries": self.retries,
        }


async def measure(bench: Bench, report: Report) -> None:
    count = 500 if bench.quick else 5_000
    site = await bench.site(count, families=_FAMILIES)
    by_http = [number for number in range(count) if _family(number).by_http]
    async with servers.bare(bench.folder) as bare, servers.muru(site) as muru:
        await _keep_same(muru.port, bare.port)
        _allow_files(2 * count)

        async def boot(number: int, family: Family) -> int:
            if family.by_http:
                return await _boot(muru.port, number, number, family)
            return await _boot_by_tftp(site.settings.tftp_port or 0, number, family)

        async def boot_bare(number: int, family: Family) -> int:
            return await _boot(bare.port, number, HTTP_FAMILIES.index(family), family)

        await servers.quiet(muru)
        bare_done = [await _all_at_once(by_http, boot_bare) for _ in range(bench.rounds)]
        first = await _all_at_once(range(count), boot)
        again = [await _all_at_once(range(count), boot) for _ in range(bench.rounds)]
    best_bare = min(bare_done, key=lambda done: max(done.times))
    report.add(f"bare handler, {len(by_http):,} phones by HTTP", best_bare.numbers())
    what = f"{len(by_http):,} phones by HTTP, {count - len(by_http):,} by TFTP"
    for when, done in (
        ("", first),
        (", once more", min(again, key=lambda done: max(done.times))),
    ):
        longer = max(done.times) / max(best_bare.times)
        report.add(f"{what}{when}", {**done.numbers(), "x bare handler": longer})
    for error in (first.errors + [each for done in again for each in done.errors])[:3]:
        report.note(f"error: {error!r}")


def _family(number: int) -> Family:
    return _FAMILIES[number % len(_FAMILIES)]


async def _all_at_once(numbers: Sequence[int], boot: Boot) -> Outcome:
    outcome, began = Outcome(), time.perf_counter()

    async def one(number: int) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                outcome.retries += await boot(number, _family(number))
        except Exception as error:  # whatever it is: this phone has no configuration
            outcome.errors.append(error)
        else:
            outcome.times.append(time.perf_counter() - began)

    await asyncio.gather(*map(one, numbers))
    return outcome


async def _boot(port: int, number: int, shown: int, family: Family) -> int:
    """Get the files by a connection of its own, under the paths of the phone *shown*."""
    client = await connect(port)
    try:
        for file in family.files:
            path, agent = family.path(file, shown), family.agent(number)
            content = await client.ask(Request("GET", path, agent=agent))
            if file == family.own:
                assert sip_password(str(FIRST_NUMBER + shown)).encode() in content
    finally:
        client.close()
    return 0


async def _boot_by_tftp(port: int, number: int, family: Family) -> int:
    retries = -len(family.files)
    for file in family.files:
        asked, content = File(port, family.path(file, number), b"", 512), b""
        while not content:
            retries += 1
            with suppress(TimeoutError, AssertionError):
                content = await fetch_once(asked, address_of(number), at_most=_TFTP_PATIENCE)
        if file == family.own:
            assert sip_password(str(FIRST_NUMBER + number)).encode() in content
    return retries


async def _keep_same(muru_port: int, bare_port: int) -> None:
    """Have the bare handler answer the first phone of each family as muru does."""
    muru, bare = await connect(muru_port), await connect(bare_port)
    for number, family in enumerate(HTTP_FAMILIES):
        for file in family.files:
            request = Request("GET", family.path(file, number), agent=family.agent(number))
            await bare.ask(Request("PUT", request.path, await muru.ask(request)))
    muru.close()
    bare.close()


def _allow_files(count: int) -> None:
    """Let this process have so many connections, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
