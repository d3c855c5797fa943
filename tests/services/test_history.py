"""The history of registrations, in each kind of database, and who may read it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from muru.asterisk.ami import Ami
from muru.asterisk.registrations import Registrations
from muru.db.models import KnownContact, RegistrationEvent, RegistrationRoundTrip, now
from muru.keys import HISTORY, REGISTRATIONS
from muru.services import history, presence
from muru.services.extensions import NewExtension, create_extension, delete_extension
from muru.services.history import History, Period, events_of, round_trips_of
from muru.services.presence import Entry, Kind, RoundTrip
from muru.services.site import OPERATOR, Site
from muru.settings import Settings
from tests import sip
from tests.conftest import Api, StartStack, World
from tests.fake_ami import FakeAmi
from tests.fake_registrar import Phone, Registrar
from tests.observe import create, until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write often, and wait for nobody long."""
    monkeypatch.setattr(history, "_PAUSE", 0.05)
    monkeypatch.setattr(history, "_TURNING_UP", 0.5)
    monkeypatch.setattr(presence, "GRACE", timedelta(seconds=2))


@pytest.fixture
async def registrar(settings: Settings) -> AsyncIterator[Registrar]:
    """An Asterisk with phones that come and go."""
    server = FakeAmi(secret="ami secret")
    server.port = settings.ami_port
    async with server:
        yield Registrar(server)


def new_registrations(site: Site) -> Registrations:
    """A tracker that is not started."""
    secret = SecretStr("none")
    return Registrations(Ami(host="127.0.0.1", port=1, username="muru", secret=secret))


async def owned(site: Site, number: str = "1000") -> None:
    new = NewExtension(type="SIP", name="Phone", number=number, owner="owner")
    await create_extension(site, OPERATOR, new)


async def kinds(api: Api, number: str) -> list[str]:
    """What happened, the oldest first."""
    page = await api.get(f"/registrations/{number}/history")
    return [entry["kind"] for entry in reversed(page["items"])]


def entry(extension: str = "1000", kind: Kind = Kind.CAME, **more: Any) -> Entry:
    values = {"at": now(), "uri": "sip:1000@192.0.2.1:5060", "address": "192.0.2.1:5060"}
    return Entry(kind=kind, extension=extension, **{**values, "user_agent": "snom", **more})


async def test_entries_in_each_database(any_site: Site) -> None:
    """What happened comes back as it was, by pages and by time, the newest first."""
    await owned(any_site)
    written = History(any_site.database, new_registrations(any_site), days=14)
    began = now()
    for minute in range(3):
        at = began + timedelta(minutes=minute, microseconds=123456)
        written._note(entry(at=at, count=minute, previous="192.0.2.2:5060"))
        written._note(RoundTrip(at, "1000", "sip:1000@192.0.2.1:5060", 8.2))
    written._note(entry(uri="x" * 300, user_agent="\0\x1b\U0001f600" * 200, address="y" * 200))
    await written.flush()

    found, total = await events_of(any_site, OPERATOR, "1000", Period(limit=2))
    assert ([each.count for each in found], total) == ([2, 1], 4)
    assert found[0].at == began + timedelta(minutes=2, microseconds=123456)
    assert (found[0].kind, found[0].previous) == ("came", "192.0.2.2:5060")
    (one,), total = await events_of(
        any_site,
        OPERATOR,
        "1000",
        Period(began + timedelta(seconds=59), began + timedelta(seconds=119), 0, 50),
    )
    assert (one.count, total) == (1, 1)
    trips, total = await round_trips_of(any_site, OPERATOR, "1000", Period(offset=1))
    assert ([each.rtt_ms for each in trips], total) == ([8.2, 8.2], 3)
    assert written.dropped == 0


async def test_known_contacts_in_each_database(any_site: Site) -> None:
    """Which phones are there is written as it is, whatever was there before."""
    tracker = new_registrations(any_site)
    written = History(any_site.database, tracker, days=14)
    for port in (5060, 5061, 5061):
        phone = Phone("1000", port)
        tracker._put(tracker._known("1000", phone.uri))
    await written.flush()
    tracker._remove("1000", "sip:1000@192.0.2.7:5060")
    tracker._put(tracker._known("1001", "sip:1001@192.0.2.8"))
    await written.flush()

    again = new_registrations(any_site)
    await History(any_site.database, again, days=14).load()

    assert sorted(again._remembered) == [
        ("1000", "sip:1000@192.0.2.7:5061"),
        ("1001", "sip:1001@192.0.2.8"),
    ]
    assert again._remembered["1001", "sip:1001@192.0.2.8"] == tracker.contacts("1001")[0].since


