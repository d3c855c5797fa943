"""A phone of Cisco's 7900 series with SIP firmware."""

import re
from collections.abc import Iterator
from typing import ClassVar
from xml.etree import ElementTree as ET

from muru.testing import Account, VirtualPhone

TRANSPORTS = {"1": "tcp", "2": "udp", "3": "tls"}
TEXT_MODELS = ("7940G", "7960G")
LINE = re.compile(r'(?P<name>\w+)\s*:\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s;"]+))\s*(?:;.*)?')


class Cisco7900(VirtualPhone):
    """Modelled on a capture of a 7940's boot, on Cisco's 7960 guide, and on files that others use.

    It has but TFTP, and stops where a file is missing that it needs; those of certificates, tones
    and firmware it can do without.
    """

    user_agent = "Cisco-CP{model}/9.4.2"
    block_size: ClassVar[int | None] = None  # the capture has no option in any request

    phonebook_url = ""
    sync = ""

    async def boot(self) -> None:
        mac = self.mac.upper()
        if self.model in TEXT_MODELS:
            await self._boot_by_text(mac)
        else:
            await self._boot_by_xml(mac)
        await self.tftp("dialplan.xml")

    async def on_notify(self, headers: dict[str, str]) -> None:
        event = headers.get("Event")
        if self.model in TEXT_MODELS:
            again = event == "check-sync" and await self._is_out_of_sync()
        else:
            again = event == "service-control"
        if again:
            await self.boot()
            await self.register()

    async def phonebook(self) -> list[tuple[str, str]]:
        """Press the key for directories. The phone puts its name behind the URL, as a parameter."""
        mark = "&" if "?" in self.phonebook_url else "?"
        content = await self.get(f"{self.phonebook_url}{mark}name=SEP{self.mac.upper()}")
        assert content is not None
        return directory(content)

    async def _boot_by_xml(self, mac: str) -> None:
        for name in (f"CTLSEP{mac}.tlv", f"ITLSEP{mac}.tlv", "ITLFile.tlv"):
            assert await self.tftp(name) is None  # else it would believe nobody else any more
        content = await self.tftp(f"SEP{mac}.cnf.xml")
        if content is None:
            await self.tftp("XMLDefault.cnf.xml")
            return
        device = parse_xml(content)
        self.accounts = list(xml_accounts(device))
        self.phonebook_url = device.findtext("directoryURL", "")

    async def _boot_by_text(self, mac: str) -> None:
        for name in ("OS79XX.TXT", f"CTLSEP{mac}.tlv"):
            assert await self.tftp(name) is None
        await self.tftp(f"SEP{mac}.cnf.xml")  # for the name of its firmware alone
        settings: dict[str, str] = {}
        for name in ("SIPDefault.cnf", f"SIP{mac}.cnf"):
            content = await self.tftp(name)
            settings |= parse_text(content) if content is not None else {}
        await self.tftp("RINGLIST.DAT")
        self.accounts = list(text_accounts(settings))
        self.phonebook_url = settings.get("directory_url", "")
        self.sync = settings.get("sync", "")

    async def _is_out_of_sync(self) -> bool:
        content = await self.tftp("syncinfo.xml")
        return content is not None and ET.fromstring(content).get("SYNC") != self.sync


def parse_xml(content: bytes) -> ET.Element:
    device = ET.fromstring(content)
    assert device.tag == "device", device.tag
    assert device.findtext("deviceProtocol") == "SIP"
    return device


def xml_accounts(device: ET.Element) -> Iterator[Account]:
    manager = device.find("devicePool/callManagerGroup/members/member/callManager")
    assert manager is not None
    transport = TRANSPORTS[device.findtext("transportLayerProtocol", "")]
    port = "ports/securedSipPort" if transport == "tls" else "ports/sipPort"
    for line in device.iterfind("sipProfile/sipLines/line"):
        if line.findtext("featureID") != "9":
            continue
        assert line.findtext("proxy") == "USECALLMANAGER"
        yield Account(
            server=manager.findtext("processNodeName", ""),
            port=int(manager.findtext(port, "")),
            transport=transport,  # type: ignore[arg-type]
            username=line.findtext("authName", ""),
            password=line.findtext("authPassword", ""),
            name=line.findtext("displayName", ""),
            codecs=[device.findtext("sipProfile/preferredCodec", "")],
        )


def parse_text(content: bytes) -> dict[str, str]:
    """Read ``name: "value" ; comment``, one to a line; nothing else may stand in the file."""
    settings = {}
    for line in content.decode("iso-8859-1").split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line.strip())
        assert found, line
        settings[found["name"]] = found["quoted"] or found["bare"] or ""
    return settings


def text_accounts(settings: dict[str, str]) -> Iterator[Account]:
    for n in range(1, 7):
        if settings.get(f"line{n}_name") and settings["proxy_register"] == "1":
            yield Account(
                server=settings[f"proxy{n}_address"],
                port=int(settings[f"proxy{n}_port"]),
                transport="udp",  # it has no other
                username=settings[f"line{n}_authname"],
                password=settings[f"line{n}_password"],
                name=settings[f"line{n}_displayname"],
                codecs=[settings["preferred_codec"]],
            )


def directory(content: bytes) -> list[tuple[str, str]]:
    """Read a page of the phonebook: its names and numbers."""
    root = ET.fromstring(content)
    assert root.tag == "CiscoIPPhoneDirectory", root.tag
    entries = root.findall("DirectoryEntry")
    assert len(entries) <= 32
    return [(each.findtext("Name", ""), each.findtext("Telephone", "")) for each in entries]


PHONE = Cisco7900
CASES = [
    ("Cisco 7941G", "0018730a0b0c", "7941G"),
    ("Cisco 7975G", "0021a00a0b0c", "7975G"),
    ("Cisco 7960G", "0006530a0b0c", "7960G"),
]
VIA = ("tftp",)
