"""The door for muru's own commands: a socket in the data folder, which its owner alone can open.

Some things only the running controller knows, as who was refused in the last minutes.
"""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from muru.api.diagnosis import DiagnosisView
from muru.api.problems import problems
from muru.api.routing import json_response
from muru.errors import MuruError
from muru.keys import DIAGNOSIS, SITE
from muru.services.diagnosis import Sources, diagnose
from muru.services.site import OPERATOR
from muru.settings import Settings

_log = logging.getLogger(__name__)

_SOURCES: web.AppKey[Sources] = web.AppKey("muru.local.diagnosis")


def socket_path(settings: Settings) -> Path:
    return settings.data_dir.absolute() / "muru.sock"


async def open_door(app: web.Application) -> AsyncIterator[None]:
    """Keep the door open as long as *app* runs; without it muru does all the rest."""
    settings = app[SITE].settings
    path = socket_path(settings)
    local = web.Application(middlewares=[problems])
    local[_SOURCES] = app[DIAGNOSIS]
    local.router.add_get("/extensions/{number:\\d{1,15}}/diagnosis", _get_diagnosis)
    runner = web.AppRunner(local, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        settings.make_data_dir()
        await web.UnixSite(runner, str(path)).start()
        path.chmod(0o600)
    except (MuruError, OSError) as error:  # also a path that is too long for a socket
        _log.warning("muru doctor cannot ask this muru: %s", error)
    yield
    await runner.cleanup()
    path.unlink(missing_ok=True)


async def _get_diagnosis(request: web.Request) -> web.Response:
    number = request.match_info["number"]
    found = await diagnose(request.app[_SOURCES], OPERATOR, number)
    return json_response(DiagnosisView.of(found))
