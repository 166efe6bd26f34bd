"""What a department runs for its side, on each engine, and the words that its node makes of the rows."""

from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import duckdb
import join_world as world
import numpy as np
import pyarrow as pa
import pytest
from join_world import P_Y, STAFF, SUMS, block
from postgres_server import READER, SCHEMA, running_server
from spark_server import spark_server, views

from connectors.conformance import compare
from connectors.duckdb import DuckDBConnector
from connectors.postgres import PostgresConnector
from connectors.spark import SparkConnector
from connectors.spi import ExecutionLimits
from middleplatform.errors import ProtocolError
from middleplatform.model.join import RUNGS
from middleplatform.planner.side_statement import side_statement
from middleplatform.planner.side_words import rungs, width, word_columns, word_totals

LIMITS = ExecutionLimits(60, 1_000_000, 256)
QUESTIONS = (
    f"SELECT p.region, p.local, COUNT(DISTINCT p.household), SUM(y.cost), VAR_POP(y.cost) FROM {P_Y} WHERE y.year = 2022 GROUP BY 1, 2",
    "SELECT y.kind, p.sex, SUM(y.days), STDDEV_SAMP(y.cost) FILTER (WHERE y.days > 3) FROM hb.year y JOIN ga.person p ON p.id = y.id GROUP BY 1, 2",
    f"SELECT CASE WHEN COALESCE(u.n, 0) = 0 THEN '0' ELSE '1+' END, AVG(p.income) FROM ga.person p LEFT JOIN {SUMS} ON u.id = p.id GROUP BY 1",
    f"SELECT f.section, SUM(w.n), SUM(w.s), SUM(f.capital) FROM amr.firm f JOIN {STAFF} ON w.firm = f.code GROUP BY 1",
    "SELECT c.plan, SUM(v.cost) FROM hb.visit v JOIN hb.card c ON c.id = v.id JOIN ga.person p ON p.id = v.id GROUP BY 1",
    "SELECT k.plan, COUNT(*) FROM ss.worker k LEFT JOIN tax.payer t ON t.id = k.id WHERE t.id IS NULL GROUP BY 1",
)  # fmt: skip

# --- one form of a key ------------------------------------------------------------------------------------------------

SPELLINGS = {
    # A number of 15 digits in a made region, and that of 18 which it became.
    "990101600101004": "99010119600101004X", "９９０１０１６００１０１００４": "99010119600101004X",
    " 990101600101004 ": "99010119600101004X", "99010119600101004X": "99010119600101004X",
    "99010119600101004x": "99010119600101004X", "９９０１０１１９６００１０１００４ｘ": "99010119600101004X",
    "\u300099010119600101004X\t": "99010119600101004X", "990101600101001": "990101196001010015",
    "990101600101003": "990101196001010031", "990101991231999": world.normal("990101991231999"),
    "": None, "   ": None, "\u3000\u00a0\n": None,
    # What is no identity number stays as it is.
    "99010160010100": "99010160010100", "99010160010100A": "99010160010100A", "990101 60010100": "990101 60010100",
    "九九〇一〇一六〇〇一〇一〇〇一": "九九〇一〇一六〇〇一〇一〇〇一", "ｑ'\"\\%_": "Q'\"\\%_", "é ß ﬀ": "é ß ﬀ", "-12345678901234": "-12345678901234",
    "1234567890１2345": world.normal("123456789012345"), "𝟡" * 15: "𝟡" * 15, "x" * 5000: "X" * 5000,
}  # fmt: skip


@pytest.mark.parametrize("number", range(1, 25))
def test_the_check_character_is_that_of_the_standard(number):
    """By the recursion of ISO 7064, MOD 11-2, which GB 11643-1999 names."""
    found = world.normal(f"9901016001010{number:02}")
    rest = 0
    for digit in found[:17]:
        rest = (rest + int(digit)) * 2 % 11
    assert found[17] == "0123456789X"[(12 - rest) % 11]


