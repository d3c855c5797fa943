"""What every service needs to know of the site that muru runs."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from muru.asterisk.effects import Effects
from muru.db.sessions import Database, Transaction
from muru.errors import DatabaseDeadlock, Forbidden
from muru.media.library import Library
from muru.registry import Registry
from muru.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for something. *user_id* is None for the operator at the command line."""

    user_id: int | None
    username: str
    is_admin: bool

    def require_admin(self) -> None:
        """Raise Forbidden for everybody but administrators."""
        if not self.is_admin:
            raise Forbidden("Only administrators may do this.")

    def may_touch(self, owner_id: int) -> bool:
        return self.is_admin or self.user_id == owner_id


OPERATOR = Actor(None, "operator", is_admin=True)


@dataclass(frozen=True, slots=True)
class Site:
    settings: Settings
    database: Database
    registry: Registry
    effects: Effects
    media: Library = field(init=False)
    _resyncs: list[Callable[[Collection[int]], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        object.__setattr__(self, "media", Library(self.settings))

    def on_changed_devices(self, callback: Callable[[Collection[int]], None]) -> None:
        """Have *callback* called with the ids of devices whose configuration has changed."""
        self._resyncs.append(callback)

    def resync_soon(self, device_ids: Collection[int]) -> None:
        """Have those devices fetch their files again, after the commit that changed them."""
        for callback in self._resyncs if device_ids else ():
            callback(device_ids)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction over both databases; Asterisk hears of the changes after the commit.

        An Asterisk that is away hears of them when it is back: that never undoes the transaction,
        and holds up the answer for :data:`muru.asterisk.effects.PATIENCE` at most.
        """
        async with self.database.transaction() as transaction:
            yield transaction
        await self.effects.apply(transaction.changes)


def retried(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Let a function of one transaction be done again when a deadlock undid it."""

    @functools.wraps(function)
    async def retry(*args: P.args, **kw: P.kwargs) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                return await function(*args, **kw)
            except DatabaseDeadlock:
                continue
        return await function(*args, **kw)

    return retry
