"""What the end-to-end tests wait for, and how they ask Asterisk itself."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from muru.asterisk import program
from tests.conftest import Api, Stack
from tests.sip import Account

T = TypeVar("T")

#: An AOR, and the URI of a phone that is registered at it.
Place = tuple[str, str]


async def until(
    ask: Callable[[], Awaitable[T]], wanted: Callable[[T], object] = bool, within: float = 20.0
) -> T:
    """The first answer that is as wanted; fails with the last one when the time is over."""
    deadline = time.monotonic() + within
    while True:
        answer = await ask()
        if wanted(answer):
            return answer
        assert time.monotonic() < deadline, f"after {within} s it is still {answer!r}"
        await asyncio.sleep(0.05)


async def console(asterisk: program.Process, command: str) -> str:
    """What Asterisk prints at its console; nothing while it is away."""
    return await asyncio.to_thread(asterisk.command_line, command)


async def asterisk_contacts(asterisk: program.Process) -> set[Place]:
    """What ``pjsip show contacts`` shows."""
    output = await console(asterisk, "pjsip show contacts")
    found = {
        (aor, uri)
        for aor, uri in re.findall(r"^  Contact:  ([^<\s/]+)/(\S+)", output, re.MULTILINE)
    }
    counted = re.search(r"^Objects found: (\d+)", output, re.MULTILINE)
    assert len(found) == (int(counted[1]) if counted else 0), output
    return found


async def api_contacts(api: Api) -> set[Place]:
    """What ``GET /registrations`` shows."""
    rows = await api.get("/registrations")
    found = {(row["extension"], row["uri"]) for row in rows}
    assert len(found) == len(rows)
    return found


async def create(api: Api, number: str, name: str = "A phone", **more: object) -> Account:
    """Creates an extension, and returns the account that the API tells."""
    body = {"type": "SIP", "name": name, "number": number, **more}
    account = (await api.post("/extensions", body))["sip"]
    return Account(account["username"], account["password"])


async def restart_seen(stack: Stack, old_pid: int) -> None:
    """Returns when another Asterisk runs in the place of that process."""

    async def pid() -> int | None:
        return stack.asterisk.pid

    await until(pid, lambda new: new not in {None, old_pid})


def faults(log: str) -> list[str]:
    """The warnings and errors in Asterisk's log."""
    return [line for line in log.splitlines() if re.search(r"\] (WARNING|ERROR)\[", line)]
