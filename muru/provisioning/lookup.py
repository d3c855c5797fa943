"""Finds a device with its lines by MAC address or token: what every request of a phone begins with.

The cost does not grow with their number, and nothing is kept: a change is seen by the next request.

SQLite is asked on the event loop: the file is this machine's, and two rows by an index take some
30 µs, while a thread's turn would take ten times as long. Other databases are awaited as usual.
"""

import json
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Select, bindparam, select

from muru.db.models import Device, DeviceLine, Extension
from muru.db.sessions import Database

_log = logging.getLogger(__name__)

_BUSY = 0.05  # seconds; readers of a write-ahead log hardly ever wait
Key = Literal["mac", "token"]


@dataclass(frozen=True, slots=True)
class LineRecord:
    """A line of a device, and the extension that it is."""

    position: int
    number: str
    name: str
    type: str
    password: str = field(repr=False)
    extra_fields: dict[str, Any]
    media: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device as a request finds it; the columns are those of :class:`muru.db.models.Device`."""

    id: int
    mac: str | None
    flavor: str
    type: str
    token: str = field(repr=False)
    is_open: bool
    granted_at: datetime | None
    granted_to: str | None
    token_used: bool
    model: str
    firmware: str
    lines: tuple[LineRecord, ...]


_DEVICE = (
    Device.id,
    Device.mac,
    Device.flavor,
    Device.type,
    Device.token,
    Device.is_open,
    Device.granted_at,
    Device.granted_to,
    Device.token_used,
    Device.model,
    Device.firmware,
)
_LINE = (
    DeviceLine.position,
    Extension.number,
    Extension.name,
    Extension.type,
    Extension.password,
    Extension.extra_fields,
    Extension.media,
)


def _query(column: Any) -> Select[Any]:
    columns: list[Any] = [*_DEVICE, *_LINE]
    return (
        select(*columns)
        .outerjoin(DeviceLine, DeviceLine.device_id == Device.id)
        .outerjoin(Extension, Extension.id == DeviceLine.extension_id)
        .where(column == bindparam("key"))
        .order_by(DeviceLine.position)
    )


_QUERIES: dict[Key, Select[Any]] = {"mac": _query(Device.mac), "token": _query(Device.token)}


class Lookup:
    """Looks devices up in *database*; to be closed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._file = database.own.url.database if database.own.dialect.name == "sqlite" else None
        dialect = database.own.dialect
        self._texts = {key: str(query.compile(dialect=dialect)) for key, query in _QUERIES.items()}
        self._connection: sqlite3.Connection | None = None

    async def device(self, key: Key, value: str) -> DeviceRecord | None:
        """Return the device with that MAC address or token, if there is one.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        rows = self._read_file(key, value) if self._file else None
        if rows is None:
            async with self._database.read() as session:
                found = await session.execute(_QUERIES[key], {"key": value})
                rows = [tuple(row) for row in found]
        return _record(rows)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read_file(self, key: Key, value: str) -> Sequence[Sequence[Any]] | None:
        """Ask SQLite's file; None if it has to be asked in the other way, which tells why."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    f"file:{quote(self._file or '')}?mode=ro",
                    uri=True,
                    timeout=_BUSY,
                    isolation_level=None,
                )
            return self._connection.execute(self._texts[key], (value,)).fetchall()
        except sqlite3.Error as error:
            _log.debug("SQLite's file is asked in a thread: %s", error)
            self.close()
            return None


def _record(rows: Sequence[Sequence[Any]]) -> DeviceRecord | None:
    if not rows:
        return None
    id_, mac, flavor, type_, token, is_open, granted_at, granted_to, used, model, firmware = rows[
        0
    ][: len(_DEVICE)]
    lines = [row[len(_DEVICE) :] for row in rows]
    return DeviceRecord(
        id=id_,
        mac=mac,
        flavor=flavor,
        type=type_,
        token=token,
        is_open=bool(is_open),
        granted_at=_time(granted_at),
        granted_to=granted_to,
        token_used=bool(used),
        model=model,
        firmware=firmware,
        lines=tuple(_line(line) for line in lines if line[1] is not None),
    )


def _line(row: Sequence[Any]) -> LineRecord:
    position, number, name, type_, password, extra_fields, media = row
    return LineRecord(
        position, number, name, type_, password, _object(extra_fields), _object(media)
    )


def _object(value: Any) -> dict[str, Any]:
    """Return what a column of JSON holds, which SQLite's own driver does not parse."""
    parsed: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return parsed or {}


def _time(value: datetime | str | None) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value
