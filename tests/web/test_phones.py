"""Adding a phone, connecting it, and seeing how it is: with and without scripts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, FilePayload, Locator, Page, expect

from muru.keys import ARI
from muru.services import selftest
from tests import sip
from tests.conftest import PASSWORD, Stack, StartStack, World, configured
from tests.flavors.phones.snom import SnomPhone
from tests.observe import until
from tests.web.conftest import DESK, PHONE, OpenWindow, Visitor, windows
from tests.web.pages import FLAVORS, PIXEL, populate

MAC = "0004137f0001"


@configured(enabled_phone_flavors=FLAVORS)
async def test_form_is_made_of_what_the_type_has(visitor: Visitor) -> None:
    """Each type has its own form, which is good to be sent as it is but for the name."""
    await visitor.log_in()
    for phone_type in ("SIP", "Snom D785", "Call group", "Dummy", "Linphone"):
        page = f"/phones/add?type={phone_type}"
        done = await visitor.submit(page, "/phones/add", name="Mine")

        assert (done.status, done.url.parts[1]) == (200, "phones"), done.seen
        assert "Mine" in done.seen


@configured(enabled_phone_flavors=FLAVORS)
async def test_connect_page_fits_the_phone(world: World, visitor: Visitor) -> None:
    """Each kind is told what it needs: a URL, a token to dial, a QR code, or an account."""
    await populate(world)
    await world.alice.post("/extensions", {"type": "Other app", "name": "A", "number": "4716"})
    await visitor.log_in()
    token = (await world.alice.get("/extensions/4715"))["token"]
    for number, told in (
        ("4711", ("/telephoning/snom/k/", "Setting URL", "Or type everything in by hand")),
        ("4712", ("Type this into the phone",)),
        ("4713", ("Scan in Linphone", "linphone-config:", "<svg")),
        ("4715", (token, "New phones that wait")),
        ("4716", ("Type this into the phone",)),
    ):
        answer = await visitor.get(f"/phones/{number}/connect")
        assert [each for each in told if each not in answer.text] == [], number
    assert (await visitor.get("/phones/4714/connect")).path == "/phones/4714"  # a call group


@configured(enabled_phone_flavors=FLAVORS)
async def test_faults_are_at_their_fields_and_nothing_is_lost(
    world: World, visitor: Visitor
) -> None:
    """Whatever is wrong with whichever field, also in a row of a list, is told there in words."""
    await world.alice.post("/extensions", {"type": "SIP", "name": "First", "number": "4000"})
    await visitor.log_in()
    at = "extra_fields."
    answer = await visitor.submit(
        "/phones/add?type=Snom+D785",
        "/phones/add",
        **{
            "name": "Desk <b>",
            "number": "2001",
            f"{at}mac": "nonsense",
            f"{at}keys.1.number": "2000",
            f"{at}keys.2.number": "12 a",
            f"{at}keys.2.label": "Kitchen",
        },
    )

    assert answer.status == 422
    assert "write the twelve hex digits" in answer.seen
    assert "1 to 32 of these characters: 0-9 * # +" in answer.seen
    for typed in ("Desk &lt;b&gt;", "nonsense", "12 a", "Kitchen", 'value="2001"'):
        assert typed in answer.text
    assert 'id="fault-extra_fields.keys.1.number"' in answer.text  # the empty row is gone

    taken = {"name": "Other", "number": "4000"}
    answer = await visitor.submit("/phones/add?type=SIP", "/phones/add", **taken)
    assert answer.status == 409
    assert 'id="fault-number"' in answer.text


@configured(enabled_phone_flavors=FLAVORS)
async def test_phone_of_others_is_nowhere(world: World, visitor: Visitor) -> None:
    """No page and no action tells anything of somebody else's phone."""
    await world.root.post("/extensions", {"type": "SIP", "name": "Secret", "number": "4001"})
    await visitor.log_in()

    for page in ("", "/connect", "/live", "/edit", "/delete", "/diagnosis"):
        answer = await visitor.get(f"/phones/4001{page}")
        assert (answer.status, "Secret" in answer.text) == (404, False)
    token = (await visitor.get("/account")).form("/logout")
    for action in ("edit", "delete", "password", "selftest", "resync", "call", "reopen", "claim"):
        answer = await visitor.request("POST", f"/phones/4001/{action}", data=token)
        assert "Secret" not in answer.text
        assert "There is no extension 4001 of yours." in answer.seen
    assert (await world.root.get("/extensions/4001"))["name"] == "Secret"


