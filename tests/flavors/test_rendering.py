"""Whatever people type, the files of every bundled flavor stay what they are."""

import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muru.flavor import (
    Audience,
    Format,
    Identification,
    Link,
    PhoneFlavor,
    ProvisioningFile,
)
from muru.paths import bundled
from muru.testing import check_flavor
from muru.testing.contract import HOSTILE, changed_structures, situations

# What nobody knows how to tell these phones; Asterisk prefers the right codec in any case.
UNORDERED = ("Gigaset N610 IP PRO", "Gigaset N670 IP PRO", "Gigaset N870 IP PRO")

# Pieces that mean something to one format or another, between characters of all kinds.
PIECES = st.sampled_from(
    [*HOSTILE, '"', "'", "<", ">", "&", "]]>", "\\", "/", "#", ";", ",", "=", ":", "%", "\n", "\r"]
)
TEXTS = st.lists(PIECES | st.text(st.characters(), max_size=8), max_size=6).map("".join)


def bundled_flavors() -> list[PhoneFlavor]:
    """All that have files."""
    found = []
    for name in pkgutil.iter_modules([str(bundled("flavors"))]):
        module = importlib.import_module(f"muru.flavors.{name.name}")
        for each in vars(module).values():
            own = isinstance(each, type) and each.__module__ == module.__name__
            if own and issubclass(each, PhoneFlavor) and each.FILES:
                found.append(each())
    return found


FLAVORS = bundled_flavors()


@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: type(flavor).__name__)
def test_flavor_keeps_the_contract(flavor: PhoneFlavor) -> None:
    """All that muru promises of a flavor's files holds for each bundled one."""
    check_flavor(flavor, unordered=UNORDERED)


@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: type(flavor).__name__)
@given(st.data(), st.lists(TEXTS, min_size=1, max_size=5))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_no_text_breaks_a_file(flavor: PhoneFlavor, data: st.DataObject, texts: list[str]) -> None:
    """Every file parses, and has no line or element that it lacks with plain names."""
    phone_type = data.draw(st.sampled_from(flavor.PHONE_TYPES))
    words = data.draw(st.sampled_from(situations(flavor, phone_type)))

    assert list(changed_structures(flavor, words, texts)) == []


# --- that the contract would tell -----------------------------------------------------------------

GOOD = """\
name = {{ lines[0].name if lines }}
{% for codec in lines[0].codecs if lines %}
codec{{ loop.index }} = {{ flavor.CODEC_NAMES[codec] }}
{% endfor %}
"""
NAMES = {"g722": "G722", "alaw": "PCMA"}


class Faulty(PhoneFlavor):
    """What each test makes it."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of templates beside the module of :class:`Faulty`."""
    module = ModuleType("faulty")
    module.__file__ = str(tmp_path / "faulty.py")
    monkeypatch.setitem(sys.modules, "faulty", module)
    (tmp_path / "templates/faulty").mkdir(parents=True)
    return tmp_path / "templates/faulty"


def made(folder: Path, text: str = GOOD, template: str = "phone.cfg", **more: Any) -> Any:
    """Return a flavor with one template, which is sound if it is told nothing else."""
    (folder / template).write_text(text)
    attributes = {
        "__module__": "faulty",
        "PHONE_TYPES": ["Faulty 100"],
        "SUPPORTED_CODEC": ("g722", "alaw"),
        "CODEC_NAMES": NAMES,
        "FILES": (ProvisioningFile("{mac}.cfg", template, format=more.pop("format", None)),),
        "IDENTIFICATION": Identification("Faulty", frozenset({"02ab4c"})),
    }
    return type("Faulty", (PhoneFlavor,), attributes | more)


def test_sound_flavor_passes(folder: Path) -> None:
    """A flavor as it should be has no faults, be it given as class or as instance."""
    flavor = made(folder)

    check_flavor(flavor)
    check_flavor(flavor())


