"""Days off and extra working days that a notice says: policy data, not code."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

from middleplatform.errors import ConfigError
from middleplatform.policy.sources import invalid
from policies.documents import Problem, place, read
from policies.schemas import breaches

__all__ = ["Notice", "load"]


@dataclass(frozen=True, slots=True)
class Notice:
    """What is said of single days; it wins over what the platform knows.

    Attributes:
        holidays: Not worked.
        workdays: Worked, whatever day of the week.
        years: Told completely: their other days are certainly Monday to Friday.
    """

    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()
    years: frozenset[int] = frozenset()


def load(file: Path | None) -> Notice:
    """Return what ``file`` says; nothing without one.

    Raises:
        ConfigError: C001 with every problem of syntax and schema, or a day that is both; C003 when
            the file cannot be read.
    """
    if file is None:
        return Notice()
    try:
        document, found = read(file.name, file.read_bytes())
    except OSError:
        what = (f"{file} cannot be read", f"无法读取 {file}")
        raise ConfigError("C003", what=what) from None
    problems = list(found)
    if not problems and document.value is None:
        return Notice()
    if not problems:
        problems = list(breaches(document, "calendar"))
    if problems:
        raise invalid(problems)
    raw = cast("dict[str, Any]", document.value)
    days = {
        name: frozenset(map(date.fromisoformat, raw.get(name, [])))
        for name in ("holidays", "workdays")
    }
    both = days["holidays"] & days["workdays"]
    if both:
        names = ", ".join(sorted(each.isoformat() for each in both))
        said = (f"{names} is both off and worked", f"{names} 既放假又上班")
        raise invalid([Problem(file.name, *place(document, ("workdays",)), "workdays", said)])
    return Notice(days["holidays"], days["workdays"], frozenset(raw.get("years", [])))