def spelled():
    """Return payers, one a spelling, numbered by what they paid."""
    rows = [(text, Decimal(number), "高") for number, text in enumerate(SPELLINGS)]
    return world.arrow("tax.payer", rows)


def expected():
    """Return the distinct keys with the lowest number of each."""
    least = {}
    for number, key in enumerate(SPELLINGS.values()):
        if key is not None:
            least.setdefault(key, Decimal(number))
    return least


@contextmanager
def engines(tables, folder):
    """Yield connectors of every dialect over the same tables."""
    path = folder / "all.duckdb"
    with duckdb.connect(str(path)) as connection:
        for name, table in tables.items():
            connection.register("arrow", table)
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM arrow')
            connection.unregister("arrow")
    with running_server() as server, spark_server() as spark:
        server.load(tables)
        where = {"host": "127.0.0.1", "port": server.port, "dbname": "postgres", "user": READER}
        found = {
            "duckdb": DuckDBConnector(path, threads=1),
            "postgres": PostgresConnector(**where, schema=SCHEMA),
            "spark": SparkConnector(spark.remote, views=views(folder / "views", tables)),
        }
        yield found
        for connector in found.values():
            connector.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    rows = world.make_rows()
    tables = {}
    for _, name, table in world.parts(rows):
        bare = name.split(".")[1]
        tables[bare] = pa.concat_tables([tables[bare], table]) if bare in tables else table
    tables["payer"] = spelled()
    with engines(tables, tmp_path_factory.mktemp("sides")) as found:
        yield found


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "spark"])
def test_every_spelling_of_a_key_becomes_one(both, dialect):
    found = block("SELECT SUM(t.paid) FROM tax.payer t JOIN ga.person p ON p.id = t.id")
    statement = side_statement(found.cell, found.layout, found.join, 0, world.CATALOG, dialect)
    table = both[dialect].execute(statement, LIMITS)
    keys, paid = table["k"].to_pylist(), table["sum_0"].to_pylist()
    assert dict(zip(keys, paid, strict=True)) == expected()
    assert len(keys) == len(expected()), "a key is listed once"


@pytest.mark.parametrize("sql", QUESTIONS)
def test_engines_give_the_same_list_rows(both, sql):
    found = block(sql)
    for side in found.join.sides:
        asked = (found.cell, found.layout, found.join, side.number, world.CATALOG)
        tables = [connector.execute(side_statement(*asked, dialect), LIMITS) for dialect, connector in both.items()]  # fmt: skip
        assert tables[0].num_rows, sql
        for table in tables[1:]:
            assert compare(table, tables[0]) == "", (sql, side.number)


@pytest.mark.parametrize("sql", QUESTIONS)
def test_a_statement_is_written_for_every_dialect(sql):
    found = block(sql)
    for side in found.join.sides:
        texts = {side_statement(found.cell, found.layout, found.join, side.number, world.CATALOG, dialect).sql for dialect in ("duckdb", "postgres", "spark")}  # fmt: skip
        assert len(texts) == 3
        assert all('"ga"' not in text and "`ga`" not in text for text in texts)


def test_squares_are_of_values_within_the_cap():
    found = block("SELECT VAR_POP(p.income) FROM ga.person p JOIN tax.payer t ON t.id = p.id")
    asked = (found.cell, found.layout, found.join, 0, world.CATALOG, "duckdb")
    with duckdb.connect() as connection:
        rows = [("a", 1, "东", "1", 30, True, Decimal(income), 0) for income in (50000,)]
        rows += [("b", 1, "东", "1", 30, True, Decimal(-50000), 0), ("c", 1, "东", "1", 30, True, None, 0)]  # fmt: skip
        connection.register("person", world.arrow("ga.person", rows))
        table = connection.sql(side_statement(*asked).sql).to_arrow_table()
    squares = dict(zip(table["k"].to_pylist(), table["sq_0"].to_pylist(), strict=True))
    assert squares == {"A": 40000**2, "B": 40000**2, "C": None}


