"""The last call of each extension: how it ended, its codec, and what became of its packets.

Asterisk's event ``Hangup`` tells it all, since manager.conf has the channel's codec and its RTP
statistics sent along. So a call costs two events for each of its phones, and a REGISTER none. In
memory alone, and bounded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from muru.asterisk.ami import Ami, AmiMessage
from muru.asterisk.ari import CHANNEL_PREFIX
from muru.asterisk.security import Recent
from muru.db.models import now

_CALLS, _ANSWERED = 20_000, 5_000
_CHANNEL = re.compile(r"PJSIP/(.+)-[0-9a-f]{8}")
_STATES = {0: "not-rung", 4: "calling", 5: "ringing", 6: "answered"}
_ELSEWHERE = 26  # Q.850: another phone of the same number took the call
_RTP = ("rxcount", "txcount", "lp", "rlp", "rxjitter", "txjitter", "rtt")


@dataclass(frozen=True, slots=True)
class Rtp:
    """A phone's packets. Losses are in percent, times in milliseconds; None: nobody told.

    *received* and *lost* are what Asterisk got, and missed, of what the phone sent; *sent* is what
    went to the phone, and *lost_there* what the phone says that it missed.
    """

    received: int
    sent: int
    lost: float | None = None
    lost_there: float | None = None
    jitter: float | None = None
    rtt: float | None = None


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call of one phone. *incoming* is one that rang it; *peer* is the number of the other side.

    *state* is how far it got: calling, not-rung, ringing, answered. *cause* is Q.850's, *sip* the
    status that the phone answered, or was answered, if there was one. *seconds* is how long it was
    answered, as far as that is known. *rtp* is known only of an answered call.
    """

    id: str  # of the channel
    number: str
    peer: str
    incoming: bool
    ended_at: datetime
    state: str
    cause: int
    cause_text: str
    sip: int | None
    codec: str | None
    seconds: float | None
    rtp: Rtp | None


class CallLog:
    """Listens as long as *ami* is connected; what came in between is not known."""

    def __init__(self, ami: Ami) -> None:
        self._calls: Recent[EndedCall] = Recent(_CALLS)
        self._answered: Recent[datetime] = Recent(_ANSWERED)  # by the channel's id
        ami.subscribe(self._on_newstate, "Newstate")
        ami.subscribe(self._on_hangup, "Hangup")

    def last(self, number: str) -> EndedCall | None:
        return self._calls.get(number)

    def _on_newstate(self, event: AmiMessage) -> None:
        if event.headers.get("ChannelState") == "6":
            self._answered.put(event.headers.get("Uniqueid", ""), now())

    def _on_hangup(self, event: AmiMessage) -> None:
        call = _read(event, self._answered.get(event.headers.get("Uniqueid", "")))
        if call is not None and call.cause != _ELSEWHERE:
            self._calls.put(call.number, call)


def _read(event: AmiMessage, answered_at: datetime | None) -> EndedCall | None:
    headers = event.headers
    found = _CHANNEL.fullmatch(headers.get("Channel", ""))
    if found is None:
        return None
    state = _STATES.get(_number(headers.get("ChannelState")) or 0, "not-rung")
    variables = dict(
        line.partition("=")[::2] for line in headers.get("ChanVariable", "").split("\n")
    )
    answered = state == "answered"
    return EndedCall(
        id=headers.get("Uniqueid", ""),
        number=found[1],
        peer=_peer(headers),
        incoming=_is_incoming(headers),
        ended_at=now(),
        state=state,
        cause=_number(headers.get("Cause")) or 0,
        cause_text=headers.get("Cause-txt", ""),
        sip=_number(headers.get("TechCause")),
        codec=_codec(variables.get("CHANNEL(audionativeformat)", "")) if answered else None,
        seconds=(now() - answered_at).total_seconds() if answered and answered_at else None,
        rtp=_rtp(variables.get("RTPAUDIOQOS", "")) if answered else None,
    )


def _is_incoming(headers: Mapping[str, str]) -> bool:
    """Tell whether the phone was rung: by another channel, or by muru itself."""
    own = headers.get("Uniqueid", "")
    return own != headers.get("Linkedid", own) or own.startswith(CHANNEL_PREFIX)


def _peer(headers: Mapping[str, str]) -> str:
    """Return the other side's number; a caller's is what it dialled."""
    dialled = headers.get("Exten", "")
    if dialled.isdecimal() and not _is_incoming(headers):
        return dialled
    number = headers.get("ConnectedLineNum", "")
    return "" if number == "<unknown>" else number


def _codec(formats: str) -> str | None:
    """Return the one codec of ``(alaw)``."""
    names = formats.strip("()").split("|")
    return names[0] or None if len(names) == 1 else None


def _rtp(told: str) -> Rtp | None:
    """Read ``ssrc=…;lp=0;rxjitter=0.001375;rxcount=351;…``, of which Asterisk's times are in s."""
    pairs = dict(each.partition("=")[::2] for each in told.split(";"))
    try:
        values = {name: float(pairs[name]) for name in _RTP}
    except (KeyError, ValueError):
        return None
    received, sent = int(values["rxcount"]), int(values["txcount"])
    # Without a report of the phone's the jitter that it tells, and the round trip, are exactly 0.
    reported = values["txjitter"] > 0 or values["rtt"] > 0 or values["rlp"] > 0
    return Rtp(
        received=received,
        sent=sent,
        lost=_percent(values["lp"], received + values["lp"]),
        lost_there=_percent(values["rlp"], sent) if reported else None,
        jitter=round(values["rxjitter"] * 1000, 2) if received else None,
        rtt=round(values["rtt"] * 1000, 2) or None,
    )


def _percent(part: float, whole: float) -> float | None:
    return round(min(100 * part / whole, 100.0), 1) if whole else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 6 else None
