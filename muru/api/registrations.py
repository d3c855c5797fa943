"""Which phone is registered, from where; as it is, as it changes, and as it was."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Self

from aiohttp import HttpVersion11, web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from muru.api.routing import Call, Endpoints, Input
from muru.asterisk.registrations import Contact
from muru.keys import FEED
from muru.services import extensions, history
from muru.services.readers import PIECE, Scope
from muru.services.user_agents import UserAgents

endpoints = Endpoints()

_PATIENCE = 20.0  # seconds in which a reader has to take a piece
_STREAM = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # or nginx would keep it all back
}


class ContactView(BaseModel):
    """One phone that is registered. *status* is ``unknown`` until Asterisk asked it, if it does.

    *vendor*, *model* and *firmware* are what its user agent tells.
    """

    extension: str
    uri: str
    address: str | None
    transport: str
    user_agent: str | None
    vendor: str | None
    model: str | None
    firmware: str | None
    status: str
    rtt_ms: float | None
    since: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, contact: Contact, user_agents: UserAgents) -> Self:
        told = user_agents.identify(contact.user_agent)
        return cls(
            extension=contact.extension,
            uri=contact.uri,
            address=contact.address,
            transport=contact.transport,
            user_agent=contact.user_agent,
            vendor=told.vendor,
            model=told.model,
            firmware=told.firmware,
            status=contact.status,
            rtt_ms=contact.rtt_ms,
            since=contact.since,
            expires_at=contact.expires_at,
        )


def _utc(time: datetime) -> datetime:
    if not 1970 <= time.year <= 9000:  # or it could not be counted from
        raise ValueError("write a time like 2026-12-27T13:37:00Z")
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


Time = Annotated[datetime, AfterValidator(_utc)]


class PeriodQuery(Input):
    """The part of a history that is wanted; a time without a zone is UTC."""

    since: Time | None = Field(None, alias="from")
    until: Time | None = Field(None, alias="to")
    offset: int = Field(0, ge=0, le=1_000_000_000)
    limit: int = Field(50, ge=1, le=1000)

    def period(self) -> history.Period:
        return history.Period(self.since, self.until, self.offset, self.limit)


class HistoryEntry(BaseModel):
    """What happened to a phone, as ``kind`` says.

    *previous* is the address before a move, *count* how often a phone flapped until then.
    """

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    kind: str
    uri: str
    address: str | None
    previous: str | None
    user_agent: str | None
    count: int


class HistoryPage(BaseModel):
    items: list[HistoryEntry]
    total: int


class RoundTripEntry(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    at: datetime
    uri: str
    rtt_ms: float


class RoundTripPage(BaseModel):
    items: list[RoundTripEntry]
    total: int


def writer(user_agents: UserAgents) -> Callable[[Contact], bytes]:
    """Return what writes a phone as JSON."""
    return lambda contact: ContactView.of(contact, user_agents).model_dump_json().encode()


@endpoints.get("/registrations")
async def list_registrations(call: Call) -> list[ContactView]:
    """List one row per registered phone: of one's own extensions, for administrators of all."""
    rows = call.request.config_dict[FEED].rows(await _scope(call))
    return web.Response(  # type: ignore[return-value]  # the same JSON, written before
        body=rows, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


@endpoints.get("/registrations/stream")
async def stream_registrations(call: Call) -> web.StreamResponse:
    """Follow the registered phones by server-sent events: all there are, then each change."""
    request, scope = call.request, await _scope(call)
    assert call.login_id is not None  # whoever gets here came with one
    after = request.headers.get("Last-Event-ID", "")
    feed, connection = request.config_dict[FEED], _Connection(request)
    with feed.follow(
        call.actor, call.login_id, scope, after=after, connection=connection
    ) as reader:
        response = web.StreamResponse(headers=_STREAM)
        try:
            await response.prepare(request)
            while (piece := await reader.next()) is not None:
                await _send(response, piece)
        except (TimeoutError, ConnectionError):
            connection.abort()  # or the end of the response would wait for the reader as well
    return response


@endpoints.get("/registrations/{number:\\d{1,15}}/history")
async def list_history(call: Call, query: PeriodQuery) -> HistoryPage:
    """List what happened to an extension's phones, the newest first."""
    found, total = await history.events_of(
        call.site, call.actor, call.path("number"), query.period()
    )
    return HistoryPage(items=[HistoryEntry.model_validate(each) for each in found], total=total)


@endpoints.get("/registrations/{number:\\d{1,15}}/round-trips")
async def list_round_trips(call: Call, query: PeriodQuery) -> RoundTripPage:
    """List how long an extension's phones took to answer Asterisk, the newest first."""
    found, total = await history.round_trips_of(
        call.site, call.actor, call.path("number"), query.period()
    )
    return RoundTripPage(items=[RoundTripEntry.model_validate(each) for each in found], total=total)


async def _scope(call: Call) -> Scope:
    if call.actor.is_admin:
        return None
    return frozenset(await extensions.numbers_of(call.site, call.actor))


class _Connection:
    """The connection of a stream, past aiohttp, which has a task wait for each write."""

    def __init__(self, request: web.Request) -> None:
        self._transport = request.transport
        self._in_chunks = request.version >= HttpVersion11

    @property
    def is_free(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() <= PIECE

    @property
    def is_lost(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def send(self, written: bytes) -> None:
        assert self._transport is not None  # it is free
        chunk = b"%x\r\n%b\r\n" % (len(written), written)
        self._transport.write(chunk if self._in_chunks else written)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def _send(response: web.StreamResponse, piece: bytes) -> None:
    if len(piece) <= PIECE:
        async with asyncio.timeout(_PATIENCE):
            await response.write(piece)
        return
    view = memoryview(piece)
    for start in range(0, len(piece), PIECE):
        async with asyncio.timeout(_PATIENCE):
            await response.write(view[start : start + PIECE])
