"""Sets of units with rows as bit planes: the same answers as counting by hand."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.node.populations import Cells, Population, covering
from middleplatform.node.units import UnitNumbers

counts = st.dictionaries(st.integers(0, 40), st.integers(1, 9), max_size=25)


def made(rows):
    units = np.array(sorted(rows), dtype=np.int64)
    return Population.of(units, np.array([rows[unit] for unit in units], dtype=np.int64))


def told(population):
    return {
        unit: sum(1 << bit for bit, plane in enumerate(population.planes) if unit in plane)
        for unit in population.units
    }


@given(counts)
def test_a_population_survives_its_bytes(rows):
    population = made(rows)
    again = Population.read(population.to_bytes())
    assert told(again) == rows
    assert again.digest == population.digest
    assert (population.size, population.rows) == (len(rows), sum(rows.values()))


@settings(max_examples=300)
@given(counts, counts, st.integers(1, 12))
def test_two_populations_are_compared_unit_by_unit(one, two, least):
    mine, other = made(one), made(two)
    apart = sum(one.get(unit, 0) != two.get(unit, 0) for unit in {*one, *two})
    left = {unit: rows - two.get(unit, 0) for unit, rows in one.items() if rows > two.get(unit, 0)}
    assert mine.near(other, least) is (0 < apart < least)
    assert told(mine.without(other)) == left
    assert mine.without(other).digest == made(left).digest
    assert mine.inside(other) is (not left)
    common = bool({*one} & {*two})
    assert mine.crosses(other) is (common and not {*one} <= {*two} and not {*two} <= {*one})


@given(counts, st.lists(counts, min_size=1, max_size=4))
def test_a_sketch_never_says_more_than_is_apart(one, others):
    mine, made_ = made(one), [made(each) for each in others]
    told_ = mine.apart(np.stack([each.sketch for each in made_]))
    assert all(least <= len({*one} ^ {*each}) for least, each in zip(told_, others, strict=True))
    far = made(dict.fromkeys(range(100, 140), 1))
    assert mine.apart(far.sketch[None, :])[0] >= 15


def test_equal_sets_have_one_digest_however_they_came_to_be():
    assert made({1: 1, 2: 3}).digest != made({1: 3, 2: 1}).digest
    assert made({1: 1, 2: 3, 5: 1}).without(made({5: 1})).digest == made({1: 1, 2: 3}).digest


def test_cells_are_read_by_label_with_missing_ones_of_their_own():
    table = pa.table({"d0": ["x", "x", None, "y"], "u": ["p", "q", "p", None], "n": [2, 1, 1, 5]})
    cells = Cells.read(table, "t|p", UnitNumbers())
    assert {label: told(cells.at(place)) for label, place in cells.place_of().items()} == {'["x"]': {0: 2, 1: 1}, "[null]": {0: 1}}  # fmt: skip
    assert told(cells.whole) == {0: 3, 1: 1}
    assert cells.sizes.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("total", "found"),
    [({1: 1, 2: 1}, [0]), ({1: 1, 2: 1, 3: 2}, [0, 1]), ({1: 1}, None), ({1: 1, 2: 1, 9: 1}, None), ({3: 1, 1: 1, 2: 1}, None)],
)  # fmt: skip
def test_parts_cover_a_total_only_where_their_rows_add_up(total, found):
    parts = [made({1: 1, 2: 1}), made({3: 2}), made({4: 1})]
    assert covering(parts, made(total)) == found
