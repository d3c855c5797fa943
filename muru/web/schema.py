"""The form of a phone type's further fields, made from their JSON schema.

Names of inputs are those under which a service tells its faults: ``extra_fields.keys.0.number``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel

from muru.web.forms import Form
from muru.web.language import _

Kind = Literal["text", "number", "boolean", "choice", "object", "list"]

ROOT = "extra_fields"
_SPARE_ROWS = 3  # for who has no scripts
_DEEPEST = 5
_MOST_ROWS = 100
_CLASS = re.compile(r"\^\[([^\]\\^]+)\]\{(\d+)(?:,(\d+))?\}\$")


@dataclass(frozen=True, slots=True)
class Input:
    """One field. *nullable* ones are None where nothing is typed; *item* is what a list has."""

    key: str
    kind: Kind
    title: str
    description: str = ""
    required: bool = False
    nullable: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()
    pattern: str = ""
    least: float | None = None
    most: float | None = None
    longest: int | None = None
    whole: bool = True
    fields: tuple["Input", ...] = ()
    item: "Input | None" = None


def inputs_of(model: type[BaseModel] | None) -> tuple[Input, ...]:
    """Return the fields of a flavor's ``EXTRA_FIELDS``."""
    if model is None:
        return ()
    schema = model.model_json_schema()
    return _object(schema, schema.get("$defs", {}), _DEEPEST)


def _object(schema: Mapping[str, Any], named: Mapping[str, Any], depth: int) -> tuple[Input, ...]:
    required = schema.get("required", ())
    return tuple(
        _input(key, each, named, depth, required=key in required)
        for key, each in schema.get("properties", {}).items()
    )


def _input(
    key: str, schema: Mapping[str, Any], named: Mapping[str, Any], depth: int, *, required: bool
) -> Input:
    given, nullable = _resolved(schema, named)
    made = Input(
        key,
        "text",
        title=str(given.get("title") or key.replace("_", " ").capitalize()),
        description=str(given.get("description", "")),
        required=required,
        nullable=nullable,
        default=given.get("default"),
        pattern=str(given.get("pattern", "")),
        least=given.get("minimum", given.get("exclusiveMinimum")),
        most=given.get("maximum", given.get("exclusiveMaximum")),
        longest=given.get("maxLength"),
    )
    if "const" in given or "enum" in given:
        choices = given.get("enum") or [given["const"]]
        return replace(made, kind="choice", choices=tuple(choices))
    match given.get("type"):
        case "boolean":
            return replace(made, kind="boolean")
        case "integer" | "number" as kind:
            return replace(made, kind="number", whole=kind == "integer")
        case "object" if depth and given.get("properties"):
            return replace(made, kind="object", fields=_object(given, named, depth - 1))
        case "array" if depth:
            item = _input("", given.get("items", {}), named, depth - 1, required=True)
            return replace(made, kind="list", item=item, most=given.get("maxItems"))
    return made


