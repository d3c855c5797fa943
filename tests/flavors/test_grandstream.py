"""Grandstream's files, read as its phones and adapters would read them."""

from dataclasses import replace

import pytest
from muru.flavors.grandstream import Grandstream

from muru.flavor import Vocabulary
from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import Provisioning, Transport, Wifi
from muru.testing import Account
from tests.flavors import sample
from tests.flavors.phones.grandstream import CASES, accounts, contacts, parse

FLAVOR = Grandstream()
MAC = "000b827f0001"
CODECS = {"g722": "G722", "alaw": "PCMA", "ulaw": "PCMU", "g726": "G726-32"}


def words_for(model: str, *names: str) -> Vocabulary:
    """Return the words at a site that has set all that there is to be set."""
    words = sample.vocabulary(FLAVOR, f"Grandstream {model}", MAC, names=names)
    words = sample.with_admin_password(words, "Admin1")
    return replace(words, site=replace(words.site, wifi=Wifi("Camp", "Wifi1")))


def settings(words: Vocabulary) -> dict[str, str]:
    return parse(sample.render(FLAVOR, "phone.xml", words).encode(), MAC)


@pytest.mark.parametrize("model", ["GXP1628", "GRP2614", "WP820", "HT802", "HT814"])
def test_device_file_is_as_expected(model: str) -> None:
    """The whole file of a phone of each kind, with fewer lines than it could have."""
    names = ("Alice",) if model == "GXP1628" else ("Alice", "Bob")
    words = sample.with_keys(words_for(model, *names), "Help desk", "Bar")

    assert sample.golden(f"grandstream/{model}.xml") == sample.render(FLAVOR, "phone.xml", words)


def test_phonebook_is_as_expected() -> None:
    """The whole phonebook."""
    words = sample.with_book(words_for("GXP2160", "Alice"), ("Alice", "Bob & <Carol>"))
    text = sample.render(FLAVOR, "phonebook.xml", words)

    assert sample.golden("grandstream/phonebook.xml") == text
    assert contacts(text.encode()) == [("3001", "Alice"), ("3002", "Bob & <Carol>")]


@pytest.mark.parametrize("phone_type", FLAVOR.PHONE_TYPES)
def test_accounts_of_every_model(phone_type: str) -> None:
    """Each model has as many accounts as it can, with its codecs in order; the rest are off."""
    model = phone_type.removeprefix("Grandstream ")
    names = tuple(f"Line {at}" for at in range(1, FLAVOR.line_count(phone_type) + 1))
    words = words_for(model, *names)

    full = accounts(settings(words), model)

    assert full == [
        Account(
            "192.0.2.20",
            5060,
            "udp",
            line.username,
            line.password,
            line.name,
            tuple(CODECS[each] for each in line.codecs),
        )
        for line in words.lines
    ]
    assert accounts(settings(words_for(model, "Line 1")), model) == full[:1]


def test_accounts_that_went_are_emptied() -> None:
    """The phone keeps what is not named: so an unused account is named, without its password."""
    values = settings(words_for("GXP2160", "Alice"))

    for base in (4, 5, 6, 17, 18):
        assert (values[f"P{base}01"], values[f"P{base}04"], values[f"P{base}06"]) == ("0", "", "")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("model", ["GXP1630", "HT802", "HT818"])
def test_transport_and_codecs(model: str, transport: Transport) -> None:
    """Phones and adapters take the transport, and no codec but those of the extension."""
    words = sample.vocabulary(
        FLAVOR, f"Grandstream {model}", MAC, codecs=("ulaw", "alaw"), transport=transport
    )

    (account,) = accounts(settings(words), model)

    assert account.transport == transport
    assert account.codecs == ("PCMU", "PCMA")


@pytest.mark.parametrize(
    ("url", "scheme", "phonebook"),
    [
        ("http://pbx.example/telephoning/grandstream/k/token/", "1", "1"),
        ("https://pbx.example/telephoning/grandstream/k/token/", "2", "3"),
        ("tftp://pbx.example/telephoning/grandstream/k/token/", "0", "2"),
    ],
)
def test_provisioning_url_by_scheme(url: str, scheme: str, phonebook: str) -> None:
    """The phone is told its URL in parts, for configuration and phonebook, and DHCP cannot win."""
    values = settings(replace(words_for("GXP1630", "A"), provisioning=Provisioning(url, 7200)))

    assert (values["P212"], values["P330"]) == (scheme, phonebook)
    assert values["P237"] == values["P331"] == "pbx.example/telephoning/grandstream/k/token"
    assert (values["P145"], values["P194"], values["P193"]) == ("0", "1", "120")


def test_settings_that_the_site_leaves_unset() -> None:
    """Password, time server and WiFi stay the phone's own."""
    words = words_for("WP820", "Alice")
    unset = replace(words.site, admin_password=None, ntp_server=None, wifi=None)
    values = settings(replace(words, site=unset))

    assert values.keys().isdisjoint({"P2", "P30", "P83000", "P83001", "P83003"})


def test_wifi_of_models_without() -> None:
    """The network's password goes to phones with WiFi only."""
    assert "Wifi1" not in settings(words_for("GXP2160", "Alice")).values()
    assert settings(words_for("WP810", "Alice"))["P83003"] == "Wifi1"


