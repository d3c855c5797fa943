"""How a page is declared, and what a page knows of whoever looks at it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, unquote

import aiohttp_jinja2
from aiohttp import web
from yarl import URL

from muru.errors import NotFound, Unauthenticated
from muru.keys import SITE
from muru.services.site import Actor, Site
from muru.web import forms, language, navigation, session

FLASH_COOKIE = "muru_flash"
THEME_COOKIE = "muru_theme"
THEMES = ("auto", "light", "dark")

Access = Literal["anybody", "user", "admin"]
Kind = Literal["success", "info", "warning", "error"]
_KINDS = ("success", "info", "warning", "error")
_LONGEST_FLASH = 500
_YEAR = 365 * 86400


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a page. *login_id* is the id of the login it came with, if any."""

    request: web.Request
    site: Site
    actor: Actor
    login_id: int | None = None

    @property
    def logged_in(self) -> bool:
        return self.actor.user_id is not None

    @property
    def theme(self) -> str:
        chosen = self.request.cookies.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else "auto"

    @property
    def here(self) -> str:
        """Path and query of this page, to come back to; after a POST the start."""
        return self.request.path_qs if self.request.method in {"GET", "HEAD"} else "/"

    def path(self, name: str) -> str:
        """Return the variable part *name* of the path."""
        value = self.request.match_info[name]
        if "\0" in value:
            raise NotFound(f"There is nothing at {self.request.path}.")
        return value

    def query(self, name: str, longest: int = 200) -> str:
        """Return an argument of the query, cut and without what no database takes."""
        return forms.clean(self.request.query.get(name, ""))[:longest]

    def number(self, name: str, otherwise: int = 0, most: int = 1_000_000_000) -> int:
        """Return a number of the query, *otherwise* where that is none."""
        text = self.request.query.get(name, "")
        fits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        return min(int(text), most) if fits else otherwise

    async def form(self) -> forms.Form:
        """Return what was typed into the form that was sent."""
        found = self.request.get(_FORM)
        return found if found is not None else await forms.read(self.request)

    def render(self, template: str, /, *, status: int = 200, **context: Any) -> web.Response:
        """Return the page that *template* makes of *context*."""
        cookies = self.request.cookies
        csrf_cookie = cookies.get(forms.CSRF_COOKIE, "")
        is_new = len(csrf_cookie) < forms.SHORTEST_COOKIE
        if is_new:
            csrf_cookie = forms.new_csrf_cookie()
        common = {
            "visit": self,
            "settings": self.site.settings,
            "language": language.current(),
            "navigation": navigation.entries(self.actor, self.request.path),
            "pages": navigation.pages(self.request),
            "csrf_token": forms.csrf_token(csrf_cookie),
            "flash": _read_flash(cookies.get(FLASH_COOKIE, "")),
        }
        response = web.Response(
            text=aiohttp_jinja2.render_string(template, self.request, {**common, **context}),
            status=status,
            content_type="text/html",
        )
        if is_new:
            set_cookie(self.request, response, forms.CSRF_COOKIE, csrf_cookie, httponly=True)
        if FLASH_COOKIE in cookies:
            response.del_cookie(FLASH_COOKIE)
        return response

    def redirect(self, path: str, *, flash: str = "", kind: Kind = "success") -> web.Response:
        """Lead to another page of this site, where *flash* is shown once."""
        response = web.Response(status=303, headers={"Location": str(URL(forms.relative(path)))})
        if flash:
            written = quote(json.dumps([kind, flash[:_LONGEST_FLASH]]))
            set_cookie(self.request, response, FLASH_COOKIE, written, max_age=60, httponly=True)
        return response


Page = Callable[[Visit], Awaitable[web.StreamResponse]]

_FORM: web.RequestKey[forms.Form] = web.RequestKey("muru.form")


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    page: Page
    access: Access
    upload: bool = False  # a file comes with the form, as large as media may be

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.upload:
            request = await _with_room(request)
        if self.method == "POST":
            request[_FORM] = await forms.read(request)  # with its CSRF token checked
        visit = await identify(request)
        if self.access != "anybody" and not visit.logged_in:
            raise Unauthenticated("Log in first.")
        if self.access == "admin":
            visit.actor.require_admin()
        return await self.page(visit)


@dataclass(slots=True)
class Pages:
    """The pages of one module, in the order in which they are matched."""

    routes: list[Route] = field(default_factory=list)

    def get(self, path: str, *, access: Access = "user") -> Callable[[Page], Page]:
        return self._declare("GET", path, access)

    def post(
        self, path: str, *, access: Access = "user", upload: bool = False
    ) -> Callable[[Page], Page]:
        return self._declare("POST", path, access, upload=upload)

    def _declare(
        self, method: str, path: str, access: Access, *, upload: bool = False
    ) -> Callable[[Page], Page]:
        def declare(page: Page) -> Page:
            self.routes.append(Route(method, path, page, access, upload))
            return page

        return declare


async def _with_room(request: web.Request) -> web.Request:
    """Return *request* as one that may be as large as media are, if somebody known sends it."""
    if not (await identify(request)).logged_in:
        raise Unauthenticated("Log in first.")
    most = (request.config_dict[SITE].settings.media_max_mb + 1) * 2**20
    return request.clone(client_max_size=most)


async def identify(request: web.Request) -> Visit:
    """Return the visit that *request* is; nobody's where its login is not valid (any more)."""
    actor, login_id = await session.identify(request)
    return Visit(request, request.config_dict[SITE], actor, login_id)


def set_cookie(
    request: web.Request,
    response: web.StreamResponse,
    name: str,
    value: str,
    *,
    max_age: int = _YEAR,
    httponly: bool = False,
) -> None:
    """Set a cookie that no other site sends along with a form, and none but TLS if we have it."""
    response.set_cookie(
        name, value, max_age=max_age, httponly=httponly, samesite="Lax", secure=request.secure
    )


def _read_flash(written: str) -> tuple[str, str] | None:
    try:
        kind, text = json.loads(unquote(written))
    except (ValueError, TypeError, RecursionError):
        return None
    if kind not in _KINDS or not isinstance(text, str):
        return None
    return kind, text[:_LONGEST_FLASH]