def _resolved(schema: Mapping[str, Any], named: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return a schema with what it refers to, and whether null is allowed as well."""
    given, nullable = dict(schema), False
    for _turn in range(_DEEPEST):
        if "$ref" in given:
            found = named.get(str(given.pop("$ref")).rpartition("/")[2], {})
            given = {**found, **given}
            continue
        for word in ("anyOf", "oneOf", "allOf"):
            if word in given:
                several = given.pop(word)
                rest = [each for each in several if each.get("type") != "null"]
                nullable = nullable or len(rest) < len(several)
                given = {**(rest[0] if rest else {}), **given}
                break
        else:
            break
    return given, nullable


def fill(form: Form, inputs: Sequence[Input], values: Mapping[str, Any], at: str = ROOT) -> None:
    """Write *values*, else the defaults, into a form, as if somebody had typed them."""
    for each in inputs:
        _fill(form, each, values.get(each.key, each.default), f"{at}.{each.key}")


def _fill(form: Form, shown: Input, value: Any, name: str) -> None:
    if shown.kind == "object":
        fill(form, shown.fields, value if isinstance(value, Mapping) else {}, name)
    elif shown.kind == "list" and shown.item is not None:
        for index, row in enumerate(value if isinstance(value, list) else ()):
            _fill(form, shown.item, row, f"{name}.{index}")
    elif shown.kind == "boolean":
        if value:
            form.values[name] = "yes"
    elif value is not None:
        form.values[name] = str(value)


def read(form: Form, inputs: Sequence[Input], at: str = ROOT) -> dict[str, Any]:
    """Return what was typed, as the model takes it; rows in which nothing is are left out.

    In *form* the rows move together, so that faults are shown at theirs.
    """
    values = {each.key: _read(form, each, f"{at}.{each.key}") for each in inputs}
    for name in [name for name in form.values if name.startswith(f"{at}.")]:
        del form.values[name]
    fill(form, inputs, values, at)
    # What nobody filled in is left to the model: it has a default, or says that it is required.
    return {key: value for key, value in values.items() if value is not None}


def _read(form: Form, shown: Input, name: str) -> Any:
    if shown.kind == "object":
        found = {each.key: _read(form, each, f"{name}.{each.key}") for each in shown.fields}
        found = {key: value for key, value in found.items() if value is not None}
        return None if shown.nullable and not _is_filled(found) else found
    if shown.kind == "list":
        rows = (_row(form, shown, f"{name}.{index}") for index in _indices(form, name))
        return [row for row in rows if row is not None]
    if shown.kind == "boolean":
        return name in form
    text = form[name].strip()
    if not text:
        return None
    if shown.kind == "choice":
        return next((each for each in shown.choices if str(each) == text), text)
    return _number(text) if shown.kind == "number" else text


def _row(form: Form, shown: Input, name: str) -> Any:
    if shown.item is None:
        return None
    row = _read(form, shown.item, name)
    if not isinstance(row, dict):
        return row
    unlike_new = any(
        row.get(each.key) not in (None, False, [], {}, each.default) for each in shown.item.fields
    )
    return row if unlike_new else None


def _is_filled(found: Any) -> bool:
    if isinstance(found, dict):
        return any(map(_is_filled, found.values()))
    return found not in (None, False, [])


def _indices(form: Form, name: str) -> list[int]:
    begin = f"{name}."
    found = {each[len(begin) :].partition(".")[0] for each in form.values if each.startswith(begin)}
    numbers = {int(each) for each in found if each.isascii() and each.isdigit() and len(each) < 6}
    return sorted(numbers)[:_MOST_ROWS]


def rows(form: Form, shown: Input, name: str) -> list[int]:
    """Return the indices of the rows to show: what is filled in, and some to be filled in."""
    count = len(_indices(form, name))
    return list(range(min(count + _SPARE_ROWS, int(shown.most or _MOST_ROWS))))


def is_blank(form: Form, name: str, index: int) -> bool:
    """Tell whether nothing is in that row of a list."""
    return index not in _indices(form, name)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text) if len(text) < 30 else text
        except ValueError:
            continue
    return text


def explain(form: Form, inputs: Sequence[Input]) -> None:
    """Let faults be at a field that is there, and say what a pattern wants in words."""
    known = dict(_names(form, inputs, ROOT))
    for name in [name for name in form.errors if name.partition(".")[0] == ROOT]:
        place = name
        while place and place not in known:
            place = place.rpartition(".")[0]
        fault = form.errors.pop(name)
        if not place:
            form.error = form.error or fault
            continue
        pattern = known[place].pattern
        told = _told_of(pattern) if pattern and repr(pattern) in fault else fault
        form.errors.setdefault(place, told)


def _names(form: Form, inputs: Sequence[Input], at: str) -> Iterator[tuple[str, Input]]:
    for each in inputs:
        yield from _within(form, each, f"{at}.{each.key}")


def _within(form: Form, shown: Input, name: str) -> Iterator[tuple[str, Input]]:
    yield name, shown
    if shown.kind == "object":
        yield from _names(form, shown.fields, name)
    elif shown.kind == "list" and shown.item is not None:
        for index in rows(form, shown, name):
            yield from _within(form, shown.item, f"{name}.{index}")


def _told_of(pattern: str) -> str:
    found = _CLASS.fullmatch(pattern)
    if not found:
        return _("This does not look as it has to.")
    allowed, least, most = found[1], found[2], found[3] or found[2]
    if allowed == "0-9":
        return _("Digits alone, %(least)s to %(most)s of them.") % {"least": least, "most": most}
    signs = " ".join(re.findall(r".-.|.", allowed))
    told = _("%(least)s to %(most)s of these characters: %(signs)s")
    return told % {"least": least, "most": most, "signs": signs}
