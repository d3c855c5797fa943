"""Registrations over the API: streams with readers of every kind, and histories."""

import asyncio
import re
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import pytest

from muru.api import registrations as api_registrations
from muru.asterisk.registrations import Contact
from muru.keys import FEED, REGISTRATIONS
from muru.services import readers as readers_module
from muru.services import registrations as feed
from muru.settings import Settings
from tests import sip
from tests.conftest import Api, StartStack, World
from tests.fake_ami import FakeAmi
from tests.fake_registrar import Phone, Registrar
from tests.observe import Place, asterisk_contacts, create, until
from tests.streams import PATH, Stream, open_stream, parse


@pytest.fixture
async def registrar(settings: Settings) -> AsyncIterator[Registrar]:
    """The Asterisk of ``world``, with phones that come and go."""
    server = FakeAmi(secret="ami secret")
    server.port = settings.ami_port
    async with server:
        yield Registrar(server)


@pytest.fixture
async def world(
    registrar: Registrar, start: Callable[[Settings], Awaitable[World]], settings: Settings
) -> World:
    """The application, connected with ``registrar``; alice has 2001 and 2002, root 3001."""
    world = await start(settings)
    for api, number in ((world.alice, "2001"), (world.alice, "2002"), (world.root, "3001")):
        await create(api, number)
    async with asyncio.timeout(5):
        await world.app[REGISTRATIONS].ready.wait()
    return world


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often at who may see what."""
    monkeypatch.setattr(feed, "LOOK", 0.1)


async def test_stream_begins_with_a_snapshot(world: World, registrar: Registrar) -> None:
    """First comes what ``GET /registrations`` shows, then each change, with a rising number."""
    registrar.add(Phone("2001", agent="snomD735/10.1.54.13"))
    await until(
        lambda: world.alice.get("/registrations"), lambda rows: rows and rows[0]["user_agent"]
    )
    async with open_stream(world.alice) as stream:
        await stream.until(lambda: stream.events)
        (snapshot,) = stream.events
        assert snapshot.name == "snapshot"
        assert snapshot.data == await world.alice.get("/registrations")

        other = registrar.add(Phone("2002", 5070))
        await stream.until(lambda: "updated 2002" in stream.names)
        registrar.remove(other)
        await stream.until(lambda: "removed 2002" in stream.names)

    assert stream.names[:2] == ["snapshot", "added 2002"]
    numbers = [int(event.id.rpartition("-")[2]) for event in stream.events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert list(stream.rows.values()) == await world.alice.get("/registrations")


@pytest.mark.parametrize(
    ("uri", "transport"),
    [
        ("sip:2001@192.0.2.7:5060", "udp"),
        ("sip:2001@192.0.2.7:5060;transport=TCP;x=1", "tcp"),
        ("sip:2001@192.0.2.7:5060;transport=tls", "tls"),
        ("sips:2001@192.0.2.7:5060", "tls"),
        ("sip:x@192.0.2.7:5060;transport=ws", "ws"),
        ("sip:x@192.0.2.7:5060;transport=wss?a=b", "wss"),
        ("sip:x@192.0.2.7;transport=pigeon", "udp"),
    ],
)
async def test_row_tells_transport(
    world: World, registrar: Registrar, uri: str, transport: str
) -> None:
    """The URI of a contact tells how the phone is reached."""
    registrar.ami.emit("ContactStatus", AOR="2001", URI=uri, ContactStatus="Reachable")

    (row,) = await until(lambda: world.alice.get("/registrations"), within=3)

    assert row["transport"] == transport


@pytest.mark.parametrize("settings", [{"enabled_phone_flavors": ["sip", "snom"]}], indirect=True)
async def test_row_tells_vendor_model_and_firmware(world: World, registrar: Registrar) -> None:
    """What the user agent says by the flavors is in each row; a strange one says nothing."""
    registrar.add(Phone("2001", agent="snomD735/10.1.54.13"))
    registrar.add(Phone("2002", agent="What is this? \U0001f600"))

    rows = await until(
        lambda: world.alice.get("/registrations"),
        lambda rows: len(rows) == 2 and all(row["user_agent"] for row in rows),
    )

    told = {row["extension"]: (row["vendor"], row["model"], row["firmware"]) for row in rows}
    assert told == {"2001": ("Snom", "D735", "10.1.54.13"), "2002": (None, None, None)}
    (contact,) = (await world.alice.get("/extensions/2001/registration"))["contacts"]
    assert contact == rows[0]


async def test_stream_has_what_one_may_see(world: World, registrar: Registrar) -> None:
    """People are told of their own phones, administrators of all, strangers of nothing."""
    async with open_stream(world.alice) as hers, open_stream(world.root) as all_of_them:
        registrar.add(Phone("3001"))
        registrar.add(Phone("2001"))
        await hers.until(lambda: "added 2001" in hers.names)
        await all_of_them.until(lambda: {"added 2001", "added 3001"} <= set(all_of_them.names))
    await world.nobody.get("/registrations/stream", status=401)

    assert {number for number, _ in hers.places} == {"2001"}
    assert "3001" not in str(hers.events)


async def test_new_extension_is_seen_soon(world: World, registrar: Registrar) -> None:
    """An extension that is created while its owner follows is followed as well."""
    registrar.add(Phone("2003"))
    async with open_stream(world.alice) as stream:
        await stream.until(lambda: stream.events)
        await create(world.alice, "2003")
        await stream.until(lambda: stream.places)
        registrar.tell(registrar.phones[0], "Reachable", "8000")
        await stream.until(lambda: stream.names[-1] == "updated 2003")

    assert stream.names[:2] == ["snapshot", "reset"]


async def test_deleted_extension_is_not_seen_any_more(world: World, registrar: Registrar) -> None:
    """What is deleted is gone from open streams, and a later owner's phone is not told of."""
    registrar.add(Phone("2001"))
    await until(lambda: world.alice.get("/registrations"))
    async with open_stream(world.alice) as stream:
        await stream.until(lambda: stream.places)
        await world.alice.delete("/extensions/2001")
        await stream.until(lambda: stream.names[-1] == "reset")
        assert not stream.places
        await create(world.root, "2001")
        registrar.tell(registrar.phones[0], "Reachable", "9000")
        registrar.add(Phone("2002"))
        await stream.until(lambda: "added 2002" in stream.names)

    assert {number for number, _ in stream.places} == {"2002"}


