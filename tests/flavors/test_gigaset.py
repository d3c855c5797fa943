"""The files of Gigaset's DECT bases and desk phones."""

from dataclasses import replace

import pytest
from muru.flavors.gigaset import Gigaset

from muru.flavor import CODEC
from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import Transport
from muru.testing import Account
from tests.flavors import sample
from tests.flavors.phones.gigaset import (
    base_accounts,
    items_accounts,
    maxwell_accounts,
    parse_directory,
    parse_items,
    parse_parameters,
)

FLAVOR = Gigaset()
MAC = "7c2f807f0001"
OLD, NEW, DESK = "Gigaset N510 IP PRO", "Gigaset N870 IP PRO", "Gigaset Maxwell 3"


def render(
    phone_type: str,
    *names: str,
    codecs: tuple[CODEC, ...] | None = None,
    transport: Transport = "udp",
) -> bytes:
    """Return the device's file as its bytes."""
    words = sample.vocabulary(
        FLAVOR, phone_type, MAC, names=names or ("Alice",), codecs=codecs, transport=transport
    )
    return sample.render(FLAVOR, "phone.xml", words).encode("iso-8859-1")


@pytest.mark.parametrize(
    ("phone_type", "name"), [(OLD, "n510.xml"), (NEW, "n870.xml"), (DESK, "maxwell.xml")]
)
def test_device_file_is_as_expected(phone_type: str, name: str) -> None:
    """The whole file of each kind of device, with two lines and two keys."""
    words = sample.vocabulary(FLAVOR, phone_type, MAC, names=("Alice", "Door"))
    words = sample.with_admin_password(sample.with_keys(words, "Help desk", "Bar"), "4711")

    assert sample.golden(f"gigaset/{name}") == sample.render(FLAVOR, "phone.xml", words)


def test_directory_is_as_expected() -> None:
    """The whole of an answer that begins in the middle of the directory."""
    words = sample.vocabulary(FLAVOR, NEW, MAC)
    words = sample.with_book(words, ("Alice", "Bob & <Carol>"), first=101, total=300)
    text = sample.render(FLAVOR, "phonebook.xml", words)

    assert sample.golden("gigaset/phonebook.xml") == text
    assert parse_directory(text.encode()) == ([("Alice", "3001"), ("Bob & <Carol>", "3002")], 300)


def accounts_of(phone_type: str, content: bytes) -> list[Account]:
    if phone_type == OLD:
        return items_accounts(parse_items(content, MAC))
    parameters, handsets = parse_parameters(content)
    return base_accounts(parameters, handsets) if handsets else maxwell_accounts(parameters)


@pytest.mark.parametrize("phone_type", FLAVOR.PHONE_TYPES)
def test_every_model_takes_as_many_lines_as_it_can(phone_type: str) -> None:
    """A device finds all of its accounts as they were given."""
    names = tuple(f"Line {at}" for at in range(1, FLAVOR.line_count(phone_type) + 1))
    kind = OLD if "N510" in phone_type else phone_type
    found = accounts_of(kind, render(phone_type, *names))

    assert [each.name for each in found] == list(names)
    assert [each.username for each in found] == [str(2000 + at) for at in range(1, len(names) + 1)]
    assert {each.password for each in found} == {
        f"k7m2p9qrs4tuvwx3yz{at:02}" for at in range(1, len(names) + 1)
    }


def test_codecs_are_written_in_order_of_preference() -> None:
    """Numbers of its own for the N510, RTP's payload types for Maxwell."""
    old = accounts_of(OLD, render(OLD, codecs=("alaw", "g722", "g726")))
    desk = accounts_of(DESK, render(DESK, codecs=("alaw", "g722")))

    assert [list(each.codecs) for each in old + desk] == [["0x01", "0x05", "0x02"], ["8", "9"]]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_transport_is_the_servers(transport: Transport) -> None:
    """The newer bases and the desk phones register over what the site has set."""
    for kind in (NEW, DESK):
        assert accounts_of(kind, render(kind, transport=transport))[0].transport == transport


@pytest.mark.parametrize("name", sample.HOSTILE)
@pytest.mark.parametrize("phone_type", [OLD, NEW, DESK])
def test_device_file_holds_under_hostile_names(phone_type: str, name: str) -> None:
    """Whatever a person calls a line, the file sets the same things."""
    content, plain = render(phone_type, name), render(phone_type)

    if phone_type == OLD:
        assert list(parse_items(content, MAC)) == list(parse_items(plain, MAC))
    else:
        (found, handsets), (expected, same) = parse_parameters(content), parse_parameters(plain)
        assert (list(found), handsets) == (list(expected), same)


@pytest.mark.parametrize("name", sample.HOSTILE)
def test_directory_holds_under_hostile_names(name: str) -> None:
    """Whatever a person is called, everybody is in it with the own number."""
    words = sample.with_book(sample.vocabulary(FLAVOR, NEW, MAC), (name, "Bob"))
    entries, _ = parse_directory(sample.render(FLAVOR, "phonebook.xml", words).encode())

    assert [number for _, number in entries] == ["3001", "3002"]


