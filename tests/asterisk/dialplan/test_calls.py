"""What Asterisk makes of own numbers: it reads them as they were meant, and does what they say."""

import re
from collections.abc import Sequence

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy.orm import Session

from muru.asterisk.dialplan import flow, media
from muru.asterisk.dialplan.applications import Application, ExecIf, assemble
from muru.asterisk.dialplan.fields import Expression
from muru.asterisk.dialplan.numbers import Dialplan, OwnNumber, Step
from muru.asterisk.dialplan.places import Location
from tests import sip
from tests.asterisk.dialplan.strategies import HOSTILE
from tests.conftest import Stack, StartStack
from tests.databases import SHARED, Databases
from tests.observe import console, create, faults, until

TEXTS = [f"a{piece}b" for piece in HOSTILE] + ["".join(HOSTILE[:21]), "a;--b--;c", 'a, "b", (c']


def number(name: str, *steps: Application | Step) -> OwnNumber:
    made = [step if isinstance(step, Step) else Step(application=step) for step in steps]
    return OwnNumber(number=name, steps=tuple(made))


async def write(stack: Stack, *numbers: OwnNumber) -> None:
    """Writes the rows; not as muru's own, so that no comparison with the extensions minds them."""
    dialplan = Dialplan(stack.settings.asterisk_context, numbers)

    def add(own: Session, asterisk: Session) -> None:
        del own
        for each in numbers:
            asterisk.add_all(dialplan.rows(each.number))

    async with stack.site.database.transaction() as transaction:
        await transaction.run(add)


async def channel(stack: Stack) -> list[str]:
    """What Asterisk tells of the only call: its name, ..., the application at sixth place, ..."""
    shown = await console(stack.asterisk, "core show channels concise")
    return shown.split("!")


async def running(stack: Stack) -> str:
    """The application that the only call is in."""
    return "".join((await channel(stack))[5:6])


async def variables(stack: Stack) -> dict[str, str]:
    """The variables of the only call."""
    name, *_ = await channel(stack)
    shown = await console(stack.asterisk, f"core show channel {name}")
    return dict(re.findall(r"^(\w+)=(.*)$", shown, re.MULTILINE))


def as_text(kind: type[Application], field: str, texts: Sequence[str]) -> list[Application]:
    """The applications with each text that they can carry."""
    found = []
    for text in texts:
        try:
            found.append(kind(**{"name": "X"} if kind is flow.Set else {}, **{field: text}))
        except ValidationError:
            assert "${" in text or "$[" in text, text
    return found


async def test_lines(stack: Stack) -> None:
    """Asterisk reads each line as one step with just that application and text."""
    applications = [
        *as_text(flow.NoOp, "text", TEXTS),
        *as_text(flow.Set, "value", TEXTS),
        *as_text(flow.Verbose, "message", TEXTS),
        *as_text(media.ConfBridge, "conference", TEXTS),
        ExecIf(expression='$[";" = "${X}"]', appiftrue=media.Echo(), appiffalse=media.Hangup()),
    ]
    dialplan = Dialplan("preview", [number("100", *applications)])
    assert len(applications) > 100
    path = stack.settings.data_dir / "asterisk/etc/extensions.conf"
    lines = "\n".join(["[preview]", *dialplan.lines("100")])
    path.write_text(f"{path.read_text()}\n{lines}\n")

    await console(stack.asterisk, "dialplan reload")
    shown = await console(stack.asterisk, "dialplan show preview")

    found = re.findall(r"^ .*?(\d+)\. (\w+)\((.*)\) +\[extensions.conf:\d+\]$", shown, re.MULTILINE)
    assert found == [
        (str(priority), *assemble(application))
        for priority, application in enumerate(applications, 1)
    ]
    assert faults(stack.asterisk_log) == []


