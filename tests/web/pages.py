"""All pages there are, and a site on which each has something to show.

A new page is listed here: it is then looked at in every test of looks, and in ``make screenshots``.
"""

import shutil
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tests.conftest import PASSWORD, World

# As people and cats type them.
NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop",
    "{{ 7 * 7 }} ☎️ 🦊",
    "مرحبا بالعالم",
    "Heaven, 2nd floor",
    "Zoë Müller-Lüdenscheidt",
]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)

ABOUT = """# How to reach us

The **help desk** is at <script>alert(1)</script> the entrance, number [4223](tel:4223).

| room | number |
|---|---|
| Kitchen | `2000` |
| A name that is as long as a table can bear on a telephone | 2001 |

![elsewhere](https://example.org/pixel.png) <img src="https://example.org/pixel.png">

> Bring a cable.
"""
ABOUT_DE = ABOUT.replace("How to reach us", "So erreicht ihr uns")


PLAN = Path(__file__).parent / "plan.svg"
SPOTS = [
    {"lat": lat, "lng": lng} for lat, lng in ((0.73, 0.2), (0.72, 0.5), (0.68, 0.8), (0.24, 0.6))
]

#: The flavors of the phones that there are.
FLAVORS = ["sip", "dummy", "snom", "softphone", "callgroup", "conference"]

PHONES: list[dict[str, Any]] = [
    {
        "number": "4711",
        "type": "Snom D785",
        "name": "Info desk",
        "extra_fields": {
            "mac": "00:04:13:7f:00:01",
            "keys": [{"number": "2000", "label": "Kitchen"}, {"number": "2001"}],
        },
    },
    {"number": "4712", "type": "SIP", "name": "Anna", "location": {"lat": 0.4, "lng": 0.15}},
    {"number": "4713", "type": "Linphone", "name": "Anna on the road"},
    {
        "number": "4714",
        "type": "Call group",
        "name": "Everybody",
        "extra_fields": {"members": [{"number": "4711"}, {"number": "4712", "paused": True}]},
    },
    {"number": "4715", "type": "Snom D735", "name": "Workshop"},
    {"number": "4718", "type": "Conference", "name": "Crew"},
]

#: Own numbers; *9 is deleted again.
OWN_NUMBERS: dict[str, list[dict[str, Any]]] = {
    "100": [
        {"application": {"app": "Answer"}},
        {"label": "ask", "application": {"app": "Read", "variable": "PIN", "maxdigits": 4}},
        {
            "application": {
                "app": "GotoIf",
                "condition": '$["x${PIN}" = "x4711"]',
                "labeliftrue": {"priority": "in"},
                "labeliffalse": {"priority": "ask"},
            }
        },
        {"label": "in", "application": {"app": "ConfBridge", "conference": "Crew, tonight"}},
        {"application": {"app": "Verbose", "message": {"expression": "${CALLERID(name)}"}}},
        {
            "application": {
                "app": "ExecIf",
                "expression": "$[${EPOCH} > 1]",
                "appiftrue": {"app": "Playback", "filenames": ["tt-weasels", "vm-goodbye"]},
            }
        },
    ],
    "*9": [{"application": {"app": "Hangup"}}],
}


@dataclass(frozen=True)
class Shown:
    """A page at *path*, as *user* sees it; nobody in particular for None."""

    name: str
    path: str
    user: str | None = None
    status: int = 200


