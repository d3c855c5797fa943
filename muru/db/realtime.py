"""Asterisk's realtime tables, and the one way by which muru writes them.

The tables have the columns that muru uses, named and keyed as in Asterisk's own schema
(``contrib/ast-db-manage``), so that they also fit where that schema is already there.

Asterisk's tables have no room to say who wrote a row. So each row of muru's is noted in
``muru_realtime_rows``, in the same database and transaction. :func:`replace` makes the rows of some
numbers equal to what is wanted; it is what hooks and reconciliation both use, and it never touches
a row that is not noted there, but for one case: a step of muru's own dialplan context, at a number
of muru's, that somebody added by hand would be run as part of the call, and goes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import (
    ColumnElement,
    MetaData,
    Select,
    UniqueConstraint,
    inspect,
    select,
    tuple_,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import UserDefinedType

from muru.asterisk.escape import read_realtime_value, realtime_value
from muru.db.models import text
from muru.errors import Conflict

_BATCH = 200  # keys in one IN (...): well below every database's bound on parameters


class RealtimeString(UserDefinedType[str]):
    """A string as Asterisk's drivers read it.

    PostgreSQL may also take it for one of the enumerations of Asterisk's schema: SQLAlchemy's
    String would bind it as ``$1::VARCHAR``, which an enum column refuses.
    """

    cache_ok = True

    def __init__(self, length: int) -> None:
        self.length = length

    def get_col_spec(self, **_: Any) -> str:
        return f"VARCHAR({self.length})"

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        return lambda value: None if value is None else realtime_value(value, dialect.name)

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[str | None], str | None]:
        del coltype
        return lambda value: None if value is None else read_realtime_value(value, dialect.name)


class RealtimeBase(DeclarativeBase):
    metadata = MetaData()


class RealtimeRow(RealtimeBase):
    """Base of the mapped tables. ``NATURAL_KEY`` names the columns that tell rows apart."""

    __abstract__ = True
    NATURAL_KEY: ClassVar[tuple[str, ...]] = ("id",)

    @property
    def row_key(self) -> str:
        return "|".join(str(getattr(self, column)) for column in self.NATURAL_KEY)

    def values(self) -> dict[str, Any]:
        """Return the columns that muru sets, without a generated primary key."""
        columns = inspect(type(self)).columns.keys()
        return {
            name: getattr(self, name)
            for name in columns
            if name != "id" or "id" in self.NATURAL_KEY
        }


class PsEndpoint(RealtimeRow):
    """`ps_endpoints`: https://docs.asterisk.org, module res_pjsip, section endpoint."""

    __tablename__ = "ps_endpoints"

    id: Mapped[str] = mapped_column(RealtimeString(255), primary_key=True)
    aors: Mapped[str | None] = mapped_column(RealtimeString(2048))
    auth: Mapped[str | None] = mapped_column(RealtimeString(255))
    context: Mapped[str | None] = mapped_column(RealtimeString(40))
    disallow: Mapped[str | None] = mapped_column(RealtimeString(200))
    allow: Mapped[str | None] = mapped_column(RealtimeString(200))
    callerid: Mapped[str | None] = mapped_column(RealtimeString(160))
    allow_overlap: Mapped[str | None] = mapped_column(RealtimeString(3))
    codec_prefs_incoming_offer: Mapped[str | None] = mapped_column(RealtimeString(128))
    codec_prefs_outgoing_offer: Mapped[str | None] = mapped_column(RealtimeString(128))
    direct_media: Mapped[str | None] = mapped_column(RealtimeString(3))
    dtmf_mode: Mapped[str | None] = mapped_column(RealtimeString(16))
    force_rport: Mapped[str | None] = mapped_column(RealtimeString(3))
    moh_suggest: Mapped[str | None] = mapped_column(RealtimeString(40))
    rewrite_contact: Mapped[str | None] = mapped_column(RealtimeString(3))
    rtp_symmetric: Mapped[str | None] = mapped_column(RealtimeString(3))
    webrtc: Mapped[str | None] = mapped_column(RealtimeString(3))


