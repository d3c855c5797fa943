"""A TFTP server on asyncio: it takes the requests, asks for the bytes, and sends them.

File names stay out of the log, as they may hold a phone's token.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from muru.provisioning.tftp.exchange import (
    Address,
    Exchange,
    Route,
    listen,
    receive,
    reply,
    take_over,
)
from muru.provisioning.tftp.packet import (
    MAX_REQUEST,
    Error,
    ErrorCode,
    Malformed,
    Packet,
    Request,
    parse,
    to_netascii,
)
from muru.provisioning.tftp.request import (
    REFUSED,
    AccessRefused,
    FileNotFound,
    ReadRequest,
    understand,
)
from muru.provisioning.tftp.transfer import MAX_BLOCK_SIZE, Outcome, Transfer

log = logging.getLogger(__name__)

_AT_ONCE = 64  # requests taken before others have their turn
_PART = 256 * 1024  # bytes translated likewise

_NOT_FOUND = Error(ErrorCode.FILE_NOT_FOUND, "file not found")
_INTERNAL = Error(ErrorCode.UNDEFINED, "internal error")

# Returns the file's bytes. Anything that it raises beside the two errors above is logged, and the
# client sees ERROR 0.
Answer = Callable[[ReadRequest], Awaitable[bytes]]


@dataclass(slots=True)
class Counters:
    """Since the server was made. Each request ends as one of the seven that follow it."""

    requests: int = 0  # well-formed ones, to read or to write
    repeated: int = 0  # by a client whose transfer is already on
    busy: int = 0  # dropped as there were too many transfers
    refused: int = 0  # by name, mode or direction, or by the answer
    failed: int = 0  # the answer was too slow or raised something unforeseen
    served: int = 0  # to the last acknowledgement
    timeouts: int = 0  # the client fell silent
    aborted: int = 0  # by the client, or by the server's stop
    malformed: int = 0  # packets that make no sense where they came
    retransmits: int = 0
    bytes: int = 0  # of files, acknowledged


class TftpServer:
    """Serves what ``answer`` returns, to at most ``max_transfers`` clients at a time.

    Requests beyond that, and beyond ``max_per_address``, are dropped without a word. A phone asks
    again when it hears nothing, and by then there may be room; after an ERROR it would go on
    without its configuration. Also, a forged sender's address so gets little unwanted traffic.

    ``inherited`` is a bound socket, used instead of one on ``host`` and ``port``. The server closes
    it when it stops, and so cannot be started again.

    ``retransmit`` is the first wait for an acknowledgement, in seconds as ``answer_timeout`` is.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        answer: Answer,
        *,
        host: str,
        port: int,
        max_transfers: int = 500,
        max_per_address: int = 8,
        max_block_size: int = MAX_BLOCK_SIZE,
        answer_timeout: float = 10.0,
        retransmit: float = 1.0,
        retries: int = 5,
        inherited: socket.socket | None = None,
    ) -> None:
        self.counters = Counters()
        self._answer, self._answer_timeout = answer, answer_timeout
        self._host, self._port, self._inherited = host, port, inherited
        self._max_transfers, self._max_per_address = max_transfers, max_per_address
        self._max_block_size = max_block_size
        self._retransmit, self._retries = retransmit, retries
        self._socket: socket.socket | None = None
        self._sessions: dict[Address, _Session] = {}
        self._by_address: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[Outcome | None]] = set()
        self._told_busy = False

    @property
    def port(self) -> int:
        """The port in use, also where any free one was asked for."""
        return int(self._socket.getsockname()[1]) if self._socket else self._port

    @property
    def active(self) -> int:
        """Transfers under way, those included whose answer is still awaited."""
        return len(self._sessions)

    async def start(self) -> None:
        """OSError: the port is taken or forbidden, or there is no such address.

        The host ``::`` stands for IPv6 and IPv4, ``0.0.0.0`` for IPv4 alone.
        """
        if self._socket is not None:
            return
        self._socket = await self._open()
        asyncio.get_running_loop().add_reader(self._socket, self._read, self._socket)

    async def stop(self) -> None:
        """Ends all transfers where they are: their clients notice by their own timeouts."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _open(self) -> socket.socket:
        if self._inherited:
            return take_over(self._inherited)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        family, *_, address = found[0]
        return listen(family, address)

    def _read(self, source: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            received = receive(source, MAX_REQUEST + 1)
            if received is None:
                break
            self._take(*received)

    def _take(self, datagram: bytes, route: Route) -> None:
        packet = _parse_or_none(datagram)
        # Nobody can be answered on port 0. Packets that belong to a transfer have no place here;
        # were they answered, two servers could be set to answer each other for ever.
        if not isinstance(packet, Request) or route.peer[1] == 0:
            self.counters.malformed += 1
            return
        self.counters.requests += 1
        request = understand(packet, (route.peer[0], route.peer[1]), route.known_local)
        if isinstance(request, Error):
            self._refuse(route, request)
        elif self._is_repeated(request, route):
            self.counters.repeated += 1
        elif self._is_busy(route):
            self.counters.busy += 1
        else:
            self._begin(_Session(request, route))

    def _is_repeated(self, request: ReadRequest, route: Route) -> bool:
        """Whether the client asks again as it waits for an answer; else its former wish is off.

        A client has one transfer per port. If it asks there for something else, or after it has
        fallen silent amid a transfer, it has begun anew: some boot loaders always use one port.
        """
        session = self._sessions.get(route.peer)
        if session is None:
            return False
        if session.is_under_way() and session.request == request:
            return True
        self._forget(session)
        session.task.cancel()
        return False

    def _is_busy(self, route: Route) -> bool:
        if self.active >= self._max_transfers:
            if not self._told_busy:
                log.warning("TFTP: %d transfers are under way, further ones wait", self.active)
            self._told_busy = True
            return True
        if self.active < self._max_transfers / 2:
            self._told_busy = False
        return self._by_address[route.peer[0]] >= self._max_per_address

    def _begin(self, session: "_Session") -> None:
        self._sessions[session.route.peer] = session
        self._by_address[session.route.peer[0]] += 1
        session.task = asyncio.create_task(self._serve(session), name="tftp transfer")
        self._tasks.add(session.task)
        # Not a "finally" in it: a task that is cancelled before its first step runs none.
        session.task.add_done_callback(lambda task: self._end(session, task))

    async def _serve(self, session: "_Session") -> Outcome | None:
        """How the transfer ended; None if there was to be none."""
        client = session.route.peer[0]
        try:
            content = await self._content(session.request)
            return await session.run(self._transfer(content, session.request))
        except FileNotFound:
            self._refuse(session.route, _NOT_FOUND)
        except AccessRefused:
            self._refuse(session.route, REFUSED)
        except TimeoutError:
            log.warning("TFTP: what %s asks for takes over %g s", client, self._answer_timeout)
            self._fail(session.route)
        except Exception:
            log.exception("TFTP: cannot serve %s", client)
            self._fail(session.route)
        return None

    async def _content(self, request: ReadRequest) -> bytes:
        async with asyncio.timeout(self._answer_timeout):
            content = await self._answer(request)
        return await _translate(content) if request.mode == "netascii" else content

    def _transfer(self, content: bytes, request: ReadRequest) -> Transfer:
        return Transfer(
            content,
            request.options,
            max_block_size=self._max_block_size,
            retransmit=self._retransmit,
            retries=self._retries,
        )

    def _refuse(self, route: Route, error: Error) -> None:
        self.counters.refused += 1
        reply(route, error)

    def _fail(self, route: Route) -> None:
        self.counters.failed += 1
        reply(route, _INTERNAL)

    def _forget(self, session: "_Session") -> None:
        peer = session.route.peer
        if self._sessions.get(peer) is not session:
            return
        del self._sessions[peer]
        self._by_address[peer[0]] -= 1
        if not self._by_address[peer[0]]:
            del self._by_address[peer[0]]

    def _end(self, session: "_Session", task: asyncio.Task[Outcome | None]) -> None:
        self._tasks.discard(task)
        self._forget(session)
        outcome = session.outcome_if_cancelled() if task.cancelled() else task.result()
        self.counters.served += outcome is Outcome.SERVED
        self.counters.timeouts += outcome is Outcome.TIMED_OUT
        self.counters.aborted += outcome is Outcome.ABORTED
        if exchange := session.exchange:
            self.counters.malformed += exchange.malformed
            self.counters.retransmits += exchange.transfer.retransmits
            self.counters.bytes += exchange.transfer.acknowledged


class _Session:
    """A request that is being served."""

    def __init__(self, request: ReadRequest, route: Route) -> None:
        self.request, self.route = request, route
        self.exchange: Exchange | None = None  # while the answer is awaited
        self.task: asyncio.Task[Outcome | None]

    def is_under_way(self) -> bool:
        """Whether the client still waits for something, as far as it has told until now."""
        if self.exchange is None:
            return True
        self.exchange.read()  # its last acknowledgement may have come before its next request
        transfer = self.exchange.transfer
        return transfer.outcome is None and not transfer.stalled

    def outcome_if_cancelled(self) -> Outcome:
        """The transfer may have ended while its task has not yet had its turn."""
        return (self.exchange and self.exchange.transfer.outcome) or Outcome.ABORTED

    async def run(self, transfer: Transfer) -> Outcome | None:
        self.exchange = Exchange(transfer, self.route)
        await self.exchange.run()
        return transfer.outcome


def _parse_or_none(datagram: bytes) -> Packet | None:
    try:
        return parse(datagram)
    except Malformed:
        return None


async def _translate(content: bytes) -> bytes:
    """To netascii, part by part: firmware at once would hold up all that waits for the loop."""
    parts = []
    for start in range(0, len(content), _PART):
        parts.append(to_netascii(content[start : start + _PART]))
        await asyncio.sleep(0)
    return b"".join(parts)
