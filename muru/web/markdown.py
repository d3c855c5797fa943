"""The operator's own pages: Markdown files in a folder, shown as they are at the moment.

``about.md`` is the page ``/pages/about``; ``about.de.md``, where there is one, is what Germans see.
The first heading of a file is its title. HTML in them does nothing, and what they show from
elsewhere is left out: an event's network may have no internet, and nobody is to be counted.
"""

import itertools
import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

_log = logging.getLogger(__name__)

PICTURES = ("png", "jpg", "jpeg", "webp", "gif")

_FILE = re.compile(r"([a-z0-9][a-z0-9_-]{0,60})(?:\.([a-z]{2}))?\.md")
_PICTURE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,60}}\.(?:{'|'.join(PICTURES)})")
_MOST = 100  # files
_LONGEST = 200_000  # bytes of a file
_LONGEST_TITLE = 80
_KEPT = 2.0  # seconds for which the list is not made anew

_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "ul", "ol", "li", "blockquote", "pre"),
    *("code", "em", "strong", "s", "a", "img", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt", "title"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto", "tel", "sip", "sips"}


@dataclass(frozen=True, slots=True)
class Heading:
    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    html: str


class PagesFolder:
    """The Markdown files in *folder*, if there is one; read again when they have changed."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[int, Document]] = {}
        self._listed: dict[str, tuple[float, list[Heading]]] = {}
        self._told = False

    def headings(self, language: str) -> list[Heading]:
        """Return the pages by the order of their file names, as they were a moment ago at most."""
        now = time.monotonic()
        until, headings = self._listed.get(language, (0.0, []))
        if now >= until:
            headings = self._list(language)
            self._listed[language] = now + _KEPT, headings
        return headings

    def _list(self, language: str) -> list[Heading]:
        names = {match[1] for each in self._files() if (match := _FILE.fullmatch(each.name))}
        shown = [(name, self.get(name, language)) for name in sorted(names)]
        return [Heading(name, document.title) for name, document in shown if document]

    def get(self, name: str, language: str) -> Document | None:
        """Return the page *name*, in *language* where the folder has it so."""
        if self._folder is None or not _FILE.fullmatch(f"{name}.md"):
            return None
        for file in (f"{name}.{language}.md", f"{name}.md", f"{name}.en.md", f"{name}.de.md"):
            if (document := self._document(self._folder / file)) is not None:
                return document
        return None

    def picture(self, name: str) -> Path | None:
        """Return the picture *name* that lies beside the pages."""
        if self._folder is None or not _PICTURE.fullmatch(name):
            return None
        path = self._folder / name
        return path if path.is_file() else None

    def _files(self) -> list[Path]:
        if self._folder is None:
            return []
        try:
            return sorted(self._folder.glob("*.md"))[:_MOST]
        except OSError as error:
            self._tell("MURU_PAGES_PATH cannot be read: %s", error)
            return []

    def _document(self, path: Path) -> Document | None:
        try:
            changed = path.stat().st_mtime_ns
            if (kept := self._read.get(path)) is not None and kept[0] == changed:
                return kept[1]
            with path.open("rb") as file:
                document = render(file.read(_LONGEST).decode("utf-8", "replace"), path.stem)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell("a page cannot be read: %s", error)
            return None
        self._read[path] = changed, document
        return document

    def _tell(self, message: str, error: OSError) -> None:
        if not self._told:
            _log.warning(message, error)
            self._told = True


def render(text: str, name: str) -> Document:
    """Return a Markdown *text* as HTML that is safe to show, with its title, else *name*."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = parser.parse(text)
    title = name.partition(".")[0].replace("-", " ").replace("_", " ").capitalize()
    for token in tokens:
        token.children = [_local(each) for each in token.children or []] or token.children
    for token, following in itertools.pairwise(tokens):
        if token.type == "heading_open":
            title = _plain(following.content) or title
            break
    html = nh3.clean(
        parser.renderer.render(tokens, parser.options, {}),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer",
    )
    return Document(title[:_LONGEST_TITLE], html)


def _plain(heading: str) -> str:
    """Return a heading without the marks of its Markdown."""
    return re.sub(r"[*_`\[\]\\]|\(\S*\)", "", heading).strip()


def _local(token: Token) -> Token:
    """Return a picture from elsewhere as the text that stands for it, all else as it is."""
    if token.type != "image":
        return token
    source = str(token.attrGet("src") or "")
    if _PICTURE.fullmatch(source):
        token.attrSet("src", f"/pages/{source}")
        return token
    return Token("text", "", 0, content=token.content)
