"""What every application is: a form to fill in, and the text that Asterisk reads."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from muru.asterisk.dialplan.fields import quoted, value_of_quoted
from muru.asterisk.dialplan.places import Location
from muru.asterisk.dialplan.quoting import split


class AsteriskApplication(BaseModel):
    """An application with its arguments, which are named as in Asterisk's documentation.

    Most take their arguments in the order of the fields, at commas, with quotes and backslashes
    taken away; the others say how they differ. The last argument that Asterisk knows of is read as
    it is: the type of such a field allows nothing that would need a quote.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    #: What separates the parts of an argument that is a list.
    LISTS: ClassVar[Mapping[str, str]] = {}
    #: It takes time in any case, so that a loop around it does not turn at full speed.
    PAUSES: ClassVar[bool] = False
    #: The next step is never reached from it.
    ENDS: ClassVar[bool] = False

    app: str

    @property
    def appdata(self) -> str:
        """What stands in the parentheses."""
        arguments = [self._argument(name) for name in self._names()]
        while arguments and not arguments[-1]:
            arguments.pop()
        return ",".join(arguments)

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        """Return the fields that :attr:`appdata` was made of.

        Raises:
            ValueError: there are more arguments than fields, or an expression does not end.
        """
        names = cls._names()
        rest = len(names) if names and cls.LISTS.get(names[-1]) == "," else 0
        arguments = split(appdata, ",", rest) if appdata.strip() else []
        if len(arguments) > len(names):
            raise ValueError(f"it takes {len(names)} arguments here, not {len(arguments)}")
        pairs = zip(names, arguments, strict=False)
        return {name: cls._value(name, argument) for name, argument in pairs if argument.strip()}

    @property
    def places(self) -> Sequence[Location]:
        """Where it may jump to, also if only under a condition."""
        return ()

    def moved(self, change: Callable[[Location], Location]) -> Self:
        """Return it with other places."""
        del change
        return self

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in cls.model_fields if name != "app"]

    def _argument(self, name: str) -> str:
        value = getattr(self, name)
        if isinstance(value, tuple):
            return self.LISTS[name].join(map(quoted, value))
        # Options have parentheses of their own, and nothing in them that needs a quote.
        return str(value or "") if name == "options" else quoted(value)

    @classmethod
    def _value(cls, name: str, argument: str) -> Any:
        if name in cls.LISTS:
            return tuple(map(value_of_quoted, split(argument, cls.LISTS[name])))
        return argument.strip() if name == "options" else value_of_quoted(argument)
