"""Turns errors into RFC 9457 problem documents."""

import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from muru import logs
from muru.errors import Invalid, MuruError, TooManyRequests
from muru.keys import SITE

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with a problem document; only what nobody foresaw is logged."""
    try:
        return await handler(request)
    except MuruError as error:
        return _from_muru_error(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = problem(error.status, _key(error), _detail(request, error))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:
        # The reference ties what the person sees to the line in the log.
        reference = logs.request_id() or secrets.token_hex(6)
        _log.exception("request %s %s failed [%s]", request.method, _shown(request), reference)
        detail = f"Something went wrong here. Tell the operator this reference: {reference}"
        return problem(500, "internal", detail)


def problem(
    status: int, key: str, detail: str, fields: dict[str, str] | None = None
) -> web.Response:
    """Return a problem document. *fields* maps paths of input fields to their faults."""
    document: dict[str, object] = {
        "type": f"urn:muru:problem:{key}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if fields:
        document["errors"] = [
            {"field": field, "message": message} for field, message in fields.items()
        ]
    return web.Response(
        status=status,
        body=json.dumps(document).encode(),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )


def _shown(request: web.Request) -> str:
    """Return the path for the log: those of phones may hold a token."""
    prefix = f"/{request.config_dict[SITE].settings.telephoning_prefix}/"
    if not request.path.startswith(prefix):
        return request.path
    folder, _, rest = request.path.removeprefix(prefix).partition("/")
    return f"{prefix}{folder}/…" if rest else f"{prefix}…"


def _from_muru_error(error: MuruError) -> web.Response:
    fields = error.fields if isinstance(error, Invalid) else None
    response = problem(error.status, error.key, error.public, fields)
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status >= 500:
        _log.warning("answered %s: %s", error.status, error.message)
    return response


def _key(error: web.HTTPException) -> str:
    # Not from the phrase of the status: that of 413 is another one since Python 3.13.
    words = re.findall("[A-Z][a-z]+", type(error).__name__.removeprefix("HTTP"))
    return "-".join(words).lower()


def _detail(request: web.Request, error: web.HTTPException) -> str:
    if error.status == HTTPStatus.NOT_FOUND:
        return f"There is nothing at {request.path}."
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.method} is not possible at {request.path}."
    return error.text or error.reason
