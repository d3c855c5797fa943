"""Gigaset's DECT bases and Maxwell desk phones.

Modelled on the vendor's wiki (which URL DHCP makes, what the files hold, how strings are quoted)
and on files and user agents that the provisioning servers Wazo and Tancredi know. No device was at
hand; the user agent of Maxwell is a guess after those of the bases, and a real one would heed the
URL that it has been told, as its file switches DHCP's options off.
"""

import re
import xml.etree.ElementTree as ET

from muru.provisioning.vocabulary import Transport
from muru.testing import Account, VirtualPhone

_TRANSPORTS: dict[str, Transport] = {"1": "udp", "2": "tcp", "3": "tls"}
_DESK_TRANSPORTS: dict[str, Transport] = {"1": "udp", "0": "tcp", "2": "tls"}


class GigasetPhone(VirtualPhone):
    """Asks where DHCP sends it at each boot, whatever URL it has been told since."""

    user_agent = "Gigaset {model}/{firmware};{MAC}"
    firmware = "83.V2.11.0+build.a546b91"
    directory_url = ""

    async def boot(self) -> None:
        name = "provisioning" if self.model.startswith("Maxwell") else self.mac.upper()
        content = await self.get(f"{name}.xml")
        if content is None:
            self.accounts = []
        elif self.model.startswith("N5"):
            items = parse_items(content, self.mac)
            self.accounts = items_accounts(items)
            self.directory_url = items["BS_XML_Netdirs.astNetdirProvider[0].aucServerURL"]
        else:
            parameters, handsets = parse_parameters(content)
            if handsets:
                self.accounts = base_accounts(parameters, handsets)
                self.directory_url = parameters["XMLDir.1.ServerURL"]
            else:
                self.accounts = maxwell_accounts(parameters)

    async def open_directory(self, count: int = 16) -> list[tuple[str, str]]:
        """Scroll through the directory from its begin to its end; return names and numbers."""
        found: list[tuple[str, str]] = []
        total = 1
        while len(found) < total:
            query = f"command=get_list&type=pr&first={len(found) + 1}&count={count}&ln=*"
            content = await self.get(self.directory_url + query)
            assert content is not None
            entries, total = parse_directory(content)
            if not entries:
                break
            found += entries
        return found


def parse_items(content: bytes, mac: str) -> dict[str, str]:
    """Return what a file for the N510 sets; strings are without their quotes.

    Raises:
        ValueError: the base would not heed the file.
    """
    provider = ET.fromstring(content)[0]
    address = provider.find("MAC_ADDRESS")
    if provider.tag != "Provider" or address is None or address.get("value") != mac.upper():
        raise ValueError("it is for another base")
    items = {}
    for each in provider.iterfind("SYMB_ITEM"):
        name, value = each.attrib["ID"], each.attrib["value"]
        if name in items or each.get("class") != "symb_item":
            raise ValueError(f"twice, or of another class: {name}")
        if not re.fullmatch(r'"[^"\\]*"|(?:0x[0-9A-Fa-f]+|\d+)(?:,0x[0-9A-Fa-f]+)*', value):
            raise ValueError(f"neither string nor number: {value}")
        items[name] = value.strip('"')
    url = provider.find("S_CONFIGFILE_URL")
    assert url is not None
    items["S_CONFIGFILE_URL"] = url.attrib["value"].strip('"')
    return items


def items_accounts(items: dict[str, str]) -> list[Account]:
    """Return the accounts of an N510 that are active."""
    found = []
    for at in range(1, 7):
        if int(items[f"BS_IP_Data1.ucB_SIP_ACCOUNT_IS_ACTIVE_{at}"], 16):
            suffix = "" if at == 1 else f"_{at}"
            found.append(
                Account(
                    items[f"BS_IP_Data1.aucS_SIP_REGISTRAR{suffix}"],
                    int(items[f"BS_IP_Data1.uiI_SIP_REGISTRAR_PORT{suffix}"], 16),
                    "udp",
                    items[f"BS_IP_Data3.aucS_SIP_LOGIN_ID{suffix}"],
                    items[f"BS_IP_Data1.aucS_SIP_PASSWORD{suffix}"],
                    items[f"BS_IP_Data1.aucS_SIP_DISPLAYNAME{suffix}"],
                    items[f"BS_IP_Data1.ucI_SIP_PREFERRED_VOCODER{suffix}"].split(","),
                )
            )
    return found


def parse_parameters(content: bytes) -> tuple[dict[str, str], list[str]]:
    """Return the parameters of a file for a newer base or Maxwell, and the handsets it has.

    Raises:
        ValueError: it is no such file.
    """
    root = ET.fromstring(content)
    nvm = root.find("nvm")
    if root.tag != "provisioning" or root.get("version") != "1.1" or nvm is None:
        raise ValueError("it is no provisioning file")
    pairs = [(each.attrib["name"], each.attrib["value"]) for each in nvm.iterfind("param")]
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise ValueError("a parameter is there twice")
    return parameters, [each.attrib["value"] for each in nvm.iterfind("oper[@name='add_hs']")]


def base_accounts(parameters: dict[str, str], handsets: list[str]) -> list[Account]:
    """Return an account for each handset; the base has no order of codecs from here."""
    found = []
    for handset in handsets:
        account = f"SipAccount.{handset}."
        provider = f"SipProvider.{parameters[account + 'ProviderId']}."
        assert re.fullmatch(r"\d{4}", parameters[f"hs.{handset}.DECT_AC"])
        found.append(
            Account(
                parameters[provider + "RegServerAddress"],
                int(parameters[provider + "RegServerPort"]),
                _TRANSPORTS[parameters[provider + "TransportProtocol"]],
                parameters[account + "AuthName"],
                parameters[account + "AuthPassword"],
                parameters[account + "DisplayName"],
            )
        )
    return found


def maxwell_accounts(parameters: dict[str, str]) -> list[Account]:
    """Return the accounts of a desk phone that are active."""
    accounts = (f"SIP.Account.{at}." for at in range(4))
    return [
        Account(
            parameters[each + "RegistrationServer.Address"],
            int(parameters[each + "RegistrationServer.Port"]),
            _DESK_TRANSPORTS[parameters["SIP.TransportProtocol"]],
            parameters[each + "AuthName"],
            parameters[each + "AuthPassword"],
            parameters[each + "DisplayName"],
            parameters["SIP.ActiveCodecs"].split(","),
        )
        for each in accounts
        if parameters[each + "Active"] == "1"
    ]


def parse_directory(content: bytes) -> tuple[list[tuple[str, str]], int]:
    """Return names and numbers of a part of the directory, and how many there are in all."""
    root = ET.fromstring(content)
    if root.tag != "list" or root.get("response") != "get_list":
        raise ValueError("it is no answer to get_list")
    entries = [(each.findtext("ln", ""), each.findtext("hm", "")) for each in root]
    if int(root.attrib["last"]) - int(root.attrib["first"]) + 1 != len(entries):
        raise ValueError("it has not the entries that it says")
    return entries, int(root.attrib["total"])


PHONE: type[VirtualPhone] = GigasetPhone
VIA = ("http",)
CASES: list[tuple[str, str, str]] = [
    ("Gigaset N510 IP PRO", "7c2f807f0001", "N510 IP PRO"),
    ("Gigaset N870 IP PRO", "7c2f807f0002", "N870 IP PRO"),
    ("Gigaset Maxwell 3", "589ec67f0001", "Maxwell 3"),
]
