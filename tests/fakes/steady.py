"""A clock that stands still and a generator that repeats itself: two runs differ by their data alone."""

import hashlib
from datetime import UTC, datetime


class FixedClock:
    def __init__(self, moment=datetime(2026, 6, 1, 8, tzinfo=UTC)):
        self.moment = moment

    def now(self):
        return self.moment


class SeededRng:
    """Deterministic bytes: SHAKE-256 of a seed and a counter. For tests only."""

    def __init__(self, seed=b"steady"):
        self.seed = seed
        self.drawn = 0

    def token_bytes(self, count):
        self.drawn += 1
        return hashlib.shake_256(self.seed + self.drawn.to_bytes(8)).digest(count)
