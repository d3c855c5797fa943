"""What an operator asks Asterisk: what it is, who talks to whom, and commands of its console."""

import asyncio
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from muru.asterisk.ami import Ami, AmiMessage
from muru.errors import ConsoleUnavailable, Invalid

_LONGEST_OUTPUT = 256 * 1024  # characters of what a command printed
_PATIENCE = 10.0  # seconds for a command
_NOT_TEXT = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]")
_WORD = re.compile(r"[A-Za-z0-9_.@/;+-]+")  # to the console as well: no quotes, escapes, blanks


@dataclass(frozen=True, slots=True)
class Core:
    """*calls* is how many there are now; times are UTC."""

    version: str
    started_at: datetime | None
    reloaded_at: datetime | None
    calls: int


@dataclass(frozen=True, slots=True)
class Channel:
    """One side of a call. Channels with the same *bridge* hear each other.

    *number* and *name* are of the one at this side, *peer_number* and *peer_name* of the other.
    """

    id: str
    name: str
    state: str
    number: str
    caller_name: str
    peer_number: str
    peer_name: str
    dialled: str
    application: str
    seconds: int
    bridge: str | None
    call: str


async def core(ami: Ami) -> Core:
    """Return what Asterisk says of itself.

    Raises:
        AmiUnavailable, AmiRefused: it is away, or does not tell.
    """
    settings = (await ami.send("CoreSettings")).headers
    status = (await ami.send("CoreStatus")).headers
    return Core(
        version=settings.get("AsteriskVersion", ""),
        started_at=_time(status.get("CoreStartupDate"), status.get("CoreStartupTime")),
        reloaded_at=_time(status.get("CoreReloadDate"), status.get("CoreReloadTime")),
        calls=_number(status.get("CoreCurrentCalls")),
    )


async def channels(ami: Ami) -> list[Channel]:
    """Return all channels, those of one call beside each other."""
    listed = await ami.list("CoreShowChannels", timeout=10)
    return sorted(map(_channel, listed), key=lambda each: (each.call, each.id))


async def qualify(ami: Ami, number: str) -> None:
    """Have Asterisk ask the phones of an extension now whether they are there.

    Raises:
        AmiRefused: it has no such endpoint.
    """
    await ami.send("PJSIPQualify", {"Endpoint": number})


async def command(control: Path, line: str, allowed: Iterable[str]) -> str:
    """Run a command of Asterisk's console, if it is one of *allowed*; return what it prints.

    *control* is the socket on which ``asterisk -r`` speaks to it. By AMI that would need a right
    with which muru's user there could have any program run.

    Raises:
        Invalid: it is none of them.
        ConsoleUnavailable: there is no Asterisk at that socket, or it does not answer.
    """
    allowed = list(allowed)
    if not any(_fits(line, each) for each in allowed):
        listed = ", ".join(allowed) or "none"
        raise Invalid(
            "This command is not allowed.",
            {"command": f"allowed by MURU_CONSOLE_COMMANDS: {listed}"},
        )
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _run(control, line)
    except (OSError, TimeoutError) as error:
        raise ConsoleUnavailable(
            "Asterisk's console cannot be reached: that is possible only on its own machine, by"
            f" {control.name} ({error or 'no answer'})."
        ) from error


async def _run(control: Path, line: str) -> str:
    reader, writer = await asyncio.open_unix_connection(control, limit=_LONGEST_OUTPUT)
    try:
        await reader.readline()  # which Asterisk this is
        writer.write(f"cli quit after {line}\0".encode())
        output = bytearray()
        while len(output) < _LONGEST_OUTPUT and (part := await reader.read(65536)):
            output += part
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return _NOT_TEXT.sub("", output.decode(errors="replace"))


def _fits(line: str, allowed: str) -> bool:
    words, patterns = line.split(" "), allowed.split(" ")
    return len(words) == len(patterns) and all(
        bool(_WORD.fullmatch(word)) if pattern == "*" else word == pattern
        for word, pattern in zip(words, patterns, strict=True)
    )


def _channel(message: AmiMessage) -> Channel:
    told = message.headers
    return Channel(
        id=told.get("Uniqueid", ""),
        name=told.get("Channel", ""),
        state=told.get("ChannelStateDesc", "").lower(),
        number=_told(told.get("CallerIDNum")),
        caller_name=_told(told.get("CallerIDName")),
        peer_number=_told(told.get("ConnectedLineNum")),
        peer_name=_told(told.get("ConnectedLineName")),
        dialled=told.get("Exten", ""),
        application=told.get("Application", ""),
        seconds=_seconds(told.get("Duration", "")),
        bridge=told.get("BridgeId") or None,
        call=told.get("Linkedid", ""),
    )


def _told(text: str | None) -> str:
    return "" if text in {None, "<unknown>"} else str(text)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else 0


def _seconds(duration: str) -> int:
    """Return the seconds of ``HH:MM:SS``."""
    seconds = 0
    for part in duration.split(":"):
        seconds = seconds * 60 + _number(part)
    return seconds


def _time(date: str | None, time: str | None) -> datetime | None:
    """Return a time that Asterisk tells in its machine's time zone, which is taken for ours."""
    try:
        return datetime.fromisoformat(f"{date} {time}").astimezone().astimezone(UTC)
    except ValueError:
        return None