async def test_role_takes_effect_on_open_streams(world: World, registrar: Registrar) -> None:
    """Whoever becomes an administrator sees all phones from then on, and until that ends."""
    registrar.add(Phone("3001"))
    await until(lambda: world.root.get("/registrations"))
    async with open_stream(world.alice) as stream:
        await world.root.patch("/users/alice", {"role": "admin"})
        await stream.until(lambda: stream.places)
        await world.root.patch("/users/alice", {"role": "user"})
        await stream.until(lambda: not stream.places)

    assert stream.names.count("reset") == 2


async def test_revoked_login_ends_its_streams(world: World) -> None:
    """A stream ends soon after its login, and no other does."""
    other = await world.nobody.log_in("alice")
    async with open_stream(world.alice) as ending, open_stream(other) as going_on:
        await other.get("/users/me")
        await world.alice.post("/auth/logout")
        await ending.until_end()
        await create(other, "2004")
        await going_on.until(lambda: "reset" in going_on.names)


async def test_last_event_id_resumes(world: World, registrar: Registrar) -> None:
    """A reader that comes back gets exactly what it has missed."""
    phone = registrar.add(Phone("2001"))
    async with open_stream(world.alice) as stream:
        await stream.until(lambda: stream.places)
        await stream.until(lambda: all(row["user_agent"] for row in stream.rows.values()))
    registrar.add(Phone("3001"))
    registrar.add(Phone("2002"))
    registrar.remove(phone)
    await until(
        lambda: world.root.get("/registrations"),
        lambda rows: len(rows) == 2 and all(row["user_agent"] for row in rows),
    )

    async with open_stream(world.alice, after=stream.last_id) as resumed:
        resumed.rows = dict(stream.rows)
        await resumed.until(lambda: resumed.names.count("updated 2002") == 1)
        assert set(resumed.names) == {"removed 2001", "added 2002", "updated 2002"}
        assert list(resumed.rows.values()) == await world.alice.get("/registrations")
    async with open_stream(world.alice, after=resumed.last_id) as quiet:
        registrar.add(Phone("2001", 5099))
        await quiet.until(lambda: quiet.names)
        assert quiet.names[0] == "added 2001"


