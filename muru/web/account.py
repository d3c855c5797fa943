"""One's own account: register, log in, log out, change the password, delete it."""

from aiohttp import web

from muru.api import auth
from muru.db.models import TokenKind
from muru.errors import MuruError
from muru.keys import LOGIN_LIMITER
from muru.services import extensions, users
from muru.web.forms import Form, relative
from muru.web.language import _
from muru.web.routing import Pages, Visit

pages = Pages()

_HOME = "/phones"
_MOST_LISTED = 100


@pages.get("/login", access="anybody")
async def show_login(visit: Visit) -> web.Response:
    target = relative(visit.query("next", 1000), _HOME)
    if visit.logged_in:
        return visit.redirect(target)
    return visit.render("login.html", form=Form({"next": target}))


@pages.post("/login", access="anybody")
async def log_in(visit: Visit) -> web.Response:
    form = await visit.form()
    response = visit.redirect(relative(form["next"], _HOME))
    try:
        await _log_in(visit, response, form["username"], form["password"])
    except MuruError as error:
        form.take(error, {"unauthenticated": "password"})
        return visit.render("login.html", form=form, status=form.status)
    return response


@pages.get("/register", access="anybody")
async def show_registration(visit: Visit) -> web.Response:
    """Register; ``invite`` in the query, as on a printed card, is filled in."""
    if visit.logged_in:
        return visit.redirect(_HOME)
    form = Form({"invite": visit.query("invite", 64), "next": visit.query("next", 1000)})
    return visit.render("register.html", form=form, wants_invite=_wants_invite(visit, form))


@pages.post("/register", access="anybody")
async def register(visit: Visit) -> web.Response:
    form = await visit.form()
    name, password = form["username"], form["password"]
    response = visit.redirect(
        relative(form["next"], _HOME), flash=_("Welcome! Now add your phone.")
    )
    at = {"username-taken": "username", "invite-needed": "invite", "invite-invalid": "invite"}
    try:
        await users.register(visit.site, name, password, form["invite"].strip() or None)
        await _log_in(visit, response, name, password)
    except MuruError as error:
        form.take(error, at)
        wants_invite = _wants_invite(visit, form)
        return visit.render(
            "register.html", form=form, wants_invite=wants_invite, status=form.status
        )
    return response


@pages.post("/logout", access="anybody")
async def log_out(visit: Visit) -> web.Response:
    response = visit.redirect("/", flash=_("You are logged out."))
    if visit.login_id is not None:
        await users.revoke_token(visit.site, visit.actor, visit.login_id)
    auth.forget(response)
    return response


@pages.get("/account")
async def show_account(visit: Visit) -> web.Response:
    return await _account(visit, Form())


@pages.post("/account/password")
async def change_password(visit: Visit) -> web.Response:
    """Change the password; all logins end, and this browser is logged in anew."""
    form, name = await visit.form(), visit.actor.username
    change = users.UserChange(password=form["password"], current_password=form["current_password"])
    response = visit.redirect(
        "/account", flash=_("Your password is changed. Other devices are logged out.")
    )
    try:
        async with visit.request.config_dict[LOGIN_LIMITER].attempt(f"change by {name}"):
            await users.change_user(visit.site, visit.actor, name, change)
        await _log_in(visit, response, name, form["password"])
    except MuruError as error:
        return await _account(visit, form.take(error, {"unauthenticated": "current_password"}))
    return response


@pages.get("/account/delete")
async def ask_to_delete(visit: Visit) -> web.Response:
    return await _deletion(visit, Form())


@pages.post("/account/delete")
async def delete_account(visit: Visit) -> web.Response:
    """Delete the account with all its extensions, if the password is right."""
    form, name = await visit.form(), visit.actor.username
    response = visit.redirect("/", flash=_("Your account is deleted. Goodbye!"))
    try:
        async with visit.request.config_dict[LOGIN_LIMITER].attempt(f"change by {name}"):
            await users.check_departure(visit.site, visit.actor, form["password"])
        for number in await extensions.numbers_of(visit.site, visit.actor):
            await extensions.delete_extension(visit.site, visit.actor, number)
        await users.delete_user(visit.site, visit.actor, name)
    except MuruError as error:
        return await _deletion(visit, form.take(error, {"unauthenticated": "password"}))
    auth.forget(response)
    return response


async def _log_in(visit: Visit, response: web.Response, username: str, password: str) -> None:
    login = await auth.prove(visit.request, username, password, TokenKind.SESSION)
    auth.remember(visit.request, response, login)


def _wants_invite(visit: Visit, form: Form) -> bool:
    return visit.site.settings.account_registration == "invite" or bool(form["invite"])


async def _account(visit: Visit, form: Form) -> web.Response:
    user = await users.get_user(visit.site, visit.actor, visit.actor.username)
    return visit.render("account.html", form=form, user=user, status=form.status)


async def _deletion(visit: Visit, form: Form) -> web.Response:
    lost, total = await extensions.list_extensions(
        visit.site, visit.actor, limit=_MOST_LISTED, own=True
    )
    return visit.render(
        "account_delete.html", form=form, lost=lost, total=total, status=form.status
    )
