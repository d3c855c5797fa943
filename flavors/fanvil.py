"""Fanvil's desk (X, V), hotel (H) and door phones (i).

They take their configuration as XML, in one of two kinds, or as the text that they export
themselves. It is the text here: one name serves all models, and they have nearly all words in
common.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import ClassVar, NamedTuple

from pydantic import BaseModel

from muru.flavor import (
    CODEC,
    Audience,
    Identification,
    ImageFormat,
    MediaDescriptor,
    MediaType,
    ProvisioningFile,
    SupportedCodec,
)

from .sip import SIP, PhoneFields

_HEADER = 62  # characters; with the end of the line it has 64 bytes


class Model(NamedTuple):
    """How many accounts it takes, and the function keys that it has.

    *side* and *keys* are the pages of those beside the display and of others: how many pages there
    are, and how many keys on each. *old* is the generation whose words differ. Without
    *has_line_keys* no key belongs to an account, as on door phones, where each one calls. *screen*
    are the pixels of a display that shows a picture, as far as known.
    """

    lines: int
    side: tuple[int, int] = (0, 0)
    keys: tuple[int, int] = (0, 0)
    old: bool = False
    has_line_keys: bool = True
    screen: tuple[int, int] | None = None


MODELS = {
    "Fanvil X1S": Model(2, keys=(1, 2)),
    "Fanvil X3S": Model(2, keys=(1, 2), old=True),
    "Fanvil X3G": Model(2, keys=(1, 2), old=True),
    "Fanvil X3SG": Model(4, keys=(1, 2)),
    "Fanvil X3U": Model(6, side=(1, 3), screen=(320, 240)),
    "Fanvil X4": Model(4, keys=(1, 30), old=True),
    "Fanvil X4G": Model(4, keys=(1, 30), old=True),
    "Fanvil X4U": Model(12, side=(1, 3), keys=(5, 6), screen=(320, 240)),
    "Fanvil X5S": Model(6, keys=(5, 8), screen=(480, 320)),
    "Fanvil X4U Pro": Model(12, side=(1, 3), keys=(5, 6), screen=(320, 240)),
    "Fanvil X5U": Model(16, side=(1, 4), keys=(5, 6), screen=(480, 320)),
    "Fanvil X5U Pro": Model(16, side=(1, 4), keys=(5, 6), screen=(480, 320)),
    "Fanvil X5U-V2": Model(16, side=(1, 4), keys=(5, 6), screen=(480, 320)),
    "Fanvil X6": Model(6, keys=(5, 12), screen=(480, 272)),
    "Fanvil X6U": Model(20, side=(1, 5), keys=(5, 12), screen=(480, 272)),
    "Fanvil X6U Pro": Model(20, side=(1, 5), keys=(5, 12), screen=(480, 272)),
    "Fanvil X7": Model(20, side=(5, 12), screen=(1024, 600)),
    "Fanvil X7C": Model(20, side=(5, 12), screen=(800, 480)),
    "Fanvil X210": Model(20, side=(1, 10), keys=(3, 32), screen=(480, 272)),
    "Fanvil X301": Model(2),
    "Fanvil X303": Model(4, side=(1, 3)),
    "Fanvil V62": Model(6, side=(3, 7)),
    "Fanvil V63": Model(6, side=(3, 7)),
    "Fanvil V64": Model(12, side=(3, 7), screen=(480, 320)),
    "Fanvil V65": Model(20, side=(3, 9), screen=(480, 272)),
    "Fanvil V67": Model(20, keys=(4, 29), screen=(1024, 600)),
    "Fanvil H2U": Model(2, has_line_keys=False),
    "Fanvil H2U-V2": Model(2, keys=(1, 10), has_line_keys=False),
    "Fanvil H5": Model(2, keys=(1, 6), old=True, has_line_keys=False),
    "Fanvil i10S": Model(2, keys=(1, 1), has_line_keys=False),
    "Fanvil i10SV": Model(2, keys=(1, 1), has_line_keys=False),
    "Fanvil i16SV": Model(2, keys=(1, 1), has_line_keys=False),
    "Fanvil i51W": Model(2, keys=(1, 3), has_line_keys=False),
    "Fanvil i53W": Model(2, keys=(1, 3), has_line_keys=False),
    "Fanvil i61": Model(2, keys=(1, 1), has_line_keys=False),
    "Fanvil i62": Model(2, keys=(1, 1), has_line_keys=False),
    "Fanvil i63": Model(2, keys=(1, 5), has_line_keys=False),
    "Fanvil i64": Model(2, keys=(1, 4), has_line_keys=False),
}


class Fanvil(SIP):
    PHONE_TYPES: ClassVar[list[str]] = list(MODELS)
    DISPLAY_INDEX = 65
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = ("g722", "alaw", "ulaw", "g726")
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {
        "g722": "G722",
        "alaw": "PCMA",
        "ulaw": "PCMU",
        "g726": "G726-32",
    }
    OLD_CODEC_NAMES: ClassVar[dict[CODEC, str]] = {
        **CODEC_NAMES,
        "alaw": "G711A",
        "ulaw": "G711U",
    }
    LINES: ClassVar[int | dict[str, int]] = {name: model.lines for name, model in MODELS.items()}
    FILES = (
        # Before it they ask for a file that is named after the hardware, such as F0V00X600000.cfg,
        # and is for all phones of the model; there is none.
        ProvisioningFile("{mac}.cfg", "phone.cfg"),
        ProvisioningFile("phonebook.xml", "phonebook.xml", Audience.PHONES),
    )
    IDENTIFICATION = Identification(
        vendor="Fanvil",
        ouis=frozenset({"0c383e", "00a859", "00a85a", "e0e656"}),
        user_agents=(
            r"Fanvil (?P<model>.+?) (?P<firmware>\d[\d.]*)(?: (?P<mac>[0-9a-f]{12}))?\)?$",
        ),
        names=("fanvil",),
    )
    RESYNC = ("Event=check-sync",)
    PHONEBOOK_LIMIT = 1000

    # For templates.
    MODELS: ClassVar[dict[str, Model]] = MODELS
    SCHEMES: ClassVar[dict[str, int]] = {"http": 4, "https": 5}
    #: unsure: 3 is TLS with those that other servers serve; the vendor has 2 for X3S and X4.
    TRANSPORTS: ClassVar[dict[str, int]] = {"udp": 0, "tcp": 1, "tls": 3}
    #: By number, where all series agree on it; the models that begin with one of LETTERED take the
    #: code instead.
    LANGUAGES: ClassVar[dict[str, int]] = {"de": 16, "en": 0, "it": 7, "nl": 3}
    LETTERED = ("Fanvil X4U", "Fanvil X5U", "Fanvil X6U", "Fanvil X7", "Fanvil X210", "Fanvil V67")
    CODES = ("ar", "de", "en", "es", "fr", "he", "hr", "it", "ko", "nl", "pl", "pt", "ru", "tr")
    TONES: ClassVar[dict[str, int]] = {
        "cs": 12,
        "da": 23,
        "de": 2,
        "en": 13,
        "es": 33,
        "fi": 24,
        "fr": 25,
        "hu": 27,
        "it": 21,
        "ja": 4,
        "nl": 5,
        "no": 6,
        "pt": 32,
        "ru": 19,
        "sv": 8,
    }

    def finish(self, file: ProvisioningFile, text: str) -> str:
        """Give a configuration its version, and the ends of lines that the phones want.

        They take what has another version than they have; so it follows from the rest of the file.
        """
        if file.template != "phone.cfg":
            return text
        begin, _, rest = text.partition("\n")
        version = int.from_bytes(sha256(rest.encode()).digest()) % 10**10
        return f"{begin}2.{version:010}".ljust(_HEADER) + "\r\n" + rest.replace("\n", "\r\n")

    def media_for(self, phone_type: str) -> dict[str, MediaDescriptor]:
        """Add the background to models whose display can show one."""
        screen = MODELS[phone_type].screen
        if screen is None:
            return self.MEDIA
        picture = ImageFormat("bmp", width=screen[0], height=screen[1])
        background = MediaDescriptor(
            MediaType.IMAGE, required=False, label="Background picture", out_format=picture
        )
        return {**self.MEDIA, "background": background}

    @staticmethod
    def pages(model: Model) -> Iterable[tuple[str, int]]:
        """Yield the heading of each page of function keys, and the number of its keys."""
        if model.old:
            yield "--Function Key--   :", model.keys[1]
            return
        for page in range(1, model.side[0] + 1):
            yield f"--Sidekey Config{page}--:", model.side[1]
        for page in range(1, model.keys[0] + 1):
            yield f"--Dsskey Config{page}--:", model.keys[1]
