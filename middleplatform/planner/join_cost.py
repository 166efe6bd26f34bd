"""What a private join costs, estimated before anything runs: from declared sizes and measured constants.

An upper bound of rows and bytes, since filters and duplicates are not known; of time no more than an order of
magnitude: machines, engines and links differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from middleplatform.errors import LimitError
from middleplatform.model.catalog import Catalog
from middleplatform.model.join import BLINDED, JoinPlan, Side
from middleplatform.model.query import JoinKind
from middleplatform.planner.join_sides import datasets_in
from middleplatform.planner.side_words import width

__all__ = ["Cost", "check_size", "declared", "estimate", "rows_of", "side_bytes"]

LIST_NS = 900
"""A row of a side's statement: DuckDB, one thread, a million keys of 18 characters, normalised and told apart."""

TOKEN_NS = 60
"""A token of an 18-character key."""

WORD_NS = 16
"""A word of a row: laid out, masked, gathered, and its mask taken off (4 each)."""

MATCH_NS = 210
"""A row of any list at the gateway, in matching."""

BLINDING_NS = 61_000
"""A multiplication on the curve, of which a row takes one for each department."""

LINK_BYTES_PER_S = 100_000_000
"""Assumed, of each link."""

_TOKEN_BYTES, _CODE_BYTES, _WORD_BYTES, _PLACE_BYTES, _POINT_BYTES = 16, 4, 8, 4, 32
_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate.

    Attributes:
        rows: List rows of all sides together, at most.
        seconds: From the first statement to the last sum, without queues.
        bytes: Over all links, at most.
    """

    rows: int
    seconds: float
    bytes: int


def declared(catalog: Catalog) -> dict[str, int]:
    """Return the rows of the datasets whose size the catalogue tells."""
    return {name: dataset.rows for name, dataset in catalog.datasets.items() if dataset.rows}


def estimate(plan: JoinPlan, statistics: Mapping[str, int]) -> Cost | None:
    """Return what a join would cost.

    Args:
        plan: Of the join.
        statistics: Rows by dataset.

    Returns:
        None where the size of a side is not known.
    """
    sizes = [rows_of(side, statistics) for side in plan.sides]
    known = [size for size in sizes if size is not None]
    if len(known) != len(sizes):
        return None
    total = sum(known)
    departments = len(plan.departments)
    blinded = departments * total if plan.protocol is BLINDED else 0
    sent = [side_bytes(side, rows) for side, rows in zip(plan.sides, known, strict=True)]
    sized = zip(plan.sides, known, strict=True)
    inner = [rows for side, rows in sized if side.kind is JoinKind.INNER]
    places = _PLACE_BYTES * min(inner) * sum(bool(side.words) for side in plan.sides)
    points = _POINT_BYTES * blinded
    slowest = max(map(_side_ns, plan.sides, known))
    work = (slowest + MATCH_NS * total + BLINDING_NS * blinded) * _NS
    moved = max(sent) + places + points
    return Cost(total, work + moved / LINK_BYTES_PER_S, sum(sent) + places + points)


def check_size(plan: JoinPlan, catalog: Catalog, rows_max: int) -> None:
    """Refuse a join that is larger than policy allows, where its size is known.

    Raises:
        LimitError: L005.
    """
    cost = estimate(plan, declared(catalog))
    if cost is not None and cost.rows > rows_max:
        raise LimitError("L005", limit=rows_max)


def rows_of(side: Side, statistics: Mapping[str, int]) -> int | None:
    """Return the rows of the largest table of a side: joins on a key of the others give no more list rows."""
    found = [statistics.get(name, 0) for name in datasets_in(side.rows)]
    return max(found) if all(found) else None


def side_bytes(side: Side, rows: int) -> int:
    """Return the bytes of a side's list of ``rows`` rows: tokens, codes and masked words."""
    tokens = _TOKEN_BYTES * (1 + len(side.keys))
    return rows * (tokens + _CODE_BYTES + _WORD_BYTES * width(side))


def _side_ns(side: Side, rows: int) -> int:
    return rows * (LIST_NS + TOKEN_NS * (1 + len(side.keys)) + WORD_NS * width(side))
