"""Every page in a real browser: on a telephone, at a desk, by day, by night, in each language."""

import pytest

from tests.conftest import World
from tests.web.conftest import LOOKS, Look, OpenWindow

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "A name that is as long as a name can be, without one blank in itself",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ABCD",
    "{{ 7 * 7 }} ☎️ 🦊",
    "مرحبا بالعالم",
]

FOR_ANYBODY = ["/", "/?search=nobody+has+this+name", "/login", "/register?invite=abc", "/nothing"]
FOR_USERS = ["/", "/phones", "/account", "/account/delete"]


async def add_phones(world: World) -> None:
    for name in HOSTILE:
        body = {"type": "SIP", "name": name[:40], "public": True, "info": name[:40]}
        await world.alice.post("/extensions", body, status=201)


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_page_is_right_for_anybody(world: World, open_window: OpenWindow, look: Look) -> None:
    """What anybody sees fits the screen, asks nobody else, logs no error, and passes axe."""
    await add_phones(world)
    window = await open_window(look)

    for path in FOR_ANYBODY:
        await window.open(path)
        if path == "/nothing":  # of which the browser itself tells
            window.faults = [each for each in window.faults if "404" not in each]
        await window.check()
        assert await window.page.get_attribute("html", "lang") == look.language


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_page_is_right_for_its_user(
    world: World, open_window: OpenWindow, look: Look
) -> None:
    """What somebody sees who is logged in is as good."""
    await add_phones(world)
    window = await open_window(look, user="alice")

    for path in FOR_USERS:
        await window.open(path)
        await window.check()
