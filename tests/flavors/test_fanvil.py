"""The files of Fanvil's phones."""

from dataclasses import replace

import pytest
from muru.flavors.fanvil import MODELS, Fanvil

from muru.flavor import Vocabulary
from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import Transport
from tests.flavors import sample
from tests.flavors.phones.fanvil import (
    Configuration,
    accounts,
    function_keys,
    parse,
    parse_directory,
)

FLAVOR = Fanvil()
MAC = "0c383e7f0001"
NEW, OLD, DOOR = "Fanvil X3U", "Fanvil X3S", "Fanvil i64"
TIME = {
    NEW: ("PHONE FEATURE MODULE", "DateTime Config"),
    OLD: ("GLOBAL CONFIG MODULE", ""),
}


def configuration(words: Vocabulary) -> Configuration:
    return parse(sample.render(FLAVOR, "phone.cfg", words))[1]


@pytest.mark.parametrize(("phone_type", "name"), [(NEW, "x3u.cfg"), (OLD, "x3s.cfg")])
def test_device_file_is_as_expected(phone_type: str, name: str) -> None:
    """The whole file of a phone of each generation, with one line and two keys."""
    words = sample.with_keys(sample.vocabulary(FLAVOR, phone_type, MAC), "Help desk", "Bar")
    words = sample.with_admin_password(words, "Admin1")
    text = sample.render(FLAVOR, "phone.cfg", words)

    assert sample.golden(f"fanvil/{name}") == text.replace("\r\n", "\n")


def test_phonebook_is_as_expected() -> None:
    """The whole phonebook."""
    words = sample.with_book(sample.vocabulary(FLAVOR, NEW, MAC), ("Alice", "Bob & <Carol>"))
    text = sample.render(FLAVOR, "phonebook.xml", words)

    assert sample.golden("fanvil/phonebook.xml") == text
    assert parse_directory(text.encode()) == [("Alice", "3001"), ("Bob & <Carol>", "3002")]


def test_version_changes_with_the_file_and_only_then() -> None:
    """A phone takes what is new, and is left alone by what it has already."""
    words = sample.vocabulary(FLAVOR, NEW, MAC)
    version, _ = parse(sample.render(FLAVOR, "phone.cfg", words))
    same, _ = parse(sample.render(FLAVOR, "phone.cfg", words))
    other, _ = parse(sample.render(FLAVOR, "phone.cfg", sample.with_keys(words, "Bar")))

    assert version == same != other
    assert len(version) == len(other) == len("2.0000000000")


def test_ends_of_lines_are_those_of_the_vendor() -> None:
    """Each line ends with CR LF, and none has one of the two alone."""
    text = sample.render(FLAVOR, "phone.cfg", sample.vocabulary(FLAVOR, NEW, MAC))

    assert text.endswith("<<END OF FILE>>\r\n")
    assert text.count("\r") == text.count("\n") == text.count("\r\n")


@pytest.mark.parametrize("phone_type", FLAVOR.PHONE_TYPES)
def test_every_model_takes_as_many_lines_as_it_can(phone_type: str) -> None:
    """A phone finds all of its accounts as they were given, and with fewer the others are off."""
    count = FLAVOR.line_count(phone_type)
    names = tuple(f"Line {at}" for at in range(1, count + 1))
    full = accounts(configuration(sample.vocabulary(FLAVOR, phone_type, MAC, names=names)))
    one = configuration(sample.vocabulary(FLAVOR, phone_type, MAC))

    assert [each.name for each in full] == list(names)
    assert len({each.password for each in full}) == count
    states = [
        value
        for name, value in one["SIP CONFIG MODULE", "SIP Line List"].items()
        if name.endswith(" Enable Reg")
    ]
    assert states == ["1"] + ["0"] * (count - 1)


