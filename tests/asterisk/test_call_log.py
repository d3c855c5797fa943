"""The ends of calls, as Asterisk tells them."""

from collections.abc import AsyncIterator, Mapping

import pytest
from pydantic import SecretStr

from muru.asterisk.ami import Ami, AmiMessage
from muru.asterisk.call_log import CallLog, Rtp
from tests.fake_ami import FakeAmi

QOS = (
    "RTPAUDIOQOS=ssrc=1;themssrc=2;lp=10;rxjitter=0.001375;rxcount=190;txjitter=0.001250;"
    "txcount=400;rlp=20;rtt=0.012000;rxmes=88.0;txmes=88.0"
)
HANGUP = {
    "Channel": "PJSIP/2001-0000000a",
    "ChannelState": "6",
    "ConnectedLineNum": "2002",
    "Exten": "2002",
    "Uniqueid": "1795576217.2",
    "Linkedid": "1795576217.2",
    "Cause": "16",
    "Cause-txt": "Normal Clearing",
    "ChanVariable": f"CHANNEL(audionativeformat)=(g722)\n{QOS}",
}


@pytest.fixture
async def log() -> AsyncIterator[CallLog]:
    """A log whose events come by :func:`hang_up`."""
    secret = SecretStr("none")
    async with FakeAmi() as asterisk:
        yield CallLog(Ami(host="127.0.0.1", port=asterisk.port, username="x", secret=secret))


def hang_up(log: CallLog, headers: Mapping[str, str]) -> None:
    log._on_hangup(AmiMessage("Hangup", headers))


async def test_answered(log: CallLog) -> None:
    """Codec, other side, duration and what became of the packets are told."""
    log._on_newstate(AmiMessage("Newstate", HANGUP))
    hang_up(log, HANGUP)

    call = log.last("2001")
    assert call
    assert (call.peer, call.incoming, call.state, call.codec) == ("2002", False, "answered", "g722")
    assert call.rtp == Rtp(190, 400, lost=5.0, lost_there=5.0, jitter=1.38, rtt=12.0)
    assert call.seconds is not None
    assert call.seconds < 5
    assert (call.cause, call.sip) == (16, None)


async def test_refused(log: CallLog) -> None:
    """A phone that was rung and said no is told by its SIP status; it had no codec yet."""
    more = {
        "ChannelState": "0",
        "Exten": "",
        "Uniqueid": "1795576217.3",
        "Cause": "58",
        "TechCause": "488",
        "ChanVariable": "CHANNEL(audionativeformat)=(alaw|ulaw)\nRTPAUDIOQOS=",
    }
    hang_up(log, HANGUP | more)

    call = log.last("2001")
    assert call
    assert (call.incoming, call.state, call.sip, call.peer) == (True, "not-rung", 488, "2002")
    assert (call.codec, call.rtp, call.seconds) == (None, None, None)


async def test_answered_elsewhere(log: CallLog) -> None:
    """The other phones of a number, which only rang, do not hide the one that took the call."""
    hang_up(log, HANGUP)
    hang_up(log, HANGUP | {"Channel": "PJSIP/2001-0000000b", "Cause": "26", "ChannelState": "5"})

    call = log.last("2001")
    assert call
    assert call.state == "answered"


@pytest.mark.parametrize(
    "headers",
    [
        {"Channel": "Local/echo@muru-selftest-00000001;1"},
        {"Channel": ""},
        {"Channel": "PJSIP/2001"},
    ],
)
async def test_no_phone(log: CallLog, headers: Mapping[str, str]) -> None:
    """What is no phone's channel is nobody's call."""
    hang_up(log, {**HANGUP, **headers})
    assert log.last("2001") is None


@pytest.mark.parametrize(
    "told",
    [
        "",
        "RTPAUDIOQOS=",
        "RTPAUDIOQOS=rxcount=a;txcount=b",
        "\n\n",
        "RTPAUDIOQOS=;;;===",
        "x" * 900,
    ],
)
async def test_statistics_that_are_none(log: CallLog, told: str) -> None:
    """Statistics that are missing or broken are unknown."""
    hang_up(
        log, HANGUP | {"ChanVariable": told, "Cause": "²", "ChannelState": "", "TechCause": "x"}
    )
    call = log.last("2001")
    assert call
    assert (call.rtp, call.codec, call.cause, call.sip) == (None, None, 0, None)
