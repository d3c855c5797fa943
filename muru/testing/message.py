"""SIP messages as bytes and back (RFC 3261, 7), as far as a virtual phone needs them."""

import re
from dataclasses import dataclass, field

Headers = list[tuple[str, str]]

_LONGEST = 64 * 1024  # bytes of a message
# How a name is written in full, by its small letters and by its one letter.
_LETTERS = {
    "v": "Via",
    "f": "From",
    "t": "To",
    "i": "Call-ID",
    "m": "Contact",
    "l": "Content-Length",
    "c": "Content-Type",
    "o": "Event",
}
_OTHERS = ("CSeq", "WWW-Authenticate", "Proxy-Authenticate")
_NAMES = _LETTERS | {name.lower(): name for name in (*_LETTERS.values(), *_OTHERS)}


class Malformed(Exception):
    """It is no SIP message."""


@dataclass(frozen=True, slots=True)
class Message:
    first_line: str
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    def __bytes__(self) -> bytes:
        headers = [*self.headers, ("Content-Length", str(len(self.body)))]
        lines = [self.first_line, *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    def all(self, name: str) -> list[str]:
        """Return the headers of that name, which is written in full, as RFC 3261 does."""
        return [value for each, value in self.headers if each == name]

    def get(self, name: str) -> str:
        """Return the first header of that name, or an empty text."""
        return next(iter(self.all(name)), "")

    @property
    def status(self) -> int:
        """0 for a request."""
        found = re.match(r"SIP/2\.0 (\d{3})", self.first_line)
        return int(found[1]) if found else 0

    @property
    def method(self) -> str:
        """Empty for an answer."""
        return "" if self.status else self.first_line.partition(" ")[0]

    @property
    def branch(self) -> str:
        """What a request and its answers have in common, and nothing else has."""
        found = re.search(r";\s*branch=([^;,\s]+)", self.get("Via"))
        return found[1] if found else ""


def take(buffer: bytearray) -> Message | None:
    """Take the first message out of *buffer*; None as long as there is no whole one.

    Raises:
        Malformed: there never will be.
    """
    while buffer[:2] == b"\r\n":  # keeps a connection alive, and has no other meaning
        del buffer[:2]
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > _LONGEST:
            raise Malformed("too long")
        return None
    first_line, headers = _parse(buffer[:end].decode(errors="replace"))
    message = Message(first_line, headers)
    length = message.get("Content-Length") or "0"
    if not re.fullmatch(r"\d{1,5}", length):
        raise Malformed("no length")
    whole = end + 4 + int(length)
    if len(buffer) < whole:
        return None
    message = Message(first_line, headers, bytes(buffer[end + 4 : whole]))
    del buffer[:whole]
    return message


def _parse(head: str) -> tuple[str, Headers]:
    first_line, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    if "SIP/2.0" not in first_line:
        raise Malformed("no SIP")
    pairs = (line.partition(":") for line in lines)
    return first_line, [
        (_NAMES.get(name.strip().lower(), name.strip()), value.strip()) for name, _, value in pairs
    ]
