"""Yealink's desk phones (T) and DECT bases (W)."""

from typing import ClassVar

from pydantic import BaseModel

from muru.flavor import (
    CODEC,
    Audience,
    AudioFormat,
    Identification,
    ImageFormat,
    MediaDescriptor,
    MediaType,
    ProvisioningFile,
    SupportedCodec,
)

from .sip import SIP, PhoneFields

# Type: accounts, line keys.
MODELS = {
    "Yealink T19P E2": (1, 0),
    "Yealink T20P": (2, 2),
    "Yealink T21P E2": (2, 2),
    "Yealink T22P": (3, 3),
    "Yealink T23P": (3, 3),
    "Yealink T23G": (3, 3),
    "Yealink T26P": (3, 3),
    "Yealink T27P": (6, 21),
    "Yealink T27G": (6, 21),
    "Yealink T28P": (6, 6),
    "Yealink T29G": (16, 27),
    "Yealink T30P": (1, 0),
    "Yealink T31P": (2, 2),
    "Yealink T31G": (2, 2),
    "Yealink T31W": (2, 2),
    "Yealink T33G": (4, 12),
    "Yealink T34W": (4, 12),
    "Yealink T40P": (3, 3),
    "Yealink T40G": (3, 3),
    "Yealink T41P": (6, 15),
    "Yealink T41S": (6, 15),
    "Yealink T42G": (12, 15),
    "Yealink T42S": (12, 15),
    "Yealink T42U": (12, 15),
    "Yealink T43U": (12, 15),
    "Yealink T44U": (12, 24),
    "Yealink T44W": (12, 24),
    "Yealink T46G": (16, 27),
    "Yealink T46S": (16, 27),
    "Yealink T46U": (16, 27),
    "Yealink T48G": (16, 29),
    "Yealink T48S": (16, 29),
    "Yealink T48U": (16, 29),
    "Yealink T49G": (16, 29),
    "Yealink T52S": (12, 21),
    "Yealink T53": (12, 21),
    "Yealink T53W": (12, 21),
    "Yealink T54S": (16, 27),
    "Yealink T54W": (16, 27),
    "Yealink T57W": (16, 29),
    "Yealink T58A": (16, 27),
    "Yealink T58W": (16, 27),
    "Yealink T73U": (12, 48),
    "Yealink T73W": (12, 48),
    "Yealink T74U": (16, 60),
    "Yealink T74W": (16, 60),
    "Yealink T77U": (16, 95),
    "Yealink T85W": (16, 72),
    "Yealink T87W": (16, 95),
    "Yealink W52P": (5, 0),
    "Yealink W56P": (5, 0),
    "Yealink W60B": (8, 0),
    "Yealink W70B": (10, 0),
}

# Pixels of the displays with colours, by the number of the model; the others show no picture.
SCREENS = {
    "T29": (480, 272),
    "T33": (320, 240),
    "T34": (320, 240),
    "T44": (320, 240),
    "T46": (480, 272),
    "T48": (800, 480),
    "T49": (1280, 800),
    "T52": (320, 240),
    "T54": (480, 272),
    "T57": (800, 480),
    "T58": (1024, 600),
}


class Yealink(SIP):
    PHONE_TYPES: ClassVar[list[str]] = list(MODELS)
    DISPLAY_INDEX = 78
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = ("g722", "alaw", "ulaw", "g726")
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {
        "g722": "g722",
        "alaw": "pcma",
        "ulaw": "pcmu",
        "g726": "g726_32",
    }
    LINES: ClassVar[dict[str, int]] = {each: MODELS[each][0] for each in MODELS}
    FILES = (
        # Firmware 81 and newer asks for {mac}.boot, and does what it says; older firmware asks for
        # the common file of its model, y and twelve digits, and then for {mac}.cfg.
        ProvisioningFile("{mac}.boot", "phone.boot"),
        ProvisioningFile("{mac}.cfg", "phone.cfg"),
        ProvisioningFile("y000000000{any}.cfg", "common.cfg", Audience.ANYBODY),
        ProvisioningFile("phonebook.xml", "phonebook.xml", Audience.PHONES),
    )
    IDENTIFICATION = Identification(
        vendor="Yealink",
        ouis=frozenset(
            {
                "001565",
                "249ad8",
                "3497d7",
                "44dbd2",
                "644f56",
                "805e0c",
                "805ec0",
                "b061a9",
                "c4fc22",
                "e434d7",
                "ec1da9",
                "f01653",
            }
        ),
        user_agents=(
            r"Yealink[ -]+(?:SIP[ -]+)?(?:VP-)?(?P<model>[A-Z]\w*)\s+(?P<firmware>\d[\d.]*)",
            r"(?P<model>(?:VP|W)\d\d\w+)\s+(?P<firmware>\d+(?:\.\d+){3})",
        ),
        names=("yealink",),
    )
    RESYNC = ("Event=check-sync;reboot=false",)
    MEDIA: ClassVar[dict[str, MediaDescriptor]] = {
        **SIP.MEDIA,
        "ringtone": MediaDescriptor(
            MediaType.AUDIO, required=False, label="Ring tone", out_format=AudioFormat("wav")
        ),
    }

    # For templates.
    KEYS: ClassVar[dict[str, int]] = {each: MODELS[each][1] for each in MODELS}
    # The base stations, each with as many handsets as accounts.
    BASES = ("Yealink W52P", "Yealink W56P", "Yealink W60B", "Yealink W70B")
    TRANSPORTS: ClassVar[dict[str, int]] = {"udp": 0, "tcp": 1, "tls": 2}
    OTHER_CODECS = ("g729", "g723_53", "g723_63", "g726_16", "g726_24", "g726_40", "ilbc", "opus")
    LANGUAGES: ClassVar[dict[str, str]] = {
        "da": "Danish",
        "de": "German",
        "en": "English",
        "es": "Spanish",
        "fr": "French",
        "it": "Italian",
        "nl": "Dutch",
        "pl": "Polish",
        "pt": "Portuguese",
        "ru": "Russian",
        "sv": "Swedish",
        "tr": "Turkish",
    }
    HANDSET_LANGUAGES: ClassVar[dict[str, int]] = {"en": 0, "fr": 1, "de": 2, "it": 3, "es": 6}

    def media_for(self, phone_type: str) -> dict[str, MediaDescriptor]:
        """Add the wallpaper where the display has colours; bases have no media of their own."""
        if phone_type in self.BASES:
            return SIP.MEDIA
        screen = SCREENS.get(phone_type.removeprefix("Yealink ")[:3])
        if screen is None:
            return self.MEDIA
        picture = ImageFormat("jpeg", width=screen[0], height=screen[1])
        wallpaper = MediaDescriptor(
            MediaType.IMAGE, required=False, label="Wallpaper", out_format=picture
        )
        return {**self.MEDIA, "wallpaper": wallpaper}
