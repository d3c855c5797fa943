"""What phones of Cisco's 7900 series are told."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from muru.flavors.cisco79xx import Cisco79xx

from muru.asterisk.notify import notify
from muru.flavor import Extension, ProvisioningFile, Vocabulary
from muru.provisioning.files import Format
from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import Entry, Phonebook, Server
from muru.settings import Settings
from tests.flavors.phones.cisco79xx import (
    directory,
    parse_text,
    parse_xml,
    text_accounts,
    xml_accounts,
)
from tests.flavors.sample import HOSTILE, furnished, is_golden, quiet, render

CISCO = Cisco79xx()
SEP, SIP, DEFAULT, SYNC, DIALPLAN, PHONEBOOK = CISCO.FILES


def xml(words: Vocabulary) -> ET.Element:
    return parse_xml(render(CISCO, SEP, words).encode())


def text(words: Vocabulary) -> dict[str, str]:
    return parse_text(render(CISCO, SIP, words).encode("iso-8859-1"))


@pytest.mark.parametrize(
    ("file", "phone"),
    [
        (SEP, "Cisco 7962G"),
        (SIP, "Cisco 7960G"),
        (DEFAULT, "Cisco 7960G"),
        (SYNC, "Cisco 7960G"),
        (DIALPLAN, "Cisco 7962G"),
        (PHONEBOOK, "Cisco 7962G"),
    ],
    ids=lambda value: getattr(value, "template", value),
)
def test_file_is_as_read(file: ProvisioningFile, phone: str) -> None:
    """Each file as a whole, for a phone with two of six lines and a key."""
    words = furnished(CISCO, phone, "Zoë Müller", "Bar & Grill", keys=1)

    assert is_golden(f"cisco79xx/{file.template}", render(CISCO, file, words))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_changes_nothing_else(name: str) -> None:
    """Whatever a name is, each file has the elements and the settings that it has with another."""
    plain, hostile = (furnished(CISCO, "Cisco 7960G", each, keys=2) for each in ("Plain", name))
    hostile = replace(
        hostile,
        phonebook=Phonebook(name, (Entry("2001", name),), total=40),
        keys=tuple(replace(key, label=name) for key in hostile.keys),
    )
    plain = replace(plain, phonebook=Phonebook("Plain", (Entry("2001", "Plain"),), total=40))

    for file in CISCO.FILES:
        rendered = [render(CISCO, file, words) for words in (plain, hostile)]
        if file.escaped_as is Format.XML:
            shapes = [[each.tag for each in ET.fromstring(each).iter()] for each in rendered]
        else:
            shapes = [list(parse_text(each.encode("iso-8859-1"))) for each in rendered]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_accounts_of_xml_are_those_of_the_lines(transport: str) -> None:
    """A phone finds server, transport, login, name and first codec of each of its lines."""
    words = replace(
        furnished(CISCO, "Cisco 7962G", "Alice", "Bob"),
        server=Server("pbx.example", 5070, transport),  # type: ignore[arg-type]
    )

    first, second = xml_accounts(xml(words))

    assert (first.server, first.port, first.transport) == ("pbx.example", 5070, transport)
    assert (first.username, first.password, first.name) == ("2001", "Secret1", "Alice")
    assert (second.username, second.password, second.name) == ("2002", "Secret2", "Bob")
    assert first.codecs == ["G722"]


def test_accounts_of_text_are_those_of_the_lines() -> None:
    """So does one that reads text; what an earlier owner had on it is gone."""
    written = text(furnished(CISCO, "Cisco 7960G", "Alice", "Bob"))

    first, second = text_accounts(written)

    assert (first.server, first.port) == ("pbx.example", 5060)
    assert (first.username, first.password, first.name) == ("2001", "Secret1", "Alice")
    assert (second.username, second.password, second.name) == ("2002", "Secret2", "Bob")
    assert first.codecs == ["g711alaw"]
    assert {written[f"line{n}_{each}"] for n in range(3, 7) for each in ("name", "password")} == {
        ""
    }


@pytest.mark.parametrize(
    ("codecs", "preferred", "wideband"),
    [
        (("g722", "alaw"), "G722", "2"),
        (("ulaw", "g722"), "g711ulaw", "2"),
        (("alaw",), "g711alaw", "1"),
    ],
)
def test_first_codec_is_preferred(codecs: tuple[str, ...], preferred: str, wideband: str) -> None:
    """The phone is told the first codec, and whether G.722 is among them at all."""
    words = furnished(CISCO, "Cisco 7962G", "Alice")

    device = xml(replace(words, lines=(replace(words.lines[0], codecs=codecs),)))

    assert device.findtext("sipProfile/preferredCodec") == preferred
    assert device.findtext("vendorConfig/g722CodecSupport") == wideband


def test_keys_stand_behind_the_lines() -> None:
    """A speed dial is on the next free button; beyond the last button there are none."""
    words = furnished(CISCO, "Cisco 7962G", "Alice", "Bob", keys=9)
    words = replace(words, lines=words.lines[1:])

    buttons = [
        (each.get("button"), each.findtext("featureID"), each.findtext("speedDialNumber"))
        for each in xml(words).iterfind("sipProfile/sipLines/line")
    ]
    written = text(words)

    assert buttons == [
        ("2", "9", None),
        ("3", "2", "9001"),
        ("4", "2", "9002"),
        ("5", "2", "9003"),
        ("6", "2", "9004"),
    ]
    assert [written[f"line{n}_name"] for n in (1, 2, 3)] == ["", "2002", ""]
    assert (written["speed_line2"], written["speed_line3"]) == ("", "9001")


@pytest.mark.parametrize(
    ("zone", "windows", "abbreviation", "stop"),
    [
        ("Europe/Berlin", "W. Europe Standard/Daylight Time", "CET", ("Oct", "Sun", "8", "03:00")),
        ("Europe/Dublin", "GMT Standard/Daylight Time", "GMT", ("Oct", "Sun", "8", "02:00")),
        ("America/New_York", "Eastern Standard/Daylight Time", "EST", ("Nov", "Sun", "1", "02:00")),
        ("America/Bogota", "SA Pacific Standard Time", "EST", None),
        ("Asia/Kolkata", "India Standard Time", None, None),
        # The phones know nothing of it: they keep the hours, and do without summer.
        ("Asia/Beirut", "South Africa Standard Time", "EET", ("Oct", "Sun", "8", "00:00")),
    ],
)
def test_time_zone_is_one_that_phones_know(
    zone: str, windows: str, abbreviation: str | None, stop: tuple[str, ...] | None
) -> None:
    """By XML a zone has a name of Windows'; by text it is the hours and the days of change."""
    words = furnished(CISCO, "Cisco 7960G", "Alice")
    words = replace(words, site=replace(words.site, time_zone=time_zone(zone)))

    written = text(words)

    assert xml(words).findtext("devicePool/dateTimeSetting/timeZone") == windows
    assert written.get("time_zone") == abbreviation
    assert written["dst_auto_adjust"] == ("1" if stop else "0")
    fields = ("month", "day_of_week", "week_of_month", "time")
    assert tuple(written.get(f"dst_stop_{each}", "") for each in fields) == (stop or ("",) * 4)