@pytest.mark.parametrize("after", ["{run}-999999", "00000000-1", "nonsense", "{run}-²", "{run}--1"])
async def test_strange_last_event_id_is_a_reset(world: World, after: str) -> None:
    """Whoever comes back with an id of another run, or with none of ours, is told to begin anew."""
    async with open_stream(world.alice) as stream:
        await stream.until(lambda: stream.events)
    run = stream.last_id.partition("-")[0]

    async with open_stream(world.alice, after=after.format(run=run)) as again:
        await again.until(lambda: again.events)

    assert again.names == ["reset"]


async def test_gap_is_a_reset(
    registrar: Registrar,
    start: Callable[[Settings], Awaitable[World]],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever missed more changes than are kept gets all anew, and is told that it is so."""
    monkeypatch.setattr(feed, "KEPT", 5)
    world = await start(settings)
    async with open_stream(world.root) as stream:
        await stream.until(lambda: stream.events)
    phones = [registrar.add(Phone(str(number))) for number in range(100, 104)]
    await until(lambda: world.root.get("/registrations"), lambda rows: len(rows) == 4)

    for phone in phones:
        registrar.tell(phone, "Reachable", "7000")
    await until(
        lambda: world.root.get("/registrations"),
        lambda rows: all(row["status"] == "reachable" for row in rows),
    )

    async with open_stream(world.root, after=stream.last_id) as again:
        await again.until(lambda: again.events)
        assert again.names == ["reset"]
        assert list(again.rows.values()) == await world.root.get("/registrations")


async def test_other_extensions_meanwhile_are_a_reset(world: World, registrar: Registrar) -> None:
    """Where one may see other phones than before, the changes alone would leave gaps."""
    registrar.add(Phone("2005"))
    await until(lambda: world.root.get("/registrations"))
    async with open_stream(world.alice) as stream, open_stream(world.alice) as other:
        await stream.until(lambda: stream.events)
        await other.until(lambda: other.events)
        old_id = other.last_id
        await create(world.alice, "2005")
        await stream.until(lambda: "reset" in stream.names)

    for after in (old_id, "x"):
        async with open_stream(world.alice, after=after) as again:
            await again.until(lambda: again.events)
            assert again.names == ["reset"]
            assert again.places


async def test_quiet_stream_has_heartbeats(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing happens, comments keep the connection alive."""
    monkeypatch.setattr(readers_module, "HEARTBEAT", 0.1)
    async with open_stream(world.alice) as stream:
        await stream.until(lambda: [e.comment for e in stream.events].count("alive") == 3)


async def test_stream_over_http_1_0(world: World, registrar: Registrar) -> None:
    """A client that knows no chunks gets none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.alice.client.port)
    head = f"GET {PATH} HTTP/1.0\r\nAuthorization: Bearer {world.alice.token}\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        snapshot = parse((await reader.readuntil(b"\n\n")).decode().strip())
        registrar.add(Phone("2001"))
        added = parse((await reader.readuntil(b"\n\n")).decode().strip())
    writer.close()

    assert (snapshot.name, snapshot.data) == ("snapshot", [])
    assert (added.name, added.data["extension"]) == ("added", "2001")


@asynccontextmanager
async def not_reading(api: Api) -> AsyncIterator[None]:
    """Open a stream, and never read from it."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", api.client.port))
        head = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token}\r\n\r\n"
        await loop.sock_sendall(client, head.encode())
        yield


