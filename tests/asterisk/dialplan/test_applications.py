"""Applications as text for Asterisk, and back. What Asterisk makes of it is tested elsewhere."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from muru.asterisk.dialplan import flow, media
from muru.asterisk.dialplan.application import AsteriskApplication
from muru.asterisk.dialplan.applications import (
    LONGEST_APPDATA,
    NAMES,
    REFUSED,
    Application,
    ExecIf,
    assemble,
    parse,
)
from muru.asterisk.dialplan.fields import Expression
from muru.asterisk.escape import realtime_value
from muru.errors import Invalid
from tests.asterisk.dialplan.strategies import APPLICATIONS, texts

ADAPTER: TypeAdapter[Any] = TypeAdapter(Application)

# Much of what the strategies think of is refused, which is the point.
thorough = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def test_strategies_know_all() -> None:
    """What is said of all applications below is said of each."""
    assert {kind.model_fields["app"].default for kind in APPLICATIONS} == set(NAMES)


@pytest.mark.parametrize("kind", APPLICATIONS, ids=lambda kind: kind.__name__)
@thorough
@given(data=st.data())
def test_parse_undoes_assemble(kind: type[AsteriskApplication], data: st.DataObject) -> None:
    """Whatever the arguments are, Asterisk's text and JSON are read as the same application."""
    application = data.draw(APPLICATIONS[kind])
    try:
        app, appdata = assemble(application)
    except Invalid:
        assume(False)

    assert app == kind.model_fields["app"].default
    assert parse(app, appdata) == application
    assert appdata.isprintable()
    assert appdata == appdata.strip()
    dumped = json.loads(json.dumps(application.model_dump(mode="json", by_alias=True)))
    assert ADAPTER.validate_python(dumped) == application


@settings(max_examples=500, deadline=None)
@given(app=st.sampled_from(NAMES), appdata=texts | st.text())
def test_any_text(app: str, appdata: str) -> None:
    """Any text is an application that is written so that it stays the same, or is refused."""
    try:
        application = parse(app, appdata)
        written = assemble(application)
    except Invalid:
        return
    assert parse(*written) == application


@pytest.mark.parametrize("piece", ["${", "$[", "\\", '"', "(", "a,", "${X}", "}", "ü"])
def test_long_text(piece: str) -> None:
    """Text without end is refused at once."""
    for app in NAMES:
        with pytest.raises(Invalid):
            parse(app, piece * 1_000_000)


@pytest.mark.parametrize(
    ("app", "appdata", "expected"),
    [
        ("playback", "hello-world", media.Playback(filenames=("hello-world",))),
        ("Playback", "/my data/µ/x", media.Playback(filenames=("/my data/µ/x",))),
        ("Dial", '"PJSIP/2001",20', media.Dial(technology_resource=("PJSIP/2001",), timeout=20)),
        ("Dial", "PJSIP/2001,,g", media.Dial(technology_resource=("PJSIP/2001",), options="g")),
        ("Background", "a&b,m", media.BackGround(filenames=("a", "b"), options="m")),
        ("GoSub", "menu,1(a)", flow.Gosub(extension="menu", priority=1, arg=("a",))),
        ("Verbose", "hello", flow.Verbose(message="hello")),
        ("Answer", None, media.Answer()),
        ("ConfBridge", '"a, b"', media.ConfBridge(conference="a, b")),
        ("ConfBridge", r"\${X}, p", None),
        ("Set", "X=a=b", flow.Set(name="X", value="a=b")),
        (
            "ExecIf",
            "$[1]?Set(X=${F(a,b)}):NoOp(:-))",
            ExecIf(
                expression="$[1]",
                appiftrue=flow.Set(name="X", value=Expression(expression="${F(a,b)}")),
                appiffalse=flow.NoOp(text=":-)"),
            ),
        ),
    ],
)
def test_what_people_write(
    app: str, appdata: str | None, expected: AsteriskApplication | None
) -> None:
    """Lines as they are in documentation and books are understood, or refused as ambiguous."""
    if expected is None:
        with pytest.raises(Invalid):
            parse(app, appdata)
    else:
        assert parse(app, appdata) == expected


@pytest.mark.parametrize(
    ("application", "appdata"),
    [
        (media.ConfBridge(conference='a,b"(c)\\[${X}'), 'a\\,b\\"\\(c\\)\\\\\\[$\\{X}'),
        (media.ConfBridge(conference=Expression(expression="a,${F(b,c)}")), "a\\,${F(b,c)}"),
        (flow.NoOp(text='a,b"(c)\\['), 'a,b"(c)\\['),
        (flow.Goto(priority="menu"), "menu"),
        (flow.Goto(context="muru-sip", extension="2001"), "muru-sip,2001,1"),
        (media.Read(variable="X", timeout=2.5), "X,,,,,2.5"),
        (media.Record(filename="x", maxduration=5), "x.wav,,5"),
        (media.MusicOnHold(class_="jazz", duration=3), "jazz,3"),
        (media.Echo(), ""),
    ],
)
def test_assemble(application: AsteriskApplication, appdata: str) -> None:
    """Text is escaped where Asterisk takes the escapes away again, and nowhere else."""
    assert assemble(application)[1] == appdata


