"""Real SIP clients for end-to-end tests: SIPp for signalling, baresip for phones that one can hear.

They are the programs ``sipp`` (Debian: sip-tester) and ``baresip`` (Debian: baresip-core), found on
PATH: see ``MISSING``. Everything is on 127.0.0.1, on ports picked free for each use; each program
ends by itself after a while, and is ended with the call or context that started it. Codecs go by
Asterisk's names, ``alaw`` or ``g722``. ::

    server = Server(5060)
    assert (await register(server, "100", "secret")).status == 200
    assert (await call(server, "100", "secret", "no-such-number")).status == 404
    async with (
        Phone(server, "100", "secret", codecs=["g722"], tone=440) as anna,
        Phone(server, "200", "secret", codecs=["g722"], tone=660, auto_answer=True) as ben,
    ):
        assert (await anna.dial("200")).sends == "g722"
        assert await anna.heard() == pytest.approx(660, abs=5)
        assert await ben.heard() == pytest.approx(440, abs=5)
"""

import asyncio
import itertools
import json
import math
import os
import random
import re
import shutil
import socket
import struct
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, Self

HOST = "127.0.0.1"
SCENARIOS = Path(__file__).with_name("scenarios")
LIFETIME = 300  # seconds after which each program ends, whatever became of the tests
MISSING = [program for program in ("sipp", "baresip") if not shutil.which(program)]

Transport = Literal["udp", "tcp", "tls"]  # tls: only baresip, as Debian's SIPp has none


class SipError(Exception):
    """A client did not run, or did not get what it was to wait for."""


class NoAnswer(SipError):
    """There was no final answer in time."""


class CallFailed(SipError):
    """A call ended before it was answered: ``404 Not Found``."""


class RegistrationFailed(SipError):
    """The server did not take a phone: ``401 Unauthorized``."""


class Server(NamedTuple):
    """Where Asterisk speaks SIP."""

    port: int
    host: str = HOST


class Account(NamedTuple):
    number: str
    password: str


class Place(NamedTuple):
    """A network of its own: a namespace, the phone's address there, and one for the tests."""

    namespace: str
    address: str
    control: str


# --- codecs ---------------------------------------------------------------------------------------


class Codec(NamedTuple):
    """A codec: its payload type at Asterisk, its name in SDP, and baresip's module and name.

    Debian 12's baresip has no module where ``module`` is empty.
    """

    payload: int
    rtpmap: str
    module: str = ""
    baresip: str = ""


CODECS = {
    "ulaw": Codec(0, "PCMU/8000", "g711", "PCMU/8000/1"),
    "alaw": Codec(8, "PCMA/8000", "g711", "PCMA/8000/1"),
    "gsm": Codec(3, "GSM/8000", "gsm", "GSM/8000/1"),
    "g722": Codec(9, "G722/8000", "g722", "G722/16000/1"),
    "g726": Codec(111, "G726-32/8000", "g726", "G726-32/8000/1"),
    "opus": Codec(107, "opus/48000/2", "opus", "opus/48000/2"),
    "slin16": Codec(118, "L16/16000", "l16", "L16/16000/1"),
    "lpc10": Codec(7, "LPC/8000"),
    "g729": Codec(18, "G729/8000"),
    "ilbc": Codec(97, "iLBC/8000"),
    "speex": Codec(110, "speex/8000"),
    "speex16": Codec(117, "speex/16000"),
}
_NOT_SPOKEN = {"telephone-event", "cn"}


def _codec_named(rtpmap: str) -> str:
    """Asterisk's name for an SDP name, or that name where it is none of ``CODECS``."""
    same = (name for name, codec in CODECS.items() if codec.rtpmap.lower() == rtpmap.lower())
    return next(same, rtpmap)


def _offer(codecs: Sequence[str]) -> dict[str, str]:
    """What the scenarios need for their SDP, the codecs in the given order."""
    chosen = [CODECS[name] for name in codecs]
    maps = [f"a=rtpmap:{codec.payload} {codec.rtpmap}" for codec in chosen]
    maps += ["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=sendrecv"]
    payloads = [*(str(codec.payload) for codec in chosen), "101"]
    return {"payloads": " ".join(payloads), "rtpmaps": "\n".join(maps)}


