"""The start page: the phonebook, found by name or number, with and without scripts."""

from playwright.async_api import expect

from tests import sip
from tests.conftest import Stack, World, configured
from tests.observe import until
from tests.web.conftest import PHONE, OpenWindow, Visitor
from tests.web.pages import NAMES, populate


async def test_phonebook_shows_what_is_public(world: World, visitor: Visitor) -> None:
    """Public extensions are listed with a link that calls them; others are nobody's business."""
    await world.alice.post("/extensions", {"type": "SIP", "name": "Hidden"})
    shown = await world.alice.post(
        "/extensions", {"type": "SIP", "name": "Kitchen", "public": True, "info": "2nd floor"}
    )

    answer = await visitor.get("/")

    assert f'href="tel:{shown["number"]}"' in answer.text
    assert "Kitchen 2nd floor" in answer.seen
    assert "Hidden" not in answer.text
    assert "Hidden" not in (await visitor.get("/?search=hid")).text


async def test_phonebook_is_searched_without_scripts(world: World, visitor: Visitor) -> None:
    """A search by GET finds names and begins of numbers, and has parts where there is much."""
    await populate(world)
    for number in range(60):
        await world.root.post(
            "/extensions", {"type": "SIP", "name": f"Room {number:02}", "public": True}
        )

    assert "Zoë Müller-Lüdenscheidt" in (await visitor.get("/?search=müller")).seen
    assert "1 number" in (await visitor.get("/?search=heaven")).seen
    first, second = await visitor.get("/?search=room"), await visitor.get("/?search=room&offset=50")
    assert "1 to 50 of 60" in first.seen
    assert "51 to 60 of 60" in second.seen
    assert 'href="/?search=room&amp;offset=50"' in first.text
    assert "Nobody found" in (await visitor.get("/?search=nobody")).seen


async def test_phonebook_follows_while_somebody_types(
    world: World, open_window: OpenWindow
) -> None:
    """Each letter narrows the list at once; the URL says what is shown, and names stay names."""
    await populate(world)
    window = await open_window(PHONE)
    page = window.page
    await window.open("/")
    assert await page.locator(".phonebook li").count() == len(NAMES)

    await page.get_by_role("searchbox").press_sequentially("heav")
    await expect(page.locator(".phonebook li")).to_have_count(1)
    await page.wait_for_url("**/?search=heav")
    await page.get_by_role("searchbox").fill("script>")
    await expect(page.locator(".phonebook strong")).to_have_text([NAMES[0]])

    await expect(page.locator("#announcements")).to_have_text("1 number")
    await window.check()


async def test_colours_and_language_are_switched(open_window: OpenWindow) -> None:
    """One tap switches the colours, one the language; both are kept, scripts or not."""
    for scripts in (True, False):
        window = await open_window(PHONE, java_script_enabled=scripts)
        page = window.page
        await window.open("/login?next=/account")

        await page.get_by_role("button", name="Dark colours").click()
        await page.get_by_role("button", name="Deutsch").click()

        await page.get_by_role("heading", name="Anmelden").wait_for()
        assert "/login?next=/account" in page.url
        assert await page.get_attribute("html", "data-theme") == "dark"
        assert await page.get_attribute("html", "lang") == "de"
        await window.open("/")
        assert await page.get_attribute("html", "data-theme") == "dark"
        assert window.faults == []


async def test_person_registers_in_a_browser_without_scripts(open_window: OpenWindow) -> None:
    """Accounts need no script."""
    window = await open_window(PHONE, java_script_enabled=False)
    page = window.page
    await window.open("/")

    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("User name").fill("neo")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Create an account").click()

    await page.get_by_text("You have no phone yet").wait_for()
    assert window.faults == []


@configured(site_name="Camp <b>", site_slogan="<i>Hello</i> & welcome", pages_path="missing")
async def test_site_has_a_name_and_a_slogan(visitor: Visitor) -> None:
    """The operator's own name and slogan head each page, as text; a folder may be missing."""
    answer = await visitor.get("/")

    assert "Camp &lt;b&gt;" in answer.text
    assert "&lt;i&gt;Hello&lt;/i&gt; &amp; welcome" in answer.text


@configured(site_slogan="")
async def test_site_may_have_no_slogan(visitor: Visitor) -> None:
    """An empty slogan is none."""
    assert "It rings." not in (await visitor.get("/login")).text


async def test_phonebook_shows_who_can_be_reached(stack: Stack) -> None:
    """A phone that registers is reachable in the phonebook, and in its owner's list."""
    created = await stack.alice.post(
        "/extensions", {"type": "SIP", "name": "Kitchen", "public": True}
    )
    visitor = Visitor(stack.nobody.client.make_url("/"))
    before = await visitor.get("/")
    await sip.register(stack.sip_server, created["sip"]["username"], created["sip"]["password"])
    after = await until(
        lambda: visitor.get("/"), lambda page: 'aria-label="reachable"' in page.text
    )
    await visitor.session.close()

    assert 'aria-label="not reachable"' in before.text
    assert "not reachable" not in after.text
