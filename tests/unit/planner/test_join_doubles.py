"""Duplicate registrations that are left in: where they would show, and that without any the rows are the same."""

from dataclasses import replace
from decimal import Decimal

import duckdb
import join_world as world
import pytest
from join_world import P_Y, block

from middleplatform.model.query import Field
from middleplatform.planner.side_statement import doubles_statement, shows_doubles, side_statement

PAID = "SELECT SUM(t.paid) FROM tax.payer t JOIN ga.person p ON p.id = t.id"
SHOWN = {
    "no filter": (PAID, 0),
    "what tells rows apart is fixed": (f"SELECT SUM(y.cost) FROM {P_Y} WHERE y.year = 2022", 1),
}
HIDDEN = {
    # A duplicate that the filter drops would leave its double behind, be it the first of them or not.
    "a filter on another column": (f"{PAID} WHERE t.grade = '高'", 0),
    "several list rows a key": (f"SELECT y.year, SUM(y.cost) FROM {P_Y} GROUP BY 1", 1),
    "several table rows a list row": (
        "SELECT SUM(v.cost) FROM hb.visit v JOIN ga.person p ON p.id = v.id", 0,
    ),
    "several tables": (
        "SELECT SUM(c.n) FROM (SELECT id, COUNT(*) AS n FROM hb.visit GROUP BY id) c JOIN ga.person p ON p.id = c.id", 0,
    ),
}  # fmt: skip


def side_of(sql, number):
    found = block(sql)
    return found, found.join.sides[number]


@pytest.mark.parametrize("case", SHOWN)
def test_duplicates_show_as_a_key_that_stands_twice(case):
    _, side = side_of(*SHOWN[case])
    assert shows_doubles(side, world.CATALOG)


@pytest.mark.parametrize("case", HIDDEN)
def test_duplicates_could_hide(case):
    _, side = side_of(*HIDDEN[case])
    assert not shows_doubles(side, world.CATALOG)


def test_duplicates_could_hide_behind_another_key_than_what_tells_rows_apart():
    _, side = side_of(PAID, 0)
    assert not shows_doubles(replace(side, key=Field("t", "grade")), world.CATALOG)


def listed(write, rows):
    """Return what a statement of the payers' side gives over ``rows``."""
    found, side = side_of(PAID, 0)
    asked = (found.cell, found.layout, found.join, side.number, world.CATALOG, "duckdb")
    with duckdb.connect() as connection:
        connection.register("payer", world.arrow("tax.payer", rows))
        table = connection.sql(write(*asked).sql).to_arrow_table()
    return sorted(zip(table["k"].to_pylist(), table["sum_0"].to_pylist(), strict=True))


def test_without_duplicates_rows_are_the_same_keys_normalised_all_the_same():
    rows = [("990101600101004", Decimal(1), "高"), (" b ", Decimal(2), "低"), ("", Decimal(3), None), (" ", Decimal(4), None)]  # fmt: skip
    assert listed(doubles_statement, rows) == [
        ("99010119600101004X", Decimal(1)), ("B", Decimal(2)),
    ]  # fmt: skip
    assert listed(doubles_statement, rows) == listed(side_statement, rows)


def test_spellings_of_one_key_stand_twice():
    rows = [("990101600101004", Decimal(7), "高"), ("99010119600101004x", Decimal(1), "低")]
    assert [key for key, _ in listed(doubles_statement, rows)] == ["99010119600101004X"] * 2
    assert listed(side_statement, rows) == [("99010119600101004X", Decimal(1))]