# --- messages -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """A SIP message as it was on the wire."""

    sent: bool
    first_line: str
    headers: tuple[tuple[str, str], ...]
    body: str

    @classmethod
    def parse(cls, text: str, *, sent: bool) -> Self:
        head, _, body = text.strip().replace("\r\n", "\n").partition("\n\n")
        first_line, *lines = head.split("\n")
        pairs = (line.partition(":") for line in lines)
        headers = tuple((name.strip(), value.strip()) for name, _, value in pairs)
        return cls(sent, first_line, headers, body)

    def get(self, name: str) -> str:
        """The first header of that name, or an empty text."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def method(self) -> str:
        """What a request asks, and what an answer answers."""
        return self.get("CSeq").rpartition(" ")[2]

    @property
    def status(self) -> int:
        """0 for a request."""
        return _status(self.first_line)

    @property
    def caller(self) -> tuple[str, str]:
        """The display name and the number in From."""
        found = re.match(r'(?:"(.*)"|([^<]*))\s*<sips?:([^@>]*)', self.get("From"))
        if not found:
            return "", ""
        quoted, plain, number = found.groups()
        return re.sub(r"\\(.)", r"\1", quoted) if quoted else (plain or "").strip(), number

    @property
    def codecs(self) -> list[str]:
        """The codecs in the SDP, the preferred one first, without DTMF and comfort noise."""
        media = re.search(r"^m=audio \d+ \S+ ([\d ]+)", self.body, re.MULTILINE)
        maps = dict(re.findall(r"^a=rtpmap:(\d+) (\S+)", self.body, re.MULTILINE))
        static = {str(codec.payload): codec.rtpmap for codec in CODECS.values()}
        payloads = media.group(1).split() if media else []
        names = [maps.get(payload) or static.get(payload, payload) for payload in payloads]
        return [_codec_named(n) for n in names if n.partition("/")[0].lower() not in _NOT_SPOKEN]


def _status(first_line: str) -> int:
    found = re.match(r"SIP/2\.0 (\d{3})", first_line)
    return int(found.group(1)) if found else 0


@dataclass(frozen=True)
class Outcome:
    """How a request ended: its last answer, and all that was said."""

    status: int
    reason: str
    codecs: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list, repr=False)

    @property
    def codec(self) -> str:
        """The codec of the answered call, or an empty text."""
        return next(iter(self.codecs), "")


@dataclass(frozen=True)
class Bulk:
    """How many registrations: by status (0: no answer), how long it took, and from which port."""

    statuses: Counter[int]
    seconds: float
    port: int

    @property
    def succeeded(self) -> int:
        return self.statuses[200]

    @property
    def failed(self) -> int:
        return self.statuses.total() - self.succeeded


# --- processes and ports --------------------------------------------------------------------------

# Workers side by side have ports of their own: those for sound are bound only when a call comes.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_SHARE = (65_536 - 61_000) // _WORKERS // 2 * 2
_FIRST = 61_000 + _WORKER * _SHARE
_AFTER = _FIRST + _SHARE
_even_ports = itertools.islice(
    itertools.cycle(range(_FIRST, _AFTER, 2)),
    random.randrange((_AFTER - _FIRST) // 2),  # test runs side by side rarely meet
    None,
)


def rtp_slot(chance: int, slots: int) -> int:
    """One of so many ranges of ports, picked by chance, but never another worker's."""
    share = slots // _WORKERS
    return _WORKER * share + chance % share


def free_ports(count: int = 1) -> int:
    """The first of so many ports in a row that nobody uses, neither for TCP nor for UDP.

    None is given twice, as it may not be bound at once. They are above those that Linux takes for
    outgoing connections, which so cannot come in between either.
    """
    for first in _even_ports:
        if first + count <= _AFTER and all(map(_is_free, range(first, first + count))):
            for _ in range(2, count, 2):
                next(_even_ports)
            return first
    raise SipError("no free ports")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with closing(socket.socket(socket.AF_INET, kind)) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True


