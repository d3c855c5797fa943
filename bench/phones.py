"""Phones that register, and note when they were told that they are."""

import asyncio
import hashlib
import re
import time
from collections.abc import Mapping

from bench import HOST


class _Phones(asyncio.DatagramProtocol):
    """All behind one UDP port, told apart by their number, which is in the Call-ID."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self.accounts = accounts
        self.answered_at: dict[str, float] = {}
        self.refused: list[str] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self._port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, _: object) -> None:
        answer = data.decode()
        found = re.search(r"^Call-ID: (\d+)\.(\d+)@", answer, re.MULTILINE)
        if not answer.startswith("SIP/2.0 ") or found is None:
            return
        number, sequence = found[1], int(found[2])
        if answer.startswith("SIP/2.0 200 "):
            self.answered_at.setdefault(number, time.perf_counter())
        elif answer.startswith("SIP/2.0 401 ") and "CSeq: 1 " in answer:
            self.register(number, sequence, self._authorization(number, answer))
        else:
            self.refused.append(answer)

    def register(self, number: str, sequence: int, authorization: str = "") -> None:
        cseq = 2 if authorization else 1
        lines = [
            f"REGISTER sip:{HOST} SIP/2.0",
            f"Via: SIP/2.0/UDP {HOST}:{self._port};rport;branch=z9hG4bK{number}.{sequence}.{cseq}",
            f"From: <sip:{number}@{HOST}>;tag={number}",
            f"To: <sip:{number}@{HOST}>",
            f"Call-ID: {number}.{sequence}@{HOST}",
            f"CSeq: {cseq} REGISTER",
            f"Contact: <sip:{number}@{HOST}:{self._port}>",
            "Max-Forwards: 70",
            "Expires: 600",
            *([authorization] if authorization else []),
            "Content-Length: 0",
        ]
        self._transport.sendto("\r\n".join([*lines, "", ""]).encode())

    def _authorization(self, number: str, challenge: str) -> str:
        given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm, nonce, uri = given["realm"], given["nonce"], f"sip:{HOST}"
        user, secret = _md5(number, realm, self.accounts[number]), _md5("REGISTER", uri)
        response = _md5(user, nonce, "00000001", "bench", "auth", secret)
        return (
            f'Authorization: Digest username="{number}", realm="{realm}", nonce="{nonce}", '
            f'uri="{uri}", response="{response}", algorithm=MD5, cnonce="bench", nc=00000001, '
            f'qop=auth, opaque="{given.get("opaque", "")}"'
        )


def _md5(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode()).hexdigest()


async def register(
    port: int, accounts: Mapping[str, str], *, own_port: int, rate: int
) -> dict[str, float]:
    """Register all, so many in a second; return when each had its 200, by perf_counter.

    Again from the same *own_port*, the registrations are refreshed.
    """
    loop = asyncio.get_running_loop()
    transport, phones = await loop.create_datagram_endpoint(
        lambda: _Phones(accounts), local_addr=(HOST, own_port), remote_addr=(HOST, port)
    )
    try:
        sequence = time.time_ns()
        for number in accounts:
            phones.register(number, sequence)
            await asyncio.sleep(1 / rate)
        async with asyncio.timeout(10):
            while len(phones.answered_at) < len(accounts):
                assert not phones.refused, phones.refused[0]
                await asyncio.sleep(0.01)
    finally:
        transport.close()
    return phones.answered_at
