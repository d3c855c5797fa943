"""Grandstream's files, read as its phones and adapters would read them."""

from dataclasses import replace

import pytest
from muru.flavors.grandstream import Grandstream

from muru.flavor import ProvisioningFile, Vocabulary
from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import Entry, Phonebook, Provisioning, Server
from muru.testing import Account
from tests.flavors.phones.grandstream import CASES, accounts, contacts, parse
from tests.flavors.vocabularies import HOSTILE, is_golden, quiet, render, supported, vocabulary

FLAVOR = Grandstream()
DEVICE, PHONEBOOK = FLAVOR.FILES


def settings(words: Vocabulary, file: ProvisioningFile = DEVICE) -> dict[str, str]:
    return parse(render(FLAVOR, file, words).encode(), words.phone.mac)


def words_for(model: str, *names: str, keys: int = 0) -> Vocabulary:
    return vocabulary(FLAVOR, f"Grandstream {model}", *names, keys=keys)


@pytest.mark.parametrize("model", ["GXP1628", "GRP2614", "WP820", "HT802", "HT814"])
def test_file_for_typical_phone(model: str) -> None:
    """A phone of each kind gets exactly the file that was looked over by hand."""
    names = ("Alice",) if model == "GXP1628" else ("Alice", "Bob")
    text = render(FLAVOR, DEVICE, words_for(model, *names, keys=2))

    assert is_golden(f"grandstream/{model.lower()}.xml", text)


def test_phonebook_for_typical_site() -> None:
    """The phonebook is exactly the file that was looked over by hand."""
    text = render(FLAVOR, PHONEBOOK, words_for("GXP2160", "Alice"))

    assert is_golden("grandstream/phonebook.xml", text)
    assert contacts(text.encode()) == [("2001", "Alice"), ("2002", "Bob & <Carol>")]


@pytest.mark.parametrize("phone_type", FLAVOR.PHONE_TYPES)
def test_accounts_of_every_model(phone_type: str) -> None:
    """Each model has as many accounts as it can, with its codecs in order; the rest are off."""
    model = phone_type.removeprefix("Grandstream ")
    names = [f"Line {at}" for at in range(FLAVOR.line_count(phone_type))]
    known = {"g722": "G722", "alaw": "PCMA", "ulaw": "PCMU", "g726": "G726-32"}
    codecs = tuple(known[each] for each in supported(FLAVOR, phone_type))

    full = accounts(settings(vocabulary(FLAVOR, phone_type, *names)), model)
    one = accounts(settings(vocabulary(FLAVOR, phone_type, "Line 0")), model)

    assert full == [
        Account("pbx.example", 5060, "udp", str(2001 + at), f"Secret{at + 1}", name, codecs)
        for at, name in enumerate(names)
    ]
    assert one == full[:1]


def test_accounts_that_went_are_emptied() -> None:
    """The phone keeps what is not named: so an unused account is named, without its password."""
    values = settings(words_for("GXP2160", "Alice"))

    for base in (4, 5, 6, 17, 18):
        assert (values[f"P{base}01"], values[f"P{base}04"], values[f"P{base}06"]) == ("0", "", "")


def test_accounts_over_tls() -> None:
    """Transport and port are the server's."""
    words = replace(words_for("HT818", "Alice"), server=Server("pbx.example", 5061, "tls"))

    (account,) = accounts(settings(words), "HT818")

    assert (account.server, account.port, account.transport) == ("pbx.example", 5061, "tls")


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
    """Password, time server, language and WiFi stay the phone's own."""
    values = settings(quiet(words_for("WP820", "Alice")))

    assert values.keys().isdisjoint({"P2", "P30", "P1362", "P83000", "P83001", "P83003"})


def test_wifi_of_models_without() -> None:
    """The network's password goes to phones with WiFi only."""
    assert "Wifi1" not in render(FLAVOR, DEVICE, words_for("GXP2160", "Alice"))
    assert settings(words_for("WP810", "Alice"))["P83003"] == "Wifi1"


def test_time_zone_without_letters() -> None:
    """A zone whose abbreviation is a number has letters: the phone's rule wants a name."""
    words = words_for("GXP2160", "Alice")
    there = replace(words, site=replace(words.site, time_zone=time_zone("America/Sao_Paulo")))

    assert settings(words)["P246"] == "CET-1CEST,M3.5.0,M10.5.0/3"
    assert settings(there)["P246"] == "STD3"


def test_keys_behind_the_lines() -> None:
    """Speed dials stand behind the lines, and what is behind them is switched off."""
    values = settings(words_for("GXP2160", "Alice", "Bob", keys=6))
    dialled = [values[f"P{1464 + 2 * at}"] for at in range(1, 7)] + [
        values[f"P{23803 + 4 * at}"] for at in range(3)
    ]

    assert dialled == ["", "", "9001", "9002", "9003", "9004", "9005", "9006", ""]
    assert [values["P1363"], values["P1367"], values["P23808"]] == ["Line", "SpeedDial", "None"]


def test_keys_beyond_those_of_the_model() -> None:
    """More speed dials than keys are left out."""
    values = settings(words_for("GXP1628", "Alice", keys=5))

    assert (values["P1365"], values["P1468"]) == ("10", "9001")
    assert "9002" not in values.values()


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_break_files(name: str) -> None:
    """Whatever an extension or key is called, the file has the same parameters."""
    plain, hostile = (words_for("GXP2160", each, each, keys=3) for each in ("Alice", name))
    entries = Phonebook("Camp", (Entry("2001", name),), total=1)
    hostile = replace(hostile, phonebook=entries)

    assert list(settings(hostile)) == list(settings(plain))
    assert len(contacts(render(FLAVOR, PHONEBOOK, hostile).encode())) == 1


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
    assert DEVICE.match("cfg000b827f0001") is None
    assert DEVICE.match("cfg000B827F0001.xml") is not None
