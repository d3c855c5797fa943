"""Many extensions at once: out of a table of comma-separated values, and into one.

A table that is to be imported is looked through first, and every fault is told by its line. Only a
flavor's own hook can refuse a line later than that.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from muru.db.models import Extension, TakenNumber, User
from muru.db.realtime import batches
from muru.errors import Invalid, MuruError
from muru.services import audit
from muru.services.extensions import NewExtension, create_extension, delete_extension
from muru.services.rules import check_number, clean_extra_fields, clean_name, clean_text
from muru.services.site import Actor, Site

COLUMNS = ("number", "name", "type", "owner", "public", "info", "extra_fields")
NEEDED = ("name", "type")
MOST_LINES = 2_000

_YES, _NO = {"yes", "true", "1"}, {"no", "false", "0", ""}
_FORMULA = ("=", "+", "-", "@", "\t")  # what spreadsheets run where a cell begins with it


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a line, from 1 on; *column* is empty where it is not about one."""

    line: int
    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    new: NewExtension


@dataclass(slots=True)
class Table:
    """What was read; *faults* come in the order of their lines."""

    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """*undone* says that what had been created was deleted again, because of *faults*."""

    created: list[Extension] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    undone: bool = False


def write(extensions: Iterable[Extension]) -> str:
    """Return a table of *extensions*, without what is secret."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for each in extensions:
        extra_fields = (
            json.dumps(each.extra_fields, ensure_ascii=False) if each.extra_fields else ""
        )
        public = "yes" if each.public else "no"
        cells = [each.number, each.name, each.type, each.owner.username, public, each.info]
        writer.writerow([*map(_harmless, cells), extra_fields])
    return text.getvalue()


def read(text: str) -> Table:
    """Return what stands in a table with a line of headings; separated by commas or semicolons."""
    table = Table()
    text = text.removeprefix("\ufeff").lstrip("\n")
    head = text.partition("\n")[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        table.faults += _faults_of_head([each.strip() for each in reader.fieldnames or []])
        if table.faults:
            return table
        reader.fieldnames = [each.strip() for each in reader.fieldnames or []]
        for cells in reader:
            if len(table.rows) + len(table.faults) >= MOST_LINES:
                table.faults.append(Fault(reader.line_num, "", f"{MOST_LINES} lines at most"))
                break
            _read_row(table, reader.line_num, cells)
    except csv.Error as error:
        table.faults.append(Fault(reader.line_num, "", f"this is no table: {error}"))
    if not table.rows and not table.faults:
        table.faults.append(Fault(1, "", "there is no line with an extension"))
    return table


async def check(site: Site, actor: Actor, table: Table) -> None:
    """Add to the faults of *table* what can be known before anything is created.

    Raises:
        Forbidden: *actor* is no administrator.
    """
    actor.require_admin()
    known = await _Known.of(site, table)
    for row in table.rows:
        table.faults += _faults_of(site, actor, row, known)
    table.faults.sort(key=lambda fault: fault.line)


async def create(site: Site, actor: Actor, rows: Iterable[Row], *, all_or_nothing: bool) -> Outcome:
    """Create an extension for each row, one after the other.

    Where one is refused: with *all_or_nothing* those before it are deleted again and the rest is
    left, else it alone is left out.
    """
    actor.require_admin()
    outcome = Outcome()
    for row in rows:
        try:
            outcome.created.append(await create_extension(site, actor, row.new))
        except MuruError as error:
            outcome.faults += _told(row.line, error)
            if all_or_nothing:
                await _undo(site, actor, outcome)
                break
    async with site.transaction() as transaction:
        target = f"{len(outcome.created)} created, {len(outcome.faults)} refused"
        audit.note(transaction.session, actor, "extension.import", target)
    return outcome


async def _undo(site: Site, actor: Actor, outcome: Outcome) -> None:
    for extension in reversed(outcome.created):
        await delete_extension(site, actor, extension.number)
    outcome.created, outcome.undone = [], True


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _plain(cell: str) -> str:
    """Return a cell as it was before :func:`_harmless`."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell


def _faults_of_head(names: list[str]) -> Iterator[Fault]:
    for name in NEEDED:
        if name not in names:
            yield Fault(1, name, "this column is missing")
    for name, count in Counter(names).items():
        if name not in COLUMNS:
            yield Fault(1, name[:50], f"no such column; there are {', '.join(COLUMNS)}")
        elif count > 1:
            yield Fault(1, name, "this column is there more than once")


