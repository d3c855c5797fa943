"""Accounts and logins."""

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, exc, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from muru.db.models import Extension, Invite, Role, Token, TokenKind, User, now
from muru.errors import Conflict, Forbidden, Invalid, NotFound, TooManyRequests, Unauthenticated
from muru.services import audit, passwords
from muru.services.site import Actor, Site

_WRONG_LOGIN = "User name or password is wrong."
_PATH_WORDS = frozenset({"me", ".."})  # in a path of the API they mean something else


def normalise_username(site: Site, username: str) -> str:
    """Return *username* as it is kept: without outer blanks, in small letters.

    Raises:
        Invalid: it is too short, too long, reserved, or has a character that this site does not
            allow.
    """
    name = username.strip().lower()
    allowed = site.settings.username_characters.lower()
    if not 2 <= len(name) <= 64:
        raise Invalid("A user name has 2 to 64 characters.", {"username": "2 to 64 characters"})
    wrong = sorted({character for character in name if character not in allowed})
    if wrong:
        fault = f"{' '.join(map(repr, wrong))} cannot be used; allowed are {allowed}"
        raise Invalid("This user name cannot be used.", {"username": fault})
    if name in _PATH_WORDS:
        raise Invalid("This user name cannot be used.", {"username": f"{name!r} is reserved"})
    return name


async def register(site: Site, username: str, password: str, invite: str | None = None) -> User:
    """Create an account for whoever asks, with the invite that this site may want.

    Raises:
        Invalid: the user name or password does not fit.
        Forbidden: an invite is needed, and this is none, or it is used up or too old.
        Conflict: the user name is taken.
    """
    if invite is None and site.settings.account_registration == "invite":
        raise Forbidden(
            "An account here needs an invite; ask the people who run this site.",
            key="invite-needed",
        )
    return await _create(site, username, password, Role.USER, invite=invite)


async def create_user(
    site: Site, actor: Actor, username: str, password: str, role: Role = Role.USER
) -> User:
    """Create an account for somebody else; for administrators. Raises as :func:`register`."""
    actor.require_admin()
    return await _create(site, username, password, role, actor=actor)


async def _create(
    site: Site,
    username: str,
    password: str,
    role: Role,
    *,
    invite: str | None = None,
    actor: Actor | None = None,
) -> User:
    """Create an account for whoever asks, or, if there is an *actor*, for somebody else."""
    name = normalise_username(site, username)
    passwords.check_strength(password)
    user = User(
        username=name, password_hash=await passwords.hash_password(password), role=role.value
    )
    try:
        async with site.transaction() as transaction:
            if invite is not None:
                await _use_invite(transaction.session, invite)
            if actor is not None:
                audit.note(transaction.session, actor, "user.create", f"{name} ({role})")
            transaction.session.add(user)
    except exc.IntegrityError:
        raise Conflict(
            f"The user name {name!r} is taken; choose another.", key="username-taken"
        ) from None
    return user


async def _use_invite(session: AsyncSession, code: str) -> None:
    # One statement that checks and counts: two people cannot both get the last place.
    used = await session.execute(
        update(Invite)
        .where(
            Invite.code == code,
            (Invite.max_uses.is_(None)) | (Invite.uses < Invite.max_uses),
            (Invite.expires_at.is_(None)) | (Invite.expires_at > now()),
        )
        .values(uses=Invite.uses + 1)
        .execution_options(synchronize_session=False)
    )
    if used.rowcount != 1:  # type: ignore[attr-defined]
        raise Forbidden(
            "This invite is not valid, used up, or too old; ask for another.", key="invite-invalid"
        )


