"""Who talks to whom now, and an end to it."""

from itertools import groupby

from aiohttp import web

from muru.asterisk import console
from muru.asterisk.console import Channel
from muru.errors import MuruError
from muru.keys import AMI, ARI
from muru.services import operations
from muru.web.language import _
from muru.web.operator.area import failed, show
from muru.web.routing import Pages, Visit

pages = Pages()

_LIST = "/operator/calls"


@pages.get(_LIST, access="admin")
async def list_calls(visit: Visit) -> web.Response:
    ami = visit.request.config_dict[AMI]
    channels: list[Channel] = []
    if ami.state.connected:
        channels = await console.channels(ami)
    return show(
        visit,
        "calls.html",
        calls=[list(each) for _key, each in groupby(channels, key=lambda each: each.call)],
        ami=ami.state,
    )


@pages.post(_LIST + "/hangup", access="admin")
async def hang_up(visit: Visit) -> web.Response:
    app, channel = visit.request.config_dict, (await visit.form())["channel"]
    try:
        await operations.hang_up(visit.site, app[AMI], app[ARI], visit.actor, channel[:100])
    except MuruError as error:
        return failed(visit, _LIST, error)
    return visit.redirect(_LIST, flash=_("Hung up."))
