"""What Polycom's phones are told."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from muru.flavors.polycom import Polycom

from muru.flavor import ProvisioningFile, Vocabulary
from muru.provisioning.identification import Evidence, identify, phone_type
from muru.provisioning.timezone import time_zone
from muru.provisioning.vocabulary import Entry, Phonebook, Provisioning, Server
from tests.flavors.phones.polycom import accounts, directory, parse
from tests.flavors.sample import HOSTILE, furnished, is_golden, quiet, render

POLYCOM = Polycom()
USER, MASTER, DIRECTORY = POLYCOM.FILES


def settings(words: Vocabulary) -> dict[str, str]:
    return parse(render(POLYCOM, USER, words).encode())


@pytest.mark.parametrize("file", [USER, MASTER, DIRECTORY], ids=lambda file: file.template)
def test_file_is_as_read(file: ProvisioningFile) -> None:
    """Each file as a whole, for a phone with two lines and a key."""
    words = furnished(POLYCOM, "Polycom VVX 450", "Zoë Müller", "Bar & Grill", keys=1)

    assert is_golden(f"polycom/{file.template}", render(POLYCOM, file, words))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_changes_nothing_else(name: str) -> None:
    """Whatever a name is, each file has the elements and attributes that it has with another."""
    plain, hostile = (
        furnished(POLYCOM, "Polycom VVX 450", each, each, keys=2) for each in ("Plain", name)
    )
    plain = replace(plain, phonebook=Phonebook("Plain", (Entry("2001", "Plain"),), total=1))
    hostile = replace(
        hostile,
        phonebook=Phonebook(name, (Entry("2001", name),), total=1),
        keys=tuple(replace(key, label=name) for key in hostile.keys),
    )

    for file in POLYCOM.FILES:
        shapes = [
            [(each.tag, list(each.attrib)) for each in root.iter()]
            for root in (ET.fromstring(render(POLYCOM, file, words)) for words in (plain, hostile))
        ]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_accounts_are_those_of_the_lines(transport: str) -> None:
    """The phone finds server, transport, login, name and codecs of each of its lines."""
    words = replace(
        furnished(POLYCOM, "Polycom VVX 450", "Alice", "Bob"),
        server=Server("pbx.example", 5070, transport),  # type: ignore[arg-type]
    )

    first, second = accounts(settings(words))

    assert (first.server, first.port, first.transport) == ("pbx.example", 5070, transport)
    assert (first.username, first.password, first.name) == ("2001", "Secret1", "Alice")
    assert (second.username, second.password, second.name) == ("2002", "Secret2", "Bob")


def test_codecs_have_their_places() -> None:
    """The preferred codec is the first by the names of both firmwares; others are off."""
    words = furnished(POLYCOM, "Polycom SoundPoint IP 650", "Alice")
    words = replace(words, lines=(replace(words.lines[0], codecs=("ulaw", "g722")),))

    written = settings(words)

    new = {each: written[f"voice.codecPref.{each}"] for each in ("G711_Mu", "G722", "G711_A")}
    assert new == {"G711_Mu": "1", "G722": "2", "G711_A": "0"}
    old = {each: written[f"voice.codecPref.IP_650.{each}"] for each in ("G711Mu", "G722", "G711A")}
    assert old == {"G711Mu": "1", "G722": "2", "G711A": "0"}
    assert written["voice.codecPref.G711Mu"] == "1"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_url_is_kept_against_dhcp(scheme: str) -> None:
    """The phone's server is the URL with its secret, whatever DHCP says."""
    words = furnished(POLYCOM, "Polycom VVX 450", "Alice")

    written = settings(
        replace(words, provisioning=Provisioning(f"{scheme}://pbx.example/telephoning/polycom/"))
    )

    assert written["device.prov.serverType"] == scheme.upper()
    assert written["device.prov.serverName"] == "pbx.example/telephoning/polycom/"
    assert written["device.dhcp.bootSrvUseOpt"] == "Static"
    names = [each.removesuffix(".set") for each in written if each.endswith(".set")]
    assert {written[f"{each}.set"] for each in names} == {"1"}
    assert {each for each in written if each.startswith("device.")} == {"device.set"} | {
        name for each in names[1:] for name in (each, f"{each}.set")
    }


def test_interval_is_at_least_an_hour() -> None:
    """A phone would not take less."""
    words = furnished(POLYCOM, "Polycom VVX 450", "Alice")
    hasty = replace(words, provisioning=Provisioning(words.provisioning.url, 60))

    assert settings(words)["prov.polling.period"] == "7200"
    assert settings(hasty)["prov.polling.period"] == "3600"


