"""Reconstruction (Dinur and Nissim 2003): who gets the benefit, solved from the sizes of many subsets.

Cohen and Nissim 2018 did it against a deployed system with a linear program, as here: the absolute errors of the
equations are minimized over secrets between 0 and 1, by HiGHS. Where counts are perturbed a normal model does better.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse

from middleplatform.attack.batches import filtered, paid
from middleplatform.attack.known import Evidence, Known
from middleplatform.attack.people import Numbers
from middleplatform.attack.surface import Surface
from middleplatform.attack.tables import believed, decided

__all__ = ["reconstruction"]

_STREETS, _EXACT, _NOISY, _TOGETHER = 9, 520, 4_000, 38
_PATIENCE = 2


def reconstruction(known: Known, surface: Surface) -> Evidence:
    """Solve for the people of nine streets from random subsets."""
    streets = sorted(set(known.plain["street"].tolist()))[:_STREETS]
    people = np.flatnonzero(np.isin(known.plain["street"], streets))
    rows, totals = _subsets(known, surface, streets, people)
    if not totals:
        return np.zeros(len(known.targets))
    solved = np.full(len(known.plain["street"]), known.share)
    inside = sparse.csr_matrix(np.array(rows))
    solved[people] = (
        believed(
            inside, np.array(totals), np.full(len(totals), known.defence.noise_variance), known
        )
        if known.noisy
        else _solve(inside, np.array(totals))
    )
    return decided(solved[known.targets], known)


def _subsets(
    known: Known, surface: Surface, streets: list[str], people: Numbers
) -> tuple[list[npt.NDArray[np.float64]], list[float]]:
    draw = np.random.default_rng(len(people))
    spans: tuple[tuple[str, Any, int], ...] = (
        ("birth_year", np.unique(known.plain["birth_year"]), 30),
        ("occupation", np.unique(known.plain["occupation"]), 9),
        ("street", np.array(streets), 6),
    )
    rows: list[npt.NDArray[np.float64]] = []
    totals: list[float] = []
    # Noise takes more equations; a defence that answers no more ends it.
    most, failed = _NOISY if known.noisy else _EXACT, 0
    while len(rows) < most and failed < _PATIENCE:
        asked = [_subset(known, draw, spans, people) for _ in range(_TOGETHER)]
        answers = filtered(surface, [text for text, _ in asked], together=_TOGETHER)
        failed = 0 if any(each is not None for each in answers) else failed + 1
        for (_, inside), answer in zip(asked, answers, strict=True):
            if answer is not None:
                rows.append(inside.astype(np.float64))
                totals.append(answer)
    return rows, totals


def _subset(
    known: Known,
    draw: np.random.Generator,
    spans: Sequence[tuple[str, Any, int]],
    people: Numbers,
) -> tuple[str, npt.NDArray[np.bool_]]:
    """Return a random subset: its condition, and who of the people is in it."""
    parts, inside = [], np.ones(len(people), dtype=np.bool_)
    for name, values, least in spans:
        low, high = _span(draw, values, least)
        parts.append(f"{name} >= {_literal(low)} AND {name} <= {_literal(high)}")
        inside &= (known.plain[name][people] >= low) & (known.plain[name][people] <= high)
    return paid(" AND ".join(parts)), inside


def _span(draw: np.random.Generator, values: Sequence[Any], least: int) -> tuple[Any, Any]:
    """Return the ends of a random run of at least so many values."""
    length = int(draw.integers(least, len(values)))
    start = int(draw.integers(0, len(values) - length + 1))
    return values[start], values[start + length - 1]


def _literal(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def _solve(inside: sparse.csr_matrix, totals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Minimize the sum of absolute errors of ``inside @ x = totals`` over x from 0 to 1."""
    equations, people = inside.shape
    errors = sparse.identity(equations, format="csr")
    found = optimize.linprog(
        np.concatenate([np.zeros(people), np.ones(2 * equations)]),
        A_eq=sparse.hstack([inside, errors, -errors]),
        b_eq=totals,
        bounds=[(0, 1)] * people + [(0, None)] * (2 * equations),
        method="highs",
    )
    return np.asarray(found.x[:people] if found.success else np.full(people, 0.0))
