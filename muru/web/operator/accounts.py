"""Accounts and their roles."""

from aiohttp import web

from muru.db.models import Role
from muru.errors import MuruError
from muru.services import extension_search, users
from muru.services.extension_search import Wanted
from muru.services.users import UserChange
from muru.web.forms import Form
from muru.web.language import _
from muru.web.operator.area import PAGE_SIZE, failed, show
from muru.web.routing import Pages, Visit

pages = Pages()

_LIST = "/operator/users"
_ONE = "/operator/users/{username}"
_ROLES = {each.value: each for each in Role}


@pages.get(_LIST, access="admin")
async def list_users(visit: Visit) -> web.Response:
    return await _list(visit, Form({"role": Role.USER.value}))


@pages.post(_LIST, access="admin")
async def create_user(visit: Visit) -> web.Response:
    form = await visit.form()
    role = _ROLES.get(form["role"], Role.USER)
    try:
        user = await users.create_user(
            visit.site, visit.actor, form["username"], form["password"], role
        )
    except MuruError as error:
        return await _list(visit, form.take(error, {"username-taken": "username"}))
    return visit.redirect(_path(user.username), flash=_("The account is there."))


@pages.get(_ONE, access="admin")
async def show_user(visit: Visit) -> web.Response:
    return await _one(visit, Form())


@pages.post(_ONE + "/role", access="admin")
async def change_role(visit: Visit) -> web.Response:
    form, name = await visit.form(), visit.path("username")
    change = UserChange(role=_ROLES.get(form["role"]))
    return await _change(visit, name, change, form, _("The role is changed."))


@pages.post(_ONE + "/password", access="admin")
async def change_password(visit: Visit) -> web.Response:
    form, name = await visit.form(), visit.path("username")
    change = UserChange(password=form["password"])
    text = _("The password is changed, and all logins of this account have ended.")
    return await _change(visit, name, change, form, text)


@pages.post(_ONE + "/delete", access="admin")
async def delete_user(visit: Visit) -> web.Response:
    name = visit.path("username")
    try:
        await users.delete_user(visit.site, visit.actor, name)
    except MuruError as error:
        return failed(visit, _path(name), error)
    return visit.redirect(_LIST, flash=_("The account is deleted."))


async def _change(
    visit: Visit, name: str, change: UserChange, form: Form, done: str
) -> web.Response:
    try:
        await users.change_user(visit.site, visit.actor, name, change)
    except MuruError as error:
        return await _one(visit, form.take(error, {"unauthenticated": "password"}))
    return visit.redirect(_path(name), flash=done)


def _path(username: str) -> str:
    return f"{_LIST}/{username}"


async def _list(visit: Visit, form: Form) -> web.Response:
    search, offset = visit.query("search", 64).strip(), visit.number("offset")
    found, total = await users.list_users(
        visit.site, visit.actor, search=search, offset=offset, limit=PAGE_SIZE
    )
    return show(
        visit,
        "users.html",
        users=found,
        total=total,
        search=search,
        offset=offset,
        page_size=PAGE_SIZE,
        form=form,
        roles=_labelled_roles(),
        status=form.status,
    )


async def _one(visit: Visit, form: Form) -> web.Response:
    user = await users.get_user(visit.site, visit.actor, visit.path("username"))
    wanted = Wanted(owner=user.username)
    numbers = await extension_search.find(visit.site, visit.actor, wanted, ())
    form.values.setdefault("role", user.role)
    return show(
        visit,
        "user.html",
        user=user,
        count=len(numbers),
        form=form,
        roles=_labelled_roles(),
        status=form.status,
    )


def _labelled_roles() -> list[tuple[str, str]]:
    return [(Role.USER.value, _("Participant")), (Role.ADMIN.value, _("Administrator"))]
