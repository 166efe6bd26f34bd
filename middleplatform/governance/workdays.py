"""Working days 工作日: counted by the notices of holidays of the State Council, as far as they are known.

``chinesecalendar`` knows 2004 to 2026. Of later years nobody knows more than Monday to Friday before
their notice comes out: a term that touches one says so (``certain`` is false). A file that officers
configure (``policies/schema/calendar.schema.json``) wins over both.

The day on which something comes in does not count (民法典 art. 201: 开始的当日不计入，自下一日开始计算);
a term ends with the end of its last day (art. 203). Days are those of Asia/Shanghai, which has been
UTC+8 without daylight saving since 1991; moments are UTC everywhere else.

Spec: docs/spec/grants.md, "Working days".
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache, lru_cache

from middleplatform.policy.holidays import Notice

__all__ = ["SHANGHAI", "Calendar", "Due", "local_day"]

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
_DAY = timedelta(days=1)
_SATURDAY = 5
_DAYS_MAX = 3660
"""Most days that are gone through; a calendar of nothing but holidays must not run for ever."""


@dataclass(frozen=True, slots=True)
class Due:
    """The last day of a term.

    Attributes:
        date: In Asia/Shanghai; the term ends with its end.
        certain: Whether the notices of holidays were known of every day in between.
    """

    date: date
    certain: bool

    def passed(self, now: datetime) -> bool:
        """Say whether the term is over at ``now`` (aware)."""
        return local_day(now) > self.date


def local_day(moment: datetime) -> date:
    """Return the day of an aware moment in Asia/Shanghai."""
    assert moment.utcoffset() is not None, "a moment without a zone is no moment"
    return moment.astimezone(SHANGHAI).date()


@cache
def _known_years() -> frozenset[int]:
    """Return the years whose notice the library has: those in which it knows of a holiday."""
    import chinese_calendar  # noqa: PLC0415 - as in ``Calendar.working``

    return frozenset(each.year for each in chinese_calendar.holidays)


@lru_cache(maxsize=4096)
def _worked(day: date) -> bool:
    """Say whether a day of a known year is worked; the library goes through all its holidays each time."""
    import chinese_calendar  # noqa: PLC0415 - as in ``Calendar.working``

    return bool(chinese_calendar.is_workday(day))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days are worked.

    Attributes:
        notice: What officers configured.
    """

    notice: Notice = field(default_factory=Notice)

    def working(self, day: date) -> tuple[bool, bool]:
        """Say (whether ``day`` is worked, whether that is certain)."""
        if day in self.notice.workdays:
            return True, True
        if day in self.notice.holidays:
            return False, True
        weekday = day.weekday() < _SATURDAY
        if day.year in self.notice.years:
            return weekday, True
        # The library is imported when first asked: only commands that count days pay for it.
        if day.year not in _known_years():
            return weekday, False
        return _worked(day), True

    def due(self, start: datetime, working_days: int) -> Due:
        """Return the last day of a term of ``working_days`` that something coming in at ``start`` begins.

        Args:
            start: Aware; its own day does not count.
            working_days: At least 1.

        Raises:
            OverflowError: No such day within ten years: the calendar holds next to no working day.
        """
        assert working_days >= 1, "a term has at least a day"
        day, left, certain = local_day(start), working_days, True
        for _ in range(_DAYS_MAX):
            day += _DAY
            worked, known = self.working(day)
            certain &= known
            left -= worked
            if not left:
                return Due(day, certain)
        raise OverflowError("no such working day within ten years")

    def between(self, start: datetime, end: datetime) -> tuple[int, bool]:
        """Return (working days after ``start``'s day up to and with ``end``'s, whether that is certain)."""
        day, last = local_day(start), local_day(end)
        count, certain = 0, True
        while day < last:
            day += _DAY
            worked, known = self.working(day)
            count += worked
            certain &= known
        return count, certain

    def end_of(self, due: Due) -> datetime:
        """Return the first moment after a term, UTC."""
        after = due.date + _DAY
        return datetime(after.year, after.month, after.day, tzinfo=SHANGHAI).astimezone(UTC)
