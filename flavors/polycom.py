"""Polycom's desk and conference phones: VVX, SoundPoint IP and SoundStation IP.

A master file names the files to be read; in these the settings are attributes of XML. What such a
file does not have is at its default, whatever it was before.
"""

from typing import ClassVar

from pydantic import BaseModel

from muru.flavor import (
    CODEC,
    Audience,
    Format,
    Identification,
    ProvisioningFile,
    SupportedCodec,
)

from .sip import SIP, PhoneFields

# How many accounts each takes.
_WIDEBAND = {
    "Polycom VVX 101": 1,
    "Polycom VVX 150": 2,
    "Polycom VVX 201": 2,
    "Polycom VVX 250": 4,
    "Polycom VVX 300": 6,
    "Polycom VVX 301": 6,
    "Polycom VVX 310": 6,
    "Polycom VVX 311": 6,
    "Polycom VVX 350": 6,
    "Polycom VVX 400": 12,
    "Polycom VVX 401": 12,
    "Polycom VVX 410": 12,
    "Polycom VVX 411": 12,
    "Polycom VVX 450": 12,
    "Polycom VVX 500": 12,
    "Polycom VVX 501": 12,
    "Polycom VVX 600": 16,
    "Polycom VVX 601": 16,
    "Polycom VVX 1500": 6,
    "Polycom SoundPoint IP 335": 2,
    "Polycom SoundPoint IP 450": 3,
    "Polycom SoundPoint IP 550": 4,
    "Polycom SoundPoint IP 560": 4,
    "Polycom SoundPoint IP 650": 6,
    "Polycom SoundPoint IP 670": 6,
    "Polycom SoundStation IP 5000": 1,
    "Polycom SoundStation IP 6000": 1,
    "Polycom SoundStation IP 7000": 1,
}
_NARROWBAND = {
    "Polycom SoundPoint IP 321": 2,
    "Polycom SoundPoint IP 331": 2,
}
# Those for which there is nothing newer than SIP 3.x
_OLD = {
    "Polycom SoundPoint IP 300": 2,
    "Polycom SoundPoint IP 301": 2,
    "Polycom SoundPoint IP 320": 2,
    "Polycom SoundPoint IP 330": 2,
    "Polycom SoundPoint IP 430": 2,
    "Polycom SoundPoint IP 500": 3,
    "Polycom SoundPoint IP 501": 3,
    "Polycom SoundPoint IP 600": 6,
    "Polycom SoundPoint IP 601": 6,
    "Polycom SoundStation IP 4000": 1,
}
_CODECS: tuple[CODEC, ...] = ("g722", "alaw", "ulaw")
_AGENT = r"(?:FileTransport )?Poly(?:com)?\w*-(?:S[PS])?(?P<model>\w+?)-UA/"


class Polycom(SIP):
    PHONE_TYPES: ClassVar[list[str]] = [*_WIDEBAND, *_NARROWBAND, *_OLD]
    DISPLAY_INDEX = 60
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = {
        **dict.fromkeys(_WIDEBAND, _CODECS),
        **dict.fromkeys(_NARROWBAND | _OLD, _CODECS[1:]),
    }
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {"g722": "G722", "alaw": "G711_A", "ulaw": "G711_Mu"}
    LINES: ClassVar[int | dict[str, int]] = _WIDEBAND | _NARROWBAND | _OLD
    FILES = (
        ProvisioningFile("{mac}-user.cfg", "user.cfg", format=Format.XML),
        ProvisioningFile(
            "000000000000.cfg",
            "master.cfg",
            Audience.ANYBODY,
            also=("{mac}.cfg",),
            format=Format.XML,
        ),
        ProvisioningFile(
            "{mac}-directory.xml",
            "directory.xml",
            Audience.PHONES,
            also=("000000000000-directory.xml",),
        ),
    )
    IDENTIFICATION = Identification(
        vendor="Polycom",
        ouis=frozenset({"0004f2", "00907a", "482567", "64167f"}),
        user_agents=(
            rf"{_AGENT}[\d.]+ Type/Updater",  # whose version is not that of the firmware
            rf"{_AGENT}(?P<firmware>[\d.]+)(?:_(?P<mac>[0-9A-F]{{12}}))?",
        ),
        names=("poly",),
    )
    RESYNC = ("Event=check-sync",)
    PHONEBOOK_LIMIT = 500

    # Before UCS 4 a codec had another name, and its place was that on a hardware if this had one.
    OLD_CODEC_NAMES: ClassVar[dict[CODEC, str]] = {
        "g722": "G722",
        "alaw": "G711A",
        "ulaw": "G711Mu",
    }
    OLD_HARDWARE = ("IP_650", "IP_5000", "IP_6000", "IP_7000", "VVX_1500")
    OLD_PHONEBOOK_LIMIT = 99
    TRANSPORTS: ClassVar[dict[str, str]] = {"udp": "UDPOnly", "tcp": "TCPOnly", "tls": "TLS"}
    LANGUAGES: ClassVar[dict[str, str]] = {
        "da": "Danish_Denmark",
        "de": "German_Germany",
        "en": "English_United_States",
        "es": "Spanish_Spain",
        "fr": "French_France",
        "it": "Italian_Italy",
        "ja": "Japanese_Japan",
        "ko": "Korean_Korea",
        "nl": "Dutch_Netherlands",
        "no": "Norwegian_Norway",
        "pl": "Polish_Poland",
        "pt": "Portuguese_Portugal",
        "ru": "Russian_Russia",
        "sl": "Slovenian_Slovenia",
        "sv": "Swedish_Sweden",
        "zh": "Chinese_China",
    }

    @staticmethod
    def is_old(phone_type: str) -> bool:
        """Tell whether there is nothing newer than SIP 3.x for that type."""
        return phone_type in _OLD

    @staticmethod
    def contact_name(name: str) -> str:
        """Return as much of *name* as a directory takes: 40 bytes."""
        return name.encode(errors="replace")[:40].decode(errors="ignore")
