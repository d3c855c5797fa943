"""A Yealink desk phone or DECT base.

Modelled on the vendor's provisioning guides and on configuration files that others have published:
names and order of its requests, its user agent, the boot file, and the names of its settings in
firmware up to 80 and from 81 on. No phone of the vendor's was at hand.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from muru.provisioning.vocabulary import Transport
from muru.testing import Account, VirtualPhone

FIRST_LINE = "#!version:1.0.0.1"
TRANSPORTS: dict[str, Transport] = {"0": "udp", "1": "tcp", "2": "tls"}
SERVER = ("sip_server.1.address", "sip_server.1.port", "sip_server.1.transport_type")
OLD_SERVER = ("sip_server_host", "sip_server_port", "transport")

# The firmware of each model, and the number in the name of its common file.
MODELS = {
    "T28P": ("2.73.0.50", 0),
    "T46U": ("108.86.0.90", 108),
    "T54W": ("96.86.0.45", 96),
    "W52P": ("25.81.0.10", 25),
    "W60B": ("77.85.0.25", 77),
}


class YealinkPhone(VirtualPhone):
    """Keeps its settings from one boot to the next, as the real one does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        firmware, self.number = MODELS[self.model]
        self.is_old = int(firmware.split(".")[1]) <= 80
        self.settings: dict[str, str] = {}
        self.phonebook: list[tuple[str, str]] | None = None

    @property
    def agent(self) -> str:
        series = "" if self.model.startswith("W") else "SIP-"
        mac = ":".join(self.mac[at : at + 2] for at in range(0, 12, 2))
        return f"Yealink {series}{self.model} {MODELS[self.model][0]} {mac}"

    async def boot(self) -> None:
        for name in await self._files():
            content = await self._fetch(name)
            if content is not None:
                apply(self.settings, parse(content))
        self.accounts = accounts(self.settings, is_old=self.is_old)
        if url := self.settings.get("remote_phonebook.data.1.url"):
            content = await self.get(url)
            self.phonebook = None if content is None else contacts(content)

    async def _files(self) -> list[str]:
        """Return what to ask for: what a boot file says, else the common file and its own."""
        for name in () if self.is_old else (f"{self.mac}.boot", "y000000000000.boot"):
            content = await self._fetch(name)
            if content is not None:
                return included(content)
        return [f"y{self.number:012}.cfg", f"{self.mac}.cfg"]

    async def _fetch(self, name: str) -> bytes | None:
        static = "" if self.is_old else "static."
        base = self.settings.get(f"{static}auto_provision.server.url", "")
        return await self.get(f"{base}{name}")


def included(content: bytes) -> list[str]:
    """Return the files that a boot file includes."""
    names = re.findall(r'^include:config [<"](.+)[>"]$', _text(content), re.MULTILINE)
    return [str(name) for name in names]


def parse(content: bytes) -> dict[str, str]:
    """Return the settings in a file, in its order.

    Raises:
        ValueError: the phone would refuse the file, or not understand a line.
    """
    settings = {}
    for line in _text(content).splitlines():
        if not line or line.startswith("#"):
            continue
        found = re.fullmatch(r"([a-z]\w*(?:\.\w+)+) = (.*)", line)
        if found is None or found[1] in settings:
            raise ValueError(f"not understood: {line!r}")
        settings[found[1]] = found[2].strip()
    return settings


def _text(content: bytes) -> str:
    text = content.decode()
    if not text.startswith(f"{FIRST_LINE}\n"):
        raise ValueError("the first line is not that of a configuration file")
    return text


def apply(settings: dict[str, str], new: Mapping[str, str]) -> None:
    """Change *settings* as the phone does: what is empty stays, and %NULL% takes back."""
    for name, value in new.items():
        if value == "%NULL%":
            settings.pop(name, None)
        elif value:
            settings[name] = value


def accounts(settings: Mapping[str, str], *, is_old: bool = False) -> list[Account]:
    """Return the accounts that are enabled, by the names of older or newer firmware."""
    matches = (_ENABLED.fullmatch(each) for each in settings)
    numbers = [int(match[1]) for match in matches if match]
    host, port, transport = OLD_SERVER if is_old else SERVER
    found = []
    for number in sorted(numbers):
        own = {
            name.removeprefix(f"account.{number}."): value
            for name, value in settings.items()
            if name.startswith(f"account.{number}.")
        }
        if own["enable"] == "1":
            found.append(
                Account(
                    own[host],
                    int(own[port]),
                    TRANSPORTS[own[transport]],
                    own["user_name"],
                    own["password"],
                    own["display_name"],
                    _codecs(own),
                )
            )
    return found


_ENABLED = re.compile(r"account\.(\d+)\.enable")


def _codecs(account: Mapping[str, str]) -> tuple[str, ...]:
    enabled = [
        name.split(".")[1]
        for name, value in account.items()
        if name.startswith("codec.") and name.endswith(".enable") and value == "1"
    ]
    return tuple(sorted(enabled, key=lambda name: int(account[f"codec.{name}.priority"])))


def contacts(content: bytes) -> list[tuple[str, str]]:
    """Return numbers and names in a remote phonebook.

    Raises:
        ValueError: the phone would refuse the file.
    """
    root = ET.fromstring(content)
    if root.tag != "YealinkIPPhoneDirectory":
        raise ValueError("it is no YealinkIPPhoneDirectory")
    entries = root.iterfind("DirectoryEntry")
    return [(each.findtext("Telephone") or "", each.findtext("Name") or "") for each in entries]


PHONE: type[VirtualPhone] = YealinkPhone
CASES: list[tuple[str, str, str]] = [
    ("Yealink T28P", "0015657f0001", "T28P"),
    ("Yealink T46U", "805ec07f0001", "T46U"),
    ("Yealink T54W", "805e0c7f0001", "T54W"),
    ("Yealink W52P", "0015657f0002", "W52P"),
    ("Yealink W60B", "805ec07f0002", "W60B"),
]
