"""A number that rings several phones: all at once, one after the other, or each after a while."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from muru.asterisk.dialplan import GROUP
from muru.asterisk.dialplan.applications import Application
from muru.asterisk.dialplan.flow import Gosub, Goto, Set
from muru.asterisk.dialplan.numbers import rows_of
from muru.flavor import Extension, MemberFields, RealtimeRow

from ._dialled import Dialled

_PIECE = 190  # characters of members in one step


class GroupFields(MemberFields):
    """What a person fills in for a call group."""

    model_config = ConfigDict(extra="forbid")

    ring: Literal["all", "in-turn", "delayed"] = Field(
        "all",
        title="Rings",
        description="all: all members at once; in-turn: one after the other, in the order of the"
        " list; delayed: each after its delay.",
    )
    seconds: int = Field(
        30,
        title="Seconds",
        description="For how long it rings; in turn, each member.",
        ge=5,
        le=600,
        strict=True,
    )


class CallGroup(Dialled):
    """Rings its members; ``extensions.conf`` has what does it, the rows say whom."""

    PHONE_TYPES: ClassVar[list[str]] = ["Call group"]
    DISPLAY_INDEX = -10
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = GroupFields

    def steps(self, extension: Extension) -> list[Application]:
        return [Goto(context=GROUP, extension=extension.number)]

    def realtime_rows(self, extension: Extension) -> list[RealtimeRow]:
        fields = GroupFields.model_validate(extension.extra_fields)
        first, *more = _pieces(_to_ring(fields))
        how = "turn" if fields.ring == "in-turn" else "all"
        members: list[Application] = [
            Set(name="members", value=first or "&"),
            *(Gosub(context=GROUP, extension="add", arg=(piece,)) for piece in more),
            Gosub(context=GROUP, extension=how, arg=(str(fields.seconds),)),
        ]
        return [*super().realtime_rows(extension), *rows_of(GROUP, extension.number, members)]


def _to_ring(fields: GroupFields) -> Iterator[str]:
    """Yield each member with its delay, as ``extensions.conf`` reads it."""
    members = [member for member in fields.members if not member.paused]
    if fields.ring == "delayed":
        members.sort(key=lambda member: member.delay)  # keeps the order of those with the same
    for member in members:
        delay = member.delay if fields.ring == "delayed" else 0
        yield f"{delay:03}{member.number}&"


def _pieces(texts: Iterator[str]) -> list[str]:
    """Return *texts* together, in as few pieces as fit into a step each; one at least."""
    pieces = [""]
    for text in texts:
        if len(pieces[-1]) + len(text) > _PIECE:
            pieces.append("")
        pieces[-1] += text
    return pieces
