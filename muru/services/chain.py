"""The links between a person's phone and a call, each looked at by one small function.

They only judge what a :class:`Case` holds. A link is broken, ok, or unknown; or it is skipped, as
what a phone has to do with it is done in another way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from muru.asterisk.call_log import EndedCall
from muru.asterisk.registrations import Contact
from muru.asterisk.security import Account, Attempt, Suspect
from muru.db.models import Device, Extension, ProvisioningLogEntry, now

State = Literal["ok", "broken", "unknown", "skipped"]

_SHOWN_FILES = 10
_ANSWER_TAKES = timedelta(seconds=1)  # from a challenge to the phone's password
_ENOUGH = timedelta(minutes=10)  # in which a phone that is there tries again
_HEARD = 2.0  # seconds of a call after which silence means something
_PACKETS = 50  # of 20 ms: a second of sound
_BAD_LOSS = 5.0  # percent
_MOST_LOSS = 90.0  # percent; a phone that misses that much hears nothing

# Reasons that the provisioning engine notes.
_NO_PROOF, _TOO_OFTEN = "no proof", "too many requests without a proof"
_NO_FILE, _BROKEN = "no flavor has such a file", "its template is broken"

_NO_CODEC = {415, 488, 606}
_BUSY, _DECLINED = {486, 600}, {403, 433, 603}
#: What Asterisk also notes where the phone said nothing, or nobody took the call in time.
NO_ANSWER = frozenset({408, 480, 487, 500, 503})
_FRESH = timedelta(hours=1)  # what an older call was like is told, and accuses nobody


@dataclass(frozen=True, slots=True)
class Link:
    """A part of the chain. *cause* is a key of :data:`muru.services.causes.CAUSES`, if broken."""

    name: str
    state: State
    cause: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that is known of an extension's phone. *visits* are the newest first.

    *active* tells whether its type has a flavor, and *faulty* which have none and why. *sip* tells
    whether the type has a SIP account, *files* whether its phones fetch files. *away* says why
    there is no link to Asterisk. *rows* says what is wrong in Asterisk's tables. *known* tells
    whether Asterisk has the endpoint, *answering* of contacts by URI whether they answered just
    now; None: it could not be asked. *since* is when muru began to listen.
    """

    extension: Extension
    active: bool
    faulty: list[str] = field(default_factory=list)
    sip: bool = True
    files: bool = False
    away: str | None = None
    rows: list[str] = field(default_factory=list)
    known: bool | None = None
    device: Device | None = None
    visits: list[ProvisioningLogEntry] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    suspect: Suspect | None = None
    since: datetime | None = None
    contacts: list[Contact] = field(default_factory=list)
    answering: Mapping[str, bool | None] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    call: EndedCall | None = None

    @property
    def has_tried(self) -> bool:
        """Whether anything tried to log in, so that the phone is set up somehow."""
        account = self.account
        return bool(self.contacts or account.challenged or account.accepted or account.refused)


def walk(case: Case) -> list[Link]:
    """Judge all links. Only the first broken one has a cause: what is behind it may follow from it.

    A number without a SIP account has no phone that could be broken.
    """
    links: list[Link] = []
    for name, judge in _LINKS.items():
        without_phone = not case.sip and name not in {"flavor", "account"}
        link = Link(name, "skipped") if without_phone else replace(judge(case), name=name)
        if link.state == "broken" and any(each.state == "broken" for each in links):
            link = replace(link, state="unknown", cause=None)
        links.append(link)
    return links


def _flavor(case: Case) -> Link:
    facts = {"type": case.extension.type, "faulty": case.faulty}
    return _ok() if case.active else _broken("flavor-faulty", facts)


def _asterisk(case: Case) -> Link:
    return _ok() if case.away is None else _broken("asterisk-away", {"reason": case.away})


def _account(case: Case) -> Link:
    facts = {"rows": case.rows, "number": case.extension.number}
    if case.rows:
        return _broken("account-differs", facts)
    if case.known is False:
        return _broken("account-unseen", facts)
    return _ok()


