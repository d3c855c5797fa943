"""The overview: how many phones are there, what is wrong, and what needs somebody."""

from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from muru.db.models import now
from muru.keys import AMI, ARI, ENGINE, JOBS, OVERVIEW, REGISTRATIONS, SECURITY
from muru.metrics import queues
from muru.provisioning import mac as macs
from muru.services import claims
from muru.services.overview import SHOWN
from muru.web.operator.area import show
from muru.web.routing import Pages, Visit

pages = Pages()

_WIDTH, _HEIGHT = 600, 140  # of the chart, in its own units
_MOST = 8  # that are listed of a kind


@dataclass(frozen=True, slots=True)
class Chart:
    """*line* and *area* are points of an SVG of 600 by 140; *highest* is at its top."""

    line: str
    area: str
    highest: int
    begin: datetime
    width: int = _WIDTH
    height: int = _HEIGHT


@pages.get("/operator", access="admin")
async def show_overview(visit: Visit) -> web.Response:
    app = visit.request.config_dict
    overview = app[OVERVIEW]
    jobs = app[JOBS].states()
    listing = visit.site.registry.listing()
    templates = app[ENGINE].templates
    unclaimed = await claims.list_unclaimed(visit.site)
    suspects = app[SECURITY].suspects()
    return show(
        visit,
        "overview.html",
        glance=await overview.glance(visit.actor),
        chart=chart(overview.curve.points(), now()),
        settled=app[REGISTRATIONS].ready.is_set(),
        ami=app[AMI].state,
        losses=app[AMI].losses,
        ari_connected=app[ARI].connected,
        queues=queues(visit.request.app),
        unclaimed=unclaimed[:_MOST],
        unclaimed_total=len(unclaimed),
        written=macs.written,
        suspects=suspects[:_MOST],
        suspects_total=len(suspects),
        jobs=jobs,
        failing=[each for each in jobs if each.last_error],
        faulty=[each for each in listing if each.state == "faulty"],
        template_faults={
            each.name: faults for each in listing if (faults := templates.faults_of(each.name))
        },
    )


def chart(points: list[tuple[datetime, int]], end: datetime) -> Chart:
    """Return how a number has changed until *end*; it holds until the next point."""
    begin = max(points[0][0], end - SHOWN)
    span = max((end - begin).total_seconds(), 60.0)
    highest = max(_round_up(max(count for _, count in points)), 1)

    def place(time: datetime, count: int) -> tuple[float, float]:
        x = _WIDTH * min(max((time - begin).total_seconds() / span, 0.0), 1.0)
        return round(x, 1), round(_HEIGHT * (1 - count / highest), 1)

    drawn: list[tuple[float, float]] = []
    for time, count in points:
        x, y = place(time, count)
        if drawn:
            drawn.append((x, drawn[-1][1]))
        drawn.append((x, y))
    drawn.append((float(_WIDTH), drawn[-1][1]))
    line = " ".join(f"{x:g},{y:g}" for x, y in drawn)
    area = f"{drawn[0][0]:g},{_HEIGHT} {line} {_WIDTH},{_HEIGHT}"
    return Chart(line, area, highest, begin)


def _round_up(count: int) -> int:
    """Return a number not below *count* that is easy to read at an axis."""
    step: int = 10 ** (len(str(count)) - 1)
    return next(each * step for each in (1, 2, 4, 5, 6, 8, 10) if each * step >= count)
