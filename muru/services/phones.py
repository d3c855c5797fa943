"""What ties the phones that register to the extensions and flavors they belong to."""

import asyncio
import inspect
import logging
from collections.abc import Callable

from sqlalchemy import select

from muru.asterisk.registrations import RegistrationChange, Registrations
from muru.db.models import Extension
from muru.db.realtime import batches
from muru.errors import DatabaseUnavailable
from muru.flavor import PhoneFlavor
from muru.jobs import Jobs
from muru.services.site import Site

_log = logging.getLogger(__name__)

_COLLECT = 0.5  # seconds in which changes are collected
_HOOK_TIMEOUT = 10.0  # seconds


async def follow(site: Site, jobs: Jobs, registrations: Registrations) -> None:
    """Tell flavors, and run their jobs soon, when phones of them came or went; does not return."""
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
            types = await _types_of(site, numbers)
        except DatabaseUnavailable as error:
            _log.warning("no flavor hears of %d changed registrations: %s", len(numbers), error)
            continue
        flavors = {type_: site.registry.for_type(type_) for type_ in set(types.values())}
        for flavor in filter(None, flavors.values()):
            jobs.run_soon(site.registry.entry_of(flavor).name)
        for number, type_ in types.items():
            told = flavors[type_]
            if told is not None:
                await _tell(told, number, len(registrations.contacts(number)))


async def types_of_all(site: Site) -> dict[str, str]:
    """Return the phone type of each extension, by its number."""
    async with site.database.read() as session:
        return dict((await session.execute(select(Extension.number, Extension.type))).all())


async def _types_of(site: Site, numbers: list[str]) -> dict[str, str]:
    types: dict[str, str] = {}
    async with site.database.read() as session:
        for chunk in batches(numbers):
            query = select(Extension.number, Extension.type).where(Extension.number.in_(chunk))
            types.update(dict((await session.execute(query)).all()))
    return types


async def _tell(flavor: PhoneFlavor, number: str, contacts: int) -> None:
    try:
        async with asyncio.timeout(_HOOK_TIMEOUT):
            hook: Callable[[str, int], object] = flavor.on_registration_change
            told = hook(number, contacts)
            if inspect.isawaitable(told):
                await told
    except Exception:
        name = type(flavor).__name__
        _log.exception("on_registration_change of %s failed for %s", name, number)
