"""A device with its lines, found by an index, on each kind of database."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from muru.db.models import Device, DeviceLine, now
from muru.provisioning.lookup import Lookup
from muru.services import extensions
from muru.services.extensions import NewExtension
from muru.services.site import OPERATOR, Site

MAC, TOKEN = "0004137f0001", "abcdefghjkmnpqrstuvwxyz234"


@pytest.fixture
async def lookup(any_site: Site) -> AsyncIterator[Lookup]:
    opened = Lookup(any_site.database)
    yield opened
    opened.close()


async def add(site: Site, lines: int) -> None:
    numbers = []
    for at in range(lines):
        new = NewExtension("SIP", f"Ä{at}", owner="owner", extra_fields={"codec": "alaw"})
        numbers.append(await extensions.create_extension(site, OPERATOR, new))
    async with site.transaction() as transaction:
        device = Device(
            mac=MAC,
            flavor="snom",
            type="Snom D735",
            token=TOKEN,
            granted_at=now(),
            granted_to="192.0.2.1",
        )
        transaction.session.add(device)
        await transaction.session.flush()
        for at, extension in enumerate(reversed(numbers)):
            position = lines - at
            transaction.session.add(
                DeviceLine(device_id=device.id, position=position, extension_id=extension.id)
            )


@pytest.mark.parametrize(("key", "value"), [("mac", MAC), ("token", TOKEN)])
async def test_device_with_its_lines(any_site: Site, lookup: Lookup, key: str, value: str) -> None:
    """A device is found by address or token, its lines in order, with all that a file needs."""
    await add(any_site, 3)

    found = await lookup.device(key, value)  # type: ignore[arg-type]

    assert found is not None
    assert (found.mac, found.token, found.type, found.is_open) == (MAC, TOKEN, "Snom D735", True)
    assert found.granted_to == "192.0.2.1"
    assert found.granted_at is not None
    assert abs((now() - found.granted_at).total_seconds()) < 60
    assert [line.position for line in found.lines] == [1, 2, 3]
    assert [line.name for line in found.lines] == ["Ä0", "Ä1", "Ä2"]
    assert found.lines[0].extra_fields == {"codec": "alaw"}
    assert len(found.lines[0].password) == 20
    assert found.lines[0].password not in repr(found)
    assert TOKEN not in repr(found)


async def test_unknown_device(any_site: Site, lookup: Lookup) -> None:
    """What is not there is not found, however it is written."""
    await add(any_site, 0)
    known = await lookup.device("mac", MAC)

    assert known is not None
    assert known.lines == ()
    for value in ("", "0004137f0002", "' OR 1=1 --", "%", MAC.upper(), "\U0001f4de"):
        assert await lookup.device("mac", value) is None
        assert await lookup.device("token", value) is None


async def test_change_is_seen_at_once(any_site: Site, lookup: Lookup) -> None:
    """Nothing is remembered: what was committed is what the next look finds."""
    await add(any_site, 1)
    for name in ("Anna", "Ben", "Clara"):
        found = await lookup.device("mac", MAC)
        assert found is not None
        change = extensions.ExtensionChange(name=name)
        await extensions.change_extension(any_site, OPERATOR, found.lines[0].number, change)

        again = await lookup.device("mac", MAC)
        assert again is not None
        assert again.lines[0].name == name


async def test_look_while_somebody_writes(any_site: Site, lookup: Lookup) -> None:
    """A transaction that is under way holds up no look, and is not seen before its commit."""
    await add(any_site, 1)
    async with any_site.database.transaction() as transaction:
        device = await transaction.session.scalar(select(Device))
        assert device is not None
        device.model = "half way"
        await transaction.session.flush()

        async with asyncio.timeout(2):
            found = await lookup.device("mac", MAC)

    assert found is not None
    assert found.model == ""


async def test_file_that_is_away(site: Site) -> None:
    """Where SQLite's file cannot be read in the quick way, it is read in the other."""
    lookup = Lookup(site.database)
    lookup._file = "/nowhere/muru.sqlite3"

    assert await lookup.device("mac", MAC) is None
    await add(site, 1)
    assert await lookup.device("mac", MAC) is not None
