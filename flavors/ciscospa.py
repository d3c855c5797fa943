"""Cisco's small business phones and adapters, and those that were called Linksys before.

An SPA asks for a file named after its model, which sends it to its own one. All of them read the
same XML, and ignore what they do not have.
"""

from typing import ClassVar

from pydantic import BaseModel

from muru.flavor import CODEC, Audience, Identification, ProvisioningFile, SupportedCodec

from .sip import SIP, PhoneFields

# How many accounts each takes.
_PHONES = {
    "Cisco SPA301": 1,
    "Cisco SPA303": 3,
    "Cisco SPA501G": 8,
    "Cisco SPA502G": 1,
    "Cisco SPA504G": 4,
    "Cisco SPA508G": 8,
    "Cisco SPA509G": 12,
    "Cisco SPA512G": 1,
    "Cisco SPA514G": 4,
    "Cisco SPA525G": 5,
    "Cisco SPA525G2": 5,
    "Linksys SPA962": 6,
}
_NARROWBAND = {
    "Linksys SPA901": 1,
    "Linksys SPA921": 1,
    "Linksys SPA922": 1,
    "Linksys SPA941": 4,
    "Linksys SPA942": 4,
    "Cisco SPA112": 2,
    "Cisco SPA122": 2,
    "Linksys SPA2102": 2,
    "Linksys SPA3102": 1,  # its second line is the socket for the telephone network
    "Linksys SPA8000": 8,
    "Linksys PAP2T": 2,
}
_CODECS: tuple[CODEC, ...] = ("g722", "alaw", "ulaw", "g726")

# Cisco's; then those of Linksys and Sipura, which the adapters have to this day
_OUIS = """
    002699 503de5 00e16d 00da55 10bd18
    000c41 000e08 000f66 001217 001310 0014bf 0016b6 001839 0018f8 001a70 001c10 001d7e 001ee5
    002129 00226b 002369 00259c 20aa4b 586d8f 687f74 d0c789 bc671c c47295 547c69 701f53
"""

# Where brackets stand alone they hold the serial number, which may look like a MAC address.
_USER_AGENT = (
    r"(?:Cisco|Linksys|Sipura)/(?P<model>(?:SPA-?|PAP)\w+)-(?P<firmware>\S+)"
    r"(?: \((?P<mac>[0-9A-F]{12})\)\()?"
)


class CiscoSPA(SIP):
    PHONE_TYPES: ClassVar[list[str]] = [*_PHONES, *_NARROWBAND]
    DISPLAY_INDEX = 50
    EXTRA_FIELDS: ClassVar[type[BaseModel] | None] = PhoneFields
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = {
        **dict.fromkeys(_PHONES, _CODECS),
        **dict.fromkeys(_NARROWBAND, _CODECS[1:]),
    }
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {
        "g722": "G722",
        "alaw": "G711a",
        "ulaw": "G711u",
        "g726": "G726-32",
    }
    LINES: ClassVar[int | dict[str, int]] = _PHONES | _NARROWBAND
    FILES = (
        ProvisioningFile("{mac}.xml", "phone.xml", also=("spa{mac}.cfg",)),
        ProvisioningFile("spa{model}.cfg", "common.xml", Audience.ANYBODY, also=("init.cfg",)),
        ProvisioningFile("phonebook.xml", "phonebook.xml", Audience.PHONES),
    )
    IDENTIFICATION = Identification(
        vendor="Cisco",
        ouis=frozenset(_OUIS.split()),
        user_agents=(_USER_AGENT,),
        names=("linksys", "sipura"),
    )
    RESYNC = ("Event=resync",)
    PHONEBOOK_LIMIT = 32  # a page of Cisco's XML

    @staticmethod
    def key_name(text: str) -> str:
        """Return *text* without the signs that mean something in a key's function."""
        return text.translate(str.maketrans(";=@$", "    "))
