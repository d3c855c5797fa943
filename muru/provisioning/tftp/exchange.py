"""The sockets: the one that hears all requests, and one for each transfer.

They are plain and non-blocking. What the kernel cannot take at once is like a packet lost on the
way, which TFTP sends again, so nothing is queued and nothing waits.
"""

import asyncio
import logging
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, Self

from muru.provisioning.tftp.packet import Error, ErrorCode, Malformed, Packet, parse
from muru.provisioning.tftp.transfer import Send, Transfer

log = logging.getLogger(__name__)

Address = tuple[str, int] | tuple[str, int, int, int]  # IPv6: also flow and zone

_RECEIVE_BUFFER = 1024 * 1024  # bytes; a hall full of phones asks at once when its power is back
_MAX_ANSWER = 1024  # bytes of a client's packet that are looked at
_MAX_STRANGERS = 8  # foreign packets that are answered, per transfer
_NOT_YOURS = Error(ErrorCode.UNKNOWN_TID, "unknown transfer")
_IP_PKTINFO = 8  # Linux's; Python 3.11 has no name for it
_ANCILLARY = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(20)  # in_pktinfo, in6_pktinfo


@dataclass(frozen=True, slots=True)
class Route:
    """From which local address to which client.

    The local one is that to which the client sent: a machine may have several, and a client drops
    what comes from another than it asked. An IPv4 client is one, however the server listens.
    """

    family: socket.AddressFamily
    local: str
    peer: Address

    @classmethod
    def back(cls, sender: Any, ancillary: Iterable[tuple[int, int, bytes]]) -> Self:
        """The way back to ``sender``, by what the kernel tells of the datagram that came."""
        told = {(level, kind): data for level, kind, data in ancillary}
        host: str = sender[0].removeprefix("::ffff:")
        if ":" in host:
            data = told.get((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO), bytes(16))
            local = IPv6Address(data[:16])
            return cls(socket.AF_INET6, "::" if local.is_multicast else str(local), sender)
        data = told.get((socket.IPPROTO_IP, _IP_PKTINFO), bytes(12))
        return cls(socket.AF_INET, socket.inet_ntoa(data[4:8]), (host, sender[1]))

    @property
    def known_local(self) -> str:
        """The local address, or nothing where the kernel has told none."""
        return "" if self.local in ("0.0.0.0", "::") else self.local  # noqa: S104 - compared only

    def open(self) -> socket.socket:
        """A socket on a port of its own. OSError: there are no more, or the address is gone."""
        zone = self.peer[2:]  # of a link-local address
        return _bind(socket.socket(self.family, socket.SOCK_DGRAM), (self.local, 0, *zone))


def listen(family: socket.AddressFamily, address: Any) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return _bind(take_over(opened), address)


def take_over(opened: socket.socket) -> socket.socket:
    """The same socket, made to tell whither each datagram was sent. OSError: it is closed."""
    opened.setblocking(False)
    with suppress(OSError):  # a smaller one does as well
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    opened.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    return opened


def receive(source: socket.socket, most: int) -> tuple[bytes, Route] | None:
    """A datagram's first ``most`` bytes and the way back to its sender; None if there is none."""
    try:
        datagram, ancillary, _, sender = source.recvmsg(most, _ANCILLARY)
    except OSError:
        return None
    return datagram, Route.back(sender, ancillary)


def reply(route: Route, error: Error) -> None:
    """Tell a client, once, that there will be no transfer."""
    try:
        with route.open() as way:
            way.sendto(bytes(error), route.peer)
    except OSError as fault:
        log.debug("TFTP: no error for %s: %s", route.peer[0], fault)


class Exchange:
    """A transfer on a socket of its own, with the loop's clock."""

    def __init__(self, transfer: Transfer, route: Route) -> None:
        self.transfer = transfer
        self.malformed = 0
        self._route = route
        self._socket = route.open()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._strangers = 0  # answered

    async def run(self) -> None:
        """Returns when the transfer has its outcome. The socket is closed then, or if cancelled."""
        with self._socket:
            number = self._socket.fileno()  # by socket, asyncio formats a KeyError each time
            self._loop.add_reader(number, self.read)
            try:
                self._follow(self.transfer.start())
                await self._ended
            finally:
                self._loop.remove_reader(number)
                if self._timer:
                    self._timer.cancel()

    def read(self) -> None:
        """Handle the next datagram, if one has come."""
        try:
            datagram, sender = self._socket.recvfrom(_MAX_ANSWER)
        except OSError:  # mostly: there is none
            return
        try:
            if sender == self._route.peer:
                self._follow(self.transfer.receive(datagram))
            else:
                self._turn_away(parse(datagram), sender)
        except Malformed:
            self.malformed += 1

    def _follow(self, step: Send | None) -> None:
        if step:
            self._send(step.datagram, self._route.peer)
            self._deadline = self._loop.time() + step.wait
            self._set_timer()
        elif self.transfer.outcome and not self._ended.done():
            self._ended.set_result(None)

    def _turn_away(self, packet: Packet, stranger: Address) -> None:
        """Errors are not answered, or two hosts might go on for ever."""
        if not isinstance(packet, Error) and self._strangers < _MAX_STRANGERS:
            self._strangers += 1
            self._send(bytes(_NOT_YOURS), stranger)

    def _send(self, datagram: bytes, to: Address) -> None:
        try:
            self._socket.sendto(datagram, to)
        except OSError as fault:
            log.debug("TFTP: lost a packet for %s: %s", to[0], fault)

    def _set_timer(self) -> None:
        """Mostly there is one that rings early enough: that is cheaper than one for each packet."""
        if self._timer:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            self._follow(self.transfer.timed_out())


def _bind(opened: socket.socket, address: Any) -> socket.socket:
    try:
        opened.setblocking(False)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened
