"""Why a phone does not work, and who is guessing passwords."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from muru.api.routing import Call, Endpoints
from muru.asterisk.security import Suspect
from muru.keys import DIAGNOSIS, SECURITY
from muru.services.chain import Link
from muru.services.diagnosis import Diagnosis, diagnose

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


@endpoints.get("/diagnostics/security", access="admin")
async def get_security(call: Call) -> SecurityView:
    """List the addresses from which logins were refused, the last one first."""
    security = call.request.config_dict[SECURITY]
    return SecurityView(
        since=security.since, addresses=[SuspectView.of(each) for each in security.suspects()]
    )
