"""Every page in a real browser: on a telephone, at a desk, by day, by night, in each language."""

from itertools import groupby

import pytest

from tests.conftest import World, configured
from tests.web.conftest import LOOKS, Look, OpenWindow
from tests.web.pages import FLAVORS, PAGES, populate

# axe takes most of the time: each width, scheme and language once is enough for it.
WITH_AXE = LOOKS[1:3]


@configured(pages_path="pages", map_image="plan.svg", enabled_phone_flavors=FLAVORS)
@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_page_is_right(world: World, open_window: OpenWindow, look: Look) -> None:
    """Each page fits the screen, asks nobody else, logs no error, passes axe, whatever is shown."""
    await populate(world)

    for user, shown in groupby(PAGES, key=lambda each: each.user):
        window = await open_window(look, user=user)
        for page in shown:
            assert await window.open(page.path) == page.status
            await window.check(accessible=look in WITH_AXE)
            assert await window.page.get_attribute("html", "lang") == look.language


async def test_check_finds_what_is_wrong(open_window: OpenWindow) -> None:
    """A page that is too wide, cannot be read aloud, or asks others does not pass."""
    window = await open_window(LOOKS[0])
    await window.open("/login")
    await window.page.evaluate("document.documentElement.removeAttribute('lang')")
    assert [each.partition(":")[0] for each in await window.violations()] == ["html-has-lang"]

    await window.page.evaluate("document.querySelector('h1').style.width = '400px'")
    with pytest.raises(AssertionError, match="px too wide"):
        await window.check()

    await window.page.evaluate("new Image().src = 'http://127.0.0.1:9/pixel.png'")
    with pytest.raises(AssertionError, match="pixel"):
        await window.check()
