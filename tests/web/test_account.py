"""Register, log in and out, change the password, leave: by forms alone, without a script."""

import pytest

from muru.services import invites
from muru.services.site import OPERATOR
from tests.conftest import PASSWORD, World, configured
from tests.web.conftest import Visitor


async def test_person_registers_and_is_logged_in(visitor: Visitor) -> None:
    """Who registers is logged in at once, and told what comes next."""
    answer = await visitor.submit("/register", "/register", username="Neo", password=PASSWORD)

    assert answer.path == "/phones"
    assert "Welcome! Now add your phone." in answer.seen
    assert "You have no phone yet" in answer.seen
    assert "Welcome!" not in (await visitor.get("/phones")).seen
    assert "neo" in (await visitor.get("/account")).seen


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"username": "alice", "password": PASSWORD}, "The user name 'alice' is taken"),
        ({"username": "x", "password": PASSWORD}, "2 to 64 characters"),
        ({"username": "neo", "password": "short"}, "use 8 characters or more"),
        ({"username": "<b>\0", "password": PASSWORD}, "cannot be used"),
        ({"username": "neo", "password": PASSWORD, "invite": "wrong"}, "This invite is not valid"),
    ],
)
async def test_registration_says_what_does_not_fit(
    visitor: Visitor, fields: dict[str, str], fault: str
) -> None:
    """What does not fit is told at its field, and what was typed is still there."""
    answer = await visitor.submit("/register", "/register", **fields)

    assert 400 <= answer.status < 500
    assert "Please look at the marked fields." in answer.seen
    assert fault in answer.seen.replace("&#39;", "'")
    assert 'aria-invalid="true"' in answer.text
    form = answer.form("/register")
    assert form["username"] == fields["username"].replace("\0", "\ufffd")
    assert form["password"] == ""


@configured(account_registration="invite")
async def test_registration_by_invite(world: World, visitor: Visitor) -> None:
    """Where an invite is needed the form asks for it, and a link on a card fills it in."""
    invite = await invites.create_invite(world.site, OPERATOR)

    refused = await visitor.submit("/register", "/register", username="neo", password=PASSWORD)
    page = f"/register?invite={invite.code}"
    answer = await visitor.submit(page, "/register", username="neo", password=PASSWORD)

    assert "An account here needs an invite" in refused.seen
    assert answer.path == "/phones"


async def test_login_leads_back_to_where_somebody_wanted_to_go(visitor: Visitor) -> None:
    """A page for users asks who is there first, and is shown then; logging out ends that."""
    asked = await visitor.get("/phones?search=kitchen")
    answer = await visitor.submit(asked.path, "/login", username="alice", password=PASSWORD)

    assert asked.url.path == "/login"
    assert answer.path == "/phones?search=kitchen"
    assert (await visitor.get("/login")).path == "/phones"
    assert "You are logged out." in (await visitor.submit("/account", "/logout")).seen
    assert (await visitor.get("/phones")).url.path == "/login"


async def test_login_with_a_wrong_password_is_refused_and_slowed_down(visitor: Visitor) -> None:
    """A wrong password is told at its field; after some of them one has to wait."""
    answers = [await visitor.log_in("alice", "wrong") for _ in range(6)]

    assert {each.status for each in answers[:-1]} == {422}
    assert "User name or password is wrong." in answers[0].seen
    assert answers[-1].status == 429
    assert "Too many failed logins" in answers[-1].seen


async def test_password_is_changed(visitor: Visitor) -> None:
    """A new password needs the current one, keeps this browser logged in, and works."""
    await visitor.log_in()

    wrong = await visitor.submit(
        "/account", "/account/password", current_password="wrong", password="a new password"
    )
    answer = await visitor.submit(
        "/account", "/account/password", current_password=PASSWORD, password="a new password"
    )
    await visitor.submit("/account", "/logout")

    assert "The current password is wrong." in wrong.seen
    assert "Your password is changed." in answer.seen
    assert (await visitor.log_in("alice", PASSWORD)).status == 422
    assert (await visitor.log_in("alice", "a new password")).path == "/phones"


async def test_account_is_deleted_with_its_phones(world: World, visitor: Visitor) -> None:
    """Who leaves sees which phones go along; then they are gone, and so is the login."""
    created = await world.alice.post("/extensions", {"type": "SIP", "name": "Kitchen"})
    await visitor.log_in()

    shown = await visitor.get("/account/delete")
    refused = await visitor.submit("/account/delete", "/account/delete", password="wrong")
    kept = await world.root.get("/extensions")
    answer = await visitor.submit("/account/delete", "/account/delete", password=PASSWORD)

    assert f"{created['number']} Kitchen" in shown.seen
    assert "One phone stops working" in shown.seen
    assert "The current password is wrong." in refused.seen
    assert kept["total"] == 1
    assert "Your account is deleted." in answer.seen
    assert (await world.root.get("/extensions"))["total"] == 0
    assert [each["username"] for each in (await world.root.get("/users"))["items"]] == ["root"]
    assert (await visitor.get("/phones")).url.path == "/login"


async def test_last_administrator_stays_with_the_phones(world: World, visitor: Visitor) -> None:
    """The last administrator cannot leave, and loses nothing by trying."""
    await world.root.post("/extensions", {"type": "SIP", "name": "Kitchen"})
    await visitor.log_in("root")

    answer = await visitor.submit("/account/delete", "/account/delete", password=PASSWORD)

    assert answer.status == 409
    assert "This is the last administrator." in answer.seen
    assert (await world.root.get("/extensions"))["total"] == 1
