"""Whenever muru is killed: after the next start both databases agree."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from muru.db.models import Extension
from muru.db.realtime import TABLES, Ownership
from muru.services.reconcile import Report, reconcile
from muru.services.site import Site
from tests.crash_worker import Order
from tests.databases import SHARED, Databases

ITERATIONS = 25
LONGEST = 0.12  # seconds until a worker is killed
MOST = {"before_cursor_execute": 100, "commit": 6}  # times, at which a worker kills itself
ROOT = Path(__file__).parent.parent

Crash = Callable[[int], None]


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[bytes]]:
    """The process that starts workers."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    with subprocess.Popen([sys.executable, "-m", "tests.crash_worker"], cwd=ROOT, **pipes) as child:
        yield child
        assert child.stdin is not None
        child.stdin.close()


@pytest.fixture
def crash(any_site: Site, databases: Databases, nursery: subprocess.Popen[bytes]) -> Crash:
    """Return a function from a seed that lets a worker work on the site, and has it killed."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    stdin, stdout = nursery.stdin, nursery.stdout

    def crash_once(seed: int) -> None:
        chance = random.Random(seed)
        order: Order = {
            "own": databases.own,
            "asterisk": databases.asterisk,
            "data_dir": str(any_site.settings.data_dir),
            "seed": seed,
            "point": (point := chance.choice(["", *MOST])),
            "times": chance.randint(1, MOST.get(point, 1)),
        }
        stdin.write(json.dumps(order).encode() + b"\n")
        assert stdout.readline() == b"ready\n"
        if not point:
            time.sleep(chance.uniform(0, LONGEST))  # the moment is what is tested
            children = Path(f"/proc/{nursery.pid}/task/{nursery.pid}/children").read_text()
            os.kill(int(children), signal.SIGKILL)
        assert stdout.readline() == b"dead -9\n"

    return crash_once


async def until_it_left(engine: AsyncEngine) -> None:
    """Wait until a server has seen that the worker is gone; its locks are then gone too."""
    count = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
        "mariadb": "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
    }.get(engine.dialect.name)
    if count is None:
        return
    async with engine.connect() as connection:
        ours = engine.pool.checkedin() + engine.pool.checkedout()  # type: ignore[attr-defined]
        while (await connection.exec_driver_sql(count)).scalar_one() != ours:
            await asyncio.sleep(0.005)
            await connection.rollback()  # PostgreSQL shows a transaction what it saw first


async def disagreements(site: Site) -> list[str]:
    """Compare each row of Asterisk's tables with what the extensions want."""
    wanted: dict[tuple[str, str], dict[str, Any]] = {}
    noted: dict[tuple[str, str], str] = {}
    async with site.database.read() as session:
        for extension in await session.scalars(select(Extension)):
            for row in site.registry.require_type(extension.type).realtime_rows(extension):
                place = row.__tablename__, row.row_key
                wanted[place], noted[place] = row.values(), extension.number
    async with site.database.transaction() as transaction:
        session = transaction.asterisk_session
        present = {
            (name, row.row_key): row.values()
            for name, table in TABLES.items()
            for row in await session.scalars(select(table))
        }
        owned = {
            (each.table_name, each.row_key): each.number
            for each in await session.scalars(select(Ownership))
        }
    different = {place for place in wanted | present if wanted.get(place) != present.get(place)}
    different |= {place for place in noted | owned if noted.get(place) != owned.get(place)}
    return [
        f"{place}: wanted {wanted.get(place)}, is {present.get(place)}, {owned.get(place)}'s"
        for place in sorted(different)
    ]


@pytest.mark.parametrize(
    "databases", [*SHARED, "sqlite+sqlite", "postgresql+mariadb"], indirect=True
)
async def test_both_databases_agree_after_a_kill(any_site: Site, crash: Crash) -> None:
    """At random moments of creates, changes and deletes, each time on what the last one left."""
    first, mended = random.randrange(1_000_000), 0
    for seed in range(first, first + ITERATIONS):
        await asyncio.to_thread(crash, seed)
        for engine in {any_site.database.own, any_site.database.asterisk}:
            await until_it_left(engine)

        report = await reconcile(any_site, grace=0)  # as at the start of the application

        mended += len(report.changes)
        assert await disagreements(any_site) == [], f"seed {seed}, {report}"
        assert report.foreign == [], f"seed {seed}"
        assert await reconcile(any_site, grace=0) == Report(), f"seed {seed}"
    # One transaction needs no mending; of two, some were cut in half, or nothing was tested here.
    assert (mended == 0) == any_site.database.shared, f"seeds from {first}"
