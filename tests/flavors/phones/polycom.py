"""A Polycom phone."""

from typing import Any
from xml.etree import ElementTree as ET

from muru.testing import Account, VirtualPhone

TRANSPORTS = {"UDPOnly": "udp", "TCPOnly": "tcp", "TLS": "tls"}
CODECS = ("G722", "G711_A", "G711_Mu", "G711A", "G711Mu")
MOST_LINES = 34
FAMILIES = {"VVX": "VVX", "SPIP": "SoundPointIP", "SSIP": "SoundStationIP"}


class PolycomPhone(VirtualPhone):
    """Modelled on a trace of a VVX 500, and on the administration guides of SIP 3.1 and UCS 5.

    *model* is as in the user agent: ``VVX_450``, ``SPIP_335``. The updater comes first, under its
    own name, and then the application. It takes a new server from the settings, and uploads its
    logs without minding whether they are taken.
    """

    firmware = "5.9.7.4477"

    def __init__(self, mac: str, model: str, *args: Any, **options: Any) -> None:
        super().__init__(mac, model, *args, **options)
        self.settings: dict[str, str] = {}
        self.contacts: dict[str, str] = {}
        self._stage: str | None = None

    @property
    def agent(self) -> str:
        name = f"Polycom{FAMILIES[self.model.partition('_')[0]]}-{self.model}-UA/{self.firmware}"
        return f"FileTransport {name} Type/{self._stage}" if self._stage else name

    async def boot(self) -> None:
        self._stage = "Updater"
        await self._upload(f"{self.mac}-boot.log")
        content = await self.get(f"{self.mac}.cfg") or await self.get("000000000000.cfg")
        if content is None:
            return
        master = ET.fromstring(content)
        assert master.tag == "APPLICATION", master.tag
        for name in (f"3111-44500-001.{master.get('APP_FILE_PATH')}", master.get("APP_FILE_PATH")):
            assert await self.get(name or "") is None  # else it would load that firmware

        self._stage = "Application"
        self.settings = await self._settings(master.get("CONFIG_FILES", ""))
        for name in ("phone.cfg", "web.cfg", "license.cfg", "calls.xml"):
            await self.get(f"{self.mac}-{name}")
        content = await self.get(f"{self.mac}-directory.xml")
        content = content or await self.get("000000000000-directory.xml")
        self.contacts = directory(content) if content else {}
        self._stage = None
        self.accounts = accounts(self.settings)
        self._move()

    async def _settings(self, names: str) -> dict[str, str]:
        """Read the files that a master names; what is further left counts more."""
        settings: dict[str, str] = {}
        for name in names.split(","):
            wanted = name.strip().replace("[PHONE_MAC_ADDRESS]", self.mac)
            content = await self.get(wanted)
            settings = (parse(content) if content else {}) | settings
        return settings

    def _move(self) -> None:
        settings = self.settings
        if settings.get("device.set") != "1" or settings.get("device.prov.serverName.set") != "1":
            return
        assert settings["device.dhcp.bootSrvUseOpt"] == "Static"  # else DHCP's server wins
        scheme = {"HTTP": "http", "HTTPS": "https"}[settings["device.prov.serverType"]]
        self.http = f"{scheme}://{settings['device.prov.serverName']}"

    async def _upload(self, name: str) -> None:
        if self.http:
            assert (await self.put(name, b"log")).status < 500


def parse(content: bytes) -> dict[str, str]:
    """Read the settings of a file: the attributes of its elements, each of which is there once."""
    settings: dict[str, str] = {}
    for element in ET.fromstring(content).iter():
        assert not settings.keys() & element.attrib.keys()
        settings |= element.attrib
    return settings


def accounts(settings: dict[str, str]) -> list[Account]:
    lines = range(1, MOST_LINES + 1)
    return [_account(settings, f"reg.{n}") for n in lines if settings.get(f"reg.{n}.address")]


def _account(settings: dict[str, str], reg: str) -> Account:
    places = {each: int(settings.get(f"voice.codecPref.{each}") or 0) for each in CODECS}
    return Account(
        server=settings[f"{reg}.server.1.address"],
        port=int(settings[f"{reg}.server.1.port"]),
        transport=TRANSPORTS[settings[f"{reg}.server.1.transport"]],  # type: ignore[arg-type]
        username=settings[f"{reg}.auth.userId"],
        password=settings[f"{reg}.auth.password"],
        name=settings[f"{reg}.displayName"],
        codecs=sorted((each for each in CODECS if places[each]), key=lambda each: places[each]),
    )


def directory(content: bytes) -> dict[str, str]:
    """Read a directory: names by their numbers, of which none may be there twice."""
    root = ET.fromstring(content)
    assert root.tag == "directory", root.tag
    contacts: dict[str, str] = {}
    for item in root.iterfind("item_list/item"):
        number, name = item.findtext("ct", ""), item.findtext("fn", "")
        assert number
        assert number not in contacts
        assert len(name.encode()) <= 40
        contacts[number] = name
    return contacts


PHONE = PolycomPhone
CASES = [
    ("Polycom VVX 450", "64167f010203", "VVX_450"),
    ("Polycom SoundPoint IP 335", "0004f2010203", "SPIP_335"),
    ("Polycom SoundPoint IP 501", "0004f2010204", "SPIP_501"),
    ("Polycom SoundStation IP 6000", "0004f2010205", "SSIP_6000"),
]
