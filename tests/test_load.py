"""Many phones, and an Asterisk that goes away amid them."""

import asyncio
import logging
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import insert, select

from muru.asterisk import config, program
from muru.db import realtime
from muru.db.models import Extension, User
from muru.keys import AMI, REGISTRATIONS
from muru.settings import Settings
from tests import sip
from tests.conftest import Api, Stack, StartStack, World, asterisk_ports
from tests.observe import (
    Place,
    api_contacts,
    asterisk_contacts,
    console,
    create,
    faults,
    restart_seen,
    until,
)

_log = logging.getLogger(__name__)

MANY = 5000
RATE = 500  # registrations per second
SOON = 2.0  # seconds after the last REGISTER
AFTER_RETURN = 5.0  # seconds after Asterisk came back


@dataclass
class Latencies:
    """How long the API took, per path."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def p99(self, path: str) -> float:
        """In milliseconds."""
        return statistics.quantiles(self.seconds[path], n=100)[98] * 1000

    def __str__(self) -> str:
        return "; ".join(
            f"GET {path}: p99 {self.p99(path):.0f} ms, longest {max(times) * 1000:.0f} ms,"
            f" {len(times)} requests"
            for path, times in self.seconds.items()
        )


@asynccontextmanager
async def polled(api: Api, *paths: str) -> AsyncIterator[Latencies]:
    """Asks for these paths all the while, twenty times in a second."""
    latencies = Latencies({path: [] for path in paths})

    async def poll(path: str) -> None:
        while True:
            began = time.monotonic()
            await api.get(path)
            latencies.seconds[path].append(time.monotonic() - began)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(poll(path)) for path in paths]
        yield latencies
        for task in tasks:
            task.cancel()


async def create_many(stack: Stack, count: int) -> list[sip.Account]:
    """Creates so many extensions of root's at once; Asterisk is told of them later."""
    numbers = [str(10_000 + index) for index in range(count)]
    flavor = stack.site.registry.require_type("SIP")
    async with stack.site.transaction() as transaction:
        owner = await transaction.session.scalar(select(User.id).where(User.username == "root"))
        rows: list[dict[str, object]] = [
            {
                "number": number,
                "name": f"Phone {number}",
                "type": "SIP",
                "password": f"secret{number}",
                "token": f"9{number}",
                "owner_id": owner,
                "extra_fields": {},
            }
            for number in numbers
        ]
        await transaction.session.execute(insert(Extension), rows)
        among = Extension.number.between(numbers[0], numbers[-1])
        found = list(await transaction.session.scalars(select(Extension).where(among)))
        wanted = {each.number: flavor.realtime_rows(each) for each in found}
        _, foreign = await transaction.run(
            lambda _, asterisk: realtime.replace_many(asterisk, wanted)
        )
        assert not foreign
    return [sip.Account(each.number, each.password) for each in found]


async def all_introduced(stack: Stack) -> None:
    """Returns when Asterisk has read all AORs again, as it does some time after there are new."""

    async def log() -> str:
        return stack.asterisk_log

    before = stack.asterisk_log.count("sorcery.c: Type 'system'")
    await until(log, lambda text: text.count("sorcery.c: Type 'system'") > before, within=60)


@dataclass
class LateStack:
    """An application that runs, and an Asterisk that does not yet."""

    world: World
    asterisk: program.Process

    async def start_asterisk(self) -> Stack:
        """Starts it, and returns when muru has a link to it."""
        await self.asterisk.start()
        assert await self.world.app[AMI].wait_connected(30)
        world = self.world
        return Stack(world.app, world.nobody, world.alice, world.root, asterisk=self.asterisk)


StartLateStack = Callable[[], Awaitable[LateStack]]


@pytest.fixture
async def start_late_stack(
    make_settings: Callable[..., Settings], start: Callable[[Settings], Awaitable[World]]
) -> AsyncIterator[StartLateStack]:
    """Returns a function that starts the application alone."""
    prepared: list[program.Process] = []

    async def start_world() -> LateStack:
        settings = make_settings(**asterisk_ports())
        found = program.find(settings)
        folder = settings.data_dir.absolute() / "asterisk/etc"
        config.write(settings, found, folder)
        prepared.append(program.Process(found, folder))
        return LateStack(await start(settings), prepared[0])

    yield start_world
    for asterisk in prepared:
        await asterisk.stop()


async def agree(stack: Stack, within: float) -> set[Place]:
    """What the API and Asterisk show, as soon as it is the same."""
    deadline = time.monotonic() + within
    while True:
        ours, theirs = await api_contacts(stack.root), await asterisk_contacts(stack.asterisk)
        if ours == theirs:
            return ours
        lost, phantoms = theirs - ours, ours - theirs
        assert time.monotonic() < deadline, f"{len(lost)} lost, {len(phantoms)} phantoms"


