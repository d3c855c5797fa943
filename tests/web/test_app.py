"""What holds for every page: headers, CSRF tokens, errors, languages, and where a page may lead."""

import logging
import re
from collections.abc import Iterator, Mapping
from http.cookies import Morsel, SimpleCookie
from io import BytesIO

import pytest
from aiohttp import web

from muru.errors import DatabaseUnavailable
from muru.settings import TAKEN_PATHS
from muru.web.app import _MODULES
from tests.conftest import PASSWORD, World, configured
from tests.web.conftest import Visitor

PAGES = ["/", "/login", "/phones", "/nothing", "/pages/nothing", "/static/nothing"]
POSTS = [
    (route.path, route.access)
    for module in _MODULES
    for route in module.pages.routes
    if route.method == "POST" and "{" not in route.path
]


def cookies(headers: list[str]) -> Iterator[tuple[str, "Morsel[str]"]]:
    for header in headers:
        yield from SimpleCookie(header).items()


async def test_page_has_the_headers_that_keep_others_out(visitor: Visitor) -> None:
    """No page runs what is not ours, is framed by others, or tells them where somebody was."""
    await visitor.log_in()
    for path in PAGES:
        check_headers((await visitor.get(path)).response.headers)


def check_headers(headers: Mapping[str, str]) -> None:
    policy = dict(
        each.strip().split(" ", 1) for each in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


async def test_static_files_are_kept_until_they_change(visitor: Visitor) -> None:
    """Style and scripts are fetched once: their path says what is in them."""
    page = await visitor.get("/")
    paths = set(re.findall(r'"(/static/[^"#]+)', page.text))

    assert {path.rpartition("/")[2] for path in paths} == {
        "style.css",
        "muru.js",
        "icons.svg",
        "favicon.svg",
    }
    for path in paths:
        answer = await visitor.get(path)
        assert answer.status == 200
        assert "immutable" in answer.response.headers["Cache-Control"]


async def test_first_visit_is_small(visitor: Visitor) -> None:
    """The start page with all that belongs to it is less than 100 KB."""
    page = await visitor.get("/")
    paths = set(re.findall(r'"(/static/[^"#]+)', page.text))
    parts = [page, *[await visitor.get(path) for path in paths]]

    assert sum(len(each.text.encode()) for each in parts) < 100_000


async def test_cookies_are_for_us_alone(visitor: Visitor) -> None:
    """No script reads a cookie that proves something, and no other site has one sent along."""
    found: list[tuple[str, Morsel[str]]] = []
    for answer in (await visitor.get("/login"), (await visitor.log_in())):
        for each in (*answer.response.history, answer.response):
            found += cookies(each.headers.getall("Set-Cookie", []))

    assert {name for name, _ in found} == {"muru_csrf", "muru_session"}
    for _, morsel in found:
        assert morsel["httponly"]
        assert morsel["samesite"] == "Lax"
        assert morsel["path"] == "/"
        assert not morsel["secure"]


@configured(trusted_proxies=["127.0.0.1"])
async def test_cookies_are_for_tls_alone_where_there_is_tls(visitor: Visitor) -> None:
    """Where people come by TLS, no cookie is ever sent without."""
    visitor.session.headers["X-Forwarded-Proto"] = "https"
    response = (await visitor.get("/login")).response

    for _, morsel in cookies(response.headers.getall("Set-Cookie")):
        assert morsel["secure"]


@pytest.mark.parametrize(("path", "access"), POSTS)
async def test_form_of_another_site_is_refused(
    world: World, visitor: Visitor, path: str, access: str
) -> None:
    """No POST does anything without the token of a page that this very browser was shown."""
    token = (await visitor.get("/login")).form("/login")["csrf_token"]
    other = Visitor(visitor.base)
    foreign = (await other.get("/login")).form("/login")["csrf_token"]
    await other.session.close()
    await visitor.log_in()

    for data, headers in (
        ({}, {}),
        ({"csrf_token": ""}, {}),
        ({"csrf_token": foreign}, {}),
        ({"csrf_token": token}, {"Origin": "https://example.org"}),
        ({"csrf_token": token}, {"Sec-Fetch-Site": "cross-site"}),
    ):
        fields = {"password": PASSWORD, "username": "alice", **data}
        answer = await visitor.request("POST", path, data=fields, headers=headers)
        assert answer.status == 403, (path, data, headers)
    assert (await visitor.get("/account")).url.path == "/account"
    assert (await world.root.get("/users"))["total"] == 2


TARGETS = [
    *("https://example.org", "//example.org", "/\\example.org", "\\\\example.org"),
    *("javascript:x", "/\t/example.org", "/\r\nX: y", "example.org", "", "/ü"),
]


async def test_login_leads_to_no_other_site(visitor: Visitor) -> None:
    """Wherever a link to the login page says that it goes on, that is here."""
    form = (await visitor.get("/login")).form("/login")
    for target in TARGETS:
        fields = {**form, "username": "alice", "password": PASSWORD, "next": target}
        answer = await visitor.request("POST", "/login", allow_redirects=False, data=fields)

        assert answer.status == 303
        assert answer.response.headers["Location"] in {"/phones", "/%C3%BC"}, target


async def test_browser_gets_error_pages(
    world: World,
    visitor: Visitor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What goes wrong is a page with a sentence for people; the API's answers stay as they are."""
    missing = await visitor.get("/<script>alert(1)</script>")
    method = await visitor.request("DELETE", "/login")
    api = await visitor.get("/api/v1/nothing")
    phones = await visitor.get("/telephoning/nothing")
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.CRITICAL):

        async def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError("secret")

        patch.setattr("muru.services.extensions.phonebook", fail)
        broken = await visitor.get("/")

    assert (missing.status, method.status, broken.status) == (404, 405, 500)
    for each in (missing, method, broken):
        assert each.response.content_type == "text/html"
    assert "There is nothing here" in missing.seen
    assert "<script>alert" not in missing.text
    assert method.response.headers["Allow"]
    assert "Something went wrong" in broken.seen
    assert "Tell the operator this reference" in broken.seen
    assert "secret" not in broken.text
    assert api.response.content_type == "application/problem+json"
    assert phones.response.content_type != "text/html"


async def test_program_gets_a_problem_document(world: World) -> None:
    """Who does not ask for HTML is told in JSON, as anywhere else."""
    async with world.nobody.client.get("/nothing") as response:
        assert response.content_type == "application/problem+json"


async def test_form_that_is_too_large_is_refused(visitor: Visitor) -> None:
    """A body that no form of ours has is not taken."""
    body = BytesIO(b"username=" + b"x" * 2_000_000)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await visitor.request("POST", "/login", data=body, headers=headers)

    assert answer.status == 413
    assert "This is too large" in answer.seen


async def test_broken_cookies_do_no_harm(visitor: Visitor) -> None:
    """Cookies of any content are as good as none."""
    for value in ("", "x", "é", "[]", "%5B1%5D", "%22", "[" * 2000, "%FF"):
        names = ("session", "flash", "csrf", "theme", "language")
        header = "; ".join(f"muru_{name}={value}" for name in names)
        answer = await visitor.get("/", headers={"Cookie": header})
        assert answer.status == 200, value


QUERIES = [
    *("offset=-1", "offset=1e9", "offset=99999999999999", "offset=50&search=%25", "offset=٣"),
    *("search=%00", "search=%FF%FE", "search=" + "x" * 5000, "search=a&search=b"),
]


async def test_broken_queries_do_no_harm(visitor: Visitor) -> None:
    """Whatever stands in the query, there is a page."""
    for query in QUERIES:
        assert (await visitor.get(f"/?{query}")).status == 200, query


async def test_pages_do_not_clash_with_phones(world: World) -> None:
    """No page lies where the operator may want the phones' files to be."""
    firsts = {
        route.resource.canonical.split("/")[1]
        for route in world.app.router.routes()
        if route.resource is not None
    }

    assert firsts - {"", "telephoning"} == TAKEN_PATHS


async def test_no_get_changes_anything(world: World) -> None:
    """All that a page changes goes by POST, with its token checked in one place."""
    methods = {route.method for module in _MODULES for route in module.pages.routes}

    assert methods == {"GET", "POST"}
    assert isinstance(world.app, web.Application)


async def test_page_tells_that_the_database_is_away(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the database there still is a page, which says so, and not where it should be."""

    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("postgresql://secret@host is away")

    await visitor.log_in()
    monkeypatch.setattr("muru.services.users.authenticate", fail)
    answer = await visitor.get("/phones")

    assert answer.status == 503
    assert "The database is not available at the moment" in answer.seen
    assert "secret" not in answer.text
