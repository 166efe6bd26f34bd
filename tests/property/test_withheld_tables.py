"""Random tables with margins and levels: whatever is withheld, another attacker finds no interval that is too narrow."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import examples
from table_worlds import attacked, cube, exact, needs_of, places_of

from middleplatform.disclosure.secondary import Covered, secondary, share
from middleplatform.disclosure.table_attack import Needs, Probe, Table, intervals

NO_COVER = Covered(np.zeros(0, dtype=np.int64), 0)
SHAPES = [
    ((3, 4), ()), ((5, 5), ()), ((2, 3, 3), ()), ((3, 3, 3), ()), ((4, 3), ((0, 1), (2, 3))), ((5, 3), ((0, 1, 2), (3, 4))),
]  # fmt: skip
WIDTH = 20
K = 10


@st.composite
def tables(draw):
    """Return (table, its cells as inner ones, small cells): sizes spread over orders of magnitude."""
    shape, groups = draw(st.sampled_from(SHAPES))
    count = int(np.prod(shape))
    sizes = st.one_of(st.just(0), st.integers(1, 9), st.integers(10, 60), st.integers(100, 5000))
    inner = np.array(draw(st.lists(sizes, min_size=count, max_size=count))).reshape(shape)
    table, places = cube(inner, groups), places_of(shape, groups)
    small = np.array([0 < value < K for value in table.values])
    return table, places, small


def opened(table, count):
    """Return which cells may be withheld besides: inner ones; an empty cell is known to be empty."""
    return (np.arange(len(table.values)) < count) & np.array([value > 0 for value in table.values])


def protected(table, places, small):
    inner = sum(len(members) == 1 for members in places)
    needs = needs_of(share(table.values, WIDTH))
    return secondary(table, small, opened(table, inner), needs, NO_COVER), needs


@examples(25)
@given(tables())
def test_no_withheld_value_is_told_more_closely_than_policy_says(drawn):
    table, places, small = drawn
    (found, lacking), needs = protected(table, places, small)
    assert (found & small).sum() == small.sum()
    low, high = attacked(places, table.values, found)
    for place in np.flatnonzero(found & ~lacking):
        assert high[place] - low[place] >= float(needs.width[place]) - 1e-3


@examples(20)
@given(tables())
def test_both_attackers_agree(drawn):
    table, places, small = drawn
    low, high = attacked(places, table.values, small)
    ours = intervals(table, small)
    for place in np.flatnonzero(small):
        least = float(ours[0][place])
        most = np.inf if ours[1][place] is None else float(ours[1][place])
        # Ours are whole numbers inside; a corner may be a fraction in three dimensions.
        assert least - 1 - 1e-3 <= low[place] <= least + 1e-3
        assert most - 1e-3 <= high[place] <= most + 1 + 1e-3


@examples(20)
@given(tables())
def test_what_the_gate_has_seen_is_possible(drawn):
    table, places, small = drawn
    probe = Probe(table, needs_of(share(table.values, 100)))
    probe.look(small)
    low, high = attacked(places, table.values, small)
    for move in probe._found:
        changed = table.values + move
        assert (changed >= 0).all()
        assert (changed[~small] == table.values[~small]).all()
        inner = changed[: sum(len(members) == 1 for members in places)]
        assert [sum(inner[list(members)]) for members in places] == list(changed)
    assert (table.values.astype(float) + probe.low >= low - 1e-3).all()
    assert (table.values.astype(float) + probe.high <= high + 1e-3).all()


@examples(20)
@given(tables())
def test_each_further_cell_is_needed(drawn):
    table, places, small = drawn
    (found, lacking), needs = protected(table, places, small)
    assume(not lacking.any())
    for place in np.flatnonzero(found & ~small):
        less = found.copy()
        less[place] = False
        # In whole numbers: what a search in fractions leaves may still be too little for them.
        assert Probe(table, needs).look(less).any(), "a value was withheld for nothing"


@pytest.mark.parametrize("size", [4, 6])
def test_without_one_of_the_further_cells_the_attacker_wins(size):
    rng = np.random.default_rng(size)
    won = tried = 0
    for _ in range(5):
        inner = np.maximum(1, np.rint(rng.lognormal(3.5, 1.2, (size, size))).astype(int))
        table, places = cube(inner), places_of(inner.shape)
        small = np.array([value < K for value in table.values])
        (found, lacking), needs = protected(table, places, small)
        if lacking.any():
            continue
        for place in np.flatnonzero(found & ~small):
            less = found.copy()
            less[place] = False
            low, high = attacked(places, table.values, less)
            narrow = high - low < needs.width.astype(float) - 1e-3
            tried, won = tried + 1, won + bool((narrow & less).any())
    assert tried > 10
    assert won == tried


@examples(30)
@given(st.lists(st.integers(1, 200), min_size=4, max_size=12))
def test_marks_do_not_help(counts):
    """In one line whose small counts are known to be small, none of them is told better than the line allows."""
    table = cube(np.array(counts))
    values = table.values
    small = np.array([value < K for value in values])
    least = exact([1 if each else min(K, value) for each, value in zip(small, values, strict=True)])
    most = exact(
        [K - 1 if each else value * 0 + 10**9 for each, value in zip(small, values, strict=True)]
    )
    assume(small[:-1].any() and not small.all())
    known = Table(values, least, most, table.relations)
    width = exact(
        [
            max(1, -(-value * WIDTH // 100)) if each else 0
            for each, value in zip(small, values, strict=True)
        ]
    )
    wish = exact([K - 2 if each else 0 for each in small])
    needs = Needs(width, exact([0] * len(values)), wish)
    inner = np.arange(len(values)) < len(counts)
    found, lacking = secondary(known, small, inner, needs, NO_COVER)
    low, high = attacked(places_of((len(counts),)), values, found, least, most)
    for place in np.flatnonzero(small & ~lacking):
        assert high[place] - low[place] >= float(width[place]) - 1e-3
    everything = attacked(places_of((len(counts),)), values, inner | small, least, most)
    if not lacking.any():
        for place in np.flatnonzero(small):
            room = min(float(wish[place]), everything[1][place] - everything[0][place])
            assert high[place] - low[place] >= room - 1e-3
