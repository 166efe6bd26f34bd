"""Evidence statements on an engine against numbers counted by hand."""

from collections import defaultdict
from decimal import Decimal

import made_world as made
import pytest

from middleplatform.planner.evidence import evidence_statement
from middleplatform.planner.layout import layout_of

ROWS = {
    "income": [
        ("A", "f", 2024, "x", Decimal("10.00"), 1, None), ("A", "g", 2024, "y", Decimal("-3.00"), 2, None), ("B", "f", 2024, "x", Decimal("-20.00"), None, None),
        ("C", None, 2024, None, None, 5, None), ("D", "f", 2024, "y", Decimal("4.00"), 0, None), ("A", "f", 2023, "x", Decimal("1.00"), -1, None),
    ],
    "person": [], "参保": [], "firm": [], "visit": [], "payer": [], "place": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with made.World(tmp_path_factory.mktemp("small"), ROWS) as opened:
        yield opened


def evidence(world, sql):
    block = made.cell(sql)
    table = world.source.measure(block, layout_of(block, made.CATALOG)).table
    return table.to_pylist()


def test_words_of_a_cell_are_the_ones_counted_by_hand(small):
    (y23, y24) = evidence(small, "SELECT year, SUM(amount), COUNT(*) FILTER (WHERE kind = 'x'), STDDEV_POP(steps) FROM ga.income GROUP BY year")  # fmt: skip
    assert (y24["d0"], y24["units_0"], y24["rows_0"]) == (2024, 4, 5)
    # Population 1: amount is there. A: 10 - 3 = 7, B: -20, D: 4; C has none.
    assert (y24["units_1"], y24["rest_1"], y24["rows_1"]) == (3, 1, 4)
    assert (y24["sum_0"], y24["abs_0"], y24["neg_0"]) == (Decimal(-9), Decimal(31), 1)
    assert [y24[f"top{place}_0"] for place in (1, 2, 3)] == [Decimal(20), Decimal(7), Decimal(4)]
    # Population 2: kind = 'x'. A has rows within and without, B within only, C and D without.
    assert (y24["units_2"], y24["rest_2"], y24["rows_2"]) == (2, 3, 2)
    # Population 3: steps are there: 1, 2 of A, 5 of C, 0 of D.
    assert (y24["units_3"], y24["rows_3"], y24["sum_1"], y24["sq_1"]) == (3, 4, Decimal(8), Decimal(30))  # fmt: skip
    assert (y23["units_0"], y23["sum_0"], y23["top2_0"]) == (1, Decimal(1), None)


def test_other_keys_and_other_tables_are_counted(small):
    (cell,) = evidence(small, "SELECT COUNT(DISTINCT firm), COUNT(DISTINCT firm) FILTER (WHERE kind = 'x') FROM ga.income")  # fmt: skip
    assert (cell["keys_0"], cell["keys_1"], cell["units_0"]) == (2, 1, 4)


def test_a_filtered_statement_has_its_cells_only(small):
    assert evidence(small, "SELECT year, COUNT(*) FROM ga.income WHERE year = 1999 GROUP BY year") == []  # fmt: skip
    (none,) = evidence(small, "SELECT COUNT(*), SUM(amount) FROM ga.income WHERE year = 1999")
    assert (none["units_0"], none["sum_0"]) == (0, None)


def test_units_and_totals_are_listed_by_cell(small):
    block = made.cell("SELECT year, SUM(amount) FROM ga.income GROUP BY year")
    layout = layout_of(block, made.CATALOG)
    units = {(row["d0"], row["u"]) for row in small.source.units(block, layout).to_pylist()}
    assert units == {(2024, "A"), (2024, "B"), (2024, "C"), (2024, "D"), (2023, "A")}
    totals = {(row["cell"], row["s0"]) for row in small.source.unit_totals(block, layout).to_pylist()}  # fmt: skip
    assert totals == {(0, Decimal(1)), (1, Decimal(7)), (1, Decimal(-20)), (1, None), (1, Decimal(4))}  # fmt: skip
    whole = made.cell("SELECT SUM(amount) FROM ga.income")
    assert set(small.source.unit_totals(whole, layout_of(whole, made.CATALOG))["cell"].to_pylist()) == {0}  # fmt: skip


def test_evidence_of_made_rows_is_what_python_counts(world):
    cells = evidence(world, "SELECT region, SUM(education) FROM ga.person GROUP BY region")
    by_region = defaultdict(list)
    for row in world.rows["person"]:
        by_region[row[3]].append(row[8])
    for cell in cells:
        values = [value for value in by_region[cell["d0"]] if value is not None]
        assert (cell["units_0"], cell["units_1"], cell["sum_0"]) == (len(by_region[cell["d0"]]), len(values), sum(values))  # fmt: skip
        assert [cell[f"top{place}_0"] for place in (1, 2, 3)] == sorted(values, reverse=True)[:3]


def test_the_tree_says_the_same_as_plain_data():
    block = made.cell("SELECT DATE_TRUNC('month', born) AS m, SUM(education / 3), COUNT(*) FILTER (WHERE born >= '2000-01-01' AND sex IN ('1')) FROM ga.person GROUP BY 1")  # fmt: skip
    statement = evidence_statement(block, layout_of(block, made.CATALOG), "duckdb")

    def scalars(node):
        if isinstance(node, dict):
            return [each for value in node.values() for each in scalars(value)]
        if isinstance(node, list):
            return [each for value in node for each in scalars(value)]
        return [node]

    kinds = {type(each).__name__ for each in scalars(dict(statement.tree))}
    assert kinds <= {"str", "int", "bool", "date", "NoneType", "Decimal"}
    assert statement.kind == "evidence"
    assert "span" not in repr(statement.tree)


def test_a_missing_label_is_a_cell_of_its_own(world):
    cells = evidence(world, "SELECT kind, COUNT(*), COUNT(DISTINCT firm) FROM ga.income GROUP BY kind")  # fmt: skip
    assert sorted(str(cell["d0"]) for cell in cells) == sorted(["None", "工资", "经营"])
    assert sum(cell["rows_0"] for cell in cells) == len(world.rows["income"])
    for cell in cells:
        firms = {row[1] for row in world.rows["income"] if row[3] == cell["d0"]} - {None}
        assert cell["keys_0"] == len(firms)
