r"""How Asterisk takes the text behind an application's name apart, and how text survives that.

Three things happen to it, in this order:

1. What stands in ``${}`` and ``$[]`` is replaced by its value. Nothing escapes these: a backslash
   in front is kept, and the value is still put in. But ``$\{`` is no variable.
2. Most applications split what there is now at commas, and take away quotes and backslashes. So
   there a backslash makes any character an ordinary one, and ``$\{`` arrives as ``${``.
3. Their last argument, and the whole text of NoOp, Set, Goto and some others, is left as it is.
   There a backslash stays, so what has a meaning of its own cannot be carried at all.

The functions here mirror main/pbx_variables.c and main/app.c of Asterisk 22.
"""

import re
from typing import NamedTuple

_BRACKETS = {"{": "}", "[": "]"}
_SPECIAL = re.compile(r'[\\",()\[\]]|(?<=\$)\{')

#: Functions that reach beyond the call: programs, files, the network, other people's data.
DANGEROUS_FUNCTIONS = frozenset(
    {
        *("AGENT", "AMI_CLIENT", "AST_CONFIG", "AST_SORCERY", "CURL", "CURLOPT", "DB", "DB_DELETE"),
        *("DB_EXISTS", "DB_KEYCOUNT", "DB_KEYS", "DUNDILOOKUP", "DUNDIQUERY", "DUNDIRESULT", "ENV"),
        *("EVAL", "EVAL_EXTEN", "EXPORT", "FILE", "FILE_COUNT_LINE", "FILE_FORMAT", "IMPORT"),
        *("MASTER_CHANNEL", "ODBC", "REALTIME", "REALTIME_DESTROY", "REALTIME_FIELD"),
        *("REALTIME_HASH", "REALTIME_STORE", "SHARED", "SHELL", "STAT", "SYSINFO"),
    }
)
_CALLED = re.compile(r"(\w+|[}\]])\s*\(")


class Segment(NamedTuple):
    """A piece of text: literal, or an expression with its brackets."""

    is_expression: bool
    text: str


def segments(text: str) -> list[Segment]:
    """Take *text* apart as Asterisk does when it puts values in.

    Raises:
        ValueError: an expression does not end.
    """
    found: list[Segment] = []
    literal, at = 0, 0
    while (at := text.find("$", at)) >= 0:
        if text[at + 1 : at + 2] not in _BRACKETS:
            at += 1
            continue
        end = _end(text, at)
        found += [Segment(False, text[literal:at]), Segment(True, text[at:end])]
        literal = at = end
    found.append(Segment(False, text[literal:]))
    return [segment for segment in found if segment.text]


def _end(text: str, start: int) -> int:
    """Return where the expression that begins at *start* is over."""
    opening = text[start + 1]
    depth, at = 1, start + 2
    while depth and at < len(text):
        nested = text[at] == "$" and text[at + 1 : at + 2] in _BRACKETS
        at += nested
        depth += (text[at] == opening) - (not nested and text[at] == _BRACKETS[opening])
        at += 1
    if depth:
        raise ValueError(f"the ${opening} in it has no {_BRACKETS[opening]}")
    return at


def has_expression(text: str) -> bool:
    """Tell whether Asterisk would put a value anywhere into *text*."""
    return "${" in text or "$[" in text


def check_expressions(text: str) -> None:
    """Check that each expression in *text*, and in these, ends and calls nothing dangerous.

    Raises:
        ValueError: the text says what does not fit.
    """
    for is_expression, piece in segments(text):
        if not is_expression:
            continue
        for called in _CALLED.findall(piece):
            if called in _BRACKETS.values():
                raise ValueError("the name of a function must be written out")
            check_function(called)
        check_expressions(piece[2:-1])


def check_function(name: str) -> None:
    """Check that a function is none that an expression may not use.

    Raises:
        ValueError: it is one.
    """
    if name.upper() in DANGEROUS_FUNCTIONS or name.upper().startswith("ODBC_"):
        raise ValueError(f"the function {name} reaches beyond the call, and is not allowed here")


def quote(text: str, *, is_expression: bool = False) -> str:
    """Return *text* as an argument of an application that takes quotes and backslashes away.

    Unless *is_expression*, what looks like an expression arrives as it is, without a value.
    """
    pieces = segments(text) if is_expression else [Segment(False, text)]
    return "".join(piece if raw else _SPECIAL.sub(r"\\\g<0>", piece) for raw, piece in pieces)


def unquote(argument: str) -> tuple[str, bool]:
    """Undo :func:`quote`; return the text, and whether it is an expression.

    Raises:
        ValueError: it has an expression, and another that is quoted so that it is none; or a
            backslash in front of an expression.
    """
    pieces = [
        Segment(raw, piece if raw else _without_quotes(piece)) for raw, piece in segments(argument)
    ]
    pieces = [piece for piece in pieces if piece.text]
    text = "".join(piece for _, piece in pieces)
    if not any(raw for raw, _ in pieces):
        return text, False
    if segments(text) != pieces:
        raise ValueError("it has both an expression and quoted text that looks like one")
    return text, True


def _without_quotes(text: str) -> str:
    if re.search(r"(?<!\\)(?:\\\\)*\\$", text):
        raise ValueError("a backslash stands before an expression, or before nothing")
    return re.sub(r'\\(.)|"', lambda found: found[1] or "", text)


def split(text: str, delimiter: str, most: int = 0) -> list[str]:
    """Return the pieces of *text* between delimiters, still quoted; an expression is not split.

    With *most*, the last of so many pieces is all the rest.

    Raises:
        ValueError: an expression does not end.
    """
    pieces = [""]
    state = _Nesting()
    for is_expression, segment in segments(text):
        if is_expression:
            pieces[-1] += segment
            continue
        for character in segment:
            if state.takes(character) or character != delimiter or len(pieces) == most:
                pieces[-1] += character
            else:
                pieces.append("")
    return pieces


def partition(text: str, delimiter: str) -> tuple[str, str, str]:
    """Do as ``str.partition``, at the first *delimiter* that is not in an expression.

    Raises:
        ValueError: an expression does not end.
    """
    at = 0
    for is_expression, segment in segments(text):
        if not is_expression and delimiter in segment:
            at += segment.index(delimiter)
            return text[:at], delimiter, text[at + 1 :]
        at += len(segment)
    return text, "", ""


def nests(text: str) -> bool:
    """Tell whether *text* in parentheses is one piece to :func:`split`, whatever follows."""
    pieces = "".join("x" if raw else piece for raw, piece in segments(f"({text})"))
    state = _Nesting()
    for character in pieces[:-1]:
        state.takes(character)
        if not state.is_inside:
            return False
    state.takes(pieces[-1])
    return not state.is_inside and not state.escaped


class _Nesting:
    """What Asterisk keeps in mind while it looks for delimiters."""

    def __init__(self) -> None:
        self.open = {")": 0, "]": 0}
        self.quoted = self.escaped = False

    @property
    def is_inside(self) -> bool:
        return self.quoted or any(self.open.values())

    def takes(self, character: str) -> bool:
        """Go on by one character; tell whether it is no delimiter, whatever it is."""
        if self.escaped:
            self.escaped = False
            return True
        inside = self.is_inside
        if character in "([":
            self.open[")" if character == "(" else "]"] += 1
        elif character in ")]":
            self.open[character] = max(0, self.open[character] - 1)
        elif character == '"':
            self.quoted = not self.quoted
        elif character == "\\":
            self.escaped = True
        else:
            return inside
        return True
