"""A call that Asterisk handed to muru by ``Stasis``, and what can be done with it."""

# ruff: noqa: ASYNC109 - "timeout" is part of the contract: callers know what is slow

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote
from uuid import uuid4

from muru.errors import AriUnavailable

NORMAL_CLEARING = 16  # Q.850
#: What Asterisk answers where a channel is over, or not muru's any more.
GONE = frozenset({404, 409})
_NOT_THERE = GONE | {400, 422}  # of a bridge or a channel
_MOST_DIGITS = 32  # that wait to be read


class Request(Protocol):
    """Makes a request; returns the status and text of a success, or of a status in ``also``."""

    async def __call__(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        also: frozenset[int] = frozenset(),
    ) -> tuple[int, str]: ...


class Line:
    """What the events tell of a channel while it is muru's."""

    def __init__(self) -> None:
        self.is_gone = False
        self._loss: AriUnavailable | None = None
        self._playing: dict[str, asyncio.Future[bool | AriUnavailable]] = {}
        self.digits: asyncio.Queue[str] = asyncio.Queue(_MOST_DIGITS)

    def press(self, digit: str) -> None:
        if not self.digits.full():
            self.digits.put_nowait(digit)

    def begin(self, playback: str) -> asyncio.Future[bool | AriUnavailable]:
        waiting = asyncio.get_running_loop().create_future()
        self._playing[playback] = waiting
        if self._loss is not None:
            self.finish(playback, how=self._loss)
        return waiting

    def finish(self, playback: str, how: bool | AriUnavailable) -> None:
        waiting = self._playing.pop(playback, None)
        if waiting is not None:
            waiting.set_result(how)

    def leave(self) -> None:
        self.is_gone = True
        self.press("")  # whoever waits for a digit waits no longer
        for playback in list(self._playing):
            self.finish(playback, how=False)

    def lose(self, reason: AriUnavailable) -> None:
        """Nothing more will be told: neither the end of a sound nor that of the call."""
        self._loss = reason
        for playback in list(self._playing):
            self.finish(playback, how=reason)


@dataclass(frozen=True, slots=True, eq=False)
class AriChannel:
    """A call that is muru's, until it ends or goes back to the dialplan.

    One that is gone is no error, as callers hang up when they like: each method tells whether it
    was done. AriUnavailable is raised where Asterisk does not answer as it should.
    """

    id: str
    endpoint: str  # the account of the phone: claim-abc of PJSIP/claim-abc-00000001
    caller_number: str
    caller_name: str
    _request: Request = field(repr=False)
    _line: Line = field(repr=False)

    @classmethod
    def of(cls, facts: Mapping[str, Any], request: Request, line: Line) -> "AriChannel":
        """Reads ARI's description of a channel. Raises LookupError or TypeError if it is none."""
        endpoint = facts["name"].partition("/")[2].rpartition("-")[0]
        caller = facts["caller"]
        return cls(facts["id"], endpoint, caller["number"], caller["name"], request, line)

    @property
    def is_gone(self) -> bool:
        return self._line.is_gone

    async def answer(self) -> bool:
        return await self._post("answer")

    async def play(self, *sounds: str, timeout: float = 30.0) -> bool:
        """Plays Asterisk's sounds (``beep``) one after the other, and returns after the last.

        After ``timeout`` seconds it is not waited for any more, nor when the caller hangs up.
        """
        playback = uuid4().hex
        finished = self._line.begin(playback)
        try:
            media = [f"sound:{sound}" for sound in sounds]
            if not await self._post(f"play/{playback}", {"media": media}):
                return False
            await asyncio.wait([finished], timeout=timeout)
        finally:
            self._line.finish(playback, how=False)
        how = finished.result()
        if isinstance(how, AriUnavailable):
            raise how
        return how

    async def digit(self, *, timeout: float) -> str | None:
        """The next key that is pressed, or was before; None if none is within ``timeout``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return await self._line.digits.get() or None
        return None

    async def join(self, bridge_id: str) -> bool:
        """Lets it hear, and be heard by, the others in a bridge."""
        path, body = f"/bridges/{quote(bridge_id, safe='')}/addChannel", {"channel": self.id}
        status, _ = await self._request("POST", path, body, also=_NOT_THERE)
        return status not in _NOT_THERE

    async def continue_dialplan(self) -> bool:
        """Gives the call back, to the line after that with ``Stasis``."""
        done = await self._post("continue")
        self._line.leave()
        return done

    async def hangup(self, cause: int = NORMAL_CLEARING) -> bool:
        """``cause`` is Q.850's."""
        if self.is_gone:
            return False
        done = await hang_up(self._request, self.id, cause)
        self._line.leave()
        return done

    async def _post(self, what: str, body: Mapping[str, object] | None = None) -> bool:
        if self.is_gone:
            return False
        status, _ = await self._request("POST", f"{_path(self.id)}/{what}", body, also=GONE)
        return status not in GONE


async def hang_up(request: Request, channel_id: str, cause: int) -> bool:
    """End any call; whether it was there."""
    status, _ = await request("DELETE", _path(channel_id), {"reason_code": str(cause)}, also=GONE)
    return status not in GONE


def _path(channel_id: str) -> str:
    return f"/channels/{quote(channel_id, safe='')}"
