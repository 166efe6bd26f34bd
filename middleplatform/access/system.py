"""The clock and the generator of the running machine, for the ports."""

import secrets
from datetime import UTC, datetime

__all__ = ["SystemClock", "SystemRng"]


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)


class SystemRng:
    """The operating system's generator."""

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` unpredictable bytes."""
        return secrets.token_bytes(count)
