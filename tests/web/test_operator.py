"""The operator's pages: who may see them, what they show, and what is done there."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, expect

from muru.db.models import RegistrationEvent, now
from muru.keys import REGISTRATIONS, SITE
from muru.provisioning import qr
from muru.services.overview import Curve
from muru.web import operator
from muru.web.operator.overview import chart
from tests import sip
from tests.conftest import PASSWORD, Stack, World, configured
from tests.observe import create
from tests.web.conftest import DESK, PHONE, Answer, Visitor, windows
from tests.web.pages import FLAVORS

ROUTES = [route for module in operator.MODULES for route in module.pages.routes]
IMPORT = "/operator/extensions/import"


@pytest.fixture
async def admin(visitor: Visitor) -> Visitor:
    """An administrator without scripts."""
    await visitor.log_in("root")
    return visitor


async def test_pages_are_for_administrators(world: World, visitor: Visitor) -> None:
    """Whoever is none is refused by each page and each action, and sees no way there."""
    del world
    assert (await visitor.get("/operator")).path == "/login?next=/operator"
    account = await visitor.log_in()
    token = (await visitor.get("/account")).form("/account/password")["csrf_token"]

    assert "/operator" not in account.text
    for route in ROUTES:
        parts = ["2001" if part.startswith("{") else part for part in route.path.split("/")]
        data = {"csrf_token": token} if route.method == "POST" else None
        answer = await visitor.request(route.method, "/".join(parts), data=data)
        assert answer.status == 403, route.path
    assert len(ROUTES) > 20


async def test_overview_tells_what_is_wrong(world: World, admin: Visitor) -> None:
    """Phones that went, phones that flap, and an Asterisk that is away are seen at one glance."""
    await world.alice.post("/extensions", {"type": "SIP", "name": "A", "number": "2001"})
    event = {"uri": "sip:x", "address": "192.0.2.7:5060", "previous": None, "user_agent": None}
    async with world.site.transaction() as transaction:
        for number, kind, count in (("2001", "went", 1), ("2002", "flapped", 7)):
            transaction.session.add(
                RegistrationEvent(at=now(), extension=number, kind=kind, count=count, **event)
            )

    page = await admin.get("/operator")

    assert "Asterisk is not connected." in page.seen
    assert "0 phones registered" in page.seen
    assert "192.0.2.7:5060" in page.seen
    assert "2002 7 times" in page.seen
    assert "sip 0 of 1" in page.seen


def test_curve_keeps_a_day() -> None:
    """The chart's line goes from its begin to now, within its box, whatever came in between."""
    end = datetime(2026, 12, 27, 13, 37, tzinfo=UTC)
    points = [(end - timedelta(hours=2), 0), (end - timedelta(hours=1), 30)]
    drawn = chart(points, end)

    assert drawn.highest == 40
    assert drawn.line == "0,140 300,140 300,35 600,35"
    assert chart([(end, 0)], end).line == "0,140 600,140"
    assert Curve().points()[-1][1] == 0


@configured(enabled_phone_flavors=FLAVORS)
async def test_extensions_are_found(world: World, admin: Visitor) -> None:
    """Search, flavor, owner and state narrow the list together; an export has the same."""
    await world.alice.post("/extensions", {"type": "SIP", "name": "Kitchen", "number": "2001"})
    await world.alice.post("/extensions", {"type": "Linphone", "name": "Anna", "number": "2002"})
    await world.root.post("/extensions", {"type": "SIP", "name": "Info", "number": "2003"})

    async def numbers(query: str) -> list[str]:
        answer = await admin.get(f"/operator/extensions{query}")
        listed = re.findall(r'href="/phones/(\d+)"', answer.text)
        exported = (await admin.get(f"/operator/extensions.csv{query}")).text
        assert re.findall(r"^(\d+),", exported, re.MULTILINE) == listed
        return listed

    assert await numbers("") == ["2001", "2002", "2003"]
    assert await numbers("?search=kitch") == ["2001"]
    assert await numbers("?search=root") == ["2003"]
    assert await numbers("?flavor=softphone") == ["2002"]
    assert await numbers("?flavor=sip&owner=alice") == ["2001"]
    assert await numbers("?state=registered") == []
    assert await numbers("?state=missing&search=200&offset=x") == ["2001", "2002", "2003"]


@configured(enabled_phone_flavors=FLAVORS)
async def test_many_phones_are_told_to_fetch(world: World, admin: Visitor) -> None:
    """The phones of the ticked ones, or of all that were found, are told, and it is noted."""
    for digit in "12":
        body = {"type": "Snom D785", "name": "A", "number": f"400{digit}"}
        extra = {"extra_fields": {"mac": f"0004137f000{digit}"}}
        await world.alice.post("/extensions", body | extra)
    told: list[int] = []
    world.app[SITE].on_changed_devices(told.extend)
    action, page = "/operator/extensions/resync", "/operator/extensions"

    answer = await admin.submit(page, action, which="ticked", number="4001")
    assert (len(told), "1 phone is told" in answer.seen) == (1, True)
    answer = await admin.submit(page, action, which="all")
    assert (len(told), "2 phones are told" in answer.seen) == (3, True)
    assert "Tick some" in (await admin.submit(page, action, which="ticked")).seen
    assert "extension.resync" in (await admin.get("/operator/audit")).seen