@pytest.mark.parametrize("databases", [*SHARED, "sqlite+sqlite"], indirect=True)
async def test_text_stays_text(databases: Databases, start_stack: StartStack) -> None:
    """What a person typed arrives as it is, whatever it looks like; an expression has its value."""
    own, asterisk = map(SecretStr, databases)
    stack = await start_stack(database_url=own, asterisk_database_url=asterisk)
    account = await create(stack.alice, "2001")
    texts = [step.value for step in as_text(flow.Set, "value", TEXTS) if isinstance(step, flow.Set)]
    sets = [flow.Set(name=f"T{n}", value=text) for n, text in enumerate(texts)]
    value = Expression(expression="${NAME}-$[1 + 2]-${CALLERID(num)}")
    conference = 'a,b"(c[d\\e${T0}$[1]&|'
    await write(
        stack,
        number(
            "100",
            media.Answer(),
            *sets,
            flow.Set(name="NAME", value="a (b)"),
            flow.Gosub(extension="101", arg=("a b", value, "", "c")),
            media.ConfBridge(conference=conference),
        ),
        number(
            "101",
            flow.Set(name="PASSED", value=Expression(expression="${ARG1}|${ARG2}|${ARG4}")),
            flow.Return(value="back, again"),
        ),
    )

    async with sip.Phone(stack.sip_server, *account) as phone:
        await phone.dial("100")
        await until(lambda: running(stack), lambda app: app == "ConfBridge")
        found = await variables(stack)
        assert conference in await console(stack.asterisk, "confbridge list")

    assert [found[f"T{n}"] for n in range(len(texts))] == texts
    assert found["PASSED"] == "a b|a (b)-3-2001|c"
    assert found["GOSUB_RETVAL"] == "back, again"
    assert faults(stack.asterisk_log) == []


async def test_branches_of_execif(stack: Stack) -> None:
    """Each branch has its own text, and neither begins in the other."""
    account = await create(stack.alice, "2001")
    texts = ["x,y", "a(b:c)", "?", 'say "a:b"', "[:]", "(:):("]
    steps: list[Application] = []
    for n, text in enumerate(texts):
        for condition in ("$[1]", "$[0]"):
            right, wrong = flow.Set(name=f"X{n}", value=text), flow.Set(name="WRONG", value=text)
            branches = (right, wrong) if condition == "$[1]" else (wrong, right)
            try:
                steps.append(
                    ExecIf(expression=condition, appiftrue=branches[0], appiffalse=branches[1])
                )
            except ValidationError:
                assert text == texts[-1]
    assert len(steps) == 2 * (len(texts) - 1)
    await write(stack, number("100", media.Answer(), *steps, media.Echo()))

    async with sip.Phone(stack.sip_server, *account) as phone:
        await phone.dial("100")
        await until(lambda: running(stack), lambda app: app == "Echo")
        found = await variables(stack)

    assert [found[f"X{n}"] for n in range(len(texts) - 1)] == texts[:-1]
    assert "WRONG" not in found
    assert faults(stack.asterisk_log) == []


async def test_steps(stack: Stack) -> None:
    """Steps do what they say in a call: play, take digits, jump, call a part, decide, echo."""
    account = await create(stack.alice, "2001")
    twice = Expression(expression="${ANSWER}${ANSWER}")
    await write(
        stack,
        number(
            "100",
            flow.GotoIf(
                condition='$["${CALLERID(num)}" = "2001"]', labeliftrue=Location(priority="known")
            ),
            media.Hangup(causecode=21),
            Step(label="known", application=media.Answer()),
            media.Playback(filenames=("demo-congrats",)),
        ),
        number(
            "101",
            media.Read(variable="ANSWER", maxdigits=2, timeout=10),
            media.SayDigits(digits=twice),
            ExecIf(
                expression='$["${ANSWER}" = "42"]',
                appiftrue=flow.Set(name="RIGHT", value="yes (really): yes"),
                appiffalse=flow.Goto(extension="100"),
            ),
            media.Echo(),
            flow.Goto(extension="102"),
        ),
        number("102", media.Hangup()),
    )
    async with sip.Phone(stack.sip_server, *account) as phone:
        await phone.dial("100")
        assert await phone.heard(seconds=0.6) > 0
        await phone.hangup()

        await phone.dial("101")
        await until(lambda: running(stack), lambda app: app == "Read")
        for digit in "42":
            await phone.command("sndcode", digit)
            await phone.command("sndcode", "\x00")  # the key is let go
        await until(lambda: running(stack), lambda app: app == "SayDigits")
        assert await phone.heard(seconds=0.6) > 0
        await until(lambda: running(stack), lambda app: app == "Echo")
        found = await variables(stack)
        assert (found["ANSWER"], found["RIGHT"]) == ("42", "yes (really): yes")
        assert await phone.heard(seconds=0.8) == pytest.approx(440, abs=5)
        await phone.command("sndcode", "#")
        await phone.ended()

    assert (await sip.call(stack.sip_server, *account, "102")).status >= 400
    assert faults(stack.asterisk_log) == []
