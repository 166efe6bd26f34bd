"""Compare released cells with the plain answer that DuckDB gives over pooled rows."""

import math
from collections import Counter
from datetime import date, datetime
from decimal import Decimal

RELATIVE = 1e-9


def plain(connection, sql):
    """Return the plain answer as tuples."""
    return [tuple(map(normal, row)) for row in connection.cursor().execute(sql).fetchall()]


def released(outcome):
    """Return released rows as tuples and their marks."""
    rows = [tuple(map(normal, row.values())) for row in outcome.rows]
    return rows, [tuple(row.values()) for row in outcome.marks]


def normal(value):
    """Give one form to values that mean the same: whole numbers, moments without time."""
    if isinstance(value, datetime):
        return value.date() if not (value.hour or value.minute or value.second) else value
    if isinstance(value, bool | str | date) or value is None:
        return value
    if isinstance(value, float):
        return value
    return Decimal(value)


def agree(one, other):
    """Say whether two values agree: exactly, or within 1e-9 relative where one of them is a float."""
    if isinstance(one, float) or isinstance(other, float):
        if one is None or other is None or isinstance(one, str) or isinstance(other, str):
            return False
        return math.isclose(float(one), float(other), rel_tol=RELATIVE, abs_tol=RELATIVE)
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def rows_agree(one, other):
    return len(one) == len(other) and all(map(agree, one, other))


def unmatched(found, expected):
    """Return the rows of ``found`` and ``expected`` that have no partner in the other."""
    exact = Counter(map(_key, found)) - Counter(map(_key, expected))
    if not exact and len(found) == len(expected):
        return [], []
    left, right = [], list(expected)
    for row in found:
        partner = next((each for each in right if rows_agree(row, each)), None)
        if partner is None:
            left.append(row)
        else:
            right.remove(partner)
    return left, right


def _key(row):
    return tuple((type(value) is bool, value) for value in row)
