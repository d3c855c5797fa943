"""Yealink's files, read as its phones and bases would read them."""

from dataclasses import replace

import pytest
from muru.flavors.yealink import Yealink

from muru.flavor import Vocabulary
from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import Transport
from muru.testing import Account
from tests.flavors import sample
from tests.flavors.phones.yealink import CASES, accounts, apply, contacts, included, parse

FLAVOR = Yealink()
MAC = "805ec07f0001"
URL = "http://192.0.2.10:8000/telephoning/yealink/k/abcdefghjkmnpqrstuvwxyz234/"


def words_for(model: str, *names: str) -> Vocabulary:
    words = sample.vocabulary(FLAVOR, f"Yealink {model}", MAC, names=names)
    return sample.with_admin_password(words, "Admin1")


def settings(words: Vocabulary) -> dict[str, str]:
    return parse(sample.render(FLAVOR, "phone.cfg", words).encode())


@pytest.mark.parametrize("model", ["T23G", "W52P"])
def test_device_file_is_as_expected(model: str) -> None:
    """The whole file of a phone, and that of a base."""
    words = sample.with_keys(words_for(model, "Alice", "Bob"), "Help desk", "")

    assert sample.golden(f"yealink/{model}.cfg") == sample.render(FLAVOR, "phone.cfg", words)


@pytest.mark.parametrize("template", ["phone.boot", "common.cfg", "phonebook.xml"])
def test_other_files_are_as_expected(template: str) -> None:
    """The whole of the files that have no accounts, and no secret, in them."""
    words = sample.with_book(words_for("T46U", "Alice"), ("Alice", "Bob & <Carol>"))

    text = sample.render(FLAVOR, template, words)

    assert sample.golden(f"yealink/{template}") == text
    assert words.provisioning.url not in text
    assert "Admin1" not in text


def test_boot_file_includes_that_of_the_phone() -> None:
    """Newer firmware is led to its own file, in the same folder."""
    text = sample.render(FLAVOR, "phone.boot", words_for("T46U", "Alice"))

    assert included(text.encode()) == [f"{MAC}.cfg"]


@pytest.mark.parametrize("phone_type", FLAVOR.PHONE_TYPES)
def test_accounts_of_every_model(phone_type: str) -> None:
    """Each model has as many accounts as it can, with its codecs in order."""
    names = tuple(f"Line {at}" for at in range(1, FLAVOR.line_count(phone_type) + 1))
    words = sample.vocabulary(FLAVOR, phone_type, MAC, names=names)

    assert accounts(settings(words)) == [
        Account(
            "192.0.2.20",
            5060,
            "udp",
            line.username,
            line.password,
            line.name,
            ("g722", "pcma", "pcmu", "g726_32"),
        )
        for line in words.lines
    ]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("is_old", [True, False])
def test_transport_and_codecs(is_old: bool, transport: Transport) -> None:
    """Old and new firmware take the transport, and no codec but those of the extension."""
    words = sample.vocabulary(
        FLAVOR, "Yealink T46G", MAC, codecs=("alaw", "g722"), transport=transport
    )

    (account,) = accounts(settings(words), is_old=is_old)

    assert account.transport == transport
    assert account.codecs == ("pcma", "g722")


def test_accounts_and_keys_that_went() -> None:
    """A phone that had two lines and two speed dials has one and none after it lost them."""
    kept: dict[str, str] = {}
    apply(kept, settings(sample.with_keys(words_for("T46U", "Alice", "Bob"), "Help desk", "Bar")))
    apply(kept, settings(words_for("T46U", "Alice")))

    assert [each.username for each in accounts(kept)] == ["2001"]
    assert "account.2.password" not in kept
    assert [kept[f"linekey.{at}.type"] for at in (1, 2, 3, 27)] == ["15", "0", "0", "0"]
    assert [kept.get(f"linekey.{at}.value") for at in (2, 3)] == [None, None]


def test_keys_behind_the_lines() -> None:
    """Speed dials stand behind the lines; those for which there is no key are left out."""
    words = sample.with_keys(words_for("T23G", "Alice", "Bob"), "", "Bar")
    values = settings(words)

    assert [values[f"linekey.{at}.type"] for at in (1, 2, 3)] == ["15", "15", "13"]
    assert (values["linekey.3.value"], values["linekey.3.label"]) == ("4001", "4001")
    assert "linekey.4.type" not in values


def test_handsets_have_their_own_lines() -> None:
    """Handset n has line n to itself; those beyond share the first, so that none is mute."""
    values = settings(words_for("W52P", "Alice", "Bob"))

    for what in ("incoming_lines", "dial_out_lines", "dial_out_default_line"):
        assert [values[f"handset.{at}.{what}"] for at in range(1, 6)] == ["1", "2", "1", "1", "1"]
    assert [values[f"handset.{at}.name"] for at in (1, 2, 3)] == ["Alice", "Bob", "Alice"]
    assert "handset.6.name" not in values


@pytest.mark.parametrize("model", ["T46U", "W60B"])
@pytest.mark.parametrize("static", ["", "static."])
def test_provisioning_url(model: str, static: str) -> None:
    """The phone comes back to its own URL, and nothing in the network can lead it elsewhere."""
    values = settings(words_for(model, "Alice"))

    assert values[f"{static}auto_provision.server.url"] == URL
    assert values[f"{static}auto_provision.repeat.minutes"] == "60"
    assert values[f"{static}security.user_password"] == "admin:Admin1"
    assert values["remote_phonebook.data.1.url"] == f"{URL}phonebook.xml"
    for door in ("auto_provision.dhcp_option.enable", "auto_provision.pnp_enable"):
        assert values[f"{static}{door}"] == "0"


