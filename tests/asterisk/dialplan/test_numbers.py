"""Own numbers as lines and as rows."""

import re

import pytest
from hypothesis import given
from pydantic import ValidationError

from muru.asterisk.dialplan import DIAL_SIP, flow, media
from muru.asterisk.dialplan.applications import Application, ExecIf, assemble
from muru.asterisk.dialplan.fields import Expression
from muru.asterisk.dialplan.numbers import Dialplan, OwnNumber, Step
from muru.asterisk.dialplan.places import Location
from muru.errors import Invalid
from tests.asterisk.dialplan.strategies import plain
from tests.asterisk.dialplan.test_applications import thorough

MENU = OwnNumber(
    number="100",
    steps=(
        Step(application=media.Answer()),
        Step(label="menu", application=media.BackGround(filenames=("hello-world",))),
        Step(application=flow.WaitExten(seconds=5)),
        Step(
            application=flow.GotoIf(
                condition='$["${X}" = ";"]',
                labeliftrue=Location(extension="101", priority="end"),
                labeliffalse=Location(priority="menu"),
            )
        ),
    ),
)
OTHER = OwnNumber(
    number="101",
    steps=(
        Step(application=flow.Goto(context=DIAL_SIP, extension="2001")),
        Step(label="end", application=media.Hangup()),
    ),
)


def one(*applications: Application) -> Dialplan:
    steps = tuple(Step(application=application) for application in applications)
    return Dialplan("muru", [OwnNumber(number="100", steps=steps)])


def test_lines() -> None:
    """The preview has a line for each step, with labels, and priorities where one jumps to."""
    dialplan = Dialplan("muru", [MENU, OTHER])

    assert dialplan.lines("100") == [
        "exten => 100,1,Answer()",
        " same => n(menu),BackGround(hello-world)",
        " same => n,WaitExten(5)",
        ' same => n,GotoIf($["${X}" = "\\;"]?101,2:2)',
    ]
    assert dialplan.lines("101") == [
        "exten => 101,1,Goto(muru-sip,2001,1)",
        " same => n(end),Hangup()",
    ]


def test_rows() -> None:
    """The rows are what the lines say."""
    rows = Dialplan("muru", [MENU, OTHER]).rows("100")

    assert [(row.context, row.exten, row.priority, row.app, row.appdata) for row in rows] == [
        ("muru", "100", 1, "Answer", ""),
        ("muru", "100", 2, "BackGround", "hello-world"),
        ("muru", "100", 3, "WaitExten", "5"),
        ("muru", "100", 4, "GotoIf", '$["${X}" = ";"]?101,2:2'),
    ]


@thorough
@given(application=plain)
def test_line_is_one_step(application: Application) -> None:
    """Whatever is in it, a step is one line, in which no comment begins."""
    if any(isinstance(place.priority, str) for place in application.places):
        return
    try:
        app, appdata = assemble(application)
    except Invalid:
        return

    (line,) = one(application).lines("100")

    assert line.isprintable()
    assert re.search(r"(?<!\\);", line) is None
    assert line.replace("\\;", ";") == f"exten => 100,1,{app}({appdata})"


@pytest.mark.parametrize(
    "application",
    [
        flow.Goto(priority="nowhere"),
        flow.Goto(extension="2001", priority="nowhere"),
        flow.Gosub(context="muru", extension="100", priority="nowhere"),
        ExecIf(expression="$[1]", appiftrue=flow.Goto(priority="nowhere")),
        flow.Goto(extension=Expression(expression="${X}"), priority="nowhere"),
    ],
)
def test_unknown_label(application: Application) -> None:
    """A label that is nowhere is no row: Asterisk would end the call there."""
    with pytest.raises(Invalid, match="nowhere") as caught:
        one(application).rows("100")
    assert caught.value.key == "unknown-label"


def test_places_elsewhere() -> None:
    """A label in a context of the operator's own files is left to Asterisk."""
    dialplan = one(
        flow.Goto(context="own", extension="s", priority="start"),
        ExecIf(expression="$[1]", appiftrue=flow.Goto(extension=Expression(expression="${X}"))),
    )

    assert [row.appdata for row in dialplan.rows("100")] == ["own,s,start", "$[1]?Goto(${X},1)"]


@pytest.mark.parametrize("number", ["", "_X.", "h", "10 0", "1,2", "²", "1" * 16, "1\n"])
def test_refused_numbers(number: str) -> None:
    """An own number matches itself alone."""
    with pytest.raises(ValidationError, match="number"):
        OwnNumber(number=number, steps=OTHER.steps)


@pytest.mark.parametrize("label", ["", "1", "a b", "a)", "a(", "a,b", "ä", "a\n", "x" * 41])
def test_refused_labels(label: str) -> None:
    """A label is a name, and no priority."""
    with pytest.raises(ValidationError, match="label"):
        Step(label=label, application=media.Echo())


def test_same_label_twice() -> None:
    """A label names one step."""
    step = Step(label="a", application=media.Echo())
    with pytest.raises(ValidationError, match="same label: a"):
        OwnNumber(number="100", steps=(step, step))
