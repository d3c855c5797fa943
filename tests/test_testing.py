"""The virtual phone that flavor authors build on, against real servers."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from muru.asterisk.notify import notify as send_notify
from muru.keys import AMI
from muru.provisioning.tftp.packet import Ack, Data, parse
from muru.provisioning.tftp.request import AccessRefused, FileNotFound, ReadRequest
from muru.provisioning.tftp.server import TftpServer
from muru.provisioning.vocabulary import Transport
from muru.testing import Account, HttpError, TftpError, VirtualPhone
from muru.testing.digest import Challenge
from muru.testing.message import Malformed, Message, take
from tests.conftest import Stack, StartStack, free_port
from tests.observe import asterisk_contacts, console, create, faults, until

MAC = "00aabbccddee"


class Example(VirtualPhone):
    user_agent = "Example {model} {firmware} {mac} {MAC} {mac_colons}"
    firmware = "1.2"

    account = Account("127.0.0.1", 5060, "udp", "100", "secret")
    boots = 0

    async def boot(self) -> None:
        self.boots += 1
        self.accounts = [self.account]


# --- files over HTTP ------------------------------------------------------------------------------


async def _answer(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name == "old.cfg":
        raise web.HTTPFound("new.cfg")
    if name == "broken.cfg":
        raise web.HTTPInternalServerError
    if name == "none.cfg":
        raise web.HTTPNotFound
    body = await request.read()
    headers = {"X-Agent": request.headers["User-Agent"], "X-Name": name}
    return web.Response(body=body or name.encode(), headers=headers)


@pytest.fixture
async def http() -> AsyncIterator[str]:
    """The base URL of a server that answers with what it was asked."""
    app = web.Application()
    app.router.add_route("*", "/base/{name:.*}", _answer)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("/base/"))
    await server.close()


async def test_get_resolves_names_and_follows_redirects(http: str) -> None:
    """A name follows the base URL, a URL is used as it is, and a redirect leads to the file."""
    async with Example(MAC, "100", http=http) as phone:
        assert await phone.get("a.cfg") == b"a.cfg"
        assert await phone.get("/folder/a b.cfg") == b"folder/a b.cfg"
        assert await phone.get(f"{http}x.cfg") == b"x.cfg"
        assert await phone.get("old.cfg") == b"new.cfg"
        assert phone.requests == ["a.cfg", "/folder/a b.cfg", f"{http}x.cfg", "old.cfg"]


async def test_get_of_no_file_is_none(http: str) -> None:
    """404 is None, and any other error is one."""
    async with Example(MAC, "100", http=http) as phone:
        assert await phone.get("none.cfg") is None
        with pytest.raises(HttpError, match=r"500 for broken\.cfg"):
            await phone.get("broken.cfg")


async def test_head_and_put_tell_all_of_the_answer(http: str) -> None:
    """HEAD and PUT return status, headers and body; the user agent is the phone's."""
    async with Example(MAC, "100", http=http) as phone:
        reply = await phone.head("a.cfg")
        assert (reply.status, reply.headers["x-name"], reply.body) == (200, "a.cfg", b"")
        agent = "Example 100 1.2 00aabbccddee 00AABBCCDDEE 00:aa:bb:cc:dd:ee"
        assert reply.headers["X-Agent"] == agent
        assert (await phone.put("log.txt", b"text")).body == b"text"
        assert (await phone.head("none.cfg")).status == 404


# --- files by TFTP --------------------------------------------------------------------------------

FILES = {f"{size}.bin": bytes(at % 251 for at in range(size)) for size in (0, 511, 512, 513)}
FILES["long.bin"] = bytes(65_540 * 8)


async def _serve(request: ReadRequest) -> bytes:
    if request.filename == "secret.bin":
        raise AccessRefused
    if request.filename not in FILES:
        raise FileNotFound
    return FILES[request.filename]


@pytest.fixture
async def tftp() -> AsyncIterator[tuple[str, int]]:
    """The address of muru's own server."""
    server = TftpServer(_serve, host="127.0.0.1", port=0)
    await server.start()
    yield "127.0.0.1", server.port
    await server.stop()


