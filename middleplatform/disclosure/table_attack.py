"""The attacker of a table with withheld cells: who knows every relation between them and solves these (R5).

Two questions are answered. ``intervals`` is the attacker: by linear programming, how closely each withheld value can be
told. ``Probe`` is the gate: it finds whole-number tables that agree with everything that is shown, so what it holds for
possible *is* possible, whatever the solver rounds. Values are whole numbers in units of the last decimal place.

Spec: docs/spec/disclosure.md, "Exact tables". Solver: HiGHS (Huangfu and Hall 2018) by scipy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, hstack, vstack

from middleplatform.disclosure.evidence import Exact, Flags

__all__ = ["NO_BOUND", "Needs", "Probe", "Relation", "Table", "Whole", "intervals", "movement"]

Whole = npt.NDArray[np.int64]
NO_BOUND = 1 << 200
"""A bound that bounds nothing: larger than any value of 38 digits."""
_STEPS = 10_000_000
"""Values are moved in at most about so many steps: doubles hold what is far larger exactly."""
_NEAR = 1e-6
_ROUNDS = 6
_NODES = 200
_WORK_MAX = 400_000
_WORK_EACH = 100
"""A search ends after so much work (variables of each solution, and so many besides): counted, never timed."""


@dataclass(frozen=True)
class Relation:
    """``sum of parts = total``, or at least ``>=`` and each part ``<= total``, which every reader knows.

    Attributes:
        total: Place of a cell.
        parts: Places of others.
        equal: False for counts of units that may stand in several parts.
    """

    total: int
    parts: tuple[int, ...]
    equal: bool = True


@dataclass(frozen=True)
class Table:
    """Cells, the relations between them, and what is known of each beforehand.

    Attributes:
        values: True values, Python integers, shape (cells,); they meet all relations and bounds.
        least: What each is known not to be below, same shape; ``-NO_BOUND`` for nothing.
        most: What each is known not to be above; ``NO_BOUND`` for nothing.
        relations: Between the cells.
    """

    values: Exact
    least: Exact
    most: Exact
    relations: Sequence[Relation]

    @cached_property
    def rows(self) -> tuple[csr_array, Exact, Flags]:
        """Return relations as ``matrix @ values - slack = 0``: matrix, slack (0 or more) and which rows are equations.

        Reveals:
            Nothing: stays in the node.
        """
        entries: list[tuple[int, int, int]] = []
        equal: list[bool] = []
        for relation in self.relations:
            row = len(equal)
            entries += [(row, part, 1) for part in relation.parts]
            entries.append((row, relation.total, -1))
            equal.append(relation.equal)
            for part in () if relation.equal else relation.parts:
                entries += [(len(equal), relation.total, 1), (len(equal), part, -1)]
                equal.append(False)
        slack = np.zeros(len(equal), dtype=object)
        for row, place, sign in entries:
            slack[row] += sign * self.values[place]
        held = np.array(equal, dtype=np.bool_)
        if (slack[held] != 0).any() or (slack < 0).any():
            raise ValueError("values that do not meet their relations")
        columns = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        shape = (len(equal), len(self.values))
        return csr_array((columns[2], (columns[0], columns[1])), shape=shape), slack, held


@dataclass(frozen=True)
class Needs:
    """How far each cell must be able to move while it is withheld, in its own units.

    Attributes:
        width: Least width of what is possible, shape (cells,).
        above: Least distance of its upper end from the value.
        wish: Width that is sought where the table has room for it; ``width`` where it is less.
    """

    width: Exact
    above: Exact
    wish: Exact


def intervals(table: Table, hidden: Flags) -> tuple[Exact, Exact]:
    """Return what an attacker can tell of each withheld value: the ends of its feasible interval.

    Args:
        table: As it is.
        hidden: Which cells are withheld; the attacker knows all others.

    Returns:
        Lower and upper ends, shape (cells,): whole numbers, None where nothing bounds it; of a shown cell, its value.

    Reveals:
        To an attacker, all that the shown cells tell.
    """
    low, high = table.values.copy(), table.values.copy()
    places = np.flatnonzero(hidden)
    system = _System(table, places)
    for number, place in enumerate(places):
        for ends, sign in ((low, 1), (high, -1)):
            objective = np.zeros(len(places))
            objective[number] = sign
            moved = system.best(objective)
            ends[place] = None if moved is None else table.values[place] + _inward(moved, sign)
    return low, high


def _inward(moved: float, sign: int) -> int:
    """Return the whole number at or inside an end of an interval, but for the solver's own error."""
    error = _NEAR * max(1.0, abs(moved) * _NEAR)
    return int(np.ceil(moved - error)) if sign > 0 else int(np.floor(moved + error))


