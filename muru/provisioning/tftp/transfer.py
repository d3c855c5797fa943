"""One file on its way to one client: what to send next, and until when to wait.

It has neither socket nor clock. Its owner passes in each datagram from the client, calls
``timed_out`` when the wait of the last ``Send`` is over, and sends what it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from muru.provisioning.tftp.packet import Ack, Data, Error, OptionsAck, parse

# What Ethernet's 1500 bytes hold beside the headers of TFTP and UDP (12 bytes) and 60 for IP: that
# is IPv4 with all its options, or IPv6 with 20 bytes to spare for PPPoE, a VLAN tag or a tunnel.
# Larger blocks travel in fragments, which many a firewall drops and many a boot loader cannot join.
MAX_BLOCK_SIZE = 1428

_BLOCK_SIZE = 512  # where no option says otherwise
_LONGEST_BACKOFF = 4.0  # times the first wait
_UNPROVEN_RETRIES = 3


class Outcome(Enum):
    SERVED = "served"
    TIMED_OUT = "timed out"
    ABORTED = "aborted"  # by the client


@dataclass(frozen=True, slots=True)
class Send:
    """A datagram for the client, and the seconds to wait for its acknowledgement."""

    datagram: bytes
    wait: float


class Transfer:
    """Sends a packet, waits for its acknowledgement, sends the next: one packet is under way.

    Only a timeout makes it repeat a packet. A doubled acknowledgement does not, or each doubled
    packet would double all that follow (the "sorcerer's apprentice").

    Until the first acknowledgement the client may be somebody else, whose address was forged. So
    until then there are few repetitions, and its ``timeout`` option does not count.
    """

    def __init__(
        self,
        content: bytes,
        options: Mapping[str, str],
        *,
        max_block_size: int = MAX_BLOCK_SIZE,
        retransmit: float = 1.0,
        retries: int = 5,
    ) -> None:
        """Waits ``retransmit`` seconds at first; ``content`` is already translated to its mode."""
        granted = negotiate(options, len(content), max_block_size)
        self.outcome: Outcome | None = None  # None: it goes on
        self.acknowledged = 0  # bytes of the content
        self.retransmits = 0
        self._content = content
        self._block_size = int(granted.get("blksize", _BLOCK_SIZE))
        self._timeout = float(granted.get("timeout", 0))
        self._retransmit, self._retries = retransmit, retries
        self._proven = False  # whether there was an acknowledgement
        self._tries = 0  # repetitions of the present packet
        self._block = 0 if granted else 1  # the present packet; 0 is the one that grants options
        self._packet = bytes(OptionsAck(granted)) if granted else self._data()

    @property
    def stalled(self) -> bool:
        """Whether the client, after it took part, has missed the end of a wait."""
        return self._proven and self._tries > 0

    def start(self) -> Send:
        return Send(self._packet, self._wait())

    def receive(self, datagram: bytes) -> Send | None:
        """The answer to a datagram of the client's, if there is one. Malformed: it is no TFTP."""
        packet = parse(datagram)
        if self.outcome is not None:
            return None
        if isinstance(packet, Ack) and packet.block == self._block % 65536:
            return self._advance()
        if isinstance(packet, Error):  # is never answered; also, that is how clients ask for a size
            self.outcome = Outcome.ABORTED
        return None

    def timed_out(self) -> Send | None:
        """The present packet once more, or None when that has been tried often enough."""
        if self.outcome is not None:
            return None
        limit = self._retries if self._proven else min(self._retries, _UNPROVEN_RETRIES)
        if self._tries >= limit:
            self.outcome = Outcome.TIMED_OUT
            return None
        self._tries += 1
        self.retransmits += 1
        return Send(self._packet, self._wait())

    def _advance(self) -> Send | None:
        self._proven = True
        self._tries = 0
        self.acknowledged = min(self._block * self._block_size, len(self._content))
        # A block that is not full ends the file. If all are full, that is an empty one.
        if self._block * self._block_size > len(self._content):
            self.outcome = Outcome.SERVED
            return None
        self._block += 1
        self._packet = self._data()
        return Send(self._packet, self._wait())

    def _data(self) -> bytes:
        end = self._block * self._block_size
        return bytes(Data(self._block % 65536, self._content[end - self._block_size : end]))

    def _wait(self) -> float:
        if self._proven and self._timeout:
            return self._timeout
        return self._retransmit * min(2.0**self._tries, _LONGEST_BACKOFF)


def negotiate(options: Mapping[str, str], size: int, max_block_size: int) -> dict[str, str]:
    """The options to grant for a file of ``size`` bytes, in the client's order.

    Unknown options and impossible values count as not asked for, as RFC 2347 has it.
    """
    granted: dict[str, str] = {}
    for name, text in options.items():
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else -1
        if name == "blksize" and 8 <= value <= 65464:
            granted[name] = str(min(value, max_block_size))
        elif name == "timeout" and 1 <= value <= 255:
            granted[name] = str(value)  # the client's own value, or the option is refused
        elif name == "tsize" and value >= 0 and size:  # curl takes a size of 0 for an error
            granted[name] = str(size)
    return granted
