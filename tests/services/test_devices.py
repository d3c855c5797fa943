"""Who sees a phone, and who decides on it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from muru.db.models import Role
from muru.errors import Forbidden, Invalid, NotFound
from muru.provisioning.journal import Journal, Visit
from muru.services import devices, extensions
from muru.services.site import OPERATOR, Actor, Site
from tests.services.grandstreams import (
    AGENT,
    MAC,
    OTHER,
    actor,
    create,
    device,
    make_settings,  # noqa: F401  # a fixture
    positions,
)

pytestmark = pytest.mark.usefixtures("make_settings")


@pytest.fixture
async def alice(site: Site) -> Actor:
    """Somebody who holds a phone."""
    alice = await actor(site, "alice")
    await create(site, alice, "2001")
    return alice


@pytest.fixture
async def eve(site: Site) -> Actor:
    """Somebody else, with a phone of her own."""
    eve = await actor(site, "eve")
    await create(site, eve, "2002", OTHER)
    return eve


@pytest.fixture
async def guest(site: Site, alice: Actor, eve: Actor) -> Actor:
    """Somebody with a line on Alice's phone, by her consent."""
    await devices.invite_guest(site, alice, MAC, "eve")
    await create(site, eve, "2003")
    return eve


Act = Callable[[Site, Actor], Awaitable[object]]
LOOKS: dict[str, Act] = {
    "view": lambda site, who: devices.get_device(site, who, MAC),
    "log": lambda site, who: devices.log_of(site, who, MAC),
}
CHANGES: dict[str, Act] = {
    "reopen": lambda site, who: devices.reopen(site, who, MAC),
    "invite": lambda site, who: devices.invite_guest(site, who, MAC, who.username),
    "send away": lambda site, who: devices.remove_guest(site, who, MAC, "eve"),
}


@pytest.mark.parametrize("what", [*LOOKS, *CHANGES])
async def test_stranger(site: Site, alice: Actor, eve: Actor, what: str) -> None:
    """To a stranger a phone that somebody holds looks like one that nobody has."""
    del alice
    act = (LOOKS | CHANGES)[what]
    with pytest.raises(NotFound) as refusal:
        await act(site, eve)
    told = str(refusal.value)

    await extensions.delete_extension(site, OPERATOR, "2001")
    with pytest.raises(NotFound) as unknown:
        await act(site, eve)

    assert told == str(unknown.value)


@pytest.mark.parametrize("what", CHANGES)
async def test_guest_decides_nothing(site: Site, guest: Actor, what: str) -> None:
    """A guest sees the phone, but does not open it: with its URL come all its lines' passwords."""
    for look in LOOKS.values():
        await look(site, guest)

    with pytest.raises(Forbidden) as refusal:
        await CHANGES[what](site, guest)

    assert refusal.value.key == "guest"


async def test_guest_gets_no_token(site: Site, alice: Actor, guest: Actor) -> None:
    """Neither is a guest given the phone's URL, nor can she end it; its owner can do both."""
    before = await device(site)
    assert not devices.decides(guest, before)
    own = await extensions.get_extension(site, guest, "2003")
    with pytest.raises(Forbidden):
        await devices.renew_token(site, guest, own)
    assert (await device(site)).token == before.token

    assert devices.decides(alice, before)
    extension = await extensions.get_extension(site, alice, "2001")
    await devices.renew_token(site, alice, extension)
    assert (await device(site)).token != before.token
    with pytest.raises(NotFound):
        await devices.renew_token(site, guest, extension)


async def test_list(site: Site, alice: Actor, guest: Actor) -> None:
    """Everybody's list has the phones with a line of theirs, the administrators' has all."""

    async def listed(who: Actor) -> list[str | None]:
        return [each.mac for each in await devices.list_devices(site, who)]

    assert await listed(alice) == [MAC]
    assert await listed(guest) == [MAC, OTHER]
    assert await listed(await actor(site, "bob")) == []
    assert await listed(await actor(site, "root", Role.ADMIN)) == [MAC, OTHER]