class _System:
    """The linear system of the withheld cells, by how far each moves from its true value: nothing moved solves it."""

    def __init__(self, table: Table, places: npt.NDArray[np.intp]) -> None:
        matrix, slack, held = table.rows
        own = csr_array(matrix[:, places])
        used = np.diff(own.indptr) > 0
        self._own, self._held, self._slack = own[used], held[used], slack[used]
        values = table.values[places]
        self._bounds = [
            (_finite(low - value), _finite(high - value))
            for low, high, value in zip(
                table.least[places], table.most[places], values, strict=True
            )
        ]

    def best(self, objective: npt.NDArray[np.float64]) -> float | None:
        """Return the least value of the one moved cell of ``objective``, or None without a bound."""
        if not objective.size:
            return 0.0
        open_rows = ~self._held
        found = linprog(
            objective,
            A_eq=self._own[self._held] if self._held.any() else None,
            b_eq=np.zeros(int(self._held.sum())) if self._held.any() else None,
            A_ub=-self._own[open_rows] if open_rows.any() else None,
            b_ub=self._slack[open_rows].astype(np.float64) if open_rows.any() else None,
            bounds=self._bounds,
            method="highs",
        )
        if found.status in (3, 4):
            return None  # unbounded: nothing bounds the cell
        if found.x is None:
            raise ValueError("a table without a solution, though nothing moved is one")
        return float(found.x[np.flatnonzero(objective)[0]])


def _finite(bound: int) -> float | None:
    return None if abs(bound) >= NO_BOUND // 2 else float(bound)


