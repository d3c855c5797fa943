"""Phones that fetch a file by TFTP; they cost little, so that it is the server that is measured."""

import asyncio
import selectors
import socket
import time
from dataclasses import dataclass

from bench import HOST
from bench.client import Load

_PATIENCE = 1.0  # seconds until a phone sends its last packet again
_DATA, _ERROR, _OPTIONS = 3, 5, 6


@dataclass(frozen=True)
class File:
    """What is fetched, from which port, in blocks of which size; *content* is empty if unknown."""

    port: int
    name: str
    content: bytes
    block_size: int

    @property
    def request(self) -> bytes:
        """A request as it is on the wire, with an option only where the size needs one."""
        option = f"blksize\0{self.block_size}\0" if self.block_size != 512 else ""
        return f"\0\1{self.name}\0octet\0{option}".encode()


def fetch(file: File, phones: int, seconds: float) -> Load:
    """So many phones, each with an address of its own, fetch it again and again. Blocks."""
    result, began = Load(), time.perf_counter()
    with selectors.DefaultSelector() as selector:

        def begin(host: str) -> None:
            phone = _Phone(file, host)
            selector.register(phone.socket, selectors.EVENT_READ, phone)

        for number in range(phones):
            begin(f"127.1.0.{number + 1}")
        look_again = began
        while selector.get_map():
            for key, _ in selector.select(_PATIENCE / 4):
                phone: _Phone = key.data
                if not phone.read():
                    continue
                now = time.perf_counter()
                result.times.append(now - phone.began)
                selector.unregister(phone.socket)
                phone.socket.close()
                if now - began < seconds:
                    begin(phone.host)
            if time.perf_counter() > look_again:
                look_again += _PATIENCE / 4
                for key in selector.get_map().values():
                    key.data.remind()
    result.seconds = time.perf_counter() - began
    return result


async def fetch_once(file: File, host: str, *, at_most: float) -> bytes:
    """Have a phone with that address fetch it, beside whatever else goes on.

    Raises:
        TimeoutError: it took longer than *at_most* seconds.
        AssertionError: the server refused.
    """
    loop, phone = asyncio.get_running_loop(), _Phone(file, host)
    done: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        try:
            if phone.read() and not done.done():
                done.set_result(phone.content)
        except AssertionError as error:
            if not done.done():
                done.set_exception(error)

    loop.add_reader(phone.socket, read)
    try:
        async with asyncio.timeout(at_most):
            while not done.done():
                await asyncio.wait([done], timeout=_PATIENCE / 4)
                phone.remind()
        return done.result()
    finally:
        loop.remove_reader(phone.socket)
        phone.socket.close()


class _Phone:
    """One transfer, from a port of its own. It starts at once."""

    def __init__(self, file: File, host: str) -> None:
        self.host, self.began = host, time.perf_counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self._file, self._blocks = file, [b""]  # as if there had been a block 0
        self._connected = False
        self._last, self._sent = file.request, self.began
        self.socket.sendto(self._last, (HOST, file.port))

    def read(self) -> bool:
        """Take the next packet, answer it, and tell whether it was the last one."""
        try:
            packet, sender = self.socket.recvfrom(2048)
        except OSError:
            return False
        if not self._connected:
            self.socket.connect(sender)
            self._connected = True
        kind, block = packet[1], int.from_bytes(packet[2:4])
        assert kind != _ERROR, packet
        if kind == _OPTIONS and len(self._blocks) == 1:
            self._send(b"\0\4\0\0")
        elif kind == _DATA and block == len(self._blocks):
            self._blocks.append(packet[4:])
            self._send(b"\0\4" + packet[2:4])
            if len(packet) < 4 + self._file.block_size:
                assert not self._file.content or self.content == self._file.content
                return True
        return False

    @property
    def content(self) -> bytes:
        """What has come so far."""
        return b"".join(self._blocks)

    def remind(self) -> None:
        """Send the last packet again if the answer to it takes long."""
        if time.perf_counter() - self._sent < _PATIENCE:
            return
        if self._connected:
            self._send(self._last)
        else:
            self._sent = time.perf_counter()
            self.socket.sendto(self._last, (HOST, self._file.port))

    def _send(self, packet: bytes) -> None:
        self._last, self._sent = packet, time.perf_counter()
        self.socket.send(packet)
