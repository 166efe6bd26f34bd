"""Which days are working days, how long a term lasts, and when nobody can know."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.errors import ConfigError
from middleplatform.governance.workdays import Calendar, local_day
from middleplatform.policy import holidays
from middleplatform.policy.holidays import Notice

# 国务院办公厅关于2025年部分节假日安排的通知, written down by hand: days off, and the days worked instead.
OFF_2025 = [
    ("2025-01-01", "2025-01-01"), ("2025-01-28", "2025-02-04"), ("2025-04-04", "2025-04-06"),
    ("2025-05-01", "2025-05-05"), ("2025-05-31", "2025-06-02"), ("2025-10-01", "2025-10-08"),
]  # fmt: skip
WORKED_2025 = ["2025-01-26", "2025-02-08", "2025-04-27", "2025-09-28", "2025-10-11"]
# The same of 2026's Spring Festival.
OFF_2026 = [("2026-02-15", "2026-02-23")]
WORKED_2026 = ["2026-02-14", "2026-02-28"]


def days(first, last):
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


def noon(text):
    """Return a noon in Shanghai, as the UTC moment that it is."""
    return datetime.fromisoformat(text).replace(hour=4, tzinfo=UTC)


def test_every_day_of_2025_is_what_the_notice_says():
    off = {day for pair in OFF_2025 for day in days(*pair)}
    worked = set(map(date.fromisoformat, WORKED_2025))
    calendar = Calendar()
    for day in days("2025-01-01", "2025-12-31"):
        expected = day in worked or (day not in off and day.weekday() < 5)
        assert calendar.working(day) == (expected, True), day


def test_spring_festival_of_2026_is_off_and_its_saturdays_are_worked():
    calendar = Calendar()
    assert not any(calendar.working(day)[0] for day in days(*OFF_2026[0]))
    assert all(calendar.working(date.fromisoformat(day)) == (True, True) for day in WORKED_2026)


@pytest.mark.parametrize(
    ("start", "count", "last"),
    [
        ("2025-01-27", 1, "2025-02-05"),  # the day before Spring Festival
        ("2025-09-26", 10, "2025-10-16"),  # Friday before the October days off
        ("2025-04-26", 1, "2025-04-27"),  # a Saturday, and a worked Sunday after it
        ("2026-02-13", 1, "2026-02-14"),
        ("2026-02-14", 1, "2026-02-24"),
        ("2026-05-25", 20, "2026-06-23"),
    ],
)
def test_a_term_ends_where_a_calendar_on_the_wall_says(start, count, last):
    assert Calendar().due(noon(start), count).date == date.fromisoformat(last)
    assert Calendar().due(noon(start), count).certain


def test_the_day_of_receipt_is_shanghais_and_does_not_count():
    before, after = datetime(2026, 6, 1, 15, 59, tzinfo=UTC), datetime(2026, 6, 1, 16, tzinfo=UTC)
    assert (local_day(before), local_day(after)) == (date(2026, 6, 1), date(2026, 6, 2))
    assert Calendar().due(before, 1).date == date(2026, 6, 2)
    assert Calendar().due(after, 1).date == date(2026, 6, 3)


def test_a_term_is_over_with_the_end_of_its_last_day_and_not_before():
    due = Calendar().due(noon("2026-06-01"), 1)
    assert not due.passed(datetime(2026, 6, 2, 15, 59, 59, tzinfo=UTC))
    assert due.passed(datetime(2026, 6, 2, 16, tzinfo=UTC))
    assert Calendar().end_of(due) == datetime(2026, 6, 2, 16, tzinfo=UTC)


def test_a_term_that_runs_into_an_unknown_year_says_so():
    assert Calendar().due(noon("2026-12-25"), 4).certain
    beyond = Calendar().due(noon("2026-12-25"), 6)
    assert (beyond.date, beyond.certain) == (date(2027, 1, 4), False)
    assert Calendar().between(noon("2026-12-31"), noon("2027-01-04")) == (2, False)


def test_a_notice_wins_and_makes_a_year_certain(tmp_path):
    file = tmp_path / "calendar.yaml"
    file.write_text(
        "source: 2027年部分节假日安排的通知\nyears: [2027]\n"
        "holidays: [2027-01-01]\nworkdays: [2027-01-03]\n",
        encoding="utf-8",
    )
    calendar = Calendar(holidays.load(file))
    assert calendar.due(noon("2026-12-31"), 1).date == date(2027, 1, 3)
    assert calendar.due(noon("2026-12-31"), 2).certain
    known = Calendar(Notice(holidays=frozenset({date(2026, 6, 2)})))
    assert known.due(noon("2026-06-01"), 1).date == date(2026, 6, 3)


@pytest.mark.parametrize(
    "text",
    ["holidays: [someday]", "holiday: [2027-01-01]", "workdays: 2027-01-01", "years: [27]",
     "holidays: [2027-01-01]\nworkdays: [2027-01-01]"],
)  # fmt: skip
def test_a_notice_that_makes_no_sense_is_refused(text, tmp_path):
    file = tmp_path / "calendar.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        holidays.load(file)
    assert caught.value.code == "C001"


def test_no_file_and_an_empty_one_say_nothing(tmp_path):
    file = tmp_path / "calendar.yaml"
    file.write_text("# nothing yet\n", encoding="utf-8")
    assert holidays.load(None) == holidays.load(file) == Notice()


def test_a_calendar_without_working_days_ends_the_search():
    notice = Notice(holidays=frozenset(days("2026-06-01", "2037-01-01")))
    with pytest.raises(OverflowError):
        Calendar(notice).due(noon("2026-06-01"), 1)


MOMENTS = st.integers(0, 24 * 365 * 24).map(
    lambda n: datetime(2004, 1, 1, tzinfo=UTC) + timedelta(hours=n)
)


@settings(max_examples=60)
@given(MOMENTS, st.integers(1, 40))
def test_between_counts_back_what_due_counted(start, count):
    due = Calendar().due(start, count)
    end = datetime(due.date.year, due.date.month, due.date.day, 4, tzinfo=UTC)
    assert Calendar().between(start, end) == (count, due.certain)
    assert Calendar().working(due.date)[0]


def test_the_command_line_does_not_load_the_calendar():
    assert "chinese_calendar" in sys.modules  # by now
    text = (
        "import sys, middleplatform.cli.program, middleplatform.governance.workdays;"
        "sys.exit('chinese_calendar' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0