SAFE = "{{ lines[0].name|safe }}"
DEVICE = ProvisioningFile("{mac}.cfg", "phone.cfg")


@pytest.mark.parametrize(
    ("template", "text", "fault"),
    [
        ("phone.cfg", GOOD + "a = {{ nothing }}\n", "phone.cfg:5: 'nothing' is undefined"),
        ("phone.cfg", GOOD + f"a = {SAFE}\n", "names change it"),
        ("phone.cfg", GOOD + "{{ lines[0].name[:1] }} = 1\n", "names change it"),
        ("phone.xml", GOOD, "it is no XML"),
        ("phone.xml", f"<a>{SAFE}</a>", "it is no XML"),
        ("phone.xml", "<a>{% if lines[0].name == 'Plain' %}<b/>{% endif %}</a>", "names change it"),
        ("phone.json", '{"name": "{{ lines[0].name }}"}', "delimiter"),
        ("phone.json", "{ {{ lines[0].name }}: 1 }", "names change it"),
        ("phone.csv", f'1,"{SAFE}"\n', "CSV"),
        ("phone.csv", f"1,{SAFE}\n", "names change it"),
    ],
)
def test_contract_tells_of_a_template(folder: Path, template: str, text: str, fault: str) -> None:
    """A template that does not escape, or that is wrong in itself, is told with its name."""
    with pytest.raises(AssertionError, match=fault) as raised:
        check_flavor(made(folder, text, template))

    assert str(raised.value).splitlines()[1].startswith(template)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Format.QUOTED, f'name: "{SAFE}"'),
        (Format.QUOTED, 'name: "x" {{ lines[0].name }}'),
        (Format.WORDS, f"name /to {SAFE} /x"),
    ],
)
def test_contract_tells_of_a_format(folder: Path, form: Format, text: str) -> None:
    """What stands outside its quotes, or is more than one word, is told."""
    with pytest.raises(AssertionError, match=r"phone\.cfg, Faulty 100: "):
        check_flavor(made(folder, text, format=form))


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ({"LINES": 0}, "LINES must be"),
        ({"CODEC_NAMES": {"g722": "G722"}}, "CODEC_NAMES has no alaw"),
        ({"FILES": (DEVICE, ProvisioningFile("x", "none.cfg"))}, "no template faulty/none.cfg"),
        (
            {"FILES": (ProvisioningFile("{any}.cfg", "phone.cfg"), DEVICE)},
            "02ab4c7f0001.cfg is never phone.cfg: {any}.cfg comes before it",
        ),
        (
            {"IDENTIFICATION": Identification("Faulty", user_agents=("(",))},
            "'(' is no regular expression",
        ),
        (
            {"IDENTIFICATION": Identification("Faulty", user_agents=("(a+)+x",))},
            "takes too long",
        ),
        ({"links": lambda *_: [Link("Open", "app: x")]}, "a blank in its URL"),
    ],
)
def test_contract_tells_of_a_declaration(
    folder: Path, attributes: dict[str, Any], fault: str
) -> None:
    """What does not fit in the flavor's class is told."""
    with pytest.raises(AssertionError) as raised:
        check_flavor(made(folder, **attributes))

    assert fault in str(raised.value)


def test_contract_tells_of_codecs_without_order(folder: Path) -> None:
    """A phone type that is told no order of its codecs is told, unless that is known."""
    flavor = made(folder, "name = {{ lines[0].name }}\n")

    with pytest.raises(AssertionError, match="Faulty 100: no file tells which codec is preferred"):
        check_flavor(flavor)
    check_flavor(flavor, unordered=["Faulty 100"])


def test_contract_knows_files_for_everybody(folder: Path) -> None:
    """A file for everybody that wants a line is told."""
    file = ProvisioningFile("{mac}.cfg", "phone.cfg", Audience.ANYBODY)

    with pytest.raises(AssertionError, match=r"nobody in particular: .*phone\.cfg:1"):
        check_flavor(made(folder, "{{ lines[0].name }}", FILES=(file,)))