@pytest.mark.parametrize(
    ("phone_type", "expected"), [(NEW, ["PCMA", "G722"]), (OLD, ["G711A", "G722"])]
)
def test_codecs_are_written_in_order_of_preference(phone_type: str, expected: list[str]) -> None:
    """Each generation has names of its own for them."""
    words = sample.vocabulary(FLAVOR, phone_type, MAC, codecs=("alaw", "g722"))

    assert list(accounts(configuration(words))[0].codecs) == expected


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_transport_is_the_servers(transport: Transport) -> None:
    """Phones register over what the site has set."""
    words = sample.vocabulary(FLAVOR, NEW, MAC, transport=transport)

    assert accounts(configuration(words))[0].transport == transport


@pytest.mark.parametrize("name", sample.HOSTILE)
@pytest.mark.parametrize("phone_type", [NEW, OLD])
def test_device_file_holds_under_hostile_names(phone_type: str, name: str) -> None:
    """Whatever a person calls a line or a key, the file has the same parameters."""
    words = sample.vocabulary(FLAVOR, phone_type, MAC, names=(name,))
    plain = sample.vocabulary(FLAVOR, phone_type, MAC)
    found = configuration(sample.with_keys(words, name))
    expected = configuration(sample.with_keys(plain, "Bar"))

    assert {place: list(values) for place, values in found.items()} == {
        place: list(values) for place, values in expected.items()
    }


@pytest.mark.parametrize("name", sample.HOSTILE)
def test_phonebook_holds_under_hostile_names(name: str) -> None:
    """Whatever a person is called, everybody is in it with the own number."""
    words = sample.with_book(sample.vocabulary(FLAVOR, NEW, MAC), (name, "Bob"))
    entries = parse_directory(sample.render(FLAVOR, "phonebook.xml", words).encode())

    assert [number for _, number in entries] == ["3001", "3002"]


def test_keys_follow_those_of_the_lines_over_all_pages() -> None:
    """Line keys first, then speed dials; what is left over does nothing."""
    words = sample.vocabulary(FLAVOR, "Fanvil X4U", MAC, names=("Alice", "Door"))
    pages = function_keys(configuration(sample.with_keys(words, *"abc")))

    assert list(pages) == ["Sidekey Config1", *(f"Dsskey Config{page}" for page in range(1, 6))]
    assert pages["Sidekey Config1"] == [("2", "SIP1"), ("2", "SIP2"), ("1", "4001@1/f")]
    assert pages["Dsskey Config1"] == [("1", "4002@1/f"), ("1", "4003@1/f")] + [("0", "")] * 4


def test_keys_of_a_door_phone_all_call() -> None:
    """The first button calls the first number: none is for the line."""
    words = sample.with_keys(sample.vocabulary(FLAVOR, DOOR, MAC), "Reception")

    assert function_keys(configuration(words)) == {
        "Dsskey Config1": [("1", "4001@1/f")] + [("0", "")] * 3
    }


@pytest.mark.parametrize(
    ("phone_type", "server", "name", "pnp"),
    [
        (NEW, "Flash Server IP", "Flash File Name", "Sip Pnp List"),
        (OLD, "Download Server IP", "Config File Name", ""),
    ],
)
def test_url_is_the_secret_one_and_nothing_else_counts(
    phone_type: str, server: str, name: str, pnp: str
) -> None:
    """Neither DHCP nor PnP leads a phone away from the URL with its token."""
    found = configuration(sample.vocabulary(FLAVOR, phone_type, MAC))
    update = found["AUTOUPDATE CONFIG MODULE", ""]

    assert update[server] == "http://192.0.2.10:8000"
    assert update[name] == "telephoning/fanvil/k/abcdefghjkmnpqrstuvwxyz234/$mac.cfg"
    assert found["AUTOUPDATE CONFIG MODULE", pnp]["PNP Enable"] == "0"


