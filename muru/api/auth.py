"""Registration, login, logout, and the list of one's logins."""

from datetime import datetime

from aiohttp import web
from pydantic import BaseModel, Field, SecretStr

from muru.api.routing import COOKIE, Call, Endpoints, Input, json_response
from muru.api.users import UserView
from muru.db.models import TokenKind
from muru.keys import LOGIN_LIMITER, SITE
from muru.services import users

endpoints = Endpoints()


class Registration(Input):
    username: str = Field(max_length=200)
    password: SecretStr = Field(max_length=1000)
    invite: str | None = Field(None, max_length=64)


class Credentials(Input):
    """*kind* ``bearer`` asks for a token for the Authorization header, ``session`` for a cookie."""

    username: str = Field(max_length=200)
    password: SecretStr = Field(max_length=1000)
    kind: TokenKind = TokenKind.BEARER
    label: str = Field("", max_length=100)


class LoginView(BaseModel):
    token: str | None
    expires_at: datetime | None
    user: UserView


class TokenView(BaseModel):
    id: int
    kind: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    current: bool


@endpoints.post("/auth/register", access="anybody", status=201)
async def register(call: Call, body: Registration) -> UserView:
    """Create an account; needs an invite where the site is set so."""
    user = await users.register(
        call.site, body.username, body.password.get_secret_value(), body.invite
    )
    return UserView.of(user)


@endpoints.post("/auth/login", access="anybody")
async def log_in(call: Call, body: Credentials) -> LoginView:
    """Log in, by cookie or bearer token."""
    login = await prove(
        call.request, body.username, body.password.get_secret_value(), body.kind, body.label
    )
    by_cookie = body.kind is TokenKind.SESSION
    response = json_response(
        LoginView(
            token=None if by_cookie else login.secret,
            expires_at=login.token.expires_at,
            user=UserView.of(login.user),
        )
    )
    if by_cookie:
        remember(call.request, response, login)
    return response  # type: ignore[return-value]  # the same JSON, with a cookie


async def prove(
    request: web.Request, username: str, password: str, kind: TokenKind, label: str = ""
) -> users.Login:
    """Check a password as :func:`users.log_in` does, unless whoever asks has to wait first."""
    limiter = request.config_dict[LOGIN_LIMITER]
    keys = (f"user {username.strip().lower()}", f"address {request.remote}")
    async with limiter.attempt(*keys):
        return await users.log_in(request.config_dict[SITE], username, password, kind, label)


def remember(request: web.Request, response: web.StreamResponse, login: users.Login) -> None:
    """Give the browser the cookie of a login of kind ``session``."""
    response.set_cookie(
        COOKIE,
        login.secret,
        max_age=request.config_dict[SITE].settings.session_days * 86400,
        httponly=True,
        samesite="Lax",
        secure=request.secure,
    )


def forget(response: web.StreamResponse) -> None:
    response.del_cookie(COOKIE)


@endpoints.post("/auth/logout", status=204)
async def log_out(call: Call) -> None:
    """End the login that this request came with."""
    assert call.login_id is not None  # whoever gets here came with one
    await users.revoke_token(call.site, call.actor, call.login_id)
    response = web.Response(status=204)
    forget(response)
    return response  # type: ignore[return-value]  # as above


@endpoints.get("/auth/tokens")
async def list_tokens(call: Call) -> list[TokenView]:
    """List one's own logins; their secrets are not kept."""
    return [
        TokenView(
            id=token.id,
            kind=token.kind,
            label=token.label,
            created_at=token.created_at,
            expires_at=token.expires_at,
            current=token.id == call.login_id,
        )
        for token in await users.list_tokens(call.site, call.actor)
    ]


@endpoints.delete("/auth/tokens/{id:\\d{1,9}}")
async def revoke_token(call: Call) -> None:
    """End one of one's own logins."""
    await users.revoke_token(call.site, call.actor, int(call.path("id")))
