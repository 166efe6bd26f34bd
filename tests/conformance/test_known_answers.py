"""The reference itself is held to answers worked out by hand."""

from datetime import date
from decimal import Decimal

import generate
import pyarrow as pa
import pytest
import small_world

from connectors.memory import MemoryConnector
from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits, Statement

LIMITS = ExecutionLimits(10, 1000, 16)


def evidence(sql, data="usual", kind="evidence"):
    connector = MemoryConnector(small_world.tables(small_world.DATA[data]))
    statement = next(made for name, made in generate.statements(sql, "duckdb") if name == kind)
    return connector.execute(statement, LIMITS).to_pylist()


def test_one_cell_counts_named_units_and_all_rows():
    # P1 to P7 and P'8": eight names in ten rows; two rows have no name.
    assert evidence("SELECT COUNT(*) FROM ga.person") == [{"units_0": 8, "rows_0": Decimal(10)}]


def test_empty_table_is_one_cell_of_nothing_without_labels_and_no_cell_with():
    assert evidence("SELECT COUNT(*) FROM ga.person", "empty") == [{"units_0": 0, "rows_0": None}]
    assert evidence("SELECT region, COUNT(*) FROM ga.person GROUP BY region", "empty") == []


def test_sum_words_of_one_year():
    # 2023: P1 100.10; P2 -0.01 and missing; P5 missing. One unit is negative, P5 has no total.
    rows = evidence("SELECT year, SUM(amount) FROM tax.income GROUP BY year")
    assert next(row for row in rows if row["d0"] == 2023) == {
        "d0": 2023, "units_0": 3, "rows_0": Decimal(3), "units_1": 2, "rest_1": 1, "rows_1": Decimal(2),
        "sum_0": Decimal("100.09"), "abs_0": Decimal("100.11"), "neg_0": 1,
        "top1_0": Decimal("100.10"), "top2_0": Decimal("0.01"), "top3_0": None,
    }  # fmt: skip


def test_unit_without_a_name_is_in_the_totals_and_not_among_the_units():
    # The rows of P9 and of nobody: 12.34 and 50.00.
    rows = evidence(
        "SELECT year, SUM(amount) FROM tax.income WHERE year = 2024 AND amount BETWEEN 12 AND 50 GROUP BY year"
    )
    assert [(row["units_0"], row["sum_0"], row["top1_0"]) for row in rows] == [
        (1, Decimal("62.34"), Decimal("50.00"))
    ]


def test_squares_are_of_rows_and_not_of_units():
    # P1 in 2024: -300.25 and 0.05.
    rows = evidence(
        "SELECT VAR_SAMP(amount) FROM tax.income WHERE year = 2024 AND amount < 1 AND amount <> 0"
    )
    assert rows[0]["sq_0"] == Decimal("300.25") ** 2 + Decimal("0.05") ** 2
    assert rows[0]["sum_0"] == Decimal("-300.20")


@pytest.mark.parametrize(
    ("age", "band"),
    [(9, 0), (0, 0), (-1, -10), (-10, -10), (-11, -20), (-20, -20), (10, 10), (19, 10)],
)
def test_band_of_a_negative_number_starts_below_it(age, band):
    rows = evidence(
        f"SELECT FLOOR(age / 10) * 10, COUNT(*) FROM ga.person WHERE age = {age} GROUP BY 1"
    )
    assert [row["d0"] for row in rows] == [band]


@pytest.mark.parametrize(
    ("unit", "first"),
    [("month", date(2024, 5, 1)), ("quarter", date(2024, 4, 1)), ("year", date(2024, 1, 1))],
)
def test_bucket_is_the_first_day(unit, first):
    rows = evidence(
        f"SELECT DATE_TRUNC('{unit}', born), COUNT(*) FROM ga.person WHERE born = '2024-05-31' GROUP BY 1"
    )
    assert [row["d0"] for row in rows] == [first]


def test_missing_label_is_a_cell_of_its_own():
    rows = evidence("SELECT local, COUNT(*) FROM ga.person GROUP BY local")
    assert {row["d0"]: int(row["rows_0"]) for row in rows} == {True: 5, False: 3, None: 2}


def test_unknown_is_not_true_and_its_negation_neither():
    wanted, rest, unknown = (
        evidence(f"SELECT COUNT(*) FROM ga.person WHERE {condition}")[0]["rows_0"]
        for condition in ("age > 0", "NOT (age > 0)", "(age > 0) IS NOT TRUE")
    )
    assert (wanted, rest, unknown) == (4, 5, 6)


def test_left_join_keeps_and_anti_join_wants_the_row_without_a_match():
    # P1 three incomes, P2 two, P3 to P5 one each; P6, P7, P'8" and two nameless rows none.
    joined = "FROM ga.person p LEFT JOIN tax.income i ON p.id = i.id"
    assert evidence(f"SELECT COUNT(*) {joined}")[0] == {"units_0": 8, "rows_0": Decimal(13)}
    assert evidence(f"SELECT COUNT(*) {joined} WHERE i.id IS NULL")[0] == {
        "units_0": 3,
        "rows_0": Decimal(5),
    }


def test_mean_per_unit_has_six_places_half_away_from_zero():
    # P1: (10 + 20 - 7) / 3 = 7.666667.
    rows = evidence(
        "SELECT SUM(a) FROM (SELECT id, AVG(steps) AS a FROM tax.income WHERE year > 2022 GROUP BY id) u"
    )
    assert rows[0]["top1_0"] == Decimal("7.666667")


def test_units_lists_each_once_and_totals_name_none():
    units = evidence("SELECT year, SUM(steps) FROM tax.income GROUP BY year", kind="units")
    totals = evidence("SELECT year, SUM(steps) FROM tax.income GROUP BY year", kind="totals")
    assert len(units) == len(totals) == 9
    assert {"d0": 2024, "u": "P1", "n": 2} in units
    assert {"d0": 2024, "s0": Decimal(13)} in totals


def test_distinct_counts_another_key():
    assert evidence("SELECT COUNT(DISTINCT firm) FROM tax.income", kind="distinct 0") == [
        {"keys": 4}
    ]


def test_memory_stops_at_its_deadline():
    connector = MemoryConnector(
        small_world.tables(
            {
                "person": small_world.DATA["usual"]["person"] * 40,
                "income": small_world.DATA["usual"]["income"] * 40,
            }
        )
    )
    statement = generate.statements(small_world.QUESTIONS["inner join"], "duckdb")[0][1]
    with pytest.raises(ConnectorError) as caught:
        connector.execute(statement, ExecutionLimits(1e-9, 1000, 16))
    assert caught.value.kind is ErrorKind.TIMEOUT


def test_memory_refuses_an_unknown_kind_of_statement():
    with pytest.raises(ConnectorError) as caught:
        MemoryConnector({}).execute(Statement("cells", "", {}, pa.schema([])), LIMITS)
    assert caught.value.kind is ErrorKind.REFUSED
