"""Cells of CSV that no spreadsheet takes for formulas; RFC 4180 with line feeds.

Source: OWASP, "CSV Injection".
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence

__all__ = ["RUNS", "safe", "table"]

RUNS = tuple("=+-@\t\r\n＝＋－＠|%")
"""What a text may begin with that a spreadsheet runs."""


_BREAK = re.compile("\r\n?")


def safe(value: object) -> object:
    """Return ``value``, a text that a spreadsheet would run preceded by an apostrophe."""
    return "'" + value if isinstance(value, str) and value.startswith(RUNS) else value


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV; lists are joined by blanks before they are made safe.

    A carriage return within a text becomes a line feed, which is quoted: bare it begins a row, and a cell, of its own.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([safe(each) for each in head])
    for row in rows:
        writer.writerow([safe(_flat(each)) for each in row])
    return buffer.getvalue()


def _flat(value: object) -> object:
    flat = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return _BREAK.sub("\n", flat) if isinstance(flat, str) else flat
