"""One transfer by itself: no sockets, no clock, and every accident of the network."""

import random
from typing import TypeVar

import pytest

from muru.provisioning.tftp.packet import Ack, Data, Error, OptionsAck, Request, parse
from muru.provisioning.tftp.transfer import MAX_BLOCK_SIZE, Outcome, Send, Transfer, negotiate

T = TypeVar("T")


def data(step: Send | None) -> Data:
    assert step is not None
    packet = parse(step.datagram)
    assert isinstance(packet, Data)
    return packet


def fetch(transfer: Transfer) -> tuple[bytes, list[int]]:
    """What an undisturbed client gets, and the number of each block."""
    content, blocks = b"", []
    step: Send | None = transfer.start()
    while step is not None:
        packet = parse(step.datagram)
        if isinstance(packet, OptionsAck):
            step = transfer.receive(bytes(Ack(0)))
        else:
            assert isinstance(packet, Data)
            content += packet.payload
            blocks.append(packet.block)
            step = transfer.receive(bytes(Ack(packet.block)))
    return content, blocks


@pytest.mark.parametrize(
    ("size", "blocks"), [(0, 1), (1, 1), (511, 1), (512, 2), (513, 2), (1024, 3), (5000, 10)]
)
def test_blocks(size: int, blocks: int) -> None:
    """The last block is a short one: an empty one, if the file fills all others or is empty."""
    content = random.Random(size).randbytes(size)
    transfer = Transfer(content, {})

    assert fetch(transfer) == (content, list(range(1, blocks + 1)))
    assert transfer.outcome is Outcome.SERVED
    assert transfer.acknowledged == size
    assert transfer.retransmits == 0


