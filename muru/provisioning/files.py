"""The files that a flavor's phones ask for: a pattern for the name, and a template."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from muru.provisioning import mac as macs


class Format(StrEnum):
    """How a file is written, which says how a value must be escaped in it."""

    XML = "xml"
    LINES = "lines"  # a value ends with its line
    QUOTED = "quoted"  # values stand between double quotes, with no way to write one inside
    WORDS = "words"  # values end at a blank
    JSON = "json"  # each value is written as JSON, with its quotes
    CSV = "csv"  # each value is written as a cell, with its quotes


class Audience(StrEnum):
    """Who may have a file."""

    DEVICE = "device"  # the phone whose it is, with proof: it has a secret in it
    PHONES = "phones"  # any phone that muru knows
    ANYBODY = "anybody"


_BY_SUFFIX = {"xml": Format.XML, "json": Format.JSON, "csv": Format.CSV}
_CONTENT_TYPES = {
    Format.XML: "application/xml",
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
}
_PLACES = {
    "mac": rf"(?P<mac>{macs.PATTERN})",
    "model": r"(?P<model>[\w.+-]+?)",
    "token": r"(?P<token>[a-z0-9]{16,64})",
    "any": r"[^/]+",
}


@dataclass(frozen=True, slots=True)
class ProvisioningFile:
    """A file by the name under which phones ask for it.

    *pattern* is the path below the flavor's own: ``{mac}`` (or ``{MAC}``, where the phone writes it
    in capitals) stands for the MAC address in any writing, ``{model}`` for a model, ``{token}`` for
    the device's token, ``{any}`` for anything but a slash. Letters match in any case. *also* are
    further names of the same file.

    *template* is its name in the flavor's folder of templates. *format* follows from the
    template's suffix: xml, json, csv; anything else is ``Format.LINES``.

    *query* is an argument of the URL, as name and value, without which the file is another one.

    *encoding* is that of the bytes: what it lacks becomes a numeric entity in XML, else ``?``.
    """

    pattern: str
    template: str
    audience: Audience = Audience.DEVICE
    also: tuple[str, ...] = ()
    content_type: str = ""
    format: Format | None = None
    encoding: str = "utf-8"
    query: tuple[str, str] | None = None

    @property
    def escaped_as(self) -> Format:
        return self.format or _BY_SUFFIX.get(self.template.rpartition(".")[2], Format.LINES)

    @property
    def media_type(self) -> str:
        return self.content_type or _CONTENT_TYPES.get(self.escaped_as, "text/plain")

    def match(self, path: str) -> re.Match[str] | None:
        """Return the match of *path*, with groups ``mac`` and ``model`` where the name has them."""
        for pattern in (self.pattern, *self.also):
            if found := _compiled(pattern).fullmatch(path):
                return found
        return None

    def name_for(self, mac: str, model: str = "") -> str:
        """Return the name under which the phone with that MAC address asks for it."""
        return (
            self.pattern.replace("{mac}", mac)
            .replace("{MAC}", mac.upper())
            .replace("{model}", model)
            .replace("{any}", "x")
        )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    text = "".join(
        _PLACES[part.lower()] if index % 2 else re.escape(part) for index, part in enumerate(parts)
    )
    return re.compile(text, re.IGNORECASE)


def check_pattern(pattern: str) -> str | None:
    """Return what is wrong with a pattern, if anything is."""
    unknown = [each for each in re.findall(r"\{(.*?)\}", pattern) if each.lower() not in _PLACES]
    if unknown:
        return f"{{{unknown[0]}}} is none of {', '.join(f'{{{each}}}' for each in _PLACES)}"
    if not pattern or pattern.startswith("/"):
        return "it is a path below the flavor's own, without a slash before it"
    return None