def _read_row(table: Table, line: int, cells: dict[str | Any, str | Any]) -> None:
    if None in cells:
        table.faults.append(Fault(line, "", "this line has more cells than the first one"))
        return
    told = {name: _plain((cell or "").strip()) for name, cell in cells.items()}
    faults = []
    public, extra = told.get("public", "").lower(), told.get("extra_fields", "")
    if public not in _YES | _NO:
        faults.append(Fault(line, "public", "yes or no"))
    try:
        extra_fields = json.loads(extra) if extra else {}
    except (ValueError, RecursionError):
        extra_fields = None
    if not isinstance(extra_fields, dict):
        faults.append(Fault(line, "extra_fields", 'JSON like {"name": "value"}'))
        extra_fields = {}
    if faults:
        table.faults += faults
        return
    new = NewExtension(
        type=told["type"],
        name=told["name"],
        number=told.get("number") or None,
        info=told.get("info", ""),
        public=public in _YES,
        extra_fields=extra_fields,
        owner=told.get("owner") or None,
    )
    table.rows.append(Row(line, new))


@dataclass(slots=True)
class _Known:
    """What the database says about all rows; *places* is how many more somebody may have."""

    taken: set[str]
    places: dict[str, int]
    lines: dict[str, int] = field(default_factory=dict)  # in which a number was seen first

    @classmethod
    async def of(cls, site: Site, table: Table) -> "_Known":
        numbers = {row.new.number for row in table.rows if row.new.number}
        owners = {row.new.owner.lower() for row in table.rows if row.new.owner}
        taken: set[str] = set()
        places: dict[str, int] = {}
        async with site.database.read() as session:
            for chunk in batches(numbers):
                query = select(TakenNumber.number).where(TakenNumber.number.in_(chunk))
                taken.update(await session.scalars(query))
            for chunk in batches(owners):
                users = list(await session.scalars(select(User).where(User.username.in_(chunk))))
                counts = dict(
                    (
                        await session.execute(
                            select(Extension.owner_id, func.count(Extension.id))
                            .where(Extension.owner_id.in_([user.id for user in users]))
                            .group_by(Extension.owner_id)
                        )
                    ).all()
                )
                for user in users:
                    most = MOST_LINES if user.is_admin else site.settings.extensions_per_user
                    used = 0 if user.is_admin else counts.get(user.id, 0)
                    places[user.username] = most - used
        return cls(taken, places)


def _faults_of(site: Site, actor: Actor, row: Row, known: _Known) -> Iterator[Fault]:
    new, line = row.new, row.line
    try:
        flavor = site.registry.require_type(new.type)
    except Invalid as error:
        yield from _told(line, error)
        return
    for clean in (
        lambda: clean_name(site.settings, actor, flavor, new.name),
        lambda: clean_text("info", new.info, 1000),
        lambda: clean_extra_fields(flavor, new.extra_fields),
    ):
        try:
            clean()
        except MuruError as error:
            yield from _told(line, error)
    if new.number is not None:
        yield from _faults_of_number(site, actor, line, new.number, known)
    owner = (new.owner or "").lower()
    if owner and owner not in known.places:
        yield Fault(line, "owner", "there is no such user")
    elif owner:
        known.places[owner] -= 1
        if known.places[owner] < 0:
            most = site.settings.extensions_per_user
            yield Fault(line, "owner", f"more than {most} extensions are not allowed")


def _faults_of_number(
    site: Site, actor: Actor, line: int, number: str, known: _Known
) -> Iterator[Fault]:
    try:
        check_number(site.settings, actor, number)
    except MuruError as error:
        yield from _told(line, error, "number")
        return
    if number in known.taken:
        yield Fault(line, "number", f"the number {number} is taken")
    elif number in known.lines:
        yield Fault(line, "number", f"the number {number} is in line {known.lines[number]} already")
    known.lines.setdefault(number, line)


def _told(line: int, error: MuruError, column: str = "") -> list[Fault]:
    if isinstance(error, Invalid) and error.fields:
        return [Fault(line, name, text) for name, text in error.fields.items()]
    return [Fault(line, column, error.public)]
