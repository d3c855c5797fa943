"""Faults of own numbers, found before anybody dials them."""

import pytest

from muru.asterisk.dialplan import DIAL_SIP, flow, media
from muru.asterisk.dialplan.applications import Application, ExecIf
from muru.asterisk.dialplan.checks import Finding, check
from muru.asterisk.dialplan.fields import Expression
from muru.asterisk.dialplan.numbers import MOST_STEPS, OwnNumber, Step
from muru.asterisk.dialplan.places import Location

TRUE = "$[1]"
MISSING = media.Playback(filenames=("missing",))


def number(name: str, *steps: Application | tuple[str, Application]) -> OwnNumber:
    made = (
        Step(label=step[0], application=step[1])
        if isinstance(step, tuple)
        else Step(application=step)
        for step in steps
    )
    return OwnNumber(number=name, steps=tuple(made))


def faults(*numbers: OwnNumber) -> list[tuple[str, int | None, str]]:
    found = check(numbers, context="muru", extensions={"2001", "2002"})
    return [(each.number, each.priority, each.fault) for each in found]


def dial(*targets: str | Expression) -> media.Dial:
    return media.Dial(technology_resource=targets)


def test_nothing_wrong() -> None:
    """Numbers that lead to steps, numbers and phones that are there have no fault."""
    menu = number(
        "100",
        media.Answer(),
        ("menu", media.BackGround(filenames=("hello-world",))),
        flow.WaitExten(seconds=5),
        flow.Gosub(extension="101", arg=("a",)),
        flow.GotoIf(condition=TRUE, labeliftrue=Location(priority="menu")),
        ExecIf(expression=TRUE, appiftrue=flow.Goto(extension="2001")),
        dial("PJSIP/2001", "Local/2002@muru/n", f"Local/2001@{DIAL_SIP}", "PJSIP/trunk"),
        dial(Expression(expression="${X}"), "DAHDI/1"),
        flow.Goto(context=DIAL_SIP, extension="2002"),
    )

    assert faults(menu, number("101", flow.Return())) == []


@pytest.mark.parametrize(
    ("application", "fault"),
    [
        (flow.Goto(priority="nowhere"), "unknown-step"),
        (flow.Goto(priority=9), "unknown-step"),
        (flow.Goto(extension="2001", priority=2), "unknown-step"),
        (flow.Goto(context="muru", extension="100", priority="nowhere"), "unknown-step"),
        (flow.Goto(extension="999"), "unknown-number"),
        (flow.Gosub(extension="999"), "unknown-number"),
        (flow.Goto(context=DIAL_SIP, extension="100"), "unknown-number"),
        (flow.Goto(context="elsewhere", extension="2001"), "unknown-context"),
        (flow.GotoIf(condition=TRUE, labeliffalse=Location(extension="999")), "unknown-number"),
        (
            ExecIf(expression=TRUE, appiftrue=media.Echo(), appiffalse=flow.Goto(extension="9")),
            "unknown-number",
        ),
        (dial("PJSIP/2001", "PJSIP/2003"), "unknown-number"),
        (dial("Local/2003@muru/n"), "unknown-number"),
        (dial("Local/2001"), "unknown-context"),
        (ExecIf(expression=TRUE, appiftrue=dial("PJSIP/2003")), "unknown-number"),
    ],
)
def test_unknown_targets(application: Application, fault: str) -> None:
    """A step that leads nowhere is told, with its place."""
    assert faults(number("100", media.Answer(), application)) == [("100", 2, fault)]


def test_texts() -> None:
    """A finding says what is wrong."""
    (finding,) = check(
        [number("100", flow.Goto(extension="999"))], context="muru", extensions=set()
    )

    text = "999 is neither an own number nor that of a phone."
    assert finding == Finding("100", 1, "unknown-number", text)


def test_numbers_of_others() -> None:
    """A number that is a phone's, or is there twice, is told."""
    echo = media.Echo()

    assert faults(number("2001", echo)) == [("2001", None, "extension-number")]
    assert faults(number("100", echo), number("100", echo)) == [("100", None, "duplicate-number")]


