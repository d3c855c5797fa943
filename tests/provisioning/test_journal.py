"""What phones asked for is written in the background, many at once, and bounded."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from muru.db.models import Device, ProvisioningLogEntry, now
from muru.errors import DatabaseUnavailable
from muru.provisioning import journal as module
from muru.provisioning.journal import Journal, Visit
from muru.services.site import Site

MAC, TOKEN = "0004137f0001", "t" * 26


@pytest.fixture
async def journal(any_site: Site) -> AsyncIterator[Journal]:
    opened = Journal(any_site.database, days=14)
    opened.start()
    yield opened
    await opened.stop()


def visit(**more: Any) -> Visit:
    usual = {"address": "192.0.2.1", "transport": "http", "file": "x", "status": 200}
    return Visit(**{**usual, **more})


async def add_device(site: Site) -> int:
    async with site.transaction() as transaction:
        device = Device(mac=MAC, flavor="snom", type="Snom D735", token=TOKEN)
        transaction.session.add(device)
        await transaction.session.flush()
        return device.id


async def entries(site: Site) -> list[ProvisioningLogEntry]:
    async with site.database.read() as session:
        return list(
            await session.scalars(select(ProvisioningLogEntry).order_by(ProvisioningLogEntry.id))
        )


async def test_visits_are_written_soon(any_site: Site, journal: Journal) -> None:
    """Within a second or so, without anybody asking for it, a visit is in the log."""
    journal.note(visit(file="snom/x.htm", user_agent="snom"))

    async with asyncio.timeout(5):
        while not (found := await entries(any_site)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert [(each.file, each.user_agent, each.status) for each in found] == [
        ("snom/x.htm", "snom", 200)
    ]


async def test_device_was_seen(any_site: Site, journal: Journal) -> None:
    """A proven visit tells where the device was last seen; one without a proof tells nothing."""
    device_id = await add_device(any_site)
    journal.note(visit(mac=MAC, address="198.51.100.9", status=404))
    proven = {"device_id": device_id, "mac": MAC, "proof": "token", "token": TOKEN}
    journal.note(visit(**proven, model="D735", firmware="10"))
    journal.note(visit(**proven, file="y"))
    await journal.flush()

    async with any_site.database.read() as session:
        device = await session.get_one(Device, device_id)

    assert (device.address, device.last_file, device.model) == ("192.0.2.1", "y", "D735")
    assert (device.token_used, device.is_open) == (True, False)
    assert {each.device_id for each in await entries(any_site)} == {device_id}


async def test_token_that_has_ended(any_site: Site, journal: Journal) -> None:
    """A visit with a token that was replaced in that moment does not close the phone again."""
    device_id = await add_device(any_site)
    journal.note(visit(device_id=device_id, mac=MAC, proof="token", token="o" * 26))
    await journal.flush()

    async with any_site.database.read() as session:
        assert (await session.get_one(Device, device_id)).is_open


async def test_any_text_can_be_written(any_site: Site, journal: Journal) -> None:
    """Whatever a phone has sent is kept in a form that every database takes."""
    journal.note(visit(file="a\x00\ud800" * 200, user_agent="\x1b[31m\U0001f4de" * 200))
    await journal.flush()

    (entry,) = await entries(any_site)
    assert entry.file.isprintable()
    assert len(entry.file) == 255
    assert "\x1b" not in entry.user_agent
    assert journal.dropped == 0


async def test_too_many_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest are dropped, and counted."""
    monkeypatch.setattr(module, "_BOUND", 10)
    journal = Journal(site.database, days=14)
    for at in range(25):
        journal.note(visit(file=str(at)))

    await journal.flush()

    assert [each.file for each in await entries(site)] == [str(at) for at in range(15, 25)]
    assert journal.dropped == 15


async def test_database_is_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is lost and counted; what comes later is written."""
    journal = Journal(site.database, days=14)
    with monkeypatch.context() as patch:

        async def fail(_: object) -> None:
            raise DatabaseUnavailable("it is away")

        patch.setattr(journal, "_write", fail)
        journal.note(visit(file="lost"))
        await journal.flush()
    journal.note(visit(file="kept"))
    await journal.flush()

    assert [each.file for each in await entries(site)] == ["kept"]
    assert journal.dropped == 1


async def test_stop_writes_what_waits(site: Site) -> None:
    """What was noted just before the end is in the log."""
    journal = Journal(site.database, days=14)
    journal.start()
    await asyncio.sleep(0)
    journal.note(visit(file="last"))

    await journal.stop()

    assert [each.file for each in await entries(site)] == ["last"]


async def test_old_entries_go(any_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is bounded by the days that are set, and by a number."""
    journal = Journal(any_site.database, days=2)
    for days, name in ((3, "old"), (1, "kept"), (0, "new")):
        journal.note(visit(file=name, at=now() - timedelta(days=days)))
    await journal.flush()

    await journal.prune()
    assert [each.file for each in await entries(any_site)] == ["kept", "new"]

    monkeypatch.setattr(module, "_KEPT", 1)
    await journal.prune()
    assert [each.file for each in await entries(any_site)] == ["new"]


async def test_subscribers_hear_at_once(site: Site) -> None:
    """Whoever waits for a phone hears of its visit in that moment, until they have enough."""
    journal, heard = Journal(site.database, days=14), []
    end = journal.subscribe(lambda each: heard.append(each.file))
    journal.note(visit(file="one"))
    end()
    journal.note(visit(file="two"))

    assert heard == ["one"]
    async with site.database.read() as session:
        assert await session.scalar(select(func.count(ProvisioningLogEntry.id))) == 0
