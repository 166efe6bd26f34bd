"""Write released rows as CSV that no spreadsheet takes for formulas.

RFC 4180 with line feeds. A text that a spreadsheet would run is preceded by an apostrophe; numbers
are written as they are. A withheld value stands as ``*reason``, so that it is no missing one. The columns
of a differentially private answer are followed by the half widths of their 95 % intervals.

Source: OWASP, "CSV Injection".
"""

import csv
import io
from typing import TYPE_CHECKING

from middleplatform.access import shapes
from middleplatform.access.csv_cells import RUNS

if TYPE_CHECKING:  # imports the column engine, which --help must not
    from middleplatform.model.result import Release

__all__ = ["csv_text"]

_TEXT = frozenset({"text", "null"})
_ENDS = "\r\n"


def csv_text(release: "Release") -> str:
    """Return the header and the rows."""
    columns = shapes.columns(release.table)
    rows = shapes.rows(release.table)
    for mark in shapes.marks(release.marks):
        row, column = mark["row"], mark["column"]
        assert isinstance(row, int)
        assert isinstance(column, int)
        rows[row][column] = _Withheld(f"*{mark['reason']}")
    names, widths = _half_widths(release)
    lines = [_line([_safe(name) for name in (*(each["name"] for each in columns), *names)])]
    kinds = [each["type"] in _TEXT for each in columns]
    for values, halves in zip(rows, widths, strict=True):
        shown = [_safe(value) if text else value for value, text in zip(values, kinds, strict=True)]
        lines.append(_line([*shown, *halves]))
    return "".join(lines)


def _line(values: list[object]) -> str:
    """Return one line. A carriage return within a text is quoted too: else what follows it would begin a row."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator=_ENDS).writerow(values)
    return buffer.getvalue().removesuffix(_ENDS) + "\n"


def _half_widths(release: "Release") -> tuple[list[str], list[list[object]]]:
    """Return names and rows of the half widths of intervals; only of columns that can have one."""
    if release.intervals is None:
        return [], [[] for _ in range(release.table.num_rows)]
    kinds = shapes.columns(release.intervals)
    told = [place for place, each in enumerate(kinds) if each["type"] != "null"]
    names = [f"{kinds[place]['name']}_half_width" for place in told]
    return names, [[row[place] for place in told] for row in shapes.rows(release.intervals)]


class _Withheld(str):
    """A mark of ours, not a text of a source."""

    __slots__ = ()


def _safe(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, _Withheld) and value.startswith(RUNS):
        return "'" + value
    return value
