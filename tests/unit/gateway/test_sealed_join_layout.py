"""Are the slots of a sealed private join those that released values read, and is every residue read exactly?"""

from decimal import Context, Decimal

import made_join
import made_world as made
import numpy as np
import pytest

from middleplatform.crypto.sealed_layout import (
    decode_join_words,
    join_layout,
    released_slots,
    sealed_layout,
)
from middleplatform.crypto.word_layout import Measure, WordLayout
from middleplatform.planner.layout import layout_of

SQL = (
    "SELECT p.region AS d0, COUNT(*) AS n, SUM(p.education) AS a0, VAR_POP(p.education) AS a1, COUNT(DISTINCT p.household) AS h"
    " FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.region"
)  # fmt: skip
FIRST, LAST = 2**63, 2**63 - 1
WIDE = Context(prec=60)


@pytest.fixture(scope="module")
def layout():
    (cell,) = made.bound(SQL, made_join.CATALOG).cells
    return layout_of(cell, made_join.CATALOG)


def test_counts_and_sums_take_one_slot_and_squares_two(layout):
    names = {each.name: each.words for each in join_layout(layout).measures}
    assert {name for name, words in names.items() if words == 2} == {"sq_0"}
    assert {"rows_0", "sum_0", "sq_0", "keys_0"} <= names.keys()
    assert [each.name for each in join_layout(layout).measures] == [each.name for each in sealed_layout(layout).measures]  # fmt: skip
    assert join_layout(layout).digest != sealed_layout(layout).digest


def test_a_slot_is_released_where_some_released_value_reads_it(layout):
    released = np.array([[True, True, True, True], [False, True, False, False], [False] * 4])
    found = released_slots(layout, released)
    slots = [each.name for each in join_layout(layout).measures for _ in range(each.words)]
    assert found.shape == (3, len(slots))
    assert found[0].all()
    read = {name for name, there in zip(slots, found[1], strict=True) if there}
    assert "sum_0" in read
    assert not read & {"sq_0", "keys_0"}
    assert not found[2].any()
    assert released_slots(layout, released[:0]).shape == (0, len(slots))


@pytest.mark.parametrize("scale", [0, 2, 18, 38])
def test_every_residue_is_read_exactly(scale):
    words = WordLayout((Measure("rows_0", 1), Measure("sum_0", 1, scale), Measure("sq_0", 2, scale)))  # fmt: skip
    told = np.array([[LAST, LAST, LAST, LAST], [0, FIRST, 0, 0], [7, 2**64 - 1, 2**32, 1]], np.uint64)  # fmt: skip
    found = decode_join_words(words, told)
    unit = Decimal(1).scaleb(-scale, WIDE)
    assert found["rows_0"].to_pylist() == [LAST, 0, 7]
    exact = [Decimal(LAST).scaleb(-scale, WIDE), Decimal(-FIRST).scaleb(-scale, WIDE), -unit]
    assert found["sum_0"].to_pylist() == exact
    largest = Decimal(LAST + (LAST << 32))
    assert found["sq_0"].to_pylist()[0].scaleb(scale, WIDE) == largest
    assert found["sq_0"].to_pylist()[2].scaleb(scale, WIDE) == 2**33


def test_no_cells_have_their_types_all_the_same():
    words = WordLayout((Measure("rows_0", 1), Measure("sum_0", 1, 2), Measure("sq_0", 2, 4)))
    found = decode_join_words(words, np.zeros((0, 4), np.uint64))
    assert {name: str(column.type) for name, column in found.items()} == {
        "rows_0": "int64", "sum_0": "decimal128(38, 2)", "sq_0": "decimal128(38, 4)",
    }  # fmt: skip
