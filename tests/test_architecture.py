"""Who may import what, and other rules that a reader should be able to rely on."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "muru").rglob("*.py"))
FLAVORS = sorted((ROOT / "flavors").rglob("*.py"))

LONGEST_MODULE = 450

_DIALPLAN = {
    "muru.asterisk.dialplan.applications",
    "muru.asterisk.dialplan.flow",
    "muru.asterisk.dialplan.media",
}

# What a bundled flavor may import of muru besides muru.flavor and, relatively, other flavors.
FOR_FLAVORS = {
    "_dialled": {
        "muru.asterisk.dialplan.applications",  # what is done when a number is dialled
        "muru.asterisk.dialplan.numbers",  # that as rows
        "muru.db",  # realtime.replace
    },
    "announcement": _DIALPLAN,
    "callgroup": {
        "muru.asterisk.dialplan",  # the context that rings members
        "muru.asterisk.dialplan.applications",
        "muru.asterisk.dialplan.flow",
        "muru.asterisk.dialplan.numbers",
    },
    "conference": {
        "muru.asterisk.dialplan",  # the context that asks for the PIN
        "muru.asterisk.dialplan.applications",
        "muru.asterisk.dialplan.flow",
    },
    "services": _DIALPLAN | {"muru.asterisk.dialplan.fields"},
    "sip": {
        "muru.asterisk.dialplan",  # the context that rings registered phones
        "muru.asterisk.dialplan.flow",  # the step that leads there
        "muru.asterisk.dialplan.numbers",  # and its row
        "muru.asterisk.escape",  # a name becomes a caller id in one place
        "muru.db",  # realtime.replace
        "muru.db.realtime",  # the rows of an account
    },
}

# What the API may take from SQLAlchemy. It asks services for data, not the database.
SQL_IN_API = {
    "extensions": {"inspect"},  # which columns an extension has, to copy them into the answer
    "system": {"text"},  # health: SELECT 1 is the question whether the database answers
}

# Who may start tasks: each keeps what it starts, and awaits its end.
STARTING_TASKS = {
    "muru/app.py",  # what follows registrations, ended with the application
    "muru/jobs.py",  # the scheduler
    "muru/asterisk/ami.py",  # the link, which outlives what happens on it
    "muru/asterisk/ari.py",  # the link, and a task for each call, ended with it
    "muru/asterisk/effects.py",  # told in order, after the commit
    "muru/asterisk/program.py",  # the process that `muru up` keeps running
    "muru/asterisk/registrations.py",  # what no event tells
    "muru/testing/phone.py",  # what a NOTIFY makes a virtual phone do, ended with it
    "muru/up.py",  # waits for Asterisk and for the end, whichever comes first
    "muru/provisioning/pnp.py",  # one per phone that asks, ended with the server
    "muru/provisioning/together.py",  # one reading for all who wait for it
    "muru/provisioning/journal.py",  # writes what phones asked for, ended with the application
    "muru/services/history.py",  # writes who came and went, ended with the application
    "muru/services/registrations.py",  # what many readers hear of, ended with the application
    "muru/services/resync.py",  # tells changed phones, one after the other
    "muru/provisioning/tftp/server.py",  # one per transfer, ended with the server
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Yield the modules, and the names from modules, that a file imports from anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def calls(path: Path) -> set[str]:
    """Return the names of all functions and methods that a file calls."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    functions = [node.func for node in nodes if isinstance(node, ast.Call)]
    return {str(getattr(each, "attr", getattr(each, "id", ""))) for each in functions}


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_imports_no_flavor(path: Path) -> None:
    """The core knows flavors from the registry alone: any of them can be left out."""
    assert [each for each in imports(path) if each.startswith("muru.flavors.")] == []


@pytest.mark.parametrize("path", FLAVORS, ids=name_of)
def test_flavor_imports_the_public_interface(path: Path) -> None:
    """Bundled flavors stand on what every author has, but for what is allowed here."""
    allowed = {"muru.flavor"} | FOR_FLAVORS.get(path.stem, set())
    used = {each for each in imports(path) if each.partition(".")[0] == "muru"}

    assert {each for each in used if not {each, each.rpartition(".")[0]} & allowed} == set()


def test_allowances_are_needed() -> None:
    """Nothing is allowed that nobody uses any more."""
    used = {path.stem: set(imports(path)) for path in FLAVORS}
    api = {path.stem: set(imports(path)) for path in (ROOT / "muru/api").glob("*.py")}

    for name, modules in FOR_FLAVORS.items():
        assert modules - used[name] == set()
    for name, names in SQL_IN_API.items():
        assert {f"sqlalchemy.{each}" for each in names} - api[name] == set()


def test_tasks_are_started_where_somebody_ends_them() -> None:
    """Only the modules listed here start tasks."""
    starting = {name_of(path) for path in CORE if calls(path) & {"create_task", "ensure_future"}}

    assert starting - STARTING_TASKS == set()


@pytest.mark.parametrize("path", sorted((ROOT / "muru/api").glob("*.py")), ids=name_of)
def test_api_has_no_sql(path: Path) -> None:
    """An endpoint parses, calls a service and answers; it asks no database itself."""
    found = {each for each in imports(path) if each.partition(".")[0] == "sqlalchemy"}
    allowed = {f"sqlalchemy.{each}" for each in SQL_IN_API.get(path.stem, set())}

    assert found - {"sqlalchemy"} <= allowed
    assert ("sqlalchemy" in found) == bool(allowed)


@pytest.mark.parametrize("path", [*CORE, *FLAVORS], ids=name_of)
def test_application_has_no_string_keys(path: Path) -> None:
    """What an application holds is found by the typed keys of muru/keys.py."""
    keys = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
        and getattr(node.value, "attr", getattr(node.value, "id", "")) in {"app", "config_dict"}
    ]

    assert keys == []


@pytest.mark.parametrize("path", [*CORE, *FLAVORS], ids=name_of)
def test_module_can_be_read_at_one_sitting(path: Path) -> None:
    """A module that grows too long is two."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE
