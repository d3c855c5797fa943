"""The files of Snom's desk phones."""

from dataclasses import replace

import pytest
from muru.flavors.snom import MODELS, Snom

from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.timezone import time_zone
from tests.flavors import sample
from tests.flavors.phones.snom import accounts, parse, parse_directory

FLAVOR = Snom()
MAC = "0004137f0001"
DATED_AGENT = (
    "Mozilla/4.0 (compatible; snomD785-SIP 10.1.169.16 2010.12-00001-gd311851f1 "
    "(Feb 25 2019 - 14:19:43) 00041396D9B4 SXM:0 UXM:0 UXMC:0)"
)


def test_device_file_is_as_expected() -> None:
    """The whole file of a typical phone with two lines and two keys."""
    words = sample.vocabulary(FLAVOR, "Snom 720", MAC, names=("Alice", "Door"))
    words = sample.with_keys(words, "Help desk", "Bar")
    words = sample.with_admin_password(words, "Admin1")

    assert sample.golden("snom/0004137F0001.xml") == sample.render(FLAVOR, "phone.xml", words)


def test_directory_is_as_expected() -> None:
    """The whole of a page in the middle, which leads back and on."""
    words = sample.vocabulary(FLAVOR, "Snom 720", MAC)
    words = sample.with_book(words, ("Alice", "Bob & <Carol>"), first=101, total=300)
    text = sample.render(FLAVOR, "phonebook.xml", words)

    assert sample.golden("snom/phonebook.xml") == text
    entries, following = parse_directory(text.encode())
    assert entries == [("Alice", "3001"), ("Bob & <Carol>", "3002")]
    assert following.endswith("/phonebook.xml?first=103&count=100")


def test_directory_of_one_page_has_nothing_to_turn() -> None:
    """Where there is no more, no soft key promises it."""
    words = sample.with_book(sample.vocabulary(FLAVOR, "Snom 720", MAC), ("Alice",))

    assert "SoftKeyItem" not in sample.render(FLAVOR, "phonebook.xml", words)


@pytest.mark.parametrize(
    "path",
    [
        "snom-0004137F0001",
        "snom-00:04:13:7f:00:01",
        "snom-0004137F0001.xml",
        "snom720-0004137F0001.htm",
        "snomD735-0004137f0001.htm",
        "GigasetP82x-0004137f0001.htm",
        "config-0004137f0001.xml",
        "settings-0004137F0001",
        "0004137F0001.xml",
        "0004137f0001.htm",
        "0004137F0001",
    ],
)
def test_device_file_is_found_by_every_name_that_phones_use(path: str) -> None:
    """However the URL is written that leads a phone here, what it asks for tells its address."""
    device_file = sample.file_of(FLAVOR, "phone.xml")
    found = device_file.match(path)

    assert found is not None
    assert identify([("snom", FLAVOR)], Evidence(path=path)).mac == MAC


@pytest.mark.parametrize("path", ["snom", "snomD735.htm", "snomD735-firmware.htm", "snom.xml"])
def test_what_is_the_same_for_all_phones_is_missing(path: str) -> None:
    """A phone that finds no such file goes on to its own; firmware there is none."""
    assert [file for file in FLAVOR.FILES if file.match(path)] == []


def test_lines_are_read_back_as_they_were_given() -> None:
    """A phone finds each account with its transport and its codecs in order, and no others."""
    for transport in ("udp", "tcp", "tls"):
        words = sample.vocabulary(
            FLAVOR,
            "Snom D735",
            MAC,
            names=("Alice", "Door"),
            codecs=("alaw", "g722"),
            transport=transport,
        )
        settings, _ = parse(sample.render(FLAVOR, "phone.xml", words).encode())
        found = accounts(settings)

        assert [(each.username, each.name, each.transport) for each in found] == [
            ("2001", "Alice", transport),
            ("2002", "Door", transport),
        ]
        assert [each.password for each in found] == [line.password for line in words.lines]
        assert list(found[0].codecs) == ["pcma", "g722"]


@pytest.mark.parametrize("name", sample.HOSTILE)
def test_files_hold_under_hostile_names(name: str) -> None:
    """Whatever a person calls anything, the files have the same settings, keys and entries."""
    words = sample.vocabulary(FLAVOR, "Snom 720", MAC, names=(name,))
    plain = sample.vocabulary(FLAVOR, "Snom 720", MAC)
    text = sample.render(FLAVOR, "phone.xml", sample.with_keys(words, name))
    expected = sample.render(FLAVOR, "phone.xml", sample.with_keys(plain, "Bar"))
    settings, keys = parse(text.encode())
    plain_settings, plain_keys = parse(expected.encode())

    assert list(settings) == list(plain_settings)
    assert keys == plain_keys
    book = sample.render(FLAVOR, "phonebook.xml", sample.with_book(plain, (name, "Bob")))
    assert [number for _, number in parse_directory(book.encode())[0]] == ["3001", "3002"]


def test_keys_follow_those_of_the_lines() -> None:
    """Speed dials that do not fit are left out; keys that are left over are line keys again."""
    words = sample.vocabulary(FLAVOR, "Snom 300", MAC, names=("Alice", "Door"))
    few = sample.render(FLAVOR, "phone.xml", sample.with_keys(words, "a"))
    many = sample.render(FLAVOR, "phone.xml", sample.with_keys(words, *"abcdefgh"))

    assert list(parse(few.encode())[1].values()) == ["line", "line", "speed 4001"] + 3 * ["line"]
    assert parse(many.encode())[1] == {
        0: "line",
        1: "line",
        2: "speed 4001",
        3: "speed 4002",
        4: "speed 4003",
        5: "speed 4004",
    }


@pytest.mark.parametrize(
    ("zone", "name", "offset", "dst"),
    [
        ("Europe/Berlin", "GER+1", "+3600", "3600 03.05.07 02:00:00 10.05.07 03:00:00"),
        ("America/New_York", "USA-5", "-18000", "3600 03.02.07 02:00:00 11.01.07 02:00:00"),
        ("Asia/Kathmandu", "", "+20700", ""),
        ("America/Nuuk", "", "-7200", "3600 03.05.07 00:00:00 10.05.07 00:00:00"),
    ],
)
def test_time_zone_is_told_by_name_where_there_is_one_and_in_numbers(
    zone: str, name: str, offset: str, dst: str
) -> None:
    """Phones anywhere show the right time, with times of the change that the format has."""
    words = sample.vocabulary(FLAVOR, "Snom 720", MAC)
    words = replace(words, site=replace(words.site, time_zone=time_zone(zone)))
    settings, _ = parse(sample.render(FLAVOR, "phone.xml", words).encode())

    told = [settings[(each, 0)] for each in ("timezone", "utc_offset", "dst")]
    assert told[:2] == [name, offset]
    assert told[2] == dst


def test_what_the_site_has_not_set_is_left_as_the_phone_has_it() -> None:
    """Without an admin password or time server nothing is said of them."""
    words = sample.vocabulary(FLAVOR, "Snom 720", MAC)
    words = replace(words, site=replace(words.site, ntp_server=None, language="xx"))
    settings, _ = parse(sample.render(FLAVOR, "phone.xml", words).encode())

    names = {name for name, _ in settings}
    assert not names & {"http_pass", "webserver_admin_password", "ntp_server", "tone_scheme"}
    assert settings[("language", 0)] == "English"


@pytest.mark.parametrize(
    ("agent", "expected", "firmware", "mac"),
    [
        (
            "Mozilla/4.0 (compatible; snom320-SIP 8.4.18 1.1.3-s)",
            "Snom 320",
            "8.4.18",
            None,
        ),
        (
            "Mozilla/4.0 (compatible; snom710-SIP 8.7.5.35 1.1.5-IFX-05.01.12 000413741767)",
            "Snom 710",
            "8.7.5.35",
            "000413741767",
        ),
        (
            DATED_AGENT,
            "Snom D785",
            "10.1.169.16",
            "00041396d9b4",
        ),
        (
            "Mozilla/4.0 (compatible; snom725-SIP 8.9.3.40 2010.12 0004137F0001)",
            "Snom D725",
            "8.9.3.40",
            MAC,
        ),
        (
            "Mozilla/4.0 (compatible; GigasetP82x-SIP 10.1.141.13 2010.12 0004137F0001)",
            "Gigaset P82x",
            "10.1.141.13",
            MAC,
        ),
        ("GigasetP810/10.1.141.13", "Gigaset P810", "10.1.141.13", None),
        ("snom370/8.7.5.48", "Snom 370", "8.7.5.48", None),
        ("snom821/873_19_20130321", "Snom 821", "873_19_20130321", None),
        ("snomD120/10.1.39.11", "Snom D120", "10.1.39.11", None),
    ],
)
def test_user_agent_tells_the_phone_type(
    agent: str, expected: str, firmware: str, mac: str | None
) -> None:
    """What these phones call themselves over HTTP and SIP names one of the phone types."""
    found = identify([("snom", FLAVOR)], Evidence(user_agent=agent))

    assert found.model is not None
    assert (found.flavor, phone_type(FLAVOR, found.model)) == ("snom", expected)
    assert (found.firmware, found.mac) == (firmware, mac)


def test_user_agent_of_old_firmware_tells_the_vendor() -> None:
    """Firmware 6 does not name the model."""
    agent = "Mozilla/4.0 (compatible; snom lid 3605)"

    assert identify([("snom", FLAVOR)], Evidence(user_agent=agent)).flavor == "snom"


def test_models_have_no_more_lines_than_the_file_switches_off() -> None:
    """What a phone had before is switched off on each of its lines."""
    assert max(model.lines for model in MODELS.values()) == FLAVOR.MOST_LINES
    assert min(model.lines for model in MODELS.values()) >= 1
