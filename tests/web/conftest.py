"""Two ways to look at the pages: a real browser, and a client that fills in forms without one."""

import re
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Literal
from urllib.request import urlopen

import pytest
from aiohttp import ClientResponse, ClientSession, CookieJar
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, Page, ViewportSize, async_playwright
from yarl import URL

from tests.conftest import PASSWORD, World, free_port

_CHROMIUM = "/usr/bin/chromium"
_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--hide-scrollbars",
]
_PATIENCE = 30.0  # seconds that the browser may take to start

_AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass(frozen=True)
class Look:
    """How somebody sees the pages."""

    width: int
    scheme: Literal["light", "dark"]
    language: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}-{self.language}"

    @property
    def viewport(self) -> ViewportSize:
        return {"width": self.width, "height": 780 if self.width < 600 else 900}


PHONE = Look(360, "light", "en")
DESK = Look(1280, "light", "en")
#: Each value of each with each of every other.
LOOKS = (PHONE, Look(360, "dark", "de"), Look(1280, "light", "de"), Look(1280, "dark", "en"))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A browser that runs for all tests; the URL by which it is driven."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    profile = tmp_path_factory.mktemp("chromium")
    command = [_CHROMIUM, *_FLAGS, f"--remote-debugging-port={port}", f"--user-data-dir={profile}"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(f"{url}/json/version")
            yield url
        finally:
            process.kill()


def _wait_for(url: str) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            with urlopen(url, timeout=1):
                return
        except OSError:
            assert time.monotonic() < until, f"{_CHROMIUM} does not start"
            time.sleep(0.05)


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Chromium]:
    """The browser, driven by this test."""
    async with async_playwright() as playwright:
        connected = await playwright.chromium.connect_over_cdp(chromium)
        yield connected
        await connected.close()


@dataclass
class Window:
    """A page in the browser, and what went wrong with it."""

    page: Page
    base: URL
    faults: list[str] = field(default_factory=list)

    async def open(self, path: str) -> int:
        """Go to a page, wait until it is all there, and return its status."""
        answer = await self.page.goto(str(self.base.join(URL(path))), wait_until="load")
        assert answer is not None
        if answer.status >= 400:  # of which the browser itself tells
            self.faults[:] = [each for each in self.faults if "Failed to load resource" not in each]
        return answer.status

    async def check(self, *, accessible: bool = True) -> None:
        """Check that this page is as every page has to be: quiet, narrow enough, accessible."""
        shown = f"{self.page.url} ({self.page.viewport_size})"
        assert self.faults == [], shown
        wider = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider <= 0, f"{shown} is {wider} px too wide"
        if accessible:
            assert await self.violations() == [], shown

    async def violations(self) -> list[str]:
        """Return what axe-core finds."""
        await self.page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
        found = await self.page.evaluate("rules => axe.run(document, {runOnly: rules})", _AXE_RULES)
        return [
            f"{each['id']}: {node['html']} {node.get('failureSummary')}"
            for each in found["violations"]
            for node in each["nodes"]
        ]


OpenWindow = Callable[..., Awaitable[Window]]


@pytest.fixture
async def open_window(browser: Chromium, world: World) -> AsyncIterator[OpenWindow]:
    """Return a function that opens a fresh browser at ``world``, as somebody sees it.

    ``user`` is logged in; further keyword arguments are those of a context of Playwright.
    """
    async with windows(browser, world) as open_one:
        yield open_one


@asynccontextmanager
async def windows(browser: Chromium, world: World) -> AsyncIterator[OpenWindow]:
    """Let browsers be opened at *world*; they are closed in the end."""
    base = world.nobody.client.make_url("/")
    contexts: list[BrowserContext] = []

    async def open_one(look: Look = DESK, *, user: str | None = None, **more: Any) -> Window:
        context = await browser.new_context(
            viewport=look.viewport, color_scheme=look.scheme, locale=look.language, **more
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        if user is not None:
            value = await session_cookie(world, user)
            await context.add_cookies([{"name": "muru_session", "value": value, "url": str(base)}])
        window = Window(await context.new_page(), base)
        _listen(window)
        return window

    yield open_one
    for context in contexts:
        await context.close()


def _listen(window: Window) -> None:
    own = f"{window.base.host}:{window.base.port}"
    page, faults = window.page, window.faults
    page.on("console", lambda each: faults.append(each.text) if each.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda each: (
            None
            if URL(each.url).authority == own or each.url.startswith(("data:", "blob:"))
            else faults.append(f"request to {each.url}")
        ),
    )


async def session_cookie(world: World, user: str) -> str:
    """Log *user* in, and return the cookie of it."""
    body = {"username": user, "password": PASSWORD, "kind": "session"}
    async with world.nobody.client.post("/api/v1/auth/login", json=body) as response:
        assert response.status == 200
        return response.cookies["muru_session"].value


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif tag == "input" and self.forms and given.get("type") not in {"checkbox", "search"}:
            self.forms[-1][1][given["name"]] = given.get("value", "")


@dataclass
class Answer:
    status: int
    url: URL
    text: str
    response: ClientResponse

    @property
    def path(self) -> str:
        return self.url.path_qs

    @property
    def seen(self) -> str:
        """What somebody reads: without tags, blanks as one."""
        body = re.sub(r"<(script|head)\b.*?</\1>|<[^>]*>", " ", self.text, flags=re.DOTALL)
        return " ".join(body.split())

    def form(self, action: str) -> dict[str, str]:
        """Return the fields of the form that leads to *action*, as they are filled in."""
        parser = _Forms()
        parser.feed(self.text)
        return next(fields for to, fields in parser.forms if to == action)


class Visitor:
    """A browser without a screen: keeps cookies, follows redirects, fills in forms."""

    def __init__(self, base: URL) -> None:
        self.base = base
        self.session = ClientSession(
            cookie_jar=CookieJar(unsafe=True), headers={"Accept": "text/html,*/*;q=0.8"}
        )

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.request("GET", path, **more)

    async def request(self, method: str, path: str, **more: Any) -> Answer:
        url = self.base.join(URL(path))
        async with self.session.request(method, url, **more) as response:
            return Answer(response.status, response.url, await response.text(), response)

    async def submit(self, page: str, action: str, **fields: str) -> Answer:
        """Fill *fields* into the form on *page* that leads to *action*, and send it."""
        form = (await self.get(page)).form(action)
        return await self.request("POST", action, data={**form, **fields})

    async def log_in(self, username: str = "alice", password: str = PASSWORD) -> Answer:
        return await self.submit("/login", "/login", username=username, password=password)


@pytest.fixture
async def visitor(world: World) -> AsyncIterator[Visitor]:
    """Somebody who is not logged in."""
    visitor = Visitor(world.nobody.client.make_url("/"))
    yield visitor
    await visitor.session.close()