async def test_former_owner_s_history_is_hidden(site: Site) -> None:
    """Whoever gets a number that was somebody else's does not see what happened before."""
    await owned(site)
    written = History(site.database, new_registrations(site), days=14)
    written._note(entry())
    await written.flush()
    assert (await events_of(site, OPERATOR, "1000", Period()))[1] == 1
    await delete_extension(site, OPERATOR, "1000")
    await owned(site)

    assert await events_of(site, OPERATOR, "1000", Period()) == ([], 0)


async def count(site: Site, table: Any) -> int:
    async with site.database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_old_and_too_many_entries_are_deleted(
    any_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History ends after its days, and where there is too much of it, with the oldest."""
    written = History(any_site.database, new_registrations(any_site), days=14)
    for days in (15, 13):
        written._note(entry(at=now() - timedelta(days=days)))
        written._note(RoundTrip(now() - timedelta(days=days), "1000", "sip:x", 1.0))
    await written.flush()

    await written.prune()
    assert await count(any_site, RegistrationEvent) == 1
    assert await count(any_site, RegistrationRoundTrip) == 1

    monkeypatch.setattr(history, "_KEPT", [(RegistrationEvent, 3), (RegistrationRoundTrip, 5)])
    for _ in range(10):
        written._note(entry())
    await written.flush()
    await written.prune()
    assert await count(any_site, RegistrationEvent) == 3
    assert await count(any_site, RegistrationRoundTrip) == 1


async def test_flood_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than fits is dropped, the oldest first, and counted."""
    monkeypatch.setattr(history, "_BOUND", 100)
    written = History(site.database, new_registrations(site), days=14)
    for number in range(250):
        written._note(entry(count=number))
    assert (written.waiting, written.dropped) == (100, 150)
    await written.flush()

    assert await count(site, RegistrationEvent) == 100


async def test_database_is_away(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a database entries are lost, which is told once; who is there is written later."""
    tracker = new_registrations(site)
    written = History(site.database, tracker, days=14)
    path = site.settings.data_dir / "muru.sqlite3"
    away = path.with_name("away")
    await site.database.own.dispose()
    path.rename(away)
    path.mkdir()
    await written.load()
    tracker._put(tracker._known("1000", "sip:1000@192.0.2.7"))
    for _ in range(3):
        written._note(entry())
        await written.flush()
    assert written.dropped == 3
    assert [record.message for record in caplog.records if "gaps" in record.message] != []
    assert len([record for record in caplog.records if "gaps" in record.message]) == 1
    path.rmdir()
    away.rename(path)

    await written.flush()

    assert await count(site, KnownContact) == 1


async def test_thousand_events_a_second(world: World, registrar: Registrar) -> None:
    """While a thousand phones a second come and go the API answers, and nothing is dropped."""
    app = world.app
    await app[REGISTRATIONS].ready.wait()
    longest = 0.0
    for second in range(3):
        began = time.monotonic()
        for number in range(1000):
            registrar.tell(
                Phone(str(1000 + number), agent="x"), ("Reachable", "Removed")[second % 2]
            )
            if number % 50 == 49:
                asked = time.monotonic()
                await world.alice.get("/registrations")
                longest = max(longest, time.monotonic() - asked)
        await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))
    assert longest < 0.5

    async def written() -> int:
        return await count(world.site, RegistrationEvent)

    # Each came, and flapped; those are noted later.
    await until(written, lambda found: found == 1000)
    assert app[HISTORY].dropped == 0


@pytest.fixture
def restartable(
    registrar: Registrar, start: Callable[[Settings], Awaitable[World]], settings: Settings
) -> Callable[[], Awaitable[World]]:
    """Return a function that starts the application; again, after it was closed."""
    first = True

    async def start_it() -> World:
        nonlocal first
        monkey = pytest.MonkeyPatch()
        if not first:
            monkey.setattr("tests.conftest.users.create_user", _nothing)
        first = False
        try:
            world = await start(settings)
        finally:
            monkey.undo()
        await world.app[REGISTRATIONS].ready.wait()
        return world

    return start_it


async def _nothing(*_: object) -> None:
    """The users are there already."""


async def test_restart_is_no_coming(
    registrar: Registrar, restartable: Callable[[], Awaitable[World]]
) -> None:
    """After a restart only what changed meanwhile is told, and phones are there since they came."""
    stays, goes = registrar.add(Phone("2001")), registrar.add(Phone("2002"))
    world = await restartable()
    for number in ("2001", "2002", "2003"):
        await create(world.alice, number)
    registrar.remove(stays)
    registrar.remove(goes)
    await asyncio.sleep(2.5)
    for phone in (stays, goes):
        registrar.add(phone)
    await until(lambda: kinds(world.alice, "2001"), lambda found: found == ["went", "came"])
    (before,) = (await world.alice.get("/extensions/2001/registration"),)
    since = before["contacts"][0]["since"]
    await asyncio.sleep(0.3)
    await world.nobody.client.server.close()
    registrar.remove(goes)
    registrar.add(Phone("2003"))

    world = await restartable()

    alice = await world.nobody.log_in("alice")
    await until(lambda: kinds(alice, "2002"), lambda found: found[-1] == "went", within=6)
    assert await kinds(alice, "2001") == ["went", "came"]
    assert await kinds(alice, "2003") == ["came"]
    row = (await alice.get("/extensions/2001/registration"))["contacts"][0]
    assert row["since"] == since


async def test_who_may_read_history(world: World) -> None:
    """A history is the owner's and the administrators'; for others there is none."""
    await create(world.root, "3001")
    for what in ("history", "round-trips"):
        path = f"/registrations/3001/{what}"
        assert await world.root.get(path) == {"items": [], "total": 0}
        await world.alice.get(path, status=404)
        await world.nobody.get(path, status=401)


@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=0001-01-01T00:00:00%2B14:00", "from=9999-12-31T23:00:00-10:00"]
)
async def test_strange_period_is_refused(world: World, query: str) -> None:
    """What is no time, or none that can be meant, is told by name."""
    await create(world.alice, "2001")

    problem = await world.alice.get(f"/registrations/2001/history?{query}", status=422)

    assert problem["errors"][0]["field"] in {"from", "to"}


async def test_real_phone_comes_refreshes_moves_flaps_and_goes(start_stack: StartStack) -> None:
    """What a real phone does is what its history says, and nothing else."""
    stack = await start_stack(max_contacts=1)
    account = await create(stack.alice, "2001")
    began = now()
    server, port, elsewhere = stack.sip_server, sip.free_ports(), sip.free_ports()

    async def shown(at: int | None) -> None:
        """Wait until that is where it is registered."""
        await until(
            lambda: stack.alice.get("/registrations"),
            lambda rows: (
                [row["address"] for row in rows] == ([f"127.0.0.1:{at}"] if at else [])
                and all(row["user_agent"] for row in rows)
            ),
        )

    await sip.register(server, *account, port=port)
    await shown(port)
    await sip.register(server, *account, port=port)
    await sip.register(server, *account, port=elsewhere)
    await shown(elsewhere)
    await sip.unregister(server, *account)
    await shown(None)
    await sip.register(server, *account, port=elsewhere)
    await shown(elsewhere)
    await asyncio.sleep(2.5)
    await sip.unregister(server, *account)
    await shown(None)
    await until(lambda: kinds(stack.alice, "2001"), lambda found: found[-1] == "went", within=5)
    await stack.app[HISTORY].stop()  # what waits is written

    page = await stack.alice.get("/registrations/2001/history", params={"to": "2100-01-01"})
    told = [(each["kind"], each["address"], each["previous"]) for each in reversed(page["items"])]
    here, there = f"127.0.0.1:{port}", f"127.0.0.1:{elsewhere}"
    assert told == [
        ("came", here, None),
        ("moved", there, here),
        ("flapped", there, None),
        ("went", there, None),
    ]
    assert all(datetime.fromisoformat(each["at"]) >= began for each in page["items"])


async def test_real_round_trips(start_stack: StartStack) -> None:
    """How long a phone takes to answer Asterisk is kept."""
    stack = await start_stack(qualify_frequency=1)
    account = await create(stack.alice, "2001")
    async with sip.AnsweringPhone(stack.sip_server, *account):
        page = await until(
            lambda: stack.alice.get("/registrations/2001/round-trips"),
            lambda page: page["items"],
        )

    assert 0 < page["items"][0]["rtt_ms"] < 3000
    assert page["total"] == 1
