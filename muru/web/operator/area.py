"""What the operator's pages have in common: their menu, and the answer to a failed action."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from muru.errors import MuruError
from muru.web.language import _, told
from muru.web.routing import Visit

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Place:
    path: str
    icon: str
    label: str


def places() -> list[Place]:
    """Return the menu of the operator's pages."""
    return [
        Place("/operator", "pulse", _("Overview")),
        Place("/operator/extensions", "phone", _("Extensions")),
        Place("/operator/dialplan", "ring", _("Own numbers")),
        Place("/operator/users", "person", _("People")),
        Place("/operator/invites", "ticket", _("Invites")),
        Place("/operator/devices", "app", _("Devices")),
        Place("/operator/calls", "ring", _("Calls")),
        Place("/operator/security", "shield", _("Security")),
        Place("/operator/flavors", "media", _("Flavors")),
        Place("/operator/log", "page", _("Provisioning")),
        Place("/operator/settings", "gear", _("Settings")),
        Place("/operator/audit", "book", _("Audit log")),
    ]


def show(visit: Visit, template: str, /, **context: Any) -> web.Response:
    """Return a page of the operator's."""
    menu = places()
    here = [each.path for each in menu if _is_below(visit.request.path, each.path)]
    current = max(here, key=len, default="")
    return visit.render(f"operator/{template}", places=menu, current=current, **context)


def failed(visit: Visit, path: str, error: MuruError) -> web.Response:
    """Lead back to *path*, and tell there what went wrong."""
    return visit.redirect(path, flash=told(error.public), kind="error")


def _is_below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")
