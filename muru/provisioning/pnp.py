"""SIP plug and play: phones that have just booted ask by multicast where their configuration is.

A phone sends SUBSCRIBE for ``Event: ua-profile`` to 224.0.1.75:5060/UDP, is answered 200, and then
told the URL by NOTIFY. That is RFC 6080 as the vendors have simplified it; what these messages say
is in ``subscription``.

The port is also Asterisk's. The listening socket is bound to the group's address alone, and so
stands beside an Asterisk that is bound to *one* address of the machine. It cannot stand beside one
that is bound to all: Asterisk sets no SO_REUSEADDR, so whoever comes second is refused the port,
and if that is Asterisk, it goes on without UDP. Sharing would not help: Linux hands a multicast to
all that listen on every address, and Asterisk would answer each phone with 401. What phones answer
to port 5060 goes to Asterisk in any case, so NOTIFY is sent from a port of its own.

Whoever can send here is on a network whose multicasts reach this machine. What is sent goes only to
the address that the question came from, a few times, and is about as long as the question. URLs
stay out of the log, as they may hold a phone's token.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from muru.provisioning.subscription import (
    MAX_DATAGRAM,
    Address,
    Malformed,
    Message,
    PnpRequest,
    Subscription,
    asks_for_configuration,
    parse,
)

log = logging.getLogger(__name__)

GROUP = "224.0.1.75"
PORT = 5060

_AT_ONCE = 64  # datagrams taken before others have their turn
_WINDOW = 60.0  # seconds over which the requests of an address are counted
_MAX_ADDRESSES = 16384  # counted in a window
_RECEIVE_BUFFER = 1024 * 1024  # bytes; a hall full of phones asks at once when its power is back
_REMEMBERED = 32.0  # seconds for which a phone may repeat a request, 64 times RFC 3261's T1
_LONGEST_WAIT = 4.0  # seconds for an answer to a NOTIFY, RFC 3261's T2
_IP_MULTICAST_ALL = 49  # Linux's; Python has no name for it

_LISTENING, _SENDING = range(2)  # the server's sockets

# Returns the configuration's URL, or None for phones that are not ours, which get no answer.
Answer = Callable[[PnpRequest], Awaitable[str | None]]


@dataclass(slots=True)
class Counters:
    """Since the server was made. Each request ends as one of the five that follow it.

    Only those that wait for their answer when the server is stopped do not.
    """

    requests: int = 0  # well-formed ones for a configuration
    answered: int = 0  # 200 and NOTIFY were sent
    ignored: int = 0  # by the answer: the phone is not ours
    repeated: int = 0
    busy: int = 0  # dropped as there were too many, in all or from that address
    failed: int = 0  # the answer was too slow or raised something
    confirmed: int = 0  # of the answered: the phone said 200 to NOTIFY
    refused: int = 0  # of the answered: it said something else
    retransmits: int = 0  # of NOTIFY
    foreign: int = 0  # SIP messages that are none of this server's business
    malformed: int = 0


class PnpServer:
    """Tells phones the URL that ``answer`` returns, to at most ``max_requests`` at a time.

    Requests beyond that, and beyond ``max_per_address`` in a minute, are dropped without a word: a
    phone asks again. ``retransmit`` is the first wait for an answer to NOTIFY, in seconds as
    ``answer_timeout`` is; it is sent ``tries`` times at most.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        answer: Answer,
        *,
        host: str,
        port: int = PORT,
        group: str = GROUP,
        max_requests: int = 500,
        max_per_address: int = 10,
        answer_timeout: float = 5.0,
        retransmit: float = 0.5,
        tries: int = 4,
    ) -> None:
        self.counters = Counters()
        self._answer, self._answer_timeout = answer, answer_timeout
        self._host, self._port, self._group = host, port, group
        self._max_requests, self._max_per_address = max_requests, max_per_address
        self._retransmit, self._tries = retransmit, tries
        self._sockets: tuple[socket.socket, socket.socket] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # The statuses that phones answer, by their address and the NOTIFY's branch.
        self._awaited: dict[tuple[str, str], asyncio.Future[int]] = {}
        self._known: dict[int, float] = {}  # transactions, by when they were begun
        self._recent: Counter[str] = Counter()
        self._window_ends = 0.0

    @property
    def active(self) -> int:
        """Requests under way, until the phone has confirmed or is given up."""
        return len(self._tasks)

    async def start(self) -> None:
        """Listen on the interface of ``host``, an IPv4 address; 0.0.0.0 stands for all there are.

        OSError: the port is taken (by an Asterisk on all addresses), or there is no such address.
        """
        if self._sockets is not None:
            return
        loop = asyncio.get_running_loop()
        listening = _listen(self._group, self._port, self._host)
        try:
            sending = _bound((self._host, 0))
        except OSError:
            listening.close()
            raise
        self._sockets = listening, sending
        loop.add_reader(listening, self._read, listening, self._take)
        loop.add_reader(sending, self._read, sending, self._take_answer)

    async def stop(self) -> None:
        """Ends all that is under way; the phones notice by their own timeouts."""
        if self._sockets is None:
            return
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        self._sockets = None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _read(self, source: socket.socket, take: Callable[[Message, Address], None]) -> None:
        for _ in range(_AT_ONCE):
            try:
                datagram, sender = source.recvfrom(MAX_DATAGRAM + 1)
            except OSError:  # mostly: there is none
                return
            try:
                take(parse(datagram), sender)
            except Malformed:
                self.counters.malformed += 1

    def _take_answer(self, message: Message, sender: Address) -> None:
        awaited = self._awaited.get((sender[0], message.branch))
        if awaited is None or not message.status:
            self.counters.foreign += 1
        elif message.status >= 200 and not awaited.done():
            awaited.set_result(message.status)

    def _take(self, message: Message, sender: Address) -> None:
        if not asks_for_configuration(message) or not sender[1]:
            self.counters.foreign += 1
            return
        subscription = Subscription(message, sender)
        self.counters.requests += 1
        self._forget_old()
        if subscription.transaction in self._known:
            self.counters.repeated += 1
        elif self._is_busy(sender[0]):
            self.counters.busy += 1
        else:
            self._begin(subscription)

    def _forget_old(self) -> None:
        """Transactions are in the order in which they began."""
        now = asyncio.get_running_loop().time()
        while self._known and now - next(iter(self._known.values())) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        if now >= self._window_ends:
            self._recent.clear()
            self._window_ends = now + _WINDOW

    def _is_busy(self, host: str) -> bool:
        crowded = host not in self._recent and len(self._recent) >= _MAX_ADDRESSES
        if crowded or self.active >= self._max_requests:
            return True
        self._recent[host] += 1
        if self._recent[host] == self._max_per_address + 1:
            log.debug("PnP: %s asks too often", host)
        return self._recent[host] > self._max_per_address

    def _begin(self, subscription: Subscription) -> None:
        loop = asyncio.get_running_loop()
        self._known[subscription.transaction] = loop.time()
        task = loop.create_task(self._serve(subscription), name="pnp request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, subscription: Subscription) -> None:
        client = subscription.peer[0]
        branch = f"z9hG4bK{secrets.token_hex(8)}"  # cannot be guessed, so only the phone answers
        try:
            own = self._own_address(subscription.peer)
            async with asyncio.timeout(self._answer_timeout):
                url = await self._answer(subscription.request(own[0]))
            notify = b"" if url is None else subscription.notify(url, own, branch)
        except TimeoutError:
            log.warning("PnP: the URL for %s takes over %g s", client, self._answer_timeout)
            return self._fail(subscription)
        except Exception:
            log.exception("PnP: no URL for %s", client)
            return self._fail(subscription)
        if not notify:
            self.counters.ignored += 1
            return None
        self.counters.answered += 1
        self._send(_LISTENING, subscription.ok(own), subscription.source)
        return await self._notify(notify, branch, subscription.target)

    def _fail(self, subscription: Subscription) -> None:
        """The phone will repeat its request, and may have more luck then."""
        self.counters.failed += 1
        self._known.pop(subscription.transaction, None)

    async def _notify(self, notify: bytes, branch: str, target: Address) -> None:
        """Send it until the phone has answered, or is given up."""
        key = target[0], branch
        status = self._awaited[key] = asyncio.get_running_loop().create_future()
        try:
            for attempt in range(self._tries):
                self._send(_SENDING, notify, target)
                self.counters.retransmits += attempt > 0
                wait = min(self._retransmit * 2**attempt, _LONGEST_WAIT)
                if (await asyncio.wait([status], timeout=wait))[0]:
                    break
        finally:
            del self._awaited[key]
        if status.done():
            self.counters.confirmed += status.result() < 300
            self.counters.refused += status.result() >= 300

    def _own_address(self, peer: Address) -> Address:
        """Where this server is found by a phone. OSError: it cannot be reached."""
        assert self._sockets
        port = self._sockets[_SENDING].getsockname()[1]
        with _bound((self._host, 0)) as probe:
            probe.connect(peer)  # sends nothing
            return probe.getsockname()[0], port

    def _send(self, which: int, datagram: bytes, to: Address) -> None:
        """What the kernel cannot take is like a packet lost on the way."""
        try:
            if self._sockets:
                self._sockets[which].sendto(datagram, to)
        except OSError as fault:
            log.debug("PnP: lost a packet for %s: %s", to[0], fault)


def _listen(group: str, port: int, host: str) -> socket.socket:
    opened = _bound((group, port))
    try:
        with contextlib.suppress(OSError):  # a smaller one does as well
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        # Only from the interfaces joined here, not from those that other programs have joined.
        opened.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        _join(opened, group, host)
    except OSError:
        opened.close()
        raise
    return opened


def _join(opened: socket.socket, group: str, host: str) -> None:
    """On the interface of that address, or, for 0.0.0.0, on all that let themselves be joined."""
    wanted = [socket.inet_aton(group) + socket.inet_aton(host)]
    if host == "0.0.0.0":  # noqa: S104 - compared
        indexes = (index for index, _ in socket.if_nameindex())
        wanted = [wanted[0] + struct.pack("@i", index) for index in indexes]
    refusals = []
    for membership in wanted:
        try:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        except OSError as fault:
            refusals.append(fault)
    if len(refusals) == len(wanted):
        raise refusals[0] if refusals else OSError("there is no network interface")


def _bound(address: Address) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        if address[1]:  # others may listen on it too, but not on a port of one's own
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened
