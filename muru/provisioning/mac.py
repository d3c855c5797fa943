"""MAC addresses: taken in any usual writing, kept as twelve small hex digits."""

import re
from typing import Annotated
from urllib.parse import unquote

from pydantic import BeforeValidator

#: One within other text: six pairs, or three groups of four.
PATTERN = r"(?:[0-9a-f]{2}(?:[:-]?[0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2})"
# The AC of "MAC:" is no part of what follows it.
_FOUND = re.compile(
    r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])"
    r"|(?<![0-9a-z])(?:[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}"
    r"|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2})(?![0-9a-f])",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[\s:.\-]")
_DIGITS = re.compile(r"[0-9a-f]{12}")


def normalise(text: str) -> str:
    """Return *text* (``00:04:13:7F:00:01``, ``0004.137f.0001``, ``00-04-…``) as ``0004137f0001``.

    Raises:
        ValueError: it is none, or one that no single phone can have (a group's, or all zeros).
    """
    digits = _SEPARATORS.sub("", text).lower()
    if not _DIGITS.fullmatch(digits):
        raise ValueError("write the twelve hex digits on the phone's label: 00:04:13:7f:00:01")
    if int(digits[:2], 16) & 1 or not int(digits, 16):
        raise ValueError("this address cannot be a phone's; look at its label again")
    return digits


def find(text: str) -> str | None:
    """Return the first MAC address within *text* (a URL's too), normalised, if there is one."""
    for found in _FOUND.finditer(unquote(text) if "%" in text else text):
        try:
            return normalise(found.group())
        except ValueError:
            continue
    return None


def written(mac: str, separator: str = ":") -> str:
    """Return a normalised address with *separator* between its pairs."""
    return separator.join(mac[at : at + 2] for at in range(0, 12, 2))


def _read(given: object) -> object:
    return normalise(given) if isinstance(given, str) else given


def _none_if_blank(given: object) -> object:
    return None if isinstance(given, str) and not given.strip() else given


#: A field for what a person types.
Mac = Annotated[str, BeforeValidator(_read)]
#: The same, where an empty text is none.
OptionalMac = Annotated[Mac | None, BeforeValidator(_none_if_blank)]
