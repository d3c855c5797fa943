"""Sends a phone a SIP NOTIFY: have it fetch its configuration again, or start anew."""

import re
from collections.abc import Sequence

from muru.asterisk.ami import Ami

_SIP_URI = re.compile(r"sips?:[^\s<>\"]+", re.ASCII)
_HEADER = re.compile(r"([A-Za-z0-9-]+)=([^\r\n]*)")
_SPECIAL = re.compile(r'[\\",()\[\]]')
_MOST_HEADERS = 100  # Asterisk ignores what is beyond 128 in one action
_LONGEST_HEADER = 1000  # bytes: Asterisk cuts off what is beyond 1024 in one line
_ASTERISKS_OWN = {"call-id", "contact", "cseq", "from", "to", "via", "route", "record-route"}


async def notify(ami: Ami, uri: str, headers: Sequence[str]) -> None:
    """Send a NOTIFY to one contact, ``sip:2001@192.0.2.7:5060``, and to no other phone.

    *headers* are like ``Event=check-sync;reboot=false``. A body is made of one or more lines
    ``Content=text``, and then needs a ``Content-Type``. Asterisk takes the NOTIFY in and tells
    nothing of its fate: whether a phone does as it is told shows in what the phone does.

    Raises:
        ValueError: *uri* is none of SIP, or a header cannot be sent.
        AmiUnavailable, AmiRefused: Asterisk did not take it.
    """
    if not _SIP_URI.fullmatch(uri):
        raise ValueError("this is no SIP URI of a phone")
    _check(headers)
    variables = [f"{name}={_quoted(value)}" for name, value in map(_split, headers)]
    if any(len(each.encode()) > _LONGEST_HEADER for each in (uri, *variables)):
        raise ValueError(f"a line of more than {_LONGEST_HEADER} bytes")
    await ami.send("PJSIPNotify", {"URI": uri, "Variable": variables})


def _check(headers: Sequence[str]) -> None:
    names = [name.lower() for name, _ in map(_split, headers)]
    if "event" not in names:
        raise ValueError("a NOTIFY needs an Event")
    if ("content" in names) != ("content-type" in names):
        raise ValueError("Content and Content-Type go together")
    if own := _ASTERISKS_OWN.intersection(names):
        raise ValueError(f"Asterisk sets {', '.join(sorted(own))} itself")
    if len(headers) > _MOST_HEADERS:
        raise ValueError(f"more than {_MOST_HEADERS} headers")


def _split(header: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(header)
    if not found:
        raise ValueError(f"{header!r} is not like Name=value")
    name, value = found.groups()
    return name, value


def _quoted(value: str) -> str:
    """Return *value* as AMI's ``Variable`` has it.

    It takes a comma for the end of the value, minds quotes and brackets, and takes a backslash for
    a quote of the character behind it. A semicolon means nothing to it.
    """
    return _SPECIAL.sub(r"\\\g<0>", value)
