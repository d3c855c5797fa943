"""The languages of the pages, and how a text gets from English into one of them.

The catalogues are read as they are kept (``locale/*/LC_MESSAGES/messages.po``), once per process:
there is nothing to compile, and an edited one is used at the next start.
"""

import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path

from aiohttp import web
from babel.core import negotiate_locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

COOKIE = "muru_language"
LANGUAGES = {"en": "English", "de": "Deutsch"}  # each by its own name

#: The context of messages that services and the API raise: see scripts/catalogue.py.
TOLD = "told"

_LOCALE = Path(__file__).parent / "locale"
_LONGEST_TOLD = 500  # characters; what is longer is shown as it is
_PLACEHOLDER = re.compile(r"\{\d\}")
_WISH = re.compile(
    r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,20})?\s*(?:;\s*q=([01](?:\.\d{1,3})?))?\s*"
)

_current: ContextVar[str] = ContextVar("language", default="en")


@dataclass(frozen=True, slots=True)
class _Language:
    translations: NullTranslations
    exact: dict[str, str]
    patterns: list[tuple[re.Pattern[str], str]]


def current() -> str:
    """Return the language of the page that is being made."""
    return _current.get()


def use(language: str) -> None:
    """Make *language* that of the page that is being made, in this task."""
    _current.set(language)


def wanted(request: web.Request) -> str:
    """Return the language that somebody chose, else the one that the browser likes best."""
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    wishes = list(_wishes(request.headers.get("Accept-Language", "")[:500]))
    return negotiate_locale(wishes, list(LANGUAGES)) or "en"


def _wishes(header: str) -> Iterator[str]:
    found = [match for each in header.split(",") if (match := _WISH.fullmatch(each))]
    wishes = [(float(match[2] or 1), match[1].lower()) for match in found]
    yield from (name for weight, name in sorted(wishes, key=lambda each: -each[0]) if weight)


def _(text: str) -> str:
    """Return *text*, which is English, in the language of the page."""
    return str(_load(current()).translations.gettext(text))


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the one of two texts that fits *count*, in the language of the page."""
    return str(_load(current()).translations.ngettext(singular, plural, count))


def told(text: str) -> str:
    """Return what a service said in the language of the page, or as it is if nobody translated it.

    Services put values into their sentences; the catalogue has those as ``{0}``, ``{1}``.
    """
    language = _load(current())
    if len(text) > _LONGEST_TOLD:
        return text
    if text in language.exact:
        return language.exact[text]
    for pattern, translated in language.patterns:
        if match := pattern.fullmatch(text):
            return translated.format(*match.groups())
    return text


def moment(time: datetime) -> str:
    """Return a time as people of the page's language write it, in UTC."""
    return f"{format_datetime(time.astimezone(UTC), 'medium', locale=current())} UTC"


def day(time: datetime) -> str:
    """Return the day of a time as people of the page's language write it, in UTC."""
    return str(format_date(time.astimezone(UTC), "long", locale=current()))


def ago(time: datetime) -> str:
    """Return how long ago a time was, as "3 minutes ago"."""
    since = min(time - datetime.now(UTC), -timedelta(seconds=1))
    return str(format_timedelta(since, add_direction=True, locale=current()))


def catalogue_file(language: str) -> Path:
    return _LOCALE / language / "LC_MESSAGES/messages.po"


@cache
def _load(language: str) -> _Language:
    if language == "en":
        return _Language(NullTranslations(), {}, [])
    with catalogue_file(language).open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    exact, patterns = _told_in(catalogue)
    return _Language(Translations(compiled), exact, patterns)


def _told_in(catalogue: Catalog) -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    exact, patterns = {}, []
    for message in catalogue:
        if message.context != TOLD or not message.string or message.fuzzy:
            continue
        english, translated = str(message.id), str(message.string)
        if not _PLACEHOLDER.search(english):
            exact[english] = translated
            continue
        pieces = [re.escape(each) for each in _PLACEHOLDER.split(english)]
        patterns.append((re.compile("(.*?)".join(pieces), re.DOTALL), translated))
    # The longest first: it says most, and one that is all placeholders would take everything.
    patterns.sort(key=lambda each: -len(each[0].pattern))
    return exact, patterns