def _device(case: Case) -> Link:
    device = case.device
    if not case.files:
        return _skipped()
    if device is None:
        return _skipped() if case.has_tried else _broken("no-device", {})
    facts = {
        "mac": device.mac,
        "last_seen": device.last_seen,
        "address": device.address,
        "model": device.model,
        "firmware": device.firmware,
    }
    if case.visits or device.last_seen:
        return _ok(facts)
    if case.has_tried or device.mac is None:
        return _skipped(facts)  # set up by hand; an app is found in what it registers
    return _broken("device-unseen", facts)


def _files(case: Case) -> Link:
    visits = case.visits
    if not visits:
        return _skipped()
    facts = {
        "number": case.extension.number,
        "file": visits[0].file,
        "files": [
            {
                "at": visit.at,
                "file": visit.file,
                "status": visit.status,
                "reason": visit.reason,
                "address": visit.address,
                "transport": visit.transport,
                "user_agent": visit.user_agent,
            }
            for visit in visits[:_SHOWN_FILES]
        ],
    }
    if case.contacts:
        return _ok(facts)
    if visits[0].reason == _BROKEN:
        return _broken("template-broken", facts)
    if all(visit.reason == _NO_FILE for visit in visits):
        return _broken("wrong-file", facts)
    return _ok(facts)


def _proof(case: Case) -> Link:
    asked = [visit for visit in case.visits if visit.proof or _is_refused(visit)]
    if not asked:
        return _skipped()
    last, device = asked[0], case.device
    facts = {
        "at": last.at,
        "mac": last.mac,
        "address": last.address,
        "proof": last.proof,
        "granted_to": device.granted_to if device else None,
        "granted_at": device.granted_at if device else None,
    }
    if last.proof or case.contacts:
        return _ok(facts)
    if last.reason == _TOO_OFTEN:
        return _broken("asks-too-often", facts)
    return _broken("proof-refused", facts)


def _register(case: Case) -> Link:
    account = case.account
    tried = account.challenged
    facts = {"since": case.since, "address": tried.address if tried else None}
    if case.contacts or account.refused or _lookalike(case):
        return _ok(facts)
    if account.challenged and _is_later(account.challenged, account.accepted):
        unanswered = now() - account.challenged.at > _ANSWER_TAKES
        return _broken("challenge-unanswered", facts) if unanswered else _unknown(facts)
    if account.accepted:
        return _ok(facts)
    # A phone that came before is not to be accused by a muru that was started a moment ago.
    created = case.extension.created_at
    heard_all = case.since and (case.since <= created or now() - case.since > _ENOUGH)
    return _broken("no-register", facts) if heard_all else _unknown(facts)


def _password(case: Case) -> Link:
    number, refused, accepted = case.extension.number, case.account.refused, case.account.accepted
    stranger = _lookalike(case)
    if stranger is not None and case.suspect is not None:
        told = {"number": number, "account": stranger, "address": case.suspect.host}
        return _broken("unknown-account", told)
    facts = {
        "number": number,
        "account": number,
        "address": refused.address if refused else None,
        "refused_at": refused.at if refused else None,
        "accepted_at": accepted.at if accepted else None,
        "accepted_from": accepted.address if accepted else None,
    }
    if refused and _is_later(refused, accepted) and not _is_elsewhere(case, refused):
        return _broken(refused.reason, facts)
    return _ok(facts) if accepted or case.contacts else _unknown(facts)


def _registration(case: Case) -> Link:
    if case.contacts:
        return _ok({"contacts": [_contact_facts(case, each) for each in case.contacts]})
    accepted = case.account.accepted
    if accepted is None:
        return _broken("not-registered", {})
    return _broken("gone", {"accepted_at": accepted.at, "accepted_from": accepted.address})


def _answer(case: Case) -> Link:
    if not case.contacts:
        return _unknown()
    answers = [case.answering.get(contact.uri) for contact in case.contacts]
    facts = {"address": case.contacts[0].address}
    if True in answers:
        return _ok(facts)
    return _unknown(facts) if None in answers else _broken("unreachable", facts)


