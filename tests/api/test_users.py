"""Accounts and invites over the API: who may see and do what."""

from typing import Any

import pytest

from tests.conftest import PASSWORD, Api, World, configured

FOR_ADMINISTRATORS = [
    ("GET", "/users", None),
    ("POST", "/users", {"username": "neo", "password": PASSWORD, "role": "admin"}),
    ("GET", "/invites", None),
    ("POST", "/invites", {}),
    ("DELETE", "/invites/some-code", None),
    ("GET", "/flavors", None),
    ("GET", "/diagnostics/ami", None),
]


@pytest.mark.parametrize(("method", "path", "body"), FOR_ADMINISTRATORS)
async def test_administration_is_for_administrators(
    world: World, method: str, path: str, body: Any
) -> None:
    """A user is refused what administrators do, and nobody is asked to log in."""
    answer = await world.alice.call(method, path, body, status=403)
    await world.nobody.call(method, path, body, status=401)

    assert answer["type"] == "urn:muru:problem:forbidden"
    assert (await world.root.get("/users"))["total"] == 2
    assert await world.root.get("/invites") == []


async def test_user_sees_oneself_alone(world: World) -> None:
    """An account shows its name, role and age, to its user and to administrators."""
    me = await world.alice.get("/users/me")

    assert me.keys() == {"username", "role", "created_at"}
    assert me == await world.alice.get("/users/alice") == await world.root.get("/users/Alice")
    for path in ("/users/root", "/users/nobody", "/users/%00", "/users/%FF"):
        await world.alice.get(path, status=404)


@pytest.mark.parametrize("path", ["/users/me", "/users/alice", "/users/ALICE"])
@pytest.mark.parametrize(
    "body", [{"role": "admin"}, {"role": "admin", "password": "a new password"}]
)
async def test_role_cannot_be_raised(world: World, path: str, body: dict[str, str]) -> None:
    """No user becomes an administrator by changing the own account."""
    await world.alice.patch(path, {**body, "current_password": PASSWORD}, status=403)

    assert (await world.alice.get("/users/me"))["role"] == "user"


async def test_role_of_another_cannot_be_touched(world: World) -> None:
    """A user can neither promote, demote nor delete anybody else."""
    await world.root.post("/users", {"username": "bob", "password": PASSWORD}, status=201)

    for name in ("bob", "root"):
        await world.alice.patch(f"/users/{name}", {"role": "admin"}, status=404)
        await world.alice.delete(f"/users/{name}", status=404)

    assert [each["role"] for each in (await world.root.get("/users"))["items"]] == [
        "user",
        "user",
        "admin",
    ]


async def test_role_is_given_and_taken(world: World) -> None:
    """An administrator's word on a role counts from the next request on, with the same login."""
    assert (await world.root.patch("/users/alice", {"role": "admin"}))["role"] == "admin"
    await world.alice.get("/users")
    await world.root.patch("/users/alice", {"role": "user"})
    await world.alice.get("/users", status=403)

    await world.root.patch("/users/me", {"role": "user"}, status=403)
    await world.root.patch("/users/root", {"role": "user"}, status=403)
    await world.root.get("/users")


@pytest.mark.parametrize(
    "body", [{"username": "bob"}, {"created_at": "2026-01-01"}, {"role": "god"}, {"role": 1}, []]
)
async def test_change_of_what_cannot_change(world: World, body: Any) -> None:
    """What is no field of an account, or no value for it, is refused and not passed over."""
    await world.root.patch("/users/alice", body, status=422)


async def test_password_change(world: World) -> None:
    """A new password of one's own ends every login, and is the only one that fits."""
    other = await world.nobody.log_in("alice")
    body = {"password": "a new password", "current_password": PASSWORD}

    await world.alice.patch("/users/me", body)

    for client in (world.alice, other):
        await client.get("/users/me", status=401)
    await world.nobody.post("/auth/login", {"username": "alice", "password": PASSWORD}, status=401)
    await world.nobody.log_in("alice", "a new password")


async def test_password_given_by_an_administrator(world: World) -> None:
    """An administrator helps who forgot a password, but proves the own one to change it."""
    await world.root.patch("/users/alice", {"password": "a new password"})
    await world.alice.get("/users/me", status=401)
    await world.nobody.log_in("alice", "a new password")

    await world.root.patch("/users/root", {"password": "a new password"}, status=401)


