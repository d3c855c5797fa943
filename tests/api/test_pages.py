"""The operator's own pages over the API."""

from tests.conftest import World, configured
from tests.web.pages import write_pages


@configured(pages_path="pages")
async def test_pages_are_listed_and_read_by_everybody(world: World) -> None:
    """Titles and harmless HTML, in the language that is asked for where there is one."""
    write_pages(world.site.settings.pages_path)  # type: ignore[arg-type]  # configured above

    german = await world.nobody.get("/pages?language=de")
    page = await world.nobody.get("/pages/about")

    assert german["items"] == [
        {"name": "about", "title": "So erreicht ihr uns"},
        {"name": "house-rules", "title": "House rules"},
    ]
    assert (page["name"], page["title"]) == ("about", "How to reach us")
    assert '<a href="tel:4223"' in page["html"]
    assert "<script" not in page["html"]
    assert "<img" not in page["html"]


@configured(pages_path="pages")
async def test_page_that_is_not_there_is_not_found(world: World) -> None:
    """An unknown page is no error of ours, nor is a folder that is missing."""
    await world.nobody.get("/pages/nothing", status=404)
    assert (await world.nobody.get("/pages"))["items"] == []
    await world.nobody.get("/pages?language=../x", status=422)
