"""The ports: whether muru and Asterisk are behind theirs, or somebody else is."""

import asyncio
import errno
import os
import secrets
import socket

import aiohttp

from muru.addresses import own_address
from muru.doctor.finding import Finding, fault, ok
from muru.provisioning import doors
from muru.settings import Settings
from muru.testing import tftp

_PATIENCE = 3.0  # seconds for an answer
_ANYWHERE = {"0.0.0.0", "::"}  # noqa: S104  # compared


async def examine(settings: Settings) -> list[Finding]:
    """Knock at each port as a phone would."""
    http, runs = await _http(settings)
    findings = [http, await _sip(settings)]
    if settings.tftp_port != 0:
        findings.append(await _tftp(settings, runs=runs))
    return findings


async def _http(settings: Settings) -> tuple[Finding, bool]:
    """Examine muru's own port; also whether muru runs behind it."""
    host, port = _reachable(settings.http_host), settings.http_port
    remedy = "End the other program, or set MURU_HTTP_PORT."
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/api/v1/health/ready"
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            health = await response.json(content_type=None)
            told = f"database {health['database']}, Asterisk {health['asterisk']}"
    except aiohttp.ClientConnectorError:
        if reason := _taken(settings.http_host, port, socket.SOCK_STREAM):
            return fault("HTTP", f"Port {port} cannot be used: {reason}.", remedy), False
        return ok("HTTP", f"Port {port} is free: muru does not run at the moment."), False
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError):
        return fault("HTTP", f"Behind port {port} is another program.", remedy), False
    return ok("HTTP", f"muru runs at port {port}: {told}."), True


async def _tftp(settings: Settings, *, runs: bool) -> Finding:
    port = doors.tftp_port(settings)
    host = _reachable(settings.tftp_host)
    if not runs:
        reason = _taken(settings.tftp_host, port, socket.SOCK_DGRAM)
        if reason is None:
            return ok("TFTP", f"Port {port} is free for when muru runs.")
        remedy = "End the other program, or set MURU_TFTP_PORT."
        if reason == os.strerror(errno.EACCES):
            remedy = "Use a systemd socket unit, or a port above 1023 (MURU_TFTP_PORT)."
        return fault("TFTP", f"Port {port} cannot be used: {reason}.", remedy)
    try:
        async with asyncio.timeout(_PATIENCE):
            # Nobody has such a file. That this is said is the proof that somebody listens.
            await tftp.read(host, port, f"muru-doctor-{secrets.token_hex(4)}")
    except (TimeoutError, OSError, tftp.TftpError) as error:
        text = f"muru runs, but does not answer at {host}:{port}: {error or 'silence'}."
        remedy = "Look into muru's log; let UDP through the firewall; compare MURU_TFTP_HOST."
        return fault("TFTP", text, remedy)
    return ok("TFTP", f"It answers at {host}:{port}.")


async def _sip(settings: Settings) -> Finding:
    host, port = _reachable(settings.sip_host), settings.sip_port
    if await _answers_sip(host, port):
        return ok("SIP", f"It is answered at {host}:{port}.")
    reason = _taken(settings.sip_host, port, socket.SOCK_DGRAM)
    if reason is None:
        return ok("SIP", f"Port {port} is free: Asterisk does not run, or uses another one.")
    text = f"Port {port} cannot be used, and nobody speaks SIP there: {reason}."
    return fault("SIP", text, "End the other program, or set MURU_SIP_HOST or MURU_SIP_PORT.")


async def _answers_sip(host: str, port: int) -> bool:
    """Ask by OPTIONS whether somebody is there; any answer will do."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect((host, port))
            own = asking.getsockname()
            await loop.sock_sendall(asking, _options(host, port, own[0], own[1]))
            async with asyncio.timeout(_PATIENCE):
                return (await loop.sock_recv(asking, 4096)).startswith(b"SIP/2.0 ")
        except (OSError, TimeoutError):
            return False


def _options(host: str, port: int, own_host: str, own_port: int) -> bytes:
    place, own = (f"[{each}]" if ":" in each else each for each in (host, own_host))
    lines = (
        f"OPTIONS sip:{place}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP {own}:{own_port};branch=z9hG4bK{secrets.token_hex(8)};rport",
        "Max-Forwards: 1",
        f"From: <sip:muru-doctor@{own}>;tag={secrets.token_hex(4)}",
        f"To: <sip:{place}:{port}>",
        f"Call-ID: {secrets.token_hex(8)}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def _reachable(host: str) -> str:
    return own_address() if host in _ANYWHERE else host


def _taken(host: str, port: int, kind: int) -> str | None:
    """Return why nobody could listen there; None if one could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as trying:
        if kind == socket.SOCK_STREAM:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None
