"""The commands for innovaphone's desk phones, and where Prometheus finds these."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from muru.flavors.innovaphone import Innovaphone

from muru.db.models import Device
from muru.provisioning.identification import Evidence, identify
from muru.provisioning.timezone import time_zone
from muru.settings import Settings
from tests.conftest import World
from tests.flavors import sample
from tests.flavors.phones.innovaphone import Modules, loaded, run

FLAVOR = Innovaphone()
MAC = "009033010203"
URL = "http://192.0.2.10:8000/telephoning/innovaphone/k/abcdefghjkmnpqrstuvwxyz234"


def configured(phone_type: str = "Innovaphone IP112") -> Modules:
    words = sample.vocabulary(FLAVOR, phone_type, MAC)
    return run(sample.render(FLAVOR, "config.txt", words))


def test_update_script_has_one_command() -> None:
    """It loads the configuration from below the token, and resets the phone if that is needed."""
    text = sample.render(FLAVOR, "update.txt", sample.vocabulary(FLAVOR, "Innovaphone IP112", MAC))

    assert sample.golden("innovaphone/update") == text
    assert loaded(text.removesuffix("\n")) == f"{URL}/config?mac=00-90-33-01-02-03"


def test_configuration_is_as_expected() -> None:
    """The whole list of commands for a typical phone."""
    words = sample.vocabulary(FLAVOR, "Innovaphone IP112", MAC)

    assert sample.golden("innovaphone/config") == sample.render(FLAVOR, "config.txt", words)


def test_codec_is_that_of_the_phone_type() -> None:
    """A type that can do wideband prefers it; the older ones get what they can do."""
    assert configured("Innovaphone IP241")["PHONE SIG"]["/coder"] == "G722,20,"
    assert configured("Innovaphone IP200A")["PHONE SIG"]["/coder"] == "G711A,20,"


def test_codec_that_the_person_chose_is_the_preferred_one() -> None:
    """The first of the line's codecs is the one that is told."""
    words = sample.vocabulary(FLAVOR, "Innovaphone IP112", MAC, codecs=("ulaw", "g722"))

    modules = run(sample.render(FLAVOR, "config.txt", words))
    assert modules["PHONE SIG"]["/coder"] == "G711U,20,"


def test_phone_polls_its_own_url_from_then_on() -> None:
    """It gets the URL with its token, ignores that of DHCP, and looks at least every 5 minutes."""
    assert configured()["UP1"] == {
        "/url": f"{URL}/update?mac=00-90-33-01-02-03",
        "/poll": "5",
        "/no-dhcp": "",
    }


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Europe/Berlin", "CET-1CEST-2,M3.5.0/2,M10.5.0/3"),
        ("America/St_Johns", "NST3:30NDT2:30,M3.2.0/2,M11.1.0/2"),
        ("America/New_York", "EST5EDT4,M3.2.0/2,M11.1.0/2"),
        ("Asia/Kolkata", "IST-5:30"),
        ("UTC", "UTC0"),
    ],
)
def test_time_zone_is_written_in_full(zone: str, expected: str) -> None:
    """Both offsets and both times of the day are there, though POSIX lets them be left out."""
    words = sample.vocabulary(FLAVOR, "Innovaphone IP112", MAC)
    words = replace(words, site=replace(words.site, time_zone=time_zone(zone)))

    modules = run(sample.render(FLAVOR, "config.txt", words))
    assert modules["NTP0"]["/offset"] == expected


def test_ntp_server_is_left_alone_where_the_site_has_none() -> None:
    """The time zone is added to what the phone has."""
    words = sample.vocabulary(FLAVOR, "Innovaphone IP112", MAC)
    words = replace(words, site=replace(words.site, ntp_server=None))

    text = sample.render(FLAVOR, "config.txt", words)
    assert "config add NTP0 /offset CET-1CEST-2,M3.5.0/2,M10.5.0/3\n" in text


def test_background_image_is_told_where_there_is_one() -> None:
    """A phone is told the URL of what its owner uploaded."""
    words = sample.vocabulary(FLAVOR, "Innovaphone IP112", MAC)
    words = replace(words, media={"background_image": f"{URL}/background.png"})

    modules = run(sample.render(FLAVOR, "config.txt", words))
    assert modules["PHONE APP"] == {"/bg-image": f"{URL}/background.png"}
    assert "PHONE APP" not in configured()


@pytest.mark.parametrize("name", sample.HOSTILE)
def test_configuration_holds_under_hostile_names(name: str) -> None:
    """Whatever an extension is called, or a site's time server, no command comes up or changes."""
    words = sample.vocabulary(FLAVOR, "Innovaphone IP112", MAC, names=(name,))
    words = replace(words, site=replace(words.site, ntp_server=f"/{name}"))
    modules = run(sample.render(FLAVOR, "config.txt", words))

    plain = configured()
    assert {key: list(value) for key, value in modules.items()} == {
        key: list(value) for key, value in plain.items()
    }
    assert modules["PHONE SIG"] == plain["PHONE SIG"]


def test_mac_address_tells_the_vendor() -> None:
    """It is all that is known of these phones: no user agent of theirs is."""
    found = identify([("innovaphone", FLAVOR)], Evidence(mac="00-90-33-01-02-03"))

    assert (found.flavor, found.vendor, found.mac) == ("innovaphone", "innovaphone", MAC)


@pytest.fixture
async def world(
    start: Callable[[Settings], Awaitable[World]], make_settings: Callable[..., Settings]
) -> World:
    """The application with the flavor alone."""
    return await start(make_settings(enabled_phone_flavors=["innovaphone"]))


async def discovered(world: World) -> list[dict[str, object]]:
    path = "/telephoning/innovaphone/service-discovery"
    async with world.nobody.client.get(path) as response:
        assert (response.status, response.content_type) == (200, "application/json")
        found: list[dict[str, object]] = json.loads(await response.text())
        return found


async def test_service_discovery_lists_phones_by_address(world: World) -> None:
    """Prometheus finds each phone that was there within a day, by its address and type alone."""
    now = datetime.now(UTC)
    async with world.site.transaction() as transaction:
        for number, flavor, address, seen in [
            (1, "innovaphone", "192.0.2.81", now),
            (2, "innovaphone", "2001:db8::82", now),
            (3, "innovaphone", "192.0.2.83", now - timedelta(days=2)),
            (4, "innovaphone", None, None),
            (5, "snom", "192.0.2.85", now),
        ]:
            transaction.session.add(
                Device(
                    mac=f"00903301020{number}",
                    flavor=flavor,
                    type="Innovaphone IP112",
                    token=f"{number}" * 26,
                    address=address,
                    last_seen=seen,
                )
            )

    labels = {"__meta_model": "Innovaphone IP112"}
    assert await discovered(world) == [
        {"targets": ["192.0.2.81"], "labels": labels},
        {"targets": ["[2001:db8::82]"], "labels": labels},
    ]


async def test_service_discovery_is_an_empty_list_without_phones(world: World) -> None:
    """Prometheus takes that for no targets, and not for an error."""
    assert await discovered(world) == []
