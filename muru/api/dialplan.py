"""The operator's own numbers: their steps, what is wrong with them, and their versions."""

from datetime import datetime
from functools import cache
from typing import Any, Self

from pydantic import BaseModel, Field

from muru.api.extensions import Number
from muru.api.routing import Call, Endpoints, Input
from muru.asterisk.dialplan.applications import NAMES, REFUSED
from muru.asterisk.dialplan.checks import Finding
from muru.asterisk.dialplan.numbers import MOST_STEPS, Step
from muru.db.models import DialplanVersion
from muru.keys import ARI, REGISTRATIONS
from muru.services import dialplan
from muru.services.dialplan import Draft, Saved

endpoints = Endpoints()

_NUMBER = "/dialplan/{number:\\*?\\d{1,15}}"


class NumberBody(Input):
    """*comment* says why, for whoever reads the versions."""

    number: Number
    steps: list[Step] = Field(max_length=MOST_STEPS)
    comment: str = Field("", max_length=500)


class StepsBody(Input):
    """*based_on* is the version that was edited: if there is a newer one, nothing is saved."""

    steps: list[Step] = Field(max_length=MOST_STEPS)
    comment: str = Field("", max_length=500)
    based_on: int | None = None


class UndoBody(Input):
    """The version that becomes the newest again."""

    version: int = Field(ge=1, le=1_000_000_000)


class TryBody(Input):
    """A phone of *extension* rings."""

    number: Number
    extension: Number


class FindingView(BaseModel):
    """*step* counts from 1; None: it is about the number. Only a warning may be saved."""

    number: str
    step: int | None
    fault: str
    text: str
    is_warning: bool

    @classmethod
    def of(cls, finding: Finding) -> Self:
        return cls(
            number=finding.number,
            step=finding.priority,
            fault=finding.fault,
            text=finding.text,
            is_warning=finding.fault in dialplan.WARNINGS,
        )


class VersionView(BaseModel):
    number: str
    version: int
    steps: list[dict[str, Any]]
    username: str
    at: datetime
    comment: str

    @classmethod
    def of(cls, version: DialplanVersion) -> Self:
        return cls(**{name: getattr(version, name) for name in VersionView.model_fields})


class SavedView(VersionView):
    """*warnings* are what may be wrong with it, and was saved all the same."""

    warnings: list[FindingView] = Field(default_factory=list)

    @classmethod
    def after(cls, saved: Saved) -> Self:
        view = cls.of(saved.version)
        view.warnings = [FindingView.of(each) for each in saved.warnings]
        return view


class PreviewView(BaseModel):
    """*lines* are what Asterisk's extensions.conf would have."""

    lines: list[str]
    findings: list[FindingView]


class ApplicationsView(BaseModel):
    """*step* is the JSON schema of a step, with all applications in it.

    *applications* tells what each does, *refused* why others are not allowed.
    """

    step: dict[str, Any]
    applications: dict[str, str]
    refused: dict[str, str]


class TryView(BaseModel):
    """*contact* is the phone that rings."""

    contact: str


@endpoints.get("/dialplan", access="admin")
async def list_own_numbers(call: Call) -> list[VersionView]:
    """List the own numbers, each as it is now."""
    found = await dialplan.list_numbers(call.site, call.actor)
    return [VersionView.of(each) for each in found]


@endpoints.post("/dialplan", access="admin", status=201)
async def create_own_number(call: Call, body: NumberBody) -> SavedView:
    """Add an own number; what is wrong beyond a warning is refused."""
    draft = Draft(body.number, body.steps, body.comment)
    return SavedView.after(await dialplan.create(call.site, call.actor, draft))


@endpoints.get("/dialplan/applications", access="admin")
async def list_applications(call: Call) -> ApplicationsView:
    """Tell what a step can do, by which arguments, and what it cannot."""
    del call
    return _applications()


@endpoints.get("/dialplan/check", access="admin")
async def check_own_numbers(call: Call) -> list[FindingView]:
    """Tell what is wrong with the own numbers, as they are together."""
    return [FindingView.of(each) for each in await dialplan.check(call.site, call.actor)]


@endpoints.post("/dialplan/preview", access="admin")
async def preview_own_number(call: Call, body: NumberBody) -> PreviewView:
    """Tell what an own number would be for Asterisk, and what is wrong with it."""
    draft = Draft(body.number, body.steps)
    found = await dialplan.preview(call.site, call.actor, draft)
    return PreviewView(
        lines=found.lines, findings=[FindingView.of(each) for each in found.findings]
    )


@endpoints.post("/dialplan/try", access="admin")
async def try_own_number(call: Call, body: TryBody) -> TryView:
    """Ring a phone, and let who answers it hear the own number."""
    ari, registrations = call.request.config_dict[ARI], call.request.config_dict[REGISTRATIONS]
    contact = await dialplan.try_out(
        call.site, ari, registrations, call.actor, body.number, body.extension
    )
    return TryView(contact=contact.uri)


@endpoints.get(_NUMBER, access="admin")
async def get_own_number(call: Call) -> VersionView:
    """Return an own number as it is now."""
    return VersionView.of(await dialplan.get_number(call.site, call.actor, call.path("number")))


@endpoints.put(_NUMBER, access="admin")
async def change_own_number(call: Call, body: StepsBody) -> SavedView:
    """Save a new version of an own number; what is wrong beyond a warning is refused."""
    draft = Draft(call.path("number"), body.steps, body.comment, body.based_on)
    return SavedView.after(await dialplan.change(call.site, call.actor, draft))


@endpoints.delete(_NUMBER, access="admin")
async def delete_own_number(call: Call) -> None:
    """Delete an own number to which no other leads; its versions stay."""
    await dialplan.delete_number(call.site, call.actor, call.path("number"))


@endpoints.get(_NUMBER + "/versions", access="admin")
async def list_versions_of_own_number(call: Call) -> list[VersionView]:
    """List what is kept of an own number, the newest first; also if it is deleted."""
    found = await dialplan.list_versions(call.site, call.actor, call.path("number"))
    return [VersionView.of(each) for each in found]


@endpoints.post(_NUMBER + "/undo", access="admin")
async def undo_own_number(call: Call, body: UndoBody) -> SavedView:
    """Make an older version of an own number the newest; also if it is deleted."""
    number = call.path("number")
    return SavedView.after(await dialplan.undo(call.site, call.actor, number, body.version))


@cache
def _applications() -> ApplicationsView:
    schema = Step.model_json_schema()
    texts = {name: schema["$defs"][name]["description"] for name in NAMES}
    return ApplicationsView(step=schema, applications=texts, refused=dict(REFUSED))
