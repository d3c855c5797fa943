"""An HTTP client that costs next to nothing, so that it is the server that is measured."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench import HOST, PASSWORD


class Request(NamedTuple):
    method: str
    path: str
    body: Any = None  # bytes are sent as a text, all else as JSON
    status: int = 200  # that is expected
    agent: str = ""


class Client:
    """One connection that is kept open, and the cookies that came by it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str
    ) -> None:
        self._reader, self._writer, self._token = reader, writer, token
        self._cookies: dict[str, str] = {}

    async def ask(self, request: Request) -> bytes:
        self._writer.write(self._written(request))
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        if "\r\nSet-Cookie: " in head:
            self._keep_cookies(head)
        answer = head.lower()
        length = answer.partition("\r\ncontent-length:")[2].partition("\r\n")[0]
        content = await self._reader.readexactly(int(length or 0))
        status = int(answer.split()[1])
        assert status == request.status, (*request[:2], status, content[:500])
        return content

    def _keep_cookies(self, head: str) -> None:
        for line in head.split("\r\nSet-Cookie: ")[1:]:
            name, _, value = line.partition("\r\n")[0].partition(";")[0].partition("=")
            self._cookies[name] = value

    def _written(self, request: Request) -> bytes:
        body, content_type = b"", ""
        if isinstance(request.body, bytes):
            body, content_type = request.body, "text/plain"
        elif request.body is not None:
            body, content_type = json.dumps(request.body).encode(), "application/json"
        headers = {
            "Host": HOST,
            "User-Agent": request.agent,
            "Authorization": f"Bearer {self._token}" if self._token else "",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "Content-Type": content_type,
            "Content-Length": str(len(body)) if content_type else "",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        return f"{request.method} {request.path} HTTP/1.1\r\n{head}\r\n".encode() + body

    async def get(self, path: str) -> Any:
        return json.loads(await self.ask(Request("GET", path)))

    def close(self) -> None:
        self._writer.close()


async def connect(port: int, token: str = "") -> Client:
    return Client(*await asyncio.open_connection(HOST, port, limit=2**24), token)


@asynccontextmanager
async def clients(port: int, count: int = 1, *, user: str = "") -> AsyncIterator[list[Client]]:
    """Connect so many clients; with *user*, all by one login."""
    token = ""
    if user:
        login = await connect(port)
        credentials = {"username": user, "password": PASSWORD}
        answer = await login.ask(Request("POST", "/api/v1/auth/login", credentials))
        token = json.loads(answer)["token"]
        login.close()
    opened = [await connect(port, token) for _ in range(count)]
    try:
        yield opened
    finally:
        for client in opened:
            client.close()


@dataclass
class Load:
    """What some clients saw: how long each answer took, in seconds, and the answers."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds

    def percentile(self, percent: int) -> float:
        """Return it in milliseconds."""
        return sorted(self.times)[(len(self.times) - 1) * percent // 100] * 1000


async def load(
    connected: Sequence[Client],
    count: int,
    request: Callable[[int], Request],
    *,
    at_most: float = 30.0,
) -> Load:
    """Send so many requests, each client one after the other, for so many seconds at most."""
    result, numbers, began = Load(), iter(range(count)), time.perf_counter()

    async def work(client: Client) -> None:
        for number in numbers:
            sent = time.perf_counter()
            result.answers.append(await client.ask(request(number)))
            result.times.append(time.perf_counter() - sent)
            if time.perf_counter() - began > at_most:
                break

    await asyncio.gather(*map(work, connected))
    result.seconds = time.perf_counter() - began
    return result
