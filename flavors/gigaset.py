"""Gigaset's DECT bases for SIP (N series) and its Maxwell desk phones.

The desk phones of the P series have Snom's firmware, and are among Snom's phone types.
"""

from typing import ClassVar

from pydantic import BaseModel

from muru.flavor import CODEC, Audience, Identification, ProvisioningFile, SupportedCodec

from .sip import SIP, PhoneFields

# How many accounts each takes; to a base these are its handsets.
_OLD_BASES = {"Gigaset N510 IP PRO": 6}
_BASES = {"Gigaset N610 IP PRO": 8, "Gigaset N670 IP PRO": 20, "Gigaset N870 IP PRO": 20}
_MAXWELL = {
    "Gigaset Maxwell Basic": 4,
    "Gigaset Maxwell 2": 4,
    "Gigaset Maxwell 3": 4,
    "Gigaset Maxwell 4": 4,
}

# The time zones that N610, N670 and N870 know.
_ZONES = """
    Africa/Cairo America/Anchorage America/Caracas America/Chicago America/Denver
    America/Los_Angeles America/New_York America/Sao_Paulo Asia/Dhaka Asia/Dubai Asia/Hong_Kong
    Asia/Karachi Asia/Tokyo Australia/Adelaide Australia/Brisbane Australia/Darwin Australia/Sydney
    Europe/Amsterdam Europe/Athens Europe/Belgrade Europe/Berlin Europe/Bratislava Europe/Brussels
    Europe/Bucharest Europe/Budapest Europe/Copenhagen Europe/Dublin Europe/Helsinki
    Europe/Istanbul Europe/Kaliningrad Europe/Lisbon Europe/Ljubljana Europe/London
    Europe/Luxembourg Europe/Madrid Europe/Malta Europe/Minsk Europe/Moscow Europe/Oslo
    Europe/Paris Europe/Prague Europe/Riga Europe/Rome Europe/Samara Europe/Sarajevo Europe/Skopje
    Europe/Sofia Europe/Stockholm Europe/Tallinn Europe/Tirane Europe/Vaduz Europe/Vienna
    Europe/Vilnius Europe/Warsaw Europe/Zagreb Europe/Zurich Greenwich Pacific/Honolulu
    Pacific/Noumea
"""