@pytest.mark.parametrize("block_size", [8, 9, 512, 1000, MAX_BLOCK_SIZE])
@pytest.mark.parametrize("size", [0, 7, 8, 9, 1999, 2000, 2001, 14280])
def test_blocks_of_other_sizes(block_size: int, size: int) -> None:
    """A file comes whole in blocks of any size that was asked for."""
    content = random.Random(size).randbytes(size)
    transfer = Transfer(content, {"blksize": str(block_size)})

    assert fetch(transfer) == (content, list(range(1, size // block_size + 2)))
    assert transfer.outcome is Outcome.SERVED


@pytest.mark.parametrize("blocks", [65535, 65536, 65537])
def test_rollover(blocks: int) -> None:
    """After block 65535 comes block 0, so that files may have more than 65536 blocks."""
    content = bytes(8 * blocks - 1)
    transfer = Transfer(content, {"blksize": "8"})
    received, last = 0, 0
    step = transfer.receive(bytes(Ack(0)))
    while step is not None:
        packet = data(step)
        assert packet.block == (last + 1) % 65536
        last, received = packet.block, received + len(packet.payload)
        step = transfer.receive(bytes(Ack(last)))

    assert received == len(content)
    assert last == blocks % 65536
    assert transfer.outcome is Outcome.SERVED


@pytest.mark.parametrize(
    ("options", "granted"),
    [
        ({}, {}),
        ({"blksize": "8"}, {"blksize": "8"}),
        ({"blksize": "512"}, {"blksize": "512"}),
        ({"blksize": "1428"}, {"blksize": "1428"}),
        ({"blksize": "65464"}, {"blksize": "1428"}),
        ({"blksize": "7"}, {}),
        ({"blksize": "65465"}, {}),
        ({"blksize": "-512"}, {}),
        ({"blksize": "512 "}, {}),
        ({"blksize": "٨٨"}, {}),
        ({"blksize": ""}, {}),
        ({"blksize": "9" * 400}, {}),
        ({"timeout": "1"}, {"timeout": "1"}),
        ({"timeout": "255"}, {"timeout": "255"}),
        ({"timeout": "0"}, {}),
        ({"timeout": "256"}, {}),
        ({"tsize": "0"}, {"tsize": "1000"}),
        ({"tsize": "12"}, {"tsize": "1000"}),
        ({"tsize": "?"}, {}),
        ({"windowsize": "8", "multicast": ""}, {}),
        (
            {"tsize": "0", "x": "y", "timeout": "3", "blksize": "600"},
            {"tsize": "1000", "timeout": "3", "blksize": "600"},
        ),
    ],
)
def test_negotiation(options: dict[str, str], granted: dict[str, str]) -> None:
    """What is known and possible is granted; the rest is as if it had not been asked for."""
    assert list(negotiate(options, 1000, MAX_BLOCK_SIZE).items()) == list(granted.items())


def test_negotiation_of_an_empty_file() -> None:
    """The size of an empty file is not told, as curl takes a size of 0 for an error."""
    assert negotiate({"tsize": "0"}, 0, MAX_BLOCK_SIZE) == {}


def test_options_are_acknowledged_first() -> None:
    """Granted options come before the first block, which waits for acknowledgement 0."""
    transfer = Transfer(bytes(700), {"blksize": "600", "tsize": "0"})

    assert parse(transfer.start().datagram) == OptionsAck({"blksize": "600", "tsize": "700"})
    assert transfer.receive(bytes(Ack(1))) is None
    assert data(transfer.receive(bytes(Ack(0)))) == Data(1, bytes(600))


def test_no_options_no_acknowledgement() -> None:
    """Where nothing is granted, the first block comes at once, as to a client of 1992."""
    assert data(Transfer(b"a", {"windowsize": "4"}).start()) == Data(1, b"a")


@pytest.mark.parametrize("code", [0, 5, 8, 999])
def test_error_ends_it(code: int) -> None:
    """An error of the client's ends the transfer, and nothing is said to it any more."""
    transfer = Transfer(bytes(600), {"blksize": "100"})
    transfer.start()

    assert transfer.receive(bytes(Error(code, "I do not like it"))) is None
    assert transfer.outcome is Outcome.ABORTED
    assert transfer.receive(bytes(Ack(0))) is None
    assert transfer.timed_out() is None


@pytest.mark.parametrize("packet", [Data(1, b""), Ack(2), Ack(0), Request("a", "octet")])
def test_other_packets_change_nothing(packet: Data | Ack | Request) -> None:
    """Whatever is neither the awaited acknowledgement nor an error is passed over."""
    transfer = Transfer(bytes(600), {})
    transfer.start()

    assert transfer.receive(bytes(packet)) is None
    assert transfer.outcome is None
    assert data(transfer.receive(bytes(Ack(1)))).block == 2


def test_sorcerers_apprentice() -> None:
    """If each acknowledgement comes three times, each block still goes out once."""
    transfer = Transfer(bytes(5000), {})
    waiting: list[Send | None] = [transfer.start()]
    sent = 0
    while waiting:
        step = waiting.pop()
        if step is not None:
            sent += 1
            waiting += [transfer.receive(bytes(Ack(data(step).block))) for _ in range(3)]

    assert sent == 10
    assert transfer.outcome is Outcome.SERVED


def test_silent_client() -> None:
    """One that never acknowledges gets its first packet four times, with growing pauses."""
    transfer = Transfer(bytes(5000), {})
    steps = [transfer.start()]
    while step := transfer.timed_out():
        steps.append(step)

    assert [step.wait for step in steps] == [1, 2, 4, 4]
    assert len({step.datagram for step in steps}) == 1
    assert transfer.outcome is Outcome.TIMED_OUT
    assert not transfer.stalled


def test_client_that_falls_silent() -> None:
    """One that took part gets all repetitions; then it is given up, with what it had counted."""
    transfer = Transfer(bytes(5000), {}, retransmit=0.5, retries=6)
    transfer.start()
    steps = [transfer.receive(bytes(Ack(1)))]
    assert not transfer.stalled
    while step := transfer.timed_out():
        steps.append(step)
        assert transfer.stalled

    assert [step and step.wait for step in steps] == [0.5, 1, 2, 2, 2, 2, 2]
    assert {data(step).block for step in steps} == {2}
    assert transfer.outcome is Outcome.TIMED_OUT
    assert transfer.acknowledged == 512
    assert transfer.retransmits == 6


def test_timeout_option() -> None:
    """The client's wish counts for the pauses, as soon as it has shown to be there."""
    transfer = Transfer(bytes(5000), {"timeout": "17"})

    assert transfer.start().wait == 1
    step = transfer.receive(bytes(Ack(0)))
    assert step is not None
    assert step.wait == 17
    step = transfer.timed_out()
    assert step is not None
    assert step.wait == 17


def test_retries_begin_anew_with_each_block() -> None:
    """However bad the line is, a client that gets ahead is not given up."""
    transfer = Transfer(bytes(5000), {}, retries=2)
    step: Send | None = transfer.start()
    while step is not None:
        assert transfer.timed_out()
        assert (again := transfer.timed_out())
        assert again.datagram == step.datagram
        step = transfer.receive(bytes(Ack(data(step).block)))

    assert transfer.outcome is Outcome.SERVED
    assert transfer.retransmits == 20


@pytest.mark.parametrize("seed", range(100))
def test_bad_network(seed: int) -> None:
    """A file comes whole though packets are lost, doubled and late, and at a bounded cost."""
    chance = random.Random(seed)
    content = chance.randbytes(chance.choice([0, 100, 512, 3000, 20_000]))
    transfer = Transfer(content, {}, retries=99)
    to_client, sent = [transfer.start()], 1
    transfer.receive(bytes(Ack(1)))  # without it there are few repetitions
    received = [content[:512]]

    while transfer.outcome is None:
        acks = []
        for packet in [data(step) for step in disturb(chance, to_client)]:
            if packet.block == len(received) + 1:
                received.append(packet.payload)
            acks.append(bytes(Ack(packet.block)))
        replies = [transfer.receive(ack) for ack in disturb(chance, acks)]
        if not any(replies):
            replies.append(transfer.timed_out())
        to_client = [step for step in replies if step]
        sent += len(to_client)

    assert transfer.outcome is Outcome.SERVED
    assert b"".join(received) == content
    assert sent <= len(received) + transfer.retransmits


def disturb(chance: random.Random, packets: list[T]) -> list[T]:
    """What arrives, and in which order."""
    arrived = [packet for packet in packets for _ in range(chance.choice([0, 1, 1, 1, 2]))]
    if chance.random() < 0.2:
        chance.shuffle(arrived)
    return arrived
