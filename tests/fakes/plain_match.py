"""What a join of lists must give, row by row: slow, obvious, and only for small lists."""

import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np

from middleplatform.combine.join_match import SideList
from middleplatform.model.query import JoinKind


@dataclass
class Row:
    """One list row: key (None where missing), label tuple, second key (None where missing), words."""

    key: int | None
    label: int
    second: int | None
    words: tuple[int, ...]


@dataclass
class Listed:
    """One side: rows by department."""

    kind: JoinKind
    unique: bool
    departments: list[list[Row]]
    labels: int
    """Number of its label tuples; 0 without dimensions."""

    @property
    def rows(self):
        return [row for own in self.departments for row in own]

    @property
    def missing(self):
        """Number of the label of keys without a match: the last one."""
        return self.labels - 1 if self.kind is JoinKind.LEFT and self.labels else -1


def token(key, *, close):
    """Return a token's two words; ``close`` ones differ in their last bits, and then in the second word, only."""
    if key is None:
        return (0, 0)
    if close:
        return (1 << 40 | key % 3, key + 1)
    return ((key + 1) * 0x9E3779B97F4A7C15 % 2**64, key * 77 + 5)


def side_list(listed, *, close=False):
    """Return a side as the gateway has it."""
    rows = listed.rows
    starts = tuple(itertools.accumulate(map(len, listed.departments), initial=0))
    width = len(rows[0].words) if rows else 1

    def array(values, kind, shape):
        return np.array(values, dtype=kind).reshape(shape)

    return SideList(
        listed.kind,
        listed.unique,
        array([token(row.key, close=close) for row in rows], np.uint64, (-1, 2)),
        array([row.label for row in rows], np.uint32, (-1,)),
        tuple(b"%016d" % number for number in range(listed.labels)),
        listed.missing,
        starts,
        (array([token(row.second, close=close) for row in rows], np.uint64, (-1, 2)),),
        array([row.words for row in rows], np.uint64, (-1, width)),
    )


def tuples(sides):
    """Return the tuples of the join as row numbers, None where a side has none."""
    keys = {row.key for row in sides[0].rows} - {None}
    found = []
    for key in keys:
        choices = []
        for side in sides:
            own = [number for number, row in enumerate(side.rows) if row.key == key]
            match side.kind:
                case JoinKind.INNER:
                    choices.append(own)
                case JoinKind.LEFT:
                    choices.append(own or [None])
                case JoinKind.ANTI:
                    choices.append([] if own else [None])
        found += itertools.product(*choices)
    return sorted(found, key=repr)


@dataclass
class Cell:
    """One cell: units, matches and words by side, different second keys by side."""

    units: int
    matched: tuple[int, ...]
    words: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[int, ...], ...]
    seconds: tuple[int, ...]


def cells(sides):
    """Return cells by label tuple."""
    grouped = {}
    for each in tuples(sides):
        label = tuple(
            0 if not side.labels else side.missing if row is None else side.rows[row].label
            for side, row in zip(sides, each, strict=True)
        )
        grouped.setdefault(label, []).append(each)
    if not any(side.labels for side in sides):
        grouped.setdefault((0,) * len(sides), [])
    return {label: _cell(sides, found) for label, found in grouped.items()}


def _cell(sides, found):
    by_side = [
        tuple(sorted(each[n] for each in found if each[n] is not None)) for n in range(len(sides))
    ]
    words = [
        tuple(
            sum(side.rows[row].words[place] for row in own) % 2**64
            for place in range(len(side.rows[0].words) if side.rows else 1)
        )
        for side, own in zip(sides, by_side, strict=True)
    ]
    seconds = [
        len({side.rows[row].second for row in own} - {None})
        for side, own in zip(sides, by_side, strict=True)
    ]
    return Cell(len(found), tuple(map(len, by_side)), tuple(words), tuple(by_side), tuple(seconds))


def several(rows):
    """Return keys that stand twice."""
    return [key for key, count in Counter(row.key for row in rows).items() if count > 1]