def test_settings_that_the_site_leaves_unset() -> None:
    """Password, time server and language stay the phone's own."""
    words = sample.with_admin_password(words_for("W60B", "Alice"), None)
    values = settings(replace(words, site=replace(words.site, ntp_server=None, language="xx")))

    names = {"static.security.user_password", "local_time.ntp_server1", "lang.gui"}
    assert values.keys().isdisjoint({*names, "custom.handset.language"})


@pytest.mark.parametrize(
    ("name", "offset", "start", "end"),
    [
        ("Europe/Berlin", "+1", "3/5/7/2", "10/5/7/3"),
        ("America/New_York", "-5", "3/2/7/2", "11/1/7/2"),
        ("America/Nuuk", "-2", "3/5/7/0", "10/5/7/0"),  # the first is an hour late: it is on day 6
        ("Asia/Kolkata", "+5:30", None, None),
    ],
)
def test_time_zone(name: str, offset: str, start: str | None, end: str | None) -> None:
    """Offset and days of change are in the phone's form, with Sunday as day 7."""
    words = words_for("T46U", "Alice")
    values = settings(replace(words, site=replace(words.site, time_zone=time_zone(name))))

    assert values["local_time.time_zone"] == offset
    assert values["local_time.summer_time"] == ("1" if start else "0")
    assert (values.get("local_time.start_time"), values.get("local_time.end_time")) == (start, end)


@pytest.mark.parametrize("name", sample.HOSTILE)
@pytest.mark.parametrize("model", ["T46U", "W60B"])
def test_files_hold_under_hostile_names(model: str, name: str) -> None:
    """Whatever an extension or key is called, the files have the same settings and entries."""
    plain = sample.with_keys(words_for(model, "Alice", "Bob"), "Bar")
    hostile = sample.with_keys(words_for(model, name, name), name)
    book = sample.render(FLAVOR, "phonebook.xml", sample.with_book(hostile, (name, "Bob")))

    assert list(settings(hostile)) == list(settings(plain))
    assert [number for number, _ in contacts(book.encode())] == ["3001", "3002"]


@pytest.mark.parametrize(
    ("agent", "model", "firmware", "mac"),
    [
        (
            "Yealink SIP-T46G 28.72.0.1 00:15:65:4a:a9:37",
            "T46G",
            "28.72.0.1",
            "0015654aa937",
        ),
        (
            "yealink SIP-T18 18.0.0.80 00:15:65:27:3e:05",
            "T18",
            "18.0.0.80",
            "001565273e05",
        ),
        (
            "Yealink SIP-T38G  38.70.0.125 00:15:65:2f:c3:5e",
            "T38G",
            "38.70.0.125",
            "0015652fc35e",
        ),
        (
            "Yealink SIP VP-T49G 51.80.0.10 00:15:65:9b:5a:44",
            "T49G",
            "51.80.0.10",
            "0015659b5a44",
        ),
        ("Yealink SIP-T56A  58.80.0.25 001565f429a4", "T56A", "58.80.0.25", "001565f429a4"),
        (
            "Yealink CP860 37.72.0.5 00:15:65:8a:37:86",
            "CP860",
            "37.72.0.5",
            "0015658a3786",
        ),
        (
            "Yealink W60B 77.81.0.35 80:5e:c0:09:ab:dc",
            "W60B",
            "77.81.0.35",
            "805ec009abdc",
        ),
        ("W52P 25.30.0.2 00:15:65:44:b3:7c", "W52P", "25.30.0.2", "00156544b37c"),
        (
            "Yealink SIP-W52P 25.73.0.20 00:15:65:40:ae:35",
            "W52P",
            "25.73.0.20",
            "00156540ae35",
        ),
        ("VP530P 23.70.0.40 00:15:65:31:4b:c0", "VP530P", "23.70.0.40", "001565314bc0"),
        ("Yealink-T46G 28.71.0.81 28.1.0.128.0.0.0", "T46G", "28.71.0.81", None),
        ("Yealink SIP-T21P_E2 52.83.0.35", "T21P_E2", "52.83.0.35", None),
        ("Yealink SIP-CP960 73.83.0.30", "CP960", "73.83.0.30", None),
    ],
)
def test_user_agent(agent: str, model: str, firmware: str, mac: str | None) -> None:
    """Model, firmware and MAC address are read from what its phones call themselves."""
    found = identify([("yealink", FLAVOR)], Evidence(user_agent=agent))

    assert (found.flavor, found.vendor) == ("yealink", "Yealink")
    assert (found.model, found.firmware, found.mac) == (model, firmware, mac)


def test_models_and_their_phone_types() -> None:
    """The model that a phone tells is the one whose phone type it is."""
    assert [phone_type(FLAVOR, model) for _, _, model in CASES] == [named for named, _, _ in CASES]
    assert phone_type(FLAVOR, "T21P_E2") == "Yealink T21P E2"
    assert phone_type(FLAVOR, "T53") == "Yealink T53"


def test_names_of_files() -> None:
    """All numbers of models have the common file, and no boot file is taken for it."""
    boot, device, common, _ = FLAVOR.FILES

    assert all(common.match(f"y{number:012}.cfg") for number in (0, 28, 108))
    assert not any(file.match("y000000000000.boot") for file in FLAVOR.FILES)
    assert boot.match(f"{MAC.upper()}.boot")
    assert device.match(f"{MAC}.cfg")
    assert not any(file.match(f"{MAC}-local.cfg") for file in FLAVOR.FILES)
