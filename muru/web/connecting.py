"""The connect page: what to do with this very phone, and how far it has come."""

from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from muru.api.extensions import SipAccount
from muru.db.models import Device, Extension, UnclaimedDevice
from muru.db.realtime import PsAuth
from muru.errors import MuruError, NotFound
from muru.flavor import PhoneFlavor
from muru.keys import CALLS, DIAGNOSIS, ENGINE, REGISTRATIONS, SELFTESTS
from muru.provisioning import qr
from muru.provisioning.doors import origin_of
from muru.provisioning.mac import written
from muru.provisioning.vocabulary import Link
from muru.services import claims, devices, extensions
from muru.services.diagnosis import Diagnosis, diagnose
from muru.services.selftest import SelfTest
from muru.web.kinds import Kind, kind_of
from muru.web.language import _, told
from muru.web.routing import Pages, Visit

pages = Pages()

_NUMBER = "/phones/{number:\\d{1,15}}"

#: Where a phone's own web page has the address of its configuration, in the phone's words.
_MENUS = {
    "cisco79xx": "Settings → Network Configuration → TFTP Server 1 (Alternate TFTP: YES)",
    "ciscospa": "Voice → Provisioning → Profile Rule",
    "fanvil": "System → Auto Provision → Static Provisioning Server",
    "gigaset": "Settings → System → Provisioning and configuration → Provisioning server",
    "grandstream": "Maintenance → Upgrade and Provisioning → Config Server Path",
    "innovaphone": "Services → Update → Command File URL",
    "mitel": "Advanced Settings → Configuration Server",
    "polycom": "Settings → Provisioning Server",
    "snom": "Setup → Advanced → Update → Setting URL",
    "yealink": "Settings → Auto Provision → Server URL",
}

#: What is wrong as long as nothing has happened yet.
_WAITING = {"no-device", "device-unseen", "no-register", "not-registered"}

StepState = Literal["done", "now", "bad", "todo"]


@dataclass(frozen=True, slots=True)
class Step:
    label: str
    state: StepState


@dataclass(frozen=True, slots=True)
class Live:
    """How far a phone has come. *state* is waiting, busy, problem, registered or tested."""

    state: str
    title: str
    text: str
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Scanned:
    """A link into an app, with its QR code as SVG where scanning it helps."""

    link: Link
    svg: str


@pages.get(_NUMBER + "/connect")
async def connect(visit: Visit) -> web.Response:
    extension = await extensions.get_extension(visit.site, visit.actor, visit.path("number"))
    flavor = visit.site.registry.require_type(extension.type)
    kind = kind_of(flavor, extension.type)
    if kind == "number":
        return visit.redirect(f"/phones/{extension.number}")
    device = await devices.device_of(visit.site, extension)
    opened = device if device and devices.decides(visit.actor, device) else None
    engine, origin = visit.request.config_dict[ENGINE], origin_of(visit.request)
    name = visit.site.registry.entry_of(flavor).name
    links = await engine.links(origin, opened.token) if opened else []
    return visit.render(
        "connect.html",
        extension=extension,
        kind=kind,
        vendor=flavor.IDENTIFICATION.vendor or extension.type,
        menu=_MENUS.get(name, ""),
        mac=written(device.mac) if device and device.mac else "",
        guest=bool(device and not opened),
        url=engine.url(origin, name, opened.token) if opened and flavor.KEEPS_URL else "",
        common_url=engine.url(origin, name) if kind == "desk" else "",
        keeps_url=flavor.KEEPS_URL,
        links=[Scanned(each, _svg(each)) for each in links],
        account=sip_account(visit, extension, flavor),
        newcomers=await _newcomers(visit, name, kind, device),
        may_claim=visit.site.settings.claim,
        live=await live_of(visit, extension, kind, device),
    )


@pages.get(_NUMBER + "/live")
async def show_live(visit: Visit) -> web.Response:
    """The part of the connect page that moves; a script fetches it again and again."""
    extension = await extensions.get_extension(visit.site, visit.actor, visit.path("number"))
    flavor = visit.site.registry.require_type(extension.type)
    device = await devices.device_of(visit.site, extension)
    live = await live_of(visit, extension, kind_of(flavor, extension.type), device)
    return visit.render("live.html", extension=extension, live=live)