@configured(enabled_phone_flavors=FLAVORS)
async def test_phone_is_changed_and_deleted(world: World, visitor: Visitor) -> None:
    """A change keeps what is not on the page; a deletion says first what goes."""
    await populate(world)
    await visitor.log_in()
    fields = {"name": "Help desk", "extra_fields.keys.1.label": "Lab", "type": "Snom D785"}
    answer = await visitor.submit("/phones/4711/edit", "/phones/4711/edit", **fields)
    changed = await world.alice.get("/extensions/4711")

    assert "Saved." in answer.seen
    assert changed["name"] == "Help desk"
    assert changed["extra_fields"]["mac"] == MAC
    assert changed["extra_fields"]["keys"] == [
        {"number": "2000", "label": "Kitchen"},
        {"number": "2001", "label": "Lab"},
    ]

    assert "Its line on the phone Snom D785" in (await visitor.get("/phones/4711/delete")).seen
    answer = await visitor.submit("/phones/4711/delete", "/phones/4711/delete")
    assert "4711 is gone." in answer.seen
    await world.alice.get("/extensions/4711", status=404)


@configured(enabled_phone_flavors=FLAVORS)
async def test_actions_say_why_they_did_nothing(world: World, visitor: Visitor) -> None:
    """What cannot be done at the moment is told on the page that one came from."""
    await populate(world)
    await visitor.log_in()
    password = (await world.alice.get("/extensions/4711"))["sip"]["password"]

    for action, fields, said in (
        ("selftest", {}, "No phone of this extension is registered at the moment."),
        ("resync", {}, "The phone is not registered, so nothing reaches it."),
        ("call", {"to": "*#"}, "This is no number."),
        ("claim", {"mac": "001122334455", "do": "ring"}, "No phone with the address"),
        ("reopen", {}, "The next phone that asks with this MAC address"),
        ("password", {}, "There is a new password."),
    ):
        form = (await visitor.get("/account")).form("/logout")
        answer = await visitor.request("POST", f"/phones/4711/{action}", data={**form, **fields})
        assert (answer.status, answer.url.parts[2]) == (200, "4711")
        assert said in answer.seen, action
    assert (await world.alice.get("/extensions/4711"))["sip"]["password"] != password

    odd = {"name": "Info desk", "type": "Linphone"}
    answer = await visitor.submit("/phones/4711/edit", "/phones/4711/edit", **odd)
    assert (answer.status, "choose one of Snom 300" in answer.seen) == (422, True)


@configured(enabled_phone_flavors=FLAVORS)
async def test_form_helps_while_somebody_types(world: World, open_window: OpenWindow) -> None:
    """A taken number is refused at once, a free one is a tap away, and rows come and go."""
    await world.root.post("/extensions", {"type": "SIP", "name": "First", "number": "4000"})
    window = await open_window(PHONE, user="alice")
    page = window.page
    await window.open("/phones/add?search=d785")
    await page.get_by_role("link", name="Snom D785").click()

    await page.get_by_label("Number", exact=False).first.fill("4000")
    await expect(page.locator("[data-availability]")).to_have_text(
        "The number 4000 is taken; choose another."
    )
    await page.locator("[data-take]").nth(1).click()
    await expect(page.locator("[data-availability]")).to_have_text("This number is free.")

    await page.get_by_label("Name", exact=True).fill("Desk")
    for number in ("2000", "2001"):
        await page.get_by_role("button", name="Add one").click()
        await page.locator(".row-of-list").last.get_by_label("Number").fill(number)
    await page.get_by_role("button", name="Remove").first.click()
    await window.check(accessible=False)
    await page.get_by_role("button", name="Add it").click()

    await page.wait_for_url("**/connect")
    [created] = (await world.alice.get("/extensions"))["items"]
    assert [each["number"] for each in created["extra_fields"]["keys"]] == ["2001"]


