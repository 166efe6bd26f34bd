"""Attack and defence of tables with withheld cells: published examples, tiny tables counted out, and each bound."""

import json
from pathlib import Path

import numpy as np
import pytest
from table_worlds import counted, cube, exact, needs_of, places_of

from middleplatform.disclosure.evidence import Magnitude
from middleplatform.disclosure.secondary import Covered, protection, secondary, share
from middleplatform.disclosure.table_attack import (
    NO_BOUND,
    Needs,
    Probe,
    Relation,
    Table,
    intervals,
)
from middleplatform.model.policy import DisclosureParameters

FILE = Path(__file__).parents[2] / "vectors" / "sdc" / "withheld_tables.json"
VECTORS = {each["id"]: each for each in json.loads(FILE.read_text(encoding="utf-8"))["vectors"]}
NO_COVER = Covered(np.zeros(0, dtype=np.int64), 0)


def flags(count, places):
    found = np.zeros(count, dtype=np.bool_)
    found[list(places)] = True
    return found


def test_geurts_table_tells_the_published_interval():
    vector = VECTORS["geurts-feasibility"]
    # Any inner cells that add up to the published margins are as good as another: the attacker sees the margins only.
    inner = np.array([[4, 3], [2, 1], [3, 3]])
    rows = vector["input"]["table"]
    assert inner.sum(axis=1).tolist() == [rows["1"][2], rows["2"][2], rows["3"][2]]
    assert inner.sum(axis=0).tolist() == rows["Total"][:2]
    table = cube(inner)
    low, high = intervals(table, flags(len(table.values), range(4)))
    assert [low[0], high[0]] == vector["expected"]["x11"]


def test_two_withheld_cells_in_every_line_are_not_enough_and_one_more_is():
    vector = VECTORS["sdcTable-simpleheuristic"]
    names = list(vector["input"]["inner"])
    table = cube(np.array(list(vector["input"]["inner"].values())).reshape(4, 4))
    primary = flags(len(table.values), map(names.index, vector["input"]["primary"]))
    place = names.index("w|b")
    low, high = intervals(table, primary)
    assert [low[place], high[place]] == vector["expected"]["before"]["w|b"]
    for extra, expected in vector["expected"]["all_single_extra_suppressions_that_work"].items():
        more = primary | flags(len(table.values), [names.index(extra)])
        low, high = intervals(table, more)
        assert [low[place], high[place]] == expected, extra


def test_the_search_finds_the_published_further_cell():
    vector = VECTORS["sdcTable-simpleheuristic"]
    names = list(vector["input"]["inner"])
    table = cube(np.array(list(vector["input"]["inner"].values())).reshape(4, 4))
    primary = flags(len(table.values), map(names.index, vector["input"]["primary"]))
    inner = flags(len(table.values), range(16))
    needs = needs_of(share(table.values, 20))
    found, lacking = secondary(table, primary, inner, needs, NO_COVER)
    added = [names[place] for place in np.flatnonzero(found & ~primary)]
    assert added == vector["expected"]["extra_suppressions_giving_published_interval"]
    assert not lacking.any()


def test_upper_protection_is_that_of_the_handbook():
    # hb-ex4-protection-level of primary_rules.json: contributions 300, 20, 10 and (1,85) need 352.94 above.
    total, top = exact([33000]), np.array([[30000, 2000, 1000]], dtype=object)
    parameters = DisclosureParameters(dominance=((1, 85),), p_percent=0)
    above = protection(Magnitude(total, total, top), parameters)
    assert (total + above).tolist() == [35295]


@pytest.mark.parametrize("inner", [
    [[1, 2], [3, 1]], [[0, 2, 1], [3, 0, 1]], [[2, 1], [0, 3], [1, 1]],
])  # fmt: skip
def test_intervals_are_those_of_every_table_of_whole_numbers(inner):
    inner = np.array(inner)
    table, places = cube(inner), places_of(inner.shape)
    for pattern in range(1, 1 << min(inner.size, 4)):
        hidden = flags(len(table.values), [each for each in range(4) if pattern >> each & 1])
        low, high = intervals(table, hidden)
        least, most = counted(places, list(table.values), hidden)
        assert low.tolist() == least.tolist()
        assert high.tolist() == most.tolist()
        probe = Probe(table, needs_of(exact([100] * len(table.values))))
        probe.look(hidden)
        assert (table.values + probe.low).tolist() == least.tolist()
        assert (table.values + probe.high).tolist() == most.tolist()


