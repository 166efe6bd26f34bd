"""The demonstration's departments pooled in one database, as no one may have them outside a test."""

from contextlib import contextmanager
from decimal import Decimal

import duckdb
from pooled_answers import agree

from middleplatform import catalog
from middleplatform.policy import suite
from middleplatform.policy.examples import example

CASES = {case.id: case for each in suite.load(example("demo")) for case in each.cases}
JOINS = [case for case in CASES.values() if case.protocol == "private_join"]


@contextmanager
def pooled(folder):
    """Open all departments' tables under their catalogue names; of duplicate registrations, one row each."""
    datasets = catalog.load(example("demo") / "catalog").datasets
    with duckdb.connect() as database:
        for path in sorted(folder.glob("*.duckdb")):
            name = path.stem
            database.execute(f"ATTACH '{path}' AS at_{name} (READ_ONLY); CREATE SCHEMA {name}")
            tables = database.sql(
                f"SELECT table_name FROM duckdb_tables() WHERE database_name = 'at_{name}'"
            )
            for (table,) in tables.fetchall():
                dataset = datasets.get(f"{name}.{table}")
                once = (
                    f"DISTINCT ON ({', '.join(dataset.rows_by)})"
                    if dataset and dataset.rows_by
                    else ""
                )
                database.execute(
                    f"CREATE VIEW {name}.{table} AS SELECT {once} * FROM at_{name}.{table} ORDER BY ALL"
                )
        yield database


def check(database, case, columns, rows, withheld):
    """Assert that an answer is the pooled one, but for what was withheld.

    Args:
        database: Of ``pooled``.
        case: The question.
        columns: Names of the answer's columns.
        rows: Its rows; decimals may be texts; None where a value is withheld.
        withheld: How many values were withheld, those of rows that are not shown included.
    """
    found = database.execute(case.sql)
    assert [each[0] for each in found.description] == columns
    expected = found.fetchall()
    labels = [place for place, name in enumerate(columns) if name in LABELS]
    values = [place for place in range(len(columns)) if place not in labels]
    right = {tuple(row[place] for place in labels): row for row in expected}
    shown = {tuple(row[place] for place in labels): row for row in rows}
    assert len(shown) == len(rows), "each label once"
    assert shown.keys() <= right.keys()
    empty = 0
    for label, row in shown.items():
        for place in values:
            empty += row[place] is None
            assert row[place] is None or agree(_number(row[place]), _number(right[label][place]))
    assert withheld == empty + len(values) * (len(right) - len(shown)), "nothing else is missing"


LABELS = {
    "region_code",
    "copay_band",
    "income_band",
    "industry_section",
    "insured_band",
    "visit_year",
}


def _number(value):
    return Decimal(value) if isinstance(value, str | int) else value
