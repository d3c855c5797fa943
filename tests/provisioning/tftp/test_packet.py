"""The wire's format: bytes to packets and back, whatever the bytes are."""

import random
from contextlib import suppress

import pytest

from muru.provisioning.tftp.packet import (
    MAX_REQUEST,
    Ack,
    Data,
    Error,
    Malformed,
    OptionsAck,
    Packet,
    Request,
    parse,
    to_netascii,
)

WIRE: list[tuple[bytes, Packet]] = [
    (b"\0\1a\0octet\0", Request("a", "octet")),
    (b"\0\2log\0netascii\0", Request("log", "netascii", write=True)),
    (
        b"\0\1spa504G.cfg\0octet\0tsize\0000\0blksize\x001428\0",
        Request("spa504G.cfg", "octet", {"tsize": "0", "blksize": "1428"}),
    ),
    (b"\0\3\0\1", Data(1, b"")),
    (b"\0\3\xff\xffabc\0", Data(65535, b"abc\0")),
    (b"\0\4\0\0", Ack(0)),
    (b"\0\4\x12\x34", Ack(0x1234)),
    (b"\0\5\0\1file not found\0", Error(1, "file not found")),
    (b"\0\5\xff\xff\0", Error(65535, "")),
    (b"\0\6tsize\x00512\0", OptionsAck({"tsize": "512"})),
]


@pytest.mark.parametrize(("datagram", "packet"), WIRE)
def test_packet_both_ways(datagram: bytes, packet: Packet) -> None:
    """Each kind of packet is read from the bytes that the RFCs lay down, and written as them."""
    assert parse(datagram) == packet
    assert bytes(packet) == datagram


@pytest.mark.parametrize(
    ("datagram", "packet"),
    [
        (b"\0\1a\0OcTeT\0BLKSIZE\x008\0", Request("a", "octet", {"blksize": "8"})),
        (b"\0\1a\0octet\0\0\0\0", Request("a", "octet")),
        (b"\0\1a\0octet\0tsize\0", Request("a", "octet")),
        (b"\0\1a\0octet\0t\x001\0T\x002\0", Request("a", "octet", {"t": "1"})),
        (b"\0\1\0octet\0", Request("", "octet")),
        (b"\0\1\xff\xc0\xae\0octet\0", Request("\ufffd\ufffd\ufffd", "octet")),
        (b"\0\1a\0\xe9\0", Request("a", "\ufffd")),
        (b"\0\4\0\7padding", Ack(7)),
        (b"\0\5\0\1no end", Error(1, "no end")),
        (b"\0\5\0\1", Error(1, "")),
    ],
)
def test_packet_written_carelessly(datagram: bytes, packet: Packet) -> None:
    """Packets are read in any case, with padding, doubled options and bytes that are no UTF-8."""
    assert parse(datagram) == packet


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0",
        b"\0\4\0",
        b"\0\0a\0octet\0",
        b"\0\7a\0octet\0",
        b"\1\1a\0octet\0",
        b"\0\1a\0",
        b"\0\1a\0octet",
        b"\0\1a\0octet\0tsize\x000",
        b"\0\1" + b"a" * MAX_REQUEST + b"\0octet\0",
        b"\0\6tsize",
    ],
)
def test_packet_malformed(datagram: bytes) -> None:
    """What is no TFTP packet is told as such."""
    with pytest.raises(Malformed):
        parse(datagram)


def test_random_packets_survive_the_wire() -> None:
    """Whatever a packet holds is the same after it was written and read."""
    chance = random.Random(1350)

    def text() -> str:
        return "".join(chance.choices("aZ0 /\\.ü\u202e\n🐫", k=chance.randrange(12)))

    def options() -> dict[str, str]:
        return {f"{text().lower()}{n}": text() for n in range(chance.randrange(4))}

    for _ in range(2000):
        packets: list[Packet] = [
            Request(text(), text().lower(), options(), chance.random() < 0.5),
            Data(chance.randrange(65536), chance.randbytes(chance.randrange(600))),
            Ack(chance.randrange(65536)),
            Error(chance.randrange(65536), text()),
            OptionsAck({**options(), "tsize": "0"}),
        ]

        for packet in packets:
            assert parse(bytes(packet)) == packet


def test_random_bytes_are_read_or_malformed() -> None:
    """Any bytes, and any valid packet cut or bent anywhere, give a packet or Malformed."""
    chance = random.Random(2347)
    for _ in range(20_000):
        datagram = bytearray(chance.choice(WIRE)[0])
        del datagram[chance.randrange(len(datagram) + 1) :]
        for _ in range(chance.randrange(4)):
            datagram.insert(chance.randrange(len(datagram) + 1), chance.randrange(256))

        with suppress(Malformed):
            assert isinstance(parse(bytes(datagram)), Packet)


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b""),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\rb", b"a\r\0b"),
        (b"a\r\nb", b"a\r\0\r\nb"),
        (b"\n\r", b"\r\n\r\0"),
        (b"\0\xff", b"\0\xff"),
    ],
)
def test_netascii(content: bytes, wire: bytes) -> None:
    """A line's end is CR LF on the wire, a CR is CR NUL, so that both come back as they were."""
    assert to_netascii(content) == wire
    assert b"".join(to_netascii(content[i : i + 1]) for i in range(len(content))) == wire
