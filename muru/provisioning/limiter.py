"""Bounds how often one address may ask for what it has no proof for."""

from collections import OrderedDict
from time import monotonic

_BOUND = 20_000  # addresses; those that asked longest ago are forgotten first


class Limiter:
    """A token bucket for each address: *rate* a minute, and as many at once.

    A site may hide behind one address, so a whole minute's worth may come at the same moment.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # left, since

    def take(self, address: str) -> bool:
        """Tell whether *address* may ask once more, and count it."""
        time = monotonic()
        left, since = self._buckets.pop(address, (float(self._rate), time))
        left = min(self._rate, left + (time - since) * self._rate / 60)
        allowed = left >= 1
        self._buckets[address] = (left - allowed, time)
        while len(self._buckets) > _BOUND:
            self._buckets.popitem(last=False)
        return allowed
