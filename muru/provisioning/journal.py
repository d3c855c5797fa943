"""The log of what phones asked for and got, for their owners to read.

Entries are kept back for a moment and written many at once; so are the times at which devices were
last seen. Whoever waits for a phone's next request hears of it at once.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from muru.db.models import Device, ProvisioningLogEntry, now
from muru.db.realtime import batches
from muru.db.sessions import Database
from muru.errors import DatabaseUnavailable
from muru.provisioning.request import Proof

_log = logging.getLogger(__name__)

_PAUSE = 0.5  # seconds in which entries are collected
_BOUND = 20_000  # entries that wait to be written; the oldest are dropped
_AT_ONCE = 200  # written in one transaction, so that others have their turn
_KEPT = 200_000  # entries in all
_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of a phone, and what became of it. *reason* says why it got nothing.

    *token* is that of its URL, and *is_own* says whether the file is the phone's own configuration.
    """

    address: str
    transport: str
    file: str
    status: int
    reason: str = ""
    mac: str | None = None
    device_id: int | None = None
    flavor: str = ""
    proof: Proof = ""
    user_agent: str = ""
    model: str = ""
    firmware: str = ""
    token: str = field(default="", repr=False)
    is_own: bool = False
    at: datetime = field(default_factory=now)


class Journal:
    """Writes visits into the database in the background."""

    def __init__(self, database: Database, *, days: int) -> None:
        self.dropped = 0
        self._database = database
        self._days = days
        self._waiting: deque[Visit] = deque()
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._subscribers: list[Callable[[Visit], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def waiting(self) -> int:
        """How many entries are still to be written."""
        return len(self._waiting)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="provisioning log")

    async def stop(self) -> None:
        """End the writing, after what waits is written."""
        if self._task is not None:
            self._ending.set()
            self._wake.set()
            await self._task
            self._task = None

    def note(self, visit: Visit) -> None:
        if len(self._waiting) >= _BOUND:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(visit)
        self._wake.set()
        for callback in list(self._subscribers):
            callback(visit)

    def subscribe(self, callback: Callable[[Visit], None]) -> Callable[[], None]:
        """Have *callback* called with each visit; returns what ends that. It must not raise."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    async def flush(self) -> None:
        """Write what waits; where the database is away, it is lost."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            try:
                await self._write(batch)
                self._failing = False
            except DatabaseUnavailable as error:
                self.dropped += len(batch)
                if not self._failing:
                    _log.warning(
                        "%d entries of the provisioning log are lost: %s", len(batch), error
                    )
                self._failing = True

    async def prune(self) -> None:
        """Delete what is older than the days that it is kept for, or beyond the bound."""
        async with self._database.transaction() as transaction:
            session = transaction.session
            oldest = now() - timedelta(days=self._days)
            await session.execute(
                delete(ProvisioningLogEntry).where(ProvisioningLogEntry.at < oldest)
            )
            newest = await session.scalar(select(func.max(ProvisioningLogEntry.id)))
            if newest is not None:
                await session.execute(
                    delete(ProvisioningLogEntry).where(ProvisioningLogEntry.id <= newest - _KEPT)
                )

    async def _run(self) -> None:
        while not self._ending.is_set():
            await self._wake.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _PAUSE)
            self._wake.clear()
            try:
                await self.flush()
            except Exception:
                _log.exception("the provisioning log could not be written")

    async def _write(self, visits: list[Visit]) -> None:
        async with self._database.transaction() as transaction:
            session = transaction.session
            ids = await _device_ids(session, visits)
            await session.execute(
                insert(ProvisioningLogEntry), [_row(visit, ids) for visit in visits]
            )
            if seen := _last_seen(visits):
                connection = await session.connection()
                await connection.execute(_SEEN, seen)
            # By the token, not the device: meanwhile it may have been opened, and have another.
            for chunk in batches({visit.token for visit in visits if visit.proof == "token"}):
                await session.execute(
                    update(Device)
                    .where(Device.token.in_(chunk), Device.token_used.is_(False))
                    .values(token_used=True, is_open=False)
                    .execution_options(synchronize_session=False)
                )


_SEEN = (
    update(Device)
    .where(Device.id == bindparam("of_id"))
    .values(
        last_seen=bindparam("of_at"),
        last_file=bindparam("of_file"),
        address=bindparam("of_address"),
        user_agent=bindparam("of_user_agent"),
        model=bindparam("of_model"),
        firmware=bindparam("of_firmware"),
    )
)


async def _device_ids(session: Any, visits: Iterable[Visit]) -> dict[str, int]:
    """Return the devices of visits of which only the MAC address is known, by that."""
    ids: dict[str, int] = {}
    wanted = {visit.mac for visit in visits if visit.mac and visit.device_id is None}
    for chunk in batches(wanted):
        found = await session.execute(select(Device.mac, Device.id).where(Device.mac.in_(chunk)))
        ids.update(dict(found.all()))
    return ids


def _row(visit: Visit, ids: dict[str, int]) -> dict[str, Any]:
    return {
        "at": visit.at,
        "device_id": visit.device_id or ids.get(visit.mac or ""),
        "mac": visit.mac,
        "flavor": visit.flavor,
        "address": visit.address[:45],
        "transport": visit.transport,
        "file": _clean(visit.file, 255),
        "user_agent": _clean(visit.user_agent, 255),
        "proof": visit.proof,
        "status": visit.status,
        "reason": visit.reason[:200],
    }


def _last_seen(visits: Iterable[Visit]) -> list[dict[str, Any]]:
    """Return the last proven visit of each device: what others say of it does not count."""
    last: dict[int, dict[str, Any]] = {}
    for visit in visits:
        if not visit.proof or visit.device_id is None:
            continue
        before = last.get(visit.device_id, {})
        last[visit.device_id] = {
            "of_id": visit.device_id,
            "of_at": visit.at,
            "of_file": _clean(visit.file, 255),
            "of_address": visit.address[:45],
            "of_user_agent": _clean(visit.user_agent, 255),
            "of_model": _clean(visit.model, 100) or before.get("of_model", ""),
            "of_firmware": _clean(visit.firmware, 100) or before.get("of_firmware", ""),
        }
    return list(last.values())


def _clean(text: str, longest: int) -> str:
    return _UNWRITABLE.sub("?", text)[:longest]
