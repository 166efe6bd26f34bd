"""Are the match rates that the page asks for those of the pooled registers?"""

import re
from pathlib import Path

import duckdb
import pytest
from asking import ask

PAGE = Path(__file__).resolve().parents[3] / "docs/howto/match-quality.md"
ASKED = re.findall(
    r"^```sql\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
LEAST = 10


@pytest.fixture(scope="module")
def pool(demo_data):
    """Yield all departments' tables in one database, under their catalogue names."""
    with duckdb.connect() as database:
        for path in sorted(demo_data.glob("*.duckdb")):
            database.execute(
                f"ATTACH '{path}' AS at_{path.stem} (READ_ONLY); CREATE SCHEMA {path.stem}"
            )
            names = database.sql(
                f"SELECT table_name FROM duckdb_tables() WHERE database_name = 'at_{path.stem}'"
            )
            for (name,) in names.fetchall():
                database.execute(f"CREATE VIEW {path.stem}.{name} AS FROM at_{path.stem}.{name}")
        yield database


def once(sql):
    """Return the question with people counted, where a join counts one who is registered twice once."""
    side = re.search(r"FROM \S+ (\w+)\s+LEFT JOIN", sql)
    return sql.replace("COUNT(*)", f"COUNT(DISTINCT {side[1]}.id_number)") if side else sql


def test_the_page_asks_inside_one_department_and_in_both_directions_between_two():
    joins = [sql for sql in ASKED if "IS NULL" in sql]
    assert (len(ASKED), len(joins)) == (3, 2)
    sides = [
        re.search(r"FROM (\S+) \w+\s+LEFT JOIN .*?(\w+\.\w+) ", sql, re.DOTALL).groups()
        for sql in joins
    ]
    assert sides[0] == sides[1][::-1]


@pytest.mark.parametrize("sql", ASKED)
def test_each_question_of_the_page_is_answered_as_the_pooled_registers_would(
    sql, demo_platform, pool
):
    outcome = ask(demo_platform, sql)
    assert not outcome.refused, outcome.message
    right = pool.sql(once(sql)).to_arrow_table().to_pylist()
    count = next(name for name in right[0] if name != "plan_code")
    shown = [row if row[count] >= LEAST else row | {count: None} for row in right]
    assert sorted(map(str, outcome.rows)) == sorted(map(str, shown))
