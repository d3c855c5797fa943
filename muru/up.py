"""Runs the controller (``muru serve``), or it and Asterisk together (``muru up``)."""

import asyncio
import gc
import logging
import resource
import signal
from contextlib import suppress

from aiohttp import web

from muru.addresses import own_address
from muru.app import create_app
from muru.asterisk import config, program
from muru.asterisk.ami import Ami
from muru.db import migrations
from muru.db.sessions import Database
from muru.errors import DatabaseUnavailable, MuruError
from muru.keys import AMI, DOORS, SITE
from muru.provisioning.tftp.server import TftpServer
from muru.services.users import ensure_administrator
from muru.settings import Settings

_log = logging.getLogger(__name__)

_MOST_FILES = 65_536
_BOOT_LOOKS, _BOOT_PAUSE = 50, 0.1  # times, seconds
_ASTERISK_PATIENCE = 20.0  # seconds until it is said that Asterisk is slow to come up


async def up(settings: Settings) -> int:
    """Start Asterisk and the controller, say where they are, and end both on Ctrl-C or SIGTERM."""
    stop = _stop_on_signals()
    found = program.find(settings)
    await _upgrade(settings)
    folder = settings.data_dir.absolute() / "asterisk/etc"
    config.write(settings, found, folder)
    asterisk = program.Process(found, folder)
    await asterisk.start()
    try:
        await _wait_for_ami(settings)
        return await _run(settings, stop, with_asterisk=True)
    finally:
        await asterisk.stop()


async def serve(settings: Settings) -> int:
    """Run the controller alone; Asterisk may be away, and come and go."""
    return await _run(settings, _stop_on_signals(), with_asterisk=False)


async def _wait_for_ami(settings: Settings) -> None:
    """Give Asterisk the second that it takes to boot, so that no failed attempt alarms anybody."""
    for _ in range(_BOOT_LOOKS):
        with suppress(OSError):
            _, writer = await asyncio.open_connection(settings.ami_host, settings.ami_port)
            writer.close()
            return
        await asyncio.sleep(_BOOT_PAUSE)


async def _upgrade(settings: Settings) -> None:
    # Before Asterisk starts: SQLite's file has to be there, with its tables.
    settings.make_data_dir()
    database = Database(settings.database, settings.asterisk_database)
    try:
        await migrations.upgrade(database)
    finally:
        await database.dispose()


def _stop_on_signals() -> asyncio.Event:
    """Return what is set by Ctrl-C, by SIGTERM, and when the terminal is closed (but for nohup)."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _allow_many_connections() -> None:
    """Raise the bound on open files to what is allowed: a page that is live holds a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(ValueError, OSError):  # some systems say more than they mean
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _MOST_FILES), hard))


async def _run(settings: Settings, stop: asyncio.Event, *, with_asterisk: bool) -> int:
    _allow_many_connections()
    app = create_app(settings)
    # cleanup() ends what was started also when a later part does not start.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=3)
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, settings.http_host, settings.http_port).start()
        except OSError as error:
            raise MuruError(
                f"Port {settings.http_port} of {settings.http_host} cannot be used: "
                f"{error.strerror}. Set MURU_HTTP_PORT or MURU_HTTP_HOST."
            ) from error
        if with_asterisk:
            await _wait_for_asterisk(app[AMI], stop)
        if not stop.is_set():
            await _welcome(app, settings, with_asterisk=with_asterisk)
        # What is there now stays; looking through it again and again would hold up all else for a
        # tenth of a second each time.
        gc.collect()
        gc.freeze()
        await stop.wait()
    finally:
        await runner.cleanup()
    return 0


async def _wait_for_asterisk(ami: Ami, stop: asyncio.Event) -> None:
    waits = [
        asyncio.create_task(ami.wait_connected(_ASTERISK_PATIENCE), name="asterisk's start"),
        asyncio.create_task(stop.wait(), name="stop"),
    ]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    if not ami.state.connected and not stop.is_set():
        _log.warning("Asterisk is not there yet: %s", ami.state.reason)


async def _welcome(app: web.Application, settings: Settings, *, with_asterisk: bool) -> None:
    address = own_address() if settings.http_host in {"0.0.0.0", "::"} else settings.http_host  # noqa: S104
    lines = [f"muru      http://{address}:{settings.http_port}"]
    origin = settings.public_url or f"http://{address}:{settings.http_port}"
    lines.append(f"phones    {origin}/{settings.telephoning_prefix}/ (DHCP option 66)")
    lines += [
        f"TFTP      {address}:{server.port}"
        for server in app[DOORS]
        if isinstance(server, TftpServer)
    ]
    if with_asterisk:
        sip = own_address() if settings.sip_host == "0.0.0.0" else settings.sip_host  # noqa: S104
        lines.append(f"SIP       {sip}:{settings.sip_port} (UDP and TCP)")
    try:
        account = await ensure_administrator(app[SITE])
    except DatabaseUnavailable as error:
        lines.append(f"no administrator could be looked for: {error}")
        account = None
    if account is not None:
        lines += [
            f"user name {account[0]}",
            f"password  {account[1]}   (shown this once)",
        ]
    print("\n".join([*lines, "Ctrl-C ends it."]), flush=True)  # noqa: T201
