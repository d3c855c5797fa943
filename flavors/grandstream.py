"""Grandstream's desk phones (GXP, GRP), WiFi phones (WP) and adapters for analogue phones (HT)."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from pydantic import BaseModel

from muru.flavor import CODEC, Audience, Identification, ProvisioningFile, SupportedCodec

from .sip import SIP, PhoneFields

WIDE: tuple[CODEC, ...] = ("g722", "alaw", "ulaw", "g726")
WIFI: tuple[CODEC, ...] = ("g722", "alaw", "ulaw")
ANALOGUE: tuple[CODEC, ...] = ("alaw", "ulaw", "g726")

# Type: accounts, keys that can be lines or speed dials, codecs.
MODELS: dict[str, tuple[int, int, tuple[CODEC, ...]]] = {
    "Grandstream GXP1610": (1, 0, WIDE),
    "Grandstream GXP1615": (1, 0, WIDE),
    "Grandstream GXP1620": (2, 2, WIDE),
    "Grandstream GXP1625": (2, 2, WIDE),
    "Grandstream GXP1628": (2, 2, WIDE),
    "Grandstream GXP1630": (3, 3, WIDE),
    "Grandstream GXP2130": (3, 12, WIDE),
    "Grandstream GXP2135": (4, 32, WIDE),
    "Grandstream GXP2140": (4, 16, WIDE),
    "Grandstream GXP2160": (6, 24, WIDE),
    "Grandstream GXP2170": (6, 48, WIDE),
    "Grandstream GRP2601": (2, 2, WIDE),
    "Grandstream GRP2602": (2, 2, WIDE),
    "Grandstream GRP2603": (3, 3, WIDE),
    "Grandstream GRP2604": (3, 3, WIDE),
    "Grandstream GRP2612": (2, 16, WIDE),
    "Grandstream GRP2612W": (2, 16, WIDE),
    "Grandstream GRP2613": (3, 24, WIDE),
    "Grandstream GRP2614": (4, 16, WIDE),
    "Grandstream GRP2615": (5, 40, WIDE),
    "Grandstream GRP2616": (6, 16, WIDE),
    "Grandstream WP810": (2, 0, WIFI),
    "Grandstream WP816": (2, 0, WIFI),
    "Grandstream WP820": (2, 0, WIFI),
    "Grandstream WP822": (2, 0, WIFI),
    "Grandstream WP825": (2, 0, WIFI),
    "Grandstream WP826": (2, 0, WIFI),
    "Grandstream HT801": (1, 0, ANALOGUE),
    "Grandstream HT802": (2, 0, ANALOGUE),
    "Grandstream HT812": (2, 0, ANALOGUE),
    "Grandstream HT814": (4, 0, ANALOGUE),
    "Grandstream HT818": (8, 0, ANALOGUE),
}


class Account(NamedTuple):
    """The numbers of an account's parameters, P271 and so on; 0 where there is none."""

    active: int
    label: int
    server: int
    transport: int
    user: int
    auth: int
    password: int
    name: int
    register: int
    expiry: int
    nat: int
    dtmf: int  # the first of three
    codecs: tuple[int, ...]


def _further(base: int, dtmf: int) -> Account:
    return Account(
        active=base + 1,
        label=base + 17,
        server=base + 2,
        transport=base + 48,
        user=base + 4,
        auth=base + 5,
        password=base + 6,
        name=base + 7,
        register=base + 10,
        expiry=base + 12,
        nat=base + 14,
        dtmf=dtmf,
        codecs=tuple(range(base + 51, base + 58)),
    )


_FIRST = Account(271, 270, 47, 130, 35, 36, 34, 3, 31, 32, 52, 2301, (57, 58, 59, 60, 61, 62, 46))
_FIRST_PORT = _FIRST._replace(label=0, dtmf=850, codecs=(57, 58, 59, 60, 61, 62))
_SECOND_PORT = Account(
    401, 0, 747, 830, 735, 736, 734, 703, 731, 732, 730, 860, (757, 758, 759, 760, 761, 762)
)


class Grandstream(SIP):
    PHONE_TYPES: ClassVar[list[str]] = list(MODELS)
    DISPLAY_INDEX = 75
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = {each: MODELS[each][2] for each in MODELS}
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {"g722": "9", "alaw": "8", "ulaw": "0", "g726": "2"}
    LINES: ClassVar[dict[str, int]] = {each: MODELS[each][0] for each in MODELS}
    FILES = (
        # They ask for cfg{mac} before it, which would have to be in a binary format, and for
        # cfg{model}.xml and cfg.xml after it: there are none.
        ProvisioningFile("cfg{mac}.xml", "phone.xml"),
        ProvisioningFile(
            "phonebook.xml", "phonebook.xml", Audience.PHONES, also=("gs_phonebook.xml",)
        ),
    )
    IDENTIFICATION = Identification(
        vendor="Grandstream",
        ouis=frozenset({"000b82", "c074ad", "ec74d7"}),
        user_agents=(
            r"Grandstream Model HW (?P<model>\w+)(?:\s+V\S+)? SW (?P<firmware>\S+)",
            r"Grandstream (?P<model>[\w-]+) \(.*:(?P<firmware>[\d.]+)\)",
            r"Grandstream (?P<model>(?!Wave\b)[\w-]+)\s+(?:V\S+\s+)?(?P<firmware>\d[\d.]*)",
        ),
        names=("grandstream",),
    )
    RESYNC = ("Event=check-sync",)

    # For templates.
    KEYS: ClassVar[dict[str, int]] = {each: MODELS[each][1] for each in MODELS}
    ACCOUNTS: ClassVar[list[Account]] = [
        _FIRST,
        *(
            _further(base, dtmf)
            for base, dtmf in ((400, 2401), (500, 2501), (600, 2601), (1700, 2701), (1800, 2801))
        ),
    ]
    PORTS: ClassVar[list[Account]] = [_FIRST_PORT, _SECOND_PORT]
    MANY_PORTS = ("Grandstream HT814", "Grandstream HT818")
    TRANSPORTS: ClassVar[dict[str, int]] = {"udp": 0, "tcp": 1, "tls": 2}
    FILE_SCHEMES: ClassVar[dict[str, int]] = {"tftp": 0, "http": 1, "https": 2}
    PHONEBOOK_SCHEMES: ClassVar[dict[str, int]] = {"http": 1, "tftp": 2, "https": 3}
    LANGUAGES: ClassVar[dict[str, str]] = {"sv": "se"}  # others as in ISO 639-1

    def choices(self, codecs: Sequence[CODEC], count: int) -> list[str]:
        """Return what the phone is to have in its choices 1 to *count*.

        Each choice has a codec: where there are fewer, the last one stands in the others too.
        """
        return [self.CODEC_NAMES[codecs[min(at, len(codecs) - 1)]] for at in range(count)]

    def key(self, position: int) -> tuple[int, int, int, int]:
        """Return the numbers of a key's mode, account, label and value."""
        if position <= 6:
            first = 1361 + 2 * position
            return first, first + 1, first + 102, first + 103
        first = 23772 + 4 * position
        return first, first + 1, first + 2, first + 3
