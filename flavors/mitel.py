"""Mitel's desk phones for SIP: 67xx (then Aastra), 68xx and 69xx."""

from typing import ClassVar, NamedTuple

from pydantic import BaseModel

from muru.flavor import CODEC, Audience, Format, Identification, ProvisioningFile, SupportedCodec

from .sip import SIP, PhoneFields

WIDE: tuple[CODEC, ...] = ("g722", "alaw", "ulaw")
NARROW: tuple[CODEC, ...] = ("alaw", "ulaw")


class Model(NamedTuple):
    """How many accounts it takes, and which function keys it has: their kind, and how many."""

    lines: int
    kind: str
    keys: int
    codecs: tuple[CODEC, ...] = WIDE


MODELS = {
    "Aastra 6730i": Model(6, "prgkey", 8, NARROW),
    "Aastra 6731i": Model(6, "prgkey", 8, NARROW),
    "Aastra 6735i": Model(9, "softkey", 20),
    "Aastra 6737i": Model(9, "topsoftkey", 10),
    "Aastra 6739i": Model(9, "softkey", 55),
    "Aastra 6753i": Model(9, "prgkey", 6),
    "Aastra 6755i": Model(9, "softkey", 20),
    "Aastra 6757i": Model(9, "topsoftkey", 10),
    "Mitel 6863i": Model(2, "prgkey", 3),
    "Mitel 6865i": Model(9, "prgkey", 8),
    "Mitel 6867i": Model(9, "topsoftkey", 20),
    "Mitel 6869i": Model(12, "topsoftkey", 44),
    "Mitel 6873i": Model(12, "topsoftkey", 48),
    "Mitel 6905": Model(2, "prgkey", 3),
    "Mitel 6910": Model(8, "prgkey", 8),
    "Mitel 6915": Model(9, "topsoftkey", 10),
    "Mitel 6920": Model(9, "topsoftkey", 10),
    "Mitel 6930": Model(12, "topsoftkey", 22),
    "Mitel 6940": Model(12, "topsoftkey", 24),
    "Mitel 6970": Model(9, "topsoftkey", 24),
}


class Mitel(SIP):
    PHONE_TYPES: ClassVar[list[str]] = list(MODELS)
    DISPLAY_INDEX = 60
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = {
        name: model.codecs for name, model in MODELS.items()
    }
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {"g722": "9", "alaw": "8", "ulaw": "0"}
    MAX_EXTENSION_NAME_CHARS = 20
    LINES: ClassVar[int | dict[str, int]] = {name: model.lines for name, model in MODELS.items()}
    KEYS: ClassVar[dict[str, Model]] = MODELS
    FILES = (
        ProvisioningFile("{MAC}.cfg", "phone.cfg", format=Format.QUOTED),
        ProvisioningFile(
            "startup.cfg",
            "common.cfg",
            audience=Audience.ANYBODY,
            also=("aastra.cfg",),
            format=Format.QUOTED,
        ),
        ProvisioningFile("directory.xml", "directory.xml", audience=Audience.PHONES),
        ProvisioningFile(
            "directory.csv",
            "directory.csv",
            audience=Audience.PHONES,
            content_type="text/csv",
            format=Format.QUOTED,
        ),
    )
    IDENTIFICATION = Identification(
        vendor="Mitel",
        ouis=frozenset({"00085d", "08000f", "1400e9"}),
        user_agents=(
            r"(?:Aastra|Mitel)(?P<model>\w+) MAC:(?P<mac>[0-9A-F-]{17}) V:(?P<firmware>[\d.]+)",
            r"(?:Aastra|Mitel)[ -](?P<model>\w+?)(?:-SIP)?/(?P<firmware>[\d.]+)",
        ),
        names=("aastra",),
    )
    RESYNC = ("Event=check-sync",)
    PHONEBOOK_LIMIT = 200  # entries that a phone keeps of directory.csv

    TRANSPORTS: ClassVar[dict[str, int]] = {"udp": 1, "tcp": 2, "tls": 4}
    #: The entries on one page of directory.xml: with those that turn the page, a menu takes 30.
    PAGE = 28
    #: By language, what the tones in the handset and the keypad's letters are named after.
    TONES: ClassVar[dict[str, str]] = {"de": "Germany", "fr": "France", "it": "Italy", "en": "UK"}
    LETTERS: ClassVar[dict[str, str]] = {
        "de": "German",
        "es": "Spanish",
        "fr": "French",
        "it": "Italian",
        "pt": "Portuguese",
        "ru": "Russian",
    }
