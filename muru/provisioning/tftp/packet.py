"""TFTP's packets as bytes and back (RFC 1350, 2347), without any state.

``parse`` takes whatever comes from the network, ``bytes(packet)`` is its inverse.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct

MAX_REQUEST = 512  # bytes of a request in all, says RFC 2347

_READ, _WRITE, _DATA, _ACK, _ERROR, _OACK = range(1, 7)
_OPCODE = Struct(">H")
_HEAD = Struct(">HH")


class Malformed(Exception):
    """It is no TFTP packet."""


class ErrorCode(IntEnum):
    """The codes that this server sends; a client may send any."""

    UNDEFINED = 0
    FILE_NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    ILLEGAL_OPERATION = 4
    UNKNOWN_TID = 5


@dataclass(frozen=True, slots=True)
class Request:
    """A wish to read, or to write, a file. ``mode`` and the options' names are in lower case.

    The file's name is as the client wrote it, and may be any text without NUL.
    """

    filename: str
    mode: str
    options: Mapping[str, str] = field(default_factory=dict)
    write: bool = False

    def __bytes__(self) -> bytes:
        strings = (self.filename, self.mode, *_flatten(self.options))
        return _OPCODE.pack(_WRITE if self.write else _READ) + _terminated(strings)


@dataclass(frozen=True, slots=True)
class Data:
    """A block of a file. Blocks are counted modulo 65536, here as in ``Ack``."""

    block: int
    payload: bytes

    def __bytes__(self) -> bytes:
        return _HEAD.pack(_DATA, self.block) + self.payload


@dataclass(frozen=True, slots=True)
class Ack:
    block: int

    def __bytes__(self) -> bytes:
        return _HEAD.pack(_ACK, self.block)


@dataclass(frozen=True, slots=True)
class Error:
    code: int
    text: str = ""

    def __bytes__(self) -> bytes:
        return _HEAD.pack(_ERROR, self.code) + _terminated([self.text])


@dataclass(frozen=True, slots=True)
class OptionsAck:
    """The options that the server grants, with its values."""

    options: Mapping[str, str]

    def __bytes__(self) -> bytes:
        return _OPCODE.pack(_OACK) + _terminated(_flatten(self.options))


Packet = Request | Data | Ack | Error | OptionsAck


def parse(datagram: bytes) -> Packet:
    """Of the bytes of one datagram. Malformed: they are no TFTP packet, and deserve no answer."""
    if len(datagram) < 4:
        raise Malformed("too short")
    opcode, number = _HEAD.unpack_from(datagram)
    if opcode == _ACK:  # anything behind the number is padding
        return Ack(number)
    if opcode == _DATA:
        return Data(number, datagram[4:])
    if opcode == _ERROR:  # some clients forget the terminator
        return Error(number, _text(datagram[4:].partition(b"\0")[0]))
    if opcode == _OACK:
        return OptionsAck(_options(_strings(datagram)))
    if opcode in (_READ, _WRITE):
        return _parse_request(datagram, write=opcode == _WRITE)
    raise Malformed(f"unknown opcode {opcode}")


def to_netascii(content: bytes) -> bytes:
    """Of a file, or of a part of one: each byte is translated by itself."""
    return content.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


def _parse_request(datagram: bytes, *, write: bool) -> Request:
    if len(datagram) > MAX_REQUEST:
        raise Malformed("longer than a request may be")
    strings = _strings(datagram)
    if len(strings) < 2:
        raise Malformed("a request without a mode")
    filename, mode, *options = strings
    return Request(filename, mode.lower(), _options(options), write)


def _strings(datagram: bytes) -> list[str]:
    *strings, rest = datagram[_OPCODE.size :].split(b"\0")
    if rest:
        raise Malformed("a string without its terminator")
    return [_text(string) for string in strings]


def _options(strings: list[str]) -> dict[str, str]:
    """Of names and values in turns. The first of a kind counts, and padding does not."""
    options: dict[str, str] = {}
    for name, value in zip(strings[::2], strings[1::2], strict=False):
        if name:
            options.setdefault(name.lower(), value)
    return options


def _text(string: bytes) -> str:
    """Never fails; what is no UTF-8 becomes U+FFFD, which can be logged, stored and compared."""
    return string.decode(errors="replace")


def _flatten(options: Mapping[str, str]) -> Iterable[str]:
    return (string for option in options.items() for string in option)


def _terminated(strings: Iterable[str]) -> bytes:
    return b"".join(string.encode() + b"\0" for string in strings)
