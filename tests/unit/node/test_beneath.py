"""The rows beneath a unit block are those that its groups are made of, each once, and nothing but them."""

from dataclasses import replace

import duckdb
import pytest

from middleplatform import catalog as catalogs
from middleplatform.errors import QueryError
from middleplatform.node.beneath import beneath
from middleplatform.planner.plan import read_fragment
from middleplatform.policy.examples import example
from middleplatform.sql.render import fragment

V = "health.visits"
PER_PERSON = f"(SELECT id_number, SUM(cost) AS c, COUNT(*) AS n FROM {V} WHERE district <> 'C' GROUP BY id_number) t"

# name: a block, and how many plain rows lie beneath each of its unit blocks and conditions, in order
FORMS = {
    "a block": (f"SELECT SUM(c) AS a0 FROM {PER_PERSON}", [6]),
    "a condition above": (f"SELECT SUM(c) AS a0 FROM {PER_PERSON} WHERE n >= 2", [5]),
    "a condition on groups": (f"SELECT SUM(c) AS a0 FROM (SELECT id_number, SUM(cost) AS c FROM {V} GROUP BY id_number HAVING COUNT(*) >= 3) t", [3]),
    "a missing value among the keys": (f"SELECT SUM(c) AS a0 FROM (SELECT id_number, diagnosis, SUM(cost) AS c FROM {V} GROUP BY id_number, diagnosis) t", [8]),
    "groups by month": (f"SELECT SUM(c) AS a0 FROM (SELECT id_number, DATE_TRUNC('month', visit_date) AS m, SUM(cost) AS c FROM {V} GROUP BY 1, 2) t", [8]),
    "a condition inside": (f"SELECT SUM(c) AS a0 FROM (SELECT id_number, SUM(cost) FILTER (WHERE district = 'A') AS c FROM {V} GROUP BY id_number) t", [8, 3]),
    "a case inside": (f"SELECT SUM(c) AS a0 FROM (SELECT id_number, SUM(CASE WHEN district = 'B' THEN cost END) AS c FROM {V} GROUP BY id_number) t", [8, 3]),
    "a block in a block": (f"SELECT SUM(s) AS a0 FROM (SELECT id_number, SUM(c) AS s FROM (SELECT id_number, district, SUM(cost) AS c FROM {V} WHERE district <> 'A' GROUP BY 1, 2) i GROUP BY id_number) t", [5]),
    "a joined block": (f"SELECT SUM(t.c) AS a0 FROM (SELECT id_number, COUNT(*) AS k FROM {V} WHERE district = 'A' GROUP BY id_number) a JOIN {PER_PERSON} ON t.id_number = a.id_number", [3, 5]),
    "a block that may be missing": (f"SELECT SUM(t.c) AS a0 FROM (SELECT id_number, COUNT(*) AS k FROM {V} GROUP BY id_number) a LEFT JOIN {PER_PERSON} ON t.id_number = a.id_number", [8, 6]),
    "no block": (f"SELECT SUM(cost) AS a0 FROM {V}", []),
}  # fmt: skip


@pytest.fixture(scope="module")
def catalog():
    return catalogs.load(example("cases") / "catalog")


@pytest.fixture(scope="module")
def rows():
    with duckdb.connect() as engine:
        engine.execute("CREATE SCHEMA health")
        engine.execute(
            "CREATE TABLE health.visits AS SELECT * FROM (VALUES"
            " ('p1', 'A', 'J00', 1, DATE '2024-01-05'), ('p1', 'B', 'J00', 2, DATE '2024-02-05'),"
            " ('p2', 'A', 'J01', 3, DATE '2024-01-05'), ('p2', 'A', NULL, 4, DATE '2024-03-05'),"
            " ('p2', 'B', NULL, 5, DATE '2024-03-06'), ('p3', 'B', NULL, 6, DATE '2024-01-05'),"
            " ('p4', 'C', 'K02', 7, DATE '2024-01-05'), ('p4', 'C', 'K02', 8, DATE '2024-05-05'))"
            " AS v(id_number, district, diagnosis, cost, visit_date)"
        )
        yield engine


def lower(sql, catalog):
    cell, _ = read_fragment(sql, catalog)
    return list(beneath(replace(cell, aggregates=()), catalog))


@pytest.mark.parametrize("name", sorted(FORMS))
def test_every_row_of_every_group_is_there_once(catalog, rows, name):
    sql, counts = FORMS[name]
    found = [rows.execute(fragment(each)).fetchone()[0] for each in lower(sql, catalog)]
    assert found == counts


@pytest.mark.parametrize("name", sorted(FORMS))
def test_what_is_beneath_reads_back_as_a_block_of_plain_rows_first(catalog, name):
    for each in lower(FORMS[name][0], catalog):
        read, _ = read_fragment(fragment(each), catalog)
        assert read.rows.first.dataset == V


def test_join_whose_rows_cannot_be_followed_is_refused(catalog):
    sql = (
        f"SELECT SUM(u.c) AS a0 FROM {V} a JOIN {PER_PERSON} ON t.id_number = a.id_number"
        f" JOIN (SELECT id_number, SUM(cost) AS c FROM {V} GROUP BY id_number) u ON u.id_number = t.id_number"
    )
    with pytest.raises(QueryError) as refused:
        lower(sql, catalog)
    assert (refused.value.code, refused.value.rule) == ("Q031", "R14")
