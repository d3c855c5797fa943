"""Takes a picture of each page in each look: ``make screenshots`` runs this, the tests do not."""

import os
from pathlib import Path

import pytest

from tests.conftest import World, configured
from tests.web.conftest import LOOKS, Look, OpenWindow
from tests.web.pages import FLAVORS, PAGES, populate

FOLDER = Path(__file__).parent.parent.parent / "screenshots"
ONLY = os.environ.get("PAGES", "").split()  # names of pages; all if empty


@configured(pages_path="pages", map_image="plan.svg", enabled_phone_flavors=FLAVORS)
@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_pictures(world: World, open_window: OpenWindow, look: Look) -> None:
    """There is a picture of each page."""
    await populate(world)
    FOLDER.mkdir(exist_ok=True)
    for page in PAGES:
        if not ONLY or page.name in ONLY:
            window = await open_window(look, user=page.user)
            await window.open(page.path)
            height = await window.page.evaluate("document.documentElement.scrollHeight")
            await window.page.set_viewport_size({"width": look.width, "height": height})
            await window.page.screenshot(path=FOLDER / f"{page.name}-{look}.png", full_page=True)
            await window.page.context.close()