@pytest.mark.parametrize(
    ("steps", "loops"),
    [
        ((media.Answer(), flow.Goto(priority=1)), True),
        ((media.Answer(), MISSING, flow.Goto(priority=2)), True),
        ((media.Answer(), MISSING, flow.Wait(seconds=1), flow.Goto(priority=2)), False),
        ((dial("PJSIP/2001"), flow.Goto(priority=1)), True),
        ((dial("PJSIP/2001"), flow.Goto(extension="2001")), False),
        ((media.Answer(), dial("Local/100@muru/n")), True),
        ((ExecIf(expression=TRUE, appiftrue=dial("Local/100@muru")), media.Echo()), True),
        ((media.Read(variable="X"), flow.Goto(priority=1)), False),
        ((flow.Gosub(priority=1),), True),
        ((flow.GotoIf(condition=TRUE, labeliftrue=Location()), media.Hangup()), True),
        ((ExecIf(expression=TRUE, appiftrue=flow.Goto()), media.Hangup()), True),
    ],
)
def test_loops(steps: tuple[Application, ...], loops: bool) -> None:
    """A circle in which nothing is sure to take time is told; one with a pause is none."""
    found = faults(number("100", *steps))

    assert [fault for _, _, fault in found] == ["loop"] * loops


def test_loop_over_two_numbers() -> None:
    """A circle is found, once, also if it leads through several numbers."""
    found = faults(
        number("100", media.Answer(), flow.Goto(extension="101")),
        number("101", media.Progress(), flow.Goto(extension="100", priority=2)),
    )

    assert found == [("100", 2, "loop")]


def test_unreachable_steps() -> None:
    """A step that nothing leads to is told, unless a jump is known during the call alone."""
    steps = (media.Hangup(), media.Echo(), ("end", media.Echo()))
    jump = flow.Goto(extension=Expression(expression="${X}"), priority="end")

    assert faults(number("100", *steps)) == [("100", 2, "unreachable"), ("100", 3, "unreachable")]
    assert faults(number("100", *steps), number("101", jump)) == [("100", 2, "unreachable")]
    assert faults(
        number("100", *steps), number("101", flow.Goto(extension="100", priority="end"))
    ) == [("100", 2, "unreachable")]


def test_many_steps() -> None:
    """Thousands of steps that all lead to one another are checked at once."""
    goto = flow.GotoIf(condition=TRUE, labeliftrue=Location(extension="0"))
    numbers = [number(str(each), *[goto] * MOST_STEPS) for each in range(20)]

    assert [fault for _, _, fault in faults(*numbers)] == ["loop"]


CALLER = Expression(expression="${CALLERID(name)}")
FILTERED = Expression(expression="x-${FILTER(0-9A-Za-z,${CALLERID(name)})}")
HELD = flow.Set(name="__WHO", value=CALLER)
WHO = Expression(expression="${WHO:1:3}")


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((media.ConfBridge(conference=CALLER),), [1]),
        ((media.ConfBridge(conference=FILTERED),), []),
        ((HELD, media.ConfBridge(conference=WHO)), [2]),
        ((HELD, flow.Set(name="B", value=WHO), dial(Expression(expression="A/${B}"))), [3]),
        ((HELD, flow.NoOp(text=WHO), flow.Verbose(message=CALLER)), []),
        ((flow.Gosub(extension="2001", arg=("a", CALLER)),), [1]),
        ((flow.Goto(extension=CALLER),), [1]),
        ((flow.GotoIf(condition='$["${CALLERID(name)}" = "x"]', labeliftrue=Location()),), [1]),
        ((flow.GotoIf(condition="$[CALLERID(num) = 1]", labeliftrue=Location()),), [1]),
        ((flow.GotoIf(condition="$[${LEN(${A})} = 1]", labeliftrue=Location()),), []),
        ((ExecIf(expression=TRUE, appiftrue=HELD),), [1]),
        (
            (
                ExecIf(
                    expression=TRUE,
                    appiftrue=media.Echo(),
                    appiffalse=media.Dial(
                        technology_resource=(Expression(expression="${PJSIP_HEADER(read,X)}"),)
                    ),
                ),
            ),
            [1],
        ),
    ],
)
def test_text_of_callers(steps: tuple[Application, ...], told: list[int]) -> None:
    """It is told where a caller's name could be more than a name, also by way of a variable."""
    found = faults(number("100", *steps))

    assert [priority for _, priority, fault in found if fault == "caller-text"] == told
