"""Every node type that the converter names, and what becomes of those that it does not."""

from datetime import date
from decimal import Decimal

import pytest
from sqlglot import exp, parse_one

from middleplatform.errors import QueryError
from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.model.query import (
    Arithmetic,
    Band,
    Between,
    Boolean,
    Case,
    Coalesce,
    Compare,
    Context,
    DateBucket,
    DatePart,
    Field,
    InList,
    IsNull,
    IsTrue,
    Literal,
    Not,
    Opaque,
)
from middleplatform.sql.convert import Converter

TYPES = {
    "n": TypeKind.INTEGER, "d": TypeKind.DECIMAL, "s": TypeKind.TEXT, "t": TypeKind.DATE, "b": TypeKind.BOOLEAN,
    "m": TypeKind.INTEGER,
}  # fmt: skip
N, D, S, T, B, M = (Field("r", name) for name in "ndstbm")
U = Field("r", "untyped")


class Notes:
    """A converter over one made relation, and what it was told."""

    def __init__(self):
        self.subqueries, self.unknown = [], []
        self.convert = Converter(
            lambda column: Field("r", column.name),
            lambda field: ColumnType(TYPES[field.name]) if field.name in TYPES else None,
            self.subqueries.append,
            self.unknown.append,
        )


def tree(text):
    return parse_one(f"SELECT {text}", dialect="postgres").expressions[0]


def row(text):
    return Notes().convert.row(tree(text))


def predicate(text):
    return Notes().convert.predicate(tree(text))


def code_of(function, text):
    with pytest.raises(QueryError) as caught:
        function(text)
    return caught.value.code


ROWS = {
    "n": N, "(n)": N, "1": Literal(1), "1.0": Literal(Decimal("1.0")), "1e2": Literal(Decimal("1E+2")), "'x'": Literal("x"), "TRUE": Literal(True),
    "NULL": Literal(None), "-1": Literal(-1), "-(1 + 2)": Literal(-3), "-n": Arithmetic("*", Literal(-1), N), "1 + 2 * 3": Literal(7),
    "n + 1": Arithmetic("+", N, Literal(1)), "n / 2": Arithmetic("/", N, Literal(2)), "2 * n": Arithmetic("*", Literal(2), N),
    "n + m": Arithmetic("+", N, M), "n * 2 / 4": Arithmetic("/", Arithmetic("*", N, Literal(2)), Literal(4)),
    "FLOOR(n / 5) * 5": Band(5, N), "FLOOR((n) / 5) * 5": Band(5, N), "n - n % 5": Band(5, N), "n - (n % 5)": Band(5, N), "n - MOD(n, 5)": Band(5, N),
    "DATE_TRUNC('month', t)": DateBucket("month", T), "DATE_TRUNC('QUARTER', t)": DateBucket("quarter", T), "EXTRACT(year FROM t)": DatePart("year", T),
    "DATE_PART('month', t)": DatePart("month", T),
    "COALESCE(n, 0)": Coalesce(N, Literal(0)), "COALESCE(t, '2024-01-01')": Coalesce(T, Literal(date(2024, 1, 1))),
    "CASE WHEN b THEN 1 END": Case(((B, Literal(1)),), Literal(None)), "CASE s WHEN 'x' THEN n ELSE 0 END": Case(((Compare("=", S, Literal("x")), N),), Literal(0)),
    "n::bigint": N, "n::numeric": N, "d::double precision": D, "s::text": S, "t::date": T, "b::boolean": B, "DATE '2024-01-31'": Literal(date(2024, 1, 31)),
    "'12'::int": Literal(12), "CAST(1.5 AS numeric)": Literal(Decimal("1.5")), "'x'::text": Literal("x"), "'2024-01-01'::timestamp": Literal(date(2024, 1, 1)),
    "DATE_TRUNC('month', t)::date": DateBucket("month", T),
}  # fmt: skip


@pytest.mark.parametrize("text", ROWS)
def test_row_expression_is_the_governed_one(text):
    assert row(text) == ROWS[text]