async def test_thousands_register(
    start_stack: StartStack, record_property: Callable[[str, object], None]
) -> None:
    """5,000 phones register at 500 a second; 2 s after the last the API shows them, and no other.

    All the while the API answers.
    """
    stack = await start_stack(extension_digits=5)
    mine = await create(stack.alice, "99999")
    accounts = await create_many(stack, MANY)
    await all_introduced(stack)
    async with polled(
        stack.alice, "/extensions/99999", "/registrations", "/extensions/99999/registration"
    ) as latencies:
        bulk = await sip.register_many(stack.sip_server, [mine, *accounts], rate=RATE)
    ended = time.monotonic()
    shown = await agree(stack, within=SOON)
    agreed = time.monotonic() - ended
    record_property("p99", str(latencies))
    _log.warning("%s; the same %.2f s after the last; %s", bulk, agreed, latencies)

    assert bulk.succeeded == MANY + 1
    assert len(shown) == MANY + 1
    assert {number for number, _ in await api_contacts(stack.alice)} == {"99999"}
    assert stack.app[REGISTRATIONS].corrected == 0
    # On a machine that has much else to do Asterisk may tell of a queue that grew for a moment.
    assert [line for line in faults(stack.asterisk_log) if "taskprocessor.c" not in line] == []


@asynccontextmanager
async def registering(stack: Stack, accounts: list[sip.Account], port: int) -> AsyncIterator[None]:
    """Has all these phones register, again and again, in the background."""

    async def register() -> None:
        while True:
            await sip.register_many(stack.sip_server, accounts, rate=RATE, port=port, within=5)

    task = asyncio.create_task(register())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def end_asterisk(stack: Stack, how: str) -> None:
    """Ends it, and returns when muru has a link to the next one."""
    pid = stack.asterisk.pid
    assert pid
    if how == "kill":
        os.kill(pid, signal.SIGKILL)
    else:
        await console(stack.asterisk, "core stop now")
    await restart_seen(stack, pid)
    await until(lambda: stack.nobody.get("/health/ready"), lambda row: row["asterisk"] == "ok")


async def test_asterisk_restarts_under_load(start_stack: StartStack) -> None:
    """An Asterisk that dies while phones register: 5 s after its return nothing is lost or phantom.

    Phones whose registration it lost are gone here too; those that come meanwhile are there.
    """
    stack = await start_stack(extension_digits=5)
    accounts = await create_many(stack, 400)
    await all_introduced(stack)
    port = sip.free_ports()
    assert (await sip.register_many(stack.sip_server, accounts[:200], port=port)).succeeded == 200
    for how in ("kill", "stop", "kill"):
        async with registering(stack, accounts[100:], port):
            await asyncio.sleep(1)
            await end_asterisk(stack, how)
            returned = time.monotonic()
        await agree(stack, within=AFTER_RETURN - (time.monotonic() - returned))
    async with asyncio.timeout(10):
        await stack.app[REGISTRATIONS].ready.wait()
    assert (await sip.register_many(stack.sip_server, accounts, port=port)).succeeded == 400
    assert len(await agree(stack, within=SOON)) == 400


async def test_asterisk_is_late(start_late_stack: StartLateStack) -> None:
    """Without Asterisk muru serves all that does not need it, and tells it everything later."""
    late = await start_late_stack()
    alice = late.world.alice
    assert (await late.world.nobody.get("/health/ready"))["asterisk"] == "away"
    await late.world.nobody.get("/health/live")
    began = time.monotonic()
    gone, kept, renamed = [await create(alice, number) for number in ("2001", "2002", "2003")]
    await alice.patch("/extensions/2003", {"name": "Zoë"})
    await alice.delete("/extensions/2001")
    changed = await alice.post("/extensions/2002/password")
    assert (await alice.get("/extensions"))["total"] == 2
    assert await alice.get("/registrations") == []
    await late.world.nobody.log_in("alice")
    assert time.monotonic() - began < 5

    stack = await late.start_asterisk()

    kept_now = sip.Account("2002", changed["sip"]["password"])
    async with sip.AnsweringPhone(stack.sip_server, *kept_now) as phone:
        assert (await sip.register(stack.sip_server, *kept)).status == 401
        assert (await sip.register(stack.sip_server, *gone)).status == 401
        assert (await sip.register(stack.sip_server, *renamed)).status == 200
        assert (await sip.call(stack.sip_server, *renamed, "2002")).status == 200
        assert (await phone.request()).caller == ("Zoë", "2003")
        assert (await sip.call(stack.sip_server, *renamed, "2001")).status == 404
        shown = await agree(stack, within=5)
        assert {number for number, _ in shown} == {"2002", "2003"}


async def test_changes_while_asterisk_is_away(stack: Stack) -> None:
    """What Asterisk had cached before it went counts no more after its return."""
    anna, ben, zoe = [await create(stack.alice, number) for number in ("2001", "2002", "2003")]
    async with sip.AnsweringPhone(stack.sip_server, *ben) as phone:
        for account in (anna, zoe):
            assert (await sip.call(stack.sip_server, *account, "2002")).status == 200
        await asyncio.sleep(1.5)  # Asterisk writes its contacts to the disk once in a second
        pid = stack.asterisk.pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: stack.nobody.get("/health/ready"), lambda row: row["asterisk"] != "ok")

        await stack.alice.patch("/extensions/2001", {"name": "New name"})
        await stack.alice.delete("/extensions/2003")

        await restart_seen(stack, pid)
        assert await stack.app[AMI].wait_connected(20)
        await agree(stack, within=AFTER_RETURN)
        call = await until(
            lambda: sip.call(stack.sip_server, *anna, "2002"), lambda call: call.status == 200
        )
        assert call.status == 200
        invites = [message for message in phone.requests if message.method == "INVITE"]
        assert invites[-1].caller == ("New name", "2001")
        assert (await sip.call(stack.sip_server, *zoe, "2002")).status == 401
