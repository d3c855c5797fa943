"""The self-test of a phone: it rings, or is called, sends back what is said, and asks for a digit.

What is played are sounds of Debian's package asterisk-core-sounds-en.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from muru.asterisk.ari import Ari
from muru.asterisk.ari_channel import AriChannel
from muru.asterisk.call_log import CallLog, EndedCall
from muru.asterisk.dialplan import SELFTEST
from muru.asterisk.registrations import Registrations
from muru.asterisk.security import Recent
from muru.db.models import now
from muru.errors import AriUnavailable, Conflict, NotFound
from muru.services import extensions
from muru.services.chain import NO_ANSWER, fault_of
from muru.services.dialing import phone_of
from muru.services.site import Actor, Site

APP, ECHO_APP = "selftest", "echo"

_BEGIN = ("hello", "beep")
_QUESTION = ("beep", "if-correct-press", "digits/1")
_END = ("goodbye",)
_ECHO_SECONDS = 6.0  # in which phones report once what they got of the sound, by RTCP
_ANSWER_SECONDS = 6.0  # for a digit
_LONGEST = 60.0  # seconds of the whole test
_TOLD_WITHIN = 1.0  # seconds in which Asterisk tells of the end of a call
_RESULTS = 5_000
_HEARS = 50.0  # percent that a phone may miss and still hears something

Outcome = Literal["no-answer", "refused", "hung-up", "done"]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What came out. *digit* is the key that was pressed; *call* is None if Asterisk told nothing.

    *audio_from_phone* and *audio_to_phone* tell whether sound came through; None: not known. To the
    phone it did if a key was pressed after the question, or the phone says so by RTCP. *cause* is a
    key of :data:`muru.services.causes.CAUSES`.
    """

    number: str
    at: datetime
    outcome: Outcome
    digit: str | None
    call: EndedCall | None
    audio_from_phone: bool | None
    audio_to_phone: bool | None
    cause: str | None


class SelfTests:
    """One at a time for each extension."""

    def __init__(self, site: Site, ari: Ari, registrations: Registrations, calls: CallLog) -> None:
        self._site, self._ari = site, ari
        self._registrations, self._calls = registrations, calls
        self._running: dict[str, asyncio.Future[SelfTest]] = {}
        self._results: Recent[SelfTest] = Recent(_RESULTS)
        ari.on_enter(APP, self._take)
        ari.on_enter(ECHO_APP, self._take_echo)

    async def last(self, actor: Actor, number: str) -> SelfTest:
        """Return the last result of an extension of *actor*'s.

        Raises:
            NotFound: there is none, or no such extension.
        """
        await extensions.get_extension(self._site, actor, number)
        found = self._results.get(number)
        if found is None:
            raise NotFound("This phone was not tested yet.")
        return found

    async def ring(self, actor: Actor, number: str, *, seconds: float) -> SelfTest:
        """Ring an extension of *actor*'s for some seconds, and lead whoever answers through it.

        Raises:
            NotFound: there is no such extension of *actor*'s, or it is not registered.
            Conflict: it is being tested.
            AriUnavailable: Asterisk is away.
        """
        await extensions.get_extension(self._site, actor, number)
        contact = await phone_of(self._registrations, number)
        if number in self._running:
            raise Conflict("This phone is being tested already.")
        done: asyncio.Future[SelfTest] = asyncio.get_running_loop().create_future()
        self._running[number] = done
        try:
            channel, answered = await self._ari.ring(
                f"PJSIP/{number}/{contact.uri}",
                app_arguments=(APP, number),
                caller_id="Self-test <000>",
                timeout=seconds,
            )
            if answered:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LONGEST):
                        return await done
            return await self._finish(number, channel, answered=answered, digit=None)
        finally:
            del self._running[number]

    async def _take(self, channel: AriChannel, arguments: tuple[str, ...]) -> None:
        [number] = arguments
        await channel.answer()
        digit = None
        try:
            digit = await self._lead(channel)
        finally:
            with suppress(AriUnavailable):
                await channel.hangup()
            result = await self._finish(number, channel.id, answered=True, digit=digit)
            waiting = self._running.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(result)

    async def _lead(self, channel: AriChannel) -> str | None:
        await channel.play(*_BEGIN)
        digit = await self._echo(channel)
        await channel.play(*_QUESTION)
        digit = digit or await channel.digit(timeout=_ANSWER_SECONDS)
        await channel.play(*_END)
        return digit

    async def _echo(self, channel: AriChannel) -> str | None:
        """Send back what the phone says; return a key that was pressed meanwhile."""
        async with self._ari.bridge() as bridge:
            if not await channel.join(bridge):
                return None
            echo = await self._ari.originate(
                f"Local/echo@{SELFTEST}/n",
                app_arguments=(ECHO_APP, bridge),
                caller_id="Echo <000>",
                timeout=_ECHO_SECONDS,
            )
            try:
                return await self._wait(channel)
            finally:
                with suppress(AriUnavailable):
                    await self._ari.hangup(echo)

    async def _wait(self, channel: AriChannel) -> str | None:
        """Return the key that was pressed, after the time for the echo or when the call is over."""
        began = asyncio.get_running_loop().time()
        digit = await channel.digit(timeout=_ECHO_SECONDS)
        rest = began + _ECHO_SECONDS - asyncio.get_running_loop().time()
        if digit is not None and not channel.is_gone:
            await asyncio.sleep(rest)
        return digit

    async def _take_echo(self, channel: AriChannel, arguments: tuple[str, ...]) -> None:
        [bridge] = arguments
        if await channel.join(bridge):
            await channel.digit(timeout=_LONGEST)  # or the end, which comes before

    async def _finish(
        self, number: str, channel_id: str, *, answered: bool, digit: str | None
    ) -> SelfTest:
        call = await self._end_of(number, channel_id)
        result = judge(number, call, answered=answered, digit=digit)
        self._results.put(number, result)
        return result

    async def _end_of(self, number: str, channel_id: str) -> EndedCall | None:
        """Return what Asterisk tells of the end of a channel."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _TOLD_WITHIN
        while loop.time() < deadline:
            call = self._calls.last(number)
            if call is not None and call.id == channel_id:
                return call
            await asyncio.sleep(0.02)
        return None


def judge(number: str, call: EndedCall | None, *, answered: bool, digit: str | None) -> SelfTest:
    """Return the result of a self-test by its call, and the key that was pressed."""
    rtp = call.rtp if call else None
    refused = bool(call and call.sip and call.sip not in NO_ANSWER)
    outcome: Outcome = "refused" if refused else "no-answer"
    if answered:
        outcome = "done" if digit else "hung-up"
    to_phone: bool | None = True if digit else None
    if rtp is not None and rtp.lost_there is not None and not digit:
        to_phone = rtp.lost_there < _HEARS
    return SelfTest(
        number=number,
        at=now(),
        outcome=outcome,
        digit=digit,
        call=call,
        audio_from_phone=rtp.received > 0 if rtp else None,
        audio_to_phone=to_phone,
        cause=fault_of(call) if call else None,
    )
