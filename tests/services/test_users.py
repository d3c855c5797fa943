"""Accounts: names, logins, roles, and the brake on guessing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update

from muru.db.models import Role, Token, TokenKind, User, now
from muru.errors import Conflict, Forbidden, Invalid, MuruError, TooManyRequests, Unauthenticated
from muru.services import extensions, passwords, users
from muru.services.extensions import NewExtension
from muru.services.site import OPERATOR, Actor, Site
from muru.services.users import LoginLimiter, UserChange
from tests.conftest import PASSWORD, configured

TO_ADMIN, TO_USER = UserChange(role=Role.ADMIN), UserChange(role=Role.USER)


def actor(user: User) -> Actor:
    return Actor(user.id, user.username, is_admin=user.is_admin)


async def outcomes(*actions: Awaitable[object]) -> Counter[str]:
    """Count what becomes of actions that happen at the same moment: ``ok``, or a problem's key."""
    results = await asyncio.gather(*actions, return_exceptions=True)
    unforeseen = [each for each in results if isinstance(each, Exception)]
    assert all(isinstance(each, MuruError) for each in unforeseen), unforeseen
    return Counter(each.key if isinstance(each, MuruError) else "ok" for each in results)


@pytest.fixture
async def owner(site: Site) -> User:
    return await users.get_user(site, OPERATOR, "owner")


@pytest.fixture
async def root(site: Site) -> User:
    """The one administrator."""
    return await users.create_user(site, OPERATOR, "root", PASSWORD, Role.ADMIN)


async def test_password_is_kept_as_a_hash_only(site: Site) -> None:
    """No column of an account holds the password."""
    async with site.database.read() as session:
        user = (await session.scalars(select(User))).one()

    assert user.password_hash.startswith("$argon2id$")
    assert not any(PASSWORD in str(value) for value in vars(user).values())


async def test_username_is_kept_in_small_letters(site: Site) -> None:
    """However a user name is written, it is the same account."""
    await users.create_user(site, OPERATOR, "  Zaphod ", PASSWORD)

    with pytest.raises(Conflict, match="taken"):
        await users.create_user(site, OPERATOR, "ZAPHOD", PASSWORD)
    assert (
        await users.log_in(site, "zaPhod", PASSWORD, TokenKind.BEARER)
    ).user.username == "zaphod"


@pytest.mark.parametrize(
    "username",
    [
        "",
        "a",
        "a" * 65,
        "al ice",
        "al\nice",
        "al\0ice",
        "älice",
        "alice\u202e",
        "\ud800a",
        "<b>",
        "a/b",
        "me",
        "ME",
        "..",
    ],
)
async def test_username_that_cannot_be_used(site: Site, username: str) -> None:
    """A name of other characters or lengths, or with a meaning of its own in a path, is refused."""
    with pytest.raises(Invalid) as refusal:
        await users.create_user(site, OPERATOR, username, PASSWORD)

    assert list(refusal.value.fields) == ["username"]


@configured(username_characters="ownerÄ☎")
async def test_username_characters_are_configured(site: Site) -> None:
    """A site chooses the characters of user names, in small or capital letters alike."""
    await users.create_user(site, OPERATOR, "Wä☎", PASSWORD)

    with pytest.raises(Invalid, match="cannot be used"):
        await users.create_user(site, OPERATOR, "trillian", PASSWORD)


async def test_username_wanted_by_many_at_once(any_site: Site) -> None:
    """Of 20 people who want the same user name at the same moment one gets it."""
    asked = [users.register(any_site, "neo", PASSWORD) for _ in range(20)]

    assert await outcomes(*asked) == {"ok": 1, "username-taken": 19}


async def test_login_tells_nothing_of_who_exists(site: Site) -> None:
    """A wrong password and an unknown account are refused in the same words."""
    with pytest.raises(Unauthenticated) as wrong:
        await users.log_in(site, "owner", "wrong password", TokenKind.BEARER)
    with pytest.raises(Unauthenticated) as unknown:
        await users.log_in(site, "nobody", PASSWORD, TokenKind.BEARER)

    assert str(wrong.value) == str(unknown.value)


async def test_login_keeps_no_secret(site: Site) -> None:
    """A stolen table of logins opens no door."""
    login = await users.log_in(site, "owner", PASSWORD, TokenKind.BEARER)

    async with site.database.read() as session:
        token = (await session.scalars(select(Token))).one()
    assert not any(login.secret in str(value) for value in vars(token).values())
    with pytest.raises(Unauthenticated):
        await users.authenticate(site, token.digest, TokenKind.BEARER)


async def test_login_is_of_one_kind(site: Site) -> None:
    """A cookie's secret is no bearer token."""
    login = await users.log_in(site, "owner", PASSWORD, TokenKind.SESSION)

    assert (await users.authenticate(site, login.secret, TokenKind.SESSION))[0].username == "owner"
    with pytest.raises(Unauthenticated):
        await users.authenticate(site, login.secret, TokenKind.BEARER)


