"""A virtual phone: the base of the models of real ones."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import unquote, urlsplit

import aiohttp

from muru.testing import tftp
from muru.testing.sip import Account, UserAgent

TIMEOUT = aiohttp.ClientTimeout(total=30)


class HttpError(Exception):
    """The server answered with an error other than that there is no such file."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer over HTTP, after all redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class VirtualPhone:
    """A phone that boots and registers as the real one does, once :meth:`boot` says how.

    *mac* has twelve small hex digits. *http* is the base URL of its files, *tftp* the server's
    address; a phone has one of them, or both. *local_address* is the phone's own, where it matters.

    As a real phone does out of its box, it trusts any certificate, and keeps no cookies.
    """

    #: What it calls itself, over HTTP and SIP. ``{mac}``, ``{MAC}``, ``{mac_colons}``, ``{model}``
    #: and ``{firmware}`` are replaced.
    user_agent: ClassVar[str] = "VirtualPhone {model} {mac}"

    #: The firmware's version in ``user_agent``.
    firmware: ClassVar[str] = ""

    #: The option blksize of its TFTP requests; None: it sends none.
    block_size: ClassVar[int | None] = None

    def __init__(
        self,
        mac: str,
        model: str,
        http: str | None = None,
        tftp: tuple[str, int] | None = None,
        *,
        local_address: str | None = None,
    ) -> None:
        self.mac = mac
        self.model = model
        self.http = http
        self.tftp_server = tftp
        self.accounts: list[Account] = []
        self.requests: list[str] = []  # the names asked for, as they were given
        self.replies: list[tuple[int, bytes]] = []  # their statuses, in HTTP's terms, and bodies
        self.notified: list[dict[str, str]] = []  # the headers of each NOTIFY
        self._local_address = local_address
        self._session: aiohttp.ClientSession | None = None
        self._agents: list[UserAgent] = []
        self._reactions: set[asyncio.Task[None]] = set()

    async def boot(self) -> None:
        """Fetch the files in the phone's order, and fill ``accounts`` with what they say."""
        raise NotImplementedError

    async def on_notify(self, headers: dict[str, str]) -> None:
        """Act on a NOTIFY. As most phones do: fetch the files again if it says so, and register."""
        event = headers.get("Event", "").partition(";")[0].strip().lower()
        if event in {"check-sync", "resync"}:
            await self.boot()
            await self.register()

    # --- files ---

    @property
    def agent(self) -> str:
        """``user_agent`` with the phone's own values in it."""
        return self.user_agent.format(
            mac=self.mac,
            MAC=self.mac.upper(),
            mac_colons=":".join(self.mac[at : at + 2] for at in range(0, 12, 2)),
            model=self.model,
            firmware=self.firmware,
        )

    async def get(self, name: str, headers: Mapping[str, str] | None = None) -> bytes | None:
        """Return a file; None if there is none.

        *name* is a URL, http:// or tftp://, or follows the phone's base URL; it is asked of the
        TFTP server if the phone has no such.

        Raises:
            HttpError: neither is it there nor is it not (403, 500).
        """
        if name.startswith("tftp://") or (self.http is None and not _is_url(name)):
            return await self.tftp(name)
        reply = await self.request("GET", name, headers)
        if reply.status == 404:
            return None
        if reply.status >= 400:
            raise HttpError(f"{reply.status} for {name}")
        return reply.body

    async def head(self, name: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Ask over HTTP what there is to be said about a file."""
        return await self.request("HEAD", name, headers)

    async def put(self, name: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Upload over HTTP, as some phones do with their logs and settings."""
        return await self.request("PUT", name, headers, body)

    async def request(
        self,
        method: str,
        name: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Return the answer over HTTP, whatever its status."""
        self.requests.append(name)
        headers = {"User-Agent": self.agent, **(headers or {})}
        async with self._http().request(
            method, self._url(name), headers=headers, data=body
        ) as response:
            content = await response.read()
            self.replies.append((response.status, content))
            return Reply(response.status, response.headers, content)

    async def tftp(self, name: str) -> bytes | None:
        """Return a file by TFTP, from the phone's server or by a tftp:// URL; None for ERROR 1.

        Raises:
            TftpError: any other ERROR.
            TimeoutError: no answer.
        """
        self.requests.append(name)
        if name.startswith("tftp://"):
            parts = urlsplit(name)
            host, port = parts.hostname or "", parts.port or 69
            name = unquote(parts.path).removeprefix("/")
        elif self.tftp_server is not None:
            host, port = self.tftp_server
        else:
            raise ValueError("the phone was given no TFTP server")
        content = await tftp.read(
            host, port, name, block_size=self.block_size, local_address=self._local_address
        )
        self.replies.append((404, b"") if content is None else (200, content))
        return content

    def _url(self, name: str) -> str:
        if _is_url(name):
            return name
        if self.http is None:
            raise ValueError("the phone was given no base URL")
        return f"{self.http.rstrip('/')}/{name.lstrip('/')}"

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            local = (self._local_address, 0) if self._local_address else None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(local_addr=local, ssl=False),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=TIMEOUT,
            )
        return self._session

    # --- SIP ---

    async def register(self, expires: int = 600) -> list[int]:
        """Register each account; return the statuses in their order.

        Without an answer it is 408, without a connection 503. The phone keeps listening at its
        contacts; those of accounts that it no longer has are given up without a word.
        """
        known = {_place(agent.account): agent for agent in self._agents}
        agents = []
        for account in self.accounts:
            agent = known.pop(_place(account), None)
            if agent is None:
                agent = UserAgent(account, self.agent, self._on_notify, self._local_address)
            agent.account = account
            agents.append(agent)
        for agent in known.values():
            agent.close()
        self._agents = agents
        return list(await asyncio.gather(*(agent.register(expires) for agent in agents)))

    async def unregister(self) -> list[int]:
        """Take back the registrations, as a phone does that is switched off in order."""
        return list(await asyncio.gather(*(agent.register(0) for agent in self._agents)))

    def _on_notify(self, headers: dict[str, str]) -> None:
        self.notified.append(headers)
        self._reactions.add(asyncio.create_task(self.on_notify(headers)))

    # --- its end ---

    async def close(self) -> None:
        """Leave the network without a word, as when the plug is pulled.

        Raises:
            Exception: what :meth:`on_notify` raised.
        """
        for agent in self._agents:
            agent.close()
        for reaction in self._reactions:
            reaction.cancel()
        results = await asyncio.gather(*self._reactions, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _is_url(name: str) -> bool:
    return name.startswith(("http://", "https://", "tftp://"))


def _place(account: Account) -> tuple[str, int, str, str]:
    return account.server, account.port, account.transport, account.username
