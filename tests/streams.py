"""A reader of ``GET /registrations/stream``: what it was sent, and what it knows by that."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.conftest import Api

PATH = "/api/v1/registrations/stream"


@dataclass(frozen=True)
class Event:
    """One event; a comment has only *comment*."""

    name: str = ""
    id: str = ""
    data: Any = None
    comment: str = ""


def parse(block: str) -> Event:
    """Read what is between two empty lines."""
    fields: dict[str, str] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        fields[name or "comment"] = value.removeprefix(" ")
    return Event(
        fields.get("event", ""),
        fields.get("id", ""),
        json.loads(fields["data"]) if "data" in fields else None,
        fields.get("comment", ""),
    )


@dataclass
class Stream:
    """An open stream. *rows* is what is registered as its reader knows, by extension and URI."""

    response: aiohttp.ClientResponse
    events: list[Event] = field(default_factory=list)
    rows: dict[tuple[str, str], Any] = field(default_factory=dict)
    ended: bool = False
    _rest: str = ""

    @property
    def names(self) -> list[str]:
        """The names of the events, with the extension where there is one."""
        return [f"{e.name} {e.data['extension']}" if _is_row(e) else e.name for e in self.events]

    @property
    def last_id(self) -> str:
        return next(event.id for event in reversed(self.events) if event.id)

    @property
    def places(self) -> set[tuple[str, str]]:
        return set(self.rows)

    async def read(self) -> None:
        """Take what comes next."""
        chunk = await self.response.content.readany()
        self.ended = not chunk
        *blocks, self._rest = (self._rest + chunk.decode()).split("\n\n")
        for event in map(parse, blocks):
            self._take(event)

    def _take(self, event: Event) -> None:
        if event.name in {"snapshot", "reset"}:
            self.rows = {(row["extension"], row["uri"]): row for row in event.data}
        elif event.name == "removed":
            del self.rows[event.data["extension"], event.data["uri"]]
        elif event.name:
            self.rows[event.data["extension"], event.data["uri"]] = event.data
        if event.name or event.comment:
            self.events.append(event)

    async def until(self, wanted: Callable[[], object], within: float = 5.0) -> None:
        """Read until it is so."""
        try:
            async with asyncio.timeout(within):
                while not wanted():
                    assert not self.ended, self.names
                    await self.read()
        except TimeoutError:
            raise AssertionError(f"after {within} s: {self.names[-20:]}") from None

    async def until_end(self, within: float = 5.0) -> None:
        async with asyncio.timeout(within):
            while not self.ended:
                await self.read()


def _is_row(event: Event) -> bool:
    return isinstance(event.data, dict)


@asynccontextmanager
async def open_stream(api: Api, *, after: str = "") -> AsyncIterator[Stream]:
    """Follow, from that id on if it is given."""
    headers = {"Authorization": f"Bearer {api.token}"}
    if after:
        headers["Last-Event-ID"] = after
    timeout = aiohttp.ClientTimeout(total=None)
    async with api.client.get(PATH, headers=headers, timeout=timeout) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Stream(response)