@pytest.mark.parametrize(
    "fields",
    [
        {"app": "NoOp", "text": "${X}"},
        {"app": "Verbose", "message": "$[1]"},
        {"app": "Set", "name": "X", "value": "a ${SHELL(id)}"},
        {"app": "Return", "value": "${X"},
        {"app": "Gosub", "priority": 1, "arg": ["${X}"]},
        {"app": "Gosub", "priority": 1, "arg": ["a,b"]},
        {"app": "Gosub", "priority": 1, "arg": ["a)"]},
        {"app": "NoOp", "text": "a\nsame => n,System(id)"},
        {"app": "NoOp", "text": "a\0"},
        {"app": "NoOp", "text": "\x1b[2J"},
        {"app": "ConfBridge", "conference": "a\rb"},
        {"app": "ConfBridge", "conference": ""},
        {"app": "SayDigits", "digits": "${X}"},
        {"app": "Playback", "filenames": ["../../etc/passwd"]},
        {"app": "Playback", "filenames": ["a&b"]},
        {"app": "Playback", "filenames": ["a "]},
        {"app": "Playback", "filenames": ["http://example.org/x"]},
        {"app": "Playback", "filenames": []},
        {"app": "Record", "filename": "/etc/x"},
        {"app": "Record", "filename": "x", "format": "so"},
        {"app": "Dial", "technology_resource": ["PJSIP/1,20,G(x)"]},
        {"app": "Dial", "technology_resource": ["PJSIP/1"], "options": "U(x)"},
        {"app": "Dial", "technology_resource": ["PJSIP/1"], "options": "m(a)b)"},
        {"app": "Goto", "priority": "a,b"},
        {"app": "Goto", "priority": 0},
        {"app": "Goto", "priority": 1, "context": "x"},
        {"app": "Goto", "priority": 1, "extension": "_X."},
        {"app": "GotoIf", "condition": "$[1]"},
        {"app": "GotoIf", "condition": "$[1]?x,1:", "labeliftrue": {"priority": 1}},
        {"app": "GotoIf", "condition": "${A}${B}", "labeliftrue": {"priority": 1}},
        {"app": "Set", "name": "A=B", "value": ""},
        {"app": "Set", "name": "SHELL(id)", "value": ""},
        {"app": "Set", "name": "file(/etc/x)", "value": "x"},
        {"app": "Wait", "seconds": "nan"},
        {"app": "Wait", "seconds": 0},
        {"app": "Echo", "more": 1},
        {"app": "ExecIf", "expression": "$[1]", "appiftrue": {"app": "NoOp", "text": "("}},
        {"app": "ExecIf", "expression": "$[1]", "appiftrue": {"app": "NoOp", "text": '"'}},
        {"app": "ExecIf", "expression": "$[1]", "appiftrue": {"app": "NoOp", "text": "):System("}},
        {"app": "ExecIf", "expression": "$[1]", "appiftrue": {"app": "System"}},
        {"app": "Foo"},
        {},
        "System",
        None,
    ],
    ids=str,
)
def test_refused(fields: Any) -> None:
    """What Asterisk could not carry as it is meant, or what reaches too far, is no application."""
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(fields)


@pytest.mark.parametrize(
    "expression",
    [
        *("plain", "${", "$[1", "${X", "${A${B}", "$[${A]}", "a\n${X}"),
        *("${SHELL(id)}", "${shell (id)}", "${A${SHELL(id)}}", "$[SHELL(id)]", "$[1+CURL(x)]"),
        *("${${X}(id)}", "$[${X}(id)]", "${ODBC_X()}", "${FILE(/etc/passwd)}", "${EVAL(x)}"),
    ],
)
def test_refused_expressions(expression: str) -> None:
    """An expression ends, and calls no function that reaches beyond the call."""
    with pytest.raises(ValidationError):
        Expression(expression=expression)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_applications(name: str) -> None:
    """Each application that reaches too far is refused by name, with the reason."""
    for attempt in (name, name.lower(), f" {name} "):
        with pytest.raises(Invalid, match="not allowed in the dialplan: "):
            parse(attempt, "id")
        with pytest.raises(ValidationError, match="not allowed in the dialplan: "):
            ADAPTER.validate_python({"app": attempt})


@pytest.mark.parametrize("character", ["x", "é", "🐈", ";", "^"])
def test_longest_text(character: str) -> None:
    """What no column could hold, or Asterisk would cut off, is refused; the rest fits."""
    appdata, refused = "", False
    for length in range(1, 201):
        application = flow.Verbose(message=character * length)
        try:
            _, appdata = assemble(application)
        except Invalid:
            refused = True
            break

    assert len(realtime_value(appdata, "mysql").encode()) <= LONGEST_APPDATA
    assert refused == (character != "x")


def test_schema() -> None:
    """A form can be made from the JSON schema: each application, and each argument, has a title."""
    schema = ADAPTER.json_schema()

    assert set(schema["discriminator"]["mapping"]) == set(NAMES)
    for name in NAMES:
        definition = schema["$defs"][name]
        assert definition["description"]
        for argument, field in definition["properties"].items():
            assert field.get("title") or argument == "app", (name, argument)
