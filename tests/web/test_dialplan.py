"""The editor of own numbers: with and without scripts, for each application there is."""

import pytest
from playwright.async_api import expect

from muru.asterisk.dialplan.numbers import Step
from muru.web.forms import Form
from muru.web.operator import steps
from tests.conftest import World
from tests.services.test_dialplan import HANGUP, MENU, step
from tests.web.conftest import PHONE, OpenWindow, Visitor

NEW = "/operator/dialplan/new"
EACH = [
    step("Playback", "hello", filenames=["hello-world", {"expression": "sound-${N}"}]),
    step("Goto", extension="200", priority="hello"),
    step("GotoIf", condition="$[1]", labeliftrue={"priority": 2}),
    step("Gosub", extension="200", priority=1, arg=["a b", {"expression": "${EXTEN}"}]),
    step("Wait", seconds=0.5),
    step("Wait", seconds={"expression": "${N}"}),
    step("Record", filename="note-%d", format="gsm", maxduration=10),
    {"application": {"app": "MusicOnHold", "class": "default", "duration": 5}},
    step("ConfBridge", conference="a ${b} c"),
    step("Verbose", level=3, message={"expression": "${EXTEN}"}),
    step(
        "ExecIf", expression="$[1]", appiftrue={"app": "Dial", "technology_resource": ["PJSIP/1"]}
    ),
    step("SayNumber", digits=-7, gender="f"),
]


@pytest.mark.parametrize("given", EACH, ids=lambda given: str(given["application"]["app"]))
def test_form_brings_steps_back(given: dict[str, object]) -> None:
    """What is shown of a step, sent as it is, is the same step: text, expressions and numbers."""
    form = Form()
    steps.fill(form, [given])

    assert [Step.model_validate(each) for each in steps.read(form)] == [Step.model_validate(given)]


async def test_number_is_made_without_scripts(world: World, visitor: Visitor) -> None:
    """Steps are added, chosen, moved and removed by buttons; what is wrong is told at the step."""
    await visitor.log_in("root")
    first = "steps.0.application"
    typed = {"number": "100", f"{first}.app": "Wait", f"{first}.seconds": "soon"}

    page = await visitor.submit(NEW, NEW, **typed, do="add")
    assert 'id="field-steps.1.application.app"' in page.text
    assert 'value="soon"' in page.text

    page = await visitor.submit(NEW, NEW, **typed, do="save")
    assert (page.status, page.path) == (422, NEW)
    assert 'id="fault-steps.0.application.seconds"' in page.text

    moved = {**typed, f"{first}.seconds": "2", "steps.1.application.app": "Hangup"}
    page = await visitor.submit(NEW, NEW, **moved, do="up.1")
    assert "exten => 100,1,Hangup() same => n,Wait(2)" in page.seen.replace("&gt;", ">")

    page = await visitor.submit(NEW, NEW, **moved, do="remove.0")
    assert "Wait(2)" not in page.seen

    page = await visitor.submit(NEW, NEW, **moved, do="save", comment="Good bye")
    assert page.path == "/operator/dialplan/100"
    saved = await world.root.get("/dialplan/100")
    assert saved["steps"] == [step("Wait", seconds=2.0), *HANGUP]
    assert saved["comment"] == "Good bye"


async def test_findings_are_at_their_steps(world: World, visitor: Visitor) -> None:
    """A circle is refused and a step that nothing leads to is doubted, each where it is."""
    await world.root.post("/dialplan", {"number": "100", "steps": MENU}, status=201)
    await visitor.log_in("root")
    here = "/operator/dialplan/100"
    apps = ("Answer", "Hangup", "Busy", "Hangup")
    doubtful = {f"steps.{index}.application.app": app for index, app in enumerate(apps)}

    page = await visitor.submit(here, here, **doubtful, do="preview")
    found = page.text.partition('id="found-2"')[2].partition("</li>")[0]
    assert "doubt" in found

    circle = {**doubtful, "steps.0.application.app": "Goto", "steps.0.application.priority": "1"}
    page = await visitor.submit(here, here, **circle, do="save")
    assert page.status == 422
    assert "fault" in page.text.partition('id="found-0"')[2].partition("</div>")[0]


async def test_versions_are_undone_and_numbers_come_back(world: World, visitor: Visitor) -> None:
    """An older version is used again, also once the number is deleted; who edited one is told."""
    await world.root.post("/dialplan", {"number": "*5", "steps": MENU}, status=201)
    await visitor.log_in("root")
    here = "/operator/dialplan/*5"
    typed = {f"steps.{index}.application.app": "Hangup" for index in range(len(MENU))}
    old = (await visitor.get(here)).form(here)
    await world.root.call("PUT", "/dialplan/*5", {"steps": HANGUP})

    page = await visitor.request("POST", here, data={**old, **typed, "do": "save"})
    assert (page.status, "Somebody else has changed *5 meanwhile" in page.seen) == (409, True)

    assert (await visitor.submit(here, f"{here}/delete")).path == "/operator/dialplan"
    page = await visitor.get(here)
    assert "This number is deleted." in page.seen
    token = page.form(f"{here}/undo")["csrf_token"]
    await visitor.request("POST", f"{here}/undo", data={"csrf_token": token, "version": "1"})
    assert (await world.root.get("/dialplan/*5"))["steps"] == MENU


async def test_nobody_can_try_it_without_a_phone(world: World, visitor: Visitor) -> None:
    """Without a registered phone it says so, and whoever asks all the same is told."""
    await world.root.post("/dialplan", {"number": "100", "steps": HANGUP}, status=201)
    await world.root.post("/extensions", {"type": "SIP", "name": "Mine", "number": "2001"})
    await visitor.log_in("root")
    page = await visitor.get("/operator/dialplan/100")
    assert "None of your phones is registered." in page.seen

    token = page.form("/operator/dialplan/100/delete")["csrf_token"]
    page = await visitor.request(
        "POST",
        "/operator/dialplan/100/try",
        data={"csrf_token": token, "extension": "2001"},
    )
    assert "flash" in page.text
    assert "rings: answer it." not in page.seen


async def test_editor_follows(world: World, open_window: OpenWindow) -> None:
    """The preview follows what is typed; steps come and move in place, and keep what is in them."""
    window = await open_window(PHONE, user="root")
    page = window.page
    await window.open(NEW)
    await page.fill('[name="number"]', "100")
    await expect(page.locator("#preview pre")).to_have_text("exten => 100,1,Answer()")

    await page.get_by_role("button", name="Add a step", exact=True).click()
    chooser = page.locator('[name="steps.1.application.app"]')
    await expect(chooser).to_be_focused()
    await chooser.select_option("Wait")
    await page.fill('[name="steps.1.application.seconds"]', "3")
    await expect(page.locator("#line-1")).to_have_text("Wait(3)")
    await page.get_by_role("button", name="Move step 2 up").click()
    await expect(page.locator("#line-0")).to_have_text("Wait(3)")
    await page.get_by_role("button", name="Remove step 2").click()
    await expect(page.locator(".plan-step")).to_have_count(1)
    await window.check()

    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/operator/dialplan/100")
    assert (await world.root.get("/dialplan/100"))["steps"] == [step("Wait", seconds=3.0)]