def test_site_that_sets_nothing_leaves_the_phones_own() -> None:
    """Without a password or a time server in the settings the phone's stay as they are."""
    words = quiet(furnished(CISCO, "Cisco 7960G", "Alice"))
    device = xml(words)

    assert not {"phone_password", "sntp_server"} & set(text(words))
    assert not list(device.iter("phonePassword")) + list(device.iter("ntp"))
    assert device.findtext("loadInformation") == ""


def test_phonebook_is_cut_into_pages() -> None:
    """A page has 32 entries, and leads to the next one."""
    words = furnished(CISCO, "Cisco 7962G")
    book = Phonebook("Camp", tuple(Entry(str(n), f"Name {n}") for n in range(32)), total=33)
    content = render(CISCO, PHONEBOOK, replace(words, phonebook=book))

    assert len(directory(content.encode())) == CISCO.PHONEBOOK_LIMIT
    urls = [each.text for each in ET.fromstring(content).iter("URL")]
    assert urls[-1] == f"{words.provisioning.url}phonebook.xml?first=33&count=32"


def test_7960_restarts_whenever_it_is_told_to_check() -> None:
    """The value that it compares is never that of syncinfo.xml."""
    words = furnished(CISCO, "Cisco 7960G")
    default = parse_text(render(CISCO, DEFAULT, words).encode())

    assert ET.fromstring(render(CISCO, SYNC, words)).get("SYNC") not in {default["sync"], None}


class Recorder:
    """Takes the place of the link to Asterisk, and keeps what it is to send."""

    def __init__(self) -> None:
        self.variables: list[str] = []

    async def send(self, action: str, headers: dict[str, list[str]]) -> None:
        del action
        self.variables = headers["Variable"]


@pytest.mark.parametrize("phone", CISCO.PHONE_TYPES)
async def test_resync_can_be_sent(phone: str) -> None:
    """Each type has a NOTIFY of its own, which Asterisk takes."""
    link = Recorder()
    assert isinstance(CISCO.RESYNC, dict)

    await notify(link, "sip:2001@192.0.2.7:5060", CISCO.RESYNC[phone])  # type: ignore[arg-type]

    by_text = phone in {"Cisco 7940G", "Cisco 7960G"}
    assert link.variables[0] == ("Event=check-sync" if by_text else "Event=service-control")
    assert ("Content=action=restart" in link.variables) is not by_text


@pytest.mark.parametrize(("transport", "port"), [("udp", "no"), ("tcp", "yes")])
def test_requests_go_where_the_phone_listens(transport: str, port: str) -> None:
    """Over UDP the port that a phone sends from is not the one where it takes calls."""
    flavor = Cisco79xx()
    flavor.settings = Settings(_env_file=None, phone_transport=transport)
    extension = Extension(
        number="2001", name="Alice", type="Cisco 7941G", password="x" * 16, extra_fields={}
    )

    endpoint = flavor.realtime_rows(extension)[0].values()

    assert (endpoint["force_rport"], endpoint["rewrite_contact"]) == (port, port)


@pytest.mark.parametrize(
    ("agent", "model", "firmware"),
    [
        ("Cisco-CP7960G/8.0", "Cisco 7960G", "8.0"),
        ("Cisco-CP7941G-GE/8.0", "Cisco 7941G", "8.0"),
        ("Cisco-CP7970G/8.4.0", "Cisco 7970G", "8.4.0"),
        ("Cisco-CP7975G/9.4.2", "Cisco 7975G", "9.4.2"),
    ],
)
def test_user_agent_tells_the_model(agent: str, model: str, firmware: str) -> None:
    """When it registers, a phone tells what it is."""
    found = identify([("cisco79xx", CISCO)], Evidence(user_agent=agent))

    assert (phone_type(CISCO, found.model or ""), found.firmware) == (model, firmware)


@pytest.mark.parametrize("name", ["CTLSEP0006537B84EF.tlv", "ITLSEP0006537B84EF.tlv", "OS79XX.TXT"])
def test_files_of_trust_and_firmware_are_missing(name: str) -> None:
    """A phone would believe no other server once it had one of the first two."""
    assert not any(file.match(name) for file in CISCO.FILES)
    assert SEP.match("SEP0006537B84EF.cnf.xml")
    assert SIP.match("SIP0006537B84EF.cnf")
