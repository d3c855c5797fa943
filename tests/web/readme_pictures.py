"""Takes the pictures that the README shows: ``make screenshots`` runs this, the tests do not.

All that they show is there: phones are registered with a real Asterisk. Only the curve of the day
before is made up, as nobody waits a day for a picture.
"""

import io
import os
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser

from muru.db.models import now
from muru.keys import OVERVIEW
from muru.services.overview import Curve
from tests import sip
from tests.conftest import Stack, StartStack
from tests.flavors.phones.snom import SnomPhone
from tests.web.conftest import Look, windows
from tests.web.pages import FLAVORS

FOLDER = Path(__file__).parent.parent.parent / "docs/pictures"
WANTED = os.environ.get("PAGES", "readme") or "readme"
HEAVIEST = 150_000  # bytes

MAC = "0004137f0001"
#: Who is in the phonebook, and what registers there, if anything does.
PEOPLE = [
    ("4223", "Help desk", "Foyer, day and night", "snomD785/10.1.175.16"),
    ("2000", "Kitchen", "Ask for tonight's dinner", "Yealink SIP-T54W 96.86.0.70"),
    ("2100", "Workshop", "Soldering irons, 3D printers", "Grandstream GXP2170 1.0.11.64"),
    ("2342", "Zoë Müller", "Tent 17, behind the oak", "Linphone/5.2.5 (belle-sip/5.3.0)"),
    ("3000", "Great hall, stage left", "Only if it burns", None),
    ("4711", "Lost property", "", "snomD735/10.1.175.16"),
    ("7353", "Selekta sound system", "Wishes from 22:00", "Yealink SIP-T46U 108.86.0.20"),
    ("8000", "Dome", "Talks and radio plays", None),
]
ABOUT = "# How to reach us\n\nDial 4223."
RULES = "# House rules\n\nBe excellent to each other."
CURVE = (0, 1, 1, 3, 4, 6, 9, 12, 15, 16, 17, 15, 14, 12, 8, 5, 4, 3, 4, 6, 8, 9, 8)


@pytest.mark.skipif("readme" not in WANTED.split(), reason="other pages are wanted")
async def test_pictures_of_the_readme(browser: Browser, start_stack: StartStack) -> None:
    """There is a picture of the start, of a phone that works, and of the operator's overview."""
    pages = Path.cwd() / "pages"
    _write_pages(pages)
    stack = await start_stack(
        enabled_phone_flavors=FLAVORS,
        site_name="Camp Telephony",
        pages_path=pages,
    )
    await _register_people(stack)
    FOLDER.mkdir(exist_ok=True)
    body = {"type": "Snom D785", "number": "2323", "name": "Anna", "extra_fields": {"mac": MAC}}
    await stack.alice.post("/extensions", body, status=201)
    provisioning = str(stack.nobody.client.make_url("/telephoning/snom/"))
    async with windows(browser, stack) as open_one, SnomPhone(MAC, "D785", provisioning) as phone:
        await phone.boot()
        assert await phone.register() == [200]
        _make_up(stack.app[OVERVIEW].curve, now())
        for name, path, user, look in (
            ("start", "/", None, Look(1120, "light", "en")),
            ("connect", "/phones/2323/connect", "alice", Look(1120, "light", "en")),
            ("overview", "/operator", "root", Look(1280, "dark", "en")),
        ):
            window = await open_one(look, user=user)
            await window.open(path)
            _save(await window.page.screenshot(), FOLDER / f"{name}.webp")


def _write_pages(folder: Path) -> None:
    folder.mkdir()
    (folder / "about.md").write_text(ABOUT)
    (folder / "rules.md").write_text(RULES)


async def _register_people(stack: Stack) -> None:
    for number, name, info, user_agent in PEOPLE:
        body = {"type": "SIP", "number": number, "name": name, "info": info, "public": True}
        created = await stack.alice.post("/extensions", body, status=201)
        if user_agent is not None:
            password = created["sip"]["password"]
            await sip.register(stack.sip_server, number, password, user_agent=user_agent)


def _make_up(curve: Curve, end: datetime) -> None:
    """Put a day before what is there."""
    points = deque(
        (end - timedelta(hours=len(CURVE) - at), count) for at, count in enumerate(CURVE)
    )
    curve._points = points + deque([(end, curve.count)])


def _save(screenshot: bytes, path: Path) -> None:
    Image.open(io.BytesIO(screenshot)).save(path, "WEBP", quality=80, method=6)
    assert path.stat().st_size < HEAVIEST, path