OPAQUE = {
    "n % 2": (Context.FUNCTION, (N, Literal(2))), "n / m": (Context.PARTIAL, (N, M)), "n / 0": (Context.PARTIAL, (N, Literal(0))),
    "n / (1 - 1)": (Context.PARTIAL, (N, Literal(0))), "n * m": (Context.PRODUCT, (N, M)), "n * n": (Context.PRODUCT, (N, N)),
    "LN(n)": (Context.PARTIAL, (N,)), "SQRT(n)": (Context.PARTIAL, (N,)), "EXP(n)": (Context.PARTIAL, (N,)), "s::int": (Context.PARTIAL, (S,)),
    "n::smallint": (Context.PARTIAL, (N,)), "n::text": (Context.PARTIAL, (N,)), "d::numeric(5, 1)": (Context.PARTIAL, (D,)), "d::int": (Context.PARTIAL, (D,)),
    "MD5(s)": (Context.FUNCTION, (S,)), "ABS(n)": (Context.FUNCTION, (N,)), "s || 'x'": (Context.FUNCTION, (S, Literal("x"))),
    "UPPER(s)": (Context.FUNCTION, (S,)), "SUBSTRING(s FROM 1 FOR 2)": (Context.FUNCTION, (S, Literal(1), Literal(2))),
    "COALESCE(n, m)": (Context.FUNCTION, (N, M)), "COALESCE(n, m, 0)": (Context.FUNCTION, (N, M, Literal(0))), "COALESCE(n + 1, 0)": (Context.FUNCTION, (Arithmetic("+", N, Literal(1)), Literal(0))),
    "GREATEST(n, m)": (Context.FUNCTION, (N, M)), "NULLIF(n, 0)": (Context.FUNCTION, (N, Literal(0))), "no_such(n)": (Context.FUNCTION, (N,)),
    "POWER(n, 2)": (Context.FUNCTION, (N, Literal(2))), "FLOOR(d / 5) * 5": None, "FLOOR(n / 5) * 4": None, "FLOOR(n / m) * m": None, "FLOOR(n / 0) * 0": None,
    "n - m % 5": None, "n - n % 0": None, "FLOOR(n / 5, 2) * 5": None,
}  # fmt: skip


@pytest.mark.parametrize("text", OPAQUE)
def test_what_has_no_governed_meaning_is_opaque_with_its_operands(text):
    found = row(text)
    if OPAQUE[text] is None:
        assert isinstance(found, Opaque | Arithmetic)
        assert not isinstance(found, Band)
        return
    assert (found.context, found.operands) == OPAQUE[text]


def test_an_unknown_function_is_told():
    notes = Notes()
    notes.convert.row(tree("no_such(n)"))
    assert len(notes.unknown) == 1


def test_a_pattern_is_told_apart_and_no_unknown_function():
    notes = Notes()
    assert notes.convert.predicate(tree("s LIKE '%x'")).context is Context.PATTERN
    assert predicate("s ~ 'x'").context is Context.PATTERN
    assert notes.unknown == []


def test_predicates_inside_an_unknown_form_keep_their_columns():
    found = row("no_such(n > 1 AND s = 'x')")
    (inside,) = found.operands
    assert inside == Boolean("and", (Compare(">", N, Literal(1)), Compare("=", S, Literal("x"))))


@pytest.mark.parametrize("text", ["(SELECT 1)", "EXISTS (SELECT 1)", "n = ANY (SELECT 1)", "n > ALL (SELECT 1)"])  # fmt: skip
def test_a_subquery_is_told_and_opaque(text):
    notes = Notes()
    found = notes.convert.predicate(tree(text))
    assert len(notes.subqueries) == 1
    assert Context.CORRELATED in (
        getattr(found, "context", None),
        getattr(getattr(found, "right", None), "context", None),
    )


@pytest.mark.parametrize("text", ["SUM(n)", "COUNT(*)", "n + SUM(n)", "RANK() OVER (ORDER BY n)", "STRING_AGG(s, ',')", "no_such(MAX(n))"])  # fmt: skip
def test_an_aggregate_or_window_is_no_row_expression(text):
    assert code_of(row, text) == "Q010"


@pytest.mark.parametrize(
    "text",
    [
        "1e99", "1e-99", "123456789012345678901234567890123456789", "n = 'abc'", "t = '2024-02-30'", "t = 'yesterday'", "s = 1", "b = 1", "n = TRUE",
        "t = 5", "'abc'::int", "'x'::json", "t BETWEEN SYMMETRIC '2024-01-01' AND '2023-01-01'", "n IN (1, 'x')", "DATE_TRUNC('month', t, 'UTC') = '2024-01-01'",
        "INTERVAL '1 day' = t", "CASE WHEN b THEN 1 ELSE 'x' END = 'x'", "n IS DISTINCT FROM 1 IS JSON",
    ],
)  # fmt: skip
def test_forms_and_literals_that_fit_nothing_are_refused(text):
    assert code_of(predicate if not text[0].isdigit() else row, text) in ("Q010", "Q001")


