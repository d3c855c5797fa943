"""What is left of a phone's file without its values: whatever people type must not change it."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

from muru.provisioning.files import Format, ProvisioningFile

_ENDS_OF_LINES = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_KEY = re.compile(r"[^\s=:\"]*")
_QUOTED = re.compile(r'"[^"]*"')


def structure(file: ProvisioningFile, content: bytes) -> list[Any]:
    """Return the parts of a file in their order.

    XML: its elements and their attributes. JSON: its keys and the types of their values. CSV: the
    number of cells in each row. ``QUOTED``: each line with nothing between its quotes, or up to its
    first separator if it has none. ``LINES``: each line up to its first separator. ``WORDS``: the
    same, and how many words there are.

    Raises:
        ValueError: the file cannot be parsed as what it is.
    """
    return _READERS[file.escaped_as](content, file.encoding)


def _xml(content: bytes, encoding: str) -> list[Any]:
    del encoding  # the file itself tells
    try:
        root = ET.fromstring(content)  # noqa: S314  # it is our own
    except ET.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from error
    return _element(root)


def _element(element: ET.Element) -> list[Any]:
    return [element.tag, sorted(element.keys()), *map(_element, element)]


def _json(content: bytes, encoding: str) -> list[Any]:
    return [_shape(json.loads(content.decode(encoding)))]


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value]
    return type(value).__name__


def _csv(content: bytes, encoding: str) -> list[Any]:
    text = io.StringIO(content.decode(encoding), newline="")
    try:
        return [len(row) for row in csv.reader(text, strict=True)]
    except csv.Error as error:
        raise ValueError(f"it is no CSV: {error}") from error


def _lines(content: bytes, encoding: str) -> list[Any]:
    return [_key(line) for line in _ENDS_OF_LINES.split(content.decode(encoding))]


def _quoted(content: bytes, encoding: str) -> list[Any]:
    return [_outside_quotes(line) for line in _ENDS_OF_LINES.split(content.decode(encoding))]


def _outside_quotes(line: str) -> str:
    if line.count('"') % 2:
        raise ValueError(f"a quote is left open: {line}")
    return _QUOTED.sub('""', line) if '"' in line else _key(line)


def _words(content: bytes, encoding: str) -> list[Any]:
    lines = _ENDS_OF_LINES.split(content.decode(encoding))
    return [(_key(line), len(line.split())) for line in lines]


def _key(line: str) -> str:
    found = _KEY.match(line.lstrip())
    return found.group() if found else ""


_READERS: dict[Format, Callable[[bytes, str], list[Any]]] = {
    Format.XML: _xml,
    Format.JSON: _json,
    Format.CSV: _csv,
    Format.LINES: _lines,
    Format.QUOTED: _quoted,
    Format.WORDS: _words,
}
