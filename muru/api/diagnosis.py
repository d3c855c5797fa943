"""Why a phone does not work, its self-test, calls from the web, and who is guessing passwords."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from muru.api.routing import Call, Endpoints, Input
from muru.asterisk.security import Suspect
from muru.keys import ARI, DIAGNOSIS, REGISTRATIONS, SECURITY, SELFTESTS
from muru.services.causes import CAUSES
from muru.services.chain import Link, facts_of
from muru.services.diagnosis import Diagnosis, diagnose
from muru.services.dialing import call_from
from muru.services.selftest import SelfTest

endpoints = Endpoints()

_EXTENSION = "/extensions/{number:\\d{1,15}}"


class LinkView(BaseModel):
    """*state* is ok, broken, unknown or skipped (not needed by this phone)."""

    name: str
    state: str
    cause: str | None
    facts: dict[str, Any]

    @classmethod
    def of(cls, link: Link) -> Self:
        return cls(name=link.name, state=link.state, cause=link.cause, facts=dict(link.facts))


class DiagnosisView(BaseModel):
    """*broken* is the name of the first broken link, *cause* the key of what is wrong with it.

    *text* says it to the phone's owner, with what to do next, *operator_text* to the operator. All
    four are None if nothing is wrong as far as is known.
    """

    number: str
    ok: bool
    broken: str | None
    cause: str | None
    text: str | None
    operator_text: str | None
    links: list[LinkView]

    @classmethod
    def of(cls, found: Diagnosis) -> Self:
        cause = found.cause
        return cls(
            number=found.number,
            ok=found.ok,
            broken=found.broken.name if found.broken else None,
            cause=cause.key if cause else None,
            text=cause.text if cause else None,
            operator_text=cause.operator_text if cause else None,
            links=[LinkView.of(link) for link in found.links],
        )


class SelfTestBody(Input):
    """*ring* is for how many seconds the phone rings."""

    ring: Annotated[float, Field(ge=1, le=60)] = 20


class SelfTestView(BaseModel):
    """*outcome* is done (a key was pressed), hung-up (none was), refused or no-answer.

    *audio_from_phone* and *audio_to_phone* are None where it is not known. *cause* and *text* say
    what is wrong, if something is. *call* has codec, losses (percent), jitter and rtt (ms).
    """

    number: str
    at: datetime
    outcome: str
    digit: str | None
    audio_from_phone: bool | None
    audio_to_phone: bool | None
    cause: str | None
    text: str | None
    call: dict[str, Any] | None

    @classmethod
    def of(cls, result: SelfTest) -> Self:
        names = ("number", "at", "outcome", "digit", "audio_from_phone", "audio_to_phone", "cause")
        return cls(
            **{name: getattr(result, name) for name in names},
            text=CAUSES[result.cause].text if result.cause else None,
            call=facts_of(result.call) if result.call else None,
        )


class OriginateBody(Input):
    to: str = Field(max_length=15)


class OriginateView(BaseModel):
    """*contact* is the phone that rings."""

    contact: str


class SuspectView(BaseModel):
    """*accounts* are the last ones that were tried there, and why each was refused."""

    host: str
    refused: int
    first_at: datetime
    last_at: datetime
    accounts: dict[str, str]

    @classmethod
    def of(cls, suspect: Suspect) -> Self:
        return cls(**{name: getattr(suspect, name) for name in cls.model_fields})


class SecurityView(BaseModel):
    """*since* is when muru began to listen; None while Asterisk is away."""

    since: datetime | None
    addresses: list[SuspectView]


@endpoints.get(_EXTENSION + "/diagnosis")
async def get_diagnosis(call: Call) -> DiagnosisView:
    """Tell why the extension's phone does not work; asks the phone whether it is there."""
    sources = call.request.config_dict[DIAGNOSIS]
    return DiagnosisView.of(await diagnose(sources, call.actor, call.path("number")))


@endpoints.post(_EXTENSION + "/selftest")
async def test_phone(call: Call, body: SelfTestBody) -> SelfTestView:
    """Ring the extension's phone and test it; answers when the test is over."""
    tests = call.request.config_dict[SELFTESTS]
    return SelfTestView.of(await tests.ring(call.actor, call.path("number"), seconds=body.ring))


@endpoints.get(_EXTENSION + "/selftest")
async def get_last_test(call: Call) -> SelfTestView:
    """Return the last self-test of the extension, also one that was dialled on the phone."""
    tests = call.request.config_dict[SELFTESTS]
    return SelfTestView.of(await tests.last(call.actor, call.path("number")))


@endpoints.post(_EXTENSION + "/originate")
async def originate(call: Call, body: OriginateBody) -> OriginateView:
    """Ring the extension's own phone, and let it call *to* when somebody answers it."""
    ari, registrations = call.request.config_dict[ARI], call.request.config_dict[REGISTRATIONS]
    contact = await call_from(
        call.site, ari, registrations, call.actor, call.path("number"), body.to
    )
    return OriginateView(contact=contact.uri)


@endpoints.get("/diagnostics/events", access="admin")
async def get_security(call: Call) -> SecurityView:
    """List the addresses from which logins were refused, the last one first."""
    security = call.request.config_dict[SECURITY]
    return SecurityView(
        since=security.since, addresses=[SuspectView.of(each) for each in security.suspects()]
    )