@pytest.mark.parametrize("phone_type", [NEW, OLD])
@pytest.mark.parametrize(
    ("zone", "quarters", "name", "switch"),
    [
        ("Europe/Berlin", "4", "UTC+1", "2"),
        ("America/New_York", "-20", "UTC-5", "2"),
        ("Asia/Kathmandu", "23", "UTC+5:45", "0"),
        ("Etc/UTC", "0", "UTC", "0"),
    ],
)
def test_time_zone_is_told_in_quarters_of_an_hour(
    phone_type: str, zone: str, quarters: str, name: str, switch: str
) -> None:
    """Phones anywhere show the right time, also while the clocks are ahead."""
    words = sample.vocabulary(FLAVOR, phone_type, MAC)
    words = replace(words, site=replace(words.site, time_zone=time_zone(zone)))
    time = configuration(words)[TIME[phone_type]]

    assert (time["Time Zone"], time["Time Zone Name"]) == (quarters, name)
    assert time["DST Type" if phone_type == NEW else "Enable DST"] == switch
    assert ("DST Start Mon" in time) == (switch == "2")


def test_clocks_change_on_the_days_of_the_zone() -> None:
    """Month, week (5 is the last), day of the week (0 is Sunday) and hour of both changes."""
    words = sample.vocabulary(FLAVOR, NEW, MAC)
    words = replace(words, site=replace(words.site, time_zone=time_zone("America/New_York")))
    time = configuration(words)[TIME[NEW]]
    parts = ("Mon", "Week", "Wday", "Hour")

    assert [time[f"DST Start {each}"] for each in parts] == ["3", "2", "0", "2"]
    assert [time[f"DST End {each}"] for each in parts] == ["11", "1", "0", "2"]


def test_what_the_site_has_not_set_is_left_as_the_phone_has_it() -> None:
    """Without an admin password, time server or known language nothing is said of them."""
    words = sample.vocabulary(FLAVOR, NEW, MAC)
    words = replace(words, site=replace(words.site, ntp_server=None, language="xx"))
    found = configuration(words)

    assert ("MMI CONFIG MODULE", "MMI Account") not in found
    assert ("PHONE FEATURE MODULE", "Display Input") not in found
    assert "Enable SNTP" not in found[TIME[NEW]]


@pytest.mark.parametrize(
    ("agent", "expected", "mac"),
    [
        ("Fanvil X4 2.10.2.6887 0c383e07e16c", "Fanvil X4", "0c383e07e16c"),
        ("Fanvil X4U 2.12.7.6", "Fanvil X4U", None),
        ("Fanvil V67 2.6.6.187 0c383e2b29e6", "Fanvil V67", "0c383e2b29e6"),
        ("Fanvil H2U-V2 2.12.0 0c383e32342e", "Fanvil H2U-V2", "0c383e32342e"),
        ("Fanvil X303 2.12.18.9 0c383e63963b", "Fanvil X303", "0c383e63963b"),
        ("Fanvil i16SV 2.4.0", "Fanvil i16SV", None),
        ("Fanvil X6U Pro 0.0.10 0c383e2cd782", "Fanvil X6U Pro", "0c383e2cd782"),
        ("Fanvil X5U-V2 2.12.16.17 0c383e557eb1", "Fanvil X5U-V2", "0c383e557eb1"),
    ],
)
def test_user_agent_tells_the_phone_type(agent: str, expected: str, mac: str | None) -> None:
    """What these phones call themselves over HTTP and SIP names one of the phone types."""
    found = identify([("fanvil", FLAVOR)], Evidence(user_agent=agent))

    assert found.model is not None
    assert (found.flavor, phone_type(FLAVOR, found.model), found.mac) == ("fanvil", expected, mac)


def test_models_have_pages_with_keys_or_none() -> None:
    """The table of models has no nonsense in it."""
    for model in MODELS.values():
        assert bool(model.side[0]) == bool(model.side[1])
        assert bool(model.keys[0]) == bool(model.keys[1])
        assert not (model.old and model.side[0])
