"""Own numbers: a list of steps each, as lines to read and as rows for Asterisk."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.applications import Application, assemble
from muru.asterisk.dialplan.fields import Label, matching
from muru.asterisk.dialplan.places import Location
from muru.asterisk.escape import conf_value
from muru.db.realtime import DialplanStep
from muru.errors import Invalid

MOST_STEPS = 200


def rows_of(context: str, number: str, steps: Iterable[Application]) -> list[DialplanStep]:
    """Return the rows that do *steps* one after the other where *number* is dialled.

    Raises:
        Invalid: a step has more text than Asterisk takes.
    """
    assembled = map(assemble, steps)
    return [
        DialplanStep(context=context, exten=number, priority=priority, app=app, appdata=appdata)
        for priority, (app, appdata) in enumerate(assembled, 1)
    ]


class Step(BaseModel):
    """An application, and a label by which others jump to it."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Step")

    label: Label | None = Field(
        None, title="Label", description="A name for this step, to jump to it."
    )
    application: Application


class OwnNumber(BaseModel):
    """A number that the operator made, with what is done when it is dialled."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Own number")

    number: Annotated[str, matching(r"[0-9*#]{1,15}")] = Field(title="Number")
    steps: tuple[Step, ...] = Field(title="Steps", min_length=1, max_length=MOST_STEPS)

    def model_post_init(self, _: Any) -> None:
        labels = [step.label for step in self.steps if step.label]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"two steps have the same label: {', '.join(twice)}")

    def priority(self, step: int | str) -> int | None:
        """Return the priority of a step by its own number or label, or None if there is none."""
        if isinstance(step, int):
            return step if 1 <= step <= len(self.steps) else None
        labels = [each.label for each in self.steps]
        return labels.index(step) + 1 if step in labels else None


class Dialplan:
    """All own numbers of a site, in the *context* of its phones.

    Asterisk knows labels in its own files only. So what it reads has priorities in their place.
    """

    def __init__(self, context: str, numbers: Sequence[OwnNumber]) -> None:
        self.context = context
        self.numbers = {own.number: own for own in numbers}

    def rows(self, number: str) -> list[DialplanStep]:
        """Return the rows of an own number.

        Raises:
            Invalid: a label is nowhere, or a step has more text than Asterisk takes.
        """
        return [
            DialplanStep(
                context=self.context, exten=number, priority=priority, app=app, appdata=appdata
            )
            for priority, (_, app, appdata) in enumerate(self._assembled(number), 1)
        ]

    def lines(self, number: str) -> list[str]:
        """Return the same as lines for Asterisk's extensions.conf.

        Raises:
            Invalid: as for :meth:`rows`.
        """
        lines = []
        for priority, (label, app, appdata) in enumerate(self._assembled(number), 1):
            start = f"exten => {number},1" if priority == 1 else " same => n"
            mark = f"({label})" if label else ""
            lines.append(f"{start}{mark},{app}({conf_value(appdata)})")
        return lines

    def find(self, number: str, place: Location) -> OwnNumber | None:
        """Return the own number that *place*, in a step of *number*, is in; None if it is none."""
        if place.context not in {None, self.context} or not isinstance(place.extension, str | None):
            return None
        return self.numbers.get(place.extension or number)

    def _assembled(self, number: str) -> Iterator[tuple[str | None, str, str]]:
        for step in self.numbers[number].steps:
            yield step.label, *assemble(self._resolved(number, step.application))

    def _resolved(self, number: str, application: AsteriskApplication) -> AsteriskApplication:
        def resolve(place: Location) -> Location:
            own = self.find(number, place)
            if own is None:
                if isinstance(place.priority, str) and place.context in {None, self.context}:
                    raise Invalid(
                        f"The label {place.priority} is at no own number.", key="unknown-label"
                    )
                return place
            priority = own.priority(place.priority)
            if priority is None and isinstance(place.priority, str):
                raise Invalid(
                    f"{own.number} has no step with the label {place.priority}.",
                    key="unknown-label",
                )
            return place.model_copy(update={"priority": priority or place.priority})

        return application.moved(resolve)
