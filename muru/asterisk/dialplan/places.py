"""Places in the dialplan, to which Goto and others jump."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from muru.asterisk.dialplan.fields import (
    NAME_PATTERN,
    Expression,
    Label,
    Name,
    carries,
    matching,
    value_of,
    written,
)
from muru.asterisk.dialplan.quoting import split

Priority = Annotated[int, Field(ge=1, le=9999)]

_Extension = (
    Annotated[str, matching(rf"[0-9*#]{{1,40}}|{NAME_PATTERN}")]
    | Annotated[Expression, AfterValidator(carries(',?:()[]"\\'))]
)


class Location(BaseModel):
    """A step: ``[[context,]extension,]priority``, a label in the place of the priority included."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Location")

    context: Name | None = Field(
        None, title="Context", description="Another context than that of the own numbers."
    )
    extension: _Extension | None = Field(
        None, title="Number", description="Another number than this one."
    )
    priority: Priority | Label = Field(
        1, title="Step", description="The number of a step, or its label."
    )

    def model_post_init(self, _: Any) -> None:
        if self.context is not None and self.extension is None:
            raise ValueError("a place in another context needs a number there")

    def __str__(self) -> str:
        parts = (self.context, self.extension, self.priority)
        return ",".join(written(part) for part in parts if part is not None)

    @classmethod
    def fields_of(cls, text: str) -> dict[str, Any]:
        """Return the fields of what ``str`` made of a location.

        Raises:
            ValueError: it has more than three parts.
        """
        parts = [part.strip() for part in split(text, ",")]
        if len(parts) > 3:
            raise ValueError("a place is [[context,]extension,]priority")
        names = ("context", "extension", "priority")[-len(parts) :]
        found: dict[str, Any] = {n: p for n, p in zip(names, parts, strict=True) if p}
        if "extension" in found:
            found["extension"] = value_of(found["extension"])
        return found

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the location that *text* is, or None for an empty text."""
        return cls(**cls.fields_of(text)) if text.strip() else None
