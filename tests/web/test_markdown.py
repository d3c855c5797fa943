"""The operator's own pages: Markdown that shows what it should, and does nothing else."""

import os
import re
from pathlib import Path

import pytest

from muru.web.markdown import PagesFolder, render
from tests.conftest import configured
from tests.web.conftest import Visitor

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](https://example.org/a.png)",
        "![x](//example.org/a.png)",
        "![x](../../secret.png)",
        '<a href="x" onclick="y">',
        "<style>*{display:none}</style>",
        "```html\n<script>\n```",
        "| <script> |\n|---|\n| <iframe> |",
    ],
)
def test_markdown_does_nothing(text: str) -> None:
    """No tag that was typed is one, no link runs anything, nothing is fetched from elsewhere."""
    html = render(text, "x").html

    started = set(re.findall(r"<(\w+)", html))
    assert started <= {"p", "a", "pre", "code", "table", "thead", "tbody", "tr", "th", "td"}
    assert re.search(r"<[^>]*(href|src|on\w+)=", html) is None


def test_markdown_shows_what_it_should() -> None:
    """Headings, tables, lists, links and pictures beside the page are as Markdown has them."""
    document = render(
        "# The *big* [map](x)\n\n- one\n\n[call](tel:4223) [out](https://example.org)\n\n"
        "![Plan](plan.png)\n\n| a |\n|---|\n| b |",
        "map",
    )

    assert document.title == "The big map"
    for piece in (
        "<li>one</li>",
        'href="tel:4223"',
        'src="/pages/plan.png"',
        "<td>b</td>",
        'href="https://example.org" rel="noopener noreferrer"',
    ):
        assert piece in document.html


def test_pages_are_read_anew_when_they_change(tmp_path: Path) -> None:
    """An edited page is shown at once, in the reader's language where there is one."""
    folder = PagesFolder(tmp_path)
    page = tmp_path / "about-us.md"
    page.write_text("no heading")
    assert [each.title for each in folder.headings("en")] == ["About us"]

    page.write_text("# New")
    os.utime(page, ns=(1, 1))
    (tmp_path / "about-us.de.md").write_text("# Neu")
    (tmp_path / "Not a name.md").write_text("# No")

    for language, title in (("en", "New"), ("de", "Neu"), ("fr", "New")):
        found = folder.get("about-us", language)
        assert found is not None
        assert found.title == title
    assert [each.title for each in folder.headings("de")] == ["Neu"]
    for name in ("../about-us", "about-us.md", "", "x" * 200, "missing"):
        assert folder.get(name, "en") is None


def test_pages_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    """A folder in the place of a file, or bytes that are no text, break nothing."""
    (tmp_path / "broken.md").mkdir()
    (tmp_path / "bytes.md").write_bytes(b"# \xff\xfe\x00")

    assert [each.name for each in PagesFolder(tmp_path).headings("en")] == ["bytes"]
    assert PagesFolder(tmp_path / "missing").headings("en") == []
    assert PagesFolder(None).headings("en") == []


@configured(pages_path="pages")
async def test_pages_and_their_pictures_are_served(visitor: Visitor, tmp_path: Path) -> None:
    """A page is linked from everywhere, its pictures are beside it, and nothing else is."""
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "map.md").write_text("# The map\n\n![Plan](plan.png)")
    (folder / "plan.png").write_bytes(PIXEL)
    (folder / "notes.txt").write_text("secret")

    assert "The map" in (await visitor.get("/login")).seen
    assert "/pages/plan.png" in (await visitor.get("/pages/map")).text
    async with visitor.session.get(visitor.base.join(visitor.base / "pages/plan.png")) as picture:
        assert (picture.status, picture.content_type) == (200, "image/png")
        assert await picture.read() == PIXEL
    for path in (
        "/pages/notes.txt",
        "/pages/map.md",
        "/pages/..%2Fnotes.txt",
        "/pages/missing.png",
    ):
        assert (await visitor.get(path)).status == 404
