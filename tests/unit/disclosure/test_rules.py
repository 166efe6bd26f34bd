"""The primary rules on made evidence: each flags what it says, at its bound and not beyond."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from middleplatform.disclosure.complement import complement, homogeneity
from middleplatform.disclosure.disclose import RULES, disclose, reason_rule, small_cells
from middleplatform.disclosure.dominance import dominance, dominates, estimable, p_percent
from middleplatform.disclosure.evidence import CellEvidence, Magnitude
from middleplatform.disclosure.groups import single_sensitive
from middleplatform.disclosure.threshold import contributes, threshold
from middleplatform.model.plan import Formula, KeyWord, Layout, Part, Population, SumWord
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import AggregateKind, Compare, Field, Literal

UNIT, X = Field("t0", "id"), Field("t0", "x")
WHOLE = Population(None, (), strict=False)
STRICT = Population(Compare("=", Field("t0", "sex"), Literal("1")), (), strict=True)
PRESENT = Population(None, (X,), strict=False)
PARAMETERS = DisclosureParameters(10, ((1, 50), (2, 67)), 10)
OFF = DisclosureParameters(1, (), 0, homogeneity=False)
ONE = Fraction(1)
COUNT = Formula(AggregateKind.COUNT, (Part(0, ONE, ()),))
CONDITIONAL = Formula(AggregateKind.COUNT, (Part(1, ONE, ()),))
SUM = Formula(AggregateKind.SUM, (Part(0, Fraction(0), ((ONE, 0),)),))


def layout(*formulas, populations=(WHOLE, STRICT), keys=(), others=()):
    return Layout(UNIT, populations, (SumWord(X, 0, 0),), (), keys, others, formulas)


def evidence(units, rest=None, *, rows=None, tops=None, totals=None, squares=None, keys=None, others=None):  # fmt: skip
    """Return evidence; units by cell and population."""
    counts = np.array(units, dtype=np.int64)
    cells = len(counts)
    left = np.zeros_like(counts) if rest is None else np.array(rest, dtype=np.int64)
    tops = [[1, 1, 1]] * cells if tops is None else tops
    absolute = np.array([100] * cells if totals is None else totals, dtype=object)
    magnitude = Magnitude(
        absolute, absolute, np.array(tops, dtype=object), None if squares is None else np.array(squares, dtype=object)
    )  # fmt: skip
    none = np.zeros((cells, 0), dtype=np.int64)
    return CellEvidence(
        counts, left, counts if rows is None else np.array(rows, dtype=np.int64), [magnitude],
        none if keys is None else np.array(keys, dtype=np.int64), none if others is None else np.array(others, dtype=np.int64),
    )  # fmt: skip


# --- threshold ----------------------------------------------------------------------------------------------------


def test_threshold_flags_fewer_than_k_and_nothing_from_k_on():
    found = threshold(COUNT, layout(COUNT), evidence([[9, 0], [10, 0], [0, 0]]), PARAMETERS)
    assert found.tolist() == [True, False, True]


def test_threshold_looks_at_each_condition():
    found = threshold(CONDITIONAL, layout(CONDITIONAL), evidence([[50, 9], [50, 10], [50, 0]]), PARAMETERS)  # fmt: skip
    assert found.tolist() == [True, False, True]


def test_threshold_looks_at_other_tables_and_at_a_counted_key():
    key = Formula(AggregateKind.COUNT_DISTINCT, (Part(0, Fraction(0), ()),), key=0)
    both = layout(key, keys=(KeyWord(Field("t0", "firm"), 0),), others=(KeyWord(Field("t1", "id"), 0),))  # fmt: skip
    cells = evidence([[50, 50]] * 3, keys=[[9], [50], [10]], others=[[50], [9], [10]])
    assert threshold(key, both, cells, PARAMETERS).tolist() == [True, True, False]
    assert threshold(COUNT, both, cells, PARAMETERS).tolist() == [False, True, False]


@pytest.mark.parametrize("rule", [threshold, complement, homogeneity, dominance, p_percent])
def test_a_policy_can_switch_each_rule_off(rule):
    cells = evidence([[1, 1]], rest=[[0, 1]], tops=[[100, 0, 0]])
    assert not rule(CONDITIONAL, layout(CONDITIONAL), cells, OFF).any()
    assert not rule(SUM, layout(SUM), cells, OFF).any()


@pytest.mark.parametrize(
    ("kind", "part", "expected"),
    [
        (AggregateKind.SUM, Part(1, Fraction(0), ()), False), (AggregateKind.COUNT, Part(1, Fraction(0), ()), False), (AggregateKind.SUM, Part(1, ONE, ()), True),
        (AggregateKind.SUM, Part(1, Fraction(0), ((ONE, 0),)), True), (AggregateKind.AVG, Part(1, Fraction(0), ()), True), (AggregateKind.COUNT_DISTINCT, Part(1, Fraction(0), ()), True),
    ],
)  # fmt: skip
def test_else_zero_of_a_sum_contributes_nothing_and_of_a_mean_it_does(kind, part, expected):
    assert contributes(Formula(kind, (part,)), part) is expected


# --- complement, homogeneity ----------------------------------------------------------------------------------------


def test_complement_flags_few_outside_the_condition_and_none_alike():
    cells = evidence([[50, 41], [50, 40], [50, 50]], rest=[[0, 9], [0, 10], [0, 0]])
    found = complement(CONDITIONAL, layout(CONDITIONAL), cells, PARAMETERS)
    assert found.tolist() == [True, False, True]


def test_nobody_outside_is_safe_where_homogeneity_is_switched_off_or_nothing_is_missing():
    cells = evidence([[50, 50]], rest=[[0, 0]])
    off = replace(PARAMETERS, homogeneity=False)
    assert not complement(CONDITIONAL, layout(CONDITIONAL), cells, off).any()
    present = replace(STRICT, strict=False)
    assert not complement(CONDITIONAL, layout(CONDITIONAL, populations=(WHOLE, present)), cells, PARAMETERS).any()  # fmt: skip


def test_missing_values_are_a_condition_of_the_complement():
    formula = Formula(AggregateKind.SUM, (Part(1, Fraction(0), ((ONE, 0),)),))
    cells = evidence([[50, 45]], rest=[[0, 5]])
    assert complement(formula, layout(formula, populations=(WHOLE, PRESENT)), cells, PARAMETERS).tolist() == [True]  # fmt: skip


def test_missing_values_are_none_where_words_are_perturbed():
    formula = Formula(AggregateKind.SUM, (Part(1, Fraction(0), ((ONE, 0),)),))
    cells = evidence([[50, 45]], rest=[[0, 5]])
    noisy = replace(PARAMETERS, method="perturb")
    assert not complement(formula, layout(formula, populations=(WHOLE, PRESENT)), cells, noisy).any()  # fmt: skip
    assert complement(CONDITIONAL, layout(CONDITIONAL), cells, noisy).tolist() == [True]


def test_nobody_and_everybody_look_alike_where_words_are_perturbed():
    cells = evidence([[50, 0], [50, 50], [9, 0]], rest=[[0, 50], [0, 0], [0, 9]])
    noisy = replace(PARAMETERS, method="perturb")
    found = disclose(layout(CONDITIONAL), cells, noisy)
    assert found[:, 0].tolist() == ["complement", "complement", "threshold"]
    exact = disclose(layout(CONDITIONAL), cells, PARAMETERS)
    assert exact[:, 0].tolist() == ["threshold", "complement", "threshold"]


def test_an_unconditional_aggregate_has_no_complement():
    cells = evidence([[50, 41]], rest=[[0, 9]])
    assert not complement(COUNT, layout(COUNT), cells, PARAMETERS).any()


def test_everybody_and_nobody_in_a_condition_are_marked_by_some_rule():
    cells = evidence([[50, 0], [50, 50], [50, 25]], rest=[[0, 50], [0, 0], [0, 25]])
    marks = disclose(layout(CONDITIONAL), cells, PARAMETERS)
    assert [mark is None for mark in marks[:, 0]] == [False, False, True]


def test_a_magnitude_of_zero_for_all_is_homogeneous():
    cells = evidence([[50, 50]] * 2, totals=[0, 1])
    assert homogeneity(SUM, layout(SUM), cells, PARAMETERS).tolist() == [True, False]


def test_equal_values_for_all_are_homogeneous_where_squares_are_known():
    cells = evidence([[50, 50]] * 2, rows=[[50, 0], [50, 0]], totals=[250, 250], squares=[1250, 1300])  # fmt: skip
    assert homogeneity(SUM, layout(SUM), cells, PARAMETERS).tolist() == [True, False]


# --- dominance ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "total", "number", "percent", "expected"),
    [([50, 0, 0], 100, 1, 50, False), ([51, 0, 0], 100, 1, 50, True), ([40, 27, 0], 100, 2, 67, False), ([40, 28, 0], 100, 2, 67, True), ([40, 30, 20], 100, 3, 89, True), ([0, 0, 0], 0, 1, 50, False)],
)  # fmt: skip
def test_dominance_is_strictly_above_its_percent(top, total, number, percent, expected):
    found = evidence([[50, 50]], tops=[top], totals=[total]).magnitudes[0]
    assert dominates(found, number, percent).tolist() == [expected]


@pytest.mark.parametrize(("top", "total", "expected"), [([50, 40, 0], 95, False), ([50, 40, 0], 94, True), ([100, 90, 0], 199, True), ([100, 90, 0], 200, False)])  # fmt: skip
def test_p_percent_is_strictly_below_its_percent(top, total, expected):
    found = evidence([[50, 50]], tops=[top], totals=[total]).magnitudes[0]
    assert estimable(found, 10).tolist() == [expected]


def test_numbers_beyond_64_bits_stay_exact():
    big = 10**30
    found = evidence([[50, 50]] * 2, tops=[[big + 1, 0, 0], [big, 0, 0]], totals=[2 * big + 1, 2 * big]).magnitudes[0]  # fmt: skip
    assert dominates(found, 1, 50).tolist() == [True, False]


def test_dominance_of_any_pair_and_of_any_measure_flags():
    cells = evidence([[50, 50]] * 3, tops=[[60, 1, 1], [40, 30, 1], [30, 30, 30]])
    assert dominance(SUM, layout(SUM), cells, PARAMETERS).tolist() == [True, True, False]
    assert not dominance(COUNT, layout(COUNT), cells, PARAMETERS).any()


def test_a_fourth_largest_unit_is_not_kept():
    with pytest.raises(AssertionError):
        dominates(evidence([[50, 50]]).magnitudes[0], 4, 50)


# --- together -------------------------------------------------------------------------------------------------------


def test_the_first_rule_that_applies_marks_the_value():
    cells = evidence(
        [[5, 5], [50, 41], [50, 25], [50, 25], [50, 25], [50, 25]], rest=[[0, 0], [0, 9], [0, 25], [0, 25], [0, 25], [0, 25]],
        tops=[[9, 0, 0], [9, 0, 0], [0, 0, 0], [80, 0, 0], [48, 15, 1], [1, 1, 1]], totals=[10, 100, 0, 100, 66, 100],
    )  # fmt: skip
    conditional = Formula(AggregateKind.SUM, (Part(1, Fraction(0), ((ONE, 0),)),))
    parameters = replace(PARAMETERS, dominance=((1, 75),), p_percent=10)
    marks = disclose(layout(conditional, COUNT), cells, parameters)
    assert marks[:, 0].tolist() == ["threshold", "complement", "homogeneity", "dominance", "p_percent", None]  # fmt: skip
    assert marks[:, 1].tolist() == ["threshold", None, None, None, None, None]
    assert [name for name, _ in RULES] == ["threshold", "complement", "homogeneity", "dominance", "p_percent"]  # fmt: skip


def test_no_cells_have_no_marks():
    empty = evidence(np.zeros((0, 2)), tops=np.zeros((0, 3)), totals=[])
    assert disclose(layout(COUNT), empty, PARAMETERS).shape == (0, 1)
    assert empty.cells == 0


def test_small_cells_are_told_by_the_whole_cell():
    assert small_cells(evidence([[9, 0], [10, 0]]), PARAMETERS).tolist() == [True, False]
    assert small_cells(evidence([[0, 0]]), OFF).tolist() == [False]


@pytest.mark.parametrize(("reason", "rule"), [("overlap", "R14"), ("threshold", "R5"), ("secondary", "R5"), ("p_percent", "R5")])  # fmt: skip
def test_a_reason_names_its_rule(reason, rule):
    assert reason_rule(reason) == rule


def test_a_group_all_of_whose_members_share_one_sensitive_value_is_flagged():
    labels = pa.table({"d0": ["a", "a", "b", None], "d1": ["F", "A", "F", "F"]})
    assert single_sensitive(labels, ["d1"]).tolist() == [False, False, True, True]
    assert single_sensitive(labels, []).tolist() == [False] * 4
    assert single_sensitive(labels, ["d0", "d1"]).tolist() == [False] * 4
    assert single_sensitive(labels.slice(0, 0), ["d1"]).tolist() == []
