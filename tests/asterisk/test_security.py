"""Security events, also more of them than anybody can keep."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr

from muru.asterisk.ami import Ami
from muru.asterisk.security import Recent, Security, host_of
from tests.fake_ami import FakeAmi
from tests.observe import until

PLACE = "IPV4/UDP/192.0.2.7/5060"


@pytest.fixture
async def asterisk() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as server:
        yield server


@pytest.fixture
async def ami(asterisk: FakeAmi) -> AsyncIterator[Ami]:
    """A link to the stand-in; whoever subscribes does so before it is started."""
    secret = SecretStr(asterisk.secret)
    ami = Ami(host="127.0.0.1", port=asterisk.port, username=asterisk.username, secret=secret)
    yield ami
    await ami.stop()


@pytest.fixture
async def heard(ami: Ami) -> Security:
    listening = Security(ami)
    await ami.start()
    assert await ami.wait_connected(3)
    return listening


def emit(asterisk: FakeAmi, event: str, account: str, place: str = PLACE, **more: str) -> None:
    headers = {"Service": "PJSIP", "AccountID": account, "RemoteAddress": place}
    asterisk.emit(event, **(headers | more))


async def told(heard: Security, asterisk: FakeAmi) -> None:
    """Returns when all that was emitted before has been taken."""
    emit(asterisk, "SuccessfulAuth", "the-end")

    async def ended() -> bool:
        return heard.account("the-end").accepted is not None

    await until(ended, within=5)


async def test_login(asterisk: FakeAmi, heard: Security) -> None:
    """A challenge and an accepted password are kept with their address; neither is suspicious."""
    emit(asterisk, "ChallengeSent", "2001")
    emit(asterisk, "SuccessfulAuth", "2001", "IPV6/TCP/2001:db8::7/5061")
    await told(heard, asterisk)

    account = heard.account("2001")
    assert account.challenged
    assert account.accepted
    assert account.challenged.address == "192.0.2.7:5060"
    assert host_of(account.accepted.address) == "2001:db8::7"
    assert account.refused is None
    assert heard.suspects() == []
    assert heard.since is not None


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("ChallengeResponseFailed", "wrong-password"),
        ("InvalidPassword", "wrong-password"),
        ("InvalidAccountID", "unknown-account"),
        ("RequestNotSupported", "wrong-name"),
        ("FailedACL", "not-allowed"),
    ],
)
async def test_refusal(asterisk: FakeAmi, heard: Security, event: str, reason: str) -> None:
    """Each kind of refusal is told of the account, and of the address."""
    emit(asterisk, event, "2001")
    await told(heard, asterisk)

    refused = heard.account("2001").refused
    assert refused
    assert (refused.reason, refused.address) == (reason, "192.0.2.7:5060")
    [suspect] = heard.suspects()
    assert (suspect.host, suspect.refused, suspect.accounts) == ("192.0.2.7", 1, {"2001": reason})
    assert heard.suspect("192.0.2.7") is suspect
    assert heard.suspect("192.0.2.8") is None


async def test_others(asterisk: FakeAmi, heard: Security) -> None:
    """Logins to AMI, and the stand-in that Asterisk challenges for a stranger, are no phones."""
    emit(asterisk, "InvalidPassword", "muru", Service="AMI")
    emit(asterisk, "ChallengeResponseFailed", "<unknown>")
    emit(asterisk, "ChallengeSent", "<unknown>")
    emit(asterisk, "InvalidPassword", "")
    await told(heard, asterisk)

    assert heard.suspects() == []


async def test_flood(asterisk: FakeAmi, heard: Security, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up names push no account out, and nothing grows without end."""
    heard._strangers, heard._suspects = Recent(20), Recent(20)
    emit(asterisk, "SuccessfulAuth", "2001")
    for number in range(200):
        place = f"IPV4/UDP/192.0.2.{number}/5060"
        emit(asterisk, "InvalidAccountID", f"stranger-{number}" * 50, place)
        emit(asterisk, "InvalidAccountID", f"guess-{number}", "IPV4/UDP/198.51.100.1/5060")
    await told(heard, asterisk)

    assert heard.account("2001").accepted
    assert len(heard.suspects()) == 20
    assert all(len(each.accounts) <= 10 for each in heard.suspects())
    assert all(len(name) <= 64 for each in heard.suspects() for name in each.accounts)
    assert heard.suspects()[0].refused == 200


@pytest.mark.parametrize("place", ["", "IPV4", "IPV4/UDP//", "a/b/c/d/e", "\ufffd/x/y/z"])
async def test_strange_address(asterisk: FakeAmi, heard: Security, place: str) -> None:
    """An address that is none is no reason to fail."""
    emit(asterisk, "InvalidPassword", "2001", place)
    await told(heard, asterisk)

    assert heard.account("2001").refused


async def test_age() -> None:
    """What is too old is not told any more, and goes when there is more."""
    recent: Recent[int] = Recent(3, timedelta(seconds=0.05))
    recent.put("a", 1)
    assert (recent.get("a"), list(recent.values())) == (1, [1])
    await asyncio.sleep(0.06)
    assert (recent.get("a"), list(recent.values()), recent.get("b")) == (None, [], None)
    for number, key in enumerate("bcde"):
        recent.put(key, number)
    assert list(recent.values()) == [3, 2, 1]
    assert len(recent) == 3


async def test_asterisk_away(asterisk: FakeAmi, heard: Security, ami: Ami) -> None:
    """While Asterisk is away nobody claims to know who logs in."""
    was_known = heard.since is not None
    await ami.stop()
    assert (was_known, heard.since) == (True, None)
