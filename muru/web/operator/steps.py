"""The steps of an own number as a form: fields made of the JSON schema of each application.

Names of inputs are those under which a service tells its faults, but for the name of the
application in them: ``steps.0.application.filenames.1`` is about ``steps.0.application.filenames``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from muru.asterisk.dialplan.applications import NAMES
from muru.asterisk.dialplan.numbers import MOST_STEPS, Step
from muru.asterisk.dialplan.quoting import has_expression
from muru.web.forms import Form

Kind = Literal["text", "choice", "list", "place", "application"]

ROOT = "steps"
MARK = "expression"  # of a field whose text is no text but an expression
WITHIN = tuple(name for name in NAMES if name != "ExecIf")  # what ExecIf does
_DEEPEST = 2


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of an application.

    *either*: what is typed may be text or an expression, and only who types it knows which.
    *computed*: it may be an expression, which nothing else can be taken for.
    """

    key: str
    kind: Kind
    title: str
    hint: str = ""
    required: bool = False
    either: bool = False
    computed: bool = False
    number: bool = False
    choices: tuple[str, ...] = ()

    @property
    def options(self) -> list[tuple[str, str]]:
        return [(each, each) for each in self.choices]


@cache
def arguments() -> dict[str, tuple[Argument, ...]]:
    """Return the arguments of each application."""
    named = _schema()
    return {name: _arguments(named[name]) for name in NAMES}


@cache
def descriptions() -> dict[str, str]:
    """Return what each application does."""
    return {name: str(_schema()[name]["description"]) for name in NAMES}


@cache
def places() -> tuple[Argument, ...]:
    """Return what a place to jump to is told by."""
    order = ("priority", "extension", "context")
    found = {each.key: each for each in _arguments(_schema()["Location"])}
    return tuple(found[key] for key in order)


@cache
def _schema() -> dict[str, Any]:
    named: dict[str, Any] = Step.model_json_schema()["$defs"]
    return named


def _arguments(schema: Mapping[str, Any]) -> tuple[Argument, ...]:
    required = schema.get("required", ())
    return tuple(
        _argument(key, given, required=key in required)
        for key, given in schema["properties"].items()
        if key != "app"
    )


def _argument(key: str, given: Mapping[str, Any], *, required: bool) -> Argument:
    several = given.get("anyOf", [given])
    kinds = {each.get("type") for each in several}
    named = {str(each.get("$ref", "")).rpartition("/")[2] for each in several}
    choices = next((each["enum"] for each in several if "enum" in each), ())
    kind: Kind = "text"
    if "Location" in named:
        kind = "place"
    elif any("oneOf" in each for each in several):
        kind = "application"
    elif "array" in kinds:
        kind = "list"
    elif choices:
        kind = "choice"
    inner = given.get("items", {}).get("anyOf", ())
    computed = "Expression" in named or any("$ref" in each for each in inner)
    plain = any(each.get("type") == "string" and "pattern" not in each for each in several)
    return Argument(
        key,
        kind,
        title=str(given.get("title", key)),
        hint=str(given.get("description", "")),
        required=required,
        either=computed and plain and kind == "text",
        computed=computed,
        number=bool(kinds & {"integer", "number"}),
        choices=tuple(map(str, choices)),
    )


# --- from a form, and into one --------------------------------------------------------------------


def read(form: Form) -> list[dict[str, Any]]:
    """Return the steps that were typed, as their JSON schema has them."""
    steps = []
    for index in _indices(form):
        step: dict[str, Any] = {}
        if label := form[f"{ROOT}.{index}.label"].strip():
            step["label"] = label
        step["application"] = _read_application(form, f"{ROOT}.{index}.application", _DEEPEST)
        steps.append(step)
    return steps


def _indices(form: Form) -> list[int]:
    begin = f"{ROOT}."
    found = {name.split(".")[1] for name in form.values if name.startswith(begin)}
    numbers = {int(each) for each in found if each.isascii() and each.isdigit() and len(each) < 5}
    return sorted(numbers)[:MOST_STEPS]


