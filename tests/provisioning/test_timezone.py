"""Time zones as phones are told of them, against Python's own reading of the same database."""

import calendar
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from muru.provisioning.timezone import Change, DaylightSaving, TimeZone, time_zone

NEXT_YEAR = datetime.now(UTC).year + 1
NAMES = sorted(zoneinfo.available_timezones())

# Morocco turns its clocks back for each Ramadan, by a list of dates, which no rule can tell.
BY_THE_MOON = {"Africa/Casablanca", "Africa/El_Aaiun"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder that is the machine's time zone database for one test."""
    zoneinfo.reset_tzpath([str(tmp_path)])
    time_zone.cache_clear()
    yield tmp_path
    zoneinfo.reset_tzpath()
    time_zone.cache_clear()


def is_saving(dst: DaylightSaving | None, month: int) -> bool:
    """Whether daylight saving is on in the middle of a month in which nothing changes."""
    if dst is None:
        return False
    start, end = dst.start.month, dst.end.month
    return start <= month < end if start < end else not end <= month < start


def moment(change: Change, year: int, offset: int) -> datetime:
    """When the clocks, *offset* seconds ahead of UTC, are changed."""
    weekday = (change.weekday - 1) % 7  # Python's first is Monday
    weeks = calendar.Calendar().monthdayscalendar(year, change.month)
    days = [week[weekday] for week in weeks if week[weekday]]
    day = days[min(change.week, len(days)) - 1]
    return datetime(year, change.month, day, tzinfo=UTC) + timedelta(
        seconds=change.seconds - offset
    )


def test_time_zone_in_january_and_july() -> None:
    """Offset, saving and abbreviation of every zone are those that Python's zoneinfo has."""
    for name in set(NAMES) - BY_THE_MOON:
        zone = time_zone(name)
        for month in (1, 7):
            there = datetime(NEXT_YEAR, month, 15, 12, tzinfo=zoneinfo.ZoneInfo(name))
            saving = zone.dst if is_saving(zone.dst, month) else None
            offset = zone.offset + (saving.offset if saving else 0)

            assert there.utcoffset() == timedelta(seconds=offset), (name, month)
            assert there.tzname() == (saving.name if saving else zone.abbreviation), (name, month)


def test_time_zone_around_its_changes() -> None:
    """The clocks of every zone change in the very second that Python's zoneinfo has."""
    for name in NAMES:
        zone, known = time_zone(name), zoneinfo.ZoneInfo(name)
        if zone.dst is None:
            continue
        standard, summer = zone.offset, zone.offset + zone.dst.offset
        for change, old, new in (
            (zone.dst.start, standard, summer),
            (zone.dst.end, summer, standard),
        ):
            now = moment(change, NEXT_YEAR, old)
            before = (now - timedelta(seconds=1)).astimezone(known)

            assert before.utcoffset() == timedelta(seconds=old), name
            assert now.astimezone(known).utcoffset() == timedelta(seconds=new), name


def test_time_zone_with_daylight_saving() -> None:
    """Everything of a zone is told, with the hour that POSIX leaves out."""
    assert time_zone("Europe/Berlin") == TimeZone(
        name="Europe/Berlin",
        posix="CET-1CEST,M3.5.0,M10.5.0/3",
        offset=3600,
        abbreviation="CET",
        dst=DaylightSaving("CEST", 3600, Change(3, 5, 0, 7200), Change(10, 5, 0, 10800)),
    )


def test_time_zone_whose_law_saves_in_winter() -> None:
    """Ireland, which legally turns its clocks back in winter, has a summer time like its peers."""
    zone = time_zone("Europe/Dublin")
    irish = zone.posix[:3]

    assert (zone.offset, zone.abbreviation) == (0, "GMT")
    assert zone.dst == DaylightSaving(irish, 3600, Change(3, 5, 0, 3600), Change(10, 5, 0, 7200))


@pytest.mark.parametrize(
    ("name", "hours", "short", "padded"),
    [
        ("Etc/UTC", 0, "0", "+00:00"),
        ("Europe/Berlin", 1, "+1", "+01:00"),
        ("Asia/Kolkata", 5.5, "+5:30", "+05:30"),
        ("America/St_Johns", -3.5, "-3:30", "-03:30"),
        ("Pacific/Auckland", 12, "+12", "+12:00"),
    ],
)
def test_offset_as_text(name: str, hours: float, short: str, padded: str) -> None:
    """The offset is at hand in hours and in both ways that phones write it."""
    zone = time_zone(name)

    assert (zone.hours, zone.utc(), zone.utc(padded=True)) == (hours, short, padded)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("Europe/New York", "America/New_York"),
        ("Europe", ""),  # a folder
        ("leapseconds", ""),  # a file of the database, but of no zone
        ("../Europe/Berlin", "Europe/Berlin"),
        ("/etc/passwd", ""),
        ("Europe/Berlin\0", "Europe/Berlin"),
        ("Europe//Berlin", "Europe/Berlin"),
        ("x" * 100_000, ""),
        ("", ""),
    ],
)
def test_time_zone_unknown(name: str, meant: str) -> None:
    """No other file is opened for a name that is no zone's, and those like it are suggested."""
    with pytest.raises(ValueError, match="is no time zone") as raised:
        time_zone(name)

    assert meant in str(raised.value)
    assert len(str(raised.value)) < 250


def test_time_zone_where_the_machine_has_no_database(database: Path) -> None:
    """The package tzdata knows the zones of a machine that has none."""
    assert time_zone("America/New_York").posix == "EST5EDT,M3.2.0,M11.1.0"


@pytest.mark.parametrize(
    "posix",
    ["EST5EDT", "EST5EDT,J60,J300", "EST5EDT,59/2,300", "EST5EDT,M3.9.0,M13.1.0", "EST5"],
)
def test_time_zone_with_other_rules(database: Path, posix: str) -> None:
    """Where the days of change are not told, or by their number, the clocks are left alone."""
    (database / "Test").write_bytes(b"TZif2" + bytes(100) + f"\n{posix}\n".encode())

    assert time_zone("Test") == TimeZone("Test", posix, -5 * 3600, "EST", None)


@pytest.mark.parametrize(
    "content",
    [b"TZif\0", b"TZif2", b"TZif2\n\n", b"TZif2\nEST5\n\n", b"TZif2\n\xff\n", b"TZif2\nEST5"],
)
def test_time_zone_without_a_rule(database: Path, content: bytes) -> None:
    """A file that says nothing of the future, or is broken, is an error of its own."""
    (database / "Test").write_bytes(content)

    with pytest.raises(ValueError, match="does not tell what holds in 'Test'"):
        time_zone("Test")