# --- words ----------------------------------------------------------------------------------------------------------


def listed(**columns):
    """Return a side's rows as a statement gives them."""
    kinds = {"rows": pa.int64(), "sum": pa.decimal128(38, 2), "sq": pa.decimal128(38, 4)}
    return pa.table({name: pa.array(values, kinds[name.split("_")[0]]) for name, values in columns.items()})  # fmt: skip


def strict_year():
    sql = f"SELECT VAR_POP(y.cost) FROM {P_Y} WHERE y.year = 2022"
    (found,) = [block(sql, bundle=world.STRICT_BUNDLE)]
    return found.join


def values(join, table):
    side = join.sides[1]
    words = word_columns(join, 1, table)
    assert words.shape == (table.num_rows, width(side))
    return {name: total.tolist() for name, total in word_totals(side, words).items()}


def test_words_follow_from_rows_and_sums():
    table = listed(
        rows_0=[1, 3, 2, 1], rows_1=[1, 2, 0, 1],
        sum_0=[Decimal("7.25"), Decimal("-9000.01"), None, Decimal(10) ** 25],
        sq_0=[Decimal("52.5625"), Decimal("1e14"), None, Decimal(2) ** 70],
    )  # fmt: skip
    found = values(strict_year(), table)
    assert found["rows_1"] == [1, 2, 0, 1]
    assert found["units_1"] == [1, 1, 0, 1]
    assert found["full_1"] == [1, 0, 0, 1]
    assert found["sum_0"] == [725, -900_000, 0, 900_000]
    assert found["abs_0"] == [725, 900_000, 0, 900_000]
    assert found["sq_0"] == [525_625, 10**18, 0, 2**70 * 10**4]
    ladder = rungs(900_000)
    assert len(ladder) == RUNGS
    assert ladder[:3] == (900_000, 720_000, 576_000)
    assert found["rung_0_0"] == [0, 0, 0, 0], "nothing exceeds the cap"
    assert found["rung_0_1"] == [0, 1, 0, 1]


def test_no_rows_have_no_words():
    empty = listed(rows_0=[], rows_1=[], sum_0=[], sq_0=[])
    assert set(map(len, values(strict_year(), empty).values())) == {0}


def test_sums_of_words_are_exact_modulo_two_to_the_64():
    join = strict_year()
    draw = np.random.default_rng(5)
    cents = draw.integers(-900_000, 900_000, 500)
    table = listed(
        rows_0=[1] * 500, rows_1=[1] * 500, sum_0=[Decimal(int(each)).scaleb(-2) for each in cents],
        sq_0=[Decimal(int(each) ** 2).scaleb(-4) for each in cents],
    )  # fmt: skip
    total = word_columns(join, 1, table).sum(axis=0, dtype=np.uint64, keepdims=True)
    found = word_totals(join.sides[1], total)
    assert found["sum_0"].tolist() == [int(cents.sum())]
    assert found["sq_0"].tolist() == [sum(int(each) ** 2 for each in cents)]


@pytest.mark.parametrize(
    "column",
    [
        {"sum_0": [Decimal(2) ** 70]}, {"sum_0": [Decimal(-(2**63)).scaleb(-2)]}, {"sum_0": [Decimal(2**62).scaleb(-2)] * 2},
        {"sq_0": [Decimal(2) ** 100]},
    ],
)  # fmt: skip
def test_totals_that_leave_63_bits_are_refused_before_they_are_masked(column):
    uncapped = replace(strict_year(), capped=(-1,))
    sides = tuple(
        replace(side, words=tuple(word for word in side.words if "rung" not in word.name))
        for side in uncapped.sides
    )
    count = len(next(iter(column.values())))
    rows = {"rows_0": [1] * count, "rows_1": [1] * count, "sum_0": [0] * count, "sq_0": [0] * count}
    with pytest.raises(ProtocolError) as caught:
        word_columns(replace(uncapped, sides=sides), 1, listed(**{**rows, **column}))
    assert caught.value.code == "X004"
