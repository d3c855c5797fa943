"""Mitel's and Aastra's desk phones.

Modelled on the vendor's administrator guides for releases 2.5 to 5.1, and on the requests and user
agents that Wazo's provisioning server knows. It was not compared with real phones.
"""

import csv
import re
from urllib.parse import urlsplit

from muru.testing import Account, VirtualPhone

_PARAMETER = re.compile(r"[!^]?(?P<name>[a-z][a-z0-9 \[\]|-]*):[ ]*(?P<value>.*)")
_TRANSPORTS = {"1": "udp", "2": "tcp", "4": "tls"}
_CODECS = {"9": "g722", "8": "alaw", "0": "ulaw"}


class MitelPhone(VirtualPhone):
    """Asks for the encrypted twin of each file first; a later file's settings win.

    The 67xx have firmware from before the vendor's name and that of the first file changed.
    """

    settings: dict[str, str]  # since it has booted
    directory: list[tuple[str, str]]

    @property
    def agent(self) -> str:
        mac = "-".join(self.mac.upper()[at : at + 2] for at in range(0, 12, 2))
        brand, firmware = ("Aastra", "3.2.2.3077") if self.is_old else ("Mitel", "5.1.0.2051")
        return f"{brand}{self.model} MAC:{mac} V:{firmware}-SIP"

    @property
    def is_old(self) -> bool:
        return self.model.startswith("67")

    async def boot(self) -> None:
        self.settings = {}
        await self.get("security.tuz")
        for name in ("aastra" if self.is_old else "startup", self.model, self.mac.upper()):
            content = await self.get(f"{name}.tuz") or await self.get(f"{name}.cfg")
            self.settings |= parse(content.decode()) if content else {}
        self.accounts = accounts(self.settings)
        await self._fetch_directory()
        self._move()

    async def open_directory(self) -> bytes | None:
        """Press the key, as on models that take XML."""
        return await self.get(self.settings["directory script"])

    def _move(self) -> None:
        """From the next boot on, ask the server that the files have named."""
        protocol = self.settings.get("download protocol", "").lower()
        if protocol in {"http", "https"}:
            host, port = (self.settings[f"{protocol} {each}"] for each in ("server", "port"))
            path = self.settings[f"{protocol} path"].strip("/")
            self.http = urlsplit(f"{protocol}://{host}:{port}/{path}/").geturl()

    async def _fetch_directory(self) -> None:
        name = self.settings.get("directory 1")
        content = await self.get(name) if name else None
        self.directory = parse_directory(content.decode()) if content else []


def parse(text: str) -> dict[str, str]:
    """Return the parameters of a configuration file.

    ``#`` begins a comment, at the end of a line as well, unless it stands in double quotes.

    Raises:
        ValueError: a line is none of a file of these phones.
    """
    settings = {}
    for line in text.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        found = _PARAMETER.fullmatch(line)
        if found is None or found["name"] in settings:
            raise ValueError(f"not a parameter, or one that is there twice: {line!r}")
        settings[found["name"]] = _value(found["value"])
    return settings


def _value(text: str) -> str:
    if text.startswith('"'):
        found = re.fullmatch(r'"([^"]*)"\s*(?:#.*)?', text)
        if found is None:
            raise ValueError(f"quotes do not match: {text!r}")
        return found[1]
    return text.partition("#")[0].rstrip()


def accounts(settings: dict[str, str]) -> list[Account]:
    """Return the lines that have a user name and a registrar, in their order."""
    payloads = re.findall(r"payload=(\d+)", settings.get("sip customized codec", ""))
    found = []
    for line in (f"sip line{number} " for number in range(1, 25)):
        if not settings.get(line + "user name") or not settings.get(line + "registrar ip"):
            continue
        found.append(
            Account(
                server=settings[line + "registrar ip"],
                port=int(settings[line + "registrar port"]),
                transport=_TRANSPORTS[settings["sip transport protocol"]],  # type: ignore[arg-type]
                username=settings[line + "auth name"],
                password=settings[line + "password"],
                name=settings[line + "display name"],
                codecs=[_CODECS[each] for each in payloads],
            )
        )
    return found


def parse_directory(text: str) -> list[tuple[str, str]]:
    """Return names and numbers; what is longer than the phone takes is an error."""
    entries = []
    for line in text.splitlines():
        name, number = next(csv.reader([line], skipinitialspace=True, strict=True))
        if len(line) > 255 or len(name) > 15 or len(number) > 45:
            raise ValueError(f"too long: {line!r}")
        entries.append((name, number))
    return entries


PHONE: type[VirtualPhone] = MitelPhone
CASES = [
    ("Aastra 6731i", "00085d237429", "6731i"),
    ("Mitel 6867i", "00085d40905f", "6867i"),
    ("Mitel 6930", "1400e91edb52", "6930"),
]