async def upload(admin: Visitor, text: str, step: str = "check", mode: str = "all") -> Answer:
    return await admin.submit(IMPORT, IMPORT, text=text, step=step, mode=mode)


def faults(answer: Answer) -> list[tuple[int, str]]:
    """Return the lines that are told to be wrong, and the columns."""
    rows = re.findall(r"<th scope=\"row\">Line (\d+)</th>(.*?)</tr>", answer.text, re.DOTALL)
    return [(int(line), "".join(re.findall("<code>(.*?)</code>", row))) for line, row in rows]


async def count(world: World) -> int:
    return int((await world.root.get("/extensions"))["total"])


WRONG = """number,name,type,owner,public,extra_fields
2001,Fine,SIP,alice,yes,
20,Short,SIP,alice,,
2000,Taken,SIP,alice,,
2001,Twice,SIP,alice,,
,No type,Nonsense,alice,,
,,SIP,alice,,
,Nobody,SIP,nobody,,
,Public,SIP,alice,maybe,
,Extra,SIP,alice,,{nonsense
,Fields,SIP,alice,,"{""x"": 1}"
,Many,SIP,alice,,,,
"""


async def test_each_fault_of_a_table_is_told_by_its_line(world: World, admin: Visitor) -> None:
    """Before anything is created each fault of all lines is told, with its column."""
    await world.alice.post("/extensions", {"type": "SIP", "name": "There", "number": "2000"})

    for step in ("check", "import"):
        answer = await upload(admin, WRONG, step)
        assert answer.status == 422
        assert faults(answer) == [
            *((3, "number"), (4, "number"), (5, "number"), (6, "type"), (7, "name")),
            *((8, "owner"), (9, "public"), (10, "extra_fields"), (11, "extra_fields.x"), (12, "")),
        ]
        assert "the number 2001 is in line 2 already" in answer.seen
        assert "2001,Fine" in answer.text  # nothing that was typed is lost
        assert await count(world) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "this column is missing"),
        ("number,name\n2001,A", "this column is missing"),
        ("name,type,colour\nA,SIP,red", "no such column"),
        ("name,type,name\nA,SIP,B", "more than once"),
        ("name,type\n", "there is no line"),
        ('name,type\n"A,SIP', "this is no table"),
        ("name,type\n" + "A,SIP\n" * 2001, "2000 lines at most"),
        ("\ufeff\n\nname;type\nA;Nonsense", "choose one of"),
    ],
)
async def test_what_is_no_table_is_refused(
    world: World, admin: Visitor, text: str, fault: str
) -> None:
    """Whatever is sent in place of a table gets an answer that says what is wrong."""
    answer = await upload(admin, text, "import")

    assert (answer.status, await count(world)) == (422, 0)
    assert fault in answer.seen


async def test_table_is_imported(world: World, admin: Visitor) -> None:
    """A good table is shown first, then created; what was exported can be imported again."""
    table = "number;name;type;owner;public\n2001;=1+2;SIP;alice;yes\n;Kitchen;SIP;;no\n"
    checked = await upload(admin, table)
    assert "2 lines, and nothing wrong" in checked.seen
    assert await count(world) == 0

    assert "2 extensions created." in (await upload(admin, table, "import")).seen
    exported = (await admin.get("/operator/extensions.csv")).text
    assert "2001,'=1+2,SIP,alice,yes," in exported  # no spreadsheet computes it
    for each in (await world.root.get("/extensions"))["items"]:
        await world.root.delete(f"/extensions/{each['number']}")
    assert "2 extensions created." in (await upload(admin, exported, "import")).seen
    assert (await world.root.get("/extensions/2001"))["name"] == "=1+2"


async def test_lines_that_are_wrong_are_left_out_on_demand(world: World, admin: Visitor) -> None:
    """Whoever wants so gets the good lines created, and is told of the others."""
    answer = await upload(admin, WRONG.replace("2000,", "2009,"), "import", "some")

    assert "2 extensions created; the lines below were left out." in answer.seen
    assert (answer.status, await count(world)) == (422, 2)


async def test_refusal_of_a_hook_takes_all_back(world: World, admin: Visitor) -> None:
    """What only a flavor's hook refuses undoes the whole import, unless that is not wanted."""
    flavor = world.site.registry.require_type("SIP")

    def refuse(session: object, asterisk: object, user: object, extension: object) -> None:
        if getattr(extension, "name", "") == "Bad":
            raise ValueError("not this one")

    flavor.on_extension_create = refuse  # type: ignore[method-assign,assignment]
    table = "number,name,type\n2001,Good,SIP\n2002,Bad,SIP\n2003,Good,SIP\n"

    answer = await upload(admin, table, "import")
    assert "Nothing was imported" in answer.seen
    assert (faults(answer), await count(world)) == ([(3, "")], 0)
    answer = await upload(admin, table, "import", "some")
    assert (faults(answer), await count(world)) == ([(3, "")], 2)


