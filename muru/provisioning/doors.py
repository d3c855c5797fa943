"""The doors by which phones come in: HTTP, TFTP, and SIP plug and play, all to one engine."""

import asyncio
import logging
import os
import secrets
from ipaddress import ip_address

from aiohttp import web

from muru import logs
from muru.addresses import is_host, own_address, plain
from muru.errors import DatabaseUnavailable
from muru.keys import CERTIFICATE_MAC, ENGINE, SITE
from muru.media.delivery import MediaFile
from muru.provisioning.engine import Engine
from muru.provisioning.identification import Evidence
from muru.provisioning.pnp import PnpServer
from muru.provisioning.request import ProvisioningRequest
from muru.provisioning.subscription import PnpRequest
from muru.provisioning.tftp.activation import inherited_socket
from muru.provisioning.tftp.request import FileNotFound, ReadRequest
from muru.provisioning.tftp.server import TftpServer
from muru.settings import Settings

_log = logging.getLogger(__name__)

WELL_KNOWN, UNPRIVILEGED = 69, 6969  # TFTP's port, and the one where that is not allowed


async def serve_http(request: web.Request) -> web.StreamResponse:
    """Answer GET, HEAD and POST below the prefix (some phones fetch directories by POST)."""
    config = request.config_dict  # which aiohttp puts together anew each time
    engine, settings = config[ENGINE], config[SITE].settings
    path = request.path.partition(f"/{settings.telephoning_prefix}/")[2]
    answer = await engine.answer(
        ProvisioningRequest(
            transport="https" if request.scheme == "https" else "http",
            path=path,
            address=plain(request.remote),
            origin=_origin(request, settings),
            # Headers may hold any byte; what is no text becomes U+FFFD.
            user_agent=_text(request.headers.get("User-Agent", "")),
            query=request.query,
            certificate_mac=request.get(CERTIFICATE_MAC),
        )
    )
    if answer.path is not None:
        return MediaFile(answer.path, answer.content_type)
    response = web.Response(status=answer.status, body=answer.body)
    response.headers["Content-Type"] = answer.content_type
    response.headers["Cache-Control"] = "no-store"
    return response


def add_http(app: web.Application, prefix: str) -> None:
    """Serve files below ``/{prefix}/``, as far as no flavor has a route of its own there."""
    begin = f"/{prefix}" if prefix else ""
    app.router.add_get(f"{begin}/{{path:.*}}", serve_http)
    app.router.add_post(f"{begin}/{{path:.*}}", serve_http)


def tftp_server(engine: Engine, settings: Settings) -> TftpServer:
    """Return the server for the engine's files: at the port that is set, or at one that is free."""

    async def answer(asked: ReadRequest) -> bytes:
        request = ProvisioningRequest(
            transport="tftp",
            path=_text(asked.filename),
            address=plain(asked.peer[0]),
            origin=own_origin(settings, asked.local),
        )
        try:
            with logs.about(request=secrets.token_hex(6)):
                answer = await engine.answer(request)
        except DatabaseUnavailable as error:
            # Without a word: the phone asks again, and after an ERROR it would go on without.
            raise TimeoutError from error
        if answer.status != 200:
            raise FileNotFound
        return await asyncio.to_thread(answer.path.read_bytes) if answer.path else answer.body

    port = tftp_port(settings)
    return TftpServer(answer, host=settings.tftp_host, port=port, inherited=inherited_socket())


def tftp_port(settings: Settings) -> int:
    """Return the port for TFTP: what is set, else what this user may have."""
    if settings.tftp_port is not None:
        return settings.tftp_port
    return WELL_KNOWN if os.geteuid() == 0 else UNPRIVILEGED


def pnp_server(engine: Engine, settings: Settings) -> PnpServer:
    """Return the server that tells phones of a known family where their configuration is."""

    async def answer(asked: PnpRequest) -> str | None:
        told = engine.identify(
            Evidence(
                user_agent=asked.user_agent,
                mac=asked.mac or "",
                vendor=asked.vendor,
                model=asked.model,
            )
        )
        if told.flavor is None:
            return None
        return f"{own_origin(settings, asked.local)}/{settings.telephoning_prefix}/{told.flavor}/"

    return PnpServer(answer, host=settings.sip_host)


def origin_of(request: web.Request) -> str:
    """Return the begin of URLs for a client: where it has reached muru, if nothing else is set."""
    return _origin(request, request.config_dict[SITE].settings)


def _origin(request: web.Request, settings: Settings) -> str:
    if settings.public_url:
        return settings.public_url
    if is_host(request.host):
        return f"{request.scheme}://{request.host}"
    return own_origin(settings)


def own_origin(settings: Settings, local: str = "") -> str:
    """Return the begin of HTTP URLs for a client that came to the address *local* otherwise."""
    if settings.public_url:
        return settings.public_url
    address = plain(local)
    if not address or ip_address(address).is_unspecified or ip_address(address).is_multicast:
        address = own_address()
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{settings.http_port}"


def _text(given: str) -> str:
    return given.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
