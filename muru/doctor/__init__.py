"""``muru doctor``: looks whether everything that muru stands on is as it should be.

It looks, and changes nothing; it may be run while muru runs, and while it does not. A check that
finds nothing to look at, as what it needs is missing, says nothing: the first fault is the cause.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from muru.doctor import asterisk, database, doors, flavors, machine
from muru.doctor.finding import Finding, fault
from muru.settings import Settings

__all__ = ["Finding", "examine"]

_log = logging.getLogger(__name__)

_CHECKS: tuple[Callable[[Settings], Awaitable[list[Finding]]], ...] = (
    machine.examine,
    database.examine,
    flavors.examine,
    asterisk.examine,
    doors.examine,
)


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Yield what is found, in the order in which the parts stand on each other."""
    for check in _CHECKS:
        try:
            findings = await check(settings)
        except Exception as error:  # one check must not hide what the others find
            _log.debug("a check failed", exc_info=error)
            area = check.__module__.rpartition(".")[2]
            text = f"This could not be examined: {error or type(error).__name__}."
            yield fault(area, text, "Please report this as a bug of muru.")
            continue
        for finding in findings:
            yield finding
