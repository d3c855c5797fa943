"""What a phone needs to know of a time zone, from its IANA name.

Phones have no time zone database that an operator could count on. They take the offset from UTC and
the two days of the year on which the clocks change, or these as a POSIX TZ string, which stands at
the end of each file of the database (RFC 9636). It tells what holds from now on; the past, and the
odd years that a country has laid down in advance, are left out.
"""

import difflib
import re
import zoneinfo
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

_MAX_NAME = 64  # characters; the longest there is has 32
_SUGGESTIONS = 3
_DEFAULT_TIME = 2 * 3600  # when the clocks change
_DEFAULT_SAVING = 3600

_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_ABBREVIATION, _TIME = r"[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>", r"[+-]?\d{1,3}(?::\d{2}){0,2}"
_POSIX = re.compile(
    rf"(?P<standard>{_ABBREVIATION})(?P<offset>{_TIME})"
    rf"(?:(?P<saving>{_ABBREVIATION})(?P<saving_offset>{_TIME})?"
    r"(?:,(?P<start>[^,]+),(?P<end>[^,]+))?)?"
)
_CHANGE = re.compile(rf"M(1[0-2]|[1-9])\.([1-5])\.([0-6])(?:/({_TIME}))?")


@dataclass(frozen=True, slots=True)
class Change:
    """The day and time at which the clocks change: ``M3.5.0`` is the last Sunday of March.

    *week* is 1 to 5, where 5 is the last of the month; *weekday* is 0 (Sunday) to 6. *seconds*
    count from midnight by the clock that is about to be changed; they may be below 0 or beyond a
    day.
    """

    month: int
    week: int
    weekday: int
    seconds: int = _DEFAULT_TIME


@dataclass(frozen=True, slots=True)
class DaylightSaving:
    """From *start* to *end* the clocks are *offset* seconds ahead of standard time."""

    name: str
    offset: int
    start: Change
    end: Change


@dataclass(frozen=True, slots=True)
class TimeZone:
    """*offset* is that of standard time, in seconds east of UTC; *abbreviation* is its name."""

    name: str
    posix: str
    offset: int
    abbreviation: str
    dst: DaylightSaving | None

    @property
    def hours(self) -> float:
        """The offset in hours: 5.5 in India."""
        return self.offset / 3600

    def utc(self, *, padded: bool = False) -> str:
        """The offset as most phones write it: ``+5:30``, ``+1``, ``0``; *padded*: ``+05:30``."""
        hours, minutes = divmod(abs(self.offset) // 60, 60)
        sign = "-" if self.offset < 0 else "+"
        if padded:
            return f"{sign}{hours:02}:{minutes:02}"
        if not self.offset:
            return "0"
        return f"{sign}{hours}:{minutes:02}" if minutes else f"{sign}{hours}"


@cache
def time_zone(name: str) -> TimeZone:
    """Return the time zone with an IANA name, such as ``Europe/Berlin``.

    Raises:
        ValueError: there is none; the text names some that are written alike.
    """
    content = _read(name) if len(name) <= _MAX_NAME and _NAME.fullmatch(name) else None
    if content is None:
        raise ValueError(f"{name[:_MAX_NAME]!r} is no time zone{_suggestion(name[:_MAX_NAME])}")
    return _parse(name, _footer(content))


def _read(name: str) -> bytes | None:
    """The file of that name, of the machine's database or else of the package ``tzdata``."""
    bundled = resources.files("tzdata").joinpath("zoneinfo")
    for path in [*(Path(root, name) for root in zoneinfo.TZPATH), bundled.joinpath(name)]:
        try:
            content = path.read_bytes()
        except OSError:  # it is not there, or is a folder
            continue
        if content.startswith(b"TZif"):
            return content
    return None


def _footer(content: bytes) -> str:
    """The text between the last two line feeds. Files of version 1 have none."""
    lines = content.rsplit(b"\n", 2)
    has_footer = content[4:5] >= b"2" and len(lines) == 3 and not lines[2]
    return lines[1].decode("ascii", errors="replace") if has_footer else ""


def _parse(name: str, posix: str) -> TimeZone:
    """Of a POSIX TZ string.

    Rules that count the days of the year are in use nowhere; a zone that had some would be taken
    for one where the clocks never change.
    """
    found = _POSIX.fullmatch(posix)
    if found is None:
        raise ValueError(f"the time zone database does not tell what holds in {name!r} from now on")
    offset, abbreviation = -_seconds(found["offset"]), found["standard"].strip("<>")
    start, end = _change(found["start"]), _change(found["end"])
    if start is None or end is None:
        return TimeZone(name, posix, offset, abbreviation, None)
    other, other_name = offset + _DEFAULT_SAVING, found["saving"].strip("<>")
    if found["saving_offset"]:
        other = -_seconds(found["saving_offset"])
    if other < offset:  # Ireland's law calls the summer's time standard, and turns clocks back
        dst = DaylightSaving(abbreviation, offset - other, end, start)
        return TimeZone(name, posix, other, other_name, dst)
    dst = DaylightSaving(other_name, other - offset, start, end)
    return TimeZone(name, posix, offset, abbreviation, dst)


def _change(rule: str | None) -> Change | None:
    found = _CHANGE.fullmatch(rule or "")
    if found is None:
        return None
    month, week, weekday = (int(found[number]) for number in (1, 2, 3))
    return Change(month, week, weekday, _seconds(found[4]) if found[4] else _DEFAULT_TIME)


def _seconds(time: str) -> int:
    hours, minutes, seconds = (*map(int, time.lstrip("+-").split(":")), 0, 0)[:3]
    total = hours * 3600 + minutes * 60 + seconds
    return -total if time.startswith("-") else total


def _suggestion(name: str) -> str:
    """What to say behind "is no time zone": close matches of the whole or of its last part."""
    known = {each.casefold(): each for each in sorted(zoneinfo.available_timezones())}
    cities = {each.rpartition("/")[2]: each for each in known}
    wanted = name.strip().casefold().replace(" ", "_")
    close = difflib.get_close_matches(wanted, known, n=_SUGGESTIONS)
    last = wanted.rpartition("/")[2]
    close += [cities[each] for each in difflib.get_close_matches(last, cities, n=_SUGGESTIONS)]
    names = [known[each] for each in dict.fromkeys(close)][:_SUGGESTIONS]
    return f"; did you mean {' or '.join(names)}?" if names else ""
