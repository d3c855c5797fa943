"""How an endpoint of the API is declared, and what stands between it and the network.

An endpoint is a function whose signature says it all::

    @endpoints.post("/extensions", status=201)
    async def create(call: Call, body: NewExtension) -> ExtensionDetail:

*body* and *query*, where they are parameters, are parsed into their pydantic models before the
call; what is returned is written as JSON (None: 204 without a body). The same signature makes the
OpenAPI document.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from muru.db.models import TokenKind
from muru.errors import Forbidden, Invalid, NotFound, Unauthenticated
from muru.keys import SITE
from muru.services import users
from muru.services.site import Actor, Site

PREFIX = "/api/v1"
COOKIE = "muru_session"
_NOBODY = Actor(None, "", is_admin=False)

Access = Literal["anybody", "user", "admin"]
Endpoint = Callable[..., Awaitable[Any]]


class Input(BaseModel):
    """Base of what comes in: a field that is not known is an error, not a silent no-op."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:  # PostgreSQL cannot even look for it
            raise ValueError("remove the invisible character U+0000")
        return value


class PageQuery(Input):
    """The part of a list that is wanted."""

    offset: int = Field(0, ge=0, le=1_000_000_000)
    limit: int = Field(50, ge=1, le=1000)
    search: str = Field("", max_length=100)


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose sender is known. *login_id* is the id of the login it came with, if any."""

    request: web.Request
    site: Site
    actor: Actor
    login_id: int | None = None

    def path(self, name: str) -> str:
        """Return the variable part *name* of the path."""
        value = self.request.match_info[name]
        if "\0" in value:
            raise NotFound(f"There is nothing at {self.request.path}.")
        return value


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    function: Endpoint
    status: int
    access: Access
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: Any
    head: bool = False  # HEAD is answered as well
    upload: bool = False  # the body is a file, which the function reads

    async def handle(self, request: web.Request) -> web.StreamResponse:
        call = await _identify(request, self.access)
        arguments: dict[str, BaseModel] = {}
        if self.body is not None:
            arguments["body"] = _parse(self.body, await _read_json(request))
        if self.query is not None:
            arguments["query"] = _parse(self.query, dict(request.query))
        answer = await self.function(call, **arguments)
        if isinstance(answer, web.StreamResponse):
            return answer
        if answer is None:
            return web.Response(status=204)
        return json_response(answer, self.status)


@dataclass(slots=True)
class Endpoints:
    """The endpoints of one module, in the order in which they are matched."""

    routes: list[Route] = field(default_factory=list)

    def get(
        self, path: str, *, access: Access = "user", head: bool = False
    ) -> Callable[[Endpoint], Endpoint]:
        return self._declare("GET", path, access, 200, head=head)

    def post(
        self, path: str, *, access: Access = "user", status: int = 200, upload: bool = False
    ) -> Callable[[Endpoint], Endpoint]:
        return self._declare("POST", path, access, status, upload=upload)

    def put(self, path: str, *, access: Access = "user") -> Callable[[Endpoint], Endpoint]:
        return self._declare("PUT", path, access, 200)

    def patch(self, path: str, *, access: Access = "user") -> Callable[[Endpoint], Endpoint]:
        return self._declare("PATCH", path, access, 200)

    def delete(self, path: str, *, access: Access = "user") -> Callable[[Endpoint], Endpoint]:
        return self._declare("DELETE", path, access, 204)

    def _declare(
        self, method: str, path: str, access: Access, status: int, **more: bool
    ) -> Callable[[Endpoint], Endpoint]:
        def declare(function: Endpoint) -> Endpoint:
            hints = get_type_hints(function)
            self.routes.append(
                Route(
                    method,
                    PREFIX + path,
                    function,
                    status,
                    access,
                    hints.get("body"),
                    hints.get("query"),
                    hints.get("return"),
                    **more,
                )
            )
            return function

        return declare


def json_response(answer: Any, status: int = 200) -> web.Response:
    """Write *answer*, of pydantic models and plain values, as JSON that no cache keeps."""
    return web.Response(
        status=status,
        body=_JSON.dump_json(answer),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


_JSON: TypeAdapter[Any] = TypeAdapter(Any)


async def _identify(request: web.Request, access: Access) -> Call:
    site = request.config_dict[SITE]
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if access == "anybody":
        refuse_other_sites(request)  # or they could log a browser in, as somebody else
        return Call(request, site, _NOBODY)
    if scheme.lower() == "bearer" and secret:
        actor, login_id = await users.authenticate(site, secret.strip(), TokenKind.BEARER)
    elif COOKIE in request.cookies:
        refuse_other_sites(request)
        actor, login_id = await users.authenticate(site, request.cookies[COOKIE], TokenKind.SESSION)
    else:
        raise Unauthenticated("Log in first (POST /api/v1/auth/login).")
    if access == "admin":
        actor.require_admin()
    return Call(request, site, actor, login_id)


def refuse_other_sites(request: web.Request) -> None:
    """Refuse what a page of another site makes a browser send along with our cookie."""
    if request.method in {"GET", "HEAD"}:
        return
    origin = request.headers.get("Origin")
    from_elsewhere = request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}
    if from_elsewhere or (origin is not None and origin.partition("://")[2] != request.host):
        raise Forbidden("This request comes from a page of another site.", key="cross-site")


async def _read_json(request: web.Request) -> Any:
    try:
        return json.loads(await request.text() or "{}")
    except (ValueError, LookupError, RecursionError, web.RequestPayloadError) as error:
        raise web.HTTPBadRequest(text=f"The body is no JSON in UTF-8: {error}") from error


def _parse(model: type[BaseModel], given: Any) -> BaseModel:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Invalid.of(error) from error
