"""Evidence and released words of a private join, from match counts and totals.

Spec: docs/spec/private-join.md, "Evidence"; docs/spec/disclosure.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

import numpy as np
import pyarrow as pa

from middleplatform.disclosure.disclose import Marks
from middleplatform.disclosure.evidence import CellEvidence, Counts, Exact, Magnitude
from middleplatform.errors import ProtocolError
from middleplatform.gateway.perturbed import Words, word_of
from middleplatform.model.join import RUNGS, JoinPlan
from middleplatform.model.plan import Block, Layout
from middleplatform.model.query import JoinKind
from middleplatform.planner.results import released_result
from middleplatform.planner.side_words import rungs

__all__ = ["JoinTotals", "evidence_of", "released_words", "word_values"]

_CONTEXT = Context(prec=100)
_LARGEST = 3


@dataclass(frozen=True)
class JoinTotals:
    """What the gateway knows of the cells that go on.

    Attributes:
        tuples: Number of tuples: units, each once.
        matched: By side, tuples for which it has a row.
        others: By further unit of the layout, what the threshold counts.
        keys: By key of the layout, different second keys.
        words: Totals by name, over all sides.
    """

    tuples: Counts
    matched: Sequence[Counts]
    others: Sequence[Counts]
    keys: Sequence[Counts]
    words: Mapping[str, Exact]


def evidence_of(plan: JoinPlan, layout: Layout, totals: JoinTotals) -> CellEvidence:
    """Return what the rules of disclosure control look at.

    Args:
        plan: Of the join.
        layout: Of its words.
        totals: Of the cells.

    Raises:
        ProtocolError: X001 for totals that no honest lists have: a party, or who removed the masks, lied.
    """
    populations = range(len(layout.populations))
    units = [_units(plan, totals, p) for p in populations]
    rest = [_rest(plan, totals, p) for p in populations]
    rows = [_rows(plan, totals, p) for p in populations]
    _check(plan, totals, units, rest, rows)
    return CellEvidence(
        _columns(units, totals),
        _columns(rest, totals),
        _columns(rows, totals),
        [_magnitude(plan, layout, totals, s) for s in range(len(layout.sums))],
        _columns(totals.keys, totals),
        _columns(totals.others, totals),
    )


def _columns(found: Sequence[Counts], totals: JoinTotals) -> Counts:
    if not found:
        return np.zeros((totals.tuples.size, 0), dtype=np.int64)
    return np.stack([each.astype(np.int64) for each in found], axis=1)


def _units(plan: JoinPlan, totals: JoinTotals, p: int) -> Counts:
    return totals.tuples if plan.population_sides[p] < 0 else _count(totals, f"units_{p}")


def _rest(plan: JoinPlan, totals: JoinTotals, p: int) -> Counts:
    if plan.population_sides[p] < 0:
        return np.zeros_like(totals.tuples)
    return np.asarray(totals.tuples - _count(totals, f"full_{p}"), dtype=np.int64)


def _rows(plan: JoinPlan, totals: JoinTotals, p: int) -> Counts:
    if plan.population_sides[p] >= 0:
        return _count(totals, f"rows_{p}")
    if plan.fan < 0 or plan.sides[plan.fan].single:
        return totals.tuples
    fan = _count(totals, "rows_0")
    if plan.sides[plan.fan].kind is JoinKind.LEFT:
        return np.asarray(fan + totals.tuples - totals.matched[plan.fan], dtype=np.int64)
    return fan


def _count(totals: JoinTotals, name: str) -> Counts:
    return np.asarray(totals.words[name], dtype=np.int64)


def _check(
    plan: JoinPlan,
    totals: JoinTotals,
    units: Sequence[Counts],
    rest: Sequence[Counts],
    rows: Sequence[Counts],
) -> None:
    """Refuse counts that cannot be; noise in place of totals hardly ever passes."""
    fits = all(
        ((own >= 0) & (own <= totals.tuples) & (own + out >= totals.tuples) & (many >= own)).all()
        and ((out >= 0) & (out <= totals.tuples)).all()
        for own, out, many in zip(units, rest, rows, strict=True)
    )
    for s, cap in enumerate(plan.capped):
        if cap >= 0:
            most = totals.tuples.astype(object) * cap
            fits &= bool((np.abs(totals.words[f"sum_{s}"]) <= most).all())
    if not fits:
        raise ProtocolError("X001", detail="totals that no lists have")


def _magnitude(plan: JoinPlan, layout: Layout, totals: JoinTotals, s: int) -> Magnitude:
    total = totals.words[f"sum_{s}"]
    absolute = totals.words.get(f"abs_{s}", np.abs(total))
    if (absolute < np.abs(total)).any():
        raise ProtocolError("X001", detail="totals that no lists have")
    squares = totals.words[f"sq_{s}"] if s in layout.squares else None
    return Magnitude(total, absolute, _tops(plan.capped[s], totals, s, absolute), squares)


def _tops(cap: int, totals: JoinTotals, s: int, absolute: Exact) -> Exact:
    """Bound the three largest units of each cell: by the rung above those that each exceeds, and by the whole.

    Without rungs the whole is the only bound: then a rule that looks at the largest units withholds.
    """
    found = np.empty((absolute.size, _LARGEST), dtype=object)
    found[:] = absolute[:, np.newaxis]
    if f"rung_{s}_0" not in totals.words:
        return found
    over = np.stack([_count(totals, f"rung_{s}_{number}") for number in range(RUNGS)], axis=1)
    # Units that exceed rung j exceed each lower one.
    if (over < 0).any() or (np.diff(over, axis=1) < 0).any() or (over[:, -1] > totals.tuples).any():
        raise ProtocolError("X001", detail="totals that no lists have")
    bounds = np.array([cap, *rungs(cap)], dtype=object)
    for place in range(_LARGEST):
        # The first rung that so many units exceed; they lie below the one before it, or below the last rung.
        first = (over <= place).sum(axis=1)
        found[:, place] = np.minimum(absolute, bounds[first])
    return found


def released_words(
    block: Block,
    plan: JoinPlan,
    totals: JoinTotals,
    marks: Marks,
    shown: Sequence[int],
    noisy: Words | None = None,
) -> dict[str, pa.Array]:
    """Return words and marks of the cells that are shown, typed as a department's own answer.

    A word that only withheld values read is left out.

    Args:
        block: What is asked.
        plan: Of the join.
        totals: Of the cells.
        marks: Of the same cells.
        shown: Which cells.
        noisy: Perturbed words, where the policy says so.
    """
    schema = released_result(block.cell, block.layout)
    places = list(shown)
    columns: dict[str, pa.Array] = {"ml": pa.array([None] * len(places), pa.string())}
    for name in dict.fromkeys(
        word for formula in block.layout.formulas for word in block.layout.words(formula)
    ):
        readers = [
            index
            for index, formula in enumerate(block.layout.formulas)
            if name in block.layout.words(formula)
        ]
        free = [any(marks[row, index] is None for index in readers) for row in places]
        values = word_of(noisy, name) if noisy else word_values(plan, totals, name)
        kept = [values[row] if open_ else None for row, open_ in zip(places, free, strict=True)]
        columns[name] = _typed(kept, schema.field(name).type)
    for index in range(len(block.layout.formulas)):
        columns[f"m{index}"] = pa.array([marks[row, index] for row in places], pa.string())
    return columns


def word_values(plan: JoinPlan, totals: JoinTotals, name: str) -> Sequence[int]:
    """Return a word of all cells, exact, in units of its last place."""
    kind, _, number = name.partition("_")
    place = int(number)
    match kind:
        case "units":
            found = _units(plan, totals, place)
        case "rows":
            found = _rows(plan, totals, place)
        case "keys":
            found = totals.keys[place]
        case _:
            return [int(value) for value in totals.words[name]]
    return [int(value) for value in found]


def _typed(values: Sequence[int | None], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_decimal(kind):
        return pa.array(values, kind)
    exact = [
        None if value is None else Decimal(value).scaleb(-kind.scale, _CONTEXT) for value in values
    ]
    return pa.array(exact, kind)
