"""A site with Grandstream phones, for the tests of lines, devices and claims."""

from collections.abc import Callable
from typing import Any

import pytest

from muru.db.models import Device, Extension, Role, UnclaimedDevice
from muru.services import claims, extensions, lines, users
from muru.services.claims import Newcomer
from muru.services.extensions import ExtensionChange, NewExtension
from muru.services.site import OPERATOR, Actor, Site
from muru.settings import Settings
from tests.conftest import PASSWORD

MAC, OTHER = "000b82aabbcc", "000b82aabb00"
TYPE = "Grandstream GXP2160"  # six lines
SMALL = "Grandstream GXP1610"  # one line
AGENT = "Grandstream Model HW GXP2160 SW 1.0.11.79"


@pytest.fixture
def make_settings(make_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """As that of all tests, with Grandstream's flavor enabled."""
    flavors = ["sip", "grandstream", "mitel"]
    return lambda **more: make_settings(**{"enabled_phone_flavors": flavors, **more})


async def actor(site: Site, name: str, role: Role = Role.USER) -> Actor:
    """Create a user."""
    user = await users.create_user(site, OPERATOR, name, PASSWORD, role)
    return Actor(user.id, user.username, is_admin=role is Role.ADMIN)


async def create(
    site: Site, owner: Actor, number: str, mac: str | None = MAC, *, type_: str = TYPE, **more: Any
) -> Extension:
    """Create an extension that holds a phone."""
    new = NewExtension(type_, "Anna", number, extra_fields={"mac": mac}, **more)
    return await extensions.create_extension(site, owner, new)


async def move(site: Site, owner: Actor, number: str, mac: str | None) -> Extension:
    """Have an extension hold another phone, or none."""
    change = ExtensionChange(extra_fields={"mac": mac})
    return await extensions.change_extension(site, owner, number, change)


async def device(site: Site, mac: str = MAC) -> Device:
    """Return a phone that somebody holds."""
    async with site.database.read() as session:
        found = await lines.find(session, mac)
    assert found is not None
    return found


async def positions(site: Site, mac: str = MAC) -> dict[int, str]:
    """Return the numbers of a phone's lines, by position; empty if nobody holds it."""
    async with site.database.read() as session:
        found = await lines.find(session, mac)
    return {line.position: line.extension.number for line in found.lines} if found else {}


async def meet(
    site: Site, mac: str = MAC, address: str = "192.0.2.7", token: str = "", **more: str
) -> UnclaimedDevice | None:
    """Let a phone ask that has no proof."""
    newcomer = {"flavor": "grandstream", "type": TYPE, "model": "GXP2160", **more}
    return await claims.meet(site, Newcomer(mac, address, **newcomer), token)


async def temporary(site: Site, *args: str, **more: str) -> UnclaimedDevice:
    """As :func:`meet`, of a phone that gets an account."""
    found = await meet(site, *args, **more)
    assert found is not None
    return found
