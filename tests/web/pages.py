"""All pages there are, and a site on which each has something to show.

A new page is listed here: it is then looked at in every test of looks, and in ``make screenshots``.
"""

from dataclasses import dataclass
from pathlib import Path

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
    Shown("login", "/login"),
    Shown("register", "/register?invite=abc"),
    Shown("nothing", "/nothing", status=404),
    Shown("start-user", "/", "alice"),
    Shown("phones", "/phones", "alice"),
    Shown("phones-none", "/phones", "bob"),
    Shown("account", "/account", "alice"),
    Shown("account-admin", "/account", "root"),
    Shown("account-delete", "/account/delete", "alice"),
    Shown("account-delete-empty", "/account/delete", "bob"),
]


async def populate(world: World) -> None:
    """Let the people there are have phones, and the operator some pages."""
    await world.root.post("/users", {"username": "bob", "password": PASSWORD}, status=201)
    for name in NAMES:
        body = {"type": "SIP", "name": name[:40], "public": True, "info": f"near {name}"[:60]}
        await world.alice.post("/extensions", body, status=201)
    if (folder := world.site.settings.pages_path) is not None:
        write_pages(folder)


def write_pages(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "about.md").write_text(ABOUT)
    (folder / "about.de.md").write_text(ABOUT_DE)
    (folder / "house-rules.md").write_text("# House rules\n\nBe excellent to each other.")