def _read_application(form: Form, at: str, depth: int) -> dict[str, Any]:
    app = form[f"{at}.app"]
    read = {each.key: _read(form, each, f"{at}.{each.key}", depth) for each in _of(app)}
    return {"app": app, **{key: value for key, value in read.items() if value not in (None, [])}}


def _of(app: str) -> tuple[Argument, ...]:
    return arguments().get(app, ())


def _read(form: Form, argument: Argument, name: str, depth: int) -> Any:
    if argument.kind == "application":
        chosen = depth and form[f"{name}.app"]
        return _read_application(form, name, depth - 1) if chosen else None
    if argument.kind == "place":
        place = {each.key: _read(form, each, f"{name}.{each.key}", 0) for each in places()}
        return {key: value for key, value in place.items() if value is not None} or None
    if argument.kind == "list":
        lines = [line.strip() for line in form[name].splitlines()]
        return [_value(argument, line) for line in lines if line]
    text = form[name].strip()
    if argument.either and f"{name}.{MARK}" in form:
        return {"expression": text}
    return _value(argument, text) if text else None


def _value(argument: Argument, text: str) -> Any:
    if argument.number:
        for kind in (int, float):
            try:
                return kind(text) if len(text) < 30 else text
            except ValueError:
                continue
    if argument.computed and not argument.either and has_expression(text):
        return {"expression": text}
    return text


def fill(form: Form, steps: list[dict[str, Any]]) -> None:
    """Write *steps* into a form in the place of those that are in it."""
    for name in [name for name in form.values if name.startswith(f"{ROOT}.")]:
        del form.values[name]
    for index, step in enumerate(steps):
        form.values[f"{ROOT}.{index}.label"] = step.get("label") or ""
        _fill_application(form, step["application"], f"{ROOT}.{index}.application")


def _fill_application(form: Form, application: Mapping[str, Any], at: str) -> None:
    form.values[f"{at}.app"] = str(application.get("app", ""))
    for each in _of(form[f"{at}.app"]):
        value = application.get(each.key)
        if value is not None:
            _fill(form, each, value, f"{at}.{each.key}")


def _fill(form: Form, argument: Argument, value: Any, name: str) -> None:
    if argument.kind == "application":
        _fill_application(form, value, name)
    elif argument.kind == "place":
        for key, part in value.items():
            form.values[f"{name}.{key}"] = _text(part)
    elif argument.kind == "list":
        form.values[name] = "\n".join(map(_text, value))
    else:
        form.values[name] = _text(value)
        if argument.either and isinstance(value, dict):
            form.values[f"{name}.{MARK}"] = "yes"


def _text(value: Any) -> str:
    return str(value["expression"] if isinstance(value, dict) else value)


# --- what is wrong --------------------------------------------------------------------------------


def explain(form: Form, count: int) -> None:
    """Let faults be at a field that is there, the first one at each; else at their step."""
    known = {name for index in range(count) for name in _names(form, f"{ROOT}.{index}")}
    for name in [name for name in form.errors if name.startswith(f"{ROOT}.")]:
        fault = form.errors.pop(name)
        parts = name.split(".")
        for app in (*NAMES, *WITHIN):
            if app in parts:
                parts.remove(app)
        while len(parts) > 1 and ".".join(parts) not in known:
            parts.pop()
        form.errors.setdefault(".".join(parts), fault)


def _names(form: Form, at: str) -> Iterator[str]:
    yield at
    yield f"{at}.label"
    yield from _names_within(form, f"{at}.application", _DEEPEST)


def _names_within(form: Form, at: str, depth: int) -> Iterator[str]:
    yield f"{at}.app"
    for each in _of(form[f"{at}.app"]):
        name = f"{at}.{each.key}"
        if each.kind == "place":
            yield from (f"{name}.{part.key}" for part in places())
        elif each.kind == "application" and depth:
            yield from _names_within(form, name, depth - 1)
        else:
            yield name


def step_of(name: str) -> int | None:
    """Return the index of the step that a field belongs to, if it is one of a step."""
    parts = name.split(".")
    fits = len(parts) > 1 and parts[0] == ROOT and parts[1].isascii() and parts[1].isdigit()
    return int(parts[1]) if fits else None
