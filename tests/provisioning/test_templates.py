"""Templates of the operator's beside those that muru brings along."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from muru.flavor import PhoneFlavor, ProvisioningFile, Vocabulary
from muru.provisioning.templates import TemplateFault, Templates, templates_of
from muru.settings import Settings
from muru.testing import sample

FILE = ProvisioningFile("{mac}.cfg", "phone.cfg")
BUNDLED = """\
name = {{ lines[0].name }}
{% include "acme/site.cfg" %}
{% block more %}{% endblock %}
end = 1
"""


class Acme(PhoneFlavor):
    PHONE_TYPES: ClassVar[list[str]] = ["Acme 100"]
    FILES = (FILE,)


FLAVOR = Acme()
WORDS = sample.vocabulary(FLAVOR, "Acme 100", "02ab4c7f0001")

Write = Callable[..., None]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The operator's folder of templates, which is empty."""
    (tmp_path / "own/acme").mkdir(parents=True)
    return tmp_path / "own"


@pytest.fixture
def templates(own: Path, tmp_path: Path) -> Templates:
    """The templates of a site with the operator's folder before the bundled one."""
    bundled = tmp_path / "bundled/acme"
    bundled.mkdir(parents=True)
    (bundled / "phone.cfg").write_text(BUNDLED)
    (bundled / "site.cfg").write_text("site = {{ site.name }}\n")
    return Templates([own], [bundled.parent])


def text(templates: Templates, words: Vocabulary = WORDS) -> str:
    return templates.render(FLAVOR, FILE, words)[0].decode()


def test_bundled_template_serves_without_another(templates: Templates) -> None:
    """A file that the operator has no template for comes from the bundled one."""
    assert text(templates) == "name = Alice\nsite = Camp\nend = 1\n"


def test_own_template_wins(templates: Templates, own: Path) -> None:
    """The operator's template of the same name is used in place of the bundled one."""
    (own / "acme/phone.cfg").write_text("own = {{ lines[0].number }}\n")

    assert text(templates) == "own = 2001\n"


def test_own_template_extends_the_bundled_one(templates: Templates, own: Path) -> None:
    """With the prefix ``bundled/`` a template adds to the one that it stands in for."""
    (own / "acme/phone.cfg").write_text(
        '{% extends "bundled/acme/phone.cfg" %}{% block more %}\nvolume = 3\n{% endblock %}'
    )

    assert text(templates) == "name = Alice\nsite = Camp\nvolume = 3\nend = 1\n"
    assert templates.faults == {}


def test_own_template_includes_the_bundled_one(templates: Templates, own: Path) -> None:
    """It can also be put before or behind what the operator writes."""
    (own / "acme/phone.cfg").write_text('{% include "bundled/acme/phone.cfg" %}\nvolume = 3\n')

    assert text(templates).endswith("end = 1\nvolume = 3\n")


def test_own_part_is_used_by_the_bundled_whole(templates: Templates, own: Path) -> None:
    """A part that bundled templates include can be replaced alone."""
    (own / "acme/site.cfg").write_text("site = ours\n")

    assert text(templates) == "name = Alice\nsite = ours\nend = 1\n"


def test_broken_template_is_told_and_not_used(
    templates: Templates, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake is logged once with file and line, and phones get the bundled template's text."""
    path = own / "acme/phone.cfg"
    path.write_text("a = 1\nb = {{ nothing }}\n")

    assert text(templates) == text(templates) == "name = Alice\nsite = Camp\nend = 1\n"
    (record,) = caplog.records
    assert f"{path}:2: 'nothing' is undefined" in record.getMessage()
    assert templates.faults["acme/phone.cfg"].reason == f"{path}:2: 'nothing' is undefined"


def test_broken_template_in_what_it_extends(templates: Templates, own: Path) -> None:
    """A mistake in an operator's block is told by the operator's file, not by the bundled one."""
    path = own / "acme/phone.cfg"
    path.write_text(
        '{% extends "bundled/acme/phone.cfg" %}\n{% block more %}\n{{ x }}\n{% endblock %}'
    )

    assert text(templates) == "name = Alice\nsite = Camp\nend = 1\n"
    assert templates.faults["acme/phone.cfg"].reason == f"{path}:3: 'x' is undefined"


def test_mended_template_is_used(
    templates: Templates, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a mistake is mended the operator's template serves, without a restart."""
    monkeypatch.setattr("muru.provisioning.templates._LOOK", 0)
    path = own / "acme/phone.cfg"
    path.write_text("{{ x }}\n")
    text(templates)
    path.write_text("mended\n")
    os.utime(path, (1, 1))

    assert text(templates) == "mended\n"
    assert templates.faults == {}


def test_missing_template_is_a_fault(own: Path) -> None:
    """A file without any template is an error that names the template."""
    with pytest.raises(TemplateFault, match=r"acme/phone\.cfg: there is no such template"):
        text(Templates([own], []))


def test_templates_of_a_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An enabled flavor of a distribution brings its templates, in the folder beside its module."""
    (tmp_path / "acme_phones/templates/acme").mkdir(parents=True)
    (tmp_path / "acme_phones/__init__.py").write_text("raise ImportError")
    (tmp_path / "acme_phones/templates/acme/phone.cfg").write_text("from afar\n")
    info = tmp_path / "acme_phones-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-phones\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[muru.flavors]\nacme = acme_phones\n")
    monkeypatch.syspath_prepend(tmp_path)

    enabled = Settings(_env_file=None, enabled_phone_flavors=["acme"])

    assert text(templates_of(enabled)) == "from afar\n"
    assert not templates_of(Settings(_env_file=None)).exists("acme/phone.cfg")
