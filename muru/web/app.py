"""Adds the pages to the application: routes, templates, static files, headers and error pages."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import aiohttp_jinja2
import jinja2
from aiohttp import web

from muru.keys import PAGES_FOLDER, SITE
from muru.services.site import Site
from muru.web import (
    account,
    adding,
    connecting,
    documents,
    groups,
    language,
    media,
    operator,
    phones,
    places,
    session,
    start,
)
from muru.web.markdown import PagesFolder
from muru.web.routing import Visit

_MODULES = (
    start,
    documents,
    places,
    account,
    adding,
    connecting,
    phones,
    groups,
    media,
    *operator.MODULES,
)

_HERE = Path(__file__).parent
_STATIC = _HERE / "static"
_FOREVER = "public, max-age=31536000, immutable"  # the path changes with the content

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_web(app: web.Application) -> None:
    """Add the pages to *app*, whose middlewares include :func:`as_pages`."""
    app[PAGES_FOLDER] = PagesFolder(app[SITE].settings.pages_path)
    static = f"/static/{_digest(_STATIC)}"
    _add_templates(app, static)
    app.router.add_static(static, _STATIC)
    for module in _MODULES:
        for route in module.pages.routes:
            app.router.add_route(route.method, route.path, route.handle)
            if route.method == "GET":
                app.router.add_route("HEAD", route.path, route.handle)


def _add_templates(app: web.Application, static: str) -> None:
    filters: dict[str, Callable[..., str]] = {
        "day": language.day,
        "moment": language.moment,
        "ago": language.ago,
        "told": language.told,
    }
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        undefined=jinja2.StrictUndefined,
        default_helpers=False,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        filters=filters,
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # the extension's
        language._, language.ngettext, newstyle=True
    )
    del environment.globals["app"]  # a template is given what it shows, not everything
    environment.globals |= {"static": static, "languages": language.LANGUAGES}


def _digest(folder: Path) -> str:
    """Return what changes as soon as a file in *folder* does."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


@web.middleware
async def as_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give pages their headers, and browsers a page where others get a problem document."""
    if not _is_page(request):
        return await handler(request)
    language.use(language.wanted(request))
    try:
        response = await handler(request)
    except web.HTTPException as redirect:
        response = redirect
    if response.content_type == "application/problem+json" and _is_browser(request):
        response = await _error_page(request, response)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.path.startswith("/static/") and response.status < HTTPStatus.BAD_REQUEST:
        response.headers["Cache-Control"] = _FOREVER
    else:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Vary"] = "Cookie, Accept-Language"
    return response


def _is_page(request: web.Request) -> bool:
    first = request.path.removeprefix("/").partition("/")[0]
    return first not in {"api", "metrics", request.app[SITE].settings.telephoning_prefix}


def _is_browser(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "")


async def _error_page(request: web.Request, problem: web.StreamResponse) -> web.StreamResponse:
    assert isinstance(problem, web.Response)  # as all that have a body are
    told = json.loads(problem.text or "{}")
    visit = await _visit(request)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return visit.redirect(f"/login?next={quote(visit.here)}")
    page = visit.render(
        "error.html",
        status=problem.status,
        title=_title(problem.status),
        detail=language.told(str(told.get("detail", ""))),
    )
    for header in ("Allow", "Retry-After"):
        if header in problem.headers:
            page.headers[header] = problem.headers[header]
    return page


async def _visit(request: web.Request) -> Visit:
    site: Site = request.app[SITE]
    try:
        return Visit(request, site, *await session.identify(request))
    except Exception:  # what is wrong was told already: this page is about it
        return Visit(request, site, session.NOBODY)


def _title(status: int) -> str:
    _ = language._
    titles = {
        HTTPStatus.FORBIDDEN: _("This is not for you to do"),
        HTTPStatus.NOT_FOUND: _("There is nothing here"),
        HTTPStatus.METHOD_NOT_ALLOWED: _("This does not work here"),
        HTTPStatus.CONFLICT: _("This does not go together"),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _("This is too large"),
        HTTPStatus.UNPROCESSABLE_ENTITY: _("Something does not fit"),
        HTTPStatus.TOO_MANY_REQUESTS: _("Too many attempts"),
        HTTPStatus.SERVICE_UNAVAILABLE: _("Not available at the moment"),
    }
    return titles.get(HTTPStatus(status), _("Something went wrong"))
