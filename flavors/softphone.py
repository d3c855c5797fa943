"""Apps on computers and mobiles: each extension has a URL of its own, which the app is shown."""

from collections.abc import Sequence
from typing import ClassVar

from muru.flavor import (
    CODEC,
    CODECS,
    Audience,
    Format,
    Identification,
    Link,
    ProvisioningFile,
    SupportedCodec,
    Vocabulary,
)

from .sip import SIP

COMMON: tuple[CODEC, ...] = ("g722", "alaw", "ulaw", "gsm")
LINPHONE, GROUNDWIRE, MICROSIP, BARESIP = "Linphone", "Groundwire", "MicroSIP", "baresip"


class Softphone(SIP):
    """An app is no device with an address: it is known by the token in its URL alone."""

    PHONE_TYPES: ClassVar[list[str]] = [LINPHONE, GROUNDWIRE, MICROSIP, BARESIP, "Other app"]
    DISPLAY_INDEX = 90
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = {
        LINPHONE: COMMON,
        GROUNDWIRE: COMMON,
        MICROSIP: COMMON,
        BARESIP: ("g722", "alaw", "ulaw"),
        "Other app": CODECS,
    }
    CODEC_NAMES: ClassVar[dict[CODEC, str]] = {
        "g722": "G722",
        "alaw": "PCMA",
        "ulaw": "PCMU",
        "g726": "G726-32",
        "gsm": "GSM",
        "lpc10": "LPC",
    }
    FILES = (
        ProvisioningFile("linphone.xml", "linphone.xml"),
        ProvisioningFile("acrobits.xml", "acrobits.xml"),
        ProvisioningFile("microsip.ini", "microsip.ini", encoding="utf-16-le"),
        ProvisioningFile("baresip/accounts", "baresip/accounts", format=Format.QUOTED),
        ProvisioningFile("baresip/config", "baresip/config"),
        ProvisioningFile(
            "baresip/contacts", "baresip/contacts", Audience.PHONES, format=Format.QUOTED
        ),
        ProvisioningFile(
            "phonebook.vcf", "phonebook.vcf", Audience.PHONES, content_type="text/vcard"
        ),
    )
    IDENTIFICATION = Identification(
        user_agents=(
            r"(?P<model>Linphone)[a-z]*(?: Desktop)?[/ ](?P<firmware>\d[\w.-]*)",
            r"(?P<model>Groundwire)\b",
            r"(?P<model>MicroSIP)/(?P<firmware>\d[\w.]*)",
            r"(?P<model>baresip) v(?P<firmware>\d[\w.]*)",
            r"(?:Acrobits|CloudSoftphone|Zoiper|Z \d)",
        ),
    )

    # For templates: what Linphone would offer beside, with rates and channels.
    UNUSED_CODECS = (
        ("opus", 48000, 2),
        ("G729", 8000, 1),
        ("speex", 32000, 1),
        ("speex", 16000, 1),
        ("speex", 8000, 1),
    )

    def rated(self, codecs: Sequence[CODEC]) -> list[str]:
        """Return the names of *codecs* with the rate of their samples, and one channel."""
        rates = {"g722": 16000}
        return [f"{self.CODEC_NAMES[each]}/{rates.get(each, 8000)}/1" for each in codecs]

    def unbracketed(self, name: str) -> str:
        """Return *name* without what baresip takes for the begin of an address."""
        return name.translate({ord("<"): "(", ord(">"): ")"})

    def vcard(self, text: str) -> str:
        """Return *text* as a value of a vCard (RFC 6350, 3.4)."""
        return "".join(f"\\{char}" if char in "\\," else char for char in text)

    def finish(self, file: ProvisioningFile, text: str) -> str:
        """Write lines as Windows and as vCard have them; Windows wants to be told of UTF-16."""
        if file.template == "microsip.ini":
            text = f"\ufeff{text}"
        return text.replace("\n", "\r\n") if file.template.endswith(("ini", "vcf")) else text

    def links(self, vocabulary: Vocabulary) -> list[Link]:
        url = vocabulary.provisioning.url
        match vocabulary.phone.type:
            case "Linphone":
                return _linphone(f"{url}linphone.xml")
            case "Groundwire":
                return [_groundwire(f"{url}acrobits.xml")]
            case "MicroSIP":
                return [_microsip(f"{url}microsip.ini")]
            case "baresip":
                return [_baresip(url, name) for name in ("accounts", "config", "contacts")]
        return []


def _linphone(url: str) -> list[Link]:
    return [
        Link(
            "Scan in Linphone",
            url,
            hint="In the assistant of the app, choose to scan a QR code. The app starts again, and"
            " its first account is replaced.",
        ),
        Link(
            "Open in Linphone",
            f"linphone-config:{url}",
            hint="On the mobile itself; or scan it with the camera.",
        ),
    ]


def _groundwire(url: str) -> Link:
    scheme, _, rest = url.partition("://")
    return Link(
        "Open in Groundwire",
        f"{'provlinkbs' if scheme == 'https' else 'provlinkb'}://{rest}",
        qr=False,
        hint="Tap it on the mobile itself. Not every release of the app takes such links: if"
        " nothing happens, type the account by hand.",
    )


def _microsip(url: str) -> Link:
    return Link(
        "Settings for MicroSIP",
        url,
        qr=False,
        hint="End MicroSIP, and save this as MicroSIP.ini in %APPDATA%\\MicroSIP, or beside a"
        " portable MicroSIP.exe. It replaces all settings.",
    )


def _baresip(url: str, name: str) -> Link:
    return Link(
        f"File {name} for baresip",
        f"{url}baresip/{name}",
        qr=False,
        hint=f"Save it as ~/.baresip/{name} before baresip starts.",
    )
