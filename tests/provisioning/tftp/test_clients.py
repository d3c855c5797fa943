"""Real TFTP clients fetch files: tftp-hpa, atftp, curl and BusyBox's, each in its own manner."""

import asyncio
import random
import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muru.provisioning.tftp.packet import to_netascii
from muru.provisioning.tftp.request import AccessRefused, FileNotFound, ReadRequest
from muru.provisioning.tftp.server import TftpServer

PROGRAMS = ("tftp", "atftp", "curl", "busybox")
MISSING = [program for program in PROGRAMS if not shutil.which(program)]

FIRMWARE = "40000000"
NOISE = random.Random(1350).randbytes(1_000_000) * 40
TEXT = b"one\ntwo\r\nthree\rfour\n" * 100

CLIENTS = {
    "tftp-hpa": "tftp -m octet 127.0.0.1 {port} -c get {name} {out}",
    "tftp-hpa by IPv6": "tftp -6 -m octet ::1 {port} -c get /{name} {out}",
    "atftp": "atftp -g -r '\\{name}' -l {out} 127.0.0.1 {port}",
    "atftp, options": "atftp -g -r {name} -l {out} --option 'blksize 1428' --option 'tsize 0'"
    " --option 'timeout 3' --option 'windowsize 8' 127.0.0.1 {port}",
    "curl": "curl -sS tftp://127.0.0.1:{port}/{name} -o {out}",
    "curl, no options": "curl -sS --tftp-no-options tftp://127.0.0.1:{port}//{name} -o {out}",
    "curl by IPv6, large": "curl -sS --tftp-blksize 65464 tftp://[::1]:{port}/{name} -o {out}",
    "curl, small": "curl -sS --tftp-blksize 8 tftp://127.0.0.1:{port}/{name} -o {out}",
    "busybox": "busybox tftp -g -r {name} -l {out} 127.0.0.1 {port}",
    "busybox, options": "busybox tftp -g -b 1428 -r //{name} -l {out} 127.0.0.1 {port}",
    "busybox, small": "busybox tftp -g -b 64 -r ./{name} -l {out} 127.0.0.1 {port}",
}
FIRMWARE_CLIENTS = [
    ["tftp-hpa", "atftp", "curl, no options", "busybox"],
    ["atftp, options", "curl by IPv6, large", "busybox, options"],  # tftp-hpa's knows none
]


async def answer(request: ReadRequest) -> bytes:
    """Files are named for their size."""
    if request.filename == "text":
        return TEXT
    if request.filename == "secret":
        raise AccessRefused
    if not request.filename.isdigit():
        raise FileNotFound
    return NOISE[: int(request.filename)]


@pytest.fixture(autouse=True)
def programs() -> None:
    if MISSING:
        pytest.fail(f"{', '.join(MISSING)} not found: sudo make test-parts")


@pytest.fixture
async def server() -> AsyncIterator[TftpServer]:
    started = TftpServer(answer, host="::", port=0)
    await started.start()
    yield started
    await started.stop()


async def run(command: str, server: TftpServer, name: str, out: Path) -> tuple[int, str]:
    """A client's exit code, and what it printed."""
    arguments = shlex.split(command.format(port=server.port, name=name, out=out))
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode()


@pytest.mark.parametrize("client", CLIENTS)
async def test_sizes(server: TftpServer, tmp_path: Path, client: str) -> None:
    """Files of all sizes around those of blocks come whole, the empty one too."""
    for size in (0, 8, 511, 512, 513, 1428, 5121):
        out = tmp_path / str(size)
        code, output = await run(CLIENTS[client], server, out.name, out)

        assert code == 0, output
        # curl makes no file of an empty answer without options.
        assert (out.read_bytes() if size or out.exists() else b"") == NOISE[:size]
    assert server.counters.retransmits == 0


@pytest.mark.parametrize("clients", FIRMWARE_CLIENTS, ids=["no options", "options"])
async def test_firmware(server: TftpServer, tmp_path: Path, clients: list[str]) -> None:
    """40 MB come whole to several at once, also in 78,126 blocks, whose number rolls over."""
    outs = [tmp_path / str(number) for number in range(len(clients))]
    fetching = [
        run(CLIENTS[client], server, FIRMWARE, out)
        for client, out in zip(clients, outs, strict=True)
    ]
    results = await asyncio.gather(*fetching)

    assert [code for code, _ in results] == [0] * len(clients), results
    assert all(out.read_bytes() == NOISE for out in outs)


