"""Which phone it is, from what it shows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muru.cli import main
from muru.flavor import Identification, PhoneFlavor, ProvisioningFile
from muru.provisioning.identification import Evidence, identify, phone_type


class One(PhoneFlavor):
    PHONE_TYPES = ["One 10", "One 110", "One D735"]  # noqa: RUF012
    FILES = (ProvisioningFile("{mac}.cfg", "x"), ProvisioningFile("one{model}.cfg", "x"))
    IDENTIFICATION = Identification(
        vendor="One",
        ouis=frozenset({"0a0a0a", "0b0b0b8"}),
        user_agents=(r"One (?P<model>\w+) (?P<firmware>[\d.]+)(?: (?P<mac>\w{12}))?", "One"),
        names=("uno",),
    )


class Two(PhoneFlavor):
    FILES = (ProvisioningFile("{mac}.cfg", "x"), ProvisioningFile("two.cfg", "x"))
    IDENTIFICATION = Identification("Two", frozenset({"0c0c0c", "0b0b0b"}), ("Two",))


FLAVORS = [("one", One()), ("two", Two())]


def told(**evidence: str) -> tuple[str | None, float]:
    found = identify(FLAVORS, Evidence(**evidence))
    return found.flavor, found.confidence


def test_user_agent_tells_all() -> None:
    """A user agent tells vendor, model, firmware and MAC address, surely."""
    found = identify(FLAVORS, Evidence(user_agent="one D735 10.1.2 0A0A0A000001"))

    assert (found.flavor, found.vendor, found.model) == ("one", "One", "D735")
    assert (found.firmware, found.mac) == ("10.1.2", "0a0a0a000001")
    assert found.confidence > 0.9


def test_more_hints_are_surer() -> None:
    """Each hint that fits makes it surer; one that speaks for another makes it less sure."""
    by_file = told(path="one9.cfg")
    by_both = told(path="one9.cfg", mac="0a0a0a000001")
    against = told(user_agent="One D735 1.0", mac="0c0c0c000001")

    assert by_file[0] == by_both[0] == against[0] == "one"
    assert by_file[1] < by_both[1]
    assert against[1] < told(user_agent="One D735 1.0")[1]


def test_ties_and_unknowns_are_no_guess() -> None:
    """What two families have in common, or none has, is nobody's."""
    assert told(path="0d0d0d000001.cfg") == (None, 0.0)
    assert told(user_agent="Three 1.0") == (None, 0.0)
    assert told() == (None, 0.0)
    assert told(path="two.cfg", mac="0a0a0a000001") == (None, 0.0)


def test_file_of_two_families_goes_by_the_address() -> None:
    """The begin of the MAC address decides what the name leaves open."""
    assert told(path="/any/0a0a0a000001.cfg")[0] == "one"
    assert told(path="0c0c0c000001.cfg")[0] == "two"


def test_folder_and_name_of_the_vendor() -> None:
    """A flavor's folder is sure, and the vendor's name in SIP PnP tells as well."""
    assert told(folder="two") == ("two", 1.0)
    assert told(vendor="UNO")[0] == "one"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("D735", "One D735"),
        ("d-735", "One D735"),
        ("10", "One 10"),
        ("110", "One 110"),
        ("7", None),
    ],
)
def test_type_by_the_vendors_model(model: str, expected: str | None) -> None:
    """A model is that of the phone type that ends with it, if it is one."""
    assert phone_type(One(), model) == expected


@given(st.text(max_size=2000), st.text(max_size=2000), st.text(max_size=40), st.text(max_size=40))
def test_nothing_harms(agent: str, path: str, mac: str, vendor: str) -> None:
    """Whatever a phone sends, it is told to be something or nothing, with a confidence."""
    found = identify(FLAVORS, Evidence(user_agent=agent, path=path, mac=mac, vendor=vendor))

    assert 0 <= found.confidence <= 1
    assert (found.flavor is None) == (found.confidence == 0)


def test_serial_number_is_no_address() -> None:
    """Twelve hex digits in a known user agent are an address if they begin like a vendor's."""
    assert identify(FLAVORS, Evidence(user_agent="Two 1.0 (88019FA42805)")).mac is None
    assert identify(FLAVORS, Evidence(user_agent="Two 1.0 0C0C0C000001")).mac == "0c0c0c000001"


KNOWN = [
    (
        ["--user-agent", "Mozilla/4.0 (compatible; snomD785-SIP 10.1.33.33 2010.12 000413922D24)"],
        {"flavor": "snom", "vendor": "Snom", "model": "D785", "mac": "000413922d24"},
    ),
    (
        ["--user-agent", "Grandstream Model HW GXP1628 SW 1.0.4.138 DevId c074ad2bd859"],
        {"flavor": "grandstream", "model": "GXP1628", "firmware": "1.0.4.138"},
    ),
    (
        ["--user-agent", "Yealink SIP-T46G 28.72.0.1 00:15:65:4a:a9:37"],
        {"flavor": "yealink", "model": "T46G", "mac": "0015654aa937"},
    ),
    (["--path", "cfgc074ad2bd859.xml"], {"flavor": "grandstream", "mac": "c074ad2bd859"}),
    (["--path", "/telephoning/snom/snom-00-04-13-92-2D-24"], {"flavor": "snom"}),
    (["--mac", "00:15:65:4A:A9:37"], {"flavor": "yealink", "vendor": "Yealink"}),
    (["--path", "SEP0006537B84EF.cnf.xml"], {"flavor": "cisco79xx", "mac": "0006537b84ef"}),
]


@pytest.mark.parametrize(("arguments", "expected"), KNOWN)
def test_command_tells_known_phones(
    arguments: list[str], expected: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """``muru identify --json`` prints what a phone is, and ends with 0."""
    code = main(["identify", *arguments, "--json"])

    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == ["flavor", "vendor", "model", "firmware", "mac", "confidence"]
    assert printed.items() >= expected.items()
    assert printed["confidence"] > 0
    assert code == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["--user-agent", "curl/8"], ["--mac", "02:00:00:00:00:01"], ["--path", "x" * 5000]],
)
def test_command_knows_when_it_does_not_know(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """For what is no known phone the flavor is null, the confidence 0, and the exit code 1."""
    code = main(["identify", *arguments, "--json"])

    printed = json.loads(capsys.readouterr().out)
    assert (printed["flavor"], printed["confidence"], code) == (None, 0.0, 1)
