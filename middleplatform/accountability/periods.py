"""Spans of time that figures are about; days and months are those of Asia/Shanghai.

Spec: docs/spec/accountability.md, "Periods".
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from middleplatform.errors import QueryError
from middleplatform.governance.workdays import SHANGHAI

__all__ = ["Period", "month"]

_MONTH = re.compile(r"\d{4}-\d{2}")
_MONTHS = 12
_YEARS = range(2, 9999)
"""Whose months have a beginning and an end that a ``datetime`` can say."""


@dataclass(frozen=True, slots=True)
class Period:
    """From one moment to another.

    Attributes:
        start: First moment, aware; None for the beginning.
        stop: First moment that is too late, aware; None for no end.
    """

    start: datetime | None = None
    stop: datetime | None = None

    def holds(self, at: datetime | None) -> bool:
        """Say whether ``at`` lies in it; no moment lies in none."""
        return (
            at is not None
            and (self.start is None or at >= self.start)
            and (self.stop is None or at < self.stop)
        )

    @classmethod
    def of_month(cls, year: int, number: int) -> Self:
        """Return the whole of a month, 1 to 12."""
        following = (year, number + 1) if number < _MONTHS else (year + 1, 1)
        return cls(_first(year, number), _first(*following))


def _first(year: int, number: int) -> datetime:
    return datetime(year, number, 1, tzinfo=SHANGHAI).astimezone(UTC)


def month(text: str, now: datetime) -> Period:
    """Return a month that is over, written ``2026-10``; the last one where nothing is said.

    Raises:
        QueryError: Q040 it is no month, or not over at ``now``.
    """
    if not text:
        here = now.astimezone(SHANGHAI)
        year, number = (here.year, here.month - 1) if here.month > 1 else (here.year - 1, _MONTHS)
        return Period.of_month(year, number)
    good = _MONTH.fullmatch(text) and 1 <= int(text[5:]) <= _MONTHS and int(text[:4]) in _YEARS
    if not good:
        raise QueryError(
            "Q040", what=(f"{text} is no month (2026-10)", f"{text} 不是月份（2026-10）")
        )
    found = Period.of_month(int(text[:4]), int(text[5:]))
    if found.stop is None or found.stop > now:
        raise QueryError("Q040", what=(f"{text} is not over yet", f"{text} 尚未结束"))
    return found