async def test_guests(site: Site, alice: Actor, eve: Actor) -> None:
    """Only people who exist are guests, once each; one who is none cannot be sent away."""
    del eve
    with pytest.raises(Invalid) as refusal:
        await devices.invite_guest(site, alice, MAC, "nobody")
    assert set(refusal.value.fields) == {"username"}
    for _ in range(2):
        await devices.invite_guest(site, alice, MAC, "eve")
        await devices.invite_guest(site, alice, MAC, "alice")  # who needs no consent of her own
    assert [each.user.username for each in (await device(site)).guests] == ["eve"]

    await devices.remove_guest(site, alice, MAC, "EVE")
    for name in ("eve", "alice"):
        with pytest.raises(NotFound):
            await devices.remove_guest(site, alice, MAC, name)


async def test_sent_away_guest_is_told(site: Site, alice: Actor, guest: Actor) -> None:
    """The phone of a guest who was sent away has to fetch its files."""
    del guest
    changed: list[set[int]] = []
    site.on_changed_devices(lambda ids: changed.append(set(ids)))

    await devices.remove_guest(site, alice, MAC, "eve")

    assert changed == [{(await device(site)).id}]
    assert await positions(site) == {1: "2001"}


async def test_reopen(site: Site, alice: Actor) -> None:
    """A phone that is opened again has a new token, and no memory of who had its files."""
    before = await device(site)
    assert await devices.grant(site, before.id, "192.0.2.7")
    assert not await devices.grant(site, before.id, "192.0.2.66")
    granted = await device(site)
    assert (granted.is_open, granted.granted_to) == (False, "192.0.2.7")

    await devices.reopen(site, alice, MAC)

    after = await device(site)
    assert (after.is_open, after.granted_to, after.granted_at) == (True, None, None)
    assert after.token != before.token


async def test_log(site: Site, alice: Actor, eve: Actor) -> None:
    """The owner reads what was asked in the phone's name, the newest first; nobody else does."""
    held = await device(site)
    journal = Journal(site.database, days=14)
    visit = Visit("192.0.2.7", "http", "a", 200, device_id=held.id, proof="token", user_agent=AGENT)
    journal.note(visit)
    journal.note(Visit("192.0.2.66", "tftp", "b\0\n", 404, "no proof", mac=MAC))
    journal.note(Visit("192.0.2.8", "http", "c", 200, mac=OTHER))
    await journal.flush()

    found = await devices.log_of(site, alice, MAC)

    assert [(each.file, each.address, each.proof) for each in found] == [
        ("b??", "192.0.2.66", ""),
        ("a", "192.0.2.7", "token"),
    ]
    assert [each.file for each in await devices.log_of(site, alice, MAC, offset=1)] == ["a"]
    assert [each.file for each in await devices.log_of(site, alice, MAC, limit=1)] == ["b??"]
    assert [each.file for each in await devices.log_of(site, eve, OTHER)] == ["c"]
    assert await devices.has_address(site, "192.0.2.7")
    assert not await devices.has_address(site, "192.0.2.66")


async def test_first_use_at_once(any_site: Site) -> None:
    """Of many that ask at the same moment one is first, on each kind of database."""
    await create(any_site, await actor(any_site, "alice"), "2001")
    held = await device(any_site)

    granted = await asyncio.gather(
        *(devices.grant(any_site, held.id, f"192.0.2.{at}") for at in range(8))
    )

    assert granted.count(True) == 1
    first = granted.index(True)
    assert (await device(any_site)).granted_to == f"192.0.2.{first}"


async def test_find(site: Site, alice: Actor, guest: Actor) -> None:
    """An administrator finds phones by what they are and whose they are, one part at a time."""
    root = await actor(site, "root", Role.ADMIN)

    async def found(search: str, offset: int = 0) -> tuple[list[str | None], int]:
        some, total = await devices.find_devices(site, root, search=search, offset=offset, limit=1)
        return [each.mac for each in some], total

    assert await found("") == ([MAC], 2)
    assert await found("", offset=1) == ([OTHER], 2)
    assert await found(MAC[-5:].upper()) == ([MAC], 1)
    assert await found("2001") == ([MAC], 1)
    assert await found("ALICE") == ([MAC], 1)
    assert await found("%") == ([], 0)
    with pytest.raises(Forbidden):
        await devices.find_devices(site, alice, search="", offset=0, limit=1)
