"""The operator's own numbers: their steps, made by buttons, and shown as Asterisk reads them."""

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from muru.asterisk.dialplan.checks import Finding
from muru.asterisk.dialplan.numbers import MOST_STEPS
from muru.db.models import DialplanVersion
from muru.errors import MuruError, NotFound
from muru.keys import ARI, REGISTRATIONS
from muru.services import dialplan, extensions
from muru.services.dialplan import Draft, Saved
from muru.web.forms import Form
from muru.web.language import _, told
from muru.web.operator import steps
from muru.web.operator.area import failed, show
from muru.web.routing import Pages, Visit

pages = Pages()

_LIST = "/operator/dialplan"
_NUMBER = _LIST + "/{number:\\*?\\d{1,15}}"
_MOST_PHONES = 100  # to try it with
_NEW: list[dict[str, Any]] = [{"application": {"app": "Answer"}}]


@dataclass(slots=True)
class Draught:
    """Steps as they are being made: *lines* are for Asterisk, *findings* by step.

    *faults* are why there are no lines; *opened* is the step that somebody works at.
    """

    steps: list[dict[str, Any]]
    lines: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    opened: int | None = None

    def at(self, index: int | None) -> list[Finding]:
        """Return what was found at a step; None: what is nobody's."""
        at = None if index is None else index + 1
        return [each for each in self.findings if each.priority == at]


@pages.get(_LIST, access="admin")
async def list_numbers(visit: Visit) -> web.Response:
    return show(
        visit,
        "dialplan.html",
        numbers=await dialplan.list_numbers(visit.site, visit.actor),
        findings=await dialplan.check(visit.site, visit.actor),
        warnings=dialplan.WARNINGS,
    )


@pages.get(_LIST + "/new", access="admin")
async def show_new(visit: Visit) -> web.Response:
    form = Form({"number": visit.query("number", 15)})
    steps.fill(form, _NEW)
    return await _show(visit, form, Draught(_NEW, opened=0))


@pages.post(_LIST + "/new", access="admin")
async def create(visit: Visit) -> web.Response:
    form = await visit.form()
    return await _edit(visit, form, form["number"].strip(), None)


@pages.get(_NUMBER, access="admin")
async def show_number(visit: Visit) -> web.Response:
    number = visit.path("number")
    versions = await dialplan.list_versions(visit.site, visit.actor, number)
    try:
        version = await dialplan.get_number(visit.site, visit.actor, number)
    except NotFound:
        return show(visit, "dialplan_deleted.html", number=number, versions=versions)
    form = Form({"number": number, "based_on": str(version.version)})
    steps.fill(form, version.steps)
    draught = await _preview(visit, form, number, version.steps)
    return await _show(visit, form, draught, version, versions)


@pages.post(_NUMBER, access="admin")
async def change(visit: Visit) -> web.Response:
    number = visit.path("number")
    version = await dialplan.get_number(visit.site, visit.actor, number)
    return await _edit(visit, await visit.form(), number, version)


@pages.post(_NUMBER + "/undo", access="admin")
async def undo(visit: Visit) -> web.Response:
    form, number = await visit.form(), visit.path("number")
    version = _whole(form["version"]) or 0
    try:
        saved = await dialplan.undo(visit.site, visit.actor, number, version)
    except MuruError as error:
        return failed(visit, f"{_LIST}/{number}", error)
    return _saved(visit, saved)


@pages.post(_NUMBER + "/try", access="admin")
async def try_out(visit: Visit) -> web.Response:
    """Ring a phone; who answers it hears the number as it was saved."""
    form, number = await visit.form(), visit.path("number")
    ari, registrations = visit.request.config_dict[ARI], visit.request.config_dict[REGISTRATIONS]
    phone, back = form["extension"][:15], f"{_LIST}/{number}"
    try:
        await dialplan.try_out(visit.site, ari, registrations, visit.actor, number, phone)
    except MuruError as error:
        return failed(visit, back, error)
    return visit.redirect(back, flash=_("%(number)s rings: answer it.") % {"number": phone})


@pages.post(_NUMBER + "/delete", access="admin")
async def delete(visit: Visit) -> web.Response:
    number = visit.path("number")
    try:
        await dialplan.delete_number(visit.site, visit.actor, number)
    except MuruError as error:
        return failed(visit, f"{_LIST}/{number}", error)
    return visit.redirect(_LIST, flash=_("%(number)s is gone.") % {"number": number})


