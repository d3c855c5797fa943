"""How muru logs: a line each, which tells the request, the extension and the phone it is about.

What a request is about is kept in context variables, so that no function has to hand it on.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from muru.settings import Settings

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LONGEST_FACT = 64  # characters; some are what a client has sent
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_facts: ContextVar[Mapping[str, str]] = ContextVar("muru.logs.facts", default={})  # noqa: B039 - never changed


class about:  # noqa: N801  # used like a function
    """Have all that is logged within the block tell these facts: request, extension, device.

    Not a generator with ``contextmanager``: there is one for each request, and this costs a third.
    """

    __slots__ = ("_before", "_facts")

    def __init__(self, **facts: str | None) -> None:
        self._facts = facts

    def __enter__(self) -> None:
        self._before = _facts.set(_with(self._facts))

    def __exit__(self, *_: object) -> None:
        _facts.reset(self._before)


def add(**facts: str | None) -> None:
    """Add to the facts of the block around; None adds nothing."""
    _facts.set(_with(facts))


def _with(facts: Mapping[str, str | None]) -> dict[str, str]:
    known = {name: fact[:_LONGEST_FACT] for name, fact in facts.items() if fact}
    return {**_facts.get(), **known}


def request_id() -> str:
    """Return the id of the request that is being handled; empty outside of one."""
    return _facts.get().get("request", "")


def set_up(settings: Settings, *, verbose: bool, stream: TextIO | None = None) -> None:
    """Log to standard error as the settings say; a command that is not *verbose* logs errors alone.

    May be called again, and then replaces what it did before.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if settings.log_format == "json" and verbose else _Text(_TEXT))
    logging.basicConfig(
        level=settings.log_level if verbose else "ERROR", handlers=[handler], force=True
    )
    # These tell of every request, or of every migration step, what is told better elsewhere; the
    # last tells all values of a statement, passwords among them.
    for name in ("aiohttp.access", "alembic", "aiosqlite"):
        logging.getLogger(name).setLevel("WARNING")
    # Tells the first line of a malformed request, which may hold a phone's token; of all else that
    # goes wrong with a request the middlewares tell.
    logging.getLogger("aiohttp.server").setLevel("CRITICAL")
    for entry in settings.log_levels if verbose else ():
        area, _, level = entry.partition("=")
        logging.getLogger(area).setLevel(level)


class _Text(logging.Formatter):
    """For people: a message is one line, whatever is in it; a traceback follows."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = _one_line(super().formatMessage(record))
        told = " ".join(f"{name}={_one_line(fact)}" for name, fact in _facts.get().items())
        return f"{line} [{told}]" if told else line


class _Json(logging.Formatter):
    """For programs: an object in one line, the traceback in it."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_facts.get(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return json.dumps(entry)


def _one_line(text: str) -> str:
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
