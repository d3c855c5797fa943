"""What SPA phones and adapters are told."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from muru.flavors.ciscospa import CiscoSPA

from muru.flavor import Vocabulary
from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import Entry, Phonebook, Provisioning, Server
from tests.flavors.phones.ciscospa import accounts, parse
from tests.flavors.sample import HOSTILE, furnished, is_golden, quiet, render

SPA = CiscoSPA()
PHONE, COMMON, PHONEBOOK = SPA.FILES


def profile(words: Vocabulary) -> dict[str, str]:
    return parse(render(SPA, PHONE, words).encode())


def test_phone_file_is_as_read() -> None:
    """The whole file of a phone with two of four lines, two keys on it and one beside it."""
    words = furnished(SPA, "Cisco SPA504G", "Zoë Müller", "Bar & Grill", keys=3)

    assert is_golden("ciscospa/phone.xml", render(SPA, PHONE, words))


def test_common_file_is_as_read() -> None:
    """What every SPA gets leads it to its own file, and has nothing of anybody's in it."""
    words = replace(
        furnished(SPA, "Cisco SPA504G"),
        provisioning=Provisioning("http://pbx.example:8000/telephoning/ciscospa/"),
    )

    assert is_golden("ciscospa/common.xml", render(SPA, COMMON, words))


def test_phonebook_is_as_read() -> None:
    """The whole phonebook, while it fits on one page."""
    assert is_golden(
        "ciscospa/phonebook.xml", render(SPA, PHONEBOOK, furnished(SPA, "Cisco SPA504G"))
    )


def test_phonebook_leads_to_its_next_page() -> None:
    """A full page has a key to what follows; the last one has none."""
    words = furnished(SPA, "Cisco SPA504G")
    page = tuple(Entry(str(number), f"Name {number}") for number in range(32))
    urls = []
    for first in (1, 33):
        book = Phonebook("Camp", page, first=first, total=64)
        root = ET.fromstring(render(SPA, PHONEBOOK, replace(words, phonebook=book)))
        assert len(root.findall("DirectoryEntry")) == 32
        urls.append([each.text for each in root.findall("SoftKeyItem/URL")])

    next_page = f"{words.provisioning.url}phonebook.xml?first=33&count=32"
    assert urls == [["SoftKey:Dial", "SoftKey:Exit", next_page], []]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_changes_nothing_else(name: str) -> None:
    """Whatever a name is, each file has the elements that it has with a plain one."""
    plain, hostile = (
        furnished(SPA, "Cisco SPA504G", each, each, keys=4) for each in ("Plain", name)
    )
    hostile = replace(
        hostile,
        phonebook=Phonebook(name, (Entry("2001", name),), total=40),
        keys=tuple(replace(key, label=name) for key in hostile.keys),
    )
    plain = replace(plain, phonebook=Phonebook("Plain", (Entry("2001", "Plain"),), total=40))

    for file in SPA.FILES:
        tags = [
            [each.tag for each in ET.fromstring(render(SPA, file, words)).iter()]
            for words in (plain, hostile)
        ]
        assert tags[0] == tags[1]
    functions = {
        value
        for tag, value in profile(hostile).items()
        if tag.startswith(("Unit_", "Extended_")) and value
    }
    assert {value.count("=") for value in functions} == {3}
    assert {value.count(";") for value in functions} == {2}


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_accounts_are_those_of_the_lines(transport: str) -> None:
    """The phone finds server, transport, login, name and codecs of each of its lines."""
    words = replace(
        furnished(SPA, "Cisco SPA504G", "Alice", "Bob"),
        server=Server("pbx.example", 5070, transport),  # type: ignore[arg-type]
    )

    first, second = accounts(profile(words))

    assert (first.server, first.port, first.transport) == ("pbx.example", 5070, transport)
    assert (first.username, first.password, first.name) == ("2001", "Secret1", "Alice")
    assert (second.username, second.password, second.name) == ("2002", "Secret2", "Bob")
    assert first.codecs == ["G722", "G711a", "G711u"]


def test_preferred_codec_is_the_first() -> None:
    """Codecs are written in the line's order; places that are left over say so."""
    words = furnished(SPA, "Cisco SPA504G", "Alice")
    words = replace(words, lines=(replace(words.lines[0], codecs=("g726", "alaw")),))

    written = profile(words)

    assert accounts(written)[0].codecs == ["G726-32", "G711a"]
    assert written["Third_Preferred_Codec_1_"] == "Unspecified"
    assert (written["G722_Enable_1_"], written["G726-32_Enable_1_"]) == ("No", "Yes")


@pytest.mark.parametrize("phone", SPA.PHONE_TYPES)
def test_other_lines_are_switched_off(phone: str) -> None:
    """What an earlier owner had on a phone is gone, and no line that it has not is touched."""
    written = profile(furnished(SPA, phone, "Alice"))
    room = SPA.line_count(phone)

    enabled = [written.get(f"Line_Enable_{n}_") for n in range(1, 14)]
    assert enabled == ["Yes"] + ["No"] * (room - 1) + [None] * (13 - room)
    assert {written[f"Password_{n}_"] for n in range(2, room + 1)} <= {""}