class PsAuth(RealtimeRow):
    """`ps_auths`: module res_pjsip, section auth."""

    __tablename__ = "ps_auths"

    id: Mapped[str] = mapped_column(RealtimeString(255), primary_key=True)
    auth_type: Mapped[str | None] = mapped_column(RealtimeString(16))
    username: Mapped[str | None] = mapped_column(RealtimeString(255))
    password: Mapped[str | None] = mapped_column(RealtimeString(255))


class PsAor(RealtimeRow):
    """`ps_aors`: module res_pjsip, section aor. Intervals are in seconds."""

    __tablename__ = "ps_aors"

    id: Mapped[str] = mapped_column(RealtimeString(255), primary_key=True)
    max_contacts: Mapped[int | None]
    remove_existing: Mapped[str | None] = mapped_column(RealtimeString(3))
    remove_unavailable: Mapped[str | None] = mapped_column(RealtimeString(3))
    qualify_frequency: Mapped[int | None]
    minimum_expiration: Mapped[int | None]
    default_expiration: Mapped[int | None]
    maximum_expiration: Mapped[int | None]


class DialplanStep(RealtimeRow):
    """`extensions`: one step of the dialplan, read by ``switch => Realtime``."""

    __tablename__ = "extensions"
    __table_args__ = (UniqueConstraint("context", "exten", "priority"),)
    NATURAL_KEY = ("context", "exten", "priority")

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    context: Mapped[str] = mapped_column(RealtimeString(40))
    exten: Mapped[str] = mapped_column(RealtimeString(40))
    priority: Mapped[int]
    app: Mapped[str] = mapped_column(RealtimeString(40))
    appdata: Mapped[str | None] = mapped_column(RealtimeString(256))


class MusicOnHold(RealtimeRow):
    """`musiconhold`: a class of res_musiconhold. Read by Asterisk at each use, as is the folder."""

    __tablename__ = "musiconhold"
    NATURAL_KEY = ("name",)

    name: Mapped[str] = mapped_column(RealtimeString(80), primary_key=True)
    mode: Mapped[str | None] = mapped_column(RealtimeString(16))
    directory: Mapped[str | None] = mapped_column(RealtimeString(255))


class Ownership(RealtimeBase):
    """Says that muru wrote the row *row_key* of *table_name* for the extension *number*."""

    __tablename__ = "muru_realtime_rows"

    table_name: Mapped[str] = mapped_column(text(40), primary_key=True)
    row_key: Mapped[str] = mapped_column(text(255), primary_key=True)
    number: Mapped[str] = mapped_column(text(15), index=True)


TABLES: dict[str, type[RealtimeRow]] = {
    table.__tablename__: table for table in (PsEndpoint, PsAuth, PsAor, DialplanStep, MusicOnHold)
}


@dataclass(frozen=True, slots=True)
class Change:
    """One row that :func:`replace` wrote; ``columns`` are those that differed."""

    action: str  # "inserted", "updated" or "deleted"
    table: str
    row_key: str
    number: str
    columns: tuple[str, ...] = ()


_CHANGES = "muru_realtime_changes"


def replace(session: Session, number: str, rows: Sequence[RealtimeRow]) -> list[Change]:
    """Make *rows* all that Asterisk holds for the extension *number*; return what was written.

    To be called with the ``asterisk_session`` of a hook. Asterisk is told of the changes after the
    commit, by whoever opened the transaction. May be repeated.

    Raises:
        Conflict: one of the rows is there already and is not muru's.
    """
    changes, foreign = replace_many(session, {number: rows})
    if foreign:
        raise Conflict(
            f"Asterisk's table {foreign[0].table} already holds {foreign[0].row_key!r}, which muru "
            "did not write. Choose another number, or ask the operator to remove it there.",
            key="number-taken",
        )
    return changes


def replace_many(
    session: Session, wanted: Mapping[str, Sequence[RealtimeRow]]
) -> tuple[list[Change], list[Change]]:
    """Do :func:`replace` for many numbers with few statements.

    Returns:
        What was written, and the wanted rows that were left alone because a row that is not
        muru's stands in their place.
    """
    changes: list[Change] = []
    foreign: list[Change] = []
    for numbers in batches(wanted):
        batch = {number: wanted[number] for number in numbers}
        for change in _replace_batch(session, batch):
            (foreign if change.action == "foreign" else changes).append(change)
    session.flush()
    session.info.setdefault(_CHANGES, []).extend(changes)
    return changes, foreign