async def test_reader_that_does_not_read_is_dropped(
    world: World, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not keep up is thrown out, before it costs much; the others notice nothing."""
    monkeypatch.setattr(readers_module, "_BACKLOG", 100_000)
    phone = registrar.add(Phone("2001"))
    async with not_reading(world.root), open_stream(world.root) as stream:
        await until(lambda: world.nobody.get("/health/live"), lambda _: readers(world) == 2)
        sent = 0
        async with asyncio.timeout(20):
            while world.app[FEED].dropped == 0:
                for _ in range(100):
                    sent += 1
                    registrar.tell(phone, "Reachable", str(1000 + sent))
                wanted = (1000 + sent) / 1000
                await stream.until(partial(has_round_trip, stream, wanted))
        assert readers(world) == 1


def has_round_trip(stream: Stream, rtt_ms: float) -> bool:
    return any(row["rtt_ms"] == rtt_ms for row in stream.rows.values())


def readers(world: World) -> int:
    return world.app[FEED].readers


async def test_reader_that_does_not_read_a_snapshot_is_dropped(
    world: World, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece that nobody takes in time ends the stream."""
    monkeypatch.setattr(api_registrations, "_PATIENCE", 0.2)
    agent = "x" * 200
    registrar.phones = [Phone(str(number), agent=agent) for number in range(10_000, 25_000)]
    registrar.ami.emit("FullyBooted")
    contacts = world.app[REGISTRATIONS].contacts
    await until(lambda: asyncio.sleep(0, contacts()), lambda found: len(found) == 15_000)

    async with not_reading(world.root):
        await until(lambda: asyncio.sleep(0.01), lambda _: readers(world) == 1)
        await until(lambda: asyncio.sleep(0.01), lambda _: readers(world) == 0)


async def test_end_of_the_application_ends_streams(
    registrar: Registrar, start: Callable[[Settings], Awaitable[World]], settings: Settings
) -> None:
    """Open streams do not hold up the end, whether their readers read or not."""
    world = await start(settings)
    async with not_reading(world.root), open_stream(world.root) as stream:
        await stream.until(lambda: stream.events)
        began = time.monotonic()
        closing = asyncio.create_task(world.nobody.client.server.close())
        await stream.until_end()
        await closing

    assert time.monotonic() - began < 3


async def test_too_many_streams_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One person cannot use up all streams."""
    monkeypatch.setattr(feed, "_MOST_EACH", 2)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(open_stream(world.alice))
        problem = await world.alice.get("/registrations/stream", status=429)
        await stack.enter_async_context(open_stream(world.root))

    assert problem["type"] == "urn:muru:problem:too-many-requests"


@dataclass
class RawReader:
    """One that does no more than it must, since there are many; *ids* are those of new phones."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ids: list[bytes] = field(default_factory=list)

    @classmethod
    async def open(cls, api: Api) -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.client.port)
        head = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"event: snapshot")
        return cls(reader, writer)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.ids) < count:
                self.ids += re.findall(rb"id: (\S+)\nevent: added", await self.reader.read(2**20))


async def test_thousand_readers(
    world: World, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand readers are told of a hundred phones, each of which is written once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    written: list[str] = []
    follower = world.app[FEED]
    write = follower._write

    def note(contact: Contact) -> bytes:
        written.append(contact.uri)
        return write(contact)

    monkeypatch.setattr(follower, "_write", note)
    streams = [await RawReader.open(world.root) for _ in range(1000)]
    assert readers(world) == 1000
    phones = [Phone(str(number)) for number in range(1000, 1100)]
    began = time.monotonic()

    for phone in phones:
        registrar.tell(phone, "Reachable", "5000")
    await asyncio.gather(*(stream.until(100) for stream in streams))

    took = time.monotonic() - began
    for stream in streams:
        stream.writer.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(set(written)) == len(written) == 100
    assert all(stream.ids == streams[0].ids for stream in streams)
    assert took < 10


async def test_real_phones_at_many_readers(start_stack: StartStack) -> None:
    """After hundreds came, came again, moved and went, all readers know what Asterisk knows."""
    stack = await start_stack()
    numbers = [str(number) for number in range(2000, 2120)]
    accounts = [await create(stack.root, number) for number in numbers]
    mine = await create(stack.alice, "3000")
    port, elsewhere = sip.free_ports(), sip.free_ports()
    async with AsyncExitStack() as opened:
        readers_of = [stack.alice, *[stack.root] * 20]
        hers, *others = [await opened.enter_async_context(open_stream(api)) for api in readers_of]
        for given, at in (([mine, *accounts], port), (accounts, port), (accounts[:30], elsewhere)):
            bulk = await sip.register_many(stack.sip_server, given, port=at)
            assert bulk.failed == 0
        await sip.register_many(stack.sip_server, accounts[40:60], port=port, expires=0)
        there = await asterisk_contacts(stack.asterisk)
        assert len(there) == 131

        for stream in others:
            await stream.until(partial(knows, stream, there))
        await hers.until(partial(knows, hers, {place for place in there if place[0] == "3000"}))
    assert stack.app[FEED].dropped == 0


def knows(stream: Stream, places: set[Place]) -> bool:
    return stream.places == places
