"""What of a profile may leave: no count below the threshold, and none that could be found by subtraction.

The threshold counts protected units, a profile counts rows: a count of rows is shown only where it is that of at least
the threshold of units, even if each had as many rows as any unit has. Of each column the counts of what is wrong are
shown where they are large enough; the rest, which a reader can subtract, is large enough too, or the smallest of them
is withheld. A withheld count may also be zero: nobody is told which.

Reveals:
    To the gateway: for each dataset the number of rows, and for each column how many values are missing, are to be
    normalised, are invalid or are repeated keys, before and after the catalogue's normalisation; each count at least
    the threshold, and so is what they leave.
"""

from collections.abc import Mapping
from itertools import product
from operator import mul
from typing import Any

from middleplatform.model.catalog import Dataset
from middleplatform.model.policy import Bundle
from middleplatform.node.registration.profile import Faults, faults
from middleplatform.policy.evaluate import NEVER, min_units

__all__ = ["normal_counts", "safe_counts", "safe_normal", "safe_profile"]

_KINDS = ("missing", "normalisable", "invalid")


def safe_profile(
    profile: Mapping[str, Any], datasets: Mapping[str, Dataset], bundle: Bundle
) -> dict[str, Any]:
    """Return the part of each dataset's profile that may leave.

    Args:
        profile: The full one.
        datasets: Of the department's catalogue, by name.
        bundle: The department's, for the thresholds.
    """
    return {
        name: _dataset(found, datasets[name], bundle)
        for name, found in profile["datasets"].items()
        if name in datasets
    }


def _dataset(found: Mapping[str, Any], dataset: Dataset, bundle: Bundle) -> dict[str, Any]:
    named = [each for each in found["columns"] if each["name"]]
    pairs = [(dataset.name, each["name"]) for each in named]
    units = min_units(
        bundle, pairs, [dataset.name]
    )  # NEVER where the bundle does not know one of them
    per_unit = found["rows_per_unit"]
    least = units * per_unit if per_unit and units < NEVER else NEVER
    rows = found["rows"]
    columns = {}
    for each in named:
        own = faults(rows, each["counts"])
        shown = safe_counts(own, each.get("duplicates"), least)
        columns[each["name"]] = {
            "type": _declared(dataset, each["name"]),
            **shown,
            **safe_normal(rows, shown, normal_counts(each), least),
        }
    return {
        "threshold": units if units < NEVER else None,
        "rows": rows if rows >= least else None,
        "quality": _mean([each["quality"] for each in columns.values()]),
        "columns": columns,
    }


def _declared(dataset: Dataset, column: str) -> str:
    kind = dataset.columns[column].type
    return f"decimal({kind.precision}, {kind.scale})" if kind.scale else str(kind.kind)


def safe_counts(found: Faults, duplicates: int | None, least: int) -> dict[str, Any]:
    """Return the counts of a column that may leave, None for one that may not.

    Args:
        found: All counts.
        duplicates: Rows beyond the first with each key; None for what is no key.
        least: The smallest count of rows that may be shown.

    Returns:
        ``missing``, ``normalisable``, ``invalid``, for a key ``duplicates``; ``quality`` from those shown, None where
        even the number of rows may not be.
    """
    if found.rows < least:
        shown: dict[str, Any] = dict.fromkeys(_KINDS)
        return shown | ({"duplicates": None} if duplicates is not None else {}) | {"quality": None}
    counts = {kind: getattr(found, kind) for kind in _KINDS}
    visible = {kind: count for kind, count in counts.items() if count >= least}
    while visible and found.rows - sum(visible.values()) < least:
        del visible[min(visible, key=lambda kind: (visible[kind], kind))]
    shown = {kind: visible.get(kind) for kind in _KINDS}
    if duplicates is not None:
        # What is neither missing nor repeated is the number of different keys.
        left = found.rows - visible.get("missing", 0) - duplicates
        shown["duplicates"] = duplicates if duplicates >= least and left >= least else None
    wrong = sum(visible.values())
    shown["quality"] = int(100 * (found.rows - wrong) / found.rows) / 100
    return shown


def normal_counts(column: Mapping[str, Any]) -> dict[str, int]:
    """Return what a column's profile counts of its normal form: nothing for one that has none."""
    counts = column["counts"]
    found = {
        "duplicates_normal": column.get("duplicates_normal"),
        "normal_changed": counts.get("normal_changed"),
        "normal_wrong": counts.get("normal_wrong"),
    }
    return {name: count for name, count in found.items() if count is not None}


def safe_normal(
    rows: int, shown: Mapping[str, Any], counts: Mapping[str, int], least: int
) -> dict[str, int | None]:
    """Return the counts of a key's normal form that may leave, None for one that may not.

    One is shown where neither it, nor any sum or difference of it with what is shown already, is below ``least``.

    Args:
        rows: Of the table.
        shown: What ``safe_counts`` lets out of the same column.
        counts: Of the normal form, in the order in which they are wanted.
        least: The smallest count of rows that may be shown.
    """
    names = (*_KINDS, "duplicates")
    visible = [rows, *(shown[name] for name in names if shown.get(name) is not None)]
    found: dict[str, int | None] = {}
    for name, count in counts.items():
        signs = product((-1, 0, 1), repeat=len(visible))
        apart = all(abs(count + sum(map(mul, each, visible))) >= least for each in signs)
        found[name] = count if rows >= least and apart else None
        if found[name] is not None:
            visible.append(count)
    return found


def _mean(scores: list[float | None]) -> float | None:
    known = [each for each in scores if each is not None]
    return int(100 * sum(known) / len(known)) / 100 if known else None
