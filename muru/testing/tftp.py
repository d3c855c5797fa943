"""The TFTP client of a virtual phone (RFC 1350, 2347, 2348): it reads one file, in octets."""

import asyncio
import socket
from typing import Any, Final

from muru.provisioning.tftp.packet import (
    Ack,
    Data,
    Error,
    ErrorCode,
    Malformed,
    OptionsAck,
    Packet,
    Request,
    parse,
)

TRIES: Final = 5  # how often the same packet is sent before the client gives up
PATIENCE: Final = 1.0  # seconds in between

_DEFAULT_BLOCK_SIZE = 512
_TOO_LONG = 60  # seconds for a whole file

Address = tuple[Any, ...]


class TftpError(Exception):
    """The server refused, for another reason than that there is no such file."""


async def read(
    host: str,
    port: int,
    name: str,
    *,
    block_size: int | None = None,
    local_address: str | None = None,
) -> bytes | None:
    """Return the file *name*, or None if the server says that it has none (ERROR 1).

    The option blksize is sent if *block_size* is given.

    Raises:
        TftpError: the server sent another ERROR.
        TimeoutError: it fell silent.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, _, _, _, server = found[0]
    anywhere = "::" if family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104
    transport, inbox = await loop.create_datagram_endpoint(
        _Inbox, local_addr=(local_address or anywhere, 0), family=family
    )
    options = {} if block_size is None else {"blksize": str(block_size)}
    try:
        async with asyncio.timeout(_TOO_LONG):
            return await _receive(transport, inbox, server, Request(name, "octet", options))
    finally:
        transport.close()


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.packets: asyncio.Queue[tuple[Packet, Address]] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        try:
            self.packets.put_nowait((parse(data), addr))
        except Malformed:
            return


async def _receive(
    transport: asyncio.DatagramTransport, inbox: _Inbox, server: Address, request: Request
) -> bytes | None:
    """Acknowledge one block after the other, until one is not full."""
    content = bytearray()
    block, block_size = 0, _DEFAULT_BLOCK_SIZE
    packet, peer = await _exchange(transport, inbox, request, server)
    if isinstance(packet, OptionsAck):
        block_size = int(packet.options.get("blksize", _DEFAULT_BLOCK_SIZE))
        packet, _ = await _exchange(transport, inbox, Ack(0), peer, answered_by=peer)
    while True:
        if isinstance(packet, Error):
            if packet.code == ErrorCode.FILE_NOT_FOUND:
                return None
            raise TftpError(f"ERROR {packet.code}: {packet.text}")
        if isinstance(packet, Data) and packet.block == (block + 1) % 65536:
            block = packet.block
            content += packet.payload
            if len(packet.payload) < block_size:
                transport.sendto(bytes(Ack(block)), peer)
                return bytes(content)
        packet, _ = await _exchange(transport, inbox, Ack(block), peer, answered_by=peer)


async def _exchange(
    transport: asyncio.DatagramTransport,
    inbox: _Inbox,
    packet: Packet,
    peer: Address,
    *,
    answered_by: Address | None = None,
) -> tuple[Packet, Address]:
    """Send *packet*, again where need be, until something comes back.

    The answer to a request comes from a port of its own, so that any will do (*answered_by* None).
    """
    for _ in range(TRIES):
        transport.sendto(bytes(packet), peer)
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    answer, sender = await inbox.packets.get()
                    if answered_by in (None, sender):
                        return answer, sender
        except TimeoutError:
            continue
    raise TimeoutError("the TFTP server does not answer")