def _call(case: Case) -> Link:
    call = case.call
    if call is None:
        return _unknown()
    facts = facts_of(call)
    found = fault_of(call) if now() - call.ended_at < _FRESH else None
    return _broken(found, facts) if found else _ok(facts)


_LINKS: Mapping[str, Callable[[Case], Link]] = {
    "flavor": _flavor,
    "asterisk": _asterisk,
    "account": _account,
    "device": _device,
    "files": _files,
    "proof": _proof,
    "register": _register,
    "password": _password,
    "registration": _registration,
    "answer": _answer,
    "call": _call,
}

LINKS = tuple(_LINKS)


def facts_of(call: EndedCall) -> dict[str, Any]:
    """Return what there is to be told of a call."""
    rtp = call.rtp
    return {
        "peer": call.peer or None,
        "incoming": call.incoming,
        "ended_at": call.ended_at,
        "state": call.state,
        "sip": call.sip,
        "cause": call.cause,
        "cause_text": call.cause_text,
        "codec": call.codec,
        "seconds": call.seconds,
        "received": rtp.received if rtp else None,
        "sent": rtp.sent if rtp else None,
        "lost": rtp.lost if rtp else None,
        "lost_there": rtp.lost_there if rtp else None,
        "jitter": rtp.jitter if rtp else None,
        "rtt": rtp.rtt if rtp else None,
    }


def fault_of(call: EndedCall) -> str | None:
    """Return the cause for which a call of the phone's was none; None if the phone did its part."""
    if call.state == "answered":
        return _fault_of_audio(call)
    if not call.incoming or call.sip is None or call.sip in NO_ANSWER:
        return None
    if call.sip in _NO_CODEC:
        return "codec-mismatch"
    if call.sip in _BUSY:
        return "busy"
    return "declined" if call.sip in _DECLINED else "call-failed"


def _fault_of_audio(call: EndedCall) -> str | None:
    rtp = call.rtp
    if rtp is None:
        return None
    long_enough = rtp.sent >= _PACKETS or (call.seconds or 0) >= _HEARD
    if rtp.received == 0 and long_enough:
        return "no-audio-from-phone"
    if rtp.lost_there is not None and rtp.sent >= _PACKETS and rtp.lost_there >= _MOST_LOSS:
        return "no-audio-to-phone"
    much = max(rtp.lost or 0, rtp.lost_there or 0) >= _BAD_LOSS
    return "bad-audio" if much and rtp.received >= _PACKETS else None


def _contact_facts(case: Case, contact: Contact) -> dict[str, Any]:
    return {
        "address": contact.address,
        "own_address": contact.via_address,
        "behind_nat": bool(contact.via_address) and contact.via_address != contact.address,
        "user_agent": contact.user_agent,
        "model": case.models.get(contact.uri),
        "answers": case.answering.get(contact.uri),
        "rtt_ms": contact.rtt_ms,
        "since": contact.since,
        "expires_at": contact.expires_at,
    }


def _lookalike(case: Case) -> str | None:
    """Return the account that the extension's phone tries in vain, if it tries none that exists."""
    if case.has_tried or case.suspect is None:
        return None
    names = (name for name, why in case.suspect.accounts.items() if why == "unknown-account")
    return next(names, None)


def _is_elsewhere(case: Case, refused: Attempt) -> bool:
    """Tell whether the extension's phones are registered, and it is another that was refused."""
    return bool(case.contacts) and refused.address not in {each.address for each in case.contacts}


def _is_refused(visit: ProvisioningLogEntry) -> bool:
    return visit.reason.startswith(_NO_PROOF) or visit.reason == _TOO_OFTEN


def _is_later(one: Attempt, other: Attempt | None) -> bool:
    return other is None or one.at > other.at


def _ok(facts: Mapping[str, Any] | None = None) -> Link:
    return Link("", "ok", None, facts or {})


def _broken(cause: str, facts: Mapping[str, Any]) -> Link:
    return Link("", "broken", cause, facts)


def _unknown(facts: Mapping[str, Any] | None = None) -> Link:
    return Link("", "unknown", None, facts or {})


def _skipped(facts: Mapping[str, Any] | None = None) -> Link:
    return Link("", "skipped", None, facts or {})