PAGES = [
    Shown("start", "/"),
    Shown("start-found", "/?search=heaven"),
    Shown("start-nobody", "/?search=nobody+has+this+name"),
    Shown("document", "/pages/about"),
    Shown("map", "/map"),
    Shown("login", "/login"),
    Shown("register", "/register?invite=abc"),
    Shown("nothing", "/nothing", status=404),
    Shown("start-user", "/", "alice"),
    Shown("phones", "/phones", "alice"),
    Shown("phones-none", "/phones", "bob"),
    Shown("phone-types", "/phones/add", "alice"),
    Shown("phone-types-found", "/phones/add?search=snom+d7", "alice"),
    Shown("phone-add", "/phones/add?type=SIP", "alice"),
    Shown("phone-add-snom", "/phones/add?type=Snom+D785", "alice"),
    Shown("phone-add-group", "/phones/add?type=Call+group", "alice"),
    Shown("phone-edit", "/phones/4711/edit", "alice"),
    Shown("phone-edit-placed", "/phones/4712/edit", "alice"),
    Shown("phone", "/phones/4711", "alice"),
    Shown("phone-number", "/phones/4714", "alice"),
    Shown("phone-conference", "/phones/4718", "alice"),
    Shown("phone-delete", "/phones/4711/delete", "alice"),
    Shown("phone-diagnosis", "/phones/4711/diagnosis", "alice"),
    Shown("connect-snom", "/phones/4711/connect", "alice"),
    Shown("connect-sip", "/phones/4712/connect", "alice"),
    Shown("connect-app", "/phones/4713/connect", "alice"),
    Shown("connect-new", "/phones/4715/connect", "alice"),
    Shown("media", "/media", "alice"),
    Shown("media-none", "/media", "bob"),
    Shown("account", "/account", "alice"),
    Shown("account-admin", "/account", "root"),
    Shown("account-delete", "/account/delete", "alice"),
    Shown("account-delete-empty", "/account/delete", "bob"),
    Shown("operator", "/operator", "root"),
    Shown("operator-extensions", "/operator/extensions", "root"),
    Shown("operator-extensions-none", "/operator/extensions?search=nobody&state=missing", "root"),
    Shown("operator-import", "/operator/extensions/import", "root"),
    Shown("operator-dialplan", "/operator/dialplan", "root"),
    Shown("operator-dialplan-number", "/operator/dialplan/100", "root"),
    Shown("operator-dialplan-new", "/operator/dialplan/new", "root"),
    Shown("operator-dialplan-deleted", "/operator/dialplan/*9", "root"),
    Shown("operator-users", "/operator/users", "root"),
    Shown("operator-user", "/operator/users/alice", "root"),
    Shown("operator-invites", "/operator/invites", "root"),
    Shown("operator-cards", "/operator/invites/cards", "root"),
    Shown("operator-devices", "/operator/devices", "root"),
    Shown("operator-calls", "/operator/calls", "root"),
    Shown("operator-security", "/operator/security", "root"),
    Shown("operator-flavors", "/operator/flavors", "root"),
    Shown("operator-log", "/operator/log", "root"),
    Shown("operator-settings", "/operator/settings", "root"),
    Shown("operator-audit", "/operator/audit", "root"),
    Shown("operator-refused", "/operator", "alice", status=403),
]


async def populate(world: World) -> None:
    """Let the people there are have phones, and the operator some pages."""
    await world.root.post("/users", {"username": "bob", "password": PASSWORD}, status=201)
    for note in ("for the crew", NAMES[0]):
        await world.root.post("/invites", {"note": note, "max_uses": 2}, status=201)
    for name, location in zip_longest(NAMES, SPOTS):
        body = {
            "type": "SIP",
            "name": name[:40],
            "public": True,
            "info": f"near {name}"[:60],
            "location": location,
        }
        await world.alice.post("/extensions", body, status=201)
    for number, steps in OWN_NUMBERS.items():
        own = {"number": number, "steps": steps, "comment": NAMES[0]}
        await world.root.post("/dialplan", own, status=201)
    await world.root.call("DELETE", "/dialplan/*9")
    if world.site.registry.for_type("Snom D785"):
        for phone in PHONES:
            await world.alice.post("/extensions", phone, status=201)
        await _upload(world, "picture.png", PIXEL)
    if (plan := world.site.settings.map_image) is not None:
        shutil.copy(PLAN, plan)
    if (folder := world.site.settings.pages_path) is not None:
        write_pages(folder)


async def _upload(world: World, name: str, content: bytes) -> None:
    alice = world.alice
    headers = {"Authorization": f"Bearer {alice.token}", "Content-Type": "application/octet-stream"}
    async with alice.client.post(
        "/api/v1/media", params={"name": name}, data=content, headers=headers
    ) as response:
        assert response.status == 201, await response.text()


def write_pages(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "about.md").write_text(ABOUT)
    (folder / "about.de.md").write_text(ABOUT_DE)
    (folder / "house-rules.md").write_text("# House rules\n\nBe excellent to each other.")
