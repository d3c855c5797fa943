"""How muru itself is set up and doing: flavors, who is guessing, settings, the audit log."""

from dataclasses import dataclass

from aiohttp import web
from pydantic import SecretStr

from muru.keys import ENGINE, JOBS, SECURITY
from muru.services import audit
from muru.settings import PREFIX, Settings, source_of
from muru.web.operator.area import PAGE_SIZE, show
from muru.web.routing import Pages, Visit

pages = Pages()


@dataclass(frozen=True, slots=True)
class Setting:
    """*value* is empty for a secret, of which is told only whether there is one."""

    name: str
    value: str
    secret: bool
    given: bool
    source: str


@pages.get("/operator/security", access="admin")
async def show_security(visit: Visit) -> web.Response:
    security = visit.request.config_dict[SECURITY]
    return show(visit, "security.html", suspects=security.suspects(), since=security.since)


@pages.get("/operator/flavors", access="admin")
async def show_flavors(visit: Visit) -> web.Response:
    app = visit.request.config_dict
    listing = visit.site.registry.listing()
    jobs = app[JOBS]
    names = {entry.name for entry in listing}
    return show(
        visit,
        "flavors.html",
        flavors=[
            (each, jobs.state(each.name), app[ENGINE].templates.faults_of(each.name))
            for each in listing
        ],
        own_jobs=[each for each in jobs.states() if each.name not in names],
    )


@pages.get("/operator/settings", access="admin")
async def show_settings(visit: Visit) -> web.Response:
    search = visit.query("search", 100).strip()
    found = [each for each in in_force(visit.site.settings) if search.upper() in each.name]
    return show(visit, "settings.html", settings_in_force=found, search=search)


@pages.get("/operator/audit", access="admin")
async def show_audit_log(visit: Visit) -> web.Response:
    search, offset = visit.query("search", 100).strip(), visit.number("offset")
    found, total = await audit.list_entries(
        visit.site, visit.actor, search=search, offset=offset, limit=PAGE_SIZE
    )
    return show(
        visit,
        "audit.html",
        entries=found,
        total=total,
        search=search,
        offset=offset,
        page_size=PAGE_SIZE,
    )


def in_force(settings: Settings) -> list[Setting]:
    """Return all settings by name, with where they come from."""
    found = []
    for name, declared in Settings.model_fields.items():
        value = getattr(settings, name)
        secret = "SecretStr" in str(declared.annotation) or isinstance(value, SecretStr)
        found.append(
            Setting(
                name=PREFIX + name.upper(),
                value="" if secret or value is None else _written(value),
                secret=secret,
                given=value is not None,
                source=source_of(settings, name),
            )
        )
    return found


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
