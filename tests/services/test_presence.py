"""What becomes history, by the clock of the test."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from muru.asterisk.registrations import Contact, RegistrationChange, Status, address_of
from muru.services import presence
from muru.services.presence import Entry, Kind, Presence, RoundTrip

START = datetime(2026, 12, 27, 12, tzinfo=UTC)


def contact(uri: str = "sip:100@192.0.2.1:5060", agent: str | None = "snom") -> Contact:
    extension = uri.partition(":")[2].partition("@")[0]
    return Contact(
        extension=extension,
        uri=uri,
        address=address_of(uri),
        via_address=None,
        user_agent=agent,
        status=Status.UNQUALIFIED,
        rtt_ms=None,
        since=START,
        expires_at=START + timedelta(seconds=600),
    )


@dataclass
class Observed:
    """A presence, what it noted, and the seconds since the start."""

    noted: list[Entry | RoundTrip] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.presence = Presence(self.noted.append)

    @property
    def at(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass; what is due is noted each second."""
        for _ in range(int(seconds)):
            self.seconds += 1
            self.presence.settle(self.at)

    def tell(self, kind: Literal["added", "updated", "removed"], phone: Contact) -> Contact:
        if kind == "added":
            phone = replace(phone, since=self.at)
        self.presence.take(RegistrationChange(kind, phone), self.at)
        return phone

    def come(self, phone: Contact) -> Contact:
        return self.tell("added", phone)

    def refresh(self, phone: Contact) -> Contact:
        refreshed = replace(phone, expires_at=self.at + timedelta(seconds=600))
        return self.tell("updated", refreshed)

    @property
    def events(self) -> list[tuple[str, str | None, float]]:
        """Kind, address and second of what happened."""
        return [
            (each.kind.value, each.address, (each.at - START).total_seconds())
            for each in self.noted
            if isinstance(each, Entry)
        ]

    @property
    def round_trips(self) -> list[tuple[float, float]]:
        return [
            ((each.at - START).total_seconds(), each.rtt_ms)
            for each in self.noted
            if isinstance(each, RoundTrip)
        ]


@pytest.fixture
def observed() -> Observed:
    return Observed()


ONE, OTHER = "192.0.2.1:5060", "192.0.2.9:5060"


def test_came_and_went(observed: Observed) -> None:
    """A phone that comes is noted at once, one that goes when it has not come back."""
    phone = observed.come(contact())
    observed.wait(100)
    observed.refresh(phone)
    observed.tell("removed", phone)
    assert observed.events == [("came", ONE, 0)]

    observed.wait(31)

    assert observed.events[1:] == [("went", ONE, 100)]


def test_came_without_user_agent(observed: Observed) -> None:
    """A phone that tells no user agent is noted a little later, with the time when it came."""
    observed.come(contact(agent=None))
    observed.wait(3)
    assert observed.events == []

    observed.wait(3)

    assert observed.events == [("came", ONE, 0)]


def test_flapped(observed: Observed) -> None:
    """A phone that goes and is back soon, again and again, is one entry for each minute."""
    phone = observed.come(contact())
    for _ in range(6):
        observed.wait(10)
        observed.tell("removed", phone)
        observed.wait(5)
        observed.come(phone)
    observed.wait(200)

    assert [event[0] for event in observed.events] == ["came", "flapped", "flapped"]
    counts = [each.count for each in observed.noted if isinstance(each, Entry)]
    assert counts == [1, 4, 2]


def test_back_after_long(observed: Observed) -> None:
    """A phone that is away for longer went and came."""
    phone = observed.come(contact())
    observed.tell("removed", phone)
    observed.wait(40)
    observed.come(phone)

    assert observed.events == [("came", ONE, 0), ("went", ONE, 0), ("came", ONE, 40)]


def test_moved_after_it_went(observed: Observed) -> None:
    """A phone that goes and is at another address soon has moved."""
    observed.tell("removed", observed.come(contact()))
    observed.wait(10)
    new = observed.come(contact(f"sip:100@{OTHER}", agent=None))
    observed.tell("updated", replace(new, user_agent="snom"))  # as it is looked up
    observed.wait(60)

    assert observed.events == [("came", ONE, 0), ("moved", OTHER, 10)]
    (_, moved) = observed.noted
    assert isinstance(moved, Entry)
    assert moved.previous == ONE


