"""Token buckets: so many requests at once, so many a second after that. In memory, and bounded in it."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["Bucket", "Buckets"]

_KEYS_MAX = 50_000


@dataclass(slots=True)
class Bucket:
    """One bucket.

    Attributes:
        per_second: How fast it fills.
        most: What it holds at most.
        at: When it was last looked at, in seconds of some clock that does not go back.
        left: What it held then; full when negative.
    """

    per_second: float
    most: float
    at: float
    left: float = -1.0

    def __post_init__(self) -> None:
        if self.left < 0:
            self.left = self.most

    def has(self, now: float, amount: float = 1.0) -> bool:
        """Return whether ``amount`` is there at ``now``."""
        self._fill(now)
        return self.left >= amount

    def take(self, now: float, amount: float = 1.0) -> None:
        """Take ``amount``, or what is there."""
        self._fill(now)
        self.left = max(0.0, self.left - amount)

    def wait(self, amount: float = 1.0) -> float:
        """Return the seconds until ``amount`` is there."""
        return max(0.0, amount - self.left) / self.per_second

    def _fill(self, now: float) -> None:
        self.left = min(self.most, self.left + max(0.0, now - self.at) * self.per_second)
        self.at = max(self.at, now)


class Buckets:
    """A bucket for each key; the one that was not used for longest is forgotten when there are too many.

    Args:
        per_second: How fast each fills.
        most: What each holds at most, full at first.
        keys_max: How many are kept.
    """

    def __init__(self, per_second: float, most: float, keys_max: int = _KEYS_MAX) -> None:
        self._per_second, self._most, self._keys_max = per_second, most, keys_max
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, now: float, amount: float = 1.0) -> float:
        """Take ``amount`` for ``key``; return 0, or the seconds to wait, when nothing is taken.

        Args:
            key: Whose.
            now: Seconds of a clock that does not go back.
            amount: How much.
        """
        with self._lock:
            bucket = self._of(key, now)
            if not bucket.has(now, amount):
                return bucket.wait(amount)
            bucket.take(now, amount)
            return 0.0

    def charge(self, key: str, now: float, amount: float) -> None:
        """Take ``amount`` for ``key``, or what is there."""
        with self._lock:
            self._of(key, now).take(now, amount)

    def __len__(self) -> int:
        return len(self._buckets)

    def _of(self, key: str, now: float) -> Bucket:
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = Bucket(self._per_second, self._most, now)
            while len(self._buckets) > self._keys_max:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return found
