"""Softphone apps, each by what it reads of its own.

Linphone is modelled on liblinphone: its request, and how it takes entries over. The real linphonec
and baresip are in test_softphone_real.py. Acrobits' is modelled on the vendor's description of the
account XML, MicroSIP on its settings file; neither was at hand.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import ClassVar, cast

from muru.provisioning.vocabulary import Transport
from muru.testing import Account, VirtualPhone

LPCONFIG = "{http://www.linphone.org/xsds/lpconfig.xsd}"
VCARD = re.compile(
    r"BEGIN:VCARD\r\nVERSION:4\.0\r\nFN:((?:[^\x00-\x1f\\,]|\\\\|\\,)*)\r\n"
    r"IMPP:sip:(\d+)@[\w.-]+\r\nEND:VCARD\r\n"
)
# An address as baresip reads one: a name between quotes, without a way to write one inside.
ADDRESS = re.compile(
    r'"(?P<name>[^"<>]*)" <sip:(?P<user>\d+)@(?P<host>[\w.-]+):(?P<port>\d+)'
    r";transport=(?P<transport>\w+)>(?P<parameters>(?:;[a-z_]+=[^;\s]+)*)"
)


class App(VirtualPhone):
    """An app, by the name of its phone type; its base URL is the one with the token."""

    agents: ClassVar[dict[str, str]] = {
        "Linphone": "LinphoneAndroid/6.0.20 (Infinix ZERO 40 5G) LinphoneSDK/5.4.60 (5.4.60)",
        "Groundwire": "Groundwire/24.1",
        "MicroSIP": "MicroSIP/3.20.5",
        "baresip": "baresip v1.0.0 (x86_64/linux)",
    }

    @property
    def agent(self) -> str:
        return self.agents[self.model]

    async def boot(self) -> None:
        name, read = READERS[self.model]
        # In liblinphone: a header that tells its request for provisioning from all others.
        headers = {"X-Linphone-Provisioning": "1"} if self.model == "Linphone" else None
        content = await self.get(name, headers)
        if content is None:  # it goes on with what it had
            return
        self.accounts = read(content)
        if self.model == "Linphone":
            settings = linphonerc(content)
            self.http = settings["misc"]["config-uri"].removesuffix("linphone.xml")
            cards = await self.get(settings["misc"]["contacts-vcard-list"])
            assert cards is not None
            vcards(cards)


def linphonerc(content: bytes) -> dict[str, dict[str, str]]:
    """Return sections and their entries, of which those alone count that overwrite others.

    Raises:
        ValueError: it is not what the app would take.
    """
    root = ET.fromstring(content)
    if root.tag != f"{LPCONFIG}config":
        raise ValueError("it is no configuration for Linphone")
    found = {
        section.attrib["name"]: {
            entry.attrib["name"]: (entry.text or "").strip()
            for entry in section.iterfind(f"{LPCONFIG}entry[@overwrite='true']")
        }
        for section in root.iterfind(f"{LPCONFIG}section")
    }
    if any("\n" in value for section in found.values() for value in section.values()):
        raise ValueError("a value would break the file linphonerc")
    return found


def linphone(content: bytes) -> list[Account]:
    settings = linphonerc(content)
    account = settings["proxy_" + settings["sip"]["default_proxy"]]
    secret = settings["auth_info_0"]
    place = re.fullmatch(r"<sip:([\w.-]+):(\d+);transport=(\w+)>", account["reg_proxy"])
    identity = re.fullmatch(r'"((?:[^"\\]|\\.)*)" <sip:(\d+)@[\w.-]+>', account["reg_identity"])
    if not place or not identity or secret["ha1"]:
        raise ValueError("it is no account")
    count = sum(name.startswith("audio_codec_") for name in settings)
    codecs = [settings[f"audio_codec_{at}"] for at in range(count)]
    return [
        Account(
            place[1],
            int(place[2]),
            cast("Transport", place[3]),
            identity[2],
            secret["passwd"],
            re.sub(r"\\(.)", r"\1", identity[1]),
            tuple(codec["mime"] for codec in codecs if codec["enabled"] == "1"),
        )
    ]


def groundwire(content: bytes) -> list[Account]:
    root = ET.fromstring(content)
    found = {each.tag: each.text or "" for each in root}
    if root.tag != "account" or not found["title"]:
        raise ValueError("it is no account XML")
    host, _, port = found["host"].partition(":")
    transport = cast("Transport", found["transport"].removesuffix("+sip:"))
    name = found["userDisplayName"]
    return [Account(host, int(port), transport, found["username"], found["password"], name)]


def ini(content: bytes) -> dict[str, dict[str, str]]:
    """Return sections and values of a file as Windows has it, in UTF-16 with a mark before it."""
    if not content.startswith(b"\xff\xfe"):
        raise ValueError("Windows would take it for another encoding")
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    *lines, rest = content.decode("utf-16").split("\r\n")
    if rest:
        raise ValueError("the last line has no end")
    for line in lines:
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(header[1], {})
        else:
            name, equals, value = line.partition("=")
            if not equals or not name.isalnum():
                raise ValueError(f"no setting: {line!r}")
            section[name] = value
    return found


def microsip(content: bytes) -> list[Account]:
    settings = ini(content)
    account = settings["Account" + settings["Settings"]["accountId"]]
    host, _, port = account["server"].partition(":")
    codecs = settings["Settings"]["audioCodecs"].split(" ")
    return [
        Account(
            host,
            int(port),
            cast("Transport", account["transport"]),
            account["authID"],
            account["password"],
            account["displayName"],
            tuple(each.partition("/")[0] for each in codecs),
        )
    ]


def baresip(content: bytes) -> list[Account]:
    """Return the accounts in its file of them: one in each line that is no comment."""
    accounts = []
    for line in content.decode().splitlines():
        if line.startswith("#"):
            continue
        found = ADDRESS.fullmatch(line)
        if not found:
            raise ValueError(f"no account: {line!r}")
        pairs = (each.partition("=") for each in found["parameters"].split(";")[1:])
        parameters = {name: value for name, _, value in pairs}
        codecs = tuple(each.partition("/")[0] for each in parameters["audio_codecs"].split(","))
        transport = cast("Transport", found["transport"])
        user, secret = parameters["auth_user"], parameters["auth_pass"]
        port = int(found["port"])
        accounts.append(
            Account(found["host"], port, transport, user, secret, found["name"], codecs)
        )
    return accounts


def baresip_contacts(content: bytes) -> list[tuple[str, str]]:
    found = [ADDRESS.fullmatch(line) for line in content.decode().splitlines()]
    if not all(found):
        raise ValueError("no contacts")
    return [(each["user"], each["name"]) for each in found if each]


def vcards(content: bytes) -> list[tuple[str, str]]:
    """Return numbers and names, by the grammar of vCard 4.0, as strictly as Linphone reads it."""
    text = content.decode()
    if not re.fullmatch(f"(?:{VCARD.pattern})*", text):
        raise ValueError("no vCards")
    return [(number, re.sub(r"\\(.)", r"\1", name)) for name, number in VCARD.findall(text)]


READERS: dict[str, tuple[str, Callable[[bytes], list[Account]]]] = {
    "Linphone": ("linphone.xml", linphone),
    "Groundwire": ("acrobits.xml", groundwire),
    "MicroSIP": ("microsip.ini", microsip),
    "baresip": ("baresip/accounts", baresip),
}

PHONE: type[VirtualPhone] = App
CASES: list[tuple[str, str, str]] = [(name, "", name) for name in READERS]
VIA = ("http",)