def test_line_keeps_its_place() -> None:
    """With the first of two lines gone the other one stays where it is, the keys behind it."""
    words = furnished(SPA, "Cisco SPA504G", "Alice", "Bob", keys=3)

    written = profile(replace(words, lines=words.lines[1:]))

    assert [written[f"Line_Enable_{n}_"] for n in range(1, 5)] == ["No", "Yes", "No", "No"]
    assert written["Extended_Function_1_"] == ""
    assert written["Extended_Function_3_"] == "fnc=sd;ext=9001@$PROXY;nme=Desk 1"
    assert written["Unit_1_Key_1"] == "fnc=sd;ext=9003@$PROXY;nme=Desk 3"


def test_url_is_kept_against_dhcp() -> None:
    """From its own file on a phone asks at the URL with its secret, and nowhere else."""
    words = furnished(SPA, "Cisco SPA504G", "Alice")

    written = profile(words)

    assert written["Profile_Rule"] == f"{words.provisioning.url}$MA.xml"
    assert {written[f"Profile_Rule_{each}"] for each in "BCD"} == {""}
    assert written["DHCP_Option_To_Use"] == ""


def test_site_that_sets_nothing_leaves_the_phones_own() -> None:
    """Without a password or a time server in the settings the phone's stay as they are."""
    written = profile(quiet(furnished(SPA, "Cisco SPA504G", "Alice")))

    assert not {"Admin_Passwd", "Web_Login_Admin_Password", "Primary_NTP_Server"} & set(written)


@pytest.mark.parametrize(
    ("zone", "offset", "rule"),
    [
        (
            "Europe/Berlin",
            "GMT+01:00",
            "start=3/-1/7/2:0:0;end=10/-1/7/3:0:0;save=1:0:0",
        ),
        (
            "America/New_York",
            "GMT-05:00",
            "start=3/8/7/2:0:0;end=11/1/7/2:0:0;save=1:0:0",
        ),
        (
            "Australia/Lord_Howe",
            "GMT+10:30",
            "start=10/1/7/2:0:0;end=4/1/7/2:0:0;save=0:30:0",
        ),
        # The clocks change an hour before the day begins, which the rule cannot say.
        ("America/Nuuk", "GMT-02:00", "start=3/-1/7/0:0:0;end=10/-1/7/0:0:0;save=1:0:0"),
        ("Asia/Kolkata", "GMT+05:30", None),
        ("UTC", "GMT", None),
    ],
)
def test_time_zone_is_offset_and_rule(zone: str, offset: str, rule: str | None) -> None:
    """Clocks go right on both sides of the equator, and where they never change."""
    words = furnished(SPA, "Cisco SPA504G", "Alice")
    words = replace(words, site=replace(words.site, time_zone=time_zone(zone)))

    written = profile(words)

    assert written["Time_Zone"] == offset
    assert written.get("Daylight_Saving_Time_Rule") == rule
    assert written["Daylight_Saving_Time_Enable"] == ("yes" if rule else "no")


@pytest.mark.parametrize(
    ("agent", "model", "firmware", "mac"),
    [
        (
            "Cisco/SPA501G-7.4.4 (8843E157DDCC)(CBT141100HR)",
            "Cisco SPA501G",
            "7.4.4",
            "8843e157ddcc",
        ),
        ("Cisco/SPA525G-7.4.7 (CBT141900G7)", "Cisco SPA525G", "7.4.7", None),
        ("Cisco/SPA504G-7.6.2c", "Cisco SPA504G", "7.6.2c", None),
        ("Cisco/SPA122-1.4.1(SR5)", "Cisco SPA122", "1.4.1(SR5)", None),
        ("Linksys/SPA942-6.1.5(a)", "Linksys SPA942", "6.1.5(a)", None),
        ("Linksys/PAP2T-3.1.15(LS)", "Linksys PAP2T", "3.1.15(LS)", None),
    ],
)
def test_user_agent_tells_the_model(agent: str, model: str, firmware: str, mac: str | None) -> None:
    """Over HTTP and SIP a phone tells its model and firmware, and sometimes its address."""
    found = identify([("ciscospa", SPA)], Evidence(user_agent=agent))

    assert (phone_type(SPA, found.model or ""), found.firmware) == (model, firmware)
    assert found.mac == mac


def test_model_before_linksys_serial_is_told() -> None:
    """The user agent of old Linksys firmware is understood as well."""
    agent = "Linksys/SPA-942-6.1.5(a) (88019FA42805)"

    found = identify([("ciscospa", SPA)], Evidence(user_agent=agent))

    assert phone_type(SPA, found.model or "") == "Linksys SPA942"


@pytest.mark.parametrize("phone", [each for each in SPA.PHONE_TYPES if "SPA" in each])
def test_name_of_the_common_file_tells_the_model(phone: str) -> None:
    """By TFTP there is no more than the name, and it is enough."""
    found = COMMON.match(f"spa{phone.rpartition('SPA')[2]}.cfg")

    assert found
    assert phone_type(SPA, found["model"]) == phone


def test_common_file_has_the_name_that_a_pap2t_asks_for() -> None:
    """The one adapter that does not ask by its model finds the file too."""
    assert COMMON.match("init.cfg")
