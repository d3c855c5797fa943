"""Snom's desk phones: 3xx, 7xx, 8xx and the D series, from firmware 7 on, which reads XML.

Gigaset's desk phones of the P series have the same firmware.
"""

from typing import ClassVar, NamedTuple

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


class Model(NamedTuple):
    """How many accounts it takes, how many function keys it has on all their pages, and pixels.

    *screen* is None where the display has no colours, or its size is not known here.
    """

    lines: int
    keys: int
    screen: tuple[int, int] | None = None


MODELS = {
    "Snom 300": Model(4, 6),
    "Snom 320": Model(12, 12),
    "Snom 360": Model(12, 12),
    "Snom 370": Model(12, 12),
    "Snom 710": Model(4, 5),
    "Snom 715": Model(4, 5),
    "Snom 720": Model(12, 18),
    "Snom 760": Model(12, 12),
    "Snom 821": Model(12, 4),
    "Snom 870": Model(12, 4),
    "Snom D120": Model(2, 2),
    "Snom D140": Model(2, 2),
    "Snom D150": Model(2, 2),
    "Snom D305": Model(4, 5),
    "Snom D315": Model(4, 5),
    "Snom D335": Model(12, 32),
    "Snom D345": Model(12, 48),
    "Snom D375": Model(12, 12, (480, 272)),
    "Snom D385": Model(12, 48, (480, 272)),
    "Snom D712": Model(4, 5),
    "Snom D713": Model(6, 4),
    "Snom D715": Model(4, 5),
    "Snom D717": Model(6, 3, (426, 240)),
    "Snom D725": Model(12, 18),
    "Snom D735": Model(12, 32, (320, 240)),
    "Snom D745": Model(12, 32),
    "Snom D765": Model(12, 16, (320, 240)),
    "Snom D785": Model(12, 24, (480, 272)),
    "Snom D812": Model(12, 32),
    "Snom D815": Model(12, 40),
    "Snom D862": Model(8, 32),
    "Snom D865": Model(12, 40),
    "Gigaset P710": Model(4, 4),
    "Gigaset P810": Model(6, 4),
    "Gigaset P82x": Model(8, 28),
    "Gigaset P85x": Model(8, 36),
}


class Snom(SIP):
    PHONE_TYPES: ClassVar[list[str]] = list(MODELS)
    DISPLAY_INDEX = 80
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = ("g722", "alaw", "ulaw", "g726", "gsm")
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {
        "g722": "g722",
        "alaw": "pcma",
        "ulaw": "pcmu",
        "g726": "g726-32",
        "gsm": "gsm",
    }
    LINES: ClassVar[int | dict[str, int]] = {name: model.lines for name, model in MODELS.items()}
    FILES: ClassVar[tuple[ProvisioningFile, ...]] = (
        ProvisioningFile(
            "{mac}.xml",
            "phone.xml",
            also=(
                # Of a folder: after snom{model}.htm, which is for all phones of the model; there
                # is none, and it may be missing. So may snom{model}-firmware.htm. Those of
                # Gigaset write their own brand there.
                "snom{model}-{mac}.htm",
                # Of a file: after that file, which may be missing, under its name with the address.
                "{any}-{mac}.htm",
                "{any}-{mac}.xml",
                "{any}-{mac}",
                "{mac}.htm",
                "{mac}",
            ),
        ),
        ProvisioningFile("phonebook.xml", "phonebook.xml", Audience.PHONES),
    )
    IDENTIFICATION = Identification(
        vendor="Snom",
        ouis=frozenset({"000413", "00087b"}),
        user_agents=(
            r"Mozilla/4\.0 \(compatible; (?:snom|Gigaset)(?P<model>\w+)-SIP (?P<firmware>[\d.]+)",
            r"Mozilla/4\.0 \(compatible; snom\b",
            r"(?:snom-?|Gigaset(?=P))(?P<model>\w+?)(?:-SIP)?/(?P<firmware>[\w.]+)",
        ),
        names=("snom",),
    )
    RESYNC = ("Event=check-sync;reboot=false",)
    MEDIA: ClassVar[dict[str, MediaDescriptor]] = {
        **SIP.MEDIA,
        "ringtone": MediaDescriptor(
            MediaType.AUDIO, required=False, label="Ring tone", out_format=AudioFormat("wav")
        ),
    }
    PHONEBOOK_LIMIT = 100  # on one page of the directory: the oldest phones have little memory

    # For templates.
    KEYS: ClassVar[dict[str, int]] = {name: model.keys for name, model in MODELS.items()}
    MOST_LINES = 12
    LANGUAGES: ClassVar[dict[str, str]] = {
        "da": "Dansk",
        "de": "Deutsch",
        "es": "Espanol",
        "fi": "Suomi",
        "fr": "Francais",
        "it": "Italiano",
        "nl": "Nederlands",
        "no": "Norsk",
        "pl": "Polski",
        "sv": "Svenska",
    }
    TONES: ClassVar[dict[str, str]] = {
        "da": "DNK",
        "de": "GER",
        "es": "ESP",
        "fr": "FRA",
        "it": "ITA",
        "nl": "NLD",
        "no": "NOR",
        "sv": "SWE",
    }
    #: Where a zone has no name here the offset and the days of the changes say it all.
    TIME_ZONES: ClassVar[dict[str, str]] = {
        "Africa/Nairobi": "EAT+3",
        "America/Chicago": "USA-6",
        "America/Denver": "USA-7",
        "America/Los_Angeles": "USA-8",
        "America/New_York": "USA-5",
        "Asia/Kolkata": "IND+5.5",
        "Europe/Amsterdam": "NLD+1",
        "Europe/Athens": "GRC+2",
        "Europe/Berlin": "GER+1",
        "Europe/Brussels": "BEL+1",
        "Europe/Bucharest": "ROU+2",
        "Europe/Budapest": "HUN+1",
        "Europe/Copenhagen": "DNK+1",
        "Europe/Helsinki": "FIN+2",
        "Europe/Kyiv": "UKR+2",
        "Europe/Lisbon": "PRT-0",
        "Europe/London": "GBR-0",
        "Europe/Luxembourg": "LUX+1",
        "Europe/Madrid": "ESP+1",
        "Europe/Oslo": "NOR+1",
        "Europe/Paris": "FRA+1",
        "Europe/Prague": "CZE+1",
        "Europe/Rome": "ITA+1",
        "Europe/Stockholm": "SWE+1",
        "Europe/Tallinn": "EST+2",
        "Europe/Vienna": "AUT+1",
        "Europe/Warsaw": "POL+1",
        "Europe/Zagreb": "HRV+1",
        "Europe/Zurich": "GER+1",
    }

    def media_for(self, phone_type: str) -> dict[str, MediaDescriptor]:
        """Add the background to models whose display can show one."""
        screen = MODELS[phone_type].screen
        if screen is None:
            return self.MEDIA
        picture = ImageFormat("png", width=screen[0], height=screen[1])
        background = MediaDescriptor(
            MediaType.IMAGE, required=False, label="Background picture", out_format=picture
        )
        return {**self.MEDIA, "background": background}
