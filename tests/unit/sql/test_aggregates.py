"""Aggregate calls as exclusive affine pieces."""

from fractions import Fraction

import made_world as made
import pytest

from middleplatform.errors import QueryError
from middleplatform.model.query import (
    Affine,
    AggregateKind,
    Boolean,
    Compare,
    Field,
    IsNull,
    IsTrue,
    Literal,
    Not,
    Piece,
    Term,
)

EDUCATION, SEX, ID = (Field("t0", name) for name in ("education", "sex", "id"))
ONE = Affine((), Fraction(1))
MALE, SCHOOL = Compare("=", SEX, Literal("1")), Compare(">=", EDUCATION, Literal(12))


def aggregate(text):
    (found,) = made.cell(f"SELECT {text} AS a FROM ga.person").aggregates
    return found


def once(field=EDUCATION, coefficient=1, constant=0):
    return Affine((Term(Fraction(coefficient), field),), Fraction(constant))


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("SUM(education)", AggregateKind.SUM), ("AVG(education)", AggregateKind.AVG), ("VAR_SAMP(education)", AggregateKind.VAR_SAMP),
        ("VARIANCE(education)", AggregateKind.VAR_SAMP), ("VAR_POP(education)", AggregateKind.VAR_POP), ("STDDEV(education)", AggregateKind.STDDEV_SAMP),
        ("STDDEV_SAMP(education)", AggregateKind.STDDEV_SAMP), ("STDDEV_POP(education)", AggregateKind.STDDEV_POP),
    ],
)  # fmt: skip
def test_each_additive_aggregate_has_one_unconditional_piece(call, kind):
    found = aggregate(call)
    assert (found.kind, found.pieces, found.condition) == (kind, (Piece(None, once()),), None)


def test_counts_are_ones_where_something_is_present():
    assert aggregate("COUNT(*)").pieces == (Piece(None, ONE),)
    assert aggregate("COUNT(education)").pieces == (Piece(Not(IsNull(EDUCATION)), ONE),)
    assert aggregate("COUNT(1)").pieces == (Piece(None, ONE),)
    (nothing,) = aggregate("COUNT(NULL)").pieces
    assert nothing.condition == Not(IsNull(Literal(None)))
    (both,) = aggregate("COUNT(education + birth_year)").pieces
    assert both.condition == Boolean("and", (Not(IsNull(EDUCATION)), Not(IsNull(Field("t0", "birth_year")))))  # fmt: skip


def test_a_filter_is_the_condition():
    assert aggregate("SUM(education) FILTER (WHERE sex = '1')").condition == MALE


def test_pieces_of_a_case_exclude_each_other_in_order():
    found = aggregate("SUM(CASE WHEN sex = '1' THEN education WHEN education >= 12 THEN 2 * education + 1 ELSE 0 END)")  # fmt: skip
    assert found.pieces == (
        Piece(MALE, once()),
        Piece(Boolean("and", (SCHOOL, Not(IsTrue(MALE)))), once(coefficient=2, constant=1)),
        Piece(Boolean("and", (Not(IsTrue(MALE)), Not(IsTrue(SCHOOL)))), Affine((), Fraction(0))),
    )


def test_a_missing_branch_takes_its_rows_away():
    found = aggregate("AVG(CASE WHEN sex = '1' THEN NULL WHEN education >= 12 THEN education END)")
    assert found.pieces == (Piece(Boolean("and", (SCHOOL, Not(IsTrue(MALE)))), once()),)


def test_a_count_of_a_case_counts_the_branches_that_are_not_null():
    found = aggregate("COUNT(CASE WHEN sex = '1' THEN NULL WHEN education >= 12 THEN 1 ELSE 0 END)")  # fmt: skip
    assert found.pieces == (
        Piece(Boolean("and", (SCHOOL, Not(IsTrue(MALE)))), ONE),
        Piece(Boolean("and", (Not(IsTrue(MALE)), Not(IsTrue(SCHOOL)))), ONE),
    )


def test_a_distinct_count_keeps_its_key_and_takes_a_case_as_a_filter():
    assert aggregate("COUNT(DISTINCT id)").key == ID
    found = aggregate("COUNT(DISTINCT CASE WHEN sex = '1' THEN id END) FILTER (WHERE education >= 12)")  # fmt: skip
    assert (found.kind, found.key, found.condition) == (AggregateKind.COUNT_DISTINCT, ID, Boolean("and", (SCHOOL, MALE)))  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        "MAX(education)", "MIN(sex)", "SUM(DISTINCT education)", "AVG(DISTINCT education)", "COUNT(DISTINCT id, sex)", "COUNT(DISTINCT CASE WHEN local THEN id ELSE 'x' END)",
        "COUNT(DISTINCT UPPER(name))", "MEDIAN(education)", "STRING_AGG(name, ',')", "ARRAY_AGG(education)", "JSON_AGG(name)", "BOOL_AND(local)", "MODE() WITHIN GROUP (ORDER BY sex)",
        "PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY education)", "SUM(education * birth_year)", "SUM(POWER(education, 2))", "VAR_SAMP(education + birth_year)",
        "STDDEV(CASE WHEN local THEN education ELSE birth_year END)", "CORR(education, birth_year)", "SUM(CASE WHEN local THEN UPPER(name) END)", "COUNT(UPPER(name))",
        "COUNT(CASE WHEN local THEN name END)", "COUNT(DATE_TRUNC('month', born))", "SUM(DATE_TRUNC('month', born))", "histogram(education)", "COUNT(CASE WHEN local THEN NULL END)",
        "any_value(name)", "SUM(CASE WHEN local THEN NULL END)", "approx_count_distinct(name)", "SUM(born)", "SUM(sex)", "AVG(local)",
    ],
)  # fmt: skip
def test_no_other_aggregate_is_permitted(call):
    assert not made.decided(f"SELECT {call} FROM ga.person").permit


@pytest.mark.parametrize("call", ["COUNT(* EXCLUDE (sex))", "SUM(*)", "SUM(COUNT(*))", "SUM(SUM(education) OVER ())", "COUNT()", "SUM()"])  # fmt: skip
def test_forms_that_are_no_aggregate_of_rows_are_refused(call):
    try:
        assert not made.decided(f"SELECT {call} FROM ga.person").permit
    except QueryError as error:
        assert error.code in ("Q001", "Q010")  # noqa: PT017 - refused at either stage
