"""A Grandstream phone or adapter.

Modelled on the vendor's provisioning guides and templates of XML files, as others have published
them: names and order of its requests, its user agent, and which number has which parameter. No
phone of the vendor's was at hand.
"""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from muru.provisioning.vocabulary import Transport
from muru.testing import Account, VirtualPhone

SCHEMES = {"0": "tftp", "1": "http", "2": "https"}
PHONEBOOK_SCHEMES = {"1": "http", "2": "tftp", "3": "https"}
TRANSPORTS: dict[str, Transport] = {"0": "udp", "1": "tcp", "2": "tls"}
CODECS = {"0": "PCMU", "2": "G726-32", "8": "PCMA", "9": "G722"}

# The numbers of an account's parameters: active, server, transport, user, password, name, codecs.
CHOICES = tuple(range(57, 63))
FIRST = (271, 47, 130, 35, 34, 3, (*CHOICES, 46))
FIRST_PORT = (271, 47, 130, 35, 34, 3, CHOICES)
SECOND_PORT = (401, 747, 830, 735, 734, 703, tuple(range(757, 763)))
FURTHER = tuple(
    (
        base + 1,
        base + 2,
        base + 48,
        base + 4,
        base + 6,
        base + 7,
        tuple(range(base + 51, base + 58)),
    )
    for base in (400, 500, 600, 1700, 1800)
)


class GrandstreamPhone(VirtualPhone):
    """Refuses a file that is no XML, of another kind, or for another phone, as the vendor says."""

    user_agent = "Grandstream Model HW {model} SW {firmware} DevId {mac}"
    firmware = "1.0.11.79"
    base: str | None = None  # where it has been told to fetch its files
    phonebook: list[tuple[str, str]] | None = None

    async def boot(self) -> None:
        binary = await self._fetch(f"cfg{self.mac}")
        if binary is not None:
            raise ValueError("a file in the binary format was expected")
        for name in (f"cfg{self.mac}.xml", f"cfg{self.model.lower()}.xml", "cfg.xml"):
            content = await self._fetch(name)
            if content is not None:
                await self._apply(parse(content, self.mac))
                return

    async def _apply(self, values: Mapping[str, str]) -> None:
        self.accounts = accounts(values, self.model)
        if "P237" in values:
            self.base = f"{SCHEMES[values['P212']]}://{values['P237']}"
        if values.get("P330", "0") != "0":
            place = f"{PHONEBOOK_SCHEMES[values['P330']]}://{values['P331']}"
            content = await self.get(f"{place}/phonebook.xml")
            self.phonebook = None if content is None else contacts(content)

    async def _fetch(self, name: str) -> bytes | None:
        return await self.get(f"{self.base}/{name}" if self.base else name)


def parse(content: bytes, mac: str = "") -> dict[str, str]:
    """Return the parameters of a configuration file.

    Raises:
        ValueError: the phone would refuse the file.
    """
    root = ET.fromstring(content)
    config = root.find("config[@version='1']")
    if root.tag != "gs_provision" or config is None:
        raise ValueError("it is no gs_provision with parameters by number")
    if root.findtext("mac", mac).lower() != mac:
        raise ValueError("it is for another phone")
    return {each.tag: each.text or "" for each in config}


def accounts(values: Mapping[str, str], model: str) -> list[Account]:
    """Return the accounts that are active, as a phone of *model* takes them from its parameters."""
    if model in {"HT814", "HT818"}:
        # One profile, and a user for each port.
        places = [
            (4595 + port, 47, 130, 4060 + port, 4120 + port, 4180 + port, CHOICES)
            for port in range(int(model[-1]))
        ]
    else:
        places = [FIRST_PORT, SECOND_PORT] if model.startswith("HT") else [FIRST, *FURTHER]
    found = []
    for active, server, transport, user, password, name, choices in places:
        if values.get(f"P{active}") != "1":
            continue
        host, _, port = values[f"P{server}"].rpartition(":")
        codecs = [CODECS[values[f"P{choice}"]] for choice in choices]
        found.append(
            Account(
                host,
                int(port),
                TRANSPORTS[values[f"P{transport}"]],
                values[f"P{user}"],
                values[f"P{password}"],
                values[f"P{name}"],
                tuple(dict.fromkeys(codecs)),
            )
        )
    return found


def contacts(content: bytes) -> list[tuple[str, str]]:
    """Return numbers and names in a phonebook, of which each entry needs both.

    Raises:
        ValueError: the phone would refuse the file.
    """
    root = ET.fromstring(content)
    if root.tag != "AddressBook":
        raise ValueError("it is no AddressBook")
    return [
        (
            each.findtext("Phone/phonenumber") or "",
            f"{each.findtext('FirstName') or ''} {each.findtext('LastName') or ''}".strip(),
        )
        for each in root.iterfind("Contact")
    ]


PHONE: type[VirtualPhone] = GrandstreamPhone
CASES: list[tuple[str, str, str]] = [
    ("Grandstream GXP1628", "000b827f0001", "GXP1628"),
    ("Grandstream GXP2160", "c074ad7f0001", "GXP2160"),
    ("Grandstream GRP2614", "ec74d77f0001", "GRP2614"),
    ("Grandstream WP820", "c074ad7f0002", "WP820"),
    ("Grandstream HT802", "000b827f0002", "HT802"),
    ("Grandstream HT814", "000b827f0003", "HT814"),
]