async def test_account_is_deleted(world: World) -> None:
    """An account without extensions can go, by its user's or an administrator's will."""
    await world.root.post("/users", {"username": "bob", "password": PASSWORD})
    bob = await world.nobody.log_in("bob")

    await world.alice.delete("/users/me")
    await world.root.delete("/users/bob")

    for client in (world.alice, bob):
        await client.get("/users/me", status=401)
    assert (await world.root.get("/users"))["total"] == 1


async def test_account_that_is_needed_stays(world: World) -> None:
    """Neither an account with extensions nor the last administrator can go."""
    await world.alice.post("/extensions", {"type": "Dummy", "name": "Desk"})

    kept = await world.alice.delete("/users/me", status=409)
    last = await world.root.delete("/users/me", status=409)

    assert kept["type"] == "urn:muru:problem:user-has-extensions"
    assert last["type"] == "urn:muru:problem:last-administrator"


async def test_users_are_listed_page_by_page(world: World) -> None:
    """The list goes by name, can be searched, and says how many there are in all."""
    for name in ("bob", "bobby", "carol"):
        await world.root.post("/users", {"username": name, "password": PASSWORD})

    page = await world.root.get("/users?offset=1&limit=2")
    found = await world.root.get("/users?search=BOB")

    assert ([each["username"] for each in page["items"]], page["total"]) == (["bob", "bobby"], 5)
    assert ([each["username"] for each in found["items"]], found["total"]) == (["bob", "bobby"], 2)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "offset=-1",
        "offset=99999999999999999999",
        "page=2",
        "search=%00",
        f"search={'x' * 101}",
    ],
)
async def test_page_that_cannot_be(world: World, query: str) -> None:
    """A page that is no page is refused, with the name of the parameter."""
    answer = await world.root.get(f"/users?{query}", status=422)

    assert [each["field"] for each in answer["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize("name", ["alice", "ALICE", " alice "])
async def test_username_that_is_taken(world: World, name: str) -> None:
    """A user name exists once, however it is written."""
    body = {"username": name, "password": PASSWORD}

    for client, path in ((world.root, "/users"), (world.nobody, "/auth/register")):
        answer = await client.post(path, body, status=409)
        assert answer["type"] == "urn:muru:problem:username-taken"


@configured(account_registration="invite")
async def test_invites_are_made_listed_and_deleted(world: World) -> None:
    """An administrator sees what became of each invite, and can end it."""
    body = {"max_uses": 2, "expires_at": "2999-01-01T01:00:00+01:00", "note": "crew"}
    invite = await world.root.post("/invites", body, status=201)
    neo = {"username": "neo", "password": PASSWORD, "invite": invite["code"]}
    await world.nobody.post("/auth/register", neo)

    assert invite["expires_at"] == "2999-01-01T00:00:00Z"
    assert await world.root.get("/invites") == [{**invite, "uses": 1}]
    await world.root.delete(f"/invites/{invite['code']}")
    await world.root.delete(f"/invites/{invite['code']}", status=404)
    await world.nobody.post("/auth/register", {**neo, "username": "trinity"}, status=403)


async def test_invite_without_wishes_is_for_one(world: World) -> None:
    """Unless an administrator says otherwise an invite admits one person."""
    assert (await world.root.post("/invites", {}))["max_uses"] == 1
    assert (await world.root.post("/invites", {"max_uses": None}))["max_uses"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_uses", 0),
        ("max_uses", -1),
        ("max_uses", "many"),
        ("expires_at", "2999-01-01T00:00:00"),  # of which time zone?
        ("expires_at", "9999-12-31T23:59:59-12:00"),
        ("expires_at", "0001-01-01T00:00:00+12:00"),
        ("expires_at", "tomorrow"),
        ("note", "x" * 201),
        ("note", "\0"),
        ("uses", 5),
        ("code", "welcome"),
    ],
)
async def test_invite_that_cannot_be(world: World, field: str, value: Any) -> None:
    """A bound that is none is refused, with the name of the field."""
    answer = await world.root.post("/invites", {field: value}, status=422)

    assert [each["field"] for each in answer["errors"]] == [field]


async def test_no_answer_has_a_hash(world: World) -> None:
    """Not even an administrator is shown a password's hash."""
    users = await world.root.get("/users")

    assert "argon2" not in str(users)
    assert all(each.keys() == {"username", "role", "created_at"} for each in users["items"])


async def test_first_login_of_a_created_account(world: World) -> None:
    """An account that an administrator creates works with the password that was given."""
    body = {"username": "trillian", "password": PASSWORD, "role": "admin"}
    await world.root.post("/users", body, status=201)

    trillian: Api = await world.nobody.log_in("trillian")

    assert (await trillian.get("/users"))["total"] == 3
