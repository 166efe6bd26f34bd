"""From words to aggregates, exactly; and the statement above the boundary on released cells only."""

import statistics
from decimal import Decimal

import made_world as made
import pyarrow as pa
import pytest

from middleplatform.combine.released import Released, digest, release, run_post
from middleplatform.combine.values import cells_table
from middleplatform.errors import QueryError
from middleplatform.planner.layout import layout_of
from middleplatform.sql.post import MARK


def layout(call):
    return layout_of(made.cell(f"SELECT {call} FROM ga.income"), made.CATALOG)


def value(call, marks=None, **words):
    """Return the only cell's aggregate of given words."""
    found = layout(call)
    columns = {name: pa.array([number]) for name, number in words.items()}
    columns |= {"ml": pa.nulls(1, pa.string()), "m0": pa.array([marks], pa.string())}
    return cells_table(pa.table(columns), found, MARK)["a0"][0].as_py()


VALUES = [Decimal("1.25"), Decimal("-3.50"), Decimal("10.00")]
WORDS = {"rows_1": 3, "sum_0": sum(VALUES), "sq_0": sum(each * each for each in VALUES)}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("SUM(amount)", Decimal("7.75")), ("AVG(amount)", 7.75 / 3), ("VAR_SAMP(amount)", float(statistics.variance(VALUES))), ("VAR_POP(amount)", float(statistics.pvariance(VALUES))),
        ("STDDEV_SAMP(amount)", float(statistics.stdev(VALUES))), ("STDDEV_POP(amount)", float(statistics.pstdev(VALUES))), ("SUM(2 * amount - 1)", Decimal("12.50")),
        ("SUM(amount / 3)", 7.75 / 3), ("AVG(amount / 3 + 1)", 7.75 / 9 + 1), ("STDDEV_POP(-2 * amount)", 2 * float(statistics.pstdev(VALUES))), ("COUNT(amount)", 3),
    ],
)  # fmt: skip
def test_aggregates_of_words_are_exact(call, expected):
    found = value(call, **WORDS)
    assert found == pytest.approx(expected) if isinstance(expected, float) else found == expected


@pytest.mark.parametrize("call", ["SUM(amount)", "AVG(amount)", "VAR_POP(amount)"])
def test_an_aggregate_of_no_rows_is_missing(call):
    assert value(call, rows_1=0, sum_0=None, sq_0=None) is None


def test_a_count_of_no_rows_is_zero_and_a_variance_of_one_row_is_missing():
    assert value("COUNT(*)", rows_0=0) == 0
    one = {"rows_1": 1, "sum_0": Decimal("2.00"), "sq_0": Decimal("4.0000")}
    assert value("VAR_SAMP(amount)", **one) is None
    assert value("VAR_POP(amount)", **one) == 0


def test_big_sums_do_not_drift():
    assert value("SUM(amount)", rows_1=2, sum_0=Decimal("12345678901234567890123.45")) == Decimal("12345678901234567890123.45")  # fmt: skip
    near = {
        "rows_1": 2,
        "sum_0": Decimal("2000000000.01"),
        "sq_0": Decimal("2000000000020000000.0001"),
    }
    assert value("VAR_POP(amount)", **near) >= 0


def test_a_withheld_value_is_missing_whatever_its_words():
    assert value("SUM(amount)", "threshold", **WORDS) is None


def test_distinct_counts_read_their_own_word():
    assert value("COUNT(DISTINCT id)", units_0=7) == 7
    assert value("COUNT(DISTINCT firm)", keys_0=4) == 4


# --- above the boundary -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database():
    opened = Released()
    yield opened
    opened.close()


def post(database, sql, mark=None):
    cells = pa.table({"a0": pa.array([5], pa.int64()), MARK + "a0": pa.array([mark], pa.string())})
    return run_post(database, sql, {"cells_0": (cells, layout("COUNT(*)"))}, ("n",), 10.0)


def test_values_and_marks_come_apart(database):
    values, marks = post(database, f'SELECT a0, "{MARK}a0" FROM cells_0')
    assert (values.to_pydict(), marks.to_pydict()) == ({"n": [5]}, {"n": [None]})


def test_a_marked_value_is_blanked_whatever_the_statement_made_of_it(database):
    values, marks = post(database, f'SELECT 99, "{MARK}a0" FROM cells_0', "threshold")
    assert (values["n"].to_pylist(), marks["n"].to_pylist()) == ([None], ["threshold"])


def test_what_the_engine_refuses_is_refused_without_its_words(database):
    with pytest.raises(QueryError) as caught:
        post(database, "SELECT no_such(a0), NULL FROM cells_0")
    assert caught.value.code == "Q031"
    assert "no_such" not in caught.value.message("en")
    assert "no_such" in caught.value.detail


def test_cells_of_one_question_are_gone_for_the_next(database):
    post(database, f'SELECT a0, "{MARK}a0" FROM cells_0')
    with pytest.raises(QueryError):
        run_post(database, "SELECT a0, NULL FROM cells_0", {}, ("n",), 10.0)


@pytest.mark.parametrize("sql", ["SELECT * FROM read_csv('/etc/passwd'), cells_0", "SELECT 1, NULL FROM '/etc/passwd'", "INSTALL httpfs", "SET threads = 4", "ATTACH 'x.db'", "COPY cells_0 TO 'x'"])  # fmt: skip
def test_the_engine_reaches_nothing_outside(database, sql):
    with pytest.raises(QueryError):
        post(database, sql)


def test_sums_of_whole_numbers_have_the_engines_own_type(database):
    cells = pa.table({"a0": pa.array([Decimal(7)], pa.decimal128(38, 0)), MARK + "a0": pa.nulls(1, pa.string())})  # fmt: skip
    values, _ = run_post(database, "SELECT a0 // 2, NULL FROM cells_0", {"cells_0": (cells, layout("SUM(steps)"))}, ("n",), 10.0)  # fmt: skip
    assert values["n"].to_pylist() == [3]


def test_a_digest_is_of_names_types_values_and_marks():
    table, marks = pa.table({"n": [1, 2]}), pa.table({"n": pa.nulls(2, pa.string())})
    first = digest(table, marks)
    assert first == digest(pa.table({"n": [1, 2]}), marks)
    others = [
        digest(pa.table({"m": [1, 2]}), marks), digest(pa.table({"n": [1, 3]}), marks), digest(pa.table({"n": ["1", "2"]}), marks),
        digest(table, pa.table({"n": pa.array(["x", None], pa.string())})), digest(pa.table({"n": [2, 1]}), marks),
    ]  # fmt: skip
    assert len({first, *others}) == 6
    assert release(table, marks, (), ()).digest == first


def test_a_whole_statement_is_the_pooled_one(world):
    sql = "SELECT region, AVG(education) AS m, COUNT(*) AS n FROM ga.person GROUP BY region ORDER BY n DESC, region"  # fmt: skip
    assert made.alike(world.answer(sql), world.plain(sql), ordered=True)