@pytest.mark.parametrize("block_size", [None, 8, 1428])
async def test_tftp_reads_files(
    tftp: tuple[str, int], block_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files arrive whole, with the option blksize and without, past the 65535th block too."""
    monkeypatch.setattr(Example, "block_size", block_size)
    async with Example(MAC, "100", tftp=tftp) as phone:
        for name, content in FILES.items():
            assert await phone.tftp(name) == content


async def test_get_without_base_url_is_tftp(tftp: tuple[str, int], http: str) -> None:
    """A phone that knows a TFTP server alone asks it; a URL says itself whom it means."""
    host, port = tftp
    async with Example(MAC, "100", tftp=tftp) as phone:
        assert await phone.get("511.bin") == FILES["511.bin"]
        assert await phone.get(f"{http}a.cfg") == b"a.cfg"
    async with Example(MAC, "100", http=http) as phone:
        assert await phone.get(f"tftp://{host}:{port}/512.bin") == FILES["512.bin"]


async def test_tftp_of_no_file_is_none(tftp: tuple[str, int]) -> None:
    """ERROR 1 is None, and any other is an error."""
    async with Example(MAC, "100", tftp=tftp) as phone:
        assert await phone.tftp("none.bin") is None
        with pytest.raises(TftpError, match="ERROR 2"):
            await phone.tftp("secret.bin")


async def test_tftp_repeats_what_got_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hears each packet the second time only is read from, slowly."""
    monkeypatch.setattr("muru.testing.tftp.PATIENCE", 0.05)
    content = b"x" * 600
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Deaf(content), local_addr=("127.0.0.1", 0)
    )
    async with Example(MAC, "100", tftp=transport.get_extra_info("sockname")) as phone:
        assert await phone.tftp("any") == content
    transport.close()


class Deaf(asyncio.DatagramProtocol):
    """A TFTP server on one port that answers every second packet."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._heard = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._heard += 1
        if self._heard % 2 == 0:
            packet = parse(data)
            block = packet.block if isinstance(packet, Ack) else 0
            part = self._content[512 * block : 512 * (block + 1)]
            self._transport.sendto(bytes(Data(block + 1, part)), addr)


async def test_tftp_gives_up_on_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing is waited for a while only."""
    monkeypatch.setattr("muru.testing.tftp.PATIENCE", 0.01)
    async with Example(MAC, "100", tftp=("127.0.0.1", free_port())) as phone:
        with pytest.raises(TimeoutError, match="does not answer"):
            await phone.tftp("513.bin")


# --- SIP ------------------------------------------------------------------------------------------


@pytest.fixture
async def any_transport(start_stack: StartStack, tmp_path: Path) -> Stack:
    """Asterisk with UDP, TCP and TLS."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", "/CN=localhost", "-out", str(certificate), "-keyout", str(key)),
    ]
    await asyncio.to_thread(subprocess.check_output, command, stderr=subprocess.DEVNULL)
    return await start_stack(
        tls_certificate=certificate, tls_private_key=key, sip_tls_port=free_port()
    )


async def account(stack: Stack, number: str, transport: Transport = "udp") -> Account:
    """A new extension of alice's, as a phone would be told of it."""
    made = await create(stack.alice, number)
    settings = stack.settings
    port = settings.sip_tls_port if transport == "tls" else settings.sip_port
    return Account("127.0.0.1", port, transport, made.number, made.password, 'An "Example"')


async def notify(stack: Stack, *headers: str) -> None:
    """Have Asterisk send a NOTIFY to the one phone that is registered."""
    ((_, uri),) = await asterisk_contacts(stack.asterisk)
    await send_notify(stack.app[AMI], uri, headers)


async def test_register(any_transport: Stack) -> None:
    """An account registers over UDP, TCP and TLS, again too, and takes it back."""
    stack = any_transport
    phone = Example(MAC, "100")
    for number, transport in (("2001", "udp"), ("2002", "tcp"), ("2003", "tls")):
        phone.accounts.append(await account(stack, number, cast("Transport", transport)))
    async with phone:
        assert await phone.register() == [200, 200, 200]
        assert await phone.register(expires=120) == [200, 200, 200]
        places = await asterisk_contacts(stack.asterisk)
        assert sorted(number for number, _ in places) == ["2001", "2002", "2003"]
        rows = await until(lambda: stack.alice.get("/registrations"), lambda rows: len(rows) == 3)
        assert {row["user_agent"] for row in rows} == {phone.agent}
        assert await phone.unregister() == [200, 200, 200]
        assert await asterisk_contacts(stack.asterisk) == set()
    assert faults(stack.asterisk_log) == []


async def test_register_of_strangers(stack: Stack) -> None:
    """A wrong password is refused; where nobody listens, it is that which is told."""
    known = await account(stack, "2001")
    phone = Example(MAC, "100")
    phone.accounts = [
        replace(known, password="wrong"),
        replace(known, username="2999"),
        replace(known, transport="tcp", port=free_port()),
    ]
    async with phone:
        assert await phone.register() == [401, 401, 503]


