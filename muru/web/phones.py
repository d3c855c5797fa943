"""My phones: the list, and all that one can do with one of them."""

from collections.abc import Awaitable
from typing import Any

from aiohttp import web

from muru.db.models import Device, Extension, ProvisioningLogEntry
from muru.errors import MuruError
from muru.keys import ARI, CALLS, DIAGNOSIS, REGISTRATIONS, RESYNCS, SELFTESTS, USER_AGENTS
from muru.provisioning.mac import written
from muru.services import devices, extensions, groups
from muru.services.causes import CAUSES
from muru.services.diagnosis import diagnose
from muru.services.dialing import call_from
from muru.services.selftest import SelfTest
from muru.web.connecting import last_test, sip_account
from muru.web.forms import relative
from muru.web.groups import gathered
from muru.web.kinds import kind_of
from muru.web.language import _, told
from muru.web.routing import Pages, Visit

pages = Pages()

PAGE_SIZE = 50
_NUMBER = "/phones/{number:\\d{1,15}}"
_SHOWN_VISITS = 20
_RINGS = 20.0  # seconds
_RESYNC_TAKES = 15.0  # seconds


@pages.get("/phones")
async def list_phones(visit: Visit) -> web.Response:
    search, offset = visit.query("search", 100).strip(), visit.number("offset")
    found, total = await extensions.list_extensions(
        visit.site, visit.actor, search=search, offset=offset, limit=PAGE_SIZE, own=True
    )
    registrations = visit.request.config_dict[REGISTRATIONS]
    return visit.render(
        "phones.html",
        phones=[(each, _kind(visit, each), registrations.contacts(each.number)) for each in found],
        total=total,
        search=search,
        offset=offset,
        page_size=PAGE_SIZE,
    )


@pages.get(_NUMBER)
async def show_phone(visit: Visit) -> web.Response:
    extension = await _extension(visit)
    flavor = visit.site.registry.for_type(extension.type)
    device = await devices.device_of(visit.site, extension)
    agents = visit.request.config_dict[USER_AGENTS]
    contacts = visit.request.config_dict[REGISTRATIONS].contacts(extension.number)
    test = await last_test(visit, extension.number)
    return visit.render(
        "phone.html",
        extension=extension,
        kind=_kind(visit, extension),
        contacts=[(each, _model(agents, each.user_agent)) for each in contacts],
        device=device,
        mac=written(device.mac) if device and device.mac else "",
        decides=bool(device and devices.decides(visit.actor, device)),
        visits=await _visits(visit, device),
        account=sip_account(visit, extension, flavor) if flavor else None,
        test=test,
        fault=_fault(test),
        memberships=await groups.groups_of(visit.site, visit.actor, extension.number),
        may_resync=bool(flavor and flavor.resync_headers(extension.type)),
        **await gathered(visit, extension),
    )


@pages.get(_NUMBER + "/diagnosis")
async def show_diagnosis(visit: Visit) -> web.Response:
    """Walk the chain of what has to work; this asks the phone whether it is there."""
    extension = await _extension(visit)
    found = await diagnose(visit.request.config_dict[DIAGNOSIS], visit.actor, extension.number)
    names = _names()
    return visit.render(
        "diagnosis.html",
        extension=extension,
        found=found,
        links=[(names.get(each.name, each.name), each.state) for each in found.links],
    )


@pages.post(_NUMBER + "/selftest")
async def test_phone(visit: Visit) -> web.Response:
    """Let the phone ring, and lead whoever answers through the test; answers when it is over."""
    form, extension = await visit.form(), await _extension(visit)
    back = relative(form["next"], f"/phones/{extension.number}")
    tests = visit.request.config_dict[SELFTESTS]
    try:
        result: SelfTest = await tests.ring(visit.actor, extension.number, seconds=_RINGS)
    except MuruError as error:
        return _sorry(visit, back, error)
    if fault := _fault(result):
        return visit.redirect(back, flash=fault, kind="warning")
    said = {
        "done": _("The test went well: it rings, and sound goes both ways."),
        "hung-up": _("It rang and was answered, but no key was pressed: was anything heard?"),
        "refused": _("The phone refused the call."),
        "no-answer": _("It rang, and nobody answered."),
    }
    good = result.outcome == "done"
    return visit.redirect(back, flash=said[result.outcome], kind="success" if good else "warning")


@pages.post(_NUMBER + "/resync")
async def resync(visit: Visit) -> web.Response:
    extension = await _extension(visit)
    back = f"/phones/{extension.number}"
    try:
        done = await visit.request.config_dict[RESYNCS].resync(extension, within=_RESYNC_TAKES)
    except MuruError as error:
        return _sorry(visit, back, error)
    good = done.state in {"fetched", "registered"}
    return visit.redirect(back, flash=told(done.text), kind="success" if good else "warning")