class LoginLimiter:
    """Slows down guessing: after some failures an address or account waits, longer each time.

    Bounded: the names and addresses that failed longest ago are forgotten first.
    """

    FREE = 5  # failures that cost nothing
    LONGEST = 300.0  # seconds
    _BOUND = 10_000
    _AT_ONCE = 2  # else a thousand guesses at the same moment would all be before the first failure

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._turn = asyncio.Semaphore(self._AT_ONCE)

    @asynccontextmanager
    async def attempt(self, *keys: str) -> AsyncIterator[None]:
        """Let the block prove who somebody is; it fails by raising Unauthenticated.

        Raises:
            TooManyRequests: one of *keys* has to wait, so the block does not run.
        """
        async with self._turn:
            self._check(keys)
            try:
                yield
            except Unauthenticated:
                self._note_failure(keys)
                raise
            for key in keys:
                self._failures.pop(key, None)

    def _check(self, keys: Iterable[str]) -> None:
        for key in keys:
            count, last = self._failures.get(key, (0, 0.0))
            if count < self.FREE:
                continue
            pause = min(self.LONGEST, 2.0 ** min(count - self.FREE, 30))
            wait = last + pause - time.monotonic()
            if wait > 0:
                raise TooManyRequests(
                    f"Too many failed logins; wait {int(wait) + 1} s.", retry_after=int(wait) + 1
                )

    def _note_failure(self, keys: Iterable[str]) -> None:
        for key in keys:
            count, _ = self._failures.pop(key, (0, 0.0))
            self._failures[key] = (count + 1, time.monotonic())
        while len(self._failures) > self._BOUND:
            self._failures.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Login:
    """A fresh login; ``secret`` is known to the client alone from now on."""

    secret: str
    token: Token
    user: User


async def log_in(
    site: Site, username: str, password: str, kind: TokenKind, label: str = ""
) -> Login:
    """Check a password and open a session or create a bearer token.

    Both end after ``MURU_SESSION_DAYS``.

    Raises:
        Unauthenticated: in the same words and time whether the account exists or not.
    """
    async with site.database.read() as session:
        user = await session.scalar(select(User).where(User.username == username.strip().lower()))
    if not await passwords.verify_password(user.password_hash if user else None, password):
        raise Unauthenticated(_WRONG_LOGIN)
    assert user is not None  # no password fits an account that does not exist
    secret, digest = passwords.new_token()
    token = Token(
        digest=digest,
        kind=kind.value,
        label=label,
        user_id=user.id,
        expires_at=now() + timedelta(days=site.settings.session_days),
    )
    async with site.transaction() as transaction:
        session = transaction.session
        # Again: meanwhile the password may have been changed, which ends all logins made with it.
        current = select(User.password_hash).where(User.id == user.id).with_for_update()
        if await session.scalar(current) != user.password_hash:
            raise Unauthenticated(_WRONG_LOGIN)
        await session.execute(
            delete(Token).where(Token.user_id == user.id, Token.expires_at < now())
        )
        session.add(token)
    return Login(secret, token, user)


async def authenticate(site: Site, secret: str, kind: TokenKind) -> tuple[Actor, int]:
    """Return who holds the login *secret*, and the id of the login.

    Raises:
        Unauthenticated: it is unknown, revoked, too old, or of the other kind.
    """
    async with site.database.read() as session:
        row = (
            await session.execute(
                select(Token.id, Token.expires_at, User.id, User.username, User.role)
                .join(User, Token.user_id == User.id)
                .where(Token.digest == passwords.digest(secret), Token.kind == kind.value)
            )
        ).one_or_none()
    if row is None or (row[1] is not None and row[1] < now()):
        raise Unauthenticated("This login is not valid any more; log in again.")
    return Actor(row[2], row[3], is_admin=row[4] == Role.ADMIN), row[0]


async def list_tokens(site: Site, actor: Actor) -> list[Token]:
    """Return the logins of *actor*, the newest first."""
    async with site.database.read() as session:
        found = await session.scalars(
            select(Token).where(Token.user_id == actor.user_id).order_by(Token.id.desc())
        )
        return list(found)


async def revoke_token(site: Site, actor: Actor, token_id: int) -> None:
    """End one login of *actor*.

    Raises:
        NotFound: there is none with this id, or it is somebody else's.
    """
    async with site.transaction() as transaction:
        ended = await transaction.session.execute(
            delete(Token).where(Token.id == token_id, Token.user_id == actor.user_id)
        )
    if ended.rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound("You have no such login.")


async def get_user(site: Site, actor: Actor, username: str) -> User:
    """Return an account: one's own, or for administrators any."""
    name = username.strip().lower()
    if not actor.is_admin and actor.username != name:
        raise NotFound(f"There is no user {name!r}.")
    async with site.database.read() as session:
        return await _require_user(session, name)


