"""A Cisco SPA phone or adapter."""

import re
from typing import Any
from xml.etree import ElementTree as ET

from muru.testing import Account, VirtualPhone

DEFAULT_RULE = "/spa$PSN.cfg"
RULES = ("Profile_Rule", "Profile_Rule_B", "Profile_Rule_C", "Profile_Rule_D")
MOST_LINES = 12
LINKSYS = ("9", "2102", "3102", "8000", "PAP2T")


class SPA(VirtualPhone):
    """Modelled on Cisco's and Sipura's administration guides, and on traces of SPA504G and SPA942.

    *model* is as in the macro ``$PSN``: ``504G``. The profile rules are followed one after the
    other, each as it stands when its turn comes; a relative one is asked of the server that DHCP
    names, by TFTP or below an HTTP URL. What a profile does not name keeps its value.
    """

    firmware = "7.6.2c"

    def __init__(self, mac: str, model: str, *args: Any, **options: Any) -> None:
        super().__init__(mac, model, *args, **options)
        self.settings = {"Profile_Rule": "/init.cfg" if model == "PAP2T" else DEFAULT_RULE}

    @property
    def agent(self) -> str:
        """The serial number of a Linksys, which comes alone, looks like a MAC address."""
        if self.model == "PAP2T":
            return "Linksys/PAP2T-3.1.15(LS) (88019FA42805)"
        if self.model.startswith(LINKSYS):
            return f"Linksys/SPA-{self.model}-6.1.5(a) (88019FA42805)"
        return f"Cisco/SPA{self.model}-{self.firmware} ({self.mac.upper()})(CBT141100HR)"

    async def boot(self) -> None:
        for rule in RULES:
            wanted = self.expand(self.settings.get(rule, ""))
            content = await self.fetch(wanted) if wanted else None
            if content is not None:
                self.settings |= parse(content)
        self.accounts = accounts(self.settings)

    async def fetch(self, name: str) -> bytes | None:
        if name.startswith("/") and self.tftp_server:
            return await self.tftp(name)
        return await self.get(name)

    def expand(self, rule: str) -> str:
        """Replace the macros that are in use; options and conditions are not among them."""
        colons = ":".join(self.mac[at : at + 2] for at in range(0, 12, 2))
        macros = {"MAU": self.mac.upper(), "MAC": colons, "MA": self.mac, "PSN": self.model}
        expanded = re.sub(r"\$(MAU|MAC|MA|PSN)", lambda found: macros[found[1]], rule)
        assert not re.search(r"[$\s\[\]()|]", expanded), expanded
        return expanded


def parse(content: bytes) -> dict[str, str]:
    """Read a profile: elements within elements are but folders, and the last of two wins."""
    root = ET.fromstring(content)
    assert root.tag == "flat-profile", root.tag
    return {
        element.tag: (element.text or "").strip() for element in root.iter() if not len(element)
    }


def accounts(settings: dict[str, str]) -> list[Account]:
    lines = range(1, MOST_LINES + 1)
    return [_account(settings, n) for n in lines if settings.get(f"Line_Enable_{n}_") == "Yes"]


def _account(settings: dict[str, str], n: int) -> Account:
    host, _, port = settings[f"Proxy_{n}_"].rpartition(":")
    transport = {"UDP": "udp", "TCP": "tcp", "TLS": "tls"}[settings[f"SIP_Transport_{n}_"]]
    user = "Auth_ID" if settings[f"Use_Auth_ID_{n}_"] == "Yes" else "User_ID"
    order = ("Preferred_Codec", "Second_Preferred_Codec", "Third_Preferred_Codec")
    codecs = [settings[f"{each}_{n}_"] for each in order]
    return Account(
        server=host,
        port=int(port),
        transport=transport,  # type: ignore[arg-type]
        username=settings[f"{user}_{n}_"],
        password=settings[f"Password_{n}_"],
        name=settings[f"Display_Name_{n}_"],
        codecs=[each for each in codecs if each != "Unspecified"],
    )


PHONE = SPA
CASES = [
    ("Cisco SPA504G", "002699010203", "504G"),
    ("Cisco SPA525G2", "503de5010203", "525G2"),
    ("Cisco SPA112", "c47295010203", "112"),
    ("Linksys SPA942", "000e08010203", "942"),
    ("Linksys PAP2T", "001217010203", "PAP2T"),
]
