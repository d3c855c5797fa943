"""The files of Mitel's and Aastra's desk phones."""

import xml.etree.ElementTree as ET

import pytest
from muru.flavors.mitel import MODELS, Mitel

from muru.provisioning.identification import Evidence, identify, phone_type
from tests.flavors import sample
from tests.flavors.phones.mitel import accounts, parse, parse_directory

FLAVOR = Mitel()
MAC = "00085d40905f"


def test_device_file_is_as_expected() -> None:
    """The whole file of a typical phone with two lines and two keys."""
    words = sample.vocabulary(FLAVOR, "Mitel 6867i", MAC, names=("Alice", "Door"))
    words = sample.with_keys(words, "Help desk", "Bar")

    assert sample.golden("mitel/00085D40905F.cfg") == sample.render(FLAVOR, "phone.cfg", words)


def test_common_file_is_as_expected() -> None:
    """The whole file that is the same for all phones; nothing in it is a secret."""
    words = sample.vocabulary(FLAVOR, "Mitel 6867i", MAC)

    assert sample.golden("mitel/startup.cfg") == sample.render(FLAVOR, "common.cfg", words)


def test_directories_are_as_expected() -> None:
    """The whole list that a phone keeps, and the whole second page of three or more."""
    words = sample.vocabulary(FLAVOR, "Mitel 6867i", MAC)
    few = sample.with_book(words, ("Alice", "Bob & Carol"))
    names = tuple(f"N{number}" for number in range(FLAVOR.PAGE))
    page = sample.with_book(words, names, first=29, total=90)

    assert sample.golden("mitel/directory.csv") == sample.render(FLAVOR, "directory.csv", few)
    assert sample.golden("mitel/directory.xml") == sample.render(FLAVOR, "directory.xml", page)


def test_lines_are_read_back_as_they_were_given() -> None:
    """A phone finds each account with its transport and its codecs in order, and no others."""
    for transport in ("udp", "tcp", "tls"):
        words = sample.vocabulary(
            FLAVOR,
            "Mitel 6930",
            MAC,
            names=("Alice", "Door"),
            codecs=("alaw", "g722"),
            transport=transport,
        )
        found = accounts(parse(sample.render(FLAVOR, "phone.cfg", words)))

        assert [(each.username, each.name, each.transport) for each in found] == [
            ("2001", "Alice", transport),
            ("2002", "Door", transport),
        ]
        assert [each.password for each in found] == [line.password for line in words.lines]
        assert list(found[0].codecs) == ["alaw", "g722"]


@pytest.mark.parametrize("name", sample.HOSTILE)
def test_device_file_holds_under_hostile_names(name: str) -> None:
    """Whatever a person calls an extension or a key, the file has the same parameters."""
    words = sample.vocabulary(FLAVOR, "Mitel 6867i", MAC, names=(name,))
    plain = sample.vocabulary(FLAVOR, "Mitel 6867i", MAC)
    text = sample.render(FLAVOR, "phone.cfg", sample.with_keys(words, name))
    expected = sample.render(FLAVOR, "phone.cfg", sample.with_keys(plain, "Bar"))

    assert list(parse(text)) == list(parse(expected))


@pytest.mark.parametrize("name", sample.HOSTILE)
def test_directories_hold_under_hostile_names(name: str) -> None:
    """Whatever a person is called, both directories have as many entries as there are people."""
    words = sample.with_book(sample.vocabulary(FLAVOR, "Mitel 6867i", MAC), (name, "Bob"))
    menu = ET.fromstring(sample.render(FLAVOR, "directory.xml", words))

    entries = parse_directory(sample.render(FLAVOR, "directory.csv", words))
    assert [number for _, number in entries] == ["3001", "3002"]
    assert [item.findtext("Dial") for item in menu.iter("MenuItem")] == ["3001", "3002"]
    assert [element.tag for element in menu] == ["Title", "MenuItem", "MenuItem"]


def test_directory_has_pages_that_the_phone_can_turn() -> None:
    """A page in the middle leads back and on, and no menu is larger than the phone takes."""
    names = tuple("&" * 64 for _ in range(FLAVOR.PAGE))
    words = sample.vocabulary(FLAVOR, "Mitel 6867i", MAC)
    words = sample.with_book(words, names, first=29, total=90)
    text = sample.render(FLAVOR, "directory.xml", words)
    uris = [uri.text or "" for uri in ET.fromstring(text).iter("URI")]

    assert len(uris) == 30
    assert len(text.encode()) <= 10_000
    assert uris[0].endswith("/directory.xml?first=1&count=28")
    assert uris[-1].endswith("/directory.xml?first=57&count=28")


def test_directory_of_one_page_has_nothing_to_turn() -> None:
    """Fewer people than fit on a page are all that the menu shows."""
    words = sample.vocabulary(FLAVOR, "Mitel 6867i", MAC)
    words = sample.with_book(words, ("Alice", "Bob"))

    assert [
        uri.text for uri in ET.fromstring(sample.render(FLAVOR, "directory.xml", words)).iter("URI")
    ] == ["Dial:3001", "Dial:3002"]


def test_more_keys_than_the_model_has_are_left_out() -> None:
    """A phone with three keys is told of the first three."""
    words = sample.vocabulary(FLAVOR, "Mitel 6863i", MAC)
    text = sample.render(FLAVOR, "phone.cfg", sample.with_keys(words, *"abcde"))

    keys = [name for name in parse(text) if name.endswith("label")]
    assert keys == ["prgkey1 label", "prgkey2 label", "prgkey3 label"]


def test_admin_password_is_set_where_the_keypad_can_type_it() -> None:
    """The phone's own stays where the site has none, or one that is no number."""
    found = []
    for password in (None, "secret", "424242"):
        words = sample.vocabulary(FLAVOR, "Mitel 6863i", MAC)
        words = sample.with_admin_password(words, password)
        found.append(parse(sample.render(FLAVOR, "phone.cfg", words)).get("admin password"))

    assert found == [None, None, "424242"]


@pytest.mark.parametrize(
    ("agent", "expected", "mac"),
    [
        ("Aastra6731i MAC:00-08-5D-23-74-29 V:3.2.0.70-SIP", "Aastra 6731i", "00085d237429"),
        ("Aastra6863i MAC:00-08-5D-40-90-5F V:4.1.0.128-SIP", "Mitel 6863i", "00085d40905f"),
        ("Mitel6940 MAC:14-00-E9-1B-45-24 V:6.4.0.140-SIP", "Mitel 6940", "1400e91b4524"),
        ("Aastra 57i/2.5.1.41", "Aastra 6757i", None),
        ("Mitel 6930/6.4.0.132", "Mitel 6930", None),
        ("Mitel-6920-SIP/6.4.0.140", "Mitel 6920", None),
    ],
)
def test_user_agent_tells_the_phone_type(agent: str, expected: str, mac: str | None) -> None:
    """What these phones call themselves over HTTP and SIP names one of the phone types."""
    found = identify([("mitel", FLAVOR)], Evidence(user_agent=agent))

    assert found.model is not None
    assert (found.flavor, phone_type(FLAVOR, found.model), found.mac) == ("mitel", expected, mac)


def test_models_have_a_line_and_keys_that_exist() -> None:
    """The table of models has no nonsense in it."""
    for model in MODELS.values():
        assert model.lines >= 1
        assert model.kind in {"prgkey", "softkey", "topsoftkey"}
