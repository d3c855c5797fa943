"""Names of files, and what they tell."""

import pytest

from muru.provisioning.files import Audience, Format, ProvisioningFile, check_pattern


def test_name_in_any_case_and_writing() -> None:
    """A name matches in any letter case, its address in any writing, and not with anything more."""
    file = ProvisioningFile("snom{model}-{MAC}.htm", "phone.xml")

    for name in ("snomD735-0004137F0001.htm", "SNOMd735-00-04-13-7f-00-01.HTM"):
        found = file.match(name)
        assert found
        assert found.group("model").lower() == "d735"
    for name in ("snomD735-0004137F0001.htmx", "xsnomD735-0004137F0001.htm", "snomD735-.htm", ""):
        assert file.match(name) is None


def test_other_names_of_a_file() -> None:
    """A file is found by each of its names, and is called by its first."""
    file = ProvisioningFile("{mac}.xml", "phone.xml", also=("cfg{mac}.xml", "{any}-{mac}"))

    for name in ("0004137f0001.xml", "cfg0004137f0001.xml", "x-0004137f0001"):
        assert file.match(name)
    assert file.name_for("0004137f0001") == "0004137f0001.xml"
    assert ProvisioningFile("SEP{MAC}.cnf.xml", "x").name_for("0004137f0001") == (
        "SEP0004137F0001.cnf.xml"
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a.xml", Format.XML),
        ("a.json", Format.JSON),
        ("a.csv", Format.CSV),
        ("a.cfg", Format.LINES),
        ("a", Format.LINES),
    ],
)
def test_format_follows_from_the_template(template: str, expected: Format) -> None:
    """The template's suffix says how values are escaped, unless the file says so itself."""
    assert ProvisioningFile("x", template).escaped_as is expected
    assert ProvisioningFile("x", template, format=Format.WORDS).escaped_as is Format.WORDS


def test_who_may_have_a_file_that_says_nothing() -> None:
    """A file is for the one phone whose it is, unless its flavor says otherwise."""
    assert ProvisioningFile("x", "x").audience is Audience.DEVICE


@pytest.mark.parametrize("pattern", ["", "/x", "{x}.cfg", "{mac}{}", "{mac}-{Model}{nil}"])
def test_impossible_pattern_is_told(pattern: str) -> None:
    """A pattern that could never match is a fault that names its place."""
    assert check_pattern(pattern)
    assert check_pattern("{mac}-{model}-{any}-{token}.cfg") is None