async def test_register_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is silent counts as a timeout."""
    monkeypatch.setattr("muru.testing.sip.TIMEOUT", 0.2)
    async with Example(MAC, "100") as phone:
        phone.accounts = [replace(Example.account, port=free_port())]
        assert await phone.register() == [408]


async def test_phone_answers_options(start_stack: StartStack) -> None:
    """Asterisk sees that the phone is there, as OPTIONS is answered."""
    stack = await start_stack(qualify_frequency=1)
    async with Example(MAC, "100") as phone:
        phone.accounts = [await account(stack, "2001")]
        assert await phone.register() == [200]
        await until(lambda: console(stack.asterisk, "pjsip show contacts"), lambda t: "Avail" in t)


@pytest.mark.parametrize("event", ["check-sync;reboot=false", "resync"])
async def test_phone_boots_again_on_notify(
    stack: Stack, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to, a phone fetches its files and registers: here with an account that it had not."""
    first, second = await account(stack, "2001"), await account(stack, "2002")
    monkeypatch.setattr(Example, "account", first)
    async with Example(MAC, "100") as phone:
        await phone.boot()
        assert await phone.register() == [200]
        monkeypatch.setattr(Example, "account", second)
        await notify(stack, f"Event={event}")

        async def numbers() -> set[str]:
            return {number for number, _ in await asterisk_contacts(stack.asterisk)}

        await until(numbers, lambda found: "2002" in found)
        assert [headers["Event"] for headers in phone.notified] == [event]
        assert phone.boots == 2


async def test_phone_ignores_other_events(stack: Stack) -> None:
    """Of any other NOTIFY there is a note, and no more."""
    async with Example(MAC, "100") as phone:
        phone.accounts = [await account(stack, "2001")]
        assert await phone.register() == [200]
        await notify(stack, "Event=message-summary", "X-Hint=1")
        await until(lambda: asyncio.sleep(0, phone.notified))
        assert phone.notified[0]["X-Hint"] == "1"
        assert phone.boots == 0


async def test_close_tells_what_a_notify_came_to(stack: Stack) -> None:
    """What fails in a reaction to a NOTIFY fails the test that the phone is in."""

    class Broken(Example):
        async def boot(self) -> None:
            raise LookupError("no such file")

    phone = Broken(MAC, "100")
    phone.accounts = [await account(stack, "2001")]
    assert await phone.register() == [200]
    await notify(stack, "Event=check-sync")
    await until(lambda: asyncio.sleep(0, phone.notified))
    await asyncio.sleep(0)
    with pytest.raises(LookupError, match="no such file"):
        await phone.close()


# --- the parts ------------------------------------------------------------------------------------


def test_digest_of_the_rfc() -> None:
    """The example of RFC 2617, 3.5, and the older form without qop."""
    header = 'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="n", opaque="o"'
    challenge = Challenge.choose(['Digest realm="r", nonce="n", algorithm=SHA-256', header])
    assert challenge == Challenge("testrealm@host.com", "n", "o", has_qop=True, stale=False)
    assert 'opaque="o"' in challenge.answer("GET", "/dir/index.html", "Mufasa", "x")

    old = Challenge("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", None, False, False)
    answer = old.answer("GET", "/dir/index.html", "Mufasa", "Circle Of Life")
    assert 'response="670fd8c2df070c60b045671b8b24ff02"' in answer


@pytest.mark.parametrize(
    "header", ["", "Basic realm=x", "Digest realm=x", 'Digest realm="x", nonce="n", qop="auth-int"']
)
def test_digest_beyond_it(header: str) -> None:
    """A challenge that the phone cannot answer is none."""
    assert Challenge.choose([header]) is None


def test_messages_out_of_a_stream() -> None:
    """Messages are cut by their lengths, wherever the stream is; single letters are names too."""
    stream = b"\r\n\r\nSIP/2.0 200 OK\r\nv: SIP/2.0/TCP h;branch=b;rport\r\nl: 2\r\n\r\nokNOTIFY"
    buffer = bytearray()
    found: list[Message] = []
    for byte in stream:
        buffer.append(byte)
        found += filter(None, [take(buffer)])
    (message,) = found
    assert (message.status, message.method, message.branch) == (200, "", "b")
    assert message.body == b"ok"
    assert buffer == b"NOTIFY"


@pytest.mark.parametrize("text", ["GET / HTTP/1.1", "OPTIONS a SIP/2.0\r\nContent-Length: -1"])
def test_no_message(text: str) -> None:
    """What is no SIP is told from what is not whole yet."""
    with pytest.raises(Malformed):
        take(bytearray(f"{text}\r\n\r\n".encode()))
    assert take(bytearray(b"OPTIONS a SIP")) is None


def test_message_as_bytes() -> None:
    """A message ends its head with an empty line and tells the body's length."""
    message = Message("OPTIONS sip:a SIP/2.0", [("To", "<sip:a>")], b"12")
    expected = b"OPTIONS sip:a SIP/2.0\r\nTo: <sip:a>\r\nContent-Length: 2\r\n\r\n12"
    assert bytes(message) == expected
