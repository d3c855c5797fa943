"""How many phones fetch their configuration by TFTP per second, beside Debian's two servers."""

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import product
from pathlib import Path
from subprocess import PIPE

from bench import HOST
from bench.client import Load
from bench.report import Report
from bench.servers import until
from bench.sites import Bench, free_port
from bench.tftp_phones import File, fetch

_ROOT = Path(__file__).resolve().parent.parent
_NAME = "phone.cfg"
_CONTENT = bytes(range(32, 126)) * 64  # 6,016 bytes
_PHONES = (1, 200)
_BLOCK_SIZES = (512, 1428)  # without options, and the largest that Ethernet carries unbroken


async def measure(bench: Bench, report: Report) -> None:
    folder = bench.folder / "tftp"
    folder.mkdir()
    (folder / _NAME).write_bytes(_CONTENT)
    best: dict[tuple[int, int, str], Load] = {}
    async with AsyncExitStack() as stack:
        ports = {
            name: await stack.enter_async_context(_running(folder, port, argv))
            for name, (port, argv) in (await _servers(folder, report)).items()
        }
        for _ in range(bench.rounds):
            for case in product(_PHONES, _BLOCK_SIZES, ports):
                phones, block_size, name = case
                file = File(ports[name], _NAME, _CONTENT, block_size)
                done = await asyncio.to_thread(fetch, file, phones, 0.5 if bench.quick else 1.0)
                best[case] = max(done, best.get(case, done), key=lambda load: load.rate)
    for (phones, block_size, name), load in best.items():
        numbers = {"/s": load.rate, "ms p99": load.percentile(99)}
        if name == "muru":
            for other in [other for other in ports if other != name]:
                numbers[f"x {other}"] = load.rate / best[phones, block_size, other].rate
        count = "1 phone" if phones == 1 else f"{phones} phones"
        report.add(f"{name}, {count}, blocks of {block_size:,}", numbers)


async def _servers(folder: Path, report: Report) -> dict[str, tuple[int, list[str]]]:
    """The port and the command line of each server that can be had."""
    port = free_port()
    argv = [sys.executable, "-m", "bench.tftp_server", str(port), str(folder / _NAME)]
    found = {"muru": (port, argv)}
    getting = await asyncio.create_subprocess_exec(
        "scripts/get-tftp-servers", cwd=_ROOT, stdout=PIPE
    )
    printed, _ = await getting.communicate()
    if getting.returncode:
        report.note("tftpd-hpa and atftpd are missing")
        return found
    programs = f"{printed.decode().strip()}/usr/sbin"
    user = getpass.getuser()
    if os.geteuid() == 0:
        port = free_port()
        argv = [f"{programs}/in.tftpd", "--foreground", "--listen", "--address", f"{HOST}:{port}"]
        found["tftpd-hpa"] = port, [*argv, "--user", user, "--secure", str(folder)]
    else:
        report.note("tftpd-hpa is missing: it starts as root only")
    port = free_port()
    argv = [f"{programs}/atftpd", "--daemon", "--no-fork", "--bind-address", HOST]
    argv += ["--port", str(port), "--user", user, "--logfile", "/dev/null"]
    found["atftpd"] = (
        port,
        [*argv, "--maxthread", "1000", str(folder)],
    )  # 100 would turn phones away
    return found


@asynccontextmanager
async def _running(folder: Path, port: int, argv: list[str]) -> AsyncIterator[int]:
    """Run a server; give its port when it is open."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    if argv[0] != sys.executable:  # it is where it was unpacked, and so are its libraries
        libraries = Path(argv[0]).parents[1] / "lib"
        environment["LD_LIBRARY_PATH"] = ":".join(map(str, libraries.glob("*-linux-gnu")))
    process = await asyncio.create_subprocess_exec(*argv, env=environment, cwd=folder)
    try:
        await until(lambda: _is_taken(port))
        yield port
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attempt:
        try:
            attempt.bind((HOST, port))
        except OSError:
            return True
    return False
