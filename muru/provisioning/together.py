"""One reading for all who ask the same at the same moment, as a hall full of phones does."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Together(Generic[T]):
    """Reads once for everybody who waits, and never before they asked.

    Whoever asks while a reading is under way waits for the next one, since that may have begun
    before a change that they are to see.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[T]] = {}
        self._next: dict[Hashable, asyncio.Task[T]] = {}

    async def get(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return what *read* returns, or raise what it raises, called once for this *key*."""
        task = self._next.get(key)
        if task is None:
            task = asyncio.create_task(self._read(key, read), name="read for several")
            task.add_done_callback(_look_at)
            self._next[key] = task
        return await asyncio.shield(task)  # others wait for it, too

    async def _read(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        if key in self._running:
            await asyncio.wait([self._running[key]])
        own = self._running[key] = self._next.pop(key)
        try:
            return await read()
        finally:
            if self._running[key] is own:
                del self._running[key]


def _look_at(task: "asyncio.Task[T]") -> None:
    """Keep asyncio from telling of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
