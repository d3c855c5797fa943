"""A NOTIFY to one phone: over each transport, with any content, and in nobody's name."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Self

import pytest
from pydantic import SecretStr

from muru.asterisk.ami import Ami
from muru.asterisk.dialplan import OUTBOUND
from muru.asterisk.notify import notify
from muru.errors import AmiUnavailable
from muru.keys import AMI
from tests import sip
from tests.conftest import Stack, free_port
from tests.observe import api_contacts, console, create, faults, until

CHECK_SYNC = ("Event=check-sync;reboot=false",)


def nowhere() -> Ami:
    """A link that is down."""
    return Ami(host="127.0.0.1", port=1, username="muru", secret=SecretStr("none"))


@pytest.fixture
async def clean_stack(stack: Stack) -> AsyncIterator[Stack]:
    """A stack of whose log a test shows, at its end, that Asterisk had nothing to complain of."""
    yield stack
    assert faults(stack.asterisk_log) == []


class TcpPhone:
    """A phone that registers over TCP, says yes to all it is asked, and keeps it in ``requests``.

    SIPp gives its connection up between a REGISTER and what follows; baresip keeps no NOTIFY.
    """

    def __init__(self, server: sip.Server, account: sip.Account, address: str) -> None:
        self.server, self.account, self.address = server, account, address
        self.requests: asyncio.Queue[str] = asyncio.Queue()
        self._answers: asyncio.Queue[str] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            self.server.host, self.server.port
        )
        self._listener = asyncio.create_task(self._listen())
        challenge = await self._register(1)
        realm, nonce = re.findall(r'(?:realm|nonce)="([^"]*)"', challenge)
        assert "200 OK" in await self._register(2, self._proof(realm, nonce))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.cancel()
        self._writer.close()

    async def _register(self, number: int, proof: str = "") -> str:
        user = self.account.number
        self._writer.write(
            f"REGISTER sip:{self.server.host} SIP/2.0\r\n"
            f"Via: SIP/2.0/TCP {self.address};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:{user}@x.invalid>;tag=1\r\nTo: <sip:{user}@x.invalid>\r\n"
            f"Call-ID: tcp-{user}\r\nCSeq: {number} REGISTER\r\n"
            f"Contact: <sip:{user}@{self.address};transport=tcp>\r\n{proof}"
            "Content-Length: 0\r\n\r\n".encode()
        )
        return await asyncio.wait_for(self._answers.get(), 5)

    def _proof(self, realm: str, nonce: str) -> str:
        user, password = self.account
        uri = f"sip:{self.server.host}"
        once = _md5(f"{user}:{realm}:{password}"), nonce, "00000001", "x", "auth"
        response = _md5(":".join((*once, _md5(f"REGISTER:{uri}"))))
        return (
            f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", '
            f'uri="{uri}", response="{response}", cnonce="x", nc=00000001, qop=auth\r\n'
        )

    async def _listen(self) -> None:
        while True:
            message = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            if message.startswith("SIP/2.0"):
                self._answers.put_nowait(message)
                continue
            kept = re.findall(r"(?:Via|From|To|Call-ID|CSeq): .*\r\n", message)
            self._writer.write(
                f"SIP/2.0 200 OK\r\n{''.join(kept)}Content-Length: 0\r\n\r\n".encode()
            )
            self.requests.put_nowait(message)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


async def test_only_the_addressed_phone(clean_stack: Stack) -> None:
    """Of two phones at one extension only the one that is meant is told."""
    account = await create(clean_stack.alice, "2001")
    async with (
        sip.AnsweringPhone(clean_stack.sip_server, *account) as desk,
        sip.AnsweringPhone(clean_stack.sip_server, *account) as kitchen,
    ):
        contacts = await until(
            lambda: api_contacts(clean_stack.alice), lambda found: len(found) == 2, within=3
        )
        (uri,) = (uri for _, uri in contacts if uri.endswith(f":{kitchen.port}"))

        await notify(clean_stack.app[AMI], uri, CHECK_SYNC)

        told = await kitchen.request("NOTIFY")
        assert told.get("Event") == "check-sync;reboot=false"
        assert told.get("Subscription-State") == "terminated"
        assert told.body == ""
        # Answered: else it would be sent again half a second later.
        await asyncio.sleep(0.7)
        assert [each.method for each in kitchen.requests] == ["NOTIFY"]
        assert desk.requests == []


async def test_body(clean_stack: Stack) -> None:
    """A body arrives as it was given, with characters that mean something to AMI."""
    account = await create(clean_stack.alice, "2001")
    lines = ["action=restart", 'a, "b" \\ (c] [d) {}; = ü', "x" * 900, "", "ConfigVersionStamp={0}"]
    headers = ["Event=service-control", "Content-Type=text/plain", "X-Other=a;b, c"]
    async with sip.AnsweringPhone(clean_stack.sip_server, *account) as phone:
        uri = f"sip:2001@127.0.0.1:{phone.port}"

        await notify(clean_stack.app[AMI], uri, [*headers, *(f"Content={line}" for line in lines)])

        told = await phone.request("NOTIFY")
        assert told.body.split("\n") == lines
        assert told.get("Content-Type") == "text/plain"
        assert told.get("X-Other") == "a;b, c"


async def test_udp_behind_nat(clean_stack: Stack) -> None:
    """A phone that takes a private address for its own is reached where its packets come from."""
    account = await create(clean_stack.alice, "2001")
    port = free_port()
    outcome = await sip.register(
        clean_stack.sip_server, *account, port=port, behind="192.168.1.2:5060"
    )
    assert outcome.status == 200
    ((_, uri),) = await until(lambda: api_contacts(clean_stack.alice), within=3)
    loop = asyncio.get_running_loop()
    packets: asyncio.Queue[bytes] = asyncio.Queue()

    class Phone(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            del addr
            packets.put_nowait(data)

    transport, _ = await loop.create_datagram_endpoint(Phone, local_addr=("127.0.0.1", port))

    await notify(clean_stack.app[AMI], uri, CHECK_SYNC)

    packet = await asyncio.wait_for(packets.get(), 5)
    transport.close()
    # What Asterisk keeps of the phone's own address stays with Asterisk.
    assert "192.168.1.2" in uri
    assert packet.startswith(f"NOTIFY sip:2001@127.0.0.1:{port} SIP/2.0\r\n".encode())


async def test_tcp_behind_nat(clean_stack: Stack) -> None:
    """Over TCP it is told on the connection that the phone keeps, the only way through NAT."""
    account = await create(clean_stack.alice, "2001")
    async with TcpPhone(clean_stack.sip_server, account, "192.168.1.2:5060") as phone:
        ((_, uri),) = await until(lambda: api_contacts(clean_stack.alice), within=3)

        await notify(clean_stack.app[AMI], uri, CHECK_SYNC)

        told = await asyncio.wait_for(phone.requests.get(), 5)
        assert "192.168.1.2" in uri
        assert re.match(r"NOTIFY sip:2001@127\.0\.0\.1:\d+;transport=TCP SIP/2\.0\r\n", told)
        assert "\r\nEvent: check-sync;reboot=false\r\n" in told


async def test_nobody_is_the_sender(clean_stack: Stack) -> None:
    """Nobody registers or calls as the endpoint that sends, not even with its password."""
    account = await create(clean_stack.alice, "2001")
    conf = (clean_stack.settings.data_dir / "asterisk/etc/pjsip.conf").read_text()
    found = re.search(r"^password = (\w{64})$", conf, re.MULTILINE)
    assert found

    async with sip.AnsweringPhone(clean_stack.sip_server, *account) as phone:
        for password in (found[1], "", "wrong"):
            stranger = OUTBOUND, password
            assert (await sip.register(clean_stack.sip_server, *stranger)).status == 401
            for dialled in ("2001", "s", OUTBOUND, "123456789012"):
                call = await sip.call(clean_stack.sip_server, *stranger, dialled)
                assert call.status == 401
        # Neither does who has an account reach it.
        assert (await sip.call(clean_stack.sip_server, *account, OUTBOUND)).status == 404
        assert phone.requests == []
    assert "0 calls processed" in await console(clean_stack.asterisk, "core show channels count")


@pytest.mark.parametrize(
    "uri",
    ["", "2001", "PJSIP/2001", "sip:", "sip:a b", "sip:a\r\nAction: Logoff", "tel:1", "sip:<a>"],
)
async def test_no_uri(uri: str) -> None:
    """What is no address of a phone is not sent on."""
    with pytest.raises(ValueError, match="URI"):
        await notify(nowhere(), uri, CHECK_SYNC)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Event"],
        ["=check-sync"],
        ["X-A=b"],
        ["Event=a\r\nAction: Logoff"],
        ["Event=a\n"],
        ["Event=a", "X A=b"],
        ["Event=a", "Content-Type=text/plain"],
        ["Event=a", "Content=x"],
        ["Event=a", "contact=<sip:x>"],
        ["Event=a", "Content-Type=text/plain", "Content=" + "ü" * 500],
        ["Event=a", "Content-Type=text/plain", *["Content=x"] * 100],
    ],
)
async def test_wrong_headers(headers: list[str]) -> None:
    """What Asterisk would cut off, ignore, or take for another header is refused at once."""
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        await notify(nowhere(), "sip:2001@127.0.0.1", headers)


async def test_asterisk_away() -> None:
    """That Asterisk is away is told as such."""
    with pytest.raises(AmiUnavailable):
        await notify(nowhere(), "sip:2001@127.0.0.1", CHECK_SYNC)