def test_what_a_relation_allows_though_no_equation_holds_is_bounded_both_ways():
    # 5 and 7 units, 9 in all: three stand in both.
    relations = [Relation(2, (0, 1), equal=False)]
    table = Table(exact([5, 7, 9]), exact([0, 0, 0]), exact([NO_BOUND] * 3), relations)
    low, high = intervals(table, flags(3, [0]))
    assert (low[0], high[0]) == (2, 9)
    low, high = intervals(table, flags(3, [2]))
    assert (low[2], high[2]) == (7, 12)


def test_what_nothing_bounds_has_no_end():
    table = Table(
        exact([5, -7, -2]), exact([-NO_BOUND] * 3), exact([NO_BOUND] * 3), [Relation(2, (0, 1))]
    )
    low, high = intervals(table, flags(3, [0, 1]))
    assert (low[0], high[0]) == (None, None)


def test_values_beyond_a_doubles_digits_are_moved_exactly():
    table = cube(np.array([[10**30 + 7, 10**29 + 1], [10**29, 10**28 + 3]], dtype=object))
    probe = Probe(table, needs_of(share(table.values, 5)))
    hidden = flags(len(table.values), range(4))
    probe.look(hidden)
    assert probe.step > 10**20
    assert (probe.high - probe.low)[:4].min() > 0
    for move in probe._found:
        changed = table.values + move.astype(object) * probe.step
        assert (changed >= 0).all()
        for relation in table.relations:
            assert sum(changed[list(relation.parts)]) == changed[relation.total]


def test_what_is_smaller_than_a_step_is_not_claimed_to_move():
    table = cube(np.array([[10**30 + 7, 3], [10**29, 5]], dtype=object))
    hidden = flags(len(table.values), range(4))
    assert Probe(table, needs_of(share(table.values, 20))).look(hidden)[:4].all()


def test_values_that_do_not_add_up_are_refused():
    table = Table(exact([1, 2, 4]), exact([0] * 3), exact([NO_BOUND] * 3), [Relation(2, (0, 1))])
    with pytest.raises(ValueError, match="relations"):
        intervals(table, flags(3, [0]))


def test_marks_pin_two_small_counts_and_the_wish_takes_a_third_cell():
    # 9 and 9, both known to be 1 to 9, 18 together: exactly known until a third cell joins them.
    values = exact([9, 9, 40, 58])
    table = Table(
        values, exact([1, 1, 10, 1]), exact([9, 9, NO_BOUND, NO_BOUND]), [Relation(3, (0, 1, 2))]
    )
    hidden = flags(4, [0, 1])
    low, high = intervals(table, hidden)
    assert (low[0], high[0]) == (9, 9)
    needs = Needs(share(values, 20), exact([0] * 4), exact([8, 8, 8, 8]))
    found, lacking = secondary(table, hidden, flags(4, range(3)), needs, NO_COVER)
    assert found.tolist() == [True, True, True, False]
    low, high = intervals(table, found)
    assert (low[0], high[0]) == (1, 9)
    assert not lacking.any()


def test_what_cannot_be_protected_is_said():
    values = exact([5, 95, 100])
    table = Table(values, exact([1, 10, 0]), exact([9, NO_BOUND, NO_BOUND]), [Relation(2, (0, 1))])
    found, lacking = secondary(
        table, flags(3, [0]), flags(3, range(2)), needs_of(share(values, 20)), NO_COVER
    )
    assert found.tolist() == [True, True, False]
    assert lacking.tolist() == [False, True, False]


def test_what_is_withheld_under_a_total_covers_enough_units():
    values = exact([500, 600, 900, 2000])
    table = Table(values, exact([0] * 4), exact([NO_BOUND] * 4), [Relation(3, (0, 1, 2))])
    units = np.array([3, 4, 30, 37])
    covered = Covered(units, 10, (Relation(3, (0, 1, 2)),))
    found, _ = secondary(
        table, flags(4, [0, 1]), flags(4, range(3)), needs_of(share(values, 20)), covered
    )
    assert found.tolist() == [True, True, True, False]
