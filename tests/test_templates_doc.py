"""docs/templates.md: it names all that templates have, and what it shows works as it says."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from jinja2.filters import FILTERS

from muru.flavor import PhoneFlavor
from muru.paths import bundled
from muru.provisioning.files import Format
from muru.provisioning.templates import Templates
from muru.provisioning.timezone import Change, DaylightSaving, TimeZone
from muru.provisioning.vocabulary import (
    Entry,
    Key,
    Line,
    Phone,
    Phonebook,
    Provisioning,
    Server,
    SiteFacts,
    Vocabulary,
    Wifi,
)
from muru.testing.contract import situations
from tests.flavors.test_rendering import FLAVORS

DOCUMENT = (Path(__file__).parent.parent / "docs" / "templates.md").read_text(encoding="utf-8")
BUNDLED = bundled("provisioning_templates")
CLASSES: dict[str, type] = {
    "phone": Phone,
    "line": Line,
    "server": Server,
    "site": SiteFacts,
    "site.wifi": Wifi,
    "site.time_zone": TimeZone,
    "site.time_zone.dst": DaylightSaving,
    "site.time_zone.dst.start": Change,
    "provisioning": Provisioning,
    "phonebook": Phonebook,
    "entry": Entry,
    "key": Key,
}


def first_cells(heading: str) -> list[str]:
    """Return what is code in the first column of the tables below a heading."""
    _, _, rest = DOCUMENT.partition(f"\n## {heading}\n")
    section, _, _ = rest.partition("\n## ")
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


def test_every_word_is_explained() -> None:
    """The tables have each field and property of what a template finds, and no other."""
    words = {field.name for field in fields(Vocabulary)} | {"flavor"}
    for prefix, cls in CLASSES.items():
        names = {name for name in dir(cls) if not name.startswith("_")}
        words |= {f"{prefix}.{name}" for name in names}

    shown = [name.removesuffix("()") for name in first_cells("Words")]

    assert sorted(shown) == sorted(words)


def test_every_filter_and_format_is_explained() -> None:
    """The filters beside Jinja2's own, and all formats, are in their tables."""
    environment = Templates([], [])._bundled[Format.XML]

    assert first_cells("Filters and tags") == sorted(set(environment.filters) - set(FILTERS))
    assert first_cells("Formats") == [each.name for each in Format]


def templates_with_block() -> list[str]:
    found = (path for path in BUNDLED.glob("*/**/*") if path.is_file())
    names = (str(path.relative_to(BUNDLED)) for path in found if "block more" in path.read_text())
    return sorted(names)


def test_every_block_is_listed() -> None:
    """The table has the templates with a block for further settings, by name."""
    assert first_cells("Changing what phones are told") == templates_with_block()


@pytest.mark.parametrize("name", templates_with_block())
def test_block_adds_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator's template has in the block is added to the file; its rest is as it was."""
    own = tmp_path / name
    own.parent.mkdir(parents=True)
    own.write_text(f'{{% extends "bundled/{name}" %}}{{% block more %}}\n  more\n{{% endblock %}}')
    flavor = flavor_named(name.partition("/")[0])
    monkeypatch.setattr(type(flavor), "finish", PhoneFlavor.finish)  # a checksum is another one
    plain, ours = Templates([], [BUNDLED]), Templates([tmp_path], [BUNDLED])
    added = 0
    for phone_type in flavor.PHONE_TYPES:
        words = situations(flavor, phone_type)[0]
        for file in flavor.FILES:
            before, after = (
                templates.render(flavor, file, words)[0].decode(file.encoding).splitlines()
                for templates in (plain, ours)
            )
            if before != after:
                after.remove("  more")
                added += 1
            assert before == after
    assert added
    assert ours.faults == {}


def test_example_is_told(tmp_path: Path) -> None:
    """The page's template for Snom phones makes them ring quietly."""
    (source,) = re.findall(r"```jinja\n(.*?)```", DOCUMENT, re.DOTALL)
    (tmp_path / "snom").mkdir()
    (tmp_path / "snom/phone.xml").write_text(source)
    snom = flavor_named("snom")
    file = next(each for each in snom.FILES if each.template == "phone.xml")

    content, _ = Templates([tmp_path], [BUNDLED]).render(
        snom, file, situations(snom, "Snom D735")[0]
    )

    assert b'<vol_ringer perm="RW">3</vol_ringer>\n  </phone-settings>' in content


def flavor_named(name: str) -> PhoneFlavor:
    return next(each for each in FLAVORS if type(each).__name__.lower() == name)
