"""Above the boundary: marks travel with values, and nothing there can fail on a value."""

import duckdb
import made_world as made
import pyarrow as pa
import pytest

from middleplatform.sql.post import MARK

# One cell is withheld: its values are missing and marked.
CELLS = [("990101", 30, None), ("990102", None, "threshold"), ("990103", 12, None)]


def released(sql):
    """Run the statement above the boundary over made cells of (region, count)."""
    query = made.bound(sql)
    with duckdb.connect() as database:
        columns = {
            "d0": [row[0] for row in CELLS], MARK + "d0": pa.nulls(3, pa.string()),
            "a0": pa.array([row[1] for row in CELLS], pa.int64()), MARK + "a0": [row[2] for row in CELLS],
            "a1": pa.array([1.5, 2.5, 0.0]), MARK + "a1": pa.nulls(3, pa.string()),
        }  # fmt: skip
        for name in [cell.name for cell in query.cells]:
            database.register(name, pa.table(columns))
        found = database.sql(query.post.sql("duckdb")).to_arrow_table()
    rows = made.rows_of(found)
    return [(row[::2], row[1::2]) for row in rows]


def by_region(expression, tail=""):
    found = released(f"SELECT region, {expression} AS v, COUNT(*) AS n, AVG(education) AS m FROM ga.person GROUP BY region {tail}".replace(", COUNT(*) AS n, AVG(education) AS m", "") if "AVG" not in expression else f"SELECT region, {expression} AS v FROM ga.person GROUP BY region {tail}")  # fmt: skip
    return {values[0]: (values[1], marks[1]) for values, marks in found}


@pytest.mark.parametrize(
    "expression",
    [
        "COUNT(*)", "COUNT(*) + 1", "COUNT(*) * 0", "COALESCE(COUNT(*), 0)", "CASE WHEN COUNT(*) > 5 THEN 'many' ELSE 'few' END", "COUNT(*) IS NULL", "GREATEST(COUNT(*), 99)",
        "NULLIF(COUNT(*), 7)", "CAST(COUNT(*) AS text)", "COUNT(*) || region", "COUNT(*) / COUNT(*)", "ROUND(COUNT(*) / 3.0, 1)", "NOT COUNT(*) IS NULL", "COUNT(*) = 3 OR TRUE",
    ],
)  # fmt: skip
def test_a_value_that_depends_on_a_withheld_one_is_withheld_with_its_reason(expression):
    found = by_region(expression)
    assert found["990102"] == (None, "threshold")
    assert found["990101"][1] is None
    assert found["990101"][0] is not None


def test_a_window_of_a_withheld_row_is_withheld():
    found = by_region("SUM(COUNT(*)) OVER (ORDER BY region)")
    assert found["990102"][1] == "threshold"
    assert found["990101"] == (30, None)


def test_a_share_of_a_withheld_total_is_withheld():
    query = made.bound("SELECT region, COUNT(*) * 1.0 / (SELECT COUNT(*) FROM ga.income) AS share FROM ga.person GROUP BY region")  # fmt: skip
    block = {"d0": ["990101"], MARK + "d0": pa.nulls(1, pa.string()), "a0": [30], MARK + "a0": pa.nulls(1, pa.string())}  # fmt: skip
    total = {"a0": pa.nulls(1, pa.int64()), MARK + "a0": ["threshold"]}
    with duckdb.connect() as database:
        database.register("cells_0", pa.table(block))
        database.register("cells_1", pa.table(total))
        (row,) = made.rows_of(database.sql(query.post.sql("duckdb")).to_arrow_table())
    assert row[2:] == (None, "threshold")


def test_a_mark_survives_being_passed_on():
    found = released("SELECT r, m FROM (SELECT region AS r, COUNT(*) AS m FROM ga.person GROUP BY region) c ORDER BY r")  # fmt: skip
    assert found[1] == (("990102", None), (None, "threshold"))


def test_a_mark_survives_a_join_and_a_union():
    block = "(SELECT region AS r, COUNT(*) AS m FROM ga.person GROUP BY region)"
    joined = released(f"SELECT a.r, a.m + b.m AS s FROM {block} a JOIN {block} b ON a.r = b.r ORDER BY 1")  # fmt: skip
    assert joined[1] == (("990102", None), (None, "threshold"))
    united = released("SELECT region, COUNT(*) AS m FROM ga.person GROUP BY region UNION ALL SELECT region, COUNT(*) FROM ga.person GROUP BY region")  # fmt: skip
    assert sorted(marks[1] or "" for _, marks in united) == ["", "", "", "", "threshold", "threshold"]  # fmt: skip


def test_a_total_of_nothing_but_withheld_cells_is_withheld():
    found = released("SELECT r, SUM(m) AS s, MAX(m) + 1 AS t FROM (SELECT region AS r, COUNT(*) AS m FROM ga.person GROUP BY region) c GROUP BY r ORDER BY r")  # fmt: skip
    assert found[1] == (("990102", None, None), (None, "threshold", "threshold"))
    assert found[0] == (("990101", 30, 31), (None, None, None))


def test_a_filter_sees_released_values_only():
    assert set(by_region("COUNT(*)", "HAVING COUNT(*) > 5")) == {"990101", "990103"}
    assert set(by_region("COUNT(*)", "HAVING COUNT(*) <= 5")) == set()


def test_order_puts_withheld_values_last_either_way():
    for way in ("ASC", "DESC"):
        found = released(f"SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region ORDER BY n {way}")  # fmt: skip
        assert found[-1][0][0] == "990102"


@pytest.mark.parametrize(
    "expression",
    [
        "1 / (COUNT(*) - COUNT(*))", "COUNT(*) % (COUNT(*) - COUNT(*))", "CAST('x' || region AS integer)", "1 / 0", "1.0 / 0.0", "5 % 0", "CAST(region AS date)",
        "1 / NULLIF(0, 0)", "COUNT(*)::smallint * 0 + CAST('9999999999' AS integer)",
    ],
)  # fmt: skip
def test_nothing_above_the_boundary_fails_on_a_value(expression):
    found = by_region(expression)
    assert found["990101"][0] is None


def test_a_division_by_a_number_stays_a_division():
    query = made.bound("SELECT COUNT(*) / 4, COUNT(*) / 0.5 FROM ga.person")
    assert "NULLIF" not in query.post.sql("duckdb")


@pytest.mark.parametrize("name", ["__mark_n", '"__mark_"', "__MARK_x"])
def test_an_output_cannot_pose_as_a_mark(name):
    with pytest.raises(made_error()) as caught:
        made.bound(f"SELECT COUNT(*) AS {name} FROM ga.person")
    assert caught.value.code == "Q010"


def made_error():
    from middleplatform.errors import QueryError  # noqa: PLC0415 - beside its only use

    return QueryError


def test_every_output_has_its_mark():
    query = made.bound("SELECT sex, COUNT(*), 1 FROM ga.person GROUP BY sex")
    names = [item.alias for item in query.post.expressions]
    assert names == ["sex", "__mark_sex", "count", "__mark_count", "column", "__mark_column"]
