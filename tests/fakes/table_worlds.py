"""Tables with their margins, and attackers of them that share nothing with ours."""

import itertools

import numpy as np
from scipy.optimize import linprog

from middleplatform.disclosure.table_attack import NO_BOUND, Needs, Relation, Table

__all__ = ["attacked", "counted", "cube", "exact", "needs_of", "places_of"]


def exact(values):
    """Return whole numbers as our code takes them."""
    found = np.empty(len(values), dtype=object)
    found[:] = [int(value) for value in values]
    return found


def places_of(shape, groups=()):
    """Return every cell of a table and its margins, as which inner cells it adds up.

    ``groups``: of the first dimension, tuples of its places: a level of a hierarchy.
    """
    axes = [
        [*((place,) for place in range(size)), tuple(range(size))] for size in shape
    ]  # fmt: skip
    axes[0] += [tuple(group) for group in groups]
    inner = list(itertools.product(*(range(size) for size in shape)))
    found = {}
    for chosen in itertools.product(*axes):
        members = tuple(
            number for number, place in enumerate(inner)
            if all(each in among for each, among in zip(place, chosen, strict=True))
        )  # fmt: skip
        found.setdefault(members, len(found))
    order = sorted(found, key=lambda members: (len(members) > 1, found[members]))
    assert order[: len(inner)] == [(number,) for number in range(len(inner))]
    return order


def cube(inner, groups=()):
    """Return the table of an array of inner cells, with relations between neighbours only; lower bound 0."""
    shape, places = inner.shape, places_of(inner.shape, groups)
    number = {members: place for place, members in enumerate(places)}
    values = exact([sum(inner.ravel()[list(members)]) for members in places])
    relations = []
    index = np.arange(inner.size).reshape(shape)
    for axis, size in enumerate(shape):
        others = [
            [*((slice(each, each + 1)) for each in range(length)), slice(None)]
            if other != axis else [slice(None)]
            for other, length in enumerate(shape)
        ]  # fmt: skip
        if axis:
            others[0] += [list(group) for group in groups]
        for chosen in itertools.product(*others):
            block = index[
                tuple(each if isinstance(each, slice) else slice(None) for each in chosen)
            ]
            if axis and isinstance(chosen[0], list):
                block = block[chosen[0]]
            parts = [np.take(block, [each], axis=axis) for each in range(size)]
            split = list(map(_members, parts))
            if axis == 0 and groups:
                joined = [_members(np.take(block, list(group), axis=0)) for group in groups]
                relations += [
                    Relation(number[whole], tuple(number[split[each]] for each in group))
                    for group, whole in zip(groups, joined, strict=True) if len(group) > 1
                ]  # fmt: skip
                split = joined
            if len(split) > 1:
                relations.append(
                    Relation(number[_members(block)], tuple(number[each] for each in split))
                )
    free = exact([NO_BOUND] * len(values))
    return Table(values, exact([0] * len(values)), free, relations)


def _members(block):
    return tuple(sorted(block.ravel().tolist()))


def needs_of(width):
    """Return needs of a width alone."""
    return Needs(width, exact([0] * len(width)), width)


def attacked(inner_places, values, hidden, least=None, most=None):
    """Return each cell's interval by another formulation: inner cells are the variables, every shown cell an equation."""
    inner = max(max(members) for members in inner_places) + 1
    rows = np.zeros((len(inner_places), inner))
    for place, members in enumerate(inner_places):
        rows[place, list(members)] = 1
    shown = np.flatnonzero(~hidden)
    values = np.array([float(value) for value in values])
    scale = max(1.0, values.max(initial=1.0) / 1000)
    below = (
        []
        if most is None
        else [place for place in np.flatnonzero(hidden) if most[place] < NO_BOUND]
    )
    above = [] if least is None else list(np.flatnonzero(hidden))
    limits = np.concatenate([rows[below], -rows[above]])
    ends = [float(most[place]) for place in below] + [-float(least[place]) for place in above]
    low, high = values.copy(), values.copy()
    for place in np.flatnonzero(hidden):
        for sign, end in ((1, low), (-1, high)):
            found = linprog(
                sign * rows[place], A_eq=rows[shown] if shown.size else None, b_eq=values[shown] / scale if shown.size else None,
                A_ub=limits if len(limits) else None, b_ub=np.array(ends) / scale if len(limits) else None, bounds=(0, None), method="highs-ipm",
            )  # fmt: skip
            assert found.status in (0, 3), found.message
            end[place] = sign * found.fun * scale if found.status == 0 else -sign * np.inf
    return low, high


def counted(inner_places, values, hidden):
    """Return each cell's interval by trying every table of whole numbers."""
    inner = max(max(members) for members in inner_places) + 1
    top = max(values)
    free = [number for number in range(inner) if hidden[inner_places.index((number,))]]
    fixed = np.array(
        [0 if number in free else values[inner_places.index((number,))] for number in range(inner)]
    )
    tried = np.tile(fixed, ((top + 1) ** len(free), 1))
    for column, number in enumerate(free):
        tried[:, number] = np.arange(len(tried)) // (top + 1) ** column % (top + 1)
    sums = np.stack([tried[:, list(members)].sum(axis=1) for members in inner_places], axis=1)
    agrees = (sums == np.array([int(value) for value in values]))[:, ~hidden].all(axis=1)
    return sums[agrees].min(axis=0), sums[agrees].max(axis=0)
