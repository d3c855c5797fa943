"""Devices that people build themselves: a secret for the data of a real SIP account."""

from typing import ClassVar

from muru.flavor import CODECS, Link, ProvisioningFile, SupportedCodec, Vocabulary

from .sip import SIP


class IoT(SIP):
    """``iot/{token}`` answers with the account of the extension whose token it is."""

    PHONE_TYPES: ClassVar[list[str]] = ["IoT"]
    DISPLAY_INDEX = 20
    SUPPORTED_CODEC: ClassVar[SupportedCodec] = CODECS
    FILES = (
        ProvisioningFile("{token}", "account.csv", query=("format", "csv")),
        ProvisioningFile("{token}", "account.xml", query=("format", "xml")),
        ProvisioningFile("{token}", "account.json"),
    )

    def links(self, vocabulary: Vocabulary) -> list[Link]:
        folder, _, token = vocabulary.provisioning.url.rstrip("/").rpartition("/k/")
        return [
            Link(
                "Account as JSON",
                f"{folder}/{token}",
                qr=False,
                hint="Ends in a secret. Append ?format=csv or ?format=xml for other forms.",
            )
        ]
