"""``python -m bench.stream_readers FILE ami|stream PORT SECRET COUNT``: readers until SIGTERM.

What they have read is then written to the file as JSON. Reader and measured program are processes
of their own; their times are of the clock that Asterisk stamps its events with.
"""

import asyncio
import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench import HOST

_ADDED = re.compile(
    rb"\r\nTimestamp: ([\d.]+)\r\nURI: (\S+)\r\nContactStatus: NonQualified\r\nAOR: (\d+)\r\n"
)
_CHANGE = re.compile(rb'event: (\w+)\ndata: \{"extension":"(\d+)","uri":"([^"]+)"')


class AmiReader(asyncio.Protocol):
    """Reads events from Asterisk; the result is when each phone's was sent, and when it came."""

    def __init__(self, secret: str) -> None:
        self.result: dict[str, tuple[float, float]] = {}
        self._secret = secret
        self._rest = b""
        self.began = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        login = f"Action: Login\r\nUsername: muru\r\nSecret: {self._secret}\r\n\r\n"
        transport.write(login.encode())

    def data_received(self, data: bytes) -> None:
        now = time.time()
        whole, _, rest = (self._rest + data).rpartition(b"\r\n\r\n")
        self._rest = rest
        self.began.set()
        for sent, _, number in _ADDED.findall(whole + b"\r\n"):
            self.result.setdefault(number.decode(), (float(sent), now))


class StreamReader(asyncio.Protocol):
    """Follows muru's stream; the result is when each phone came, and where all are at the end."""

    def __init__(self, token: str) -> None:
        self.came: dict[bytes, float] = {}
        self.places: set[tuple[bytes, bytes]] = set()
        self._token = token
        self._rest = b""
        self.began = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        # HTTP/1.0, where an answer is not cut into chunks.
        head = f"GET /api/v1/registrations/stream HTTP/1.0\r\nAuthorization: Bearer {self._token}"
        transport.write(f"{head}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.time()
        whole, _, self._rest = (self._rest + data).rpartition(b"\n\n")
        if whole:
            self.began.set()
        for kind, number, uri in _CHANGE.findall(whole):
            if kind == b"removed":
                self.places.discard((number, uri))
            else:
                self.places.add((number, uri))
            if kind == b"added":
                self.came.setdefault(number, now)

    @property
    def result(self) -> dict[str, Any]:
        return {
            "came": {number.decode(): at for number, at in self.came.items()},
            "places": [[number.decode(), uri.decode()] for number, uri in self.places],
        }


async def _read(ready: Path, kind: str, port: int, secret: str, count: int) -> list[Any]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    readers: list[AmiReader | StreamReader] = [
        AmiReader(secret) if kind == "ami" else StreamReader(secret) for _ in range(count)
    ]
    for reader in readers:
        await loop.create_connection(lambda reader=reader: reader, HOST, port)  # type: ignore[misc]
    for reader in readers:
        await reader.began.wait()
    await asyncio.to_thread(ready.touch)
    await stop.wait()
    return [reader.result for reader in readers]


def _main(file: Path, kind: str, port: str, secret: str, count: str) -> None:
    ready = file.with_suffix(".ready")
    results = asyncio.run(_read(ready, kind, int(port), secret, int(count)))
    file.write_text(json.dumps(results))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), *sys.argv[2:])
