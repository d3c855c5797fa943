"""Accounts and invites."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, SecretStr

from muru.api.routing import Call, Endpoints, Input, PageQuery
from muru.db.models import Invite, Role, User
from muru.keys import LOGIN_LIMITER
from muru.services import invites, users

endpoints = Endpoints()


class UserView(BaseModel):
    username: str
    role: str
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(username=user.username, role=user.role, created_at=user.created_at)


class UserPage(BaseModel):
    items: list[UserView]
    total: int


class NewUser(Input):
    username: str = Field(max_length=200)
    password: SecretStr = Field(max_length=1000)
    role: Role = Role.USER


class UserPatch(Input):
    """A new password of one's own needs the current one."""

    password: SecretStr | None = Field(None, max_length=1000)
    current_password: SecretStr | None = Field(None, max_length=1000)
    role: Role | None = None

    def change(self) -> users.UserChange:
        new, current = self.password, self.current_password
        return users.UserChange(
            password=new.get_secret_value() if new else None,
            current_password=current.get_secret_value() if current else None,
            role=self.role,
        )


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the years that can be kept") from None


class NewInvite(Input):
    """*max_uses* None lets any number of people in, *expires_at* None at any time."""

    max_uses: int | None = Field(1, ge=1, le=100_000)
    expires_at: Annotated[AwareDatetime, AfterValidator(_in_utc)] | None = None
    note: str = Field("", max_length=200)


class InviteView(BaseModel):
    code: str
    note: str
    max_uses: int | None
    uses: int
    expires_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, invite: Invite) -> Self:
        return cls(**{name: getattr(invite, name) for name in cls.model_fields})


@endpoints.get("/users/me")
async def get_me(call: Call) -> UserView:
    """Return one's own account."""
    return UserView.of(await users.get_user(call.site, call.actor, call.actor.username))


@endpoints.patch("/users/me")
async def change_me(call: Call, body: UserPatch) -> UserView:
    """Change one's own password."""
    return await _change(call, call.actor.username, body)


@endpoints.delete("/users/me")
async def delete_me(call: Call) -> None:
    """Delete one's own account, once it has no extensions."""
    await users.delete_user(call.site, call.actor, call.actor.username)


@endpoints.get("/users", access="admin")
async def list_users(call: Call, query: PageQuery) -> UserPage:
    """List the accounts by name."""
    found, total = await users.list_users(call.site, call.actor, **query.model_dump())
    return UserPage(items=[UserView.of(user) for user in found], total=total)


@endpoints.post("/users", access="admin", status=201)
async def create_user(call: Call, body: NewUser) -> UserView:
    """Create an account for somebody else."""
    password = body.password.get_secret_value()
    user = await users.create_user(call.site, call.actor, body.username, password, body.role)
    return UserView.of(user)


@endpoints.get("/users/{username}")
async def get_user(call: Call) -> UserView:
    return UserView.of(await users.get_user(call.site, call.actor, call.path("username")))


@endpoints.patch("/users/{username}")
async def change_user(call: Call, body: UserPatch) -> UserView:
    """Change the password or role of an account."""
    return await _change(call, call.path("username"), body)


async def _change(call: Call, username: str, body: UserPatch) -> UserView:
    # Who stole a login must not be able to guess the password that is needed to change it.
    async with call.request.config_dict[LOGIN_LIMITER].attempt(f"change by {call.actor.username}"):
        return UserView.of(await users.change_user(call.site, call.actor, username, body.change()))


@endpoints.delete("/users/{username}")
async def delete_user(call: Call) -> None:
    """Delete an account that has no extensions."""
    await users.delete_user(call.site, call.actor, call.path("username"))


@endpoints.get("/invites", access="admin")
async def list_invites(call: Call) -> list[InviteView]:
    """List the invites, the newest first."""
    return [InviteView.of(each) for each in await invites.list_invites(call.site, call.actor)]


@endpoints.post("/invites", access="admin", status=201)
async def create_invite(call: Call, body: NewInvite) -> InviteView:
    """Create an invite, limited by number, by time, or both."""
    invite = await invites.create_invite(call.site, call.actor, **body.model_dump())
    return InviteView.of(invite)


@endpoints.delete("/invites/{code}", access="admin")
async def delete_invite(call: Call) -> None:
    """Make an invite worthless."""
    await invites.delete_invite(call.site, call.actor, call.path("code"))
