"""Registration, login by cookie and by token, logout, and what keeps others out."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from muru.api.routing import COOKIE
from muru.services.users import LoginLimiter
from muru.settings import Settings
from tests.conftest import PASSWORD, Api, World, configured
from tests.written_flavors import write

LOGIN = {"username": "alice", "password": PASSWORD}


async def cookie_of(world: World, username: str = "alice") -> dict[str, str]:
    """Log in as a browser does; return the header that it sends from then on."""
    body = {"username": username, "password": PASSWORD, "kind": "session"}
    async with world.nobody.client.post("/api/v1/auth/login", json=body) as response:
        assert response.status == 200
        secret = response.cookies[COOKIE].value
    world.nobody.client.session.cookie_jar.clear()  # nobody else is to send it
    return {"Cookie": f"{COOKIE}={secret}"}


async def test_login_by_token(world: World) -> None:
    """A program logs in with its password, and shows the token from then on."""
    answer = await world.nobody.post("/auth/login", LOGIN, status=200)

    assert answer["user"]["username"] == "alice"
    client = Api(world.nobody.client, answer["token"])
    assert (await client.get("/users/me"))["username"] == "alice"


async def test_login_by_cookie(world: World) -> None:
    """A browser gets a cookie that no script can read and no other site can send, and no token."""
    client = world.nobody.client
    async with client.post("/api/v1/auth/login", json={**LOGIN, "kind": "session"}) as response:
        cookie = response.cookies[COOKIE]
        assert (await response.json())["token"] is None

    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert int(cookie["max-age"]) == 30 * 86400
    assert (await world.nobody.get("/users/me"))["username"] == "alice"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic YWxpY2U6cGFzc3dvcmQ="},
        {"Cookie": f"{COOKIE}=wrong"},
        {"Cookie": COOKIE},
    ],
)
async def test_no_login_is_told_so(world: World, headers: dict[str, str]) -> None:
    """Who shows no login, or one that never was, is told to log in, and how."""
    async with world.nobody.client.get("/api/v1/users/me", headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("credentials", [{"username": "alice"}, {"username": "nobody"}])
async def test_wrong_login_tells_nothing(world: World, credentials: dict[str, str]) -> None:
    """A wrong password and an unknown account get the same answer."""
    body = {**credentials, "password": "wrong password"}

    answer = await world.nobody.post("/auth/login", body, status=401)

    assert answer["detail"] == "User name or password is wrong."


async def test_logout_ends_this_login_only(world: World) -> None:
    """A login that was logged out is worth nothing; the others of the account go on."""
    other = await world.nobody.log_in("alice")
    cookie = await cookie_of(world)

    await world.alice.post("/auth/logout", status=204)

    await world.alice.get("/users/me", status=401)
    await other.get("/users/me")
    await world.nobody.post("/auth/logout", headers=cookie, status=204)
    await world.nobody.get("/users/me", headers=cookie, status=401)
    await other.get("/users/me")


async def test_tokens_are_listed_and_revoked(world: World) -> None:
    """One sees one's logins, without their secrets, and ends any of them."""
    body = {**LOGIN, "label": "backup script"}
    lost = (await world.nobody.post("/auth/login", body, status=200))["token"]

    newest, first = await world.alice.get("/auth/tokens")

    assert (newest["label"], newest["current"], first["current"]) == ("backup script", False, True)
    assert lost not in str(newest)
    await world.alice.delete(f"/auth/tokens/{newest['id']}")
    await Api(world.nobody.client, lost).get("/users/me", status=401)
    assert [each["id"] for each in await world.alice.get("/auth/tokens")] == [first["id"]]


async def test_token_of_another_is_not_found(world: World) -> None:
    """Nobody, not even an administrator, ends a login of somebody else by its id."""
    (token,) = await world.alice.get("/auth/tokens")

    await world.root.delete(f"/auth/tokens/{token['id']}", status=404)

    await world.alice.get("/users/me")


async def test_register_makes_a_user(world: World) -> None:
    """Where registration is open, anybody gets an account, of the lowest role, and can log in."""
    body = {"username": "Neo", "password": PASSWORD}

    answer = await world.nobody.post("/auth/register", body, status=201)

    assert (answer["username"], answer["role"]) == ("neo", "user")
    neo = await world.nobody.log_in("neo")
    await neo.get("/users", status=403)


