"""The SIP side of a virtual phone: REGISTER with digest, and answers to what the server asks."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from muru.provisioning.vocabulary import Transport
from muru.testing.digest import Challenge
from muru.testing.message import Headers, Malformed, Message, take

TIMEOUT = 10.0  # seconds until a request counts as unanswered

_T1 = 0.5  # the first interval between retransmissions, in seconds (RFC 3261, 17.1.2.2)
_T2 = 4.0  # the longest
_NO_ANSWER, _NO_CONNECTION = 408, 503  # what these count as (RFC 3261, 8.1.3.1)
_PROOFS = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}
_ANSWERS = {"OPTIONS": "200 OK", "NOTIFY": "200 OK", "INVITE": "486 Busy Here"}
_REMEMBERED = 64  # requests whose repetitions are known as such


@dataclass(frozen=True, slots=True)
class Account:
    """A SIP account as a phone found it in its configuration.

    *codecs* are named as the phone names them, the preferred one first.
    """

    server: str
    port: int
    transport: Transport
    username: str
    password: str = field(repr=False)
    name: str = ""
    codecs: Sequence[str] = ()


class UserAgent:
    """An account's place in the network. Its socket stays open, for what the server asks there.

    *notified* is called with the headers of each NOTIFY.
    """

    def __init__(
        self,
        account: Account,
        name: str,
        notified: Callable[[dict[str, str]], None],
        local_address: str | None = None,
    ) -> None:
        self.account = account
        self._name = name
        self._notified = notified
        self._local_address = local_address
        self._wire: _Wire | None = None
        self._call_id = token_hex(16)
        self._tag = token_hex(8)
        self._sequence = 0
        self._pending: dict[str, asyncio.Future[Message]] = {}
        self._seen: deque[str] = deque(maxlen=_REMEMBERED)

    async def register(self, expires: int) -> int:
        """Return the status of the last answer; 408 if there was none, 503 without a connection."""
        try:
            if self._wire is None or self._wire.lost:
                self._wire = await self._connect()
            async with asyncio.timeout(TIMEOUT):
                return await self._register(self._wire, expires)
        except TimeoutError:
            return _NO_ANSWER
        except OSError:
            return _NO_CONNECTION

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()

    async def _connect(self) -> "_Wire":
        account, loop = self.account, asyncio.get_running_loop()
        stream = account.transport != "udp"
        wire = _Wire(self._received, self._lost, stream=stream)
        there = account.server, account.port
        here = (self._local_address, 0) if self._local_address else None
        if not stream:
            await loop.create_datagram_endpoint(lambda: wire, remote_addr=there, local_addr=here)
            return wire
        tls = _trusting() if account.transport == "tls" else None
        async with asyncio.timeout(TIMEOUT):
            await loop.create_connection(lambda: wire, *there, local_addr=here, ssl=tls)
        return wire

    async def _register(self, wire: "_Wire", expires: int) -> int:
        """Register, with proof as often as the server has a new question."""
        uri = f"sip:{_host(self.account.server)}"
        proof: Headers = []
        while True:
            answer = await self._ask(wire, "REGISTER", uri, [("Expires", str(expires)), *proof])
            if answer.status not in _PROOFS:
                return answer.status
            question, reply = _PROOFS[answer.status]
            challenge = Challenge.choose(answer.all(question))
            if challenge is None or (proof and not challenge.stale):
                return answer.status
            account = self.account
            proof = [(reply, challenge.answer("REGISTER", uri, account.username, account.password))]

    async def _ask(self, wire: "_Wire", method: str, uri: str, headers: Headers) -> Message:
        """Send a request, again and again where the transport may lose it; return its answer."""
        account = self.account
        branch = f"z9hG4bK{token_hex(8)}"
        self._sequence += 1
        identity = f"sip:{account.username}@{_host(account.server)}"
        request = Message(
            f"{method} {uri} SIP/2.0",
            [
                ("Via", f"SIP/2.0/{account.transport.upper()} {wire.place};branch={branch};rport"),
                ("Max-Forwards", "70"),
                ("From", f"{_quoted(account.name)}<{identity}>;tag={self._tag}"),
                ("To", f"<{identity}>"),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._sequence} {method}"),
                (
                    "Contact",
                    f"<sip:{account.username}@{wire.place};transport={account.transport}>",
                ),
                ("User-Agent", self._name),
                *headers,
            ],
        )
        answer = asyncio.get_running_loop().create_future()
        self._pending[branch] = answer
        try:
            return await _repeat(wire, request, answer)
        finally:
            del self._pending[branch]

    def _received(self, message: Message) -> None:
        if message.status >= 200:
            answer = self._pending.get(message.branch)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif message.method and message.method != "ACK" and self._wire is not None:
            self._answer(self._wire, message)

    def _answer(self, wire: "_Wire", request: Message) -> None:
        same = ("Via", "From", "Call-ID", "CSeq")
        headers = [(name, value) for name, value in request.headers if name in same]
        to = request.get("To")
        headers.append(("To", to if ";tag=" in to else f"{to};tag={self._tag}"))
        headers.append(("Allow", "OPTIONS, NOTIFY, INVITE, ACK"))
        result = _ANSWERS.get(request.method, "405 Method Not Allowed")
        wire.send(Message(f"SIP/2.0 {result}", headers))
        if request.method == "NOTIFY" and request.branch not in self._seen:
            self._seen.append(request.branch)
            self._notified(dict(request.headers))

    def _lost(self) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the SIP server hung up"))


class _Wire(asyncio.DatagramProtocol, asyncio.Protocol):
    """A socket to the server, by datagrams or by a stream."""

    def __init__(
        self, received: Callable[[Message], None], when_lost: Callable[[], None], *, stream: bool
    ) -> None:
        self._received = received
        self._when_lost = when_lost
        self._buffer = bytearray()
        self._transport: Any = None  # asyncio's own for datagrams is none of its DatagramTransport
        self.stream = stream
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.lost = True
        self._when_lost()

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: the answer stays out, which is what counts."""

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        self._take(bytearray(data))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._take(self._buffer)

    def _take(self, buffer: bytearray) -> None:
        try:
            while (message := take(buffer)) is not None:
                self._received(message)
        except Malformed:
            if self.stream:
                self.close()

    @property
    def place(self) -> str:
        """The own address and port, as they stand in a URI."""
        host, port, *_ = self._transport.get_extra_info("sockname")
        return f"{_host(host)}:{port}"

    def send(self, message: Message) -> None:
        if self.stream:
            self._transport.write(bytes(message))
        else:
            self._transport.sendto(bytes(message))

    def close(self) -> None:
        self._transport.close()


async def _repeat(wire: _Wire, request: Message, answer: "asyncio.Future[Message]") -> Message:
    interval = _T1
    while True:
        wire.send(request)
        patience = TIMEOUT if wire.stream else interval
        done, _ = await asyncio.wait([answer], timeout=patience)
        if done:
            return answer.result()
        interval = min(2 * interval, _T2)


def _trusting() -> ssl.SSLContext:
    """A phone out of its box looks at no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _quoted(name: str) -> str:
    """A display name with the blank behind it; nothing for none."""
    if not name:
        return ""
    clean = "".join(char if char.isprintable() else " " for char in name)
    return '"{}" '.format(clean.replace("\\", "\\\\").replace('"', '\\"'))