@pages.post(_NUMBER + "/call")
async def call(visit: Visit) -> web.Response:
    """Let this phone ring; who answers it calls the number."""
    form, extension = await visit.form(), await _extension(visit)
    ari, registrations = visit.request.config_dict[ARI], visit.request.config_dict[REGISTRATIONS]
    to = form["to"].strip()[:15]
    calling = call_from(visit.site, ari, registrations, visit.actor, extension.number, to)
    said = _("Your phone rings: answer it, and it calls %(number)s.") % {"number": to}
    return await _do(visit, f"/phones/{extension.number}", calling, said)


@pages.post(_NUMBER + "/ring")
async def ring(visit: Visit) -> web.Response:
    """Have the phone ring shortly, to find it."""
    extension = await _extension(visit)
    device = await devices.device_of(visit.site, extension)
    mac = device.mac if device and device.mac else ""
    ringing = visit.request.config_dict[CALLS].identify(visit.actor, mac)
    return await _do(visit, f"/phones/{extension.number}", ringing, _("It rings now."))


@pages.post(_NUMBER + "/reopen")
async def reopen(visit: Visit) -> web.Response:
    extension = await _extension(visit)
    device = await devices.device_of(visit.site, extension)
    opening = devices.reopen(visit.site, visit.actor, device.mac if device and device.mac else "")
    said = _("The next phone that asks with this MAC address gets the configuration. Restart it.")
    return await _do(visit, f"/phones/{extension.number}", opening, said)


@pages.post(_NUMBER + "/password")
async def renew_password(visit: Visit) -> web.Response:
    number = visit.path("number")
    renewing = extensions.renew_password(visit.site, visit.actor, number)
    said = _("There is a new password. The old one is refused from now on.")
    return await _do(visit, f"/phones/{number}", renewing, said)


@pages.get(_NUMBER + "/delete")
async def ask_to_delete(visit: Visit) -> web.Response:
    extension = await _extension(visit)
    return visit.render(
        "phone_delete.html",
        extension=extension,
        contacts=visit.request.config_dict[REGISTRATIONS].contacts(extension.number),
        device=await devices.device_of(visit.site, extension),
        memberships=await groups.groups_of(visit.site, visit.actor, extension.number),
        kept_hours=visit.site.settings.number_kept_hours,
    )


@pages.post(_NUMBER + "/delete")
async def delete(visit: Visit) -> web.Response:
    number = visit.path("number")
    deleting = extensions.delete_extension(visit.site, visit.actor, number)
    return await _do(visit, "/phones", deleting, _("%(number)s is gone.") % {"number": number})


async def _do(visit: Visit, back: str, action: Awaitable[Any], said: str) -> web.Response:
    """Do something that a service may refuse, and tell on the page *back* what came out."""
    try:
        await action
    except MuruError as error:
        return _sorry(visit, back, error)
    return visit.redirect(back, flash=said)


def _sorry(visit: Visit, back: str, error: MuruError) -> web.Response:
    if error.key == "database-unavailable" or error.status == 500:
        raise error
    return visit.redirect(back, flash=told(error.public), kind="error")


async def _extension(visit: Visit) -> Extension:
    return await extensions.get_extension(visit.site, visit.actor, visit.path("number"))


def _kind(visit: Visit, extension: Extension) -> str:
    flavor = visit.site.registry.for_type(extension.type)
    return kind_of(flavor, extension.type) if flavor else "sip"


async def _visits(visit: Visit, device: Device | None) -> list[ProvisioningLogEntry]:
    if device is None or device.mac is None:
        return []
    return await devices.log_of(visit.site, visit.actor, device.mac, limit=_SHOWN_VISITS)


def _model(agents: Any, user_agent: str | None) -> str:
    if not user_agent:
        return ""
    found = agents.identify(user_agent)
    return " ".join(filter(None, (found.vendor, found.model))) or user_agent[:60]


def _fault(test: SelfTest | None) -> str:
    return told(CAUSES[test.cause].text) if test and test.cause else ""


def _names() -> dict[str, str]:
    return {
        "flavor": _("This type of phone can be used"),
        "asterisk": _("The telephone system runs"),
        "account": _("It knows this number"),
        "device": _("The phone asks for its configuration"),
        "files": _("It finds it"),
        "proof": _("It may have it"),
        "register": _("It tries to log in"),
        "password": _("Name and password are right"),
        "registration": _("It is logged in"),
        "answer": _("It answers"),
        "call": _("The last call went well"),
    }