class Gigaset(SIP):
    PHONE_TYPES: ClassVar[list[str]] = [*_OLD_BASES, *_BASES, *_MAXWELL]
    DISPLAY_INDEX = 55
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = {
        **dict.fromkeys(_OLD_BASES, ("g722", "alaw", "ulaw", "g726")),
        **dict.fromkeys([*_BASES, *_MAXWELL], ("g722", "alaw", "ulaw")),
    }
    #: Numbers of the N510; those of Maxwell are RTP's payload types.
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {
        "g722": "0x05",
        "alaw": "0x01",
        "ulaw": "0x00",
        "g726": "0x02",
    }
    PAYLOAD_TYPES: ClassVar[dict[CODEC, int]] = {"g722": 9, "alaw": 8, "ulaw": 0}
    LINES: ClassVar[int | dict[str, int]] = _OLD_BASES | _BASES | _MAXWELL
    FILES = (
        # The vendor's own server has /42/2/master.bin and the like beside it, with firmware; a base
        # that is sent here by DHCP's option 66 or by a whole URL does without.
        ProvisioningFile(
            "{MAC}.xml", "phone.xml", also=("provisioning.xml",), encoding="iso-8859-1"
        ),
        ProvisioningFile("phonebook.xml", "phonebook.xml", Audience.PHONES, also=("phonebook",)),
    )
    IDENTIFICATION = Identification(
        vendor="Gigaset",
        ouis=frozenset({"7c2f80", "589ec6", "14b370", "002104", "0001e3", "0013a9"}),
        user_agents=(
            r'"?(?:Gigaset )?(?P<model>[NC]\d{3}E?[ -](?:IP|DM)[ -]PRO)/(?P<firmware>[\w.]+)',
            r'"?(?:Gigaset )?(?P<model>Maxwell (?:\d+|Basic|C))(?: PRO)?/(?P<firmware>[\w.]+)',
        ),
        names=("gigaset", "siemens"),
    )
    RESYNC = ("Event=check-sync;reboot=false",)
    # What DHCP and PnP tell at each boot comes before the URL that a file has set.
    KEEPS_URL = False
    PHONEBOOK_LIMIT = 100  # in one answer; the handset asks for more as one scrolls

    # For templates.
    OLD_BASES: ClassVar[dict[str, int]] = _OLD_BASES
    BASES: ClassVar[dict[str, int]] = _BASES
    MAXWELL: ClassVar[dict[str, int]] = _MAXWELL
    TRANSPORTS: ClassVar[dict[str, int]] = {"udp": 1, "tcp": 2, "tls": 3}
    #: Of the N510, by language: tones, web pages, and the country for dates.
    COUNTRIES: ClassVar[dict[str, tuple[str, str, str]]] = {
        "de": ("12", "0x2", "0x19"),
        "en": ("8", "0x1", "0x4A"),
        "fr": ("7", "0x9", "0x18"),
        "nl": ("9", "0xa", "0x30"),
    }
    # Of Maxwell.
    #: unsure: 2 is known to be TLS; TCP is a guess.
    DESK_TRANSPORTS: ClassVar[dict[str, int]] = {"udp": 1, "tcp": 0, "tls": 2}
    DESK_TONES: ClassVar[dict[str, str]] = {
        "da": "DNK",
        "de": "DEU",
        "es": "ESP",
        "fi": "FIN",
        "fr": "FRA",
        "it": "ITA",
        "nl": "NLD",
        "pl": "POL",
        "pt": "PRT",
        "sv": "SWE",
    }
    DESK_ZONES: ClassVar[dict[float, str]] = {0: "GMT.Europe/London", 1: "GMT+1.Europe/Amsterdam"}
    LANGUAGES: ClassVar[dict[str, str]] = {
        "de": "de-de",
        "en": "en-us",
        "es": "es-es",
        "fr": "fr-fr",
        "it": "it-it",
        "nl": "nl-nl",
    }
    #: Of the newer bases.
    TONES: ClassVar[dict[str, str]] = {"de": "Germany", "es": "Spain", "fr": "France"}
    #: Of the N510, by whole hours east of UTC.
    HOURS: ClassVar[dict[int, str]] = {
        **dict(zip(range(-12, -7), ["0x00", "0x01", "0x02", "0x03", "0x04"], strict=True)),
        **dict(zip(range(-7, -2), ["0x07", "0x09", "0x0d", "0x0f", "0x15"], strict=True)),
        **dict(zip(range(-2, 3), ["0x16", "0x18", "0x1a", "0x1b", "0x20"], strict=True)),
        **dict(zip(range(3, 8), ["0x28", "0x2b", "0x2e", "0x33", "0x37"], strict=True)),
        **dict(zip(range(8, 11), ["0x3a", "0x3d", "0x43"], strict=True)),
    }
    ZONES: ClassVar[frozenset[str]] = frozenset(_ZONES.split())
    #: What stands for other zones: one with the same offset, by whole hours.
    OTHER_ZONES: ClassVar[dict[int, str]] = {
        -10: "Pacific/Honolulu",
        -9: "America/Anchorage",
        -8: "America/Los_Angeles",
        -7: "America/Denver",
        -6: "America/Chicago",
        -5: "America/New_York",
        -4: "America/Caracas",
        -3: "America/Sao_Paulo",
        0: "Europe/London",
        1: "Europe/Berlin",
        2: "Europe/Athens",
        3: "Europe/Moscow",
        4: "Asia/Dubai",
        5: "Asia/Karachi",
        6: "Asia/Dhaka",
        8: "Asia/Hong_Kong",
        9: "Asia/Tokyo",
        10: "Australia/Sydney",
        11: "Pacific/Noumea",
    }

    @staticmethod
    def access_code(number: str) -> str:
        """Return the four digits by which a handset is registered at a base for *number*."""
        digits = "".join(each for each in number if each in "0123456789")
        return digits[-4:].zfill(4)
