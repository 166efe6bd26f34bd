"""Every class of column in every context is decided, and only the expected pairs are permitted."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import made_world as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.authorization.contexts import judge_use
from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.model.policy import ColumnRule
from middleplatform.model.query import Clause, ColumnUse, Context
from middleplatform.policy import evaluate

GOLDEN = Path(__file__).parents[2] / "golden" / "authorization_contexts.txt"
DATASET = made.BUNDLE.datasets["ga.person"]
# A use that its class would take, so that only the context decides.
LITERALS = {Use.MEASURE: (Decimal(12),), Use.DATE: (date(2024, 4, 1),)}
OPS = {Context.COMPARE: ">=", Context.GROUP_BUCKET: "quarter", Context.COMPARE_BUCKET: "quarter", Context.GROUP_BAND: "10"}  # fmt: skip


def rule(*uses, **changes):
    values = {"level": Level.GENERAL_2, "sharing": Sharing.UNCONDITIONAL, "law": "", "uses": frozenset(uses), "breakpoints": (Decimal(12),), "finest": "month", "bucket": "month", "generalise": 5}  # fmt: skip
    return ColumnRule(**{**values, **changes})


def use(context, kind=Use.DIMENSION, *, per_unit=False, clause=Clause.WHERE, op=None, literals=None):  # fmt: skip
    found = LITERALS.get(kind, ("x",)) if literals is None else literals
    return ColumnUse("ga.person", "c", context, clause, OPS.get(context, "") if op is None else op, found, per_unit)  # fmt: skip


def verdict(kind, context, *, per_unit=False):
    refusal = judge_use(use(context, kind, per_unit=per_unit), rule(kind), DATASET)
    return "permit" if refusal is None else refusal[0]


def table():
    rows = []
    for kind in Use:
        rows += [f"{kind}\t{context}\t{verdict(kind, context)}" for context in Context]
    rows += [f"per unit of a measure\t{context}\t{verdict(Use.MEASURE, context, per_unit=True)}" for context in Context]  # fmt: skip
    return "\n".join(rows) + "\n"


def test_the_whole_table_is_the_reviewed_one(request):
    if request.config.getoption("--update-golden", default=False):
        GOLDEN.write_text(table(), encoding="utf-8")
    assert table() == GOLDEN.read_text(encoding="utf-8")


PERMITTED = {
    Use.KEY: {Context.JOIN_KEY, Context.COUNT_DISTINCT, Context.UNIT_GROUP, Context.NULL_TEST, Context.PASS},
    Use.MEASURE: {Context.SUM, Context.COUNT, Context.NULL_TEST, Context.COMPARE, Context.PASS},
    Use.DIMENSION: {Context.GROUP, Context.GROUP_BAND, Context.COMPARE, Context.COMPARE_BAND, Context.COUNT, Context.NULL_TEST, Context.PASS},
    Use.SENSITIVE_DIMENSION: {Context.GROUP, Context.GROUP_BAND, Context.COMPARE, Context.COMPARE_BAND, Context.COUNT, Context.NULL_TEST, Context.PASS},
    Use.DATE: {Context.GROUP, Context.GROUP_BUCKET, Context.COMPARE_BUCKET, Context.COMPARE, Context.COUNT, Context.NULL_TEST, Context.PASS},
    Use.DENIED: set(),
}  # fmt: skip


@pytest.mark.parametrize("kind", Use)
def test_only_the_expected_contexts_permit(kind):
    assert {context for context in Context if verdict(kind, context) == "permit"} == PERMITTED[kind]


def test_a_per_unit_aggregate_is_only_summed_counted_or_compared():
    permitted = {context for context in Context if verdict(Use.MEASURE, context, per_unit=True) == "permit"}  # fmt: skip
    assert permitted == {Context.SUM, Context.COUNT, Context.NULL_TEST, Context.COMPARE, Context.PASS}  # fmt: skip


@pytest.mark.parametrize(
    "denied",
    [
        rule(Use.DENIED), rule(), rule(Use.DIMENSION, sharing=Sharing.NOT_SHARED), rule(Use.DIMENSION, level=Level.IMPORTANT), rule(Use.DIMENSION, level=Level.CORE),
        rule(Use.DIMENSION, Use.DENIED), evaluate.DENIED,
    ],
)  # fmt: skip
@pytest.mark.parametrize("context", Context)
def test_a_denied_column_stands_in_no_context(denied, context):
    for per_unit in (False, True):
        assert judge_use(use(context, per_unit=per_unit), denied, DATASET)[0] == "R1"


def test_a_denial_names_its_law():
    refusal = judge_use(use(Context.GROUP), rule(Use.DIMENSION, sharing=Sharing.NOT_SHARED, law="密码法"), DATASET)  # fmt: skip
    assert "密码法" in refusal[1][0]
    assert "密码法" in refusal[1][1]


def test_a_column_of_two_classes_may_do_what_either_may():
    both = rule(Use.KEY, Use.DIMENSION)
    assert judge_use(use(Context.GROUP), both, DATASET) is None
    assert judge_use(use(Context.JOIN_KEY), both, DATASET) is None
    assert judge_use(use(Context.SUM), both, DATASET) is not None


@pytest.mark.parametrize("clause", Clause)
def test_misuse_in_having_order_and_windows_is_told_by_their_own_rule(clause):
    own = {Clause.HAVING: "R6", Clause.ORDER_BY: "R8", Clause.WINDOW: "R7"}.get(clause, "R4")
    assert judge_use(use(Context.OUTPUT, clause=clause), rule(Use.DIMENSION), DATASET)[0] == own
    compared = use(Context.COMPARE, Use.MEASURE, clause=clause, literals=(7,))
    assert judge_use(compared, rule(Use.MEASURE), DATASET)[0] == "R3"


@pytest.mark.parametrize(
    ("op", "literals", "permitted"),
    [
        (">=", (12,), True), (">=", (Decimal("12.0"),), True), ("<", (12,), True), ("=", (12,), False), ("<>", (12,), False), (">=", (13,), False), (">=", ("12",), False),
        (">=", (True,), False), (">=", (None,), False), (">=", (date(2024, 1, 1),), False), (">=", (12, 13), False), ("IN", (12,), False),
    ],
)  # fmt: skip
def test_a_measure_is_compared_with_its_breakpoints_only(op, literals, permitted):
    refusal = judge_use(use(Context.COMPARE, op=op, literals=literals), rule(Use.MEASURE), DATASET)
    assert (refusal is None) is permitted
    assert refusal is None or (refusal[0] == "R3" and "12" in refusal[2][0])


def test_a_measure_without_breakpoints_is_compared_with_nothing():
    refusal = judge_use(use(Context.COMPARE, Use.MEASURE), rule(Use.MEASURE, breakpoints=()), DATASET)  # fmt: skip
    assert refusal[2][0] == "breakpoints: -"


@pytest.mark.parametrize(
    ("column", "op", "literal", "permitted"),
    [("*", ">=", 3, True), ("*", "=", 3, True), ("*", ">=", 2, False), ("*", "<>", 1, True), ("c", ">=", 12, True), ("c", "=", 12, False), ("c", ">=", 3, False)],
)  # fmt: skip
def test_counts_per_unit_have_the_datasets_breakpoints_and_sums_their_columns(
    column, op, literal, permitted
):
    asked = replace(use(Context.COMPARE, op=op, literals=(literal,), per_unit=True), column=column)
    assert (judge_use(asked, rule(Use.MEASURE), DATASET) is None) is permitted


def test_a_distinct_count_per_unit_has_the_datasets_breakpoints():
    asked = use(Context.COMPARE, op="=", literals=(3,), per_unit=True)
    assert judge_use(asked, rule(Use.KEY), DATASET) is None


@pytest.mark.parametrize(("width", "permitted"), [("5", True), ("10", True), ("7", False), ("1", False), ("3", False)])  # fmt: skip
def test_bands_are_multiples_of_the_registered_width(width, permitted):
    refusal = judge_use(use(Context.GROUP_BAND, op=width), rule(Use.DIMENSION), DATASET)
    assert (refusal is None) is permitted
    assert judge_use(use(Context.GROUP_BAND, op=width), rule(Use.DIMENSION, generalise=0), DATASET) is None  # fmt: skip


@pytest.mark.parametrize(
    ("code", "op", "permitted"),
    [("F32", "=", False), ("F32.1", "=", False), ("F1", "=", False), ("F70", "=", True), ("A01", "=", True), ("F32", "<>", True), ("f32", "=", False), (5, "=", True)],
)  # fmt: skip
def test_withheld_codes_may_not_be_asked_for(code, op, permitted):
    column = made.WITHHOLDING.datasets["ga.person"].columns["diagnosis"]
    refusal = judge_use(use(Context.COMPARE, op=op, literals=(code,)), column, DATASET)
    assert (refusal is None) is permitted
    assert refusal is None or refusal[0] == "R1"


@pytest.mark.parametrize(
    ("op", "day", "finest", "permitted"),
    [
        (">=", date(2024, 5, 1), "month", True), ("<", date(2024, 5, 1), "month", True), (">=", date(2024, 5, 2), "month", False), ("<=", date(2024, 4, 30), "month", True),
        (">", date(2024, 4, 30), "month", True), (">", date(2024, 5, 1), "month", False), ("<=", date(2024, 2, 29), "month", True), ("<=", date(2024, 2, 28), "month", False),
        (">=", date(2024, 5, 1), "quarter", False), (">=", date(2024, 4, 1), "quarter", True), ("<=", date(2024, 12, 31), "year", True), (">=", date(2024, 4, 1), "year", False),
        ("=", date(2024, 5, 1), "month", False), ("<>", date(2024, 5, 1), "month", False), (">=", "2024-05-01", "month", False), (">=", date(2024, 1, 1), "", False),
        ("<=", date.max, "month", False), (">=", None, "month", False),
    ],
)  # fmt: skip
def test_dates_are_compared_on_bucket_starts_only(op, day, finest, permitted):
    refusal = judge_use(use(Context.COMPARE, op=op, literals=(day,)), rule(Use.DATE, finest=finest), DATASET)  # fmt: skip
    assert (refusal is None) is permitted
    assert refusal is None or refusal[0] == "R4"


@pytest.mark.parametrize("context", [Context.GROUP_BUCKET, Context.COMPARE_BUCKET])
@pytest.mark.parametrize("op", ["day", "week", "month", "quarter", "year", "dow", "?"])
def test_buckets_are_no_finer_than_registered(context, op):
    order = ["month", "quarter", "year"]
    for finest in [*order, ""]:
        permitted = op in order and finest in order and order.index(op) >= order.index(finest)
        refusal = judge_use(use(context, op=op), rule(Use.DATE, finest=finest), DATASET)
        assert (refusal is None) is permitted


def test_a_date_is_grouped_itself_only_where_a_bucket_is_registered():
    assert judge_use(use(Context.GROUP), rule(Use.DATE, bucket=""), DATASET)[0] == "R4"


def test_order_statistics_are_told_by_r3():
    for kind in (Use.DIMENSION, Use.DATE, Use.MEASURE):
        assert verdict(kind, Context.AGGREGATE_OTHER) == "R3"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sets(st.sampled_from(Use)), st.sampled_from(Context), st.sampled_from(Clause), st.text(max_size=6),
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.dates(), st.decimals(allow_nan=False)), max_size=3), st.booleans(),
)  # fmt: skip
def test_judging_is_total(kinds, context, clause, op, literals, per_unit):
    op = "5" if context is Context.GROUP_BAND else op
    asked = ColumnUse("ga.person", "c", context, clause, op, tuple(literals), per_unit)
    refusal = judge_use(asked, rule(*kinds), DATASET)
    assert refusal is None or refusal[0].startswith("R")
    if not kinds or Use.DENIED in kinds:
        assert refusal[0] == "R1"
