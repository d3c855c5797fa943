"""Invites: who gets in, and who does not any more."""

import asyncio
from datetime import timedelta

import pytest

from muru.db.models import Invite, now
from muru.errors import Conflict, Forbidden, Invalid, NotFound
from muru.services import invites, users
from muru.services.site import OPERATOR, Actor, Site
from tests.conftest import PASSWORD, configured
from tests.services.test_users import outcomes

SOON, BEFORE = timedelta(hours=1), timedelta(seconds=-1)

by_invite = configured(account_registration="invite")


async def invite(site: Site, max_uses: int | None = 1, ends: timedelta | None = None) -> Invite:
    expires_at = None if ends is None else now() + ends
    return await invites.create_invite(site, OPERATOR, max_uses=max_uses, expires_at=expires_at)


async def uses(site: Site) -> int:
    (only,) = await invites.list_invites(site, OPERATOR)
    return only.uses


@by_invite
@pytest.mark.parametrize("code", [None, "", "no-such-code"])
async def test_register_needs_an_invite(site: Site, code: str | None) -> None:
    """Where accounts are by invite, nobody registers without one that exists."""
    with pytest.raises(Forbidden):
        await users.register(site, "neo", PASSWORD, code)


async def test_register_is_open(site: Site) -> None:
    """Where registration is open, no invite is needed."""
    assert (await users.register(site, "neo", PASSWORD)).role == "user"


@by_invite
@pytest.mark.parametrize(
    ("max_uses", "ends", "admitted"),
    [
        (1, None, 1),
        (2, None, 2),
        (None, None, 4),
        (None, SOON, 4),
        (None, BEFORE, 0),
        (2, SOON, 2),
        (2, BEFORE, 0),
    ],
)
async def test_invite_admits(
    site: Site, max_uses: int | None, ends: timedelta | None, admitted: int
) -> None:
    """An invite is limited by count, by time, by both or by neither, and counts whom it let in."""
    code = (await invite(site, max_uses, ends)).code
    done = []

    for number in range(4):
        try:
            await users.register(site, f"user{number}", PASSWORD, code)
        except Forbidden as refusal:
            done.append(refusal.key)
        else:
            done.append("ok")

    assert done == ["ok"] * admitted + ["invite-invalid"] * (4 - admitted)
    assert await uses(site) == admitted


async def test_invite_whose_last_place_many_want_at_once(any_site: Site) -> None:
    """Of 20 people who use the last place of an invite at the same moment one gets in."""
    code = (await invite(any_site)).code

    done = await outcomes(
        *(users.register(any_site, f"user{number}", PASSWORD, code) for number in range(20))
    )

    assert done == {"ok": 1, "invite-invalid": 19}
    assert await uses(any_site) == 1


@pytest.mark.parametrize(
    ("username", "password", "error"),
    [("owner", PASSWORD, Conflict), ("neo", "short", Invalid), ("n/eo", PASSWORD, Invalid)],
)
async def test_invite_is_not_used_up_in_vain(
    site: Site, username: str, password: str, error: type[Exception]
) -> None:
    """A registration that fails costs no place."""
    code = (await invite(site)).code

    with pytest.raises(error):
        await users.register(site, username, password, code)

    assert await uses(site) == 0


async def test_invite_that_was_deleted(site: Site) -> None:
    """A deleted invite lets nobody in, and cannot be deleted again."""
    code = (await invite(site)).code

    await invites.delete_invite(site, OPERATOR, code)

    with pytest.raises(Forbidden):
        await users.register(site, "neo", PASSWORD, code)
    with pytest.raises(NotFound):
        await invites.delete_invite(site, OPERATOR, code)


async def test_invites_are_for_administrators(site: Site) -> None:
    """A user neither makes, sees nor deletes invites."""
    user = Actor(1, "owner", is_admin=False)

    for action in (
        invites.create_invite(site, user),
        invites.list_invites(site, user),
        invites.delete_invite(site, user, "code"),
    ):
        with pytest.raises(Forbidden):
            await asyncio.ensure_future(action)