def test_time_zone_without_letters() -> None:
    """A zone whose abbreviation is a number has letters: the phone's rule wants a name."""
    words = words_for("GXP2160", "Alice")
    there = replace(words, site=replace(words.site, time_zone=time_zone("America/Sao_Paulo")))

    assert settings(words)["P246"] == "CET-1CEST,M3.5.0,M10.5.0/3"
    assert settings(there)["P246"] == "STD3"


def test_keys_behind_the_lines() -> None:
    """Speed dials stand behind the lines, and what is behind them is switched off."""
    values = settings(sample.with_keys(words_for("GXP2160", "Alice", "Bob"), *("Key",) * 6))
    dialled = [values[f"P{1464 + 2 * at}"] for at in range(1, 7)] + [
        values[f"P{23803 + 4 * at}"] for at in range(3)
    ]

    assert dialled == ["", "", "4001", "4002", "4003", "4004", "4005", "4006", ""]
    assert [values["P1363"], values["P1367"], values["P23808"]] == ["Line", "SpeedDial", "None"]


def test_keys_of_lines_that_are_not_used() -> None:
    """They are further keys of the first line, so that a second call can be seen."""
    values = settings(words_for("GXP2160", "Alice", "Bob"))

    assert [values[f"P{1361 + 2 * at}"] for at in range(1, 7)] == ["Line"] * 6
    assert [values[f"P{1362 + 2 * at}"] for at in range(1, 7)] == ["0", "1", "0", "0", "0", "0"]
    assert values["P23800"] == "None"


def test_keys_beyond_those_of_the_model() -> None:
    """More speed dials than keys are left out."""
    values = settings(sample.with_keys(words_for("GXP1628", "Alice"), *("Key",) * 5))

    assert (values["P1365"], values["P1468"]) == ("10", "4001")
    assert "4002" not in values.values()


@pytest.mark.parametrize("name", sample.HOSTILE)
@pytest.mark.parametrize("model", ["GXP2160", "HT814"])
def test_files_hold_under_hostile_names(model: str, name: str) -> None:
    """Whatever an extension or key is called, the files have the same parameters and entries."""
    plain = sample.with_keys(words_for(model, "Alice", "Bob"), "Bar")
    hostile = sample.with_keys(words_for(model, name, name), name)
    book = sample.render(FLAVOR, "phonebook.xml", sample.with_book(hostile, (name, "Bob")))

    assert list(settings(hostile)) == list(settings(plain))
    assert [number for number, _ in contacts(book.encode())] == ["3001", "3002"]


@pytest.mark.parametrize(
    ("agent", "model", "firmware", "mac"),
    [
        (
            "Grandstream Model HW GXP1628 SW 1.0.4.138 DevId c074ad2bd859",
            "GXP1628",
            "1.0.4.138",
            "c074ad2bd859",
        ),
        (
            "Grandstream Model HW GXP2200 V2.2A SW 1.0.1.33 DevId 000b82462d97",
            "GXP2200",
            "1.0.1.33",
            "000b82462d97",
        ),
        (
            "Grandstream Model HW GXV3350  V1.3A SW 1.0.1.8 DevId c074ad150b88",
            "GXV3350",
            "1.0.1.8",
            "c074ad150b88",
        ),
        (
            "Grandstream Model HW HT801 V1.1A SW 1.0.17.5 DevId c074ad273a10",
            "HT801",
            "1.0.17.5",
            "c074ad273a10",
        ),
        (
            "Grandstream GXP2000 (gxp2000e.bin:1.2.5.3/boot55e.bin:1.1.6.9) DevId 000b822726c8",
            "GXP2000",
            "1.1.6.9",
            "000b822726c8",
        ),
        ("Grandstream GXP2170 1.0.11.57", "GXP2170", "1.0.11.57", None),
        ("Grandstream HT-503  V1.1B 1.0.10.9  chip V2.2", "HT-503", "1.0.10.9", None),
    ],
)
def test_user_agent(agent: str, model: str, firmware: str, mac: str | None) -> None:
    """Model, firmware and MAC address are read from what its phones call themselves."""
    found = identify([("grandstream", FLAVOR)], Evidence(user_agent=agent))

    assert (found.flavor, found.vendor) == ("grandstream", "Grandstream")
    assert (found.model, found.firmware, found.mac) == (model, firmware, mac)


def test_user_agent_of_the_app() -> None:
    """The app Wave, which fetches none of these files, is no phone of this flavor."""
    agent = "Grandstream Wave 1.2.14"

    assert identify([("grandstream", FLAVOR)], Evidence(user_agent=agent)).flavor is None


def test_models_of_the_virtual_phones() -> None:
    """The model that a phone tells is the one whose phone type it is."""
    for named, _, model in CASES:
        assert phone_type(FLAVOR, model) == named


def test_binary_file() -> None:
    """The name without suffix is for a binary format, which there is none of."""
    device = sample.file_of(FLAVOR, "phone.xml")

    assert device.match(f"cfg{MAC}") is None
    assert device.match(f"cfg{MAC.upper()}.xml") is not None
