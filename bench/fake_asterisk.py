"""``python -m bench.fake_asterisk PORT COUNT``: a manager interface with COUNT registered phones.

Its texts are those of Asterisk 22. The action ``Replay`` is its own: it raises the events of
``Count`` phones from ``First`` on that register (``Kind: new``), or do so again (``refresh``).
"""

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from bench import FIRST_NUMBER, HOST

_Headers = dict[str, str]
# Asterisk sends all that is set for an endpoint, which is most of what a lookup transfers.
_SETTINGS = {f"SomeEndpointSetting{number}": "its value" for number in range(150)}


class FakeAsterisk:
    """The phones, as number and when they expire, and what to answer for each action."""

    def __init__(self, count: int) -> None:
        self.phones = {str(FIRST_NUMBER + i): int(time.time()) + 3600 for i in range(count)}
        self.lists: dict[str, Callable[[_Headers], list[_Headers]]] = {
            "PJSIPShowContacts": lambda _: list(map(self.contact, self.phones)),
            "PJSIPShowEndpoint": self.endpoint,
            "DBGetTree": lambda _: list(map(self.stored, self.phones)),
            "DBGet": lambda _: [],
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        while not writer.is_closing():
            try:
                raw = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, OSError):
                break
            lines = (line.partition(": ") for line in raw.decode().strip().split("\r\n"))
            writer.write(b"".join(map(_message, self.answer({k: v for k, _, v in lines}))))
            await writer.drain()
        writer.close()

    def answer(self, request: _Headers) -> Iterator[_Headers]:
        action, tag = request["Action"], {"ActionID": request.get("ActionID", "")}
        if action in self.lists:
            listed = self.lists[action](request)
            if not listed:
                yield {"Response": "Error", **tag, "Message": "No Contacts found"}
                return
            yield {"Response": "Success", **tag, "EventList": "start", "Message": "follows"}
            for event in listed:
                yield {"Event": event["Event"], **tag, **event}
            yield {"Event": f"{action}Complete", **tag, "EventList": "Complete", "ListItems": "1"}
            return
        yield {"Response": "Success", **tag, "Challenge": "302842398"}
        if action == "Login":
            yield {"Event": "FullyBooted", "Privilege": "system,all", "Status": "Fully Booted"}
        elif action == "Replay":
            first = FIRST_NUMBER + int(request["First"])
            numbers = map(str, range(first, first + int(request["Count"])))
            yield from self.replay(numbers, new=request["Kind"] == "new")

    def replay(self, numbers: Iterable[str], *, new: bool) -> Iterator[_Headers]:
        for number in numbers:
            self.phones[number] = max(self.phones.get(number, 0) + 1, int(time.time()) + 3600)
            yield {
                "Event": "SuccessfulAuth",
                "Privilege": "security,all",
                "EventTV": "2026-11-23T14:40:23.155+0000",
                "Severity": "Informational",
                "Service": "PJSIP",
                "EventVersion": "1",
                "AccountID": number,
                "SessionID": f"{number}-7033@127.0.0.1",
                "LocalAddress": "IPV4/UDP/127.0.0.1/5060",
                "RemoteAddress": "IPV4/UDP/127.0.0.1/61276",
                "UsingPassword": "1",
            }
            if new:
                yield {
                    "Event": "ContactStatus",
                    "Privilege": "system,all",
                    "URI": _uri(number),
                    "ContactStatus": "NonQualified",
                    "AOR": number,
                    "EndpointName": number,
                    "RoundtripUsec": "0",
                }

    def fields(self, number: str) -> _Headers:
        return {
            "via_addr": HOST,
            "qualify_timeout": "3.000000",
            "qualify_2xx_only": "false",
            "call_id": f"{number}-7033@127.0.0.1",
            "reg_server": "",
            "prune_on_boot": "no",
            "path": "",
            "endpoint": number,
            "via_port": "61276",
            "authenticate_qualify": "no",
            "uri": _uri(number),
            "qualify_frequency": "0",
            "user_agent": "SIPp",
            "expiration_time": str(self.phones[number]),
            "outbound_proxy": "",
        }

    def stored(self, number: str) -> _Headers:
        key, value = f"/registrar/contact/{_id(number)}", json.dumps(self.fields(number))
        return {"Event": "DBGetTreeResponse", "Key": key, "Val": value}

    def contact(self, number: str) -> _Headers:
        fields = {name.title().replace("_", ""): v for name, v in self.fields(number).items()}
        status = {"Status": "NonQualified", "RoundtripUsec": "N/A"}
        names = {"Event": "ContactList", "ObjectType": "contact", "ObjectName": _id(number)}
        return {**names, **fields, **status}

    def endpoint(self, request: _Headers) -> list[_Headers]:
        number = request["Endpoint"]
        if number not in self.phones:
            return []
        status = {
            "AOR": number,
            "URI": _uri(number),
            "UserAgent": "SIPp",
            "RegExpire": str(self.phones[number]),
            "ViaAddress": f"{HOST}:61276",
            "CallID": f"{number}-7033@127.0.0.1",
            "Status": "NonQualified",
            "RoundtripUsec": "N/A",
            "EndpointName": number,
            "ID": _id(number),
        }
        some = dict(list(_SETTINGS.items())[:20])
        return [
            {"Event": "EndpointDetail", "ObjectType": "endpoint", **_SETTINGS},
            {"Event": "AuthDetail", "ObjectType": "auth", **some},
            {"Event": "AorDetail", "ObjectType": "aor", **some},
            {"Event": "ContactStatusDetail", **status},
        ]


def _uri(number: str) -> str:
    return f"sip:{number}@127.0.0.1:61276"


def _id(number: str) -> str:
    return f"{number};@{hashlib.md5(_uri(number).encode()).hexdigest()}"


def _message(headers: _Headers) -> bytes:
    return "".join([*(f"{k}: {v}\r\n" for k, v in headers.items()), "\r\n"]).encode()


async def _main(port: int, count: int) -> None:
    server = await asyncio.start_server(FakeAsterisk(count).serve, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
