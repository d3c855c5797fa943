"""What the pages lead to: the entries of the menu, and the operator's own pages."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from muru.keys import PAGES_FOLDER
from muru.services.site import Actor
from muru.web.language import _, current
from muru.web.markdown import Heading


@dataclass(frozen=True, slots=True)
class Entry:
    """*icon* is a symbol of ``static/icons.svg``; *active* if the page shown is below it."""

    path: str
    icon: str
    label: str
    active: bool


def entries(actor: Actor, path: str) -> list[Entry]:
    """Return the menu as *actor* has it, seen from the page at *path*."""
    shown = [("/", "book", _("Phonebook"))]
    if actor.user_id is not None:
        shown.append(("/phones", "phone", _("My phones")))
        shown.append(("/media", "media", _("My media")))
    if actor.is_admin:
        shown.append(("/operator", "pulse", _("Operation")))
    if actor.user_id is not None:
        shown.append(("/account", "person", _("My account")))
    else:
        shown.append(("/login", "enter", _("Log in")))
    return [Entry(to, icon, label, _is_below(path, to)) for to, icon, label in shown]


def pages(request: web.Request) -> Sequence[Heading]:
    """Return the operator's own pages, in the language of the page shown where they have it."""
    return request.config_dict[PAGES_FOLDER].headings(current())


def _is_below(path: str, entry: str) -> bool:
    return path == entry or (entry != "/" and path.startswith(f"{entry}/"))
