"""Blanks are filled where literals stand, and two statements have one form only if their trees are the same."""

import pytest

from middleplatform.errors import QueryError
from middleplatform.model.policy import Limits
from middleplatform.sql.forms import blanks, canonical, filled, statements
from middleplatform.sql.parse import parse


def form(sql):
    return canonical(parse(sql, Limits()).tree)


def test_a_blank_is_a_colon_with_a_word_right_behind_it():
    sql = "SELECT a::text, ':no', \":no\" FROM t -- :no\n WHERE b = :yes AND c = :also AND d > :yes"
    assert blanks(sql) == ("yes", "also")


@pytest.mark.parametrize(
    ("sql", "value", "made"),
    [
        ("SELECT 1 WHERE a=:v", "7", "SELECT 1 WHERE a= 7"),
        ("SELECT 1 WHERE a = :v", "7", "SELECT 1 WHERE a = 7"),
        ("SELECT 1 WHERE a = 1-:v", "-7", "SELECT 1 WHERE a = 1- -7"),
        ("SELECT 1 WHERE a IN (:v, 2)", "'x'", "SELECT 1 WHERE a IN ( 'x', 2)"),
    ],
)
def test_filled_in_they_are_literals(sql, value, made):
    assert filled(sql, {"v": value}) == made


def test_every_combination_is_a_statement_in_the_order_of_the_lists():
    made = statements("SELECT :a, :b", (("a", ("1", "2")), ("b", ("3", "4"))))
    assert made == ("SELECT 1, 3", "SELECT 1, 4", "SELECT 2, 3", "SELECT 2, 4")
    assert statements("SELECT 1", ()) == ("SELECT 1",)


@pytest.mark.parametrize("parameters", [(), (("b", ("1",)),), (("a", ("1",)), ("b", ("1",)))])
def test_names_and_blanks_must_match(parameters):
    with pytest.raises(QueryError) as refused:
        statements("SELECT :a", parameters)
    assert refused.value.code == "Q010"


def test_what_is_no_sql_has_no_blanks():
    with pytest.raises(QueryError):
        blanks("SELECT 'open")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("SELECT a FROM s.t", "select A from S.T", True),
        ("SELECT a FROM s.t", 'SELECT "a" FROM s.t', True),
        ("SELECT a FROM s.t", 'SELECT "A" FROM s.t', False),
        ("SELECT a FROM s.t", "SELECT a FROM s.t -- said", True),
        ("SELECT a n FROM s.t", "SELECT a AS n FROM s.t", True),
        ("SELECT a FROM s.t", "SELECT t.a FROM s.t", False),
        ("SELECT 1", "SELECT '1'", False),
        ("SELECT 1", "SELECT 1.0", False),
        ("SELECT 1", "SELECT -1", False),
        ("SELECT TRUE", "SELECT FALSE", False),
        ("SELECT NULL", "SELECT FALSE", False),
        ("SELECT a, b", "SELECT b, a", False),
        ("SELECT a WHERE b AND c", "SELECT a WHERE b OR c", False),
        ("SELECT a WHERE b IN (1, 2)", "SELECT a WHERE b IN (1)", False),
        ("SELECT a WHERE NOT b", "SELECT a WHERE b", False),
        ("SELECT a ORDER BY a", "SELECT a ORDER BY a DESC", False),
        ("SELECT f(1)", "SELECT g(1)", False),
        ("SELECT SUM(a)", "SELECT SUM(DISTINCT a)", False),
        ("SELECT a UNION SELECT b", "SELECT a UNION ALL SELECT b", False),
        ("SELECT a FROM s.t JOIN s.u ON x = y", "SELECT a FROM s.t LEFT JOIN s.u ON x = y", False),
        ("SELECT CAST(a AS DATE)", "SELECT CAST(a AS TEXT)", False),
        ("SELECT DATE_TRUNC('month', a)", "SELECT DATE_TRUNC('year', a)", False),
        ("SELECT EXTRACT(YEAR FROM a)", "SELECT EXTRACT(MONTH FROM a)", False),
        ("SELECT 'A'", "SELECT 'a'", False),
    ],
)
def test_a_form_is_the_tree_and_nothing_else(one, other, same):
    assert (form(one) == form(other)) is same


def test_a_long_chain_has_a_form_too():
    chains = [form("SELECT 1 WHERE " + " AND ".join(["a"] * length)) for length in (149, 150, 150)]
    assert chains[0] != chains[1] == chains[2]
