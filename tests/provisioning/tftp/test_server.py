"""The server on real sockets, against clients of all manners."""

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from muru.provisioning.tftp.exchange import Route
from muru.provisioning.tftp.packet import (
    Ack,
    Data,
    Error,
    ErrorCode,
    OptionsAck,
    Packet,
    Request,
    to_netascii,
)
from muru.provisioning.tftp.request import AccessRefused, FileNotFound, ReadRequest
from muru.provisioning.tftp.server import TftpServer
from tests.provisioning.tftp.raw_client import RawClient

FILES = {"short": b"x" * 100, "long": bytes(range(256)) * 5, "lines": b"a\nb\rc\r\n" * 200}

MakeServer = Callable[..., Awaitable[TftpServer]]


def sockets() -> int:
    """How many sockets this process has."""
    links = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    return sum("socket:" in link for link in links)


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """Every test of this file also shows that no task and no socket outlives its server."""
    before = sockets()
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert sockets() == before


class Site:
    """What the server asks: files by name, and names of other effects."""

    def __init__(self) -> None:
        self.asked: list[ReadRequest] = []
        self.ready = asyncio.Event()

    async def answer(self, request: ReadRequest) -> bytes:
        self.asked.append(request)
        match request.filename:
            case "slow":
                await self.ready.wait()
                return b"at last"
            case "secret":
                raise AccessRefused
            case "broken":
                raise ZeroDivisionError("what has become of it")
            case "zeros":
                return bytes(8_000_000)
        if request.filename not in FILES:
            raise FileNotFound
        return FILES[request.filename]


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def make_server(nothing_is_left: None, site: Site) -> AsyncIterator[MakeServer]:
    """Return a function that starts a server, which waits for clients 50 ms only."""
    made: list[TftpServer] = []

    async def make(**settings: Any) -> TftpServer:
        hurry = {"host": "127.0.0.1", "port": 0, "retransmit": 0.05, "retries": 3}
        made.append(TftpServer(site.answer, **{**hurry, **settings}))
        await made[-1].start()
        return made[-1]

    yield make
    for server in made:
        await server.stop()


@pytest.fixture
async def server(make_server: MakeServer) -> TftpServer:
    """A server that waits for no client again in the time of a test."""
    return await make_server(retransmit=30.0)


@pytest.fixture
def client(server: TftpServer) -> Iterator[RawClient]:
    """A client of ``server``."""
    with RawClient(server.port) as opened:
        yield opened


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.005)


def check_sum(server: TftpServer) -> None:
    """Each request has ended, in one of the ways that are counted."""
    requests, *endings = astuple(server.counters)[:8]
    assert server.active == 0
    assert requests == sum(endings)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("options", [{}, {"blksize": "600"}, {"tsize": "0", "timeout": "9"}])
async def test_fetch(
    server: TftpServer, client: RawClient, name: str, options: dict[str, str]
) -> None:
    """A file comes as it is, with options and without, and is counted."""
    assert await client.fetch(name, **options) == FILES[name]

    await until(lambda: server.counters.served == 1)
    check_sum(server)
    assert server.counters.bytes == len(FILES[name])


async def test_request_as_it_reaches_the_answer(
    server: TftpServer, client: RawClient, site: Site
) -> None:
    """The answer is asked once, for a clean name, and is told the options and both addresses."""
    client.send(b"\0\1/.\\/x\xff.cfg\0OCTET\0TSIZE\x000\0x\0y\0")

    assert await client.receive() == Error(ErrorCode.FILE_NOT_FOUND, "file not found")
    options = {"tsize": "0", "x": "y"}
    asked = ReadRequest("x\ufffd.cfg", "octet", options, client.address, "127.0.0.1")
    assert site.asked == [asked]


async def test_netascii_size(client: RawClient) -> None:
    """In netascii the size that is told is that of the translated file."""
    client.ask("lines", "netascii", tsize="0")

    wire = to_netascii(FILES["lines"])
    assert await client.receive() == OptionsAck({"tsize": str(len(wire))})
    client.send(Error(0, "that is all I wanted to know"))


async def test_netascii_content(client: RawClient) -> None:
    """In netascii line ends are translated, also where they meet the end of a block."""
    assert await client.fetch("lines", "netascii") == to_netascii(FILES["lines"])


