"""Fanvil's phones.

Modelled on the vendor's manuals (where a phone looks for its configuration, how versions are
compared), on files that phones have exported, and on what the provisioning servers Wazo and
Tancredi serve them. It was not compared with real phones.
"""

import re
import xml.etree.ElementTree as ET

from muru.provisioning.vocabulary import Transport
from muru.testing import Account, VirtualPhone

#: By section and the heading in it, what is set there.
Configuration = dict[tuple[str, str], dict[str, str]]

_TRANSPORTS: dict[str, Transport] = {"0": "udp", "1": "tcp", "3": "tls"}
_SCHEMES = {"4": "http", "5": "https"}
_HEADER = re.compile(r"<<VOIP CONFIG FILE>>Version:(?P<version>\d\.\d+) +\r\n")
_SECTION, _HEADING = re.compile(r"<([A-Za-z0-9 ]+)>"), re.compile(r"--([^:]+?)--? *:")
_PARAMETER = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9 .-]*?) *:(?P<value>.*)")


class FanvilPhone(VirtualPhone):
    """Asks where DHCP sends it, as long as that is not switched off."""

    user_agent = "Fanvil {model} {firmware} {mac}"
    firmware = "2.12.16.17"
    version = ""
    configuration: Configuration | None = None

    async def boot(self) -> None:
        own = self._own_url()
        if own is None:
            await self.get(f"F0V00{self.model.upper()}00000.cfg"[:16])
        content = await self.get((own or "$mac.cfg").replace("$mac", self.mac))
        if content is None:
            return
        version, configuration = parse(content.decode())
        if version != self.version:
            self.version, self.configuration = version, configuration
        assert self.configuration is not None
        self.accounts = accounts(self.configuration)

    async def open_directory(self) -> list[tuple[str, str]]:
        """Fetch the remote phonebook; return names and numbers."""
        assert self.configuration is not None
        (book,) = (
            values
            for (_, heading), values in self.configuration.items()
            if heading == "Xml PhoneBook"
        )
        content = await self.get(book["XML-PBook1 Addr"])
        assert content is not None
        return parse_directory(content)

    def _own_url(self) -> str | None:
        if self.configuration is None:
            return None
        update = {
            name: value
            for (section, _), values in self.configuration.items()
            if section == "AUTOUPDATE CONFIG MODULE"
            for name, value in values.items()
        }
        if update["DHCP Option"] != "0" or update["PNP Enable"] != "0":
            return None
        old = "Download Server IP" in update
        server, name, scheme = (
            ("Download Server IP", "Config File Name", "Download Protocol")
            if old
            else ("Flash Server IP", "Flash File Name", "Flash Protocol")
        )
        if not update[server].startswith(_SCHEMES[update[scheme]] + "://"):
            raise ValueError("the server's URL and its protocol contradict each other")
        return f"{update[server]}/{update[name]}"


def parse(text: str) -> tuple[str, Configuration]:
    """Return the version and what a file sets.

    Raises:
        ValueError: the phone would not heed the file.
    """
    header = _HEADER.match(text)
    if header is None or header.end() != 64 or not text.rstrip().endswith("<<END OF FILE>>"):
        raise ValueError("it is no configuration, or not the whole of it")
    configuration: Configuration = {}
    section = heading = ""
    lines = text[header.end() :].rstrip().split("\r\n")
    for line in lines[:-1]:
        if found := _SECTION.fullmatch(line):
            section, heading = found[1], ""
        elif found := _HEADING.fullmatch(line):
            heading = found[1]
        elif line:
            found = _PARAMETER.fullmatch(line)
            values = configuration.setdefault((section, heading), {})
            if found is None or not section or found["name"] in values:
                raise ValueError(f"not a parameter, or one that is there twice: {line!r}")
            values[found["name"]] = found["value"]
    return header["version"], configuration


def accounts(configuration: Configuration) -> list[Account]:
    """Return the lines that register."""
    values = configuration["SIP CONFIG MODULE", "SIP Line List"]
    lines = [name.removesuffix("Enable Reg") for name in values if name.endswith(" Enable Reg")]
    return [
        Account(
            values[line + "Register Addr"],
            int(values[line + "Register Port"]),
            _TRANSPORTS[values[line + "Transport"]],
            values[line + "Register User"],
            values[line + "Register Pswd"],
            values[line + "Display Name"],
            values[line + "VoiceCodecMap"].split(","),
        )
        for line in lines
        if values[line + "Enable Reg"] == "1"
    ]


def function_keys(configuration: Configuration) -> dict[str, list[tuple[str, str]]]:
    """Return the types and values of the function keys on each page that has some, in order."""
    pages = {}
    for (_, heading), values in configuration.items():
        names = [name.removesuffix("Type") for name in values if name.endswith(" Type")]
        if heading.startswith(("Sidekey", "Dsskey", "Function")):
            pages[heading] = [(values[name + "Type"], values[name + "Value"]) for name in names]
    return pages


def parse_directory(content: bytes) -> list[tuple[str, str]]:
    """Return names and numbers in a phonebook."""
    root = ET.fromstring(content)
    if root.tag != "FanvilIPPhoneDirectory":
        raise ValueError("it is no phonebook")
    return [
        (each.findtext("Name", ""), each.findtext("Telephone", ""))
        for each in root.iterfind("DirectoryEntry")
    ]


PHONE: type[VirtualPhone] = FanvilPhone
CASES: list[tuple[str, str, str]] = [
    ("Fanvil X6U", "0c383e7f0001", "X6U"),
    ("Fanvil X4", "0c383e7f0002", "X4"),
    ("Fanvil i16SV", "0c383e7f0003", "i16SV"),
]
