"""A chart of an answer: from released cells alone, with what was withheld and the intervals of noise shown as such.

Shape: middleplatform/web/console/assets/README.md, ``<data-chart>``.
"""

from decimal import Decimal
from math import isfinite
from typing import Any

from middleplatform.access.shapes import rows
from middleplatform.web.console.answered import Answered

__all__ = ["axes", "chart"]

_PLACES_MAX = 200
_SERIES_MAX = 8


def axes(found: Answered) -> tuple[list[int], list[int]]:
    """Return the columns that label (none to two) and those that can be drawn, by number; some value of each is shown.

    Texts, dates and truth values label; so does a first column of whole numbers none of which is withheld or repeated
    where nothing else does, such as a year.
    """
    if found.sealed:
        return [], []
    columns = found.head["columns"]
    numeric = [
        place
        for place, each in enumerate(columns)
        if each["type"].startswith("decimal") or each["type"] in ("integer", "double")
    ]
    labels = [place for place in range(len(columns)) if place not in numeric]
    if len(numeric) > 1 and numeric[0] == 0 and _is_label(found):
        labels, numeric = [0, *labels], numeric[1:]
    count = found.release.table.num_rows
    shown = [each for each in numeric if found.release.table.column(each).null_count < count]
    return labels[:2], shown


def _is_label(found: Answered) -> bool:
    """Say whether a first column of whole numbers reads as a label: neither withheld nor noisy, at most one missing."""
    release = found.release
    if found.head["columns"][0]["type"] != "integer":
        return False
    count = release.table.num_rows
    if release.marks.column(0).null_count < count or release.table.column(0).null_count > 1:
        return False
    return release.intervals is None or release.intervals.column(0).null_count == count


def chart(found: Answered, y: int, locale: str) -> dict[str, Any]:
    """Return what ``<data-chart>`` draws of column ``y``."""
    along, _ = axes(found)
    columns = found.head["columns"]
    values = rows(found.release.table)
    halves = (
        None if found.release.intervals is None else found.release.intervals.column(y).to_pylist()
    )
    x = along[0] if along else -1
    places = list(dict.fromkeys(_label(line, x) for line in values))[:_PLACES_MAX]
    names = (
        list(dict.fromkeys(_label(line, along[1]) for line in values))
        if len(along) > 1
        else [columns[y]["name"]]
    )
    series = []
    for name in names[:_SERIES_MAX]:
        own: dict[str, tuple[float | None, float | None]] = {}
        for row, line in enumerate(values):
            if len(along) > 1 and _label(line, along[1]) != name:
                continue
            half = None if halves is None else halves[row]
            own.setdefault(_label(line, x), (_number(line[y]), half))
        series.append(_series(name, places, own))
    years = x >= 0 and columns[x]["type"] in ("integer", "date")
    return {
        "kind": "line" if years and len(places) > 1 else "bar",
        "x": places,
        "x_name": columns[x]["name"] if x >= 0 else "",
        "y_name": columns[y]["name"],
        "series": series,
        "withheld": "已抑制" if locale == "zh" else "withheld",
    }


def _label(line: list[object], place: int) -> str:
    if place < 0:
        return ""
    value = line[place]
    return "—" if value is None else str(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    number = float(Decimal(str(value)))
    return number if isfinite(number) else None


def _series(
    name: str, places: list[str], own: dict[str, tuple[float | None, float | None]]
) -> dict[str, Any]:
    found = [own.get(place, (None, None)) for place in places]
    made: dict[str, Any] = {"name": name, "values": [value for value, _ in found]}
    if any(half is not None for _, half in found):
        made["low"] = [_edge(value, half, -1) for value, half in found]
        made["high"] = [_edge(value, half, 1) for value, half in found]
    return made


def _edge(value: float | None, half: float | None, sign: int) -> float | None:
    return None if value is None or half is None else value + sign * half
