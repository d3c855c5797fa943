"""Snom's desk phones, and those of Gigaset with the same firmware.

Modelled on the vendor's wiki (names and order of the requests, provisioning_order, permission
flags, the XML of settings and directories) and on user agents that others have seen. It was not
compared with real phones.
"""

import xml.etree.ElementTree as ET

from muru.provisioning.vocabulary import Transport
from muru.testing import Account, VirtualPhone

Settings = dict[tuple[str, int], str]

_PERMISSIONS = {"", " ", "$", "&", "!", "R", "RW", "V"}
_TRANSPORTS: dict[str, Transport] = {"udp": "udp", "tcp": "tcp", "tls": "tls"}
_BY_FILE = ("3", "8")  # models of these series are told a file's URL here, the others a folder's


class SnomPhone(VirtualPhone):
    """Asks where DHCP sends it, unless the order of its sources leaves that out."""

    firmware = "10.1.54.13"

    settings: Settings | None = None  # since the last boot
    keys: dict[int, str]
    directory: list[tuple[str, str]]

    @property
    def agent(self) -> str:
        build = f"{self.firmware} 2010.12-00004-g9ba52f5 {self.mac.upper()}"
        return f"Mozilla/4.0 (compatible; {self._name}-SIP {build} SXM:0 UXM:0)"

    async def boot(self) -> None:
        order = self._setting("provisioning_order", "redirection:stop pnp:stop dhcp:stop tr69:stop")
        own = self._setting("setting_server", "")
        names = self._told_by_dhcp() if "dhcp:" in order or not own else [own]
        self.settings, self.keys = {}, {}
        for name in names:
            content = await self.get(name.replace("{mac}", self.mac.upper()))
            if content is not None:
                settings, keys = parse(content)
                self.settings |= settings
                self.keys |= keys
        self.accounts = accounts(self.settings)

    async def open_directory(self) -> list[tuple[str, str]]:
        """Press the key, and turn all pages; return names and numbers."""
        kind, _, url = self._setting("dkey_directory", "").partition(" ")
        assert kind == "url"
        entries: list[tuple[str, str]] = []
        while url:
            content = await self.get(url)
            assert content is not None
            page, url = parse_directory(content)
            entries += page
        return entries

    def _told_by_dhcp(self) -> list[str]:
        mac = self.mac.upper()
        if self.model.startswith(_BY_FILE):
            return ["snom", f"snom-{mac}"]
        return [f"{self._name}{each}.htm" for each in ("", f"-{mac}", "-firmware")]

    @property
    def _name(self) -> str:
        return ("Gigaset" if self.model.startswith("P") else "snom") + self.model

    def _setting(self, name: str, otherwise: str) -> str:
        return (self.settings or {}).get((name, 0), otherwise)


def parse(content: bytes) -> tuple[Settings, dict[int, str]]:
    """Return the settings, by name and index (0 where there is none), and the function keys.

    Raises:
        ValueError: it is no file of settings, or one that contradicts itself.
    """
    root = ET.fromstring(content)
    if root.tag != "settings" or [each.tag for each in root] != ["phone-settings", "functionKeys"]:
        raise ValueError("it is no file of settings")
    settings: Settings = {}
    for each in root[0]:
        place = each.tag, int(each.get("idx", 0))
        if place in settings or each.get("perm") not in _PERMISSIONS or len(each):
            raise ValueError(f"twice, or not as a setting is: {place}")
        settings[place] = each.text or ""
    keys = {int(each.attrib["idx"]): each.text or "" for each in root[1]}
    if len(keys) != len(root[1]) or any(each.tag != "fkey" for each in root[1]):
        raise ValueError("function keys are there twice, or something else is between them")
    return settings, keys


def accounts(settings: Settings) -> list[Account]:
    """Return the identities that are switched on."""
    found = []
    for at in range(1, 13):
        if settings.get(("user_active", at)) != "on":
            continue
        proxy, _, transport = settings[("user_outbound", at)].partition(";transport=")
        server, _, port = proxy.rpartition(":")
        *codecs, events = settings[("codec_priority_list", at)].split(",")
        assert events == "telephone-event"
        assert settings[("user_srtp", at)] == "off"
        found.append(
            Account(
                server,
                int(port),
                _TRANSPORTS[transport],
                settings[("user_pname", at)],
                settings[("user_pass", at)],
                settings[("user_realname", at)],
                codecs,
            )
        )
    return found


def parse_directory(content: bytes) -> tuple[list[tuple[str, str]], str]:
    """Return the names and numbers of a page, and the URL of the next one if there is one."""
    root = ET.fromstring(content)
    if root.tag != "SnomIPPhoneDirectory" or root[0].tag != "Title":
        raise ValueError("it is no directory")
    entries = [
        (each.findtext("Name", ""), each.findtext("Telephone", ""))
        for each in root.iterfind("DirectoryEntry")
    ]
    return entries, root.findtext("SoftKeyItem[Name='F2']/URL", "")


PHONE: type[VirtualPhone] = SnomPhone
CASES: list[tuple[str, str, str]] = [
    ("Snom D735", "0004137f0001", "D735"),
    ("Snom 320", "0004137f0002", "320"),
    ("Snom D862", "0004137f0003", "D862"),
    ("Gigaset P82x", "000413d80001", "P82x"),
]
