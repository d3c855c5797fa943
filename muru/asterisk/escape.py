"""The one place where text of people enters what Asterisk reads."""

_LONGEST_NAME = 79  # bytes: what Asterisk keeps of a caller's name
_DRIVER_CODES = {"^": "^5E", ";": "^3B"}


def caller_id(name: str, number: str) -> str:
    """Return the value of an endpoint's ``callerid``: what a called phone shows.

    Raises:
        ValueError: *name* has a control character, or *number* is no number.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise ValueError("a caller id cannot have control characters")
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"{number!r} is no extension number")
    kept = name.encode()[:_LONGEST_NAME].decode(errors="ignore")  # no half of a character
    quoted = kept.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{number}>'


def realtime_value(value: str, dialect: str) -> str:
    """Return *value* as it is written into a realtime table of the SQLAlchemy *dialect*.

    Asterisk's drivers for PostgreSQL and ODBC split what they read at semicolons, and decode
    ``^XX``; that for SQLite does neither.
    """
    if dialect == "sqlite":
        return value
    return "".join(_DRIVER_CODES.get(character, character) for character in value)


def read_realtime_value(value: str, dialect: str) -> str:
    """Undo :func:`realtime_value`."""
    if dialect == "sqlite":
        return value
    for character in (";", "^"):
        value = value.replace(_DRIVER_CODES[character], character)
    return value


def conf_value(value: object) -> str:
    """Return *value* for the right side of a line in one of Asterisk's configuration files.

    Raises:
        ValueError: it has a line break, which no escape can carry.
    """
    text = str(value)
    if any(character in text for character in "\r\n\0"):
        raise ValueError("a configuration value cannot have line breaks")
    return text.replace(";", "\\;")  # a backslash means nothing but before a semicolon
