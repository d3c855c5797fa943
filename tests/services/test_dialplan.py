"""Own numbers: saved in one transaction with what Asterisk reads, by version, and never twice."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from muru.db.models import DialplanNumber, DialplanVersion
from muru.errors import Conflict, Forbidden, Invalid, MuruError, NotFound
from muru.services import audit, dialplan, extensions
from muru.services.dialplan import Draft
from muru.services.extensions import NewExtension
from muru.services.reconcile import reconcile
from muru.services.site import OPERATOR, Actor, Site
from tests.conftest import configured
from tests.databases import Databases, execute, read_rows

ONE_OF_EACH = ["sqlite", "postgresql", "mariadb", "sqlite+sqlite", "mariadb+postgresql"]

on_one_of_each = pytest.mark.parametrize("databases", ONE_OF_EACH, indirect=True)


def step(app: str, label: str | None = None, **fields: Any) -> dict[str, Any]:
    named = {"label": label} if label else {}
    return {**named, "application": {"app": app, **fields}}


HANGUP = [step("Hangup")]
MENU = [
    step("Answer"),
    step("BackGround", "menu", filenames=["hello-world"]),
    step("WaitExten", seconds=5),
    step("Goto", priority="menu"),
]
TO_MENU = [step("Goto", extension="100", priority="menu")]


async def save(site: Site, number: str, steps: list[dict[str, Any]], **more: Any) -> int:
    """Create an own number, and return its version."""
    draft = Draft(number, steps, **more)
    return (await dialplan.create(site, OPERATOR, draft)).version.version


async def change(site: Site, number: str, steps: list[dict[str, Any]], **more: Any) -> int:
    draft = Draft(number, steps, **more)
    return (await dialplan.change(site, OPERATOR, draft)).version.version


async def create_extension(site: Site, number: str, phone_type: str = "SIP") -> None:
    new = NewExtension(type=phone_type, name="Phone", number=number, owner="owner")
    await extensions.create_extension(site, OPERATOR, new)


async def in_asterisk(databases: Databases, number: str) -> list[str]:
    """Return the steps of a number that Asterisk reads."""
    rows = await read_rows(databases.asterisk, "extensions")
    own = sorted((row for row in rows if row["exten"] == number), key=lambda row: row["priority"])
    assert [row["priority"] for row in own] == list(range(1, len(own) + 1))
    return [f"{row['app']}({row['appdata']})" for row in own]


async def noted(site: Site) -> list[str]:
    """Return what the audit log has of own numbers, the oldest first."""
    entries, _ = await audit.list_entries(site, OPERATOR, search="dialplan.", limit=1000)
    return [f"{each.action} {each.target}" for each in reversed(entries)]


async def test_life_of_an_own_number(any_site: Site, databases: Databases) -> None:
    """Each save is a version, at once in Asterisk's table; older and deleted ones come back."""
    assert await save(any_site, "100", MENU, comment="the first") == 1
    assert await in_asterisk(databases, "100") == [
        *("Answer()", "BackGround(hello-world)", "WaitExten(5)", "Goto(2)"),
    ]

    assert await change(any_site, "100", HANGUP, based_on=1) == 2
    assert await in_asterisk(databases, "100") == ["Hangup()"]
    assert (await dialplan.undo(any_site, OPERATOR, "100", 1)).version.version == 3
    assert len(await in_asterisk(databases, "100")) == 4

    await dialplan.delete_number(any_site, OPERATOR, "100")
    assert await in_asterisk(databases, "100") == []
    assert await read_rows(databases.asterisk, "muru_realtime_rows") == []
    assert await read_rows(databases.own, "muru_numbers") == []
    assert await dialplan.list_numbers(any_site, OPERATOR) == []
    with pytest.raises(NotFound):
        await dialplan.get_number(any_site, OPERATOR, "100")

    assert (await dialplan.undo(any_site, OPERATOR, "100", 2)).version.version == 4
    assert await in_asterisk(databases, "100") == ["Hangup()"]
    versions = await dialplan.list_versions(any_site, OPERATOR, "100")
    assert [(each.version, each.comment, len(each.steps)) for each in versions] == [
        *((4, "As version 2", 1), (3, "As version 1", 4), (2, "", 1), (1, "the first", 4)),
    ]
    assert {each.username for each in versions} == {"operator"}
    assert await noted(any_site) == [
        "dialplan.create 100 version 1: the first",
        "dialplan.change 100 version 2",
        "dialplan.undo 100 version 3: As version 1",
        "dialplan.delete 100",
        "dialplan.undo 100 version 4: As version 2",
    ]


