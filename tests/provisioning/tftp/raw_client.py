"""A client that does what no decent one does."""

import asyncio
import socket
from typing import Any, Self

from muru.provisioning.tftp.packet import Ack, Data, OptionsAck, Packet, Request, parse


class RawClient:
    """A socket of its own, on any free port unless told otherwise."""

    def __init__(self, port: int, host: str = "127.0.0.1", *, own_port: int = 0) -> None:
        self._server = (host, port)
        self._socket = socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
        )
        self._socket.setblocking(False)
        self._socket.bind(("::1" if ":" in host else "127.0.0.1", own_port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def address(self) -> tuple[str, int]:
        host, port, *_ = self._socket.getsockname()
        return host, port

    def send(self, packet: Packet | bytes, to: Any = None) -> None:
        self._socket.sendto(bytes(packet), to or self._server)

    def ask(self, name: str, mode: str = "octet", **options: str) -> None:
        self.send(Request(name, mode, options))

    async def receive_from(self) -> tuple[Packet, Any]:
        async with asyncio.timeout(5):
            datagram, sender = await asyncio.get_running_loop().sock_recvfrom(self._socket, 70_000)
        return parse(datagram), sender

    async def receive(self) -> Packet:
        return (await self.receive_from())[0]

    async def hears_nothing(self, seconds: float = 0.1) -> bool:
        await asyncio.sleep(seconds)
        try:
            self._socket.recvfrom(1)
        except BlockingIOError:
            return True
        return False

    async def fetch(self, name: str, mode: str = "octet", **options: str) -> bytes:
        """The content, by the rules."""
        self.ask(name, mode, **options)
        size = int(options.get("blksize", 512))
        content = b""
        while True:
            packet, sender = await self.receive_from()
            if isinstance(packet, OptionsAck):
                assert packet.options.get("blksize", str(size)) == str(size)
                self.send(Ack(0), sender)
                continue
            assert isinstance(packet, Data), packet
            content += packet.payload
            self.send(Ack(packet.block), sender)
            if len(packet.payload) < size:
                return content
