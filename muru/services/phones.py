"""What ties the phones that register to the extensions and flavors they belong to."""

import asyncio
import logging

from sqlalchemy import select

from muru.asterisk.registrations import RegistrationChange, Registrations
from muru.db.models import Extension
from muru.db.realtime import batches
from muru.errors import DatabaseUnavailable
from muru.jobs import Jobs
from muru.services.site import Site

_log = logging.getLogger(__name__)

_COLLECT = 0.5  # seconds in which changes are collected


async def follow(site: Site, jobs: Jobs, registrations: Registrations) -> None:
    """Let the job of a flavor run soon whenever a phone of it came or went; does not return."""
    changed: set[str] = set()
    wake = asyncio.Event()

    def note(change: RegistrationChange) -> None:
        if change.kind != "updated":
            changed.add(change.contact.extension)
            wake.set()

    registrations.subscribe(note)
    while True:
        await wake.wait()
        await asyncio.sleep(_COLLECT)
        wake.clear()
        numbers = list(changed)
        changed.clear()
        try:
            await _run_jobs_of(site, jobs, numbers)
        except DatabaseUnavailable as error:
            _log.warning("no job hears of %d changed registrations: %s", len(numbers), error)


async def _run_jobs_of(site: Site, jobs: Jobs, numbers: list[str]) -> None:
    types: set[str] = set()
    async with site.database.read() as session:
        for chunk in batches(numbers):
            query = select(Extension.type).where(Extension.number.in_(chunk)).distinct()
            types.update(await session.scalars(query))
    for phone_type in types:
        flavor = site.registry.for_type(phone_type)
        if flavor is not None:
            jobs.run_soon(site.registry.entry_of(flavor).name)