async def _edit(
    visit: Visit, form: Form, number: str, version: DialplanVersion | None
) -> web.Response:
    """Do what the button says that was pressed: add, move or remove a step, look, or save."""
    found = steps.read(form)
    action, _dot, at = form["do"].partition(".")
    if action == "save":
        draft = Draft(number, found, form["comment"], _whole(form["based_on"]))
        saving = dialplan.change if version else dialplan.create
        try:
            return _saved(visit, await saving(visit.site, visit.actor, draft))
        except MuruError as error:
            steps.fill(form, found)
            _take(form, error, len(found))
            draught = await _preview(visit, Form(dict(form.values)), number, found)
            return await _show(visit, form, draught, version)
    opened = _moved(found, action, _whole(at))
    steps.fill(form, found)
    draught = await _preview(visit, form, number, found)
    draught.opened = opened
    if action != "preview":
        form.errors.clear()  # who has only begun with a step has done nothing wrong
    return await _show(visit, form, draught, version)


def _moved(found: list[dict[str, Any]], action: str, at: int | None) -> int | None:
    """Change the list of steps as a button says, and return the index of the step to show."""
    if action == "add" and len(found) < MOST_STEPS:
        place = len(found) if at is None else min(at, len(found))
        found.insert(place, {"application": {"app": "Answer" if not found else "Playback"}})
        return place
    if at is None or at >= len(found):
        return None
    if action == "remove":
        del found[at]
        return None
    place = {"up": at - 1, "down": at + 1}.get(action, at)
    if 0 <= place < len(found):
        found.insert(place, found.pop(at))
        return place
    return at


async def _preview(visit: Visit, form: Form, number: str, found: list[dict[str, Any]]) -> Draught:
    """Return what the steps are for Asterisk; what does not fit by itself is told in *form*."""
    draught = Draught(found)
    if not number:
        draught.faults.append(_("Type the number first."))
        return draught
    try:
        seen = await dialplan.preview(visit.site, visit.actor, Draft(number, found))
    except MuruError as error:
        _take(form, error, len(found))
        form.status, draught.faults = 200, _faults(form)
    else:
        draught.lines, draught.findings = seen.lines, seen.findings
    return draught


def _take(form: Form, error: MuruError, count: int) -> None:
    form.take(error, {"number-taken": "number", "number-reserved": "number"})
    steps.explain(form, count)


def _faults(form: Form) -> list[str]:
    """Return what is wrong, each with the step that it is about."""
    told_of = [form.error] if form.error else []
    for name, fault in form.errors.items():
        index = steps.step_of(name)
        at = "" if index is None else _("Step %(number)s:") % {"number": index + 1}
        told_of.append(f"{at} {fault}".strip())
    return told_of


def _saved(visit: Visit, saved: Saved) -> web.Response:
    back = f"{_LIST}/{saved.version.number}"
    if saved.warnings:
        told_of = " ".join(told(each.text) for each in saved.warnings)
        return visit.redirect(back, flash=f"{_('Saved.')} {told_of}", kind="warning")
    return visit.redirect(back, flash=_("Saved."))


async def _show(
    visit: Visit,
    form: Form,
    draught: Draught,
    version: DialplanVersion | None = None,
    versions: list[DialplanVersion] | None = None,
) -> web.Response:
    if version is not None and versions is None:
        versions = await dialplan.list_versions(visit.site, visit.actor, version.number)
    return show(
        visit,
        "dialplan_number.html",
        status=form.status,
        form=form,
        draught=draught,
        faulty={steps.step_of(name) for name in form.errors},
        version=version,
        versions=versions or [],
        phones=await _phones(visit) if version else [],
        arguments=steps.arguments(),
        descriptions=steps.descriptions(),
        place_fields=steps.places(),
        within=steps.WITHIN,
        warnings=dialplan.WARNINGS,
        summary=_summary,
    )


async def _phones(visit: Visit) -> list[tuple[str, str]]:
    """Return the phones of the administrator's that could ring now."""
    registrations = visit.request.config_dict[REGISTRATIONS]
    found, _total = await extensions.list_extensions(
        visit.site, visit.actor, limit=_MOST_PHONES, own=True
    )
    reachable = [each for each in found if registrations.contacts(each.number)]
    return [(each.number, f"{each.number} {each.name}") for each in reachable]


def _summary(line: str) -> str:
    """Return a line for extensions.conf without its beginning: what the step does."""
    return line.split(",", 2 if line.startswith("exten") else 1)[-1]


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