async def test_accounts_are_managed(world: World, admin: Visitor) -> None:
    """An administrator creates an account, changes its role and password, and deletes it."""
    page = "/operator/users"
    wrong = await admin.submit(page, page, username="alice", password="x", role="admin")
    assert "8 characters" in wrong.seen
    one = await admin.submit(page, page, username="bob", password=PASSWORD, role="user")
    assert one.path == "/operator/users/bob"

    await admin.submit(one.path, f"{one.path}/role", role="admin")
    assert (await world.root.get("/users/bob"))["role"] == "admin"
    await admin.submit(one.path, f"{one.path}/password", password="another password")
    await world.nobody.log_in("bob", "another password")
    await admin.submit(one.path, f"{one.path}/delete")
    await world.root.get("/users/bob", status=404)
    assert (await admin.get("/operator/users/bob")).status == 404
    assert "This is you" in (await admin.get("/operator/users/root")).seen


async def test_invites_become_cards(world: World, admin: Visitor) -> None:
    """Invites are made many at once, printed with a QR code to register by, and taken back."""
    page = "/operator/invites"
    for fields in ({"count": "0"}, {"max_uses": "x"}, {"expires": "2020-01-01"}, {"expires": "x"}):
        assert (await admin.submit(page, page, **fields)).status == 422
    await admin.submit(page, page, count="3", max_uses="", expires="2999-12-31", note="<b>crew")

    invites = await world.root.get("/invites")
    assert [each["max_uses"] for each in invites] == [None] * 3
    cards = await admin.get("/operator/invites/cards?note=%3Cb%3Ecrew")
    for invite in invites:
        url = admin.base.join(cards.url.with_path("/register")).with_query(invite=invite["code"])
        assert qr.svg(str(url)) in cards.text
    await admin.submit(page, "/operator/invites/delete", code=invites[0]["code"])
    assert len(await world.root.get("/invites")) == 2


async def test_settings_are_shown_without_secrets(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting is told with its value and where that is from, and no secret at all."""
    monkeypatch.setenv("MURU_AMI_PORT", "1")
    page = await admin.get("/operator/settings")

    assert "ami secret" not in page.text
    assert "MURU_AMI_SECRET set, not shown command line" in page.seen
    assert "MURU_WIFI_PASSWORD not set default" in page.seen
    assert re.search(r"MURU_AMI_PORT \d+ environment", page.seen)
    assert "MURU_SITE_NAME" not in (await admin.get("/operator/settings?search=ami_")).seen


@configured(enabled_phone_flavors=FLAVORS)
async def test_device_is_opened_again(world: World, admin: Visitor) -> None:
    """A phone that had its configuration can have it once more; one that is none is not found."""
    extra = {"mac": "0004137f0001"}
    body = {"type": "Snom D785", "name": "A", "number": "4001", "extra_fields": extra}
    await world.alice.post("/extensions", body)
    page = "/operator/devices"
    assert "Re-open" not in (await admin.get(page)).seen
    async with admin.session.get(admin.base.with_path("/telephoning/snom/0004137f0001.xml")) as got:
        assert got.status == 200

    answer = await admin.submit(page, "/operator/devices/reopen", mac=extra["mac"])
    assert "once more" in answer.seen
    assert (await world.root.get("/devices"))["items"][0]["open"]
    assert "00:04:13:7f:00:01" in (await admin.get(f"{page}?search=0004.137F.0001")).seen
    assert "No device fits" in (await admin.get(f"{page}?search=nonsense")).seen


async def test_call_is_seen_and_hung_up(browser: Browser, stack: Stack) -> None:
    """An operator sees phones register without a reload, then their call, and ends it."""
    async with windows(browser, stack) as open_one:
        overview = await open_one(PHONE, user="root")
        await overview.open("/operator")
        await expect(overview.page.locator(".figure").first).to_have_text("0")
        anna, ben = await create(stack.alice, "2001"), await create(stack.alice, "2002")
        async with (
            sip.Phone(stack.sip_server, *anna) as caller,
            sip.Phone(stack.sip_server, *ben, auto_answer=True),
        ):
            await expect(overview.page.locator(".figure").first).to_have_text("2")
            assert len(stack.app[REGISTRATIONS].contacts()) == 2
            await overview.check(accessible=False)

            calls = await open_one(DESK, user="root")
            await calls.open("/operator/calls")
            await caller.dial("2002")
            await expect(calls.page.get_by_text("1 call", exact=True)).to_be_visible()
            await calls.check()
            await calls.page.get_by_role("button", name="Hang up").first.click()
            await expect(calls.page.get_by_text("Hung up.")).to_be_visible()
            await expect(calls.page.get_by_text("Nobody is on the phone")).to_be_visible()
        audit = await open_one(PHONE, user="root", java_script_enabled=False)
        await audit.open("/operator/audit")
        await expect(audit.page.get_by_text("channel.hangup")).to_be_visible()
