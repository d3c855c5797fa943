"""The operator's own numbers as they are stored, and the rows that Asterisk gets of them.

What Asterisk reads of one depends on the others too: where it jumps to a label in another one, its
row has the step that the label stands at now. So whoever writes has locked all of them.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session

from muru.asterisk.dialplan.checks import Finding, check
from muru.asterisk.dialplan.numbers import Dialplan, OwnNumber, Step
from muru.db import realtime
from muru.db.models import DialplanNumber, DialplanVersion
from muru.db.realtime import DialplanStep, RealtimeRow
from muru.errors import Invalid

_STEPS = TypeAdapter(list[Step])


@dataclass(frozen=True, slots=True)
class Stored:
    """All own numbers in the *context* of the phones.

    *outdated* tells why the steps of some cannot be read any more: this version of muru may allow
    less than the one that they were saved by. Their rows at Asterisk stay as they are.
    """

    context: str
    numbers: Mapping[str, OwnNumber]
    outdated: Mapping[str, str] = field(default_factory=dict)

    @property
    def dialplan(self) -> Dialplan:
        return Dialplan(self.context, list(self.numbers.values()))

    def having(self, own: OwnNumber) -> "Stored":
        """Return them with *own* added, or in the place of the one with its number."""
        return replace(self.without(own.number), numbers={**self.numbers, own.number: own})

    def without(self, number: str) -> "Stored":
        return replace(
            self,
            numbers={name: own for name, own in self.numbers.items() if name != number},
            outdated={name: why for name, why in self.outdated.items() if name != number},
        )

    def findings(self, extensions: Collection[str]) -> list[Finding]:
        """Return what is wrong with them; *extensions* are the numbers that are there besides."""
        known = {*extensions, *self.outdated}
        return [
            *check(list(self.numbers.values()), context=self.context, extensions=known),
            *(Finding(number, None, "outdated", why) for number, why in self.outdated.items()),
        ]

    def rows(self) -> tuple[dict[str, list[DialplanStep]], dict[str, str]]:
        """Return the rows of each number, and why others have none."""
        dialplan = self.dialplan
        rows: dict[str, list[DialplanStep]] = {}
        skipped = dict(self.outdated)
        for number in self.numbers:
            try:
                rows[number] = dialplan.rows(number)
            except Invalid as error:
                skipped[number] = error.message
        return rows, skipped


def lock(session: Session) -> None:
    """Let nobody else write own numbers until the transaction ends."""
    session.scalars(select(DialplanNumber.id).order_by(DialplanNumber.id).with_for_update()).all()


def current() -> Select[DialplanVersion]:
    """Return the query for the newest version of each own number."""
    newest = and_(
        DialplanNumber.number == DialplanVersion.number,
        DialplanNumber.version == DialplanVersion.version,
    )
    return select(DialplanVersion).join(DialplanNumber, newest)


def load(session: Session, context: str) -> Stored:
    """Return the own numbers. After :func:`lock` it needs to be a query of its own.

    Whoever waited for the lock would else not see what was added meanwhile.
    """
    numbers: dict[str, OwnNumber] = {}
    outdated: dict[str, str] = {}
    for version in session.scalars(current().order_by(DialplanVersion.number)):
        try:
            numbers[version.number] = _parsed(version.number, json.dumps(version.steps))
        except Invalid as error:
            faults = "; ".join(f"{place}: {fault}" for place, fault in error.fields.items())
            outdated[version.number] = f"These steps are not allowed any more: {faults}."
    return Stored(context, numbers, outdated)


@lru_cache(maxsize=1000)
def _parsed(number: str, steps: str) -> OwnNumber:
    return own_number(number, json.loads(steps))


def own_number(number: str, steps: object) -> OwnNumber:
    """Return an own number from its steps, which may be as JSON has them.

    Raises:
        Invalid: a step does not fit; the fields say which.
    """
    try:
        parsed = _STEPS.validate_python(steps)
    except ValidationError as error:
        raise Invalid.of(error, "steps") from error
    try:
        return OwnNumber(number=number, steps=tuple(parsed))
    except ValidationError as error:
        raise Invalid.of(error) from error


def write(asterisk_session: Session, stored: Stored, number: str) -> None:
    """Write the rows of *number*, none if it is not there, and of those that lead to it.

    Raises:
        Invalid: a step has more text than Asterisk takes.
        Conflict: Asterisk has rows there that are not muru's.
    """
    dialplan = stored.dialplan
    wanted: dict[str, list[RealtimeRow]] = {number: []}
    for own in stored.numbers.values():
        if own.number == number or _leads_to(own, number):
            wanted[own.number] = list(dialplan.rows(own.number))
    for each in sorted(wanted):
        realtime.replace(asterisk_session, each, wanted[each])


def _leads_to(own: OwnNumber, number: str) -> bool:
    return any(place.extension == number for step in own.steps for place in step.application.places)