async def test_netascii_lets_others_have_their_turn(client: RawClient) -> None:
    """While a large file is translated, the loop turns."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    client.ask("zeros", "netascii", tsize="0")
    _, sender = await client.receive_from()
    counting.cancel()
    await asyncio.wait([counting])
    client.send(Error(0, "too long"), sender)

    assert turns > 30


async def test_each_transfer_has_its_own_port(server: TftpServer) -> None:
    """Two clients at once are served from two ports, neither of which is the server's."""
    with RawClient(server.port) as anna, RawClient(server.port) as ben:
        anna.ask("long")
        ben.ask("long")
        (_, first), (_, second) = await anna.receive_from(), await ben.receive_from()

    assert len({first[1], second[1], server.port}) == 3
    assert server.active == 2


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (Request("absent", "octet"), ErrorCode.FILE_NOT_FOUND),
        (Request("secret", "octet"), ErrorCode.ACCESS_VIOLATION),
        (Request("short", "octet", write=True), ErrorCode.ACCESS_VIOLATION),
        (Request("../short", "octet"), ErrorCode.ACCESS_VIOLATION),
        (Request("short", "mail"), ErrorCode.ILLEGAL_OPERATION),
    ],
)
async def test_refusal(
    server: TftpServer, client: RawClient, packet: Request, code: ErrorCode
) -> None:
    """What cannot be had is refused at once, by one packet."""
    client.send(packet)

    error = await client.receive()
    assert isinstance(error, Error)
    assert error.code == code
    assert await client.hears_nothing()
    assert server.counters.refused == 1
    check_sum(server)


