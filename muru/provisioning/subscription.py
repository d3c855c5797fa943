"""A phone's SIP SUBSCRIBE for its configuration as bytes, and the two messages that answer it.

Of SIP (RFC 3261) here is just what that takes, without sockets and clocks. What comes from the
network is bounded, and none of it can add a line to what is sent.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

MAX_DATAGRAM = 2048  # bytes; over UDP, SIP may send 1300

_MAX_URL = 512  # characters
_MAX_FACT = 128  # characters of what a phone says of itself

_FLAGS = re.IGNORECASE | re.ASCII
_START = re.compile(r"(?:([A-Z]{1,20}) (\S+) SIP/2\.0|SIP/2\.0 ([1-6]\d\d)(?: .*)?)", re.ASCII)
_FOLD = re.compile(rb"\r\n[ \t]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "o": "event"}
_SENT_BY = re.compile(r"SIP\s*/\s*2\.0\s*/\s*UDP\s+([^\s:;,]+)(?:\s*:\s*(\d{1,5}))?", _FLAGS)
_BRANCH = re.compile(r";\s*branch\s*=\s*([^\s;,]+)", _FLAGS)
_RPORT = re.compile(r";\s*rport\s*(?=[;,]|$)", _FLAGS)
_TAG = re.compile(r";\s*tag\s*=", _FLAGS)
_CSEQ = re.compile(r"\d{1,10}\s+SUBSCRIBE", re.ASCII)
_CONTACT = re.compile(
    r"(?:[^<>]*<)?(?P<uri>sip:(?:[^\s<>\"@;?]+@)?(?P<host>[\w.-]+)(?::(?P<port>\d{1,5}))?"
    r"(?:;[^\s<>\",?]*)?)(?:[>;,?].*)?",
    _FLAGS,
)
_PARAMETER = re.compile(r';\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s;"]*))', re.ASCII)
_MAC = re.compile(r"\bmac(?:%3a|%3d|[:=])([0-9a-f]{12})(?![0-9a-f])", _FLAGS)
_URL = re.compile(r"[!-~]+")

Address = tuple[str, int]


class Malformed(Exception):
    """It is no SIP message, or a question that cannot be answered."""


@dataclass(frozen=True, slots=True)
class PnpRequest:
    """What a phone tells of itself; texts that it does not tell are empty.

    The texts have no control characters. *mac* is 12 small hex digits. *local* is the address of
    this machine that the phone can reach.
    """

    mac: str | None
    vendor: str
    model: str
    version: str
    user_agent: str
    peer: Address
    local: str


@dataclass(frozen=True, slots=True)
class Message:
    """A SIP message's head: a request's *method* and *uri*, or an answer's *status*.

    The headers' names are in lower case and never abbreviated. No value has a line break. Bytes
    that are no UTF-8 are kept as surrogates.
    """

    method: str
    uri: str
    status: int
    headers: Mapping[str, list[str]]

    @property
    def branch(self) -> str:
        """Names the transaction, by the first Via; empty if that does not."""
        top = self.headers.get("via", [""])[0].partition(",")[0]
        found = _BRANCH.search(top)
        return found[1] if found else ""

    def one(self, name: str) -> str:
        """The value of a header that there must be once."""
        values = self.headers.get(name, [])
        if len(values) != 1 or not values[0]:
            raise Malformed(f"not one {name}")
        return values[0]


def parse(datagram: bytes) -> Message:
    """Of the bytes of one datagram, whose body does not matter."""
    head, end, _ = datagram.partition(b"\r\n\r\n")
    if len(datagram) > MAX_DATAGRAM or not end:
        raise Malformed("too long, or cut off")
    lines = _FOLD.sub(b" ", head).decode(errors="surrogateescape").split("\r\n")
    start = _START.fullmatch(lines[0])
    if start is None or any(_CONTROL.search(line) for line in lines):
        raise Malformed("not SIP")
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed("a header without a value")
        name = name.strip(" \t").lower()
        headers.setdefault(_COMPACT.get(name, name), []).append(value.strip(" \t"))
    return Message(start[1] or "", start[2] or "", int(start[3] or 0), headers)


def asks_for_configuration(message: Message) -> bool:
    event = message.headers.get("event", [""])[0].partition(";")[0].strip().lower()
    return message.method == "SUBSCRIBE" and event == "ua-profile"


class Subscription:
    """A phone's question for its configuration, and the two messages that answer it.

    Malformed: the phone asks, but in a way that cannot be answered.
    """

    def __init__(self, message: Message, peer: Address) -> None:
        self.peer = peer
        self._call_id, self._cseq = message.one("call-id"), message.one("cseq")
        self._event = message.one("event")
        self._from, self._to = message.one("from"), message.one("to")
        top, *self._vias = message.headers.get("via", [""])
        self._via, *self._below = top.partition(",")
        sent_by = _SENT_BY.match(self._via)
        if sent_by is None or not _CSEQ.fullmatch(self._cseq):
            raise Malformed("no Via or CSeq of a SUBSCRIBE over UDP")
        # A number, so that remembering it takes no more room for a longer question.
        self.transaction = hash((peer, message.branch, self._call_id, self._cseq))
        self._sent_by = sent_by[1], _port(sent_by[2] or "5060")
        self._contact = _CONTACT.fullmatch(", ".join(message.headers.get("contact", [])))
        self._user_agent = message.headers.get("user-agent", [""])[0]
        self._places = (message.uri, self._from, self._to)
        if not _TAG.search(self._to):
            self._to += f";tag={secrets.token_hex(4)}"

    def request(self, local: str) -> PnpRequest:
        told: dict[str, str] = {}
        for name, quoted, plain in _PARAMETER.findall(self._event):
            told.setdefault(name.lower(), _readable(quoted or plain))
        macs = {found[1].lower() for place in self._places if (found := _MAC.search(place))}
        return PnpRequest(
            mac=macs.pop() if len(macs) == 1 else None,  # of two, neither is believed
            vendor=told.get("vendor", ""),
            model=told.get("model", ""),
            version=told.get("version", ""),
            user_agent=_readable(self._user_agent),
            peer=self.peer,
            local=local,
        )

    @property
    def source(self) -> Address:
        """Where 200 goes: to the port that the phone names, unless it asks for another by rport."""
        port = 0 if _RPORT.search(self._via) else self._sent_by[1]
        return self.peer[0], port or self.peer[1]

    @property
    def target(self) -> Address:
        """Where NOTIFY goes: to the phone's Contact, if that is at the address it sent from.

        No question makes this server send to anybody else than who asked.
        """
        if self._contact is None or self._contact["host"] != self.peer[0]:
            return self.peer
        return self.peer[0], _port(self._contact["port"] or "5060") or self.peer[1]

    def ok(self, own: Address) -> bytes:
        """The answer 200; *own* is where this server is found afterwards."""
        return _message(
            "SIP/2.0 200 OK",
            f"Via: {self._received_via()}",
            *(f"Via: {via}" for via in self._vias),
            f"From: {self._from}",
            f"To: {self._to}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._cseq}",
            f"Contact: <sip:{own[0]}:{own[1]}>",
            "Expires: 0",
        )

    def notify(self, url: str, own: Address, branch: str) -> bytes:
        """The NOTIFY with the configuration's URL, which also ends the subscription.

        Raises:
            ValueError: the URL is too long, or has characters that no URL has.
        """
        if len(url) > _MAX_URL or not _URL.fullmatch(url):
            raise ValueError("the configuration's URL cannot be sent")
        contact = self._contact["uri"] if self._contact else f"sip:{self.peer[0]}:{self.peer[1]}"
        return _message(
            f"NOTIFY {contact} SIP/2.0",
            f"Via: SIP/2.0/UDP {own[0]}:{own[1]};branch={branch};rport",
            "Max-Forwards: 20",
            f"From: {self._to}",
            f"To: {self._from}",
            f"Call-ID: {self._call_id}",
            "CSeq: 1 NOTIFY",
            f"Contact: <sip:{own[0]}:{own[1]}>",
            f"Event: {self._event}",
            "Subscription-State: terminated;reason=timeout",
            "Content-Type: application/url",
            body=url,
        )

    def _received_via(self) -> str:
        """The Via with what RFC 3261 and 3581 want to be told of the sender."""
        top, asked = _RPORT.subn(f";rport={self.peer[1]}", self._via, count=1)
        received = asked or self._sent_by[0] != self.peer[0]
        return "".join((top, f";received={self.peer[0]}" if received else "", *self._below))


def _message(start: str, *headers: str, body: str = "") -> bytes:
    payload = body.encode()
    lines = (start, *headers, f"Content-Length: {len(payload)}", "", "")
    return "\r\n".join(lines).encode(errors="surrogateescape") + payload


def _port(digits: str) -> int:
    """0 if there is no such port."""
    return int(digits) if int(digits) < 65536 else 0


def _readable(text: str) -> str:
    return "".join(each if each.isprintable() else "\ufffd" for each in text[:_MAX_FACT])