@configured(account_registration="invite")
async def test_register_by_invite(world: World) -> None:
    """Where registration is by invite, an administrator's invite is the way in, once."""
    body = {"username": "neo", "password": PASSWORD}
    refused = await world.nobody.post("/auth/register", body, status=403)
    code = (await world.root.post("/invites", {}, status=201))["code"]

    await world.nobody.post("/auth/register", {**body, "invite": code}, status=201)

    assert refused["type"] == "urn:muru:problem:invite-needed"
    again = {**body, "username": "trinity", "invite": code}
    answer = await world.nobody.post("/auth/register", again, status=403)
    assert answer["type"] == "urn:muru:problem:invite-invalid"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"role": "admin"}, "role"),
        ({"is_admin": True}, "is_admin"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 1001}, "password"),
        ({"username": "al ice"}, "username"),
        ({"username": 7}, "username"),
        ({"invite": "\0"}, "invite"),
    ],
)
async def test_register_takes_nothing_else(world: World, more: dict[str, Any], field: str) -> None:
    """Nobody registers with a role, a weak password or an odd name; the field is told."""
    body = {"username": "neo", "password": PASSWORD, **more}

    answer = await world.nobody.post("/auth/register", body, status=422)

    assert [each["field"] for each in answer["errors"]] == [field]


ELSEWHERE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", ELSEWHERE)
async def test_cookie_from_another_site_is_refused(world: World, headers: dict[str, str]) -> None:
    """A page of another site can neither act with a browser's cookie, nor log the browser in."""
    cookie = await cookie_of(world)

    refused = [
        await world.nobody.post("/auth/logout", headers=cookie | headers, status=403),
        await world.nobody.delete("/users/me", headers=cookie | headers, status=403),
        await world.nobody.post("/auth/login", LOGIN, headers=headers, status=403),
    ]

    assert {each["type"] for each in refused} == {"urn:muru:problem:cross-site"}
    await world.nobody.get("/users/me", headers=cookie | headers)


async def test_cookie_from_this_site_is_taken(world: World) -> None:
    """A page of this site acts with the cookie; a bearer token needs no such care."""
    origin = str(world.nobody.client.make_url("/")).rstrip("/")
    same = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}

    await world.nobody.post("/auth/logout", headers=await cookie_of(world) | same, status=204)
    await world.alice.post("/auth/logout", headers=ELSEWHERE[0], status=204)


async def test_login_that_fails_often_has_to_wait(world: World) -> None:
    """After some wrong passwords even the right one waits, and the answer says how long."""
    wrong = {**LOGIN, "password": "wrong password"}
    for _ in range(LoginLimiter.FREE):
        await world.nobody.post("/auth/login", wrong, status=401)

    for body in (LOGIN, {**LOGIN, "username": "root"}):  # the account, and the address
        async with world.nobody.client.post("/api/v1/auth/login", json=body) as response:
            assert response.status == 429
            assert 1 <= int(response.headers["Retry-After"]) <= 2
    await world.alice.get("/users/me")


async def test_password_change_that_fails_often_has_to_wait(world: World) -> None:
    """A stolen login is no way to guess the password, and harms no administrator's help."""
    guess = {"password": "a new password", "current_password": "wrong password"}
    for _ in range(LoginLimiter.FREE):
        await world.alice.patch("/users/me", guess, status=401)

    await world.alice.patch("/users/me", {**guess, "current_password": PASSWORD}, status=429)
    await world.root.patch("/users/alice", {"password": "a new password"})


TRAP = """
    class Trap(SIP):
        PHONE_TYPES = ["Trap"]

        def on_extension_delete(self, session, asterisk_session, user, extension):
            extension.token = None  # which the database refuses
            session.flush()
"""


async def test_no_secret_is_logged(
    start: Callable[[Settings], Awaitable[World]],
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """From registration to a deletion that fails no password and no token gets into the log."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="aiosqlite")  # as muru.cli sets it
    world = await start(make_settings(**write(tmp_path / "flavors", trap=TRAP)))
    secrets = ["a secret password", "another password"]
    neo = {"username": "neo", "password": secrets[0]}
    await world.nobody.post("/auth/register", neo)
    client = await world.nobody.log_in("neo", secrets[0])
    created = await client.post("/extensions", {"type": "Trap", "name": "Neo"})
    renewed = await client.post(f"/extensions/{created['number']}/password")
    await client.post("/extensions", {"type": "Trap", "name": "\0"}, status=422)
    await client.patch("/users/me", {"password": secrets[1]}, status=401)
    await client.delete(f"/extensions/{created['number']}", status=409)
    await client.patch("/users/me", {"password": secrets[1], "current_password": secrets[0]})
    await world.nobody.post("/auth/login", neo, status=401)

    secrets += [client.token or "", created["token"]]
    secrets += [each["sip"]["password"] for each in (created, renewed)]
    assert len(set(secrets)) == 6
    assert "NOT NULL constraint failed" in caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]
