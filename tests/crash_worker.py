"""A process that works on a site's databases until it is killed: see test_crash.py.

``python -m tests.crash_worker`` imports everything once, then forks a worker for each line of JSON
that it reads. It says ``ready`` when the worker works, and ``dead`` with its exit status at last.
"""

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any, TypedDict

from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from muru.asterisk.ami import Ami
from muru.asterisk.ari import Ari
from muru.asterisk.effects import Effects
from muru.db.sessions import Database
from muru.errors import Conflict, NotFound
from muru.registry import discover
from muru.services import extensions
from muru.services.extensions import ExtensionChange, NewExtension
from muru.services.site import OPERATOR, Site
from muru.settings import Settings

NUMBERS = [str(number) for number in range(1000, 1006)]


class Order(TypedDict):
    """What a worker is to do: kill itself when it comes to *point* so many *times*, if to any.

    The point is an event of SQLAlchemy's engines. A ``commit`` is that of muru's own tables, which
    comes after Asterisk's.
    """

    own: str
    asterisk: str
    data_dir: str
    seed: int
    point: str
    times: int


def main() -> None:
    for line in sys.stdin:
        order: Order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            asyncio.run(work(order))
            os._exit(1)
        _, status = os.waitpid(pid, 0)
        tell(f"dead {os.waitstatus_to_exitcode(status)}")


def tell(text: str) -> None:
    os.write(1, f"{text}\n".encode())


async def work(order: Order) -> None:
    chance = random.Random(order["seed"])
    settings = Settings(data_dir=Path(order["data_dir"]), ami_secret=SecretStr("unused"))
    database = Database(order["own"], order["asterisk"])
    address: dict[str, Any] = {"host": "127.0.0.1", "port": 9, "username": "unused"}
    secret = SecretStr("unused")
    effects = Effects(Ami(**address, secret=secret), Ari(**address, secret=secret))
    site = Site(settings, database, discover(settings), effects)
    if order["point"] == "commit":
        die_before("commit", order["times"], database.own)
    elif order["point"]:
        die_before(order["point"], order["times"], database.own, database.asterisk)
    tell("ready")
    await asyncio.gather(*(use(site, random.Random(chance.random())) for _ in range(4)))


def die_before(point: str, times: int, *engines: AsyncEngine) -> None:
    """Kill this process when it comes to that point for the n-th time."""
    left = times

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for engine in set(engines):
        event.listen(engine.sync_engine, point, count)


async def use(site: Site, chance: random.Random) -> None:
    """Create, change and delete extensions at random, for ever."""
    while True:
        number = chance.choice(NUMBERS)
        name = f"Phone {chance.random()}"
        try:
            match chance.choice(("create", "create", "change", "renew", "delete")):
                case "create":
                    new = NewExtension(type="SIP", name=name, number=number, owner="owner")
                    await extensions.create_extension(site, OPERATOR, new)
                case "change":
                    change = ExtensionChange(name=name)
                    await extensions.change_extension(site, OPERATOR, number, change)
                case "renew":
                    await extensions.renew_password(site, OPERATOR, number)
                case "delete":
                    await extensions.delete_extension(site, OPERATOR, number)
        except (Conflict, NotFound):
            continue


if __name__ == "__main__":
    main()