@pytest.mark.parametrize(
    ("zone", "offset", "start", "stop"),
    [
        ("Europe/Berlin", "3600", ("3", "1", "1", None, "2"), ("10", "1", "1", None, "3")),
        ("America/New_York", "-18000", ("3", "1", "0", "8", "2"), ("11", "1", "0", "1", "2")),
        ("Asia/Kolkata", "19800", None, None),
    ],
)
def test_time_zone_is_offset_and_days(
    zone: str,
    offset: str,
    start: tuple[str | None, ...] | None,
    stop: tuple[str | None, ...] | None,
) -> None:
    """Clocks go right, with and without summer time."""
    words = furnished(POLYCOM, "Polycom VVX 450", "Alice")
    words = replace(words, site=replace(words.site, time_zone=time_zone(zone)))
    sntp = {
        key.removeprefix("tcpIpApp.sntp."): value
        for key, value in settings(words).items()
        if key.startswith("tcpIpApp.sntp.")
    }

    assert sntp["gmtOffset"] == offset
    assert sntp["daylightSavings.enable"] == ("1" if start else "0")
    fields = ("month", "dayOfWeek", "dayOfWeek.lastInMonth", "date", "time")
    for prefix, expected in (("start", start), ("stop", stop)):
        written = tuple(sntp.get(f"daylightSavings.{prefix}.{each}") for each in fields)
        assert written == (expected or (None,) * 5)


def test_site_that_sets_nothing_leaves_the_phones_own() -> None:
    """Without password, time server and known language in the settings the phone's stay."""
    written = settings(quiet(furnished(POLYCOM, "Polycom VVX 450", "Alice")))

    mentioned = {"device.auth.localAdminPassword", "tcpIpApp.sntp.address", "lcl.ml.lang"}
    assert not mentioned & set(written)


def test_directory_has_keys_and_phonebook() -> None:
    """Keys are entries with a place; a number that is on a key is not there a second time."""
    words = furnished(POLYCOM, "Polycom VVX 450", "Alice", keys=2)
    words = replace(
        words,
        keys=(*words.keys, replace(words.keys[0], position=3, number="2002", label="Bob")),
        phonebook=Phonebook("Camp", (Entry("2001", "é" * 40), Entry("2002", "Bob")), total=2),
    )

    content = render(POLYCOM, DIRECTORY, words)

    assert directory(content.encode()) == {
        "9001": "Desk 1",
        "9002": "Desk 2",
        "2002": "Bob",
        "2001": "é" * 20,
    }
    places = [each.text for each in ET.fromstring(content).iter("sd")]
    assert places == ["1", "2", "3", None]


@pytest.mark.parametrize(
    ("phone", "count"), [("Polycom VVX 450", 500), ("Polycom SoundPoint IP 501", 99)]
)
def test_directory_of_an_old_phone_is_short(phone: str, count: int) -> None:
    """It has as many entries as a phone of that type takes."""
    entries = tuple(Entry(str(number), f"Name {number}") for number in range(500))
    words = replace(furnished(POLYCOM, phone), phonebook=Phonebook("Camp", entries, total=500))

    assert len(directory(render(POLYCOM, DIRECTORY, words).encode())) == count


@pytest.mark.parametrize(
    ("agent", "model", "firmware", "mac"),
    [
        (
            "FileTransport PolycomSoundPointIP-SPIP_335-UA/3.2.1.0078",
            "Polycom SoundPoint IP 335",
            "3.2.1.0078",
            None,
        ),
        (
            "FileTransport PolycomSoundStationIP-SSIP_6000-UA/4.0.4.2906 Type/Application",
            "Polycom SoundStation IP 6000",
            "4.0.4.2906",
            None,
        ),
        (
            "FileTransport PolycomSoundStationIP-SSIP_6000-UA/5.0.3.1667 Type/Updater",
            "Polycom SoundStation IP 6000",
            None,
            None,
        ),
        (
            "FileTransport PolycomVVX-VVX_400-UA/4.1.4.7430 Type/Application",
            "Polycom VVX 400",
            "4.1.4.7430",
            None,
        ),
        (
            "FileTransport PolycomVVX-VVX_400-UA/4.1.4.7430 Type/Application (SN:0004f2aabbcc)",
            "Polycom VVX 400",
            "4.1.4.7430",
            "0004f2aabbcc",
        ),
        ("PolycomVVX-VVX_450-UA/6.4.5.1000", "Polycom VVX 450", "6.4.5.1000", None),
        (
            "PolycomVVX-VVX_150-UA/6.4.1.2280_482567164887",
            "Polycom VVX 150",
            "6.4.1.2280",
            "482567164887",
        ),
        (
            "PolycomSoundPointIP-SPIP_450-UA/4.0.10.0689_000025CC0001",
            "Polycom SoundPoint IP 450",
            "4.0.10.0689",
            "000025cc0001",
        ),
    ],
)
def test_user_agent_tells_the_model(
    agent: str, model: str, firmware: str | None, mac: str | None
) -> None:
    """Over HTTP and SIP a phone tells its model; its firmware once that is running."""
    found = identify([("polycom", POLYCOM)], Evidence(user_agent=agent))

    assert (phone_type(POLYCOM, found.model or ""), found.firmware) == (model, firmware)
    assert found.mac == mac


def test_phone_with_a_master_of_its_own_gets_the_same() -> None:
    """The phone asks for one under its address first, and need not ask twice."""
    own = next(file for file in POLYCOM.FILES if file.match("0004f2aabbcc.cfg"))

    assert own is MASTER
    assert ET.fromstring(render(POLYCOM, own, furnished(POLYCOM, "Polycom VVX 450"))).get(
        "CONFIG_FILES"
    ) == ("[PHONE_MAC_ADDRESS]-user.cfg")