@pages.post(_NUMBER + "/claim")
async def claim(visit: Visit) -> web.Response:
    """Bind a phone that waits for somebody, or have it ring to be told apart."""
    form, number = await visit.form(), visit.path("number")
    await extensions.get_extension(visit.site, visit.actor, number)
    calls, back = visit.request.config_dict[CALLS], f"/phones/{number}/connect"
    mac, account = form["mac"][:12], form["account"][:15]
    try:
        if form["do"] == "ring":
            claims.check_enabled(visit.site)
            await calls.identify(visit.actor, mac, account)
            return visit.redirect(back, flash=_("It rings now."))
        await calls.claim(visit.actor, mac, number, account)
    except MuruError as error:
        if error.status >= 500 and error.status != 503:
            raise
        return visit.redirect(back, flash=told(error.public), kind="error")
    return visit.redirect(back, flash=_("This phone is yours now; it fetches its configuration."))


def sip_account(visit: Visit, extension: Extension, flavor: PhoneFlavor) -> SipAccount | None:
    """Return what to type into a phone, if it has a SIP account."""
    rows = flavor.realtime_rows(extension)
    auth = next((row for row in rows if isinstance(row, PsAuth)), None)
    if auth is None or auth.username is None or auth.password is None:
        return None
    settings = visit.site.settings
    return SipAccount(
        username=auth.username,
        password=auth.password,
        domain=settings.sip_domain or visit.request.url.host or "",
        port=settings.sip_port,
        transports=["udp", "tcp", *(["tls"] if settings.tls_certificate else [])],
    )


def _svg(link: Link) -> str:
    try:
        return qr.svg(link.url) if link.qr else ""
    except ValueError:  # longer than a code can be
        return ""


async def _newcomers(
    visit: Visit, flavor: str, kind: Kind, device: Device | None
) -> list[UnclaimedDevice]:
    if kind != "desk" or device is not None or not visit.site.settings.claim:
        return []
    return [each for each in await claims.list_unclaimed(visit.site) if each.flavor == flavor][:20]


async def live_of(visit: Visit, extension: Extension, kind: Kind, device: Device | None) -> Live:
    """Return how far the phone of *extension* has come, or why it comes no further."""
    if visit.request.config_dict[REGISTRATIONS].contacts(extension.number):
        return _registered(kind, await last_test(visit, extension.number))
    found = await diagnose(visit.request.config_dict[DIAGNOSIS], visit.actor, extension.number)
    return _on_its_way(kind, found, device)


async def last_test(visit: Visit, number: str) -> SelfTest | None:
    try:
        return await visit.request.config_dict[SELFTESTS].last(visit.actor, number)
    except NotFound:
        return None


def _registered(kind: Kind, test: SelfTest | None) -> Live:
    if test is not None and test.outcome == "done" and test.cause is None:
        text = _("It was tested: it rings, and sound goes both ways.")
        return Live("tested", _("It works."), text, _steps(kind, 4))
    text = _("It can call and be called. Let it ring once, to be sure that sound goes through.")
    return Live("registered", _("The phone is registered."), text, _steps(kind, 3))


def _on_its_way(kind: Kind, found: Diagnosis, device: Device | None) -> Live:
    done = {link.name for link in found.links if link.state == "ok"}
    reached = 0
    if "device" in done or "files" in done:
        reached = 1
    if device is not None and device.last_seen is not None:
        reached = 2
    cause = found.cause
    if cause is not None and cause.key not in _WAITING:
        return Live(
            "problem", _("Something is wrong."), told(cause.text), _steps(kind, reached, bad=True)
        )
    titles = (
        _("Waiting for the phone …"),
        _("The phone has asked for its configuration."),
        _("The phone has its configuration. Now it logs in …"),
    )
    texts = (
        _("This line follows by itself, as soon as the phone shows up."),
        _("It gets it in a moment …"),
        _("This takes a moment; some phones restart once more."),
    )
    state = "busy" if reached else "waiting"
    return Live(state, titles[reached], texts[reached], _steps(kind, reached))


def _steps(kind: Kind, reached: int, *, bad: bool = False) -> list[Step]:
    """Return the steps of a phone, of which the first *reached* of all four are behind it."""
    labels = [
        _("asked for its configuration"),
        _("has its configuration"),
        _("registered"),
        _("tested"),
    ]

    def state(at: int) -> StepState:
        if at < reached:
            return "done"
        return ("bad" if bad else "now") if at == max(reached, first) else "todo"

    first = 0 if kind in {"desk", "app"} else 2
    return [Step(label, state(at)) for at, label in enumerate(labels) if at >= first]
