"""What Asterisk's security events tell: which account logged in from where, and who is guessing.

In memory alone, and bounded: anybody on the network can cause such events, as many as they like.
Asterisk raises them for each request with a password, most of which are REGISTERs.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from muru.asterisk.ami import Ami, AmiMessage
from muru.asterisk.contacts import join_address
from muru.db.models import now

KEPT = timedelta(hours=24)
_ACCOUNTS, _STRANGERS, _ADDRESSES = 20_000, 2_000, 2_000
_NAMES = 10  # accounts that are remembered of one address
_LONGEST = 64  # characters of an account's name

#: Why Asterisk refused, by the event that tells it.
_REFUSALS = {
    "ChallengeResponseFailed": "wrong-password",
    "InvalidPassword": "wrong-password",
    "InvalidAccountID": "unknown-account",
    "RequestNotSupported": "wrong-name",
    "RequestNotAllowed": "not-allowed",
    "FailedACL": "not-allowed",
}
_NOBODY = "<unknown>"  # the account that Asterisk challenges in place of one that there is not

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request with a password. *reason* says why it was refused, and is empty if it was not."""

    address: str
    at: datetime
    reason: str = ""


@dataclass(slots=True)
class Account:
    """The last of each kind. A phone is *challenged* first, and then sends its password."""

    challenged: Attempt | None = None
    accepted: Attempt | None = None
    refused: Attempt | None = None


@dataclass(slots=True)
class Suspect:
    """An address from which something was refused; *accounts* are the last ones tried there."""

    host: str
    refused: int = 0
    first_at: datetime = field(default_factory=now)
    last_at: datetime = field(default_factory=now)
    accounts: dict[str, str] = field(default_factory=dict)  # and the reason


class Recent(Generic[V]):
    """A dictionary of what was told last; the oldest entries go, by number and by age."""

    def __init__(self, most: int, kept: timedelta = KEPT) -> None:
        self._most, self._kept = most, kept
        self._entries: OrderedDict[str, tuple[datetime, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: str, value: V) -> None:
        self._entries[key] = (now(), value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def get(self, key: str) -> V | None:
        at, value = self._entries.get(key, (None, None))
        return value if at is not None and at > now() - self._kept else None

    def values(self) -> Iterator[V]:
        """Yield the values that are not too old, the newest first."""
        oldest = now() - self._kept
        return (value for at, value in reversed(self._entries.values()) if at > oldest)


class Security:
    """Listens as long as *ami* is connected; what came in between is not known."""

    def __init__(self, ami: Ami) -> None:
        self._ami = ami
        self._accounts: Recent[Account] = Recent(_ACCOUNTS)
        self._strangers: Recent[Attempt] = Recent(_STRANGERS)
        self._suspects: Recent[Suspect] = Recent(_ADDRESSES)
        ami.subscribe(self._on_challenge, "ChallengeSent")
        ami.subscribe(self._on_success, "SuccessfulAuth")
        ami.subscribe(self._on_refusal, *_REFUSALS)

    @property
    def since(self) -> datetime | None:
        """Since when everything is known; None while nothing is heard."""
        state = self._ami.state
        return state.since if state.connected else None

    def account(self, name: str) -> Account:
        """Return what is known of the account of that name, maybe nothing."""
        known = self._accounts.get(name) or Account()
        stranger = self._strangers.get(name)
        if stranger is None or (known.refused and known.refused.at > stranger.at):
            return known
        return Account(known.challenged, known.accepted, stranger)

    def suspects(self) -> list[Suspect]:
        """Return the addresses from which something was refused, the last one first."""
        return list(self._suspects.values())

    def suspect(self, host: str) -> Suspect | None:
        return self._suspects.get(host)

    def _on_challenge(self, event: AmiMessage) -> None:
        if (name := _account(event)) and name != _NOBODY:
            self._known(name).challenged = Attempt(_address(event), now())

    def _on_success(self, event: AmiMessage) -> None:
        if name := _account(event):
            self._known(name).accepted = Attempt(_address(event), now())

    def _on_refusal(self, event: AmiMessage) -> None:
        name, reason = _account(event), _REFUSALS[event.name]
        if not name or name == _NOBODY:  # it was told before by the name that it had
            return
        attempt = Attempt(_address(event), now(), reason)
        if reason == "unknown-account":  # anybody makes up names: they push no account out
            self._strangers.put(name, attempt)
        else:
            self._known(name).refused = attempt
        self._suspect(attempt, name)

    def _known(self, name: str) -> Account:
        account = self._accounts.get(name) or Account()
        self._accounts.put(name, account)
        return account

    def _suspect(self, attempt: Attempt, name: str) -> None:
        host = host_of(attempt.address)
        suspect = self._suspects.get(host) or Suspect(host)
        suspect.refused += 1
        suspect.last_at = attempt.at
        suspect.accounts.pop(name, None)
        suspect.accounts[name] = attempt.reason
        if len(suspect.accounts) > _NAMES:
            del suspect.accounts[next(iter(suspect.accounts))]
        self._suspects.put(host, suspect)


def host_of(address: str | None) -> str:
    """Return an address without its port and brackets."""
    return (address or "").rpartition(":")[0].strip("[]")


def _account(event: AmiMessage) -> str:
    """Return the account that an event is about; empty if it is none of SIP."""
    if event.headers.get("Service") != "PJSIP":
        return ""
    return event.headers.get("AccountID", "")[:_LONGEST]


def _address(event: AmiMessage) -> str:
    """Return ``host:port`` of ``IPV4/UDP/192.0.2.7/5060``."""
    parts = event.headers.get("RemoteAddress", "").split("/")
    return (join_address(parts[2], parts[3]) if len(parts) == 4 else None) or ""
