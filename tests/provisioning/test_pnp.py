"""The server on real sockets and multicasts, beside a real Asterisk."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import Any

import pytest

from muru.provisioning.pnp import PnpServer
from muru.provisioning.subscription import MAX_DATAGRAM, PnpRequest
from tests.conftest import StartStack, free_port
from tests.provisioning.pnp_phone import MODELS, Model, Phone, answer_to, header

URL = "http://127.0.0.1:8080/telephoning/snom/t0ken/"

MakeServer = Callable[..., Awaitable[PnpServer]]


class Site:
    """What the server asks: the URL of every phone, but for models of other effects."""

    def __init__(self) -> None:
        self.asked: list[PnpRequest] = []
        self.ready = asyncio.Event()

    async def answer(self, request: PnpRequest) -> str | None:
        self.asked.append(request)
        match request.model:
            case "foreign":
                return None
            case "slow":
                await self.ready.wait()
            case "broken":
                raise ZeroDivisionError("what has become of it")
            case "wrong":
                return f"{URL}\r\nEvil: yes"
        return URL


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def make_server(site: Site, port: int) -> AsyncIterator[MakeServer]:
    """Return a function that starts a server, which waits for phones 50 ms only."""
    made: list[PnpServer] = []

    async def make(**settings: Any) -> PnpServer:
        hurry = {"host": "127.0.0.1", "port": port, "retransmit": 0.05, "tries": 3}
        made.append(PnpServer(site.answer, **{**hurry, **settings}))
        await made[-1].start()
        return made[-1]

    yield make
    for server in made:
        await server.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
async def server(make_server: MakeServer) -> PnpServer:
    """A server that repeats nothing in the time of a test."""
    return await make_server(retransmit=30.0)


def counted(server: PnpServer) -> dict[str, int]:
    return {name: number for name, number in asdict(server.counters).items() if number}


async def settled(server: PnpServer) -> None:
    """Wait until nothing is under way any more."""
    if server._tasks:
        await asyncio.wait(server._tasks, timeout=5)
    assert not server.active


def event(model: str) -> str:
    return f'ua-profile;model="{model}"'


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.vendor)
async def test_phone_of_each_vendor(server: PnpServer, site: Site, port: int, model: Model) -> None:
    """A phone that asks by multicast gets 200, and by NOTIFY the URL, which it confirms."""
    with Phone(port, model) as phone:
        ok, notify, sender = await phone.ask()
        phone.send(answer_to(notify), sender)
        await settled(server)

        assert ok.startswith(b"SIP/2.0 200 OK\r\n")
        assert notify.endswith(b"\r\n\r\n" + URL.encode())
        assert header(notify, "Call-ID") == header(ok, "Call-ID")
        assert header(notify, "Contact") == f"<sip:127.0.0.1:{sender[1]}>"
        assert await phone.hears() == []
        (asked,) = site.asked
        assert (asked.mac, asked.local) == (model.mac, "127.0.0.1")
        assert asked.peer == phone.address
    assert counted(server) == {"requests": 1, "answered": 1, "confirmed": 1}


async def test_phone_that_never_answers(make_server: MakeServer, port: int) -> None:
    """NOTIFY is repeated a few times, with growing pauses, and then no more."""
    server = await make_server()
    with Phone(port) as phone:
        _, notify, _ = await phone.ask()
        await settled(server)

        assert await phone.hears() == [notify, notify]
    assert counted(server) == {"requests": 1, "answered": 1, "retransmits": 2}


async def test_phone_that_refuses(make_server: MakeServer, port: int) -> None:
    """A phone that does not want the URL is not asked again; one that is trying is."""
    server = await make_server()
    with Phone(port) as phone:
        _, notify, sender = await phone.ask()
        phone.send(answer_to(notify, "100 Trying"), sender)
        assert (await phone.receive())[0] == notify
        phone.send(answer_to(notify, "489 Bad Event"), sender)
        await settled(server)
    assert counted(server) == {"requests": 1, "answered": 1, "refused": 1, "retransmits": 1}


async def test_answer_of_somebody_else(make_server: MakeServer, port: int) -> None:
    """Nobody confirms a NOTIFY in a phone's stead, from another address or by guessing."""
    server = await make_server()
    with Phone(port) as phone, Phone(port, host="127.0.0.9") as other:
        _, notify, sender = await phone.ask()
        other.send(answer_to(notify), sender)
        phone.send(answer_to(notify.replace(b"branch=z9hG4bK", b"branch=z9hG4bKx")), sender)
        phone.send(notify, sender)
        await settled(server)
    assert counted(server) == {"requests": 1, "answered": 1, "retransmits": 2, "foreign": 3}


async def test_phone_that_repeats_itself(make_server: MakeServer, port: int) -> None:
    """A question is answered once, however often it comes."""
    server = await make_server(retransmit=30.0)
    with Phone(port) as phone:
        datagram = phone.question()
        for _ in range(5):
            phone.send(datagram)

        assert len(await phone.hears()) == 2
    assert counted(server) == {"requests": 5, "answered": 1, "repeated": 4}


async def test_phone_of_others(server: PnpServer, port: int) -> None:
    """To a phone that is not ours nothing is said, so that another server may answer."""
    with Phone(port) as phone:
        phone.send(phone.question(event=event("foreign")))

        assert await phone.hears() == []
    assert counted(server) == {"requests": 1, "ignored": 1}


async def test_contact_elsewhere(server: PnpServer, port: int) -> None:
    """A phone cannot have the NOTIFY sent to somebody else."""
    with Phone(port) as phone, Phone(port, host="127.0.0.9") as victim:
        host, its_port = victim.address
        await phone.ask(contact=f"<sip:{host}:{its_port}>")

        assert await victim.hears() == []