@configured(enabled_phone_flavors=FLAVORS)
async def test_media_are_uploaded(world: World, visitor: Visitor, open_window: OpenWindow) -> None:
    """With scripts and without, a file is uploaded, shown, and deleted when no phone has it."""
    await visitor.log_in()
    form = (await visitor.get("/media")).form("/media")
    data = {**form, "name": "Plain", "file": "text"}
    answer = await visitor.request("POST", "/media", data=data)
    assert "choose one" in answer.seen  # a text in the place of a file

    window = await open_window(PHONE, user="alice", java_script_enabled=False)
    page = window.page
    file: FilePayload = {"name": "pixel.png", "mimeType": "image/png", "buffer": PIXEL}
    await window.open("/media")
    await page.locator("[type=file]").set_input_files([file])
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_text("Uploaded.").wait_for()

    window = await open_window(PHONE, user="alice")
    page = window.page
    await window.open("/media")
    await page.locator("[type=file]").set_input_files([file])
    await page.get_by_label("Name").fill("Second")
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_role("heading", name="Second").wait_for()
    await page.locator("li").filter(has_text="pixel.png").get_by_text("Delete …").click()
    await page.get_by_role("button", name="Delete for good").locator("visible=true").click()
    await page.get_by_text("Deleted.").wait_for()

    assert [each["name"] for each in (await world.alice.get("/media"))["items"]] == ["Second"]
    assert window.faults == []


# With a real Asterisk


@pytest.fixture
async def stack(start_stack: StartStack) -> Stack:
    return await start_stack(enabled_phone_flavors=FLAVORS)


@asynccontextmanager
async def _registered_person(browser: Browser, stack: Stack) -> AsyncIterator[Page]:
    """Somebody who has just registered, at the type of their first phone."""
    async with windows(browser, stack) as open_one:
        window = await open_one(PHONE)
        page = window.page
        await window.open("/register")
        await page.get_by_label("User name").fill("neo")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Create an account").click()
        await page.get_by_role("link", name="Add a phone").click()
        yield page
        assert window.faults == []


def _told(page: Page, text: str) -> Locator:
    return page.locator("#live").get_by_text(text)


async def test_sip_phone_is_added_and_the_page_follows(browser: Browser, stack: Stack) -> None:
    """A new person sees the account; a wrong password is named, the right one registers."""
    async with _registered_person(browser, stack) as page:
        await page.get_by_role("link", name="Any SIP phone").click()
        await page.get_by_label("Name", exact=True).fill("Softphone")
        await page.get_by_role("button", name="Add it").click()
        await _told(page, "Waiting for the phone").wait_for()
        number = page.url.split("/")[-2]
        password = page.locator(".credentials code").nth(-1)
        assert not await password.is_visible()
        await page.get_by_text("Show", exact=True).click()
        secret = await password.inner_text()

        await sip.register(stack.sip_server, number, "wrong")
        await _told(page, "The phone sends a wrong password.").wait_for()

        assert (await sip.register(stack.sip_server, number, secret)).status == 200
        await _told(page, "The phone is registered.").wait_for()
        await page.get_by_role("link", name="To this phone").click()
        await expect(page.get_by_text("Reachable", exact=True)).to_be_visible()


