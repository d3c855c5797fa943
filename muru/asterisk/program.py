"""Finds an Asterisk on this machine, and runs it as an ordinary child process."""

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from muru.errors import MuruError
from muru.settings import Settings

_log = logging.getLogger(__name__)

OLDEST_VERSION = 20
_STOP_TRIES, _STOP_PAUSE = 10, 1.0  # how often it is asked to end, and with which seconds between
_RESTART_BACKOFF = (1.0, 30.0)  # seconds: first, longest
_LONGEST_SOCKET_PATH = 107  # of a Unix socket, sun_path of unix(7)


@dataclass(frozen=True, slots=True)
class Program:
    """How to run an Asterisk: the *command* up to its own arguments, and where its parts lie.

    *root* is ``/`` for the machine's own, else the folder that scripts/get-asterisk made.
    """

    command: tuple[str, ...]
    root: Path
    modules: Path
    data: Path

    @property
    def libraries(self) -> Path:
        """The folder that holds ODBC's drivers, among others."""
        return self.modules.parent.parent


def find(settings: Settings) -> Program:
    """Return the Asterisk on PATH if it is new enough, else that in ``MURU_ASTERISK_ROOT``.

    Raises:
        MuruError: there is none; the text says how to get one.
    """
    own = shutil.which("asterisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if own and settings.asterisk_root is None and _version(own) >= OLDEST_VERSION:
        modules = _first(
            *Path("/usr/lib").glob("*/asterisk/modules"),
            Path("/usr/lib/asterisk/modules"),
            Path("/usr/lib64/asterisk/modules"),
            Path("/usr/local/lib/asterisk/modules"),
        )
        data = _first(Path("/usr/share/asterisk"), Path("/var/lib/asterisk"))
        if modules and data:
            return Program((own,), Path("/"), modules, data)
    root = settings.asterisk_root or _default_root()
    program = root / "usr/sbin/asterisk"
    if not program.exists():
        raise MuruError(
            f"There is no Asterisk {OLDEST_VERSION} or newer on this machine, and none in {root}. "
            "Install it, or let scripts/get-asterisk fetch one (make asterisk; needs root once)."
        )
    modules = _first(*root.glob("usr/lib/*/asterisk/modules"))
    loader = _first(*root.glob("lib64/ld-linux-*.so.*"), *root.glob("lib/ld-linux-*.so.*"))
    if modules is None or loader is None:
        raise MuruError(f"{root} is not complete: delete it, and run scripts/get-asterisk again.")
    # Its own loader and libraries, so that those of the host need not fit, and no chroot is needed.
    libraries = str(modules.parent.parent)
    command = (str(loader), "--library-path", libraries, str(program))
    return Program(command, root, modules, root / "usr/share/asterisk")


def _version(program: str) -> int:
    try:
        output = subprocess.run(  # noqa: S603
            [program, "-V"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"Asterisk (?:certified/)?(\d+)", output)
    return int(found[1]) if found else 0


def _first(*candidates: Path) -> Path | None:
    return next((path for path in candidates if path.is_dir() or path.is_file()), None)


def _default_root() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "muru/asterisk-root"


class Process:
    """An Asterisk with the configuration in *folder*, started again when it dies.

    *state* is the folder of its own data, by default that around *folder*.
    """

    def __init__(self, program: Program, folder: Path, state: Path | None = None) -> None:
        self._program = program
        self._folder = folder
        self._state = state or folder.parent
        self._lock: IO[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start it, after ending one that an earlier run left behind with the same configuration.

        Raises:
            MuruError: it cannot be started at all, or another muru runs one with this folder.
        """
        self._lock = self._take_lock()
        try:
            await asyncio.to_thread(self._end_left_over)
            await self._spawn()
        except MuruError:
            self._lock.close()
            raise
        self._task = asyncio.create_task(self._keep_up(), name="asterisk process")

    async def stop(self) -> None:
        """End it; kill it if it does not end by itself."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._process is not None:
            await self._end(self._process)
        if self._lock is not None:
            self._lock.close()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        # Asked again and again, since an Asterisk that is only just starting may lose a signal.
        for number in (*[signal.SIGTERM] * _STOP_TRIES, signal.SIGKILL):
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_STOP_PAUSE):
                        await process.wait()

    def command_line(self, command: str) -> str:
        """Run a command at Asterisk's console and return what it prints; blocks."""
        return self._console(command).stdout

    async def _spawn(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments("-f"),
                env={
                    **os.environ,
                    "ODBCSYSINI": str(self._folder),
                    "ODBCINI": str(self._folder / "odbc.ini"),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is muru's to handle, which then ends it in order
            )
        except OSError as error:
            raise MuruError(f"Asterisk cannot be started: {error}") from error

    async def _keep_up(self) -> None:
        pause = _RESTART_BACKOFF[0]
        loop = asyncio.get_running_loop()
        while self._process is not None:
            began = loop.time()
            code = await self._process.wait()
            if loop.time() - began > 60:
                pause = _RESTART_BACKOFF[0]
            _log.error(
                "Asterisk ended with code %s; starting it again in %g s (its log is in %s)",
                code,
                pause,
                self._state / "log",
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RESTART_BACKOFF[1])
            try:
                await self._spawn()
            except MuruError as error:  # it may be amid an upgrade
                _log.error("%s", error)

    def _take_lock(self) -> IO[str]:
        """Tell a left-over, whose muru is dead, from an Asterisk that another muru needs."""
        lock = (self._state / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise MuruError(
                f"muru runs already, with an Asterisk in {self._state}. End it first, or"
                " set MURU_DATA_DIR to another folder."
            ) from None
        return lock

    def _end_left_over(self) -> None:
        control = self._state / "run/asterisk.ctl"
        if len(str(control)) > _LONGEST_SOCKET_PATH:
            raise MuruError(f"The path {control} is too long for a socket: shorten MURU_DATA_DIR.")
        pid = self._left_over()
        if pid is not None:
            _log.warning("ending an Asterisk (process %d) that an earlier run left behind", pid)
        for number in (*[signal.SIGTERM] * _STOP_TRIES, signal.SIGKILL):
            deadline = time.monotonic() + _STOP_PAUSE
            while self._left_over() == pid is not None:
                if time.monotonic() > deadline:
                    break
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                time.sleep(0.1)
        control.unlink(missing_ok=True)

    def _left_over(self) -> int | None:
        """Return the id of a process that runs with this configuration."""
        try:
            pid = int((self._state / "run/asterisk.pid").read_text())
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self._folder / "asterisk.conf") in arguments else None

    def _console(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            self._arguments("-rx", command), capture_output=True, text=True, timeout=30, check=False
        )

    def _arguments(self, *more: str) -> Sequence[str]:
        return (*self._program.command, "-C", str(self._folder / "asterisk.conf"), *more)
