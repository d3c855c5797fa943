"""What a client asks for, in a form that is safe to look up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from muru.provisioning.tftp.packet import Error, ErrorCode, Request

MAX_NAME = 255  # characters

REFUSED = Error(ErrorCode.ACCESS_VIOLATION, "access refused")
_READ_ONLY = Error(ErrorCode.ACCESS_VIOLATION, "this server is read only")
_NO_SUCH_MODE = Error(ErrorCode.ILLEGAL_OPERATION, "the mode is neither octet nor netascii")

Mode = Literal["octet", "netascii"]
_MODES: dict[str, Mode] = {"octet": "octet", "netascii": "netascii"}


class FileNotFound(Exception):
    """There is no such file; the client sees ERROR 1."""


class AccessRefused(Exception):
    """The client may not have that file; it sees ERROR 2."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What a client asks for. ``filename`` is a relative path with plain slashes, without ``..``.

    Its letters have the client's case. The options' names are in lower case. ``peer`` is address
    and port, where an IPv4 address is always written as such. ``local`` is the address of ours to
    which the client sent, by which it can reach other services too; empty if that is not known.
    """

    filename: str = field(repr=False)
    mode: Mode
    options: Mapping[str, str]
    peer: tuple[str, int]
    local: str = ""


def understand(packet: Request, peer: tuple[str, int], local: str = "") -> ReadRequest | Error:
    """The request, or what to tell the client if no answer to it is needed to know that."""
    if packet.write:  # some phones send their logs
        return _READ_ONLY
    mode = _MODES.get(packet.mode)
    if mode is None:
        return _NO_SUCH_MODE
    filename = clean_name(packet.filename)
    if filename is None:
        return REFUSED
    return ReadRequest(filename, mode, packet.options, peer, local)


def clean_name(name: str) -> str | None:
    """The name as a relative path with plain slashes, in its own case; None if it leads astray.

    That is a path with ``..`` in it, an empty or overlong one, or one with control characters,
    which could forge lines of a log. Phones do ask with leading slashes and with backslashes.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    # Some systems take ".. " and "..." for "..".
    astray = not parts or any(not part.strip(". ") for part in parts)
    if astray or len(name) > MAX_NAME or not name.isprintable():
        return None
    return "/".join(parts)