def test_names_beyond_latin_letters_are_written_as_entities() -> None:
    """The file is in ISO 8859-1, in which each character can be told nevertheless."""
    content = render(NEW, "Zoë \u05d0\U0001f4de")

    assert "Zoë".encode("iso-8859-1") in content
    assert accounts_of(NEW, content)[0].name == "Zoë \u05d0\U0001f4de"


def test_url_is_the_secret_one_with_the_name_of_the_file() -> None:
    """A device that is told no URL by DHCP keeps to the one with its token."""
    folder = "192.0.2.10:8000/telephoning/gigaset/k/abcdefghjkmnpqrstuvwxyz234/"
    new, _ = parse_parameters(render(NEW))
    desk, _ = parse_parameters(render(DESK))

    assert parse_items(render(OLD), MAC)["S_CONFIGFILE_URL"] == f"{folder}7C2F807F0001.xml"
    assert new["Provisioning.global.ProvisioningServer"] == f"http://{folder}%MACD.xml"
    assert desk["System.Provision.ProvisioningServer"] == f"http://{folder}%MACD.xml"


def test_pin_is_set_where_it_has_four_digits() -> None:
    """The N510's own stays where the site has none, or one that is no PIN."""
    found = []
    for password in (None, "secret", "12345", "4711"):
        words = sample.with_admin_password(sample.vocabulary(FLAVOR, OLD, MAC), password)
        text = sample.render(FLAVOR, "phone.xml", words)
        found.append(parse_items(text.encode("iso-8859-1"), MAC).get("BS_CUSTOM.aucKdsPin[0]"))

    assert found == [None, None, None, "0x47,0x11"]


@pytest.mark.parametrize(
    ("zone", "code", "name"),
    [
        ("Europe/Vienna", "0x1b", "Europe/Vienna"),
        ("America/New_York", "0x0d", "America/New_York"),
        ("America/Toronto", "0x0d", "America/New_York"),
        ("Asia/Kolkata", "0x2e", "Asia/Karachi"),
        ("Pacific/Kiritimati", "0x1a", "Greenwich"),
        ("Etc/UTC", "0x1a", "Europe/London"),
    ],
)
def test_time_zone_is_one_that_the_device_knows(zone: str, code: str, name: str) -> None:
    """A zone without a name here is told as one with the same offset, in whole hours, or as UTC."""
    told = {}
    for kind in (OLD, NEW):
        words = sample.vocabulary(FLAVOR, kind, MAC)
        words = replace(words, site=replace(words.site, time_zone=time_zone(zone)))
        told[kind] = sample.render(FLAVOR, "phone.xml", words).encode("iso-8859-1")

    assert parse_items(told[OLD], MAC)["BS_IP_Data1.uiI_TIME_TIMEZONE"] == code
    assert parse_parameters(told[NEW])[0]["DmGlobal.0.TimeZone"] == name


@pytest.mark.parametrize(
    ("number", "code"), [("2001", "2001"), ("17", "0017"), ("491234567", "4567"), ("*9#", "0009")]
)
def test_access_code_follows_from_the_number(number: str, code: str) -> None:
    """Four digits, by which its owner registers the handset."""
    assert FLAVOR.access_code(number) == code


@pytest.mark.parametrize(
    ("agent", "expected", "mac"),
    [
        ("N510 IP PRO/42.245.00.000.000;7C2F804DF9A9", OLD, "7c2f804df9a9"),
        ('"Gigaset N870 IP PRO/83.V2.11.0+build.a546b91;7C2F80E0D605"', NEW, "7c2f80e0d605"),
        (
            "Gigaset N670 IP PRO/83.V2.11.0+build.a546b91;7C2F80E0D605;Handset=3",
            "Gigaset N670 IP PRO",
            "7c2f80e0d605",
        ),
        ("Gigaset Maxwell 3/2.22.4;589EC67F0001", DESK, "589ec67f0001"),
    ],
)
def test_user_agent_tells_the_phone_type(agent: str, expected: str, mac: str) -> None:
    """What these devices call themselves names one of the phone types."""
    found = identify([("gigaset", FLAVOR)], Evidence(user_agent=agent))

    assert found.model is not None
    assert (found.flavor, phone_type(FLAVOR, found.model), found.mac) == ("gigaset", expected, mac)
    assert found.firmware is not None


def test_user_agent_of_an_unsupported_base_tells_the_vendor() -> None:
    """An N720 is told to be Gigaset's, though it is none of the phone types."""
    agent = "Gigaset N720 DM PRO/70.089.00.000.000;7C2F80CA21E4"
    found = identify([("gigaset", FLAVOR)], Evidence(user_agent=agent))

    assert (found.flavor, found.model) == ("gigaset", "N720 DM PRO")
    assert phone_type(FLAVOR, "N720 DM PRO") is None