def test_moved_before_it_went(observed: Observed) -> None:
    """A phone that is not heard of at its old address since it is at a new one has moved."""
    old = observed.come(contact())
    observed.wait(100)
    observed.come(contact(f"sip:100@{OTHER}"))
    observed.wait(500)
    observed.tell("removed", old)  # it expired
    observed.wait(60)

    assert observed.events == [("came", ONE, 0), ("came", OTHER, 100), ("moved", OTHER, 100)]


def test_second_phone_is_no_move(observed: Observed) -> None:
    """Two phones of one kind at one extension are two: the first was heard of since."""
    old = observed.come(contact())
    observed.wait(100)
    observed.come(contact(f"sip:100@{OTHER}"))
    observed.wait(100)
    old = observed.refresh(old)
    observed.tell("removed", old)
    observed.wait(60)

    assert [event[0] for event in observed.events] == ["came", "came", "went"]


@pytest.mark.parametrize("uri", ["sip:100@192.0.2.9:5060", "sip:200@192.0.2.9:5060"])
def test_other_kind_or_extension_is_no_move(observed: Observed, uri: str) -> None:
    """Only a phone with the same user agent at the same extension can be the one that went."""
    observed.tell("removed", observed.come(contact()))
    observed.wait(10)
    observed.come(contact(uri, agent="other" if "100" in uri else "snom"))
    observed.wait(60)

    assert [event[0] for event in observed.events] == ["came", "came", "went"]


def test_one_phone_moves_once(observed: Observed) -> None:
    """Of two that went only one can be the phone that came."""
    phones = [observed.come(contact(f"sip:100@192.0.2.1:{port}")) for port in (5060, 5062)]
    for phone in phones:
        observed.tell("removed", phone)
    observed.come(contact(f"sip:100@{OTHER}"))
    observed.wait(60)

    kinds = [event[0] for event in observed.events]
    assert (kinds.count("moved"), kinds.count("went")) == (1, 1)


def test_stopped_to_answer(observed: Observed) -> None:
    """That a phone is registered and does not answer is noted, and that it does again."""
    phone = observed.come(contact())
    for status in (Status.REACHABLE, Status.UNREACHABLE, Status.UNREACHABLE, Status.REACHABLE):
        observed.wait(60)
        observed.tell("updated", replace(phone, status=status))

    assert observed.events[1:] == [("unreachable", ONE, 120), ("reachable", ONE, 240)]


def test_round_trips_are_thinned(observed: Observed) -> None:
    """Of a phone that answers alike a time is kept in five minutes; one much longer, earlier."""
    phone = observed.come(contact())
    for minute in range(11):
        rtt = 40.0 if minute == 7 else 8.0 + minute / 100
        observed.tell("updated", replace(phone, rtt_ms=rtt))
        observed.wait(60)

    assert observed.round_trips == [(0, 8.0), (300, 8.05), (420, 40.0), (480, 8.08)]


def test_phones_that_were_there_before(observed: Observed) -> None:
    """After a restart only those are noted that came or went meanwhile."""
    here, gone = contact(), contact("sip:200@192.0.2.2:5060")
    moved = contact("sip:300@192.0.2.3:5060")
    observed.presence.expect([here, gone, moved], observed.at)
    observed.wait(1)
    observed.tell("added", here)
    observed.come(contact("sip:400@192.0.2.4:5060"))
    observed.come(contact("sip:300@192.0.2.33:5060"))
    observed.wait(4)

    assert observed.presence.dismiss(observed.at) == {"200", "300"}
    observed.wait(40)

    assert sorted(event[:2] for event in observed.events) == [
        ("came", "192.0.2.33:5060"),
        ("came", "192.0.2.4:5060"),
        ("moved", "192.0.2.33:5060"),
        ("went", "192.0.2.2:5060"),
    ]


def test_nothing_known_before(observed: Observed) -> None:
    """Where it is not known who was there, those that are found did not come."""
    observed.presence.silent = True
    phone = observed.come(contact())
    assert observed.presence.dismiss(observed.at) == set()
    observed.wait(10)
    assert observed.events == []

    observed.tell("removed", phone)
    observed.wait(40)

    assert observed.events == [("went", ONE, 10)]


def test_many_that_go_at_once(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not more phones are waited for than fit; those that went first went."""
    monkeypatch.setattr(presence, "_MOST_GONE", 3)
    for number in range(5):
        observed.tell("removed", observed.come(contact(f"sip:{100 + number}@192.0.2.1:5060")))

    assert [event[0] for event in observed.events].count(Kind.WENT) == 2
    observed.presence.settle(observed.at, everything=True)
    assert [event[0] for event in observed.events].count(Kind.WENT) == 5