async def list_users(
    site: Site, actor: Actor, *, search: str = "", offset: int = 0, limit: int = 50
) -> tuple[list[User], int]:
    """Return some accounts in the order of their names, and how many there are in all."""
    actor.require_admin()
    condition = User.username.contains(search.lower(), autoescape=True)
    async with site.database.read() as session:
        total = await session.scalar(select(func.count(User.id)).where(condition)) or 0
        page = select(User).where(condition).order_by(User.username).offset(offset).limit(limit)
        return list(await session.scalars(page)), total


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to change; None leaves as it is. *current_password* proves who changes a password."""

    password: str | None = None
    current_password: str | None = None
    role: Role | None = None


async def change_user(site: Site, actor: Actor, username: str, change: UserChange) -> User:
    """Change a password or, for administrators, the role of somebody else.

    A new password ends all logins of the account.

    Raises:
        Forbidden: roles are for administrators to give, and nobody changes their own.
        Unauthenticated: the current password is wrong.
        Conflict: there would be no administrator any more.
    """
    user = await get_user(site, actor, username)
    if change.role is not None and change.role != user.role:
        actor.require_admin()
        if user.id == actor.user_id:
            raise Forbidden("Nobody changes their own role; another administrator has to.")
    password_hash = None
    if change.password is not None:
        passwords.check_strength(change.password)
        if not actor.is_admin or user.id == actor.user_id:
            given = change.current_password or ""
            if not await passwords.verify_password(user.password_hash, given):
                raise Unauthenticated("The current password is wrong.")
        password_hash = await passwords.hash_password(change.password)
    async with site.transaction() as transaction:
        user = await _require_user(transaction.session, user.username)
        if change.role is not None:
            if change.role is not Role.ADMIN:
                await _check_not_last_admin(transaction.session, user)
            if change.role != user.role:
                target = f"{user.username}: {change.role}"
                audit.note(transaction.session, actor, "user.role", target)
            user.role = change.role.value
        if password_hash is not None:
            audit.note_for(transaction.session, actor, user.id, "user.password", user.username)
            user.password_hash = password_hash
            await transaction.session.execute(delete(Token).where(Token.user_id == user.id))
    return user


async def check_departure(site: Site, actor: Actor, password: str) -> None:
    """Check that *actor* may delete the own account, and means to: *password* is the proof.

    Raises:
        Unauthenticated: the password is wrong.
        Conflict: it is the last administrator.
    """
    user = await get_user(site, actor, actor.username)
    if not await passwords.verify_password(user.password_hash, password):
        raise Unauthenticated("The current password is wrong.")
    async with site.transaction() as transaction:
        await _check_not_last_admin(transaction.session, user)


async def delete_user(site: Site, actor: Actor, username: str) -> None:
    """Delete an account that has no extensions (any more): one's own, or for administrators any.

    Raises:
        Conflict: it still has extensions, or is the last administrator.
    """
    user = await get_user(site, actor, username)
    async with site.transaction() as transaction:
        session = transaction.session
        await _check_not_last_admin(session, user)  # first, as it locks several in order
        user = await _require_user(session, user.username, for_update=True)
        numbers = list(
            await session.scalars(
                select(Extension.number).where(Extension.owner_id == user.id).limit(5)
            )
        )
        if numbers:
            raise Conflict(
                f"{user.username} still has extensions ({', '.join(numbers)}); delete them first.",
                key="user-has-extensions",
            )
        audit.note_for(session, actor, user.id, "user.delete", user.username)
        await session.delete(user)


async def ensure_administrator(site: Site) -> tuple[str, str] | None:
    """Create the first administrator if there is none; return its name and password, to be told."""
    async with site.database.read() as session:
        if await session.scalar(select(User.id).where(User.role == Role.ADMIN.value).limit(1)):
            return None
        taken = set(
            await session.scalars(select(User.username).where(User.username.startswith("admin")))
        )
    names = itertools.chain(["admin"], (f"admin{number}" for number in itertools.count(2)))
    username = next(name for name in names if name not in taken)
    password = passwords.login_password()
    hashed = await passwords.hash_password(password)
    async with site.transaction() as transaction:
        transaction.session.add(
            User(username=username, password_hash=hashed, role=Role.ADMIN.value)
        )
    return username, password


async def _require_user(session: AsyncSession, username: str, *, for_update: bool = False) -> User:
    query = select(User).where(User.username == username)
    user = await session.scalar(query.with_for_update() if for_update else query)
    if user is None:
        raise NotFound(f"There is no user {username!r}.")
    return user


async def _check_not_last_admin(session: AsyncSession, leaving: User) -> None:
    # Locked, so that two cannot leave at the same moment; in order, so that they do not deadlock.
    admins = select(User.id).where(User.role == Role.ADMIN.value)
    locked = admins.order_by(User.id).with_for_update()
    if list(await session.scalars(locked)) == [leaving.id]:
        raise Conflict("This is the last administrator.", key="last-administrator")
