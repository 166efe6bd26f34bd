"""How long each stage took, and who is told of progress when nobody asked."""

import time

__all__ = ["Watch", "silent"]


def silent(stage: str, done: int, total: int) -> None:
    """Take note of nothing."""
    del stage, done, total


class Watch:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Give the time since the last lap to ``name``."""
        now = time.perf_counter()
        self.laps[name] = (now - self._last) * 1000
        self._last = now
