"""Released cells equal the plain answer over pooled rows; nothing is withheld or shown without reason."""

from hashlib import sha256
from pathlib import Path

import duckdb
import pooled_world as world
import pytest
from asking import ask, opened
from disclosure_oracle import judge
from exact_demo import exact_demo
from hypothesis import given
from pooled_answers import agree, plain, released, rows_agree, unmatched
from strategies import FIRMS, SOURCES, blocks, examples, statements

from middleplatform.policy import suite
from middleplatform.policy.examples import example

LOCAL = tuple(source for source in SOURCES if not source.parted)


@pytest.fixture(scope="module")
def rows():
    return world.rows()


@pytest.fixture(scope="module")
def pool(rows):
    with world.pooled(rows) as connection:
        yield connection


def governed(folder, rows, disclosure):
    """Yield a function that asks a platform; each statement in a project of its own."""
    world.write_data(folder / "data", rows)
    catalog, bundle = world.write_rules(folder, disclosure)
    with opened(folder / "state", folder / "data", catalog, bundle) as platform:
        yield lambda sql: ask(platform, sql, project=sha256(sql.encode()).hexdigest())


@pytest.fixture(scope="module")
def exact(rows, tmp_path_factory):
    yield from governed(tmp_path_factory.mktemp("exact"), rows, world.EXACT)


@pytest.fixture(scope="module")
def strict(rows, tmp_path_factory):
    yield from governed(tmp_path_factory.mktemp("strict"), rows, world.STRICT)


# --- an exact bundle withholds nothing ----------------------------------------------------------------------------


@examples(550)
@given(sql=statements())
def test_an_exact_answer_is_the_plain_answer(exact, pool, sql):
    outcome = exact(sql)
    assert not outcome.refused, f"{outcome.code} {outcome.message}\n{sql}"
    found, marks = released(outcome)
    assert not outcome.withheld
    assert all(mark is None for row in marks for mark in row)
    left, right = unmatched(found, plain(pool, sql))
    assert (left, right) == ([], []), sql


@examples(100)
@given(sql=statements())
def test_the_order_of_an_exact_answer_is_the_plain_order(exact, pool, sql):
    if " ORDER BY d0" not in sql or " LIMIT " not in sql:
        return
    found, _ = released(exact(sql))
    expected = plain(pool, sql)
    assert len(found) == len(expected)
    assert all(map(rows_agree, found, expected)), sql


# --- a strict bundle withholds what the oracle withholds ----------------------------------------------------------


def by_label(rows, width):
    return {row[:width]: row[width:] for row in rows}


@examples(350)
@given(block=blocks(LOCAL))
def test_a_department_withholds_exactly_what_the_rules_name(strict, pool, block):
    outcome = strict(block.sql)
    assert not outcome.refused, f"{outcome.code} {outcome.message}\n{block.sql}"
    width = len(block.dimensions)
    found, marks = released(outcome)
    expected = by_label(plain(pool, block.sql), width)
    verdicts = judge(pool, block, world.STRICT)
    assert len(found) == len(expected), "a cell is marked, never dropped"
    shown = [
        (row, mark) for row, mark in zip(found, marks, strict=True) if set(mark[:width]) <= {None}
    ]
    for label in set(expected) - {row[:width] for row, _ in shown}:
        assert all("label" in reasons for reasons in verdicts[label]), (block.sql, label)
    for row, mark in shown:
        for place, reasons in enumerate(verdicts.get(row[:width]) or ()):
            value, told = row[width + place], mark[width + place]
            truth = expected[row[:width]][place]
            assert (told is not None) == bool(reasons - {"label"}), (block.sql, row, told, reasons)
            assert told is None or told in reasons, (block.sql, row, told, reasons)
            assert told is not None or agree(value, truth), (block.sql, row, truth)


@examples(120)
@given(block=blocks(LOCAL))
def test_the_label_of_a_small_cell_is_withheld_where_it_is_a_band_of_a_measure(strict, pool, block):
    if not block.sensitive:
        return
    width = len(block.dimensions)
    outcome = strict(block.sql)
    _, marks = released(outcome)
    verdicts = judge(pool, block, world.STRICT)
    small = sum(all({"label", "threshold"} <= each for each in reasons) for reasons in verdicts.values())  # fmt: skip
    assert sum(set(mark[:width]) != {None} for mark in marks) >= small


@examples(100)
@given(block=blocks((FIRMS,)))
def test_a_secure_sum_withholds_what_the_rules_name_and_little_more(strict, pool, block):
    outcome = strict(block.sql)
    assert not outcome.refused, f"{outcome.code} {outcome.message}\n{block.sql}"
    width = len(block.dimensions)
    found, marks = released(outcome)
    expected = by_label(plain(pool, block.sql), width)
    verdicts = judge(pool, block, world.STRICT)
    widest = judge(pool, block, world.STRICT, rung=1)
    shown = by_label(found, width)
    told = dict(zip(shown, (mark[width:] for mark in marks), strict=True))
    assert set(shown) <= set(expected)
    for label, truth in expected.items():
        hidden = ("",) * len(block.aggregates)
        for place, mark in enumerate(told.get(label, hidden)):
            if mark is None:
                assert not verdicts[label][place], (block.sql, label, verdicts[label])
                assert agree(shown[label][place], truth[place]), (block.sql, label, truth)
            else:
                assert widest[label][place], (block.sql, label, mark)


# --- the demonstration --------------------------------------------------------------------------------------------

ANSWERABLE = [
    case
    for found in suite.load(example("demo"))
    for case in found.cases
    if case.expect == "permit" and case.protocol in ("local", "secure_sum") and not case.noise
]


@pytest.fixture(scope="module")
def demo(demo_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    with opened(folder, demo_data, bundle=exact_demo(folder)) as platform:
        yield platform


@pytest.fixture(scope="module")
def demo_pool(demo_data):
    with duckdb.connect(":memory:") as connection:
        parts = {}
        for file in sorted(Path(demo_data).glob("*.duckdb")):
            connection.execute(f"ATTACH '{file}' AS own_{file.stem} (READ_ONLY)")
            schema = "amr_county" if file.stem.startswith("amr_") else file.stem
            tables = connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = ?",
                [f"own_{file.stem}"],
            ).fetchall()
            for (table,) in tables:
                parts.setdefault((schema, table), []).append(f"FROM own_{file.stem}.{table}")
        for (schema, table), found in parts.items():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            connection.execute(f"CREATE VIEW {schema}.{table} AS {' UNION ALL '.join(found)}")
        yield connection


def plain_text(case):
    """Return the statement that a case means: a county's analyst sees the own region alone."""
    if case.subject.regions == ("*",):
        return case.sql
    (region,) = case.subject.regions
    return case.sql.replace("GROUP BY", f"WHERE region_code = '{region}' GROUP BY")


@pytest.mark.parametrize("case", ANSWERABLE, ids=lambda case: case.id)
def test_the_demonstration_answers_are_plain_answers(demo, demo_pool, case):
    outcome = ask(demo, case.sql, case.subject, case.purpose)
    assert not outcome.refused, outcome.message
    found, marks = released(outcome)
    expected = plain(demo_pool, plain_text(case))
    assert found or case.id.startswith("Q11")
    if not outcome.withheld:
        assert unmatched(found, expected) == ([], [])
    for row, mark in zip(found, marks, strict=True):
        shown = [place for place, told in enumerate(mark) if told is None]
        assert any(all(agree(row[place], each[place]) for place in shown) for each in expected), row


def test_there_are_answerable_demonstration_questions_of_both_protocols():
    assert {case.protocol for case in ANSWERABLE} == {"local", "secure_sum"}
