"""Phones that ask for their configuration by SIP plug and play.

No recording was at hand. The messages are put together from what is known of each vendor: all ask
the same way, as Snom documents it, and write MAC and user agent as here. Unsure are Gigaset's user
agent, known from HTTP only, which vendors write ``MAC=``, and who asks for rport.
"""

import asyncio
import contextlib
import itertools
import socket
from dataclasses import dataclass
from typing import Any, Self

from muru.provisioning.pnp import GROUP
from muru.provisioning.subscription import Address

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Model:
    vendor: str
    model: str
    version: str
    user_agent: str
    user: str  # the part before the @ of the addresses
    mac: str
    rport: bool


MODELS = [
    Model(
        "snom", "snomD735", "10.1.84.12", "snomD735/10.1.84.12",
        "MAC%3a00041376A1B2", "00041376a1b2", rport=True,
    ),
    Model(
        "Yealink", "SIP-T46U", "108.86.0.20", "Yealink SIP-T46U 108.86.0.20",
        "MAC%3A805ec0123456", "805ec0123456", rport=False,
    ),
    Model(
        "Fanvil", "X4U", "2.12.7.6", "Fanvil X4U 2.12.7.6 0c383e07e16c",
        "MAC%3a0c383e07e16c", "0c383e07e16c", rport=True,
    ),
    Model(
        "Gigaset", "N870 IP PRO", "83.V2.11.0", "Gigaset N870 IP PRO/83.V2.11.0;7C2F80E0D605",
        "MAC%3a7C2F80E0D605", "7c2f80e0d605", rport=False,
    ),
    Model(
        "grandstream", "GXP2170", "1.0.11.57", "Grandstream GXP2170 1.0.11.57",
        "MAC=000b82aabbcc", "000b82aabbcc", rport=True,
    ),
]  # fmt: skip
SNOM = MODELS[0]


def question(model: Model, address: Address, **changes: str | None) -> bytes:
    """A SUBSCRIBE. *changes* are headers, with ``_`` for ``-``; None leaves one out."""
    number = next(_numbers)
    host, port = address
    rport = ";rport" if model.rport else ""
    event = f'profile-type="device";vendor="{model.vendor}";model="{model.model}"'
    headers: dict[str, str | None] = {
        "via": f"SIP/2.0/UDP {host}:{port};branch=z9hG4bK{number}{rport}",
        "from": f"<sip:{model.user}@{GROUP}>;tag={number}",
        "to": f"<sip:{model.user}@{GROUP}>",
        "call_id": f"{number}@{host}",
        "cseq": "1 SUBSCRIBE",
        "contact": f"<sip:{host}:{port};transport=udp>",
        "event": f'ua-profile;{event};version="{model.version}"',
        "user_agent": model.user_agent,
        "max_forwards": "70",
        "accept": "application/url",
        "expires": "0",
        "content_length": "0",
    }
    lines = [f"SUBSCRIBE sip:{model.user}@{GROUP} SIP/2.0"]
    for name, value in {**headers, **changes}.items():
        if value is not None:
            lines.append(f"{name.replace('_', '-').title()}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def header(message: bytes, name: str) -> str:
    """The only value of a header."""
    lines = message.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    (value,) = [line.partition(": ")[2] for line in lines if line.startswith(f"{name}: ")]
    return value


def answer_to(message: bytes, status: str = "200 OK") -> bytes:
    """What a phone says to NOTIFY."""
    names = ("Via", "From", "To", "Call-ID", "CSeq")
    lines = [f"SIP/2.0 {status}", *(f"{name}: {header(message, name)}" for name in names)]
    return ("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode()


class Phone:
    """A socket of a phone on this machine, from which multicasts leave through loopback."""

    def __init__(self, port: int, model: Model = SNOM, host: str = "127.0.0.1") -> None:
        self.model = model
        self._group = (GROUP, port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        loopback = socket.inet_aton("127.0.0.1")
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def address(self) -> Address:
        host, port = self._socket.getsockname()
        return host, port

    def question(self, **changes: str | None) -> bytes:
        return question(self.model, self.address, **changes)

    def send(self, datagram: bytes, to: Address | None = None) -> None:
        self._socket.sendto(datagram, to or self._group)

    async def receive(self) -> tuple[bytes, Address]:
        loop: Any = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            datagram, sender = await loop.sock_recvfrom(self._socket, 70_000)
        return datagram, sender

    async def ask(self, **changes: str | None) -> tuple[bytes, bytes, Address]:
        """Ask; returns 200, NOTIFY, and where to answer the latter."""
        self.send(self.question(**changes))
        ok, _ = await self.receive()
        notify, sender = await self.receive()
        return ok, notify, sender

    async def hears(self, seconds: float = 0.1) -> list[bytes]:
        """All that has come when so much time is over."""
        await asyncio.sleep(seconds)
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(self._socket.recv(70_000))
        return heard