@asynccontextmanager
async def _running(*argv: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a program in that folder, where its output goes; it has ended on the way out."""
    with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=errors
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    for stop in (process.terminate, process.kill):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                stop()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 2)


def _said(folder: Path, where: str) -> str:
    text = (folder / where).read_text(errors="replace")
    return re.sub(r"\x1b\[[\d;]*m?", "", text)[-2000:].strip()


# --- SIPp -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sipp:
    """A SIPp scenario in a folder of its own: ``values`` fill the places in double braces."""

    folder: Path
    server: Server
    scenario: str
    values: dict[str, str]
    port: int
    transport: Transport = "udp"

    def argv(self, *options: str) -> list[str]:
        text = (SCENARIOS / f"{self.scenario}.xml").read_text()
        for name, value in self.values.items():
            text = text.replace(f"{{{{{name}}}}}", value)
        (self.folder / "scenario.xml").write_text(text)
        return [
            *("sipp", f"{self.server.host}:{self.server.port}", "-sf", "scenario.xml"),
            *("-i", HOST, "-p", str(self.port), "-t", f"{self.transport[0]}1"),
            *("-ci", HOST, "-cp", str(free_ports()), "-nostdin", *options),
        ]

    async def run(self, *options: str, within: float) -> None:
        """Runs until all calls are over; raises only if SIPp itself failed."""
        limit = ["-timeout", f"{math.ceil(within)}s"]
        async with _running(*self.argv(*options, *limit), folder=self.folder) as process:
            with suppress(TimeoutError):
                code = await asyncio.wait_for(process.wait(), within + 1)
                if code not in _SIPP_RAN:
                    raise SipError(f"SIPp ended with {code}: {_said(self.folder, 'errors')}")

    def write_accounts(self, rows: Sequence[tuple[str, str]]) -> None:
        lines = [f"{number};{credentials}" for number, credentials in rows]
        (self.folder / "accounts.csv").write_text("\n".join(["SEQUENTIAL", *lines, ""]))

    def messages(self) -> list[Message]:
        """All messages until now, as SIPp logged them."""
        log = self.folder / "messages"
        text = log.read_bytes().decode(errors="replace") if log.exists() else ""
        blocks = re.split(r"^-{40,}.*\n", text, flags=re.MULTILINE)
        found = (re.match(r"\w+ message (sent|received).*:\r?\n\s*", block) for block in blocks)
        pairs = zip(found, blocks, strict=True)
        return [Message.parse(b[m.end() :], sent=m.group(1) == "sent") for m, b in pairs if m]


_SIPP_RAN = {0, 1, 97, 99}  # 1: a call failed
_LOG_MESSAGES = ("-trace_msg", "-message_file", "messages")
_NO_BYE = ("-default_behaviors", "all,-bye")  # SIPp sends one for a refused REGISTER too


async def _single(
    sipp: _Sipp, method: str, account: Account, *options: str, within: float
) -> Outcome:
    """Runs a scenario once; its outcome is the final answer to the last try of its request."""
    if re.search(r"[\[\\]", account.password):
        raise ValueError("SIPp would take such a password for a keyword")
    sipp.write_accounts([(account.number, "[authentication]")])
    credentials = ("-au", account.number, "-ap", account.password)
    once = ("-inf", "accounts.csv", "-m", "1", *_LOG_MESSAGES, *credentials)
    await sipp.run(*once, *options, within=within)
    messages = sipp.messages()
    tries = [m for m in messages if m.sent and m.method == method and not m.status]
    same = [m for m in messages if m.get("CSeq") == tries[-1].get("CSeq")] if tries else []
    final = next((m for m in same if m.status >= 200), None)
    if final is None:
        raise NoAnswer(f"{method}: {[m.first_line for m in messages]}")
    reason = final.first_line.split(" ", 2)[2]
    return Outcome(final.status, reason, final.codecs, messages)


_OWN_ADDRESS = "[local_ip]:[local_port]"


def _contact(transport: Transport, address: str | None = None) -> str:
    tail = "" if transport == "udp" else f";transport={transport}"
    return f"<sip:[field0]@{address or _OWN_ADDRESS}{tail}>"


def _identity(
    address: str | None = None, aor: str | None = None, user_agent: str = "SIPp"
) -> dict[str, str]:
    """Where a REGISTER says that it comes from, whom it registers, and what sends it."""
    return {"via": address or _OWN_ADDRESS, "aor": aor or "[field0]", "agent": user_agent}


async def register(
    server: Server,
    number: str,
    password: str,
    *,
    expires: int = 600,
    transport: Transport = "udp",
    port: int | None = None,
    behind: str | None = None,
    aor: str | None = None,
    user_agent: str = "SIPp",
    within: float = 10,
) -> Outcome:
    """Registers once, and leaves: nobody answers at the contact, which is ``port`` if given.

    ``behind`` NAT it takes this for its address (``192.168.1.2:5060``). ``aor`` is what it wants to
    be reached as, if not its own number. The challenge is answered once. A second one, as for a
    wrong password, is the outcome: 401. Raises NoAnswer where there is none.
    """
    with TemporaryDirectory() as folder:
        values = {"contact": _contact(transport, behind), "expires": str(expires)}
        values |= _identity(behind, aor, user_agent)
        place = port or free_ports()
        sipp = _Sipp(Path(folder), server, "register", values, place, transport)
        return await _single(sipp, "REGISTER", Account(number, password), *_NO_BYE, within=within)


async def unregister(
    server: Server,
    number: str,
    password: str,
    *,
    transport: Transport = "udp",
    within: float = 10,
) -> Outcome:
    """Takes back all of the account's registrations, whoever made them."""
    with TemporaryDirectory() as folder:
        values = {"contact": "*", "expires": "0", **_identity()}
        sipp = _Sipp(Path(folder), server, "register", values, free_ports(), transport)
        return await _single(sipp, "REGISTER", Account(number, password), *_NO_BYE, within=within)


async def register_many(
    server: Server,
    accounts: Sequence[Account],
    *,
    rate: int = 500,
    expires: int = 600,
    port: int | None = None,
    within: float = 120,
) -> Bulk:
    """Registers each account, so many in a second, all from one port; the phones answer nothing.

    Again with the port of the first time, the same contacts are refreshed; with ``expires=0`` they
    are taken back. Ends when all have their final answer, or after that time.
    """
    with TemporaryDirectory() as folder:
        values = {"contact": _contact("udp"), "expires": str(expires), **_identity()}
        sipp = _Sipp(Path(folder), server, "register", values, port or free_ports())
        sipp.write_accounts([(account.number, _credentials(account)) for account in accounts])
        log = ("-trace_shortmsg", "-shortmessage_file", "summary")
        many = ("-inf", "accounts.csv", "-m", str(len(accounts)), "-r", str(rate), *log, *_NO_BYE)
        await sipp.run(*many, "-buff_size", "4194304", within=within)
        return _bulk(Path(folder) / "summary", len(accounts), sipp.port)


def _credentials(account: Account) -> str:
    """The account's line in SIPp's file, which has no way to write these characters."""
    if re.search(r'[\s;"\[\]\\]', account.number + account.password):
        raise ValueError(f"SIPp cannot take such an account in a file: {account}")
    return f"[authentication username={account.number} password={account.password}]"


def _bulk(summary: Path, expected: int, port: int) -> Bulk:
    """From SIPp's log with a line for each message: date, time, epoch, S or R, Call-ID, ..."""
    rows = [line.split("\t") for line in summary.read_text().splitlines()]
    finals = {row[4]: _status(row[6]) for row in rows if row[3] == "R" and _status(row[6]) >= 200}
    statuses = Counter(finals.values())
    if len(finals) < expected:
        statuses[0] = expected - len(finals)
    return Bulk(statuses, float(rows[-1][2]) - float(rows[0][2]), port)


async def call(
    server: Server,
    number: str,
    password: str,
    to: str,
    *,
    codecs: Sequence[str] = ("alaw", "ulaw"),
    ring: float = 5,
    hold: float = 0.2,
    transport: Transport = "udp",
) -> Outcome:
    """Calls ``to``, offering the codecs in that order, and hangs up ``hold`` seconds after a 200.

    Registers nothing. What it hears it sends back. A call that nothing new is heard of for ``ring``
    seconds is cancelled: 487. Raises NoAnswer where the server says nothing at all.
    """
    with TemporaryDirectory() as folder:
        values = {"to": to, "contact": _contact(transport), "hold": _milliseconds(hold)}
        values |= {"ring": _milliseconds(ring), **_offer(codecs)}
        sipp = _Sipp(Path(folder), server, "call", values, free_ports(), transport)
        return await _single(
            sipp, "INVITE", Account(number, password), *_echo(), within=ring + hold + 10
        )


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _echo(*, audible: bool = True) -> tuple[str, ...]:
    return "-mi", HOST, "-mp", str(free_ports(4)), *(["-rtp_echo"] if audible else [])


class AnsweringPhone:
    """A phone that is registered, takes each call with its first codec, and sends back its sound.

    It keeps what it was sent in ``requests``: calls, and also OPTIONS and NOTIFY, which it says yes
    to. On the way out it stays registered, as a phone that lost its power. One that is not
    ``audible`` sends no sound at all.
    """

    def __init__(
        self,
        server: Server,
        number: str,
        password: str,
        *,
        codecs: Sequence[str] = ("alaw", "ulaw"),
        audible: bool = True,
    ) -> None:
        self.server, self.account, self.codecs = server, Account(number, password), codecs
        self.audible = audible
        self.port = free_ports()
        self._stack = AsyncExitStack()
        self._sipp: _Sipp | None = None

    async def __aenter__(self) -> Self:
        outcome = await register(self.server, *self.account, port=self.port)
        if outcome.status != 200:
            raise RegistrationFailed(f"{outcome.status} {outcome.reason}")
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            self._sipp = _Sipp(folder, self.server, "answer", _offer(self.codecs), self.port)
            media = _echo(audible=self.audible)
            argv = self._sipp.argv(*_LOG_MESSAGES, *media, "-timeout", f"{LIFETIME}s")
            process = await stack.enter_async_context(_running(*argv, folder=folder))
            await self._listening(process)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def requests(self) -> list[Message]:
        """All requests until now, in their order."""
        messages = self._sipp.messages() if self._sipp else []
        return [message for message in messages if not message.sent and not message.status]

    async def request(self, method: str = "INVITE", *, within: float = 10) -> Message:
        """The first request of that method, now or in a while: has ``caller`` and ``codecs``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    for message in self.requests:
                        if message.method == method:
                            return message
                    await asyncio.sleep(0.05)
        raise NoAnswer(f"no {method}: {[message.first_line for message in self.requests]}")

    async def _listening(self, process: asyncio.subprocess.Process) -> None:
        for _ in range(100):
            if process.returncode is not None:
                break
            if not _is_free(self.port):
                return
            await asyncio.sleep(0.05)
        raise SipError("SIPp does not listen")


# --- baresip --------------------------------------------------------------------------------------


class Call(NamedTuple):
    """An answered call: with whom, and the codec of each direction."""

    peer: str
    sends: str
    receives: str


class Phone:
    """A baresip, registered while it is entered, that plays a tone and records what it hears.

    ``codecs`` are what it offers and takes, the preferred one first. Recordings are in ``folder``,
    which is the phone's own and gone afterwards unless one is given. Entering raises
    RegistrationFailed with the server's answer.
    """

    def __init__(
        self,
        server: Server,
        number: str,
        password: str,
        *,
        codecs: Sequence[str] = ("alaw",),
        tone: int = 440,
        auto_answer: bool = False,
        transport: Transport = "udp",
        folder: Path | None = None,
        place: Place | None = None,
    ) -> None:
        if unknown := [name for name in codecs if not CODECS[name].module]:
            raise ValueError(f"baresip does not speak {unknown}")
        if re.search(r'[\s;"<>]', number + password):
            raise ValueError("baresip cannot take such an account on its command line")
        self.server, self.account, self.codecs = server, Account(number, password), codecs
        self.tone, self.auto_answer, self.transport = tone, auto_answer, transport
        self.registered = False
        self.state = "idle"  # calling, ringing, talking
        self.reason = ""  # of the last call's or registration's end
        self.peer = ""
        self.port = 0
        self._folder = folder
        self._enter = ("ip", "netns", "exec", place.namespace) if place else ()
        self._address = place.address if place else HOST
        self._control = place.control if place else HOST
        self._stack = AsyncExitStack()
        self._news = asyncio.Condition()
        self._answers: dict[str, asyncio.Future[str]] = {}
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            place = self._folder or Path(stack.enter_context(TemporaryDirectory()))
            place.mkdir(parents=True, exist_ok=True)
            self._folder = place
            self.port = free_ports(8)
            (place / "config").write_text(self._config())
            (place / "accounts").write_text(self._accounts())
            argv = (*self._enter, "baresip", "-f", str(place), "-t", str(LIFETIME))
            process = await stack.enter_async_context(_running(*argv, folder=place))
            listener = asyncio.create_task(self._listen(await self._connect(process)))
            stack.callback(listener.cancel)
            stack.push_async_callback(self._leave, process)
            await self._register()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def dial(self, number: str, *, within: float = 10) -> Call:
        """Calls, and waits until it is answered; raises CallFailed with the reason if refused."""
        self.state = "calling"
        await self.command("dial", number)
        await self._until(lambda: self.state in {"talking", "idle"}, f"call to {number}", within)
        if self.state == "idle":
            raise CallFailed(self.reason)
        return await self.talk()

    async def answer(self, *, within: float = 10) -> Call:
        """Waits for a call and takes it; for phones without auto_answer."""
        await self._until(lambda: self.state == "ringing", "a call", within)
        await self.command("accept")
        return await self.established(within=within)

    async def established(self, *, within: float = 10) -> Call:
        """Waits until a call is answered, whoever called."""
        await self._until(lambda: self.state == "talking", "an established call", within)
        return await self.talk()

    async def talk(self) -> Call:
        """The call at hand, with the codecs of this moment."""
        text = await self.command("audio_debug")
        found = dict(re.findall(r"(encode|decode): (\S+ \d+)Hz", text))
        return Call(self.peer, _spoken(found["encode"]), _spoken(found["decode"]))

    async def hangup(self) -> None:
        await self.command("hangup")
        await self.ended()

    async def ended(self, *, within: float = 10) -> str:
        """Waits until there is no call; the reason why it ended."""
        await self._until(lambda: self.state == "idle", "the end of the call", within)
        return self.reason

    async def heard(self, *, seconds: float = 1.0, within: float = 10) -> float:
        """The strongest frequency in what came in, after so many more seconds of sound."""
        before = self._recorded()
        for _ in range(math.ceil(within * 10)):
            if self._recorded() - before >= seconds:
                return heard_frequency(self.recordings[-1])
            await asyncio.sleep(0.1)
        raise SipError(f"only {self._recorded() - before} s of sound came in")

    @property
    def recordings(self) -> list[Path]:
        """A wave file for each call, and for each change of codec, of what came in."""
        files = self._folder.glob("dump-*-dec.wav") if self._folder else []
        return sorted(files, key=lambda file: file.stat().st_mtime_ns)

    async def command(self, name: str, params: str = "", *, within: float = 5) -> str:
        """Has baresip do a command of its menu, and returns what it printed."""
        if not self._writer:
            raise SipError("the phone is off")
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        token = str(id(answer))
        self._answers[token] = answer
        text = json.dumps({"command": name, "params": params, "token": token})
        self._writer.write(f"{len(text)}:{text},".encode())
        async with asyncio.timeout(within):
            return await answer

    def _config(self) -> str:
        # The port after sip_listen's is taken for TLS. ausine is 48 kHz stereo only, and resampled.
        modules = sorted({CODECS[name].module for name in self.codecs})
        lines = [
            f"sip_listen {self._address}:{self.port}",
            f"ctrl_tcp_listen {self._control}:{self.port + 2}",
            f"rtp_ports {self.port + 4}-{self.port + 7}",
            f"net_interface {self._address}",
            f"audio_source ausine,{self.tone}",
            *("ausrc_srate 48000", "ausrc_channels 2"),
            f"snd_path {self._folder}",
            "statmode_default off",
            f"module_path {_baresip_modules()}",
            *(f"module {name}.so" for name in [*modules, "ausine", "sndfile"]),
            "module_tmp account.so",
            *(f"module_app {name}.so" for name in ("menu", "debug_cmd", "ctrl_tcp")),
        ]
        return "\n".join([*lines, ""])

    def _accounts(self) -> str:
        """What the file of accounts holds when baresip starts: none, as one is added later."""
        return "\n"

    def _account(self) -> str:
        number, password = self.account
        where = f"{self.server.host}:{self.server.port}"
        parameters = {
            "auth_user": number,
            "auth_pass": password,
            "answermode": "auto" if self.auto_answer else "manual",
            "audio_codecs": ",".join(CODECS[name].baresip for name in self.codecs),
            "regint": "600",
        }
        tail = "".join(f";{name}={value}" for name, value in parameters.items())
        return f"<sip:{number}@{where};transport={self.transport}>{tail}"

    async def _connect(self, process: asyncio.subprocess.Process) -> asyncio.StreamReader:
        for _ in range(100):
            with suppress(OSError):
                reader, self._writer = await asyncio.open_connection(self._control, self.port + 2)
                return reader
            if process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise SipError(f"baresip does not run: {_said(self._folder or Path(), 'output')}")

    async def _register(self) -> None:
        await self.command("uanew", self._account())
        await self._until(lambda: self.registered or bool(self.reason), "registration", 10)
        if not self.registered:
            raise RegistrationFailed(self.reason)

    async def _leave(self, process: asyncio.subprocess.Process) -> None:
        """Has it unregister and end, for which it has two seconds."""
        with suppress(SipError, OSError, TimeoutError):
            await self.command("quit", within=1)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 2)
        if self._writer:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
        self._writer, self.registered, self.state = None, False, "idle"

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Takes netstrings of JSON: ``12:{"event":...},``."""
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                length = int((await reader.readuntil(b":"))[:-1])
                text = (await reader.readexactly(length + 1))[:-1]
                await self._take(json.loads(text))

    async def _take(self, news: dict[str, Any]) -> None:
        if news.get("response"):
            answer = self._answers.pop(news.get("token", ""), None)
            if answer and not answer.done():
                answer.set_result(news["data"])
            return
        async with self._news:
            self._change(news["type"], news)
            self._news.notify_all()

    def _change(self, what: str, event: dict[str, Any]) -> None:
        states = {
            "CALL_INCOMING": "ringing",
            "CALL_ESTABLISHED": "talking",
            "CALL_CLOSED": "idle",
        }
        self.state = states.get(what, self.state)
        if what in {"CALL_CLOSED", "REGISTER_FAIL"}:
            self.reason = event.get("param", "") or what
        if what in {"REGISTER_OK", "REGISTER_FAIL", "UNREGISTERING"}:
            self.registered = what == "REGISTER_OK"
        self.peer = event.get("peeruri", self.peer)

    async def _until(self, true: Callable[[], bool], what: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(true)
        except TimeoutError:
            raise NoAnswer(f"{what}: none in {seconds} s ({self.state})") from None

    def _recorded(self) -> float:
        """Seconds in all recordings."""
        return sum(len(samples) / rate for rate, samples in map(_wave, self.recordings))


def _baresip_modules() -> Path:
    """The folder of its modules, which it does not find by itself."""
    program = shutil.which("baresip")
    prefix = Path(program).resolve().parent.parent if program else Path()
    found = [*prefix.glob("lib/baresip/modules"), *prefix.glob("lib/*/baresip/modules")]
    if not found:
        raise SipError("baresip's modules are missing")
    return found[0]


def _spoken(name_and_rate: str) -> str:
    """Asterisk's name for ``G722 16000``."""
    name, rate = name_and_rate.split()
    return next(
        (ours for ours, codec in CODECS.items() if codec.baresip.startswith(f"{name}/{rate}/")),
        name,
    )


# --- sound ----------------------------------------------------------------------------------------


def heard_frequency(path: Path, *, seconds: float = 0.5) -> float:
    """The strongest frequency in the last ``seconds`` of a 16-bit wave file, to 1 Hz.

    Also while it is recorded. 0 for silence; SipError if it is shorter than that.
    """
    rate, samples = _wave(path)
    last = samples[-int(rate * seconds) :]
    if len(last) < int(rate * seconds):
        raise SipError(f"{path.name} has only {len(samples) / rate} s")
    if math.sqrt(sum(sample * sample for sample in last) / len(last)) < 50:
        return 0.0
    # A tenth of a second tells frequencies apart by 10 Hz: so look there first, roughly.
    rough = _strongest(last[: rate // 10], rate, range(50, 3800, 5))
    return float(_strongest(last, rate, range(rough - 10, rough + 11)))


def _wave(path: Path) -> tuple[int, Sequence[int]]:
    """Rate and samples of the first channel; by the file's size, for the header is written last."""
    content = path.read_bytes()
    at = content.find(b"data") + 8
    if at < 44:
        return 8000, ()
    channels, rate = struct.unpack_from("<HI", content, content.find(b"fmt ") + 10)
    samples = array("h", content[at : at + (len(content) - at) // 2 * 2])
    return rate, samples[::channels]


def _strongest(samples: Sequence[int], rate: int, frequencies: Sequence[int]) -> int:
    return max(frequencies, key=lambda frequency: _goertzel(samples, frequency / rate))


def _goertzel(samples: Sequence[int], cycles_per_sample: float) -> float:
    """The power of one frequency."""
    factor = 2 * math.cos(2 * math.pi * cycles_per_sample)
    last = before = 0.0
    for sample in samples:
        last, before = sample + factor * last - before, last
    return last * last + before * before - factor * last * before
