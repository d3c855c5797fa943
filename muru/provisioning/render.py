"""Puts together what a template finds: a device's lines, and what the site says to all phones."""

from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from muru.db.models import Extension
from muru.flavor import PhoneFlavor
from muru.provisioning.lookup import DeviceRecord, LineRecord
from muru.provisioning.media import media_urls
from muru.provisioning.request import TOKEN_FOLDER
from muru.provisioning.timezone import TimeZone, time_zone
from muru.provisioning.vocabulary import (
    Key,
    Line,
    Phone,
    Phonebook,
    Provisioning,
    Server,
    SiteFacts,
    Vocabulary,
    Wifi,
)
from muru.settings import Settings

_LOCAL_ZONE = Path("/etc/localtime")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """How a phone is to reach muru: *origin* is the begin of its URLs, *folder* its flavor's."""

    origin: str
    folder: str
    token: str = ""


def vocabulary(
    settings: Settings,
    facts: SiteFacts,
    flavor: PhoneFlavor,
    place: Whereabouts,
    *,
    device: DeviceRecord | None = None,
    phonebook: Phonebook | None = None,
) -> Vocabulary:
    """Return the words for one file; without a *device*, those that are the same for all phones.

    *facts* are those of :func:`site_facts`.
    """
    url = base_url(settings, place)
    lines = tuple(_lines(flavor, device, url if place.token else "")) if device else ()
    return Vocabulary(
        phone=_phone(device) if device else Phone(),
        lines=lines,
        server=_server(settings, place.origin),
        site=facts,
        provisioning=Provisioning(url, settings.provisioning_interval),
        phonebook=phonebook or Phonebook(title=settings.site_name),
        keys=tuple(_keys(lines)),
        media=ChainMap(*(dict(line.media) for line in lines)),
    )


def base_url(settings: Settings, place: Whereabouts) -> str:
    """Return the URL below which a flavor's phones, or the one with a token, find their files."""
    token = f"{TOKEN_FOLDER}/{place.token}/" if place.token else ""
    return f"{place.origin}/{settings.telephoning_prefix}/{place.folder}/{token}"


def site_facts(settings: Settings) -> SiteFacts:
    """Return what the operator has set for all phones."""
    password, wifi_password = settings.phone_admin_password, settings.wifi_password
    wifi = None
    if settings.wifi_ssid:
        wifi = Wifi(settings.wifi_ssid, wifi_password.get_secret_value() if wifi_password else "")
    return SiteFacts(
        name=settings.site_name,
        language=settings.phone_language,
        time_zone=time_zone(settings.phone_time_zone) if settings.phone_time_zone else _own_zone(),
        ntp_server=settings.ntp_server,
        admin_password=password.get_secret_value() if password else None,
        wifi=wifi,
    )


def extension_of(line: LineRecord) -> Extension:
    """Return a line's extension for the methods of flavors; it belongs to no session."""
    return Extension(
        number=line.number,
        name=line.name,
        type=line.type,
        password=line.password,
        extra_fields=line.extra_fields,
        media=line.media,
    )


def _own_zone() -> TimeZone:
    """Return the zone that this machine is set to, else UTC."""
    name = str(_LOCAL_ZONE.resolve()).partition("/zoneinfo/")[2]
    try:
        return time_zone(name or "UTC")
    except ValueError:
        return time_zone("UTC")


def _phone(device: DeviceRecord) -> Phone:
    return Phone(
        mac=device.mac or "",
        type=device.type,
        model=device.model,
        firmware=device.firmware,
        unclaimed=not device.id,
    )


def _server(settings: Settings, origin: str) -> Server:
    transport = settings.phone_transport
    port = settings.sip_tls_port if transport == "tls" else settings.sip_port
    return Server(settings.sip_domain or urlsplit(origin).hostname or "", port, transport)


def _lines(flavor: PhoneFlavor, device: DeviceRecord, url: str) -> Iterable[Line]:
    """Return the lines from 1 to n: one that was given up leaves no gap.

    Without a *url* that has the phone's token there is no way to its media.
    """
    descriptors = flavor.media_for(device.type)
    for position, line in enumerate(device.lines, 1):
        media = media_urls(descriptors, line, url) if url and line.media else {}
        yield _line(flavor, position, line, media)


def _line(flavor: PhoneFlavor, position: int, line: LineRecord, media: Mapping[str, str]) -> Line:
    extension = extension_of(line)
    codecs = flavor.get_codec(extension)
    username, password = flavor.sip_login(extension)
    return Line(
        position=position,
        number=line.number,
        name=line.name,
        username=username,
        password=password,
        codecs=(codecs,) if isinstance(codecs, str) else tuple(codecs),
        extra=line.extra_fields,
        media=media,
    )


def _keys(lines: Iterable[Line]) -> Iterable[Key]:
    wanted = (each for line in lines for each in line.extra.get("keys") or ())
    for position, each in enumerate(wanted, 1):
        yield Key(position, each["number"], each.get("label") or each["number"])
