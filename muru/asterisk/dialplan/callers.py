"""What callers determine, such as their name, and where it would be more than text.

Asterisk puts values in before it takes arguments apart. So a caller whose name has a comma in it
adds an argument, and in the condition of a GotoIf or a branch of an ExecIf they add a jump.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from muru.asterisk.dialplan import flow, media
from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.fields import Expression
from muru.asterisk.dialplan.numbers import Dialplan
from muru.asterisk.dialplan.quoting import segments

# Asterisk takes these whole, so that nothing in them has a meaning of its own.
_WHOLE = flow.Set | flow.NoOp | flow.Verbose | flow.Return | media.SayDigits

_FUNCTION = re.compile(
    r"\b(?:CALLERID|CONNECTEDLINE|REDIRECTING|PJSIP_HEADERS?|PJSIP_HEADER_PARAM|PJSIP_PARSE_URI)\(",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"FILTER\([A-Za-z0-9*#+_ -]*,", re.IGNORECASE)
_NAME = re.compile(r"\w+", re.ASCII)


def caller_steps(dialplan: Dialplan) -> Iterator[tuple[str, int]]:
    """Yield the number and priority of steps in which a caller's text may be more than text."""
    variables = _variables(dialplan)
    for number, own in dialplan.numbers.items():
        for priority, step in enumerate(own.steps, 1):
            application = step.application
            if not isinstance(application, _WHOLE) and _is_callers(application, variables):
                yield number, priority


def _variables(dialplan: Dialplan) -> set[str]:
    """Return the variables that hold something of a caller's at any time."""
    sets = [
        each
        for own in dialplan.numbers.values()
        for step in own.steps
        for each in _sets(step.application)
    ]
    found: set[str] = set()
    while True:
        more = {each.name.lstrip("_") for each in sets if _is_callers(each, found)} - found
        if not more:
            return found
        found |= more


def _sets(value: object) -> Iterator[flow.Set]:
    if isinstance(value, flow.Set):
        yield value
    elif isinstance(value, AsteriskApplication):
        for _, inner in value:
            yield from _sets(inner)


def _is_callers(application: AsteriskApplication, variables: set[str]) -> bool:
    return any(_has_callers(text, variables) for text in _texts(application))


def _texts(value: Any) -> Iterator[str]:
    """Yield everything in which Asterisk puts values."""
    if isinstance(value, Expression):
        yield value.expression
    elif isinstance(value, tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, BaseModel):
        for name, inner in value:
            if isinstance(inner, str) and name in {"condition", "expression"}:
                yield inner
            else:
                yield from _texts(inner)


def _has_callers(text: str, variables: set[str]) -> bool:
    for is_expression, piece in segments(text):
        inside = piece[2:-1]
        if not is_expression or _FILTERED.match(inside):
            continue
        name = _NAME.match(inside)
        if piece.startswith("${") and name and name[0] in variables:
            return True
        own = "".join(part for nested, part in segments(inside) if not nested)
        if _FUNCTION.search(own) or _has_callers(inside, variables):
            return True
    return False
