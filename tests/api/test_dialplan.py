"""The editor of own numbers over the API, and what a real Asterisk makes of what it saves."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.applications import NAMES, REFUSED, assemble, parse
from muru.asterisk.dialplan.checks import check
from muru.asterisk.dialplan.numbers import Dialplan, OwnNumber, Step
from muru.errors import Invalid
from tests import sip
from tests.asterisk.dialplan.strategies import PLAIN, plain
from tests.asterisk.dialplan.test_calls import TEXTS, running, variables
from tests.conftest import Api, Stack, World
from tests.databases import read_rows
from tests.observe import console, create, faults, until
from tests.services.test_dialplan import HANGUP, MENU, TO_MENU, step

EACH = [
    ("GET", "", None),
    ("POST", "", {"number": "100", "steps": HANGUP}),
    ("GET", "/applications", None),
    ("GET", "/check", None),
    ("POST", "/preview", {"number": "100", "steps": HANGUP}),
    ("POST", "/try", {"number": "100", "extension": "2001"}),
    ("GET", "/100", None),
    ("PUT", "/100", {"steps": HANGUP}),
    ("DELETE", "/100", None),
    ("GET", "/100/versions", None),
    ("POST", "/100/undo", {"version": 1}),
]


async def save(api: Api, number: str, *steps: Any, **more: Any) -> Any:
    return await api.post("/dialplan", {"number": number, "steps": steps}, **more)


@pytest.mark.parametrize(("method", "path", "body"), EACH)
async def test_all_is_for_administrators(world: World, method: str, path: str, body: Any) -> None:
    """Nobody else sees or changes what runs at Asterisk."""
    await world.nobody.call(method, f"/dialplan{path}", body, status=401)
    await world.alice.call(method, f"/dialplan{path}", body, status=403)


async def test_life_of_an_own_number(world: World) -> None:
    """It is created, seen, changed, undone, deleted, and brought back."""
    body = {"number": "*12", "steps": MENU, "comment": "For visitors"}
    made = await world.root.post("/dialplan", body)
    assert (made["number"], made["version"], made["warnings"]) == ("*12", 1, [])
    assert (made["username"], made["comment"], made["steps"]) == ("root", "For visitors", MENU)
    kept = {name: made[name] for name in made if name != "warnings"}
    assert await world.root.get("/dialplan/*12") == kept
    assert await world.root.get("/dialplan") == [kept]

    changed = await world.root.call("PUT", "/dialplan/*12", {"steps": HANGUP, "based_on": 1})
    assert changed["version"] == 2
    stale = {"steps": MENU, "based_on": 1}
    problem = await world.root.call("PUT", "/dialplan/*12", stale, status=409)
    assert problem["type"].endswith(":changed-meanwhile")

    undone = await world.root.post("/dialplan/*12/undo", {"version": 1})
    assert (undone["version"], undone["steps"]) == (3, MENU)
    await world.root.delete("/dialplan/*12")
    await world.root.get("/dialplan/*12", status=404)
    versions = await world.root.get("/dialplan/*12/versions")
    assert [each["version"] for each in versions] == [3, 2, 1]
    assert (await world.root.post("/dialplan/*12/undo", {"version": 2}))["steps"] == HANGUP
    await world.root.post("/dialplan/*12/undo", {"version": 9}, status=404)
    await world.root.call("PUT", "/dialplan/99", {"steps": HANGUP}, status=404)
    await world.root.delete("/dialplan/99", status=404)


async def test_faults_are_told_by_their_place(world: World) -> None:
    """A form can show each fault at its field, and a step that was refused says why."""
    bodies: list[tuple[Any, str, str]] = [
        ([step("Wait")], "steps.0.application.Wait.seconds", "Field required"),
        ([step("Hangup"), step("System", command="id")], "steps.1.application", "runs programs"),
        ([step("Goto", extension="999")], "steps.0", "999 is neither"),
        ([step("Nonsense")], "steps.0.application", "does not match"),
        (["x"], "steps.0", "valid dictionary"),
        ([], "steps", "at least 1"),
    ]
    for steps, field, message in bodies:
        problem = await save(world.root, "100", *steps, status=422)
        found = {each["field"]: each["message"] for each in problem["errors"]}
        assert message in found[field]
        assert problem["detail"]
    problem = await world.root.post("/dialplan", {"number": "#1", "steps": HANGUP}, status=422)
    assert problem["errors"][0]["field"] == "number"


async def test_number_of_an_extension(world: World) -> None:
    """It is refused as an own number, and the other way."""
    await create(world.alice, "2001")
    await save(world.root, "2002", *HANGUP)

    taken = await save(world.root, "2001", *HANGUP, status=409)
    also = await world.alice.post(
        "/extensions", {"type": "SIP", "name": "Mine", "number": "2002"}, status=409
    )

    assert taken["type"] == also["type"] == "urn:muru:problem:number-taken"


async def test_preview_and_check(world: World) -> None:
    """What a draft would be, and what is wrong with all there is."""
    await save(world.root, "100", *MENU)
    draft = {"number": "101", "steps": [*TO_MENU, *HANGUP]}

    seen = await world.root.post("/dialplan/preview", draft)

    assert seen["lines"] == ["exten => 101,1,Goto(100,2)", " same => n,Hangup()"]
    [warning] = seen["findings"]
    assert (warning["number"], warning["step"], warning["fault"], warning["is_warning"]) == (
        *("101", 2, "unreachable", True),
    )
    saved = await save(world.root, "101", *draft["steps"])
    assert saved["warnings"] == [warning]
    assert await world.root.get("/dialplan/check") == [warning]


async def test_forms(world: World) -> None:
    """Each application has a text and titled fields; those that are refused have a reason."""
    found = await world.root.get("/dialplan/applications")

    assert set(found["applications"]) == set(NAMES)
    assert all(text.endswith(".") for text in found["applications"].values())
    assert found["refused"] == REFUSED
    definitions = found["step"]["$defs"]
    for name in NAMES:
        fields = definitions[name]["properties"]
        assert fields["app"]["const"] == name
        assert all(field["title"] for field in fields.values())
    assert "class" in definitions["MusicOnHold"]["properties"]


# --- with Asterisk --------------------------------------------------------------------------------


def is_harmless(application: AsteriskApplication) -> bool:
    """Tell whether it may be saved whatever else is there."""
    own = OwnNumber(number="1", steps=(Step(application=application),))
    if application.places or check([own], context="muru", extensions=()):
        return False
    try:
        assemble(application)
    except Invalid:
        return False
    return True


def generated() -> Iterator[OwnNumber]:
    """Yield own numbers with any steps, which jump to each other by labels."""
    found: list[list[AsteriskApplication]] = []

    @settings(
        max_examples=120,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.lists(plain.filter(is_harmless), min_size=1, max_size=5))
    def draw(applications: list[AsteriskApplication]) -> None:
        found.append(applications)

    draw()
    for index, applications in enumerate(found[-100:]):
        steps = [Step(application=each) for each in applications]
        steps.append(Step(label="end", application=parse("Wait", "1")))
        if index:
            steps.append(Step(application=parse("Goto", f"{99 + index},end")))
        yield OwnNumber(number=str(100 + index), steps=tuple(steps))


async def test_hundred_own_numbers_are_what_asterisk_reads(stack: Stack) -> None:
    """Whatever was saved, ``dialplan show`` and the table have just that, and it reads back."""
    own = list(generated())
    assert len(own) == 100
    assert len({step.application.app for each in own for step in each.steps}) > len(PLAIN) // 2
    lines = ["[preview]"]
    for each in own:
        steps = each.model_dump(mode="json", by_alias=True)["steps"]
        seen = await stack.root.post("/dialplan/preview", {"number": each.number, "steps": steps})
        lines += seen["lines"]
        saved = await save(stack.root, each.number, *steps)
        assert OwnNumber(number=each.number, steps=saved["steps"]) == each
    path = stack.settings.data_dir / "asterisk/etc/extensions.conf"
    path.write_text("\n".join([path.read_text(), *lines, ""]))

    await console(stack.asterisk, "dialplan reload")
    shown = await console(stack.asterisk, "dialplan show preview")

    found = re.findall(
        r"^ (?:\s*'(\d+)' =>)?.*?(\d+)\. (\w+)\((.*)\) +\[extensions.conf:\d+\]$",
        shown,
        re.MULTILINE,
    )
    read: dict[str, list[tuple[str, str]]] = {}
    number = ""
    for start, priority, app, appdata in found:
        number = start or number
        read.setdefault(number, []).append((app, appdata))
        assert int(priority) == len(read[number])
    dialplan = Dialplan("muru", own)
    rows = await read_rows(stack.settings.asterisk_database, "extensions")
    table = {(row["exten"], row["priority"]): (row["app"], row["appdata"]) for row in rows}
    for each in own:
        wanted = [(row.app, row.appdata) for row in dialplan.rows(each.number)]
        assert read[each.number] == wanted
        assert [table[each.number, n] for n in range(1, len(wanted) + 1)] == wanted
        for step_, (app, appdata) in zip(each.steps, wanted, strict=True):
            if not step_.application.places:
                assert parse(app, appdata) == step_.application
    assert faults(stack.asterisk_log) == []


async def test_hostile_texts_stay_data(stack: Stack) -> None:
    """A text that looks like more of the dialplan is a text in the call, and runs nothing."""
    account = await create(stack.alice, "2001")
    texts = [text for text in TEXTS if "${" not in text and "$[" not in text]
    sets = [step("Set", name=f"T{n}", value=text) for n, text in enumerate(texts)]
    await save(stack.root, "100", step("Answer"), *sets, step("Echo"))

    async with sip.Phone(stack.sip_server, *account) as phone:
        await phone.dial("100")
        await until(lambda: running(stack), lambda app: app == "Echo")
        found = await variables(stack)

    assert [found[f"T{n}"] for n in range(len(texts))] == texts
    assert faults(stack.asterisk_log) == []


async def trace(stack: Stack) -> list[str]:
    """Return the steps that Asterisk has done since ``core set verbose 3``, as number and name."""
    text = (stack.settings.data_dir / "asterisk/log/trace").read_text()
    return [
        f"{number} {app}" for number, app in re.findall(r"Executing \[(.*?)@.*?\] (\w+)\(", text)
    ]


async def test_each_application_in_a_call(stack: Stack) -> None:
    """Asterisk knows and does each of them, and goes on with what comes next."""
    account = await create(stack.alice, "2001")
    await console(stack.asterisk, "logger add channel trace verbose(3)")
    await console(stack.asterisk, "core set verbose 3")
    await save(stack.root, "101", step("NoOp", text="a part"), step("Return"))
    await save(stack.root, "102", step("Busy"))
    await save(stack.root, "103", step("Congestion"))
    await save(stack.root, "104", step("Echo"))
    await save(
        stack.root,
        "100",
        *(step("Progress"), step("Ringing"), step("Answer"), step("Verbose", message="hello")),
        step("Playback", filenames=["beep"]),
        step("BackGround", filenames=["beep"]),
        *(step("SayDigits", digits="1"), step("SayNumber", digits=2)),
        step("SayUnixTime", unixtime=0, timezone="UTC", format="M"),
        step("Gosub", extension="101"),
        step("GotoIf", condition="$[1]", labeliftrue={"priority": "on"}),
        step("Hangup"),
        step(
            "ExecIf", "on", expression="$[1]", appiftrue={"app": "Set", "name": "X", "value": "1"}
        ),
        *(step("Set", name="Y", value="2"), step("Wait", seconds=0.1)),
        step("Read", variable="Z", maxdigits=1, attempts=1, timeout=0.1),
        step("Dial", technology_resource=["Local/102@muru"]),
        step("Dial", technology_resource=["Local/103@muru"]),
        step("MusicOnHold", duration=1),
        step("Record", filename={"expression": "${ASTSPOOLDIR}/told"}, maxduration=1, options="q"),
        step("Queue", queuename="nobody"),
        step("VoiceMail", mailbox=["2999"]),
        step("Goto", extension="104"),
    )
    await save(stack.root, "105", step("ConfBridge", conference="a room"))
    await save(stack.root, "106", step("Answer"), step("WaitExten", seconds=0.1))
    await save(stack.root, "107", step("Hangup", causecode=21))

    async with sip.Phone(stack.sip_server, *account) as phone:
        await phone.dial("100")
        await until(lambda: running(stack), lambda app: app == "Echo")
        found = await variables(stack)
        await phone.hangup()
        await phone.dial("105")
        await until(lambda: running(stack), lambda app: app == "ConfBridge")
        await phone.hangup()
        await phone.dial("106")
        await phone.ended()
    assert (await sip.call(stack.sip_server, *account, "107")).status == 403
    told = stack.settings.data_dir / "asterisk/spool/told.wav"
    assert told.stat().st_size > 8_000

    assert (found["X"], found["Y"], found["DIALSTATUS"]) == ("1", "2", "CONGESTION")
    assert (found["READSTATUS"], found["VMSTATUS"]) == ("TIMEOUT", "FAILED")
    done = await trace(stack)
    assert {each.split()[1] for each in done} >= set(NAMES)
    assert [each for each in done if each.startswith("101")] == ["101 NoOp", "101 Return"]


async def test_try(stack: Stack) -> None:
    """One's own phone rings, and who answers it hears the own number, with the own number shown."""
    account = await create(stack.root, "2001")
    name = {"expression": "${CALLERID(num)}"}
    await save(stack.root, "*100", step("Set", name="WHO", value=name), step("Echo"))
    body = {"number": "*100", "extension": "2001"}
    problem = await stack.root.post("/dialplan/try", body, status=404)
    assert "registered" in problem["detail"]

    async with sip.Phone(stack.sip_server, *account) as phone:
        tried = await stack.root.post("/dialplan/try", body)
        await phone.answer()
        await until(lambda: running(stack), lambda app: app == "Echo")
        assert (await variables(stack))["WHO"] == "2001"
        assert await phone.heard(seconds=0.8) == pytest.approx(440, abs=5)
        await phone.hangup()

    assert tried["contact"].startswith("sip:2001")
    await stack.root.post("/dialplan/try", {**body, "number": "99"}, status=404)
    page = await stack.root.get("/audit", params={"search": "dialplan.try"})
    assert [(each["target"], each["outcome"]) for each in page["items"]] == [("*100 on 2001", "")]
