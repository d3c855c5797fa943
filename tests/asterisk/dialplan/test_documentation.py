"""Names of applications, arguments and options, compared with Asterisk's own documentation."""

import re
import string
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.applications import REFUSED
from tests.asterisk.dialplan.strategies import APPLICATIONS
from tests.conftest import Stack
from tests.observe import console


@dataclass
class Documentation:
    """What ``core show application`` shows."""

    text: str

    @property
    def name(self) -> str:
        return self._found(r"Info about Application '(\w+)'")

    @property
    def arguments(self) -> set[str]:
        """All names in the syntax and the list of arguments, as identifiers."""
        syntax = self._found(r"\[Syntax\]\n(.*?)\n\n").replace("\n", "")
        listed = re.findall(r"^(\S+)$", self._found(r"\[Arguments\]\n(.*?)\n\["), re.MULTILINE)
        names = {*re.findall(r"[\w/]+", syntax.partition("(")[2]), *listed}
        return {re.sub(r"\W", "_", name).lower().rstrip(string.digits) for name in names}

    @property
    def options(self) -> set[str]:
        return set(re.findall(r"^    (\w+)(?:\(.*)?:", self.text, re.MULTILINE))

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self.text, re.DOTALL)
        assert found, (pattern, self.text)
        return found[1]


async def documentation(stack: Stack, name: str) -> Documentation:
    shown = await console(stack.asterisk, f"core show application {name}")
    return Documentation(re.sub(r"\x1b\[[0-9;]*m", "", shown))


def argument_names(kind: type[AsteriskApplication]) -> set[str]:
    fields = kind.model_fields.items()
    return {field.alias or name for name, field in fields if name != "app"}


def option_names(kind: type[AsteriskApplication]) -> set[str]:
    """The options that the field takes, found by trying."""
    annotation: Any = kind.model_fields["options"].annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    found = set()
    for attempt in (*string.ascii_letters, *string.digits, ("skip",), ("noanswer",)):
        try:
            adapter.validate_python(attempt)
        except ValidationError:
            continue
        found.add("".join(attempt))
    return found


async def test_names(stack: Stack) -> None:
    """Applications, their arguments and their options are there, under the names used here."""
    for kind in APPLICATIONS:
        name = kind.model_fields["app"].default
        shown = await documentation(stack, name)

        assert shown.name == name
        assert argument_names(kind) - shown.arguments == set(), name
        if "options" in kind.model_fields:
            assert option_names(kind), name
            assert option_names(kind) - shown.options == set(), name


async def test_refused_applications_are_away(stack: Stack) -> None:
    """Of what muru refuses, nothing is loaded that runs programs: nobody else can use it either."""
    for name in REFUSED:
        if "runs programs" in REFUSED[name]:
            shown = await console(stack.asterisk, f"core show application {name}")
            assert "not registered" in shown, shown