async def test_answer_that_fails(
    server: TftpServer, client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    """What the answer raises is in the log, without the file's name; the client gets ERROR 0."""
    client.ask("broken")

    assert await client.receive() == Error(ErrorCode.UNDEFINED, "internal error")
    assert server.counters.failed == 1
    assert "what has become of it" in caplog.text
    assert "127.0.0.1" in caplog.text
    assert "broken" not in [record.getMessage() for record in caplog.records]
    assert await client.fetch("short") == FILES["short"]


async def test_answer_that_hangs(make_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that takes too long is given up; the client gets ERROR 0."""
    server = await make_server(answer_timeout=0.05)
    with RawClient(server.port) as client:
        client.ask("slow")

        assert await client.receive() == Error(ErrorCode.UNDEFINED, "internal error")
    await until(lambda: server.active == 0)
    check_sum(server)
    assert server.counters.failed == 1
    assert "takes over 0.05 s" in caplog.text


async def test_repeated_request_amid_the_answer(
    server: TftpServer, client: RawClient, site: Site
) -> None:
    """A client that asks again, as the answer takes long, gets one transfer."""
    for _ in range(5):
        client.ask("slow")
    await until(lambda: server.counters.repeated == 4)
    site.ready.set()

    packet, sender = await client.receive_from()
    client.send(Ack(1), sender)
    assert packet == Data(1, b"at last")
    assert await client.hears_nothing()
    assert len(site.asked) == 1
    check_sum(server)


async def test_repeated_request_after_the_answer(
    server: TftpServer, client: RawClient, site: Site
) -> None:
    """A request that was doubled on its way disturbs the transfer at no moment."""
    client.ask("long")
    first, sender = await client.receive_from()
    client.ask("long")
    client.send(Ack(1), sender)
    second = await client.receive()
    client.ask("long")
    client.send(Ack(2), sender)
    third = await client.receive()
    client.send(Ack(3), sender)

    assert [first, second, third] == [
        Data(block, FILES["long"][(block - 1) * 512 : block * 512]) for block in (1, 2, 3)
    ]
    assert await client.hears_nothing()
    assert len(site.asked) == 1
    assert server.counters.repeated == 2
    check_sum(server)


async def test_request_for_another_file_from_the_same_port(
    server: TftpServer, client: RawClient
) -> None:
    """A client that asks for something else has begun anew: its former transfer ends."""
    client.ask("long")
    await client.receive()
    client.ask("slow")
    await until(lambda: server.counters.aborted == 1)

    assert await client.fetch("short") == FILES["short"]
    await until(lambda: server.counters.served == 1)
    assert server.counters.aborted == 2
    check_sum(server)


async def test_same_request_from_a_client_that_came_back(make_server: MakeServer) -> None:
    """A phone that was restarted amid a transfer, and asks from the same port, is served anew."""
    server = await make_server(retransmit=0.05, retries=20)
    with RawClient(server.port) as client:
        client.ask("long")
        _, sender = await client.receive_from()
        client.send(Ack(1), sender)
        await client.receive()
        assert await client.receive() == Data(2, FILES["long"][512:1024])  # waited in vain
        own_port = client.address[1]
    with RawClient(server.port, own_port=own_port) as client:
        client.ask("long")
        packet = await client.receive()
        while packet != Data(1, FILES["long"][:512]):  # what was still under way
            packet = await client.receive()

    assert server.counters.aborted == 1


async def test_files_one_after_the_other_from_one_port(
    server: TftpServer, client: RawClient
) -> None:
    """A client may keep its port, and may ask in the moment of its last acknowledgement."""
    for _ in range(200):
        assert await client.fetch("short") == FILES["short"]

    await until(lambda: server.counters.served == 200)
    assert server.counters.requests == 200
    check_sum(server)


async def test_last_acknowledgement_read_after_the_next_request(
    server: TftpServer, client: RawClient
) -> None:
    """What came first counts first, in whichever order the loop looks at the sockets."""
    client.ask("short")
    _, sender = await client.receive_from()
    client.send(Ack(1), sender)
    client.ask("short")
    assert server._socket is not None
    server._read(server._socket)

    packet, sender = await client.receive_from()
    client.send(Ack(1), sender)
    assert packet == Data(1, FILES["short"])
    await until(lambda: server.counters.served == 2)


async def test_timeout_option(server: TftpServer, client: RawClient) -> None:
    """A client that wants its packets again after a second gets them, however long others wait."""
    client.ask("short", timeout="1")
    _, sender = await client.receive_from()
    client.send(Ack(0), sender)

    assert await client.receive() == Data(1, FILES["short"])
    assert await client.receive() == Data(1, FILES["short"])
    client.send(Ack(1), sender)
    await until(lambda: server.counters.served == 1)


async def test_foreign_packets(server: TftpServer, client: RawClient) -> None:
    """Who sends to another's transfer is told so, a few times; the transfer goes on unharmed."""
    client.ask("long")
    packet, transfer = await client.receive_from()
    with RawClient(server.port) as stranger:
        for _ in range(20):
            stranger.send(Ack(1), transfer)
        for _ in range(8):
            error = await stranger.receive()
            assert isinstance(error, Error)
            assert error.code == ErrorCode.UNKNOWN_TID
        assert await stranger.hears_nothing()
    assert await client.hears_nothing()

    assert packet == Data(1, FILES["long"][:512])
    client.send(Ack(1), transfer)
    assert await client.receive() == Data(2, FILES["long"][512:1024])


async def test_foreign_errors(server: TftpServer, client: RawClient) -> None:
    """An error from elsewhere neither ends a transfer nor is answered."""
    client.ask("long")
    _, transfer = await client.receive_from()
    with RawClient(server.port) as stranger:
        stranger.send(Error(0, "stop it"), transfer)
        stranger.send(b"what?", transfer)
        assert await stranger.hears_nothing()

    client.send(Ack(1), transfer)
    assert await client.receive() == Data(2, FILES["long"][512:1024])


async def test_error_from_the_client(
    server: TftpServer, client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that does not like the options leaves, and nobody makes a fuss about it."""
    client.ask("long", blksize="100")
    _, transfer = await client.receive_from()
    client.send(Error(8, "too small"), transfer)

    await until(lambda: server.counters.aborted == 1)
    assert await client.hears_nothing()
    assert not caplog.records
    check_sum(server)


async def test_silent_client(make_server: MakeServer) -> None:
    """Who never acknowledges gets one packet four times, whatever he asked for."""
    server = await make_server(retries=50)
    with RawClient(server.port) as client:
        client.ask("long")
        packets = [await client.receive() for _ in range(4)]
        await until(lambda: server.counters.timeouts == 1)

        assert packets == [Data(1, FILES["long"][:512])] * 4
        assert await client.hears_nothing()
    assert server.counters.retransmits == 3
    assert server.counters.bytes == 0
    check_sum(server)


async def test_lost_packets(make_server: MakeServer) -> None:
    """What is lost is sent again, and a doubled acknowledgement doubles nothing."""
    server = await make_server()
    with RawClient(server.port) as client:
        client.ask("long")
        await client.receive()
        packet, sender = await client.receive_from()
        assert packet == Data(1, FILES["long"][:512])
        for _ in range(3):
            client.send(Ack(1), sender)
        await client.receive()
        assert await client.receive() == Data(2, FILES["long"][512:1024])
        client.send(Ack(2), sender)
        assert await client.receive() == Data(3, FILES["long"][1024:])
        client.send(Ack(3), sender)
        await until(lambda: server.counters.served == 1)
    assert server.counters.retransmits == 2


async def test_bound_on_transfers(
    make_server: MakeServer, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond the bound requests go unheard, told once; later the same client is served."""
    server = await make_server(max_transfers=2, max_per_address=9, retransmit=30)
    with (
        RawClient(server.port) as anna,
        RawClient(server.port) as ben,
        RawClient(server.port) as cleo,
    ):
        anna.ask("slow")
        ben.ask("slow")
        cleo.ask("short")
        cleo.ask("short")
        await until(lambda: server.counters.busy == 2)
        assert await cleo.hears_nothing()
        assert caplog.text.count("2 transfers are under way") == 1
        site.ready.set()
        for client in (anna, ben):
            _, sender = await client.receive_from()
            client.send(Ack(1), sender)
        await until(lambda: server.active == 0)

        assert await cleo.fetch("short") == FILES["short"]
    await until(lambda: server.counters.served == 3)
    check_sum(server)


async def test_bound_per_address(make_server: MakeServer) -> None:
    """One address cannot take the places of others."""
    server = await make_server(host="::", max_per_address=2, retransmit=30)
    with (
        RawClient(server.port) as first,
        RawClient(server.port) as second,
        RawClient(server.port) as third,
        RawClient(server.port, "::1") as other,
    ):
        first.ask("slow")
        second.ask("slow")
        third.ask("short")
        await until(lambda: server.counters.busy == 1)

        assert await other.fetch("short") == FILES["short"]
        first.send(Request("absent", "octet"))
        assert isinstance(await first.receive(), Error)
        assert await third.fetch("short") == FILES["short"]


async def test_any_bytes(server: TftpServer, client: RawClient) -> None:
    """Garbage by ten thousands, on the server's port and on a transfer's, harms nobody."""
    chance = random.Random(1350)
    client.ask("long")
    first, transfer = await client.receive_from()
    with RawClient(server.port) as vandal:
        for _ in range(30_000):
            seed = chance.choice([b"\0\1a\0octet\0", b"\0\6a\0b\0", b"\0\3\0\1", b"\0\4\0\1", b""])
            garbage = bytearray(seed + chance.randbytes(chance.choice([0, 1, 9, 600, 2000])))
            if garbage:
                garbage[chance.randrange(len(garbage))] = chance.randrange(256)
            vandal.send(bytes(garbage), chance.choice([None, transfer]))
            await asyncio.sleep(0)  # so that none is lost
    assert server.counters.malformed > 5000

    assert first == Data(1, FILES["long"][:512])
    client.send(Ack(1), transfer)
    assert await client.receive() == Data(2, FILES["long"][512:1024])
    with RawClient(server.port) as phone:
        assert await phone.fetch("short") == FILES["short"]


@pytest.mark.parametrize("packet", [Ack(1), Data(1, b"x"), Error(0, "x"), OptionsAck({})])
async def test_packets_of_no_transfer(
    server: TftpServer, client: RawClient, packet: Packet
) -> None:
    """What is no request gets no answer on the server's port, so no two servers ever chatter."""
    client.send(packet)

    await until(lambda: server.counters.malformed == 1)
    assert await client.hears_nothing()


async def test_port_that_cannot_be_answered(server: TftpServer, site: Site) -> None:
    """A request from port 0, which can only be forged, is no request."""
    request = bytes(Request("short", "octet"))

    server._take(request, Route(socket.AF_INET, "127.0.0.1", ("127.0.0.1", 0)))

    assert server.counters.malformed == 1
    assert site.asked == []


async def test_answered_from_the_address_that_was_asked(
    make_server: MakeServer, site: Site
) -> None:
    """On a machine with several addresses clients hear from the one that they know."""
    server = await make_server(host="0.0.0.0")
    for host in ("127.0.0.1", "127.7.7.7"):
        with RawClient(server.port, host) as client:
            client.ask("short")
            packet, sender = await client.receive_from()
            client.send(Ack(1), sender)
            assert sender[0] == host
            assert packet == Data(1, FILES["short"])
            client.ask("absent")
            _, sender = await client.receive_from()
            assert sender[0] == host
        assert [request.local for request in site.asked[-2:]] == [host, host]


async def test_same_file_from_another_of_our_addresses(make_server: MakeServer) -> None:
    """A client that turns to another of our addresses is served from there."""
    server = await make_server(host="0.0.0.0", retransmit=30)
    with RawClient(server.port) as client:
        for host in ("127.0.0.1", "127.7.7.7"):
            client.send(Request("long", "octet"), (host, server.port))
            packet, sender = await client.receive_from()
            assert (packet, sender[0]) == (Data(1, FILES["long"][:512]), host)

    assert server.counters.aborted == 1
    assert server.active == 1


async def test_both_families(make_server: MakeServer, site: Site) -> None:
    """The host ``::`` serves IPv6 and IPv4; an IPv4 client's address is written as such."""
    server = await make_server(host="::")
    for host in ("::1", "127.0.0.1", "127.7.7.7"):
        with RawClient(server.port, host) as client:
            assert await client.fetch("long", tsize="0") == FILES["long"]
            assert site.asked[-1].peer == client.address
            assert site.asked[-1].local == host


async def test_stop_amid_everything(make_server: MakeServer, site: Site) -> None:
    """A stop ends answers and transfers at any stage; a second one does nothing."""
    server = await make_server()
    with (
        RawClient(server.port) as anna,
        RawClient(server.port) as ben,
        RawClient(server.port) as cleo,
    ):
        anna.ask("slow")
        ben.ask("long", blksize="8")
        _, sender = await ben.receive_from()
        ben.send(Ack(0), sender)
        await ben.receive()
        cleo.ask("short")
        assert server._socket is not None
        server._read(server._socket)  # its task has not had its turn yet
        assert server.active == 3

        await server.stop()
        await server.stop()

        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert await ben.hears_nothing(0.2)
    assert server.counters.aborted == 3
    check_sum(server)


async def test_start_again(make_server: MakeServer) -> None:
    """A server that was stopped can be started; one that runs stays as it is."""
    server = await make_server()
    await server.stop()
    await server.start()
    port = server.port
    await server.start()

    assert server.port == port
    with RawClient(port) as client:
        assert await client.fetch("short") == FILES["short"]


async def test_inherited_socket(make_server: MakeServer, site: Site) -> None:
    """A socket that another opened serves as one of our own, and is closed with the server."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        inherited = socket.socket(family, socket.SOCK_DGRAM)
        inherited.bind((host, 0))
        server = await make_server(host="192.0.2.1", port=1, inherited=inherited)
        with RawClient(inherited.getsockname()[1], host) as client:
            assert await client.fetch("long") == FILES["long"]
        assert site.asked[-1].local == host
        await server.stop()

        assert inherited.fileno() == -1
        with pytest.raises(OSError, match="Bad file descriptor"):
            await server.start()


async def test_port_taken(server: TftpServer, make_server: MakeServer) -> None:
    """A port that is taken is told at the start, and nothing is left of the attempt."""
    with pytest.raises(OSError, match="in use"):
        await make_server(port=server.port)


async def test_no_room_for_a_socket(
    server: TftpServer,
    client: RawClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the system has no socket left, the transfer fails, and the server goes on."""
    caplog.set_level(logging.ERROR)
    with monkeypatch.context() as patch:
        patch.setattr(Route, "open", lambda _: (_ for _ in ()).throw(OSError(24, "too many")))
        client.ask("short")
        await until(lambda: server.counters.failed == 1)

    assert "too many" in caplog.text
    assert await client.fetch("short") == FILES["short"]
