"""The map: public phones on the operator's floor plan, and the fields by which one gets there."""

import asyncio
import math
from dataclasses import dataclass

from aiohttp import web

from muru.db.models import Extension
from muru.errors import Invalid, NotFound
from muru.keys import REGISTRATIONS
from muru.services import places
from muru.web.forms import Form
from muru.web.plan import Plan
from muru.web.routing import Pages, Visit

pages = Pages()

LAT, LNG = "location.lat", "location.lng"  # the fields

# An SVG file may style itself, and do nothing else, wherever it is opened.
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
_DAY = "private, max-age=86400"


@dataclass(frozen=True, slots=True)
class Pin:
    """A phone on the plan: *x* and *y* are percent from the left and from above."""

    number: str
    name: str
    info: str
    reachable: bool
    x: float
    y: float


@pages.get("/map", access="anybody")
async def show_map(visit: Visit) -> web.Response:
    plan = _plan(visit)
    contacts = visit.request.config_dict[REGISTRATIONS].contacts
    pins = [
        Pin(each.number, each.name, each.info, bool(contacts(each.number)), *spot)
        for each in await places.placed(visit.site)
        if (spot := plan.spot(each.location)) is not None
    ]
    return visit.render("map.html", plan=plan, pins=pins)


@pages.get("/map/plan", access="anybody")
async def show_plan(visit: Visit) -> web.StreamResponse:
    """The picture; its URL has the version of it, so it may be kept."""
    plan = _plan(visit)
    media_type = await asyncio.to_thread(plan.media_type)
    if media_type is None:
        raise NotFound("The floor plan cannot be shown; the people who run this site can see why.")
    headers = {
        "Content-Type": media_type,
        "Content-Security-Policy": _PICTURE_POLICY,
        "Cache-Control": _DAY if visit.query("v") == plan.version else "no-cache",
    }
    return web.FileResponse(plan.path, headers=headers)


def _plan(visit: Visit) -> Plan:
    plan = Plan.of(visit.site.settings)
    if plan is None:
        raise NotFound(f"There is nothing at {visit.request.path}.")
    return plan


def fill(form: Form, extension: Extension) -> None:
    """Write the place of an extension into its form."""
    if extension.location is not None:
        form.values[LAT] = f"{extension.location['lat']:.10g}"
        form.values[LNG] = f"{extension.location['lng']:.10g}"


def read(form: Form) -> dict[str, float] | None:
    """Return the place that was filled in, None for an empty one.

    Raises:
        Invalid: that is no place.
    """
    if not (form[LAT].strip() or form[LNG].strip()):
        return None
    return {"lat": _coordinate(form, LAT, 90), "lng": _coordinate(form, LNG, 180)}


def _coordinate(form: Form, name: str, most: int) -> float:
    try:
        value = float(form[name][:30].replace(",", "."))
    except ValueError:
        value = math.nan
    if not -most <= value <= most:
        raise Invalid(
            "This is no place on the map.", {name: f"write a number from -{most} to {most}"}
        )
    return value