@pytest.mark.parametrize("model", ["broken", "wrong", "slow"])
async def test_answer_that_fails(
    make_server: MakeServer,
    site: Site,
    port: int,
    model: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Then the phone hears nothing, the log has why but no URL, and a repetition may succeed."""
    server = await make_server(answer_timeout=0.05)
    with Phone(port) as phone:
        datagram = phone.question(event=event(model))
        phone.send(datagram)
        assert await phone.hears(0.2) == []
        site.ready.set()
        phone.send(datagram)
        await asyncio.sleep(0.05)
        await settled(server)
    assert server.counters.failed == (1 if model == "slow" else 2)
    assert server.counters.confirmed == server.counters.repeated == 0
    assert "127.0.0.1" in caplog.text
    assert "t0ken" not in caplog.text


async def test_flood_from_one_address(make_server: MakeServer, port: int) -> None:
    """An address that asks without end gets little, and does not keep others from theirs."""
    server = await make_server(max_per_address=3, tries=1)
    with Phone(port) as phone, Phone(port, host="127.0.0.9") as other:
        for _ in range(300):
            phone.send(phone.question())
        await other.ask()

        assert len(await phone.hears()) == 6
    assert counted(server) == {"requests": 301, "answered": 4, "busy": 297}


async def test_flood_from_many_addresses(make_server: MakeServer, site: Site, port: int) -> None:
    """Of no matter how many phones, only so many are served at a time, and the rest later."""
    server = await make_server(max_requests=20, tries=1)
    phones = [Phone(port, host=f"127.0.1.{number}") for number in range(1, 101)]
    questions = [phone.question(event=event("slow")) for phone in phones]
    try:
        for phone, datagram in zip(phones, questions, strict=True):
            phone.send(datagram)
        await asyncio.sleep(0.1)
        assert server.active == 20
        assert server.counters.busy == 80
        site.ready.set()
        for _ in range(10):
            await settled(server)
            for phone, datagram in zip(phones, questions, strict=True):
                phone.send(datagram)
            await asyncio.sleep(0.02)
        assert server.counters.answered == 100
    finally:
        for phone in phones:
            phone.__exit__()


async def test_anything_by_multicast(server: PnpServer, port: int) -> None:
    """What is no question is counted, never answered, and leaves the server serving."""
    with Phone(port) as phone:
        for datagram in (b"", b"\r\n\r\n", b"\xff" * 100, bytes(MAX_DATAGRAM + 100)):
            phone.send(datagram)
        phone.send(phone.question(call_id=None))
        phone.send(phone.question(event="presence"))
        phone.send(phone.question().replace(b"SUBSCRIBE", b"REGISTER"))
        assert await phone.hears() == []
        await phone.ask()
    assert server.counters.malformed == 5
    assert server.counters.foreign == 2


async def test_question_by_unicast(server: PnpServer, port: int) -> None:
    """Only multicasts are answered: who is not on the same network can ask nothing."""
    with Phone(port) as phone:
        _, notify, sender = await phone.ask()
        phone.send(answer_to(notify), sender)
        phone.send(phone.question(), sender)
        phone.send(phone.question(), ("127.0.0.1", port))

        assert await phone.hears() == []
    assert server.counters.requests == 1


async def test_stop_amid_all(make_server: MakeServer, port: int) -> None:
    """The server ends at once, and can be started again."""
    server = await make_server(retransmit=30.0)
    with Phone(port) as phone:
        phone.send(phone.question(event=event("slow")))
        await phone.ask()
        async with asyncio.timeout(1):
            await server.stop()
            await server.stop()
        assert server.active == 0
        await server.start()
        await server.start()
        await phone.ask()


async def test_host_of_all_interfaces(make_server: MakeServer, port: int) -> None:
    """With 0.0.0.0 phones of each network are answered, with the address that they can reach."""
    await make_server(host="0.0.0.0")
    with Phone(port) as phone:
        _, notify, sender = await phone.ask()

        assert header(notify, "Contact") == f"<sip:127.0.0.1:{sender[1]}>"


@pytest.mark.parametrize("host", ["192.0.2.254", "::1", "nowhere"])
async def test_host_that_is_none(make_server: MakeServer, host: str) -> None:
    """Nothing is left of a start that fails."""
    with pytest.raises(OSError, match=r"."):
        await make_server(host=host)


async def test_port_taken_by_an_asterisk_on_all_addresses(
    make_server: MakeServer, port: int
) -> None:
    """Who listens on all addresses, as Asterisk does by default, leaves no room, which is told."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asterisk:
        asterisk.bind(("0.0.0.0", port))

        with pytest.raises(OSError, match="in use"):
            await make_server()


async def test_beside_asterisk(make_server: MakeServer, start_stack: StartStack) -> None:
    """An Asterisk on one address shares the port: each hears what is meant for it alone."""
    stack = await start_stack()
    sip_port = stack.settings.sip_port
    server = await make_server(port=sip_port, retransmit=30.0)
    with Phone(sip_port) as phone:
        _, notify, sender = await phone.ask()
        phone.send(answer_to(notify), sender)
        await asyncio.sleep(0.2)
        assert await phone.hears() == []  # of Asterisk neither
        phone.send(phone.question(), ("127.0.0.1", sip_port))
        (refusal,) = await phone.hears(0.5)

    assert refusal.startswith(b"SIP/2.0 401 ")
    assert counted(server) == {"requests": 1, "answered": 1, "confirmed": 1}
