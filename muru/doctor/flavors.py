"""The flavors, and the templates of the operator's own."""

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from muru.doctor import database
from muru.doctor.finding import Finding, fault, ok, warning
from muru.errors import MuruError
from muru.keys import SITE
from muru.provisioning.doors import own_origin
from muru.provisioning.preview import preview
from muru.provisioning.templates import Templates, templates_of
from muru.registry import Entry
from muru.services import phones
from muru.services.site import Site
from muru.settings import Settings

_ENABLE = "Name modules in MURU_ENABLED_PHONE_FLAVORS; muru flavors lists all there are."


async def examine(settings: Settings) -> list[Finding]:
    """Examine every flavor that is enabled, and render files of one extension of each."""
    from muru.app import create_app  # which imports all there is

    nothing = SecretStr("unused")  # else secrets would be generated, and kept
    app = create_app(settings.model_copy(update={"ami_secret": nothing, "ari_secret": nothing}))
    site = app[SITE]
    try:
        return _registered(site.registry.listing()) + await _templates(site)
    finally:
        await site.database.dispose()


def _registered(entries: list[Entry]) -> list[Finding]:
    findings = [_faulty(each) for each in entries if each.state == "faulty"]
    active = [each.name for each in entries if each.state == "active"]
    if not active:
        findings.append(
            fault("flavors", "None is active, so nobody can create an extension.", _ENABLE)
        )
    else:
        findings.append(ok("flavors", f"{len(active)} are active: {', '.join(active)}."))
    return findings


def _faulty(entry: Entry) -> Finding:
    text = f"{entry.name} ({entry.origin}) is not in use: {entry.reason}."
    if entry.origin == "bundled":
        return fault("flavors", text, "Please report this as a bug of muru.")
    return fault("flavors", text, f"Mend {entry.module}.py, and restart muru.")


async def _templates(site: Site) -> list[Finding]:
    templates = templates_of(site.settings)
    if not database.is_there(site.settings):
        return []
    try:
        types = await phones.types_of_all(site)
    except (MuruError, SQLAlchemyError):  # no database, or no tables: that is told elsewhere
        return []
    one_of_each = {
        type_: number
        for number, type_ in types.items()
        if (flavor := site.registry.for_type(type_)) and flavor.FILES
    }
    findings: list[Finding] = []
    for number in one_of_each.values():
        findings += await _render(site, templates, number)
    findings += [
        warning("templates", f"{each.reason}: muru's own is used instead.", "Mend the template.")
        for each in templates.faults.values()
    ]
    if findings:
        return findings
    return [ok("templates", f"The files of {len(one_of_each)} extensions were rendered.")]


async def _render(site: Site, templates: Templates, number: str) -> list[Finding]:
    try:
        files = await preview(site, templates, own_origin(site.settings), number, None)
    except MuruError as error:
        text = f"The files of {number} cannot be rendered: {error.message}."
        return [warning("templates", text, f"muru render {number} tells more.")]
    return [
        fault("templates", f"{each.name} of {number}: {each.fault}.", "Mend the template.")
        for each in files
        if each.fault
    ]
