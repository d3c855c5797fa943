"""What is done about every HTTP request, whoever answers it: an id, its time, a line in the log."""

import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable
from time import perf_counter

from aiohttp import web

from muru import logs
from muru.keys import METRICS
from muru.metrics import route_of

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_RUN = secrets.token_hex(3)  # so that ids of two runs differ
_count = itertools.count(1)
_HEADER = "X-Request-ID"
_STREAM = "text/event-stream"


@web.middleware
async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give a request an id, by which its lines in the log are found, and measure its time.

    The id is muru's own: one that a client sends could be anything. A line for the request itself
    is logged at DEBUG, with the pattern of its route, as its path may hold a token.
    """
    began = perf_counter()
    request_id = f"{_RUN}{next(_count):06x}"
    told = request.match_info
    with logs.about(request=request_id, extension=told.get("number"), device=told.get("mac")):
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            answer.headers[_HEADER] = request_id
            _note(request, answer.status, began)
            raise
        if response.content_type != _STREAM:  # that is how long somebody looked
            _note(request, response.status, began)
    if not response.prepared:
        response.headers[_HEADER] = request_id
    return response


def _note(request: web.Request, status: int, began: float) -> None:
    seconds = perf_counter() - began
    request.app[METRICS].note_request(request, status, seconds)
    if _log.isEnabledFor(logging.DEBUG):
        method, route = route_of(request)
        _log.debug("%s %s: %d in %.1f ms", method, route, status, seconds * 1000)