@configured(session_days=2)
async def test_login_ends_by_itself(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After MURU_SESSION_DAYS a login is worth nothing, and the next one clears it away."""
    login = await users.log_in(site, "owner", PASSWORD, TokenKind.BEARER)
    await users.authenticate(site, login.secret, TokenKind.BEARER)

    later = now() + timedelta(days=2, seconds=1)
    monkeypatch.setattr(users, "now", lambda: later)
    with pytest.raises(Unauthenticated):
        await users.authenticate(site, login.secret, TokenKind.BEARER)
    again = await users.log_in(site, "owner", PASSWORD, TokenKind.BEARER)
    async with site.database.read() as session:
        assert list(await session.scalars(select(Token.id))) == [again.token.id]


async def test_login_does_not_outrun_a_new_password(site: Site, owner: User) -> None:
    """A login whose password was right a moment ago, and is changed now, is refused."""
    async with site.transaction() as transaction:
        login = asyncio.create_task(users.log_in(site, "owner", PASSWORD, TokenKind.BEARER))
        await asyncio.sleep(0.2)  # it has checked the password, and waits for its transaction
        changed = update(User).values(password_hash=await passwords.hash_password("another one"))
        await transaction.session.execute(changed.where(User.id == owner.id))

    with pytest.raises(Unauthenticated):
        await login


async def test_new_password_ends_all_logins(site: Site, owner: User) -> None:
    """Who changes a password logs everybody out, cookies and tokens alike."""
    secrets = {
        kind: (await users.log_in(site, "owner", PASSWORD, kind)).secret for kind in TokenKind
    }
    change = UserChange(password="a new password", current_password=PASSWORD)

    await users.change_user(site, actor(owner), "owner", change)

    for kind, secret in secrets.items():
        with pytest.raises(Unauthenticated):
            await users.authenticate(site, secret, kind)
    with pytest.raises(Unauthenticated):
        await users.log_in(site, "owner", PASSWORD, TokenKind.BEARER)
    await users.log_in(site, "owner", "a new password", TokenKind.BEARER)


@pytest.mark.parametrize("current", [None, "", "wrong password"])
async def test_new_password_needs_the_current_one(
    site: Site, owner: User, current: str | None
) -> None:
    """A stolen login is not enough to take an account over."""
    change = UserChange(password="a new password", current_password=current)

    with pytest.raises(Unauthenticated, match="current password"):
        await users.change_user(site, actor(owner), "owner", change)

    await users.log_in(site, "owner", PASSWORD, TokenKind.BEARER)


async def test_role_is_not_for_users_to_give(site: Site, owner: User) -> None:
    """No user makes anybody an administrator, least of all oneself."""
    with pytest.raises(Forbidden):
        await users.change_user(site, actor(owner), "owner", TO_ADMIN)
    with pytest.raises(Forbidden):
        await users.create_user(site, actor(owner), "helper", PASSWORD, Role.ADMIN)

    assert (await users.get_user(site, OPERATOR, "owner")).role == Role.USER


async def test_role_of_ones_own_stays(site: Site, root: User, owner: User) -> None:
    """An administrator gives and takes roles of others, not the own one."""
    await users.change_user(site, actor(root), "owner", TO_ADMIN)

    with pytest.raises(Forbidden, match="own role"):
        await users.change_user(site, actor(root), "root", TO_USER)

    assert (await users.change_user(site, actor(root), "owner", TO_USER)).role == Role.USER


async def test_last_administrator_stays(site: Site, root: User) -> None:
    """Neither the last administrator nor the operator can leave a site without one."""
    with pytest.raises(Conflict, match="last administrator"):
        await users.delete_user(site, actor(root), "root")
    with pytest.raises(Conflict, match="last administrator"):
        await users.change_user(site, OPERATOR, "root", TO_USER)

    await users.create_user(site, OPERATOR, "second", PASSWORD, Role.ADMIN)
    await users.delete_user(site, actor(root), "root")


@pytest.mark.parametrize("act", ["demote", "delete"])
async def test_last_two_administrators_cannot_both_leave(any_site: Site, act: str) -> None:
    """Two administrators who take each other's role or account at the same moment leave one."""
    pair = [
        await users.create_user(any_site, OPERATOR, f"root{number}", PASSWORD, Role.ADMIN)
        for number in (1, 2)
    ]

    def remove(by: User, whom: User) -> Awaitable[object]:
        if act == "demote":
            return users.change_user(any_site, actor(by), whom.username, TO_USER)
        return users.delete_user(any_site, actor(by), whom.username)

    done = await outcomes(remove(*pair), remove(*reversed(pair)))

    assert done == {"ok": 1, "last-administrator": 1}


async def test_account_with_extensions_stays(site: Site, owner: User) -> None:
    """Who still has extensions is not deleted, and is told which."""
    new = NewExtension(type="Dummy", name="Desk", number="1234")
    await extensions.create_extension(site, actor(owner), new)

    with pytest.raises(Conflict, match="1234"):
        await users.delete_user(site, actor(owner), "owner")

    await extensions.delete_extension(site, actor(owner), "1234")
    await users.delete_user(site, actor(owner), "owner")
    with pytest.raises(Unauthenticated):
        await users.log_in(site, "owner", PASSWORD, TokenKind.BEARER)


async def test_first_administrator_is_made_once(site: Site) -> None:
    """A site without administrators gets one, whose password is told once."""
    first = await users.ensure_administrator(site)

    assert first is not None
    assert (await users.log_in(site, *first, TokenKind.BEARER)).user.is_admin
    assert await users.ensure_administrator(site) is None


async def test_first_administrator_finds_a_free_name(site: Site) -> None:
    """That a user calls himself admin keeps no administrator from being made."""
    await users.create_user(site, OPERATOR, "admin", PASSWORD)

    first = await users.ensure_administrator(site)

    assert first is not None
    assert first[0] == "admin2"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The limiter's time; set ``at`` to let it pass."""
    clock = SimpleNamespace(at=1000.0)
    monkeypatch.setattr(users, "time", SimpleNamespace(monotonic=lambda: clock.at))
    return clock


@pytest.fixture
def limiter() -> LoginLimiter:
    return LoginLimiter()


async def fail(limiter: LoginLimiter, *keys: str) -> None:
    with pytest.raises(Unauthenticated):
        async with limiter.attempt(*keys):
            raise Unauthenticated("wrong")


async def succeed(limiter: LoginLimiter, *keys: str) -> None:
    async with limiter.attempt(*keys):
        pass


async def wait_of(limiter: LoginLimiter, *keys: str) -> int:
    """Return the seconds that an attempt is told to wait."""
    with pytest.raises(TooManyRequests) as refusal:
        await succeed(limiter, *keys)
    return refusal.value.retry_after


async def test_limiter_slows_down_more_and_more(
    limiter: LoginLimiter, clock: SimpleNamespace
) -> None:
    """Five failures cost nothing; each further one doubles the wait, up to five minutes."""
    waits = []
    for _ in range(LoginLimiter.FREE - 1):
        await fail(limiter, "alice")
    for _ in range(12):
        await fail(limiter, "alice")
        waits.append(await wait_of(limiter, "alice"))
        clock.at += waits[-1]

    assert waits == [2, 3, 5, 9, 17, 33, 65, 129, 257, 301, 301, 301]


async def test_limiter_survives_patience(limiter: LoginLimiter, clock: SimpleNamespace) -> None:
    """However many failures there were, an attempt is told to wait, and may come after that."""
    for _ in range(2000):
        await fail(limiter, "alice")
        clock.at += LoginLimiter.LONGEST

    clock.at -= 1
    assert await wait_of(limiter, "alice") <= 2
    clock.at += 1
    await succeed(limiter, "alice")


async def test_limiter_forgives_after_a_success(
    limiter: LoginLimiter, clock: SimpleNamespace
) -> None:
    """A right password takes back the failures before it."""
    for _ in range(3):
        for _ in range(LoginLimiter.FREE - 1):
            await fail(limiter, "alice")
        await succeed(limiter, "alice")


async def test_limiter_looks_at_each_key(limiter: LoginLimiter, clock: SimpleNamespace) -> None:
    """An address waits for its failures with any account, an account for those from anywhere."""
    for number in range(LoginLimiter.FREE):
        await fail(limiter, f"user {number}", "address a")
        await fail(limiter, "user alice", f"address {number}")

    await wait_of(limiter, "user bob", "address a")
    await wait_of(limiter, "user alice", "address b")
    await succeed(limiter, "user bob", "address b")


async def test_limiter_is_not_outrun(limiter: LoginLimiter) -> None:
    """Of many guesses at the same moment no more get through than one after the other."""
    guesses = 0

    async def guess() -> None:
        nonlocal guesses
        async with limiter.attempt("alice"):
            guesses += 1
            await asyncio.sleep(0)
            raise Unauthenticated("wrong")

    done = await outcomes(*(guess() for _ in range(100)))

    assert set(done) == {"unauthenticated", "too-many-requests"}
    assert guesses <= LoginLimiter.FREE + 1


async def test_limiter_is_bounded(limiter: LoginLimiter, clock: SimpleNamespace) -> None:
    """Names that nobody has do not fill the memory."""
    for number in range(10_050):
        await fail(limiter, str(number))

    assert len(limiter._failures) == 10_000
