"""Which address is whose: this machine's own, and that of a client behind trusted proxies."""

import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from aiohttp import web

from muru.keys import CERTIFICATE_MAC
from muru.provisioning import mac as macs

Network = IPv4Network | IPv6Network
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_COMMON_NAME = re.compile(r"(?:^|[,/\s])CN\s*=\s*([^,/]+)", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9.\-_]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")


def own_address() -> str:
    """Return the address by which this machine reaches others: most likely also what phones see."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: nothing is sent
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def plain(address: str | None) -> str:
    """Return an IPv4 address that came by an IPv6 socket as what it is; empty for None."""
    return (address or "").removeprefix("::ffff:").partition("%")[0]


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether *address* is in one of *networks*; what is no address is in none."""
    try:
        parsed = ip_address(plain(address))
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def is_host(text: str) -> bool:
    """Tell whether *text* (``phones.example.org:8000``, ``[::1]``) may stand in a URL."""
    return bool(_HOST.fullmatch(text))


def forwarded(proxies: Sequence[Network]) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return a middleware that believes what trusted proxies tell of their clients.

    Those are ``X-Forwarded-For``, of which the last address that is no proxy's counts,
    ``X-Forwarded-Proto`` and ``X-Forwarded-Host``. The MAC address of a client certificate is the
    common name in ``X-SSL-Client-S-DN``, if ``X-SSL-Client-Verify`` is ``SUCCESS``, as nginx has
    them. From anybody else these headers mean nothing.
    """

    @web.middleware
    async def believe(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_within(request.remote or "", proxies):
            return await handler(request)
        told = request.headers
        scheme, host = told.get("X-Forwarded-Proto", ""), told.get("X-Forwarded-Host", "")
        believed = request.clone(
            remote=_client(told.getall("X-Forwarded-For", []), proxies) or request.remote or "",
            scheme=scheme if scheme in {"http", "https"} else request.scheme,
            host=host if is_host(host) else request.host,
        )
        if told.get("X-SSL-Client-Verify", "") == "SUCCESS":
            named = _COMMON_NAME.search(told.get("X-SSL-Client-S-DN", ""))
            mac = macs.find(named.group(1)) if named else None
            if mac:
                believed[CERTIFICATE_MAC] = mac
        return await handler(believed)

    return believe


def _client(headers: Sequence[str], proxies: Sequence[Network]) -> str | None:
    """Return the last address in the chain that no trusted proxy has, if it is an address."""
    for hop in reversed([each.strip() for each in ",".join(headers).split(",")]):
        try:
            address = str(ip_address(plain(hop)))
        except ValueError:
            return None
        if not is_within(address, proxies):
            return address
    return None
