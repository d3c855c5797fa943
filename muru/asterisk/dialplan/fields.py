"""The types of applications' arguments: what a person types is text, unless declared otherwise."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from muru.asterisk.dialplan.quoting import (
    check_expressions,
    check_function,
    has_expression,
    quote,
    segments,
    unquote,
)

_LONGEST = 200


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be on one line, without control characters")
    return text


AnyLine = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=_LONGEST),
    AfterValidator(_printable),
]
Line = Annotated[AnyLine, StringConstraints(min_length=1)]


class Expression(BaseModel):
    """Text into which Asterisk puts values during the call.

    What callers determine, as their name, may have commas and quotes, which Asterisk then takes for
    its own: wrap it as in ``${FILTER(0-9A-Za-z,${CALLERID(name)})}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="Expression")

    expression: Line = Field(
        title="Expression",
        description="Text with ${VARIABLE}, ${FUNCTION(...)} or $[1 + 2] in it.",
    )

    def model_post_init(self, _: Any) -> None:
        if not has_expression(self.expression):
            raise ValueError("an expression has ${...} or $[...] in it")
        check_expressions(self.expression)


Value = str | Expression


def written(value: Expression | str | float | None) -> str:
    """Return a value as Asterisk reads it where nothing is taken away from it."""
    match value:
        case None:
            return ""
        case Expression():
            return value.expression
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case _:
            return str(value)


def value_of(text: str) -> Value:
    """Undo :func:`written`."""
    text = text.strip()
    return Expression(expression=text) if has_expression(text) else text


def quoted(value: Expression | str | float | None) -> str:
    """Return a value as an argument from which Asterisk takes quotes and backslashes away."""
    return quote(written(value), is_expression=isinstance(value, Expression))


def value_of_quoted(argument: str) -> Value:
    """Undo :func:`quoted`."""
    text, is_expression = unquote(argument.strip())
    return Expression(expression=text) if is_expression else text


def _literals(value: Value) -> str:
    """Return what Asterisk takes as it is written."""
    if isinstance(value, str):
        return value
    return "".join(text for is_expression, text in segments(value.expression) if not is_expression)


def carries(forbidden: str = "") -> Callable[[Any], Any]:
    """Return a check for an argument from which Asterisk takes no quotes away.

    It cannot hold text that looks like an expression, nor the *forbidden* characters.
    """

    def check(value: Any) -> Any:
        if isinstance(value, str) and has_expression(value):
            raise ValueError(
                "Asterisk would put a value in the place of ${...} or $[...], and has no way to"
                " write them as text here; declare it as an expression if that is meant"
            )
        if isinstance(value, Value):
            found = sorted(set(forbidden) & set(_literals(value)))
            if found:
                raise ValueError(f"Asterisk has no way to write {' '.join(found)} as text here")
        return value

    return check


def matching(pattern: str) -> StringConstraints:
    """Return a bound on a text, all of which is to match *pattern*."""
    return StringConstraints(pattern=f"^(?:{pattern})$", max_length=_LONGEST)


def letters(flags: str, valued: str = "") -> StringConstraints:
    """Return a bound on an application's options: those of *valued* may have a value."""
    value = r"\([A-Za-z0-9_.:*#-]{0,40}\)"
    return matching(f"(?:[{valued}]{value}|[{flags}{valued}])+" if valued else f"[{flags}]+")


def _condition(text: str) -> str:
    pieces = segments(text)
    if len(pieces) != 1 or not pieces[0].is_expression:
        raise ValueError('a condition is one expression, as $["${ANSWER}" = "1"]')
    check_expressions(text)
    return text


_VARIABLE = re.compile(r"(?P<function>[A-Za-z]\w*)\([\w,.:@/*#-]*\)|_{0,2}[A-Za-z]\w*", re.ASCII)


def _variable(name: str) -> str:
    found = _VARIABLE.fullmatch(name)
    if not found:
        raise ValueError("a variable is a name, as ANSWER, or a function, as CALLERID(name)")
    if found["function"]:
        check_function(found["function"])
    return name


_PART = r"[\w+-](?:[\w.+ -]*[\w.+-])?"  # no hidden file, and no way up
#: A sound below Asterisk's folder of sounds, or in one that the operator names in full.
SOUND_PATTERN = rf"/?{_PART}(?:/{_PART})*"

NAME_PATTERN = r"[A-Za-z0-9_-]{1,40}"

Condition = Annotated[Line, AfterValidator(_condition)]
Variable = Annotated[Line, AfterValidator(_variable)]
Label = Annotated[str, matching("[A-Za-z][A-Za-z0-9_-]{0,39}")]
Name = Annotated[str, matching(NAME_PATTERN)]
Sound = (
    Annotated[str, matching(SOUND_PATTERN)] | Annotated[Expression, AfterValidator(carries("&'"))]
)
Seconds = Annotated[int, Field(ge=1, le=86_400)]
Fraction = Annotated[
    float,
    Field(ge=0.01, le=86_400, allow_inf_nan=False),
    AfterValidator(lambda value: round(value, 3)),
]
