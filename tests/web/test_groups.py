"""Call groups and conferences on the pages of numbers."""

from playwright.async_api import Browser, expect

from tests import sip
from tests.conftest import StartStack, World, configured
from tests.observe import create, until
from tests.web.conftest import PHONE, Visitor, windows

GROUP = {"type": "Call group", "number": "2100", "name": "Crew"}


@configured(enabled_phone_flavors=["sip", "callgroup"])
async def test_members_come_pause_and_go(world: World, visitor: Visitor) -> None:
    """A group's owner, on its page, adds a phone, lets it pause, go on, and takes it out."""
    await world.alice.post("/extensions", GROUP)
    await world.alice.post("/extensions", {"type": "SIP", "name": "A", "number": "2001"})
    await visitor.log_in()
    here = "/phones/2100"

    async def act(do: str, member: str) -> str:
        token = (await visitor.get(here)).form(f"{here}/members/join")["csrf_token"]
        data = {"csrf_token": token, "member": member}
        page = await visitor.request("POST", f"{here}/members/{do}", data=data)
        assert (page.status, page.path) == (200, here)
        return page.seen

    async def members() -> list[tuple[str, bool]]:
        found = (await world.alice.get("/extensions/2100"))["extra_fields"]["members"]
        return [(each["number"], each["paused"]) for each in found]

    assert "2001 is rung by 2100." in await act("join", "2001")
    assert await members() == [("2001", False)]
    assert "paused" in await act("pause", "2001")
    assert await members() == [("2001", True)]
    await act("join", "2001")
    assert await members() == [("2001", False)]
    assert "this would be a loop" in await act("join", "2100")
    assert "There is no extension 4999 of yours." in await act("join", "4999")
    assert "2001 has left 2100." in await act("leave", "2001")
    assert await members() == []


@configured(enabled_phone_flavors=["sip", "callgroup"])
async def test_phone_joins_groups_of_others(world: World, visitor: Visitor) -> None:
    """From a phone's page it joins the open group of somebody else, and leaves; no closed one."""
    for number, is_open in (("2100", True), ("2200", False)):
        body = {**GROUP, "number": number, "extra_fields": {"open": is_open}}
        await world.root.post("/extensions", body)
    await world.alice.post("/extensions", {"type": "SIP", "name": "A", "number": "2001"})
    await visitor.log_in()
    here, join = "/phones/2001", "/phones/2001/members/join"

    assert "2001 is rung by 2100." in (await visitor.submit(here, join, group="2100")).seen
    page = await visitor.submit(here, join, group="2200")
    assert "The call group 2200 is not open." in page.seen
    assert page.form("/phones/2001/members/leave")["group"] == "2100"
    page = await visitor.submit(here, "/phones/2001/members/leave")
    assert "2001 has left 2100." in page.seen
    assert await world.alice.get("/extensions/2001/groups") == []


async def test_conference_is_seen_and_kept_in_order(
    start_stack: StartStack, browser: Browser
) -> None:
    """Who comes into a conference appears on its page, is muted, and put out."""
    stack = await start_stack(enabled_phone_flavors=["sip", "conference"])
    room = {"type": "Conference", "number": "2200", "name": "Talk"}
    await stack.alice.post("/extensions", room)
    account = await create(stack.alice, "2001")

    async def muted() -> list[bool]:
        found = await stack.alice.get("/extensions/2200/participants")
        return [each["muted"] for each in found]

    async with windows(browser, stack) as open_window, sip.Phone(stack.sip_server, *account) as me:
        window = await open_window(PHONE, user="alice")
        page = window.page
        await window.open("/phones/2200")
        await expect(page.locator("#conference")).to_contain_text("Nobody is in it.")
        await me.dial("2200")
        await expect(page.locator("#conference li")).to_contain_text("2001")
        await window.check()

        await page.get_by_role("button", name="Mute", exact=False).click()
        await until(muted, lambda found: found == [True])
        await expect(page.locator("#conference li")).to_contain_text("muted")
        await page.get_by_role("button", name="Put", exact=False).click()
        await until(muted, lambda found: found == [])
        await expect(page.locator("#conference")).to_contain_text("Nobody is in it.")