async def test_label_that_moves_in_another_number(any_site: Site, databases: Databases) -> None:
    """Who jumps to a label of another number still comes to that step when it is elsewhere."""
    await save(any_site, "100", MENU)
    await save(any_site, "101", TO_MENU)
    assert await in_asterisk(databases, "101") == ["Goto(100,2)"]

    await change(any_site, "100", [step("Progress"), step("Ringing"), *MENU])

    assert await in_asterisk(databases, "101") == ["Goto(100,4)"]
    assert (await reconcile(any_site, grace=0)).changes == []


async def test_what_others_lead_to_stays(any_site: Site, databases: Databases) -> None:
    """Neither a number nor a label goes that another number jumps to."""
    await save(any_site, "100", MENU)
    await save(any_site, "101", TO_MENU)

    with pytest.raises(Conflict, match="101 step 1") as in_use:
        await dialplan.delete_number(any_site, OPERATOR, "100")
    with pytest.raises(Invalid, match="100 has no step menu") as no_label:
        await change(any_site, "100", HANGUP)

    assert in_use.value.key == "number-in-use"
    assert list(no_label.value.fields) == ["101.steps.0"]
    assert len(await in_asterisk(databases, "100")) == 4
    await dialplan.delete_number(any_site, OPERATOR, "101")
    await dialplan.delete_number(any_site, OPERATOR, "100")