@pytest.mark.parametrize(
    "command",
    [
        "tftp -m ascii 127.0.0.1 {port} -c get {name} {out}",
        "atftp -g -r {name} -l {out} --option 'mode netascii' --option 'tsize 0' 127.0.0.1 {port}",
    ],
)
async def test_netascii(server: TftpServer, tmp_path: Path, command: str) -> None:
    """A text in netascii is the same when the client has translated it back."""
    await run(command, server, "text", tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == TEXT


async def test_netascii_on_the_wire(server: TftpServer, tmp_path: Path) -> None:
    """curl shows what is on the wire in netascii, as it does not translate back."""
    command = "curl -sS 'tftp://127.0.0.1:{port}/{name};mode=netascii' -o {out}"
    await run(command, server, "text", tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == to_netascii(TEXT)


@pytest.mark.parametrize(
    "command",
    [
        "tftp -m octet 127.0.0.1 {port} -c get '{name}' {out}",
        "atftp -g -r '{name}' -l {out} 127.0.0.1 {port}",
        "curl -sS --path-as-is 'tftp://127.0.0.1:{port}/{name}' -o {out}",
        "busybox tftp -g -r '{name}' -l {out} 127.0.0.1 {port}",
    ],
)
async def test_names(tmp_path: Path, command: str) -> None:
    """Slashes, backslashes, dots and letter case reach the answer in one form, ``..`` never."""
    asked: list[str] = []

    async def remember(request: ReadRequest) -> bytes:
        asked.append(request.filename)
        return b"found"

    server = TftpServer(remember, host="127.0.0.1", port=0)
    await server.start()
    try:
        for name in ("SPA504g.CFG", "/a.cfg", "//Snom//./A.cfg", "\\Cisco\\sip.cnf", "./b/"):
            out = tmp_path / str(len(asked))
            code, output = await run(command, server, name, out)
            assert code == 0, output
            assert out.read_bytes() == b"found"
        for name in ("../passwd", "a/../../passwd", "..\\passwd"):
            _, output = await run(command, server, name, tmp_path / "none")
            assert "access refused" in output or "(69)" in output
    finally:
        await server.stop()

    assert asked == ["SPA504g.CFG", "a.cfg", "Snom/A.cfg", "Cisco/sip.cnf", "b"]


@pytest.mark.parametrize(
    ("client", "absent", "secret"),
    [
        ("tftp-hpa", "Error code 1: file not found", "Error code 2: access refused"),
        ("atftp", "<file not found>", "<access refused>"),
        ("curl", "(68)", "(69)"),
        ("busybox", "server error: (1) file not found", "server error: (2) access refused"),
    ],
)
async def test_errors(
    server: TftpServer, tmp_path: Path, client: str, absent: str, secret: str
) -> None:
    """Clients understand what is wrong, and at once."""
    async with asyncio.timeout(4):
        assert absent in (await run(CLIENTS[client], server, "absent", tmp_path / "out"))[1]
        assert secret in (await run(CLIENTS[client], server, "secret", tmp_path / "out"))[1]


@pytest.mark.parametrize(
    "command",
    [
        "tftp -m octet 127.0.0.1 {port} -c put {out} {name}",
        "atftp -p -l {out} -r {name} 127.0.0.1 {port}",
        "curl -sS -T {out} tftp://127.0.0.1:{port}/{name}",
        "busybox tftp -p -l {out} -r {name} 127.0.0.1 {port}",
    ],
)
async def test_upload(server: TftpServer, tmp_path: Path, command: str) -> None:
    """Phones that want to leave their logs here are turned away at once."""
    (tmp_path / "out").write_bytes(b"log")
    async with asyncio.timeout(4):
        _, output = await run(command, server, "phone.log", tmp_path / "out")

    assert "read only" in output or "(69)" in output
    assert server.counters.refused == 1


async def test_busy(tmp_path: Path) -> None:
    """A client that finds no room asks again, and comes to its turn."""

    async def wait_for_a_crowd(request: ReadRequest) -> bytes:
        async with asyncio.timeout(5):
            while not busy.counters.busy:  # noqa: ASYNC110 - a number sets no event
                await asyncio.sleep(0.01)
        return await answer(request)

    busy = TftpServer(wait_for_a_crowd, host="127.0.0.1", port=0, max_per_address=1)
    await busy.start()
    command = CLIENTS["curl"].replace("-sS", "-sS --connect-timeout 3")  # asks each second
    outs = [tmp_path / "1000", tmp_path / "2000"]
    try:
        results = await asyncio.gather(*(run(command, busy, out.name, out) for out in outs))
    finally:
        await busy.stop()

    assert results == [(0, ""), (0, "")]
    assert [out.read_bytes() for out in outs] == [NOISE[:1000], NOISE[:2000]]
