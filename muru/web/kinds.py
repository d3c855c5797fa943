"""What a phone type is to a person: a phone that sets itself up, an app, an account, a number."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from muru.db.models import Extension
from muru.db.realtime import PsAuth
from muru.flavor import DeviceFields, PhoneFlavor
from muru.registry import Entry
from muru.services.groups import is_group
from muru.services.site import Actor, Site
from muru.web.language import _

#: ``desk``: fetches its configuration, known by its MAC address. ``app``: fetches it by a link.
#: ``sip``: somebody types the account in. ``number``: no phone is behind it.
Kind = Literal["desk", "app", "sip", "number"]
_ICONS = {"desk": "phone", "app": "app", "sip": "phone", "number": "ring"}


@dataclass(frozen=True, slots=True)
class Family:
    """The types of one flavor that are offered, *count* of which there are in all."""

    name: str
    title: str
    hint: str
    icon: str
    special: bool
    types: tuple[str, ...]
    count: int


def kind_of(flavor: PhoneFlavor, phone_type: str) -> Kind:
    if flavor.FILES:
        return "desk" if issubclass(flavor.EXTRA_FIELDS or object, DeviceFields) else "app"
    return "sip" if _has_account(flavor, phone_type) else "number"


def _has_account(flavor: PhoneFlavor, phone_type: str) -> bool:
    nobody = Extension(
        number="0", name="", type=phone_type, password="", token="", extra_fields={}, media={}
    )
    try:
        return any(isinstance(row, PsAuth) for row in flavor.realtime_rows(nobody))
    except Exception:  # a flavor's code, that may want more than is there
        return False


def families(site: Site, actor: Actor, search: str = "") -> list[Family]:
    """Return what *actor* may add, in the order in which it is to be offered."""
    found = (_family(site, entry, flavor, search) for entry, flavor in _allowed(site, actor))
    return [each for each in found if each.types]


def _allowed(site: Site, actor: Actor) -> Iterator[tuple[Entry, PhoneFlavor]]:
    for entry, flavor in site.registry.active():
        if actor.is_admin or site.settings.all_extension_types_public or not flavor.IS_SPECIAL:
            yield entry, flavor


def _family(site: Site, entry: Entry, flavor: PhoneFlavor, search: str) -> Family:
    kind = kind_of(flavor, entry.phone_types[0])
    title = _titles().get(entry.name) or flavor.IDENTIFICATION.vendor or str(entry.class_name)
    words = search.casefold().split()
    types = tuple(
        each
        for each in entry.phone_types
        if all(word in f"{title} {each}".casefold() for word in words)
    )
    return Family(
        name=entry.name,
        title=title,
        hint=_hints()[kind],
        icon="group" if is_group(flavor) else _ICONS[kind],
        special=flavor.IS_SPECIAL and not site.settings.all_extension_types_public,
        types=types,
        count=len(entry.phone_types),
    )


def _titles() -> dict[str, str]:
    return {
        "sip": _("Any SIP phone or app"),
        "softphone": _("Apps for mobile and computer"),
        "iot": _("Something you built yourself"),
        "callgroup": _("Call group"),
        "conference": _("Conference room"),
        "announcement": _("Announcement"),
        "services": _("Service numbers"),
    }


def _hints() -> dict[Kind, str]:
    return {
        "desk": _("Sets itself up"),
        "app": _("Set up by a link or a QR code"),
        "sip": _("You type in a name and a password"),
        "number": _("A number without a phone"),
    }
