"""The wire's format: bytes to packets and back, whatever the bytes are."""

import random
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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

# A machine that is busy with other things makes no test fail.
PATIENTLY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

NUMBERS = st.integers(0, 65535)
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60)
LOWER = TEXTS.map(str.lower)
OPTIONS = st.dictionaries(LOWER.filter(bool), TEXTS, max_size=4)
REQUESTS = st.builds(Request, TEXTS, LOWER, OPTIONS, st.booleans()).filter(
    lambda request: len(bytes(request)) <= MAX_REQUEST
)
PACKETS: st.SearchStrategy[Packet] = st.one_of(
    REQUESTS,
    st.builds(Data, NUMBERS, st.binary(max_size=600)),
    st.builds(Ack, NUMBERS),
    st.builds(Error, NUMBERS, TEXTS),
    st.builds(OptionsAck, OPTIONS.filter(bool)),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A packet with some bytes replaced by others, or by none."""
    datagram = bytes(draw(PACKETS))
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(datagram))] * 2)))
    return datagram[:start] + draw(st.binary(max_size=8)) + datagram[end:]


DAMAGED = damaged()


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


@PATIENTLY
@given(PACKETS)
def test_any_packet_survives_the_wire(packet: Packet) -> None:
    """Whatever a packet holds is the same after it was written and read."""
    assert parse(bytes(packet)) == packet


@PATIENTLY
@given(st.binary(max_size=2 * MAX_REQUEST) | DAMAGED)
def test_any_bytes_are_read_or_malformed(datagram: bytes) -> None:
    """Any bytes, and any packet cut and bent anywhere, give a packet of usable text or Malformed.

    What was read is read as the same again, if it can be written: the sign for what is no UTF-8
    takes more room, and options are not acknowledged where there are none.
    """
    try:
        packet = parse(datagram)
    except Malformed:
        return
    if isinstance(packet, Request):
        assert len(datagram) <= MAX_REQUEST
        assert "\0" not in packet.filename
        assert all(name and name == name.lower() for name in packet.options)
        if len(bytes(packet)) > MAX_REQUEST:
            return
    if packet != OptionsAck({}):
        assert parse(bytes(packet)) == packet


def test_bytes_by_the_million() -> None:
    """A million random and truncated packets raise nothing but Malformed."""
    chance = random.Random(2347)
    noise = chance.randbytes(4096)
    read = 0
    for number in range(1_000_000):
        datagram = WIRE[number % len(WIRE)][0]
        at, start = int(chance.random() * 48), int(chance.random() * 4000)
        with suppress(Malformed):
            parse(datagram[:at] + noise[start : start + number % 7])
            read += 1

    assert 100_000 < read < 900_000


@PATIENTLY
@given(st.binary(), st.integers(0, 99))
def test_netascii_any_content(content: bytes, cut: int) -> None:
    """Any content comes back as it was, and may be translated in parts."""
    wire = to_netascii(content)

    assert wire.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r") == content
    assert to_netascii(content[:cut]) + to_netascii(content[cut:]) == wire


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
