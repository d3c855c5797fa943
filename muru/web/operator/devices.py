"""The phones that fetch their configuration: those of extensions, and those that nobody has yet."""

from aiohttp import web

from muru.errors import MuruError, NotFound
from muru.keys import REGISTRATIONS
from muru.provisioning import mac as macs
from muru.services import claims, devices, provisioning_log
from muru.web.language import _
from muru.web.operator.area import PAGE_SIZE, failed, show
from muru.web.routing import Pages, Visit

pages = Pages()

_LIST = "/operator/devices"
_MOST_UNCLAIMED = 200


@pages.get(_LIST, access="admin")
async def list_devices(visit: Visit) -> web.Response:
    search, offset = visit.query("search", 100).strip(), visit.number("offset")
    found, total = await devices.find_devices(
        visit.site, visit.actor, search=_as_kept(search), offset=offset, limit=PAGE_SIZE
    )
    unclaimed = await claims.list_unclaimed(visit.site)
    registrations = visit.request.config_dict[REGISTRATIONS]
    return show(
        visit,
        "devices.html",
        devices=[
            (each, any(registrations.contacts(line.extension.number) for line in each.lines))
            for each in found
        ],
        total=total,
        unclaimed=unclaimed[:_MOST_UNCLAIMED],
        unclaimed_total=len(unclaimed),
        search=search,
        offset=offset,
        page_size=PAGE_SIZE,
        written=macs.written,
    )


@pages.post(_LIST + "/reopen", access="admin")
async def reopen(visit: Visit) -> web.Response:
    """Let the next request that has a phone's MAC address alone have its configuration."""
    mac = (await visit.form())["mac"]
    try:
        await devices.reopen(visit.site, visit.actor, macs.normalise(mac))
    except ValueError:
        raise NotFound("This is no MAC address.") from None
    except MuruError as error:
        return failed(visit, _LIST, error)
    return visit.redirect(_LIST, flash=_("The phone can fetch its configuration once more."))


@pages.get("/operator/log", access="admin")
async def show_log(visit: Visit) -> web.Response:
    """What phones asked for and got; ``failed`` leaves out what was delivered."""
    search, offset = visit.query("search", 100).strip(), visit.number("offset")
    only_failed = visit.query("failed") == "yes"
    found, total = await provisioning_log.list_entries(
        visit.site,
        visit.actor,
        search=_as_kept(search),
        failed=only_failed,
        offset=offset,
        limit=PAGE_SIZE,
    )
    return show(
        visit,
        "log.html",
        entries=found,
        total=total,
        search=search,
        only_failed=only_failed,
        offset=offset,
        page_size=PAGE_SIZE,
        written=macs.written,
    )


def _as_kept(search: str) -> str:
    """Return a MAC address in any writing as it is in the database, all else as it is."""
    try:
        return macs.normalise(search)
    except ValueError:
        return search
