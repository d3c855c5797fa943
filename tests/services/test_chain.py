"""Links of the chain that cannot be broken for real in a moment, and the order of all."""

from datetime import timedelta
from typing import Any

import pytest

from muru.asterisk.call_log import EndedCall, Rtp
from muru.asterisk.registrations import Contact, Status
from muru.asterisk.security import Account, Attempt
from muru.db.models import Device, Extension, ProvisioningLogEntry, now
from muru.services.causes import CAUSES, fill
from muru.services.chain import Case, walk


def extension() -> Extension:
    created = now() - timedelta(hours=2)
    return Extension(number="2001", type="A phone", created_at=created, extra_fields={})


def visit(**values: Any) -> ProvisioningLogEntry:
    more = {"status": 404, "reason": "", "proof": "", "transport": "http", "user_agent": ""}
    known = {"at": now(), "mac": "000b82aabbcc", "address": "192.0.2.7", "file": "cfg.xml"}
    return ProvisioningLogEntry(**{**more, **known, **values})


def call(**values: Any) -> EndedCall:
    known: dict[str, Any] = {
        "id": "1",
        "number": "2001",
        "peer": "2002",
        "incoming": True,
        "ended_at": now(),
        "state": "answered",
        "cause": 16,
        "cause_text": "",
        "sip": None,
        "codec": "alaw",
        "seconds": 10.0,
        "rtp": None,
    }
    return EndedCall(**{**known, **values})


def contact() -> Contact:
    uri, here = "sip:2001@192.0.2.7:5060", "192.0.2.7:5060"
    return Contact("2001", uri, here, here, "", Status.REACHABLE, 1.0, now(), None)


def case(**values: Any) -> Case:
    """Return a case in which all is well, but for *values*."""
    device = Device(id=1, mac="000b82aabbcc", address="192.0.2.7", last_seen=now())
    known: dict[str, Any] = {
        "extension": extension(),
        "active": True,
        "files": True,
        "known": True,
        "device": device,
        "visits": [visit(status=200, proof="token")],
        "account": Account(None, Attempt("192.0.2.7:5060", now()), None),
        "since": now() - timedelta(hours=3),
        "contacts": [contact()],
        "answering": {contact().uri: True},
        "call": call(rtp=Rtp(500, 500, 0.0, 0.0)),
    }
    return Case(**{**known, **values})


def cause(found: Case) -> str | None:
    """Return the one cause that is named, after filling in its texts."""
    [*causes] = [link for link in walk(found) if link.cause]
    for link in causes:
        for text in (CAUSES[link.cause or ""].text, CAUSES[link.cause or ""].operator_text):
            assert "{" not in fill(text, link.facts)
    assert len(causes) <= 1
    return causes[0].cause if causes else None


ALONE: dict[str, Any] = {"contacts": [], "account": Account(), "call": None}


def old(minutes: float, reason: str = "") -> Attempt:
    return Attempt("192.0.2.9:5060", now() - timedelta(minutes=minutes), reason)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"known": False}, "account-unseen"),
        (ALONE | {"visits": [visit(reason="its template is broken")]}, "template-broken"),
        (
            ALONE | {"visits": [visit(reason="too many requests without a proof")]},
            "asks-too-often",
        ),
        ({"visits": [visit(reason="no proof")]}, None),  # it is registered all the same
        (ALONE | {"account": Account(refused=old(1, "not-allowed"))}, "not-allowed"),
        (ALONE | {"account": Account(old(1), old(2), None)}, "challenge-unanswered"),
        (ALONE | {"account": Account(old(2), old(1), None)}, "gone"),
        (ALONE | {"since": None}, "not-registered"),
        (ALONE | {"since": now()}, "not-registered"),
        (ALONE | {"since": now() - timedelta(minutes=11)}, "no-register"),
        ({"answering": {contact().uri: False}}, "unreachable"),
        ({"answering": {}}, None),
        ({"call": call(rtp=Rtp(0, 500))}, "no-audio-from-phone"),
        ({"call": call(rtp=Rtp(0, 0), seconds=0.5)}, None),
        ({"call": call(rtp=Rtp(500, 500, 0.0, 100.0))}, "no-audio-to-phone"),
        ({"call": call(rtp=Rtp(500, 500, 12.0, 0.0))}, "bad-audio"),
        ({"call": call(rtp=Rtp(3, 3, 40.0, 0.0))}, None),
        ({"call": call(state="ringing", sip=480, rtp=None)}, None),
        ({"call": call(state="ringing", sip=486, rtp=None)}, "busy"),
        (
            {"call": call(state="ringing", sip=486, ended_at=now() - timedelta(hours=2))},
            None,
        ),
        ({"call": call(state="calling", incoming=False, sip=486)}, None),
    ],
)
def test_cause(values: dict[str, Any], expected: str | None) -> None:
    """What is wrong is named, and nothing where nothing is."""
    assert cause(case(**values)) == expected


def test_other_phone_is_refused() -> None:
    """A registered phone is not accused of what is tried elsewhere, but of its own attempts."""
    elsewhere = Account(None, old(2), old(1, "wrong-password"))
    assert cause(case(account=elsewhere)) is None

    own = Attempt("192.0.2.7:5060", now(), "wrong-password")
    assert cause(case(account=Account(None, old(2), own))) == "wrong-password"


def test_number_without_phone() -> None:
    """A type without a SIP account has no phone that could be broken."""
    links = walk(case(sip=False, device=None, **ALONE))
    assert [link.name for link in links if link.state != "skipped"] == ["flavor", "account"]