def take_changes(session: Session) -> list[Change]:
    """Return what was written through *session* since the last call."""
    changes: list[Change] = session.info.pop(_CHANGES, [])
    return changes


def owners(session: Session) -> set[str]:
    """Return the numbers for which muru wrote any row."""
    return set(session.scalars(select(Ownership.number).distinct()))


def existing_aors(session: Session, names: Iterable[str]) -> set[str]:
    """Return those of *names* that are AORs, whoever wrote them."""
    found = set[str]()
    for chunk in batches(names):
        found.update(session.scalars(select(PsAor.id).where(PsAor.id.in_(chunk))))
    return found


def lock(session: Session, numbers: Iterable[str]) -> None:
    """Let nobody else write what muru has written for *numbers*, until the transaction ends."""
    for chunk in batches(numbers):
        session.scalars(_owned(chunk)).all()


def batches(values: Iterable[str]) -> Iterator[list[str]]:
    """Return *values* in pieces that fit into one statement, in order."""
    ordered = sorted(values)
    return (ordered[start : start + _BATCH] for start in range(0, len(ordered), _BATCH))


def _owned(numbers: Sequence[str]) -> Select[Ownership]:
    # Locked in one order by everybody, since whoever replaces the same rows has to wait.
    return (
        select(Ownership)
        .where(Ownership.number.in_(numbers))
        .order_by(Ownership.table_name, Ownership.row_key)
        .with_for_update()
    )


_Place = tuple[str, str]  # table name, row key


def _replace_batch(
    session: Session, wanted: Mapping[str, Sequence[RealtimeRow]]
) -> Iterable[Change]:
    owned = {
        (ownership.table_name, ownership.row_key): ownership
        for ownership in session.scalars(_owned(list(wanted)))
    }
    rows = {
        (row.__tablename__, row.row_key): (number, row)
        for number, number_rows in wanted.items()
        for row in number_rows
    }
    present = _load(session, owned.keys() | rows.keys())
    for place, (number, row) in rows.items():
        change = _write(session, number, row, present.get(place), owned.get(place))
        if change is not None:
            yield change
    for place in sorted((present.keys() | owned.keys()) - rows.keys()):
        ownership, existing = owned.get(place), present.get(place)
        if ownership is not None:
            session.delete(ownership)
        if existing is not None:
            session.delete(existing)
            number = ownership.number if ownership else place[1].split("|")[1]
            yield Change("deleted", *place, number)


def _write(
    session: Session,
    number: str,
    row: RealtimeRow,
    existing: RealtimeRow | None,
    ownership: Ownership | None,
) -> Change | None:
    table, key = row.__tablename__, row.row_key
    if existing is not None and ownership is None:
        return Change("foreign", table, key, number)
    if ownership is None:
        session.add(Ownership(table_name=table, row_key=key, number=number))
    if existing is None:
        session.add(row)
        return Change("inserted", table, key, number)
    before = existing.values()
    differing = {name: value for name, value in row.values().items() if before[name] != value}
    for name, value in differing.items():
        setattr(existing, name, value)
    return Change("updated", table, key, number, tuple(differing)) if differing else None


def _load(session: Session, places: Iterable[_Place]) -> dict[_Place, RealtimeRow]:
    """Load the rows at *places*, and every other step of a dialplan extension among them."""
    keys: dict[str, set[str]] = defaultdict(set)
    for name, key in places:
        keys[name].add(key)
    found: dict[_Place, RealtimeRow] = {}
    for name, table_keys in keys.items():
        table = TABLES[name]
        for row in session.scalars(select(table).where(_at(table, table_keys))):
            found[name, row.row_key] = row
    return found


def _at(table: type[RealtimeRow], keys: set[str]) -> ColumnElement[bool]:
    if table is DialplanStep:
        pairs = sorted({tuple(key.split("|")[:2]) for key in keys})
        return tuple_(DialplanStep.context, DialplanStep.exten).in_(pairs)
    column: ColumnElement[str] = inspect(table).columns[table.NATURAL_KEY[0]]
    return column.in_(sorted(keys))