class Probe:
    """Looks for whole-number tables that agree with what is shown, and remembers how far each cell moved in them.

    Args:
        table: As it is.
        needs: Of each cell while it is withheld.

    Reveals:
        Nothing: stays in the node.
    """

    def __init__(self, table: Table, needs: Needs) -> None:
        self.table = table
        largest = max((abs(int(value)) for value in table.values), default=0)
        self.step = 10 ** max(0, len(str(largest // _STEPS)) if largest >= _STEPS else 0)
        self.least = _steps(needs.width, self.step)
        self.width = np.maximum(self.least, _steps(needs.wish, self.step))
        self.above = _steps(needs.above, self.step)
        reach = 4 * int(max(self.width.max(initial=0), self.above.max(initial=0), 1))
        self.down = np.maximum(-_floor(table.values - table.least, self.step), -reach)
        self.up = np.minimum(_floor(table.most - table.values, self.step), reach)
        matrix, slack, self._held = table.rows
        self._matrix = matrix
        limit = np.int64(reach) * max(1, len(table.values))
        self._slack = np.minimum(_floor(slack, self.step), limit)
        self.work = 0
        self._found: list[Whole] = []
        self._last: tuple[npt.NDArray[np.intp], tuple[csr_array, Flags, Whole]] | None = None
        self._bound()

    @property
    def spent(self) -> bool:
        """Say whether the search has done all the work that it may."""
        return self.work > _WORK_MAX

    def without(self, place: int) -> list[Whole]:
        """Forget the tables in which a cell moved, for when it is shown again; return them, for ``take``."""
        gone = [moved for moved in self._found if moved[place]]
        self._found = [moved for moved in self._found if not moved[place]]
        self._bound()
        return gone

    def _bound(self) -> None:
        none = np.zeros(len(self.table.values), dtype=np.int64)
        every = np.stack([none, *self._found])
        self.low, self.high = every.min(axis=0), every.max(axis=0)

    def take(self, tables: list[Whole]) -> None:
        """Remember these tables besides."""
        self._found += tables
        self._bound()

    def settle(self, places: Flags) -> None:
        """Be content with how far these cells moved, but for what each must."""
        reached = np.maximum(self.least, self.high - self.low)
        self.width = np.where(places, np.minimum(self.width, reached), self.width)

    def short(self, hidden: Flags) -> Flags:
        """Return the withheld cells that have not been seen to move far enough."""
        lacking = (self.high - self.low < self.width) | (self.high < self.above)
        return np.asarray(hidden & lacking, dtype=np.bool_)

    def look(self, hidden: Flags, *, early: bool = False) -> Flags:
        """Search until each withheld cell moved far enough, or cannot; return those that did not.

        Args:
            hidden: Which cells are withheld.
            early: Stop at the first that cannot.

        Reveals:
            Nothing: stays in the node.
        """
        rng = np.random.default_rng(len(self.table.values))
        before = len(hidden) + 1
        for turn in range(_ROUNDS):
            lacking = self.short(hidden)
            if not lacking.any() or lacking.sum() == before or self.spent:
                break
            before = int(lacking.sum()) if turn % 2 else before
            signs = rng.choice(np.array([-1, 1]), size=len(hidden))
            self._many(hidden, lacking, signs if turn % 2 else -signs)
        for place in np.flatnonzero(self.short(hidden)):
            if self.short(hidden)[place] and not self.spent:
                self._one(hidden, int(place))
                if early and self.short(hidden)[place]:
                    break
        return self.short(hidden)

    def _many(self, hidden: Flags, lacking: Flags, signs: Whole) -> None:
        """Move many cells at once, each in its own direction as far as it needs and no farther."""
        places = np.flatnonzero(hidden)
        among = np.flatnonzero(lacking[places])
        sign = signs[places][among].astype(np.float64)
        wanted = np.maximum(self.width, self.above)[places][among].astype(np.float64)
        count, extra = len(places), len(among)
        # One more variable for each: what counts of its move.
        counted = csr_array((np.ones(extra), (np.arange(extra), np.arange(extra))))
        moved = csr_array((-sign, (np.arange(extra), among)), shape=(extra, count))
        objective = np.concatenate([np.zeros(count), -1.0 / np.maximum(1.0, wanted)])
        bounds = np.concatenate(
            [
                np.stack([self.down[places], self.up[places]], axis=1),
                np.stack([np.full(extra, -np.inf), wanted], axis=1),
            ]
        )
        found = self._solve(places, objective, bounds, (moved, counted))
        if found is not None:
            self.keep(places, found[:count])

    def _one(self, hidden: Flags, place: int) -> None:
        """Move one cell as far as needed, up and then down."""
        places = np.flatnonzero(hidden)
        number = int(np.flatnonzero(places == place)[0])
        for sign in (1, -1):
            if not self.short(hidden)[place]:
                return
            bounds = np.stack([self.down[places], self.up[places]], axis=1).astype(np.float64)
            wanted = int(max(self.width[place], self.above[place]))
            end = min(bounds[number, 1], wanted) if sign > 0 else max(bounds[number, 0], -wanted)
            bounds[number, 1 if sign > 0 else 0] = end
            objective = np.zeros(len(places))
            objective[number] = -sign
            found = self._solve(places, objective, bounds, None)
            kept = found is not None and self.keep(places, found)
            if found is not None and not kept and self._hopeful(place, found[number]):
                self._whole(places, objective, bounds)

    def _hopeful(self, place: int, end: float) -> bool:
        """Say whether a cell would have moved far enough, if fractions were whole numbers."""
        high, low = max(float(self.high[place]), end), min(float(self.low[place]), end)
        return high - low >= 1 and high - low > self.high[place] - self.low[place]

    def _solve(
        self,
        places: npt.NDArray[np.intp],
        objective: npt.NDArray[np.float64],
        bounds: npt.NDArray[np.float64],
        more: tuple[csr_array, csr_array] | None,
    ) -> npt.NDArray[np.float64] | None:
        self.work += len(places) + _WORK_EACH
        matrix, held, slack = self.rows_of(places)
        equations, others, room = matrix[held], -matrix[~held], slack[~held].astype(np.float64)
        if more is not None:
            own, counted = more
            extra = counted.shape[1]
            equations = hstack([equations, csr_array((equations.shape[0], extra))])
            others = hstack([others, csr_array((others.shape[0], extra))])
            others = vstack([others, hstack([own, counted])])
            room = np.concatenate([room, np.zeros(own.shape[0])])
        found = linprog(
            objective,
            A_eq=equations if equations.shape[0] else None,
            b_eq=np.zeros(equations.shape[0]) if equations.shape[0] else None,
            A_ub=others if others.shape[0] else None,
            b_ub=room if others.shape[0] else None,
            bounds=bounds,
            method="highs-ds",
        )
        return None if found.x is None else np.asarray(found.x)

    def _whole(
        self,
        places: npt.NDArray[np.intp],
        objective: npt.NDArray[np.float64],
        bounds: npt.NDArray[np.float64],
    ) -> None:
        """The same in whole numbers, for tables whose corners are not: bounded by nodes, not by time."""
        self.work += _NODES * (len(places) + _WORK_EACH) // 10
        matrix, held, slack = self.rows_of(places)
        above = np.where(held, 0.0, np.inf)
        found = milp(
            objective,
            integrality=np.ones(len(places)),
            bounds=Bounds(bounds[:, 0], bounds[:, 1]),
            constraints=LinearConstraint(matrix, -slack.astype(np.float64), above),
            options={"node_limit": _NODES},
        )
        if found.x is not None:
            self.keep(places, np.asarray(found.x))

    def rows_of(self, places: npt.NDArray[np.intp]) -> tuple[csr_array, Flags, Whole]:
        """Return the relations between some cells; the last ones are kept, since many questions are of them."""
        if self._last is None or not np.array_equal(self._last[0], places):
            own = csr_array(self._matrix[:, places])
            used = np.diff(own.indptr) > 0
            self._last = places, (own[used], self._held[used], self._slack[used])
        return self._last[1]

    def keep(self, places: npt.NDArray[np.intp], found: npt.NDArray[np.float64]) -> bool:
        """Take a table that was found, where rounded it is one: checked in whole numbers."""
        moved = np.rint(found).astype(np.int64)
        matrix, held, slack = self.rows_of(places)
        sums = matrix @ moved
        true = (
            (moved >= self.down[places]).all()
            and (moved <= self.up[places]).all()
            and (sums[held] == 0).all()
            and (sums >= -slack).all()
        )
        if true:
            every = np.zeros(len(self.table.values), dtype=np.int64)
            every[places] = moved
            self._found.append(every)
            self.low, self.high = np.minimum(self.low, every), np.maximum(self.high, every)
        return bool(true)


def movement(
    probe: Probe, place: int, wanted: int, costs: npt.NDArray[np.float64], sign: int
) -> npt.NDArray[np.intp] | None:
    """Return the cells that move when one cell moves by ``wanted`` steps at the least cost, or as far as it can.

    What is found counts as seen by ``probe``: the caller withholds these cells.

    Args:
        probe: Of the table.
        place: The cell.
        wanted: Steps of ``probe.step``, 1 or more.
        costs: Of one step of each cell, 0 for what is withheld already, infinite for what must be shown.
        sign: 1 for up, -1 for down.

    Returns:
        Places, or None where it cannot move at all.

    Reveals:
        Nothing: stays in the node.
    """
    cells = len(costs)
    free = np.isfinite(costs)
    up, down = np.where(free, probe.up, 0.0), np.where(free, -probe.down, 0.0)
    costs = np.where(free, costs, 0.0)
    price = costs / max(1.0, float(costs.max(initial=0.0)))
    (down if sign > 0 else up)[place] = 0.0
    own = place if sign > 0 else cells + place
    most = np.concatenate([up, down])
    most[own] = min(wanted, most[own])
    objective = np.concatenate([price, price])
    # Worth more than any way of moving it could cost: so it moves as far as it can.
    objective[own] = -2.0 * cells
    every = np.arange(cells)
    probe.work += cells + _WORK_EACH
    matrix, held, slack = probe.rows_of(every)
    both = csr_array(hstack([matrix, -matrix]))
    found = linprog(
        objective,
        A_eq=both[held] if held.any() else None,
        b_eq=np.zeros(int(held.sum())) if held.any() else None,
        A_ub=-both[~held] if (~held).any() else None,
        b_ub=slack[~held].astype(np.float64) if (~held).any() else None,
        bounds=np.stack([np.zeros(2 * cells), most], axis=1),
        method="highs-ds",
    )
    if found.x is None or found.x[own] < 1 - _NEAR:
        return None
    moved = found.x[:cells] - found.x[cells:]
    probe.keep(every, moved)
    return np.flatnonzero(np.abs(moved) > _NEAR)


def _steps(needs: Exact, step: int) -> Whole:
    """Return how many steps cover each need."""
    return np.array([-(-int(need) // step) for need in needs], dtype=np.int64)


def _floor(rooms: Exact, step: int) -> Whole:
    """Return how many steps fit into each room, at most what 62 bits hold."""
    return np.array([min(int(room) // step, 1 << 62) for room in rooms], dtype=np.int64)
