"""A device that somebody has built: a microcontroller with a SIP library and an HTTP client.

Modelled on nothing in particular, and as simple as such are.
"""

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable

from muru.testing import Account, VirtualPhone


class IoTDevice(VirtualPhone):
    """Its base URL is the whole one, with the secret, that its owner has typed into its code.

    Its model is the form in which it asks for the data; without any it does not ask for one.
    """

    user_agent = "ESP32HTTPClient"

    async def boot(self) -> None:
        url = self.http or ""
        content = await self.get(f"{url}?format={self.model}" if self.model else url)
        read = READERS[self.model]
        self.accounts = [read(content.decode())] if content is not None else []


def read_json(text: str) -> Account:
    return _account(json.loads(text))


def read_csv(text: str) -> Account:
    names, values = csv.reader(io.StringIO(text), strict=True)
    found = dict(zip(names, values, strict=True))
    return _account({**found, "codecs": found["codecs"].split(" ")})


def read_xml(text: str) -> Account:
    root = ET.fromstring(text)
    found: dict[str, object] = {each.tag: each.text or "" for each in root}
    return _account({**found, "codecs": [each.text for each in root.iter("codec")]})


READERS: dict[str, Callable[[str], Account]] = {
    "": read_json,
    "json": read_json,
    "csv": read_csv,
    "xml": read_xml,
}


def _account(data: dict[str, object]) -> Account:
    expected = {"server", "port", "transport", "extension", "username", "password", "name"}
    if data.keys() != expected | {"codecs"}:
        raise ValueError(f"not the data of an account: {sorted(data)}")
    return Account(
        server=str(data["server"]),
        port=int(str(data["port"])),
        transport=data["transport"],  # type: ignore[arg-type]
        username=str(data["username"]),
        password=str(data["password"]),
        name=str(data["name"]),
        codecs=list(data["codecs"]),  # type: ignore[call-overload]
    )


PHONE: type[VirtualPhone] = IoTDevice
CASES = [("IoT", "", ""), ("IoT", "", "json"), ("IoT", "", "csv"), ("IoT", "", "xml")]
VIA = ("http",)
