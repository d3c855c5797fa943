"""Sockets from systemd, or from whoever says so in the environment."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from muru.provisioning.tftp.activation import inherited_socket
from tests.provisioning.tftp.raw_client import RawClient

ROOT = Path(__file__).resolve().parents[3]

# Serves each file's own name, on the socket that it is started with, until its input ends.
PROGRAM = """
import asyncio, os, sys
from muru.provisioning.tftp.activation import inherited_socket
from muru.provisioning.tftp.server import TftpServer

async def main():
    async def answer(request):
        return f"{request.filename} at {request.local}".encode()

    server = TftpServer(answer, host="192.0.2.1", port=69, inherited=inherited_socket())
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    os.fstat(3), os.fstat(4)  # they are still as they were passed

asyncio.run(main())
"""


IP_PKTINFO = 8  # Linux's


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    """A socket as systemd makes it where the unit says PassPacketInfo=yes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        opened.bind(("127.0.0.1", 0))
        yield opened


async def test_socket_of_the_service_manager(udp: socket.socket) -> None:
    """A process that is started with sockets, as systemd does it, serves on the first for UDP."""
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        passed = f"3<&{tcp.fileno()} 4<&{udp.fileno()}"
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS=2 exec "$@" {passed}', "bash"),
            *(sys.executable, "-c", PROGRAM),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            pass_fds=(tcp.fileno(), udp.fileno()),
        )
    port = udp.getsockname()[1]
    with RawClient(port) as client:
        assert await client.fetch("a.cfg", tsize="0") == b"a.cfg at 127.0.0.1"
    async with asyncio.timeout(10):
        await process.communicate(b"")

    assert process.returncode == 0


@pytest.mark.parametrize(
    ("pid", "count"),
    [
        ("", "1"),
        ("1", "1"),
        ("{pid} ", "1"),
        ("-{pid}", "1"),
        ("{pid}", ""),
        ("{pid}", "0"),
        ("{pid}", "-1"),
        ("{pid}", "one"),
        ("{pid}", "²"),
        ("{pid}", "9" * 5000),
    ],
)
def test_environment_that_is_not_meant(
    udp: socket.socket, monkeypatch: pytest.MonkeyPatch, pid: str, count: str
) -> None:
    """What is meant for another process, or makes no sense, is as if nothing had been passed."""
    monkeypatch.setattr("muru.provisioning.tftp.activation._FIRST", udp.fileno())
    monkeypatch.setenv("LISTEN_PID", pid.format(pid=os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)

    assert inherited_socket() is None


def test_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was started in the ordinary way has no such socket."""
    monkeypatch.delenv("LISTEN_PID", raising=False)
    monkeypatch.delenv("LISTEN_FDS", raising=False)

    assert inherited_socket() is None


def test_other_descriptors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Closed descriptors, files and other sockets are passed over, and stay as they are."""
    with ExitStack() as stack:
        others: list[IO[str] | socket.socket] = [
            stack.enter_context((tmp_path / "file").open("w")),
            stack.enter_context(socket.create_server(("127.0.0.1", 0))),
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),  # not bound
            stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)),
        ]
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "64")
        monkeypatch.setattr("muru.provisioning.tftp.activation._FIRST", others[0].fileno())
        assert inherited_socket() is None

        udp = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        udp.bind(("::1", 0))
        with inherited_socket() as found, inherited_socket() as again:  # type: ignore[union-attr]
            assert found.getsockname() == again.getsockname() == udp.getsockname()
            assert not found.get_inheritable()
            assert len({found.fileno(), again.fileno(), udp.fileno()}) == 3
        assert all(os.fstat(other.fileno()) for other in others)