FAULTS = {
    "unknown number": ([step("Answer"), step("Goto", extension="999")], "steps.1"),
    "unknown phone": ([step("Dial", technology_resource=["PJSIP/999"])], "steps.0"),
    "unknown label": ([step("Goto", priority="nowhere")], "steps.0"),
    "unknown context": ([step("Goto", context="x", extension="1")], "steps.0"),
    "loop": ([step("Answer"), step("Goto", priority=1)], "steps.0"),
    "nothing at all": ([], "steps"),
    "refused": ([step("System")], "steps.0.application"),
    "dangerous": (
        [step("Answer"), step("NoOp", text={"expression": "${SHELL(id)}"})],
        "steps.1.application.NoOp.text",
    ),
    "label twice": ([step("Wait", "a", seconds=1), step("Hangup", "a")], "body"),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_refused_steps(site: Site, case: str) -> None:
    """What is wrong is told by its step, and leaves no trace."""
    steps, place = FAULTS[case]

    with pytest.raises(Invalid) as caught:
        await save(site, "100", steps)

    assert any(field.startswith(place) for field in caught.value.fields), caught.value.fields
    assert await dialplan.list_numbers(site, OPERATOR) == []
    assert await noted(site) == []
    with pytest.raises(NotFound):
        await dialplan.list_versions(site, OPERATOR, "100")


async def test_text_longer_than_asterisk_takes(site: Site) -> None:
    """It is refused, and not cut off."""
    long = step("Playback", filenames=["x" * 130, "y" * 130])

    with pytest.raises(Invalid, match="256 bytes") as caught:
        await save(site, "100", [long])

    assert caught.value.key == "application-too-long"


async def test_warnings_are_told_and_saved(site: Site) -> None:
    """A step that nothing leads to, and a caller's text, are somebody's to judge."""
    name = {"expression": "${CALLERID(name)}"}
    steps = [step("ConfBridge", conference=name), step("Hangup"), step("Echo")]

    saved = await dialplan.create(site, OPERATOR, Draft("100", steps))

    assert [(each.fault, each.priority) for each in saved.warnings] == [
        *(("unreachable", 3), ("caller-text", 1)),
    ]


async def test_fault_of_another_number_does_not_hinder(site: Site) -> None:
    """What was wrong with another number before is told by the check, and blocks no one's work."""
    await create_extension(site, "2001")
    await save(site, "100", [step("Goto", extension="2001")])
    await extensions.delete_extension(site, OPERATOR, "2001")

    await save(site, "101", HANGUP)
    await change(site, "101", MENU)

    assert [(each.number, each.fault) for each in await dialplan.check(site, OPERATOR)] == [
        ("100", "unknown-number"),
    ]


@pytest.mark.parametrize(
    "number", ["", "#1", "1#", "**1", "1*", "12 ", "1a", "_X.", "h", "²", "1" * 16, "*", "1\n"]
)
async def test_what_is_no_number(site: Site, number: str) -> None:
    """An own number is what any phone can dial, and matches itself alone."""
    with pytest.raises(Invalid) as caught:
        await save(site, number, HANGUP)
    assert "number" in caught.value.fields


@configured(selftest_number="990", group_join_code="*7")
@pytest.mark.parametrize("number", ["990", "*7", "*71234", "*81", "000123456789012"])
async def test_reserved_numbers(site: Site, number: str) -> None:
    """Nobody takes what Asterisk's files, or phones without an owner, answer to."""
    with pytest.raises(Conflict) as caught:
        await save(site, number, HANGUP)
    assert caught.value.key == "number-reserved"


@pytest.mark.parametrize("number", ["1", "112", "*1", "2001", "1" * 15, "000"])
async def test_numbers(site: Site, number: str) -> None:
    """Short and long ones, with a star, and those that an extension could have."""
    await save(site, number, HANGUP)


@pytest.mark.parametrize("phone_type", ["SIP", "Dummy"])
async def test_number_is_one_things_alone(
    any_site: Site, databases: Databases, phone_type: str
) -> None:
    """An extension's is not taken for an own number, nor the other way, also without an account."""
    await create_extension(any_site, "2001", phone_type)
    await save(any_site, "2002", HANGUP)

    for taking in (save(any_site, "2001", HANGUP), create_extension(any_site, "2002", phone_type)):
        with pytest.raises(Conflict) as caught:
            await taking
        assert caught.value.key == "number-taken"

    await extensions.delete_extension(any_site, OPERATOR, "2001")
    await dialplan.delete_number(any_site, OPERATOR, "2002")
    await save(any_site, "2001", HANGUP)
    await create_extension(any_site, "2002", phone_type)
    assert await in_asterisk(databases, "2001") == ["Hangup()"]
    with pytest.raises(Conflict) as caught:
        await dialplan.undo(any_site, OPERATOR, "2002", 1)
    assert caught.value.key == "number-taken"


@pytest.mark.parametrize("phone_type", ["SIP", "Dummy"])
@on_one_of_each
async def test_number_that_many_want(any_site: Site, databases: Databases, phone_type: str) -> None:
    """Of those who take a number at the same moment one gets it, and the others are told."""
    for number in map(str, range(2001, 2006)):
        done = await asyncio.gather(
            *(save(any_site, number, HANGUP) for _ in range(2)),
            *(create_extension(any_site, number, phone_type) for _ in range(2)),
            return_exceptions=True,
        )

        refused = [each for each in done if each is not None and each != 1]
        assert len(refused) == 3
        assert {each.key for each in refused if isinstance(each, MuruError)} == {"number-taken"}
    taken = await read_rows(databases.own, "muru_numbers")
    owned = [row["number"] for row in await read_rows(databases.own, "muru_extensions")]
    own = [row["number"] for row in await read_rows(databases.own, "muru_dialplan_numbers")]
    assert sorted(row["number"] for row in taken) == sorted(owned + own)
    assert (await reconcile(any_site, grace=0)).changes == []


@on_one_of_each
async def test_own_numbers_that_lead_to_each_other_under_races(any_site: Site) -> None:
    """However saves and deletions meet, nothing leads to what is not there."""
    await save(any_site, "100", MENU)

    for turn in range(5):
        number = str(101 + turn)
        await asyncio.gather(
            save(any_site, number, TO_MENU),
            dialplan.delete_number(any_site, OPERATOR, "100"),
            return_exceptions=True,
        )
        assert await dialplan.check(any_site, OPERATOR) == []
        if not any(
            each.number == "100" for each in await dialplan.list_numbers(any_site, OPERATOR)
        ):
            await save(any_site, "100", MENU)
        else:
            await dialplan.delete_number(any_site, OPERATOR, number)


@on_one_of_each
async def test_two_who_edit_the_same_version(any_site: Site) -> None:
    """One of them is told that the other was first."""
    await save(any_site, "100", HANGUP)

    done = await asyncio.gather(
        *(change(any_site, "100", MENU, based_on=1) for _ in range(2)), return_exceptions=True
    )

    [refusal] = [each for each in done if isinstance(each, Conflict)]
    assert refusal.key == "changed-meanwhile"
    assert 2 in done


async def test_free_numbers_are_no_own_numbers(site: Site) -> None:
    """Who asks for any number does not get one that the operator has."""
    await save(site, "1234", HANGUP)

    async with site.database.read() as session:
        found = await extensions._untaken(site.settings, session, ["1233", "1234"])

    assert found == ["1233"]


async def test_old_versions_go(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are kept of each number."""
    monkeypatch.setattr(dialplan, "MOST_VERSIONS", 3)
    await save(site, "100", HANGUP)
    await save(site, "101", HANGUP)
    for _ in range(4):
        await change(site, "100", MENU)

    versions = await dialplan.list_versions(site, OPERATOR, "100")

    assert [each.version for each in versions] == [5, 4, 3]
    assert len(await dialplan.list_versions(site, OPERATOR, "101")) == 1
    with pytest.raises(NotFound):
        await dialplan.undo(site, OPERATOR, "100", 1)


async def test_steps_in_all_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All own numbers together have no more steps than can be checked at once."""
    monkeypatch.setattr(dialplan, "MOST_STEPS_IN_ALL", 6)
    await save(site, "100", MENU)

    with pytest.raises(Conflict) as caught:
        await save(site, "101", MENU)

    assert caught.value.key == "too-many-steps"
    await save(site, "101", HANGUP)


async def test_preview(site: Site) -> None:
    """A draft is seen as Asterisk would have it, with what is wrong, and is not saved."""
    await save(site, "100", MENU)

    found = await dialplan.preview(site, OPERATOR, Draft("101", [*TO_MENU, *HANGUP]))
    other = await dialplan.preview(site, OPERATOR, Draft("102", [step("Goto", extension="999")]))

    assert found.lines == ["exten => 101,1,Goto(100,2)", " same => n,Hangup()"]
    assert [each.fault for each in found.findings] == ["unreachable"]
    assert [each.fault for each in other.findings] == ["unknown-number"]
    assert [each.number for each in await dialplan.list_numbers(site, OPERATOR)] == ["100"]


async def test_only_administrators(site: Site) -> None:
    """Nobody else reads or changes what runs when a number is dialled."""
    somebody = Actor(1, "owner", is_admin=False)
    draft = Draft("100", HANGUP)
    calls = [
        *(dialplan.list_numbers(site, somebody), dialplan.get_number(site, somebody, "100")),
        *(dialplan.list_versions(site, somebody, "100"), dialplan.create(site, somebody, draft)),
        *(dialplan.change(site, somebody, draft), dialplan.undo(site, somebody, "100", 1)),
        *(dialplan.delete_number(site, somebody, "100"), dialplan.preview(site, somebody, draft)),
        dialplan.check(site, somebody),
    ]
    for call in calls:
        with pytest.raises(Forbidden):
            await call


# --- reconciliation -------------------------------------------------------------------------------


async def test_reconciliation_keeps_and_mends(any_site: Site, databases: Databases) -> None:
    """What is altered, gone or added by hand at an own number is as it was again."""
    await save(any_site, "100", MENU)
    await save(any_site, "101", TO_MENU)
    before = await in_asterisk(databases, "100")
    assert (await reconcile(any_site, grace=0)).changes == []
    await execute(
        databases.asterisk,
        "DELETE FROM extensions WHERE exten = '100' AND priority = 2",
        "UPDATE extensions SET app = 'System', appdata = 'id' WHERE exten = '100' AND priority = 3",
        "INSERT INTO extensions (context, exten, priority, app, appdata)"
        " VALUES ('muru', '100', 5, 'System', 'id')",
    )

    report = await reconcile(any_site, grace=0)

    assert {(each.action, each.row_key) for each in report.changes} == {
        *(("inserted", "muru|100|2"), ("updated", "muru|100|3"), ("deleted", "muru|100|5")),
    }
    assert await in_asterisk(databases, "100") == before


async def test_reconciliation_removes_what_is_left_over(
    any_site: Site, databases: Databases
) -> None:
    """What a crash between two commits left at Asterisk goes, and the number is free."""
    await save(any_site, "100", MENU)
    async with any_site.database.transaction() as transaction:
        await transaction.session.delete(
            (await transaction.session.scalars(select(DialplanNumber))).one()
        )

    report = await reconcile(any_site, grace=0)

    assert {each.action for each in report.changes} == {"deleted"}
    assert await in_asterisk(databases, "100") == []


async def test_number_of_what_was_deleted_by_hand_is_free(site: Site) -> None:
    """SQLite's own console does not do what foreign keys say; reconciliation does it then."""
    await create_extension(site, "2001")
    delete = "DELETE FROM muru_extensions"
    await execute(site.settings.database, "PRAGMA foreign_keys=OFF", delete)

    await reconcile(site, grace=0)

    await create_extension(site, "2001")


async def test_steps_that_are_not_allowed_any_more(site: Site) -> None:
    """They are told, and left as they are; others can be saved, and lead there."""
    await save(site, "100", MENU)
    async with site.database.transaction() as transaction:
        version = await transaction.session.get_one(DialplanVersion, ("100", 1))
        version.steps = [step("AGI", command="x")]

    report = await reconcile(site, grace=0)
    await save(site, "101", [step("Goto", extension="100")])

    assert report.changes == []
    assert "AGI" in report.skipped["100"]
    assert [(each.number, each.fault) for each in await dialplan.check(site, OPERATOR)] == [
        ("100", "outdated"),
    ]
    assert (await dialplan.get_number(site, OPERATOR, "100")).steps == [step("AGI", command="x")]
    await change(site, "100", HANGUP)
    assert await dialplan.check(site, OPERATOR) == []


async def test_row_that_is_not_murus(any_site: Site, databases: Databases) -> None:
    """A step that somebody else has put there is left alone, and said."""
    await execute(
        databases.asterisk,
        "INSERT INTO extensions (context, exten, priority, app, appdata)"
        " VALUES ('muru', '100', 1, 'NoOp', 'mine')",
    )

    with pytest.raises(Conflict, match="did not write"):
        await save(any_site, "100", MENU)

    assert await in_asterisk(databases, "100") == ["NoOp(mine)"]
    assert await dialplan.list_numbers(any_site, OPERATOR) == []