PREDICATES = {
    "n = 1": Compare("=", N, Literal(1)), "n <> 1": Compare("<>", N, Literal(1)), "n != 1": Compare("<>", N, Literal(1)), "n <= 1": Compare("<=", N, Literal(1)),
    "n < m": Compare("<", N, M), "n > '5'": Compare(">", N, Literal(5)), "d >= '5.5'": Compare(">=", D, Literal(Decimal("5.5"))), "t < '2024-01-01'": Compare("<", T, Literal(date(2024, 1, 1))),
    "DATE_TRUNC('year', t) = '2024-01-01'": Compare("=", DateBucket("year", T), Literal(date(2024, 1, 1))), "EXTRACT(year FROM t) = 2024": Compare("=", DatePart("year", T), Literal(2024)),
    "COALESCE(n, 0) > '1'": Compare(">", Coalesce(N, Literal(0)), Literal(1)), "n = NULL": Compare("=", N, Literal(None)), "untyped = 'x'": Compare("=", U, Literal("x")),
    "CASE WHEN b THEN 1 ELSE 2 END = '1'": Compare("=", Case(((B, Literal(1)),), Literal(2)), Literal(1)),
    "n BETWEEN 1 AND 5": Between(N, Literal(1), Literal(5)), "n NOT BETWEEN 1 AND 5": Not(Between(N, Literal(1), Literal(5))),
    "n BETWEEN m AND 5": Boolean("and", (Compare(">=", N, M), Compare("<=", N, Literal(5)))), "n BETWEEN 1 AND m": Boolean("and", (Compare(">=", N, Literal(1)), Compare("<=", N, M))),
    "s IN ('a', 'b')": InList(S, (Literal("a"), Literal("b"))), "n NOT IN (1)": Not(InList(N, (Literal(1),))), "n IN (1, NULL)": InList(N, (Literal(1), Literal(None))),
    "n IS NULL": IsNull(N), "n IS NOT NULL": Not(IsNull(N)), "NOT n IS NULL": Not(IsNull(N)), "n ISNULL": IsNull(N), "n NOTNULL": Not(IsNull(N)), "b IS UNKNOWN": IsNull(B),
    "b IS TRUE": IsTrue(B), "b IS FALSE": IsTrue(Not(B)), "b IS NOT TRUE": Not(IsTrue(B)), "b IS NOT FALSE": Not(IsTrue(Not(B))), "b": B, "NOT b": Not(B), "TRUE": Literal(True),
    "b AND n = 1 AND s = 'x'": Boolean("and", (B, Compare("=", N, Literal(1)), Compare("=", S, Literal("x")))),
    "b OR n = 1 AND b": Boolean("or", (B, Boolean("and", (Compare("=", N, Literal(1)), B)))), "(b OR b) AND b": Boolean("and", (Boolean("or", (B, B)), B)),
}  # fmt: skip


@pytest.mark.parametrize("text", PREDICATES)
def test_predicate_is_the_governed_one(text):
    assert predicate(text) == PREDICATES[text]


def test_a_literal_on_the_left_means_the_mirrored_comparison():
    assert predicate("5 < n") in (Compare("<", Literal(5), N), Compare(">", N, Literal(5)))


@pytest.mark.parametrize(("text", "context"), [
    ("n IN (SELECT 1)", Context.CORRELATED), ("n IN (m, 1)", Context.COLUMN_COMPARE), ("CASE WHEN b THEN TRUE ELSE b END", Context.FUNCTION),
    ("n IS DISTINCT FROM 1", Context.FUNCTION), ("n IS NOT DISTINCT FROM m", Context.FUNCTION), ("s LIKE 'a%'", Context.PATTERN), ("s NOT ILIKE 'a%'", Context.PATTERN),
])  # fmt: skip
def test_an_unruly_predicate_is_opaque(text, context):
    assert predicate(text).context is context


@pytest.mark.parametrize("text", ["NULL", "1", "'x'", "n + 1", "COALESCE(b, TRUE)", "n IN UNNEST(s)", "n = 1 IS NULL IS NULL AND 5"])  # fmt: skip
def test_what_is_no_condition_is_refused(text):
    assert code_of(predicate, text) in ("Q010", "Q001")


def test_a_node_that_is_no_expression_is_refused():
    with pytest.raises(QueryError):
        Notes().convert.row(exp.Table(this=exp.to_identifier("x")))