async def test_snom_boots_and_the_page_follows(browser: Browser, stack: Stack) -> None:
    """A phone with a MAC address fetches what it needs and registers, while somebody watches."""
    async with _registered_person(browser, stack) as page:
        await page.get_by_role("searchbox").fill("d785")
        await page.get_by_role("link", name="Snom D785").click()
        await page.get_by_label("Name", exact=True).fill("Desk")
        await page.get_by_label("MAC address").fill("00:04:13:7f:00:01")
        await page.get_by_role("button", name="Add it").click()
        await _told(page, "Waiting for the phone").wait_for()

        base = str(stack.nobody.client.make_url("/telephoning/snom/"))
        async with SnomPhone(MAC, "D785", base) as phone:
            await phone.boot()
            await _told(page, "The phone has its configuration.").wait_for()
            assert await phone.register() == [200]
            await _told(page, "The phone is registered.").wait_for()
            await page.get_by_role("link", name="To this phone").click()
            await page.get_by_role("cell", name="snomD785-0004137F0001.htm").wait_for()
            await page.get_by_role("button", name="Have it fetch").click()
            await page.get_by_text("The phone has its new configuration").wait_for()


async def test_new_phone_is_taken(browser: Browser, stack: Stack) -> None:
    """A phone that nobody has yet rings to be told apart, and is taken."""
    await stack.alice.post("/extensions", {"type": "Snom D785", "name": "New", "number": "4002"})
    base = str(stack.nobody.client.make_url("/telephoning/snom/"))
    async with windows(browser, stack) as open_one, SnomPhone(MAC, "D785", base) as phone:
        window = await open_one(PHONE, user="alice")
        page = window.page
        await phone.boot()
        assert await phone.register() == [200]
        await window.open("/phones/4002/connect")
        await page.get_by_role("button", name="Make it ring").click()
        await page.get_by_text("It rings now.").wait_for()
        await page.get_by_role("button", name="This is mine").click()
        await page.get_by_text("This phone is yours now").wait_for()
        await _told(page, "The phone is registered.").wait_for()
        assert window.faults == []


async def test_phone_is_tested_from_the_page(
    browser: Browser, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The phone rings; whoever answers and presses a key reads that it works."""
    monkeypatch.setattr(selftest, "_ECHO_SECONDS", 1.5)
    assert await stack.app[ARI].wait_connected(10)
    created = await stack.alice.post("/extensions", {"type": "SIP", "name": "A", "number": "4000"})
    account = "4000", created["sip"]["password"]
    async with (
        windows(browser, stack) as open_one,
        sip.Phone(stack.sip_server, *account, codecs=["alaw"], auto_answer=True) as phone,
    ):
        window = await open_one(PHONE, user="alice")
        await window.open("/phones/4000/connect")
        test = window.page.get_by_role("button", name="Let it ring and test it")
        await test.click(no_wait_after=True)
        await phone.established(within=15)
        await phone.command("sndcode", "1")
        await window.page.get_by_text("The test went well").wait_for(timeout=20_000)
        await _told(window.page, "It works.").wait_for()
        assert window.faults == []


async def test_pages_work_without_scripts(browser: Browser, stack: Stack) -> None:
    """Adding, looking and deleting need no script."""
    created = await stack.alice.post("/extensions", {"type": "SIP", "name": "A", "number": "4000"})
    await sip.register(stack.sip_server, "4000", created["sip"]["password"])
    # A page without scripts tells of the moment in which it was opened.
    await until(lambda: stack.alice.get("/extensions/4000"), lambda e: e["registered"])
    async with windows(browser, stack) as open_one:
        window = await open_one(DESK, user="alice", java_script_enabled=False)
        page = window.page
        await window.open("/phones/4000/connect")
        await _told(page, "The phone is registered.").wait_for()
        await page.get_by_role("link", name="My phones").first.click()
        await page.get_by_role("link", name="Add a phone").click()
        await page.get_by_role("searchbox").fill("d735")
        await page.get_by_role("button", name="Search").click()
        await page.get_by_role("link", name="Snom D735").click()
        await page.get_by_label("Name", exact=True).fill("Desk")
        await page.locator(".row-of-list").nth(1).get_by_label("Number").fill("4000")
        await page.get_by_role("button", name="Add it").click()
        await page.get_by_text("New phones that wait").wait_for()
        assert window.faults == []
