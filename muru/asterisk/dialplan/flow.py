"""Applications that decide what is done next, and those that nobody hears."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.fields import (
    AnyLine,
    Condition,
    Expression,
    Fraction,
    Line,
    Variable,
    carries,
    letters,
    value_of,
    value_of_quoted,
    written,
)
from muru.asterisk.dialplan.places import Location
from muru.asterisk.dialplan.quoting import partition, split

_Text = Annotated[Line | Expression, AfterValidator(carries())]
# Asterisk splits them at commas but takes no quotes away, so that a comma cannot be told from one.
_Parameter = Annotated[AnyLine | Expression, AfterValidator(carries(',()[]"\\'))]


_BRANCHES = ("labeliftrue", "labeliffalse")


class Goto(AsteriskApplication, Location):
    """Go on at another step, here or at another number."""

    ENDS: ClassVar[bool] = True

    app: Literal["Goto"] = "Goto"

    @property
    def appdata(self) -> str:
        return str(self.location)

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        return Location.fields_of(appdata)

    @property
    def location(self) -> Location:
        return Location(context=self.context, extension=self.extension, priority=self.priority)

    @property
    def places(self) -> Sequence[Location]:
        return (self.location,)

    def moved(self, change: Callable[[Location], Location]) -> Self:
        return self.model_copy(update=dict(change(self.location)))


class Gosub(Goto):
    """Go on at another step, and come back to the next one here at a Return."""

    ENDS: ClassVar[bool] = False

    app: Literal["Gosub"] = "Gosub"  # type: ignore[assignment]
    arg: tuple[_Parameter, ...] = Field(
        (), title="Arguments", description="What is ${ARG1}, ${ARG2} and so on there.", max_length=9
    )

    @property
    def appdata(self) -> str:
        arguments = ",".join(map(written, self.arg))
        return f"{self.location}({arguments})" if self.arg else str(self.location)

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        place, _, more = partition(appdata, "(")
        fields = Location.fields_of(place)
        if more:
            fields["arg"] = tuple(map(value_of, split(more.rpartition(")")[0], ",")))
        return fields


class GotoIf(AsteriskApplication):
    """Go on at another step if a condition is true, or if it is false."""

    app: Literal["GotoIf"] = "GotoIf"
    condition: Condition = Field(title="Condition", description='As $["${ANSWER}" = "1"].')
    labeliftrue: Location | None = Field(None, title="If true")
    labeliffalse: Location | None = Field(None, title="If false")

    def model_post_init(self, _: Any) -> None:
        if self.labeliftrue is None and self.labeliffalse is None:
            raise ValueError("it needs a place to go to")

    @property
    def appdata(self) -> str:
        true, false = (str(place or "") for place in (self.labeliftrue, self.labeliffalse))
        return f"{self.condition}?{true}{':' if false else ''}{false}"

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        condition, _, branches = partition(appdata, "?")
        true, _, false = partition(branches, ":")
        places = map(Location.parse, (true, false))
        return {"condition": condition, **dict(zip(_BRANCHES, places, strict=True))}

    @property
    def places(self) -> Sequence[Location]:
        return tuple(place for place in (self.labeliftrue, self.labeliffalse) if place)

    def moved(self, change: Callable[[Location], Location]) -> Self:
        found = {name: getattr(self, name) for name in _BRANCHES}
        return self.model_copy(
            update={name: change(place) for name, place in found.items() if place}
        )


class Return(AsteriskApplication):
    """Go back to where a Gosub came from."""

    ENDS: ClassVar[bool] = True

    app: Literal["Return"] = "Return"
    value: _Text | None = Field(None, title="Value", description="What is ${GOSUB_RETVAL} there.")

    @property
    def appdata(self) -> str:
        return written(self.value)

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        return {"value": value_of(appdata) or None}


class Set(AsteriskApplication):
    """Give a variable a value, or a function."""

    app: Literal["Set"] = "Set"
    name: Variable = Field(title="Name", description="As ANSWER, or CALLERID(name).")
    value: Annotated[AnyLine | Expression, AfterValidator(carries())] = Field(title="Value")

    @property
    def appdata(self) -> str:
        return f"{self.name}={written(self.value)}"

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        name, equals, value = appdata.partition("=")
        if not equals:
            raise ValueError("it is name=value")
        return {"name": name, "value": value_of(value)}


class NoOp(AsteriskApplication):
    """Do nothing: a note in Asterisk's log, if that is verbose."""

    app: Literal["NoOp"] = "NoOp"
    text: _Text | None = Field(None, title="Text")

    @property
    def appdata(self) -> str:
        return written(self.text)

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        return {"text": value_of(appdata) or None}


class Verbose(AsteriskApplication):
    """Write a text to Asterisk's log, if that is so verbose."""

    app: Literal["Verbose"] = "Verbose"
    level: int = Field(0, title="Level", ge=0, le=4)
    message: Annotated[_Text, Field(title="Message")]

    @property
    def appdata(self) -> str:
        return f"{self.level},{written(self.message)}"

    @classmethod
    def read(cls, appdata: str) -> dict[str, Any]:
        level, *message = split(appdata, ",", 2)
        if message:
            return {"level": level.strip(), "message": value_of(message[0])}
        return {"message": value_of_quoted(level)}


class Wait(AsteriskApplication):
    """Wait for some seconds."""

    PAUSES: ClassVar[bool] = True

    app: Literal["Wait"] = "Wait"
    seconds: Fraction | Expression = Field(title="Seconds")


class WaitExten(AsteriskApplication):
    """Wait for the caller to dial another number."""

    PAUSES: ClassVar[bool] = True

    app: Literal["WaitExten"] = "WaitExten"
    seconds: Fraction | Expression | None = Field(None, title="Seconds")
    options: Annotated[str, letters("", "md")] | None = Field(
        None, title="Options", description="m(class): music on hold meanwhile; d: a dial tone."
    )
