from dataclasses import replace

import made_world as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.sql.parse import parse

LIMITS = made.LIMITS


def refused(text, limits=LIMITS):
    with pytest.raises(QueryError) as caught:
        parse(text, limits)
    return caught.value


def test_text_and_tree_come_back_without_comments():
    parsed = parse("SELECT 1 /* 密 */ -- secret\n", LIMITS)
    assert parsed.text.startswith("SELECT 1")
    assert parsed.tree.sql(comments=True).count("secret") == 0 or not parsed.tree.comments
    assert isinstance(parsed.tree, exp.Select)


@pytest.mark.parametrize(
    ("text", "line"),
    [("", 1), (" ;; ", 1), ("SELECT (1", 1), ("SELECT 'a", 1), ("SELECT 1\nFROM (x", 2)],
)  # fmt: skip
def test_what_is_not_sql_is_refused_with_its_place(text, line):
    error = refused(text)
    assert (error.code, error.rule, error.parts["line"]) == ("Q001", "R0", line)
    assert error.parts["column"] >= 1


def test_length_is_bounded_before_anything_is_parsed():
    limits = replace(LIMITS, sql_characters_max=20)
    assert parse("SELECT 1 AS exactly_2", replace(limits, sql_characters_max=21)).tree
    assert refused("SELECT 1 AS exactly_2", limits).code == "Q002"
    assert refused("(" * 21, limits).code == "Q002"


@pytest.mark.parametrize(("opens", "closes"), [("(", ")"), ("CASE WHEN TRUE THEN ", " END")])
def test_nesting_is_bounded_before_the_parser_recurses(opens, closes):
    limits = replace(LIMITS, depth_max=5)
    at_limit = "SELECT " + opens * 5 + "1" + closes * 5
    assert parse(at_limit, limits).tree
    assert refused("SELECT " + opens * 6 + "1" + closes * 6, limits).code == "Q003"
    assert refused("SELECT " + opens * 100_000, replace(limits, sql_characters_max=10**7)).code == "Q003"  # fmt: skip


def test_parentheses_inside_literals_and_names_do_not_count():
    assert parse("""SELECT '((((((' AS "((((((" """, replace(LIMITS, depth_max=1)).tree


def test_a_flat_chain_that_makes_a_deep_tree_is_refused():
    chain = "SELECT " + " + ".join(["a"] * 300) + " FROM t"
    assert refused(chain, replace(LIMITS, depth_max=10)).code == "Q003"


def test_a_chain_beyond_the_parsers_recursion_is_refused_and_not_crashed():
    chain = "SELECT " + "- " * 4000 + "1"
    assert refused(chain, LIMITS).code == "Q003"


def test_joins_are_bounded_wherever_they_stand():
    def joined(count):
        return "SELECT 1 FROM a" + "".join(f" JOIN b{i} ON TRUE" for i in range(count))

    assert parse(joined(8), LIMITS).tree
    assert refused(joined(9), LIMITS).code == "Q004"
    nested = f"SELECT 1 FROM ({joined(5)}) x JOIN ({joined(3)}) y ON TRUE"
    assert refused(nested, LIMITS).code == "Q004"


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM ga.person", "UPDATE ga.person SET name = 'x'", "INSERT INTO ga.person VALUES (1)", "DROP TABLE ga.person",
        "CREATE TABLE x AS SELECT 1", "COPY ga.person TO 'x'", "SET x = 1", "EXPLAIN SELECT 1", "VALUES (1)", "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE x", "ATTACH 'x' AS y", "PRAGMA version", "SHOW TABLES", "TRUNCATE ga.person", "MERGE INTO a USING b ON TRUE WHEN MATCHED THEN DELETE",
    ],
)  # fmt: skip
def test_anything_but_one_select_is_refused(text):
    assert refused(text).code in ("Q010", "Q001")


@pytest.mark.parametrize(
    "text",
    [
        'SELECT U&"\\006E" FROM t', "SELECT u& 'x'", "SELECT U&'\\0041'", "SELECT a\x00b", "SELECT '\x07'", "SELECT 1\x7f",
        "SELECT 1\x0b", 'SELECT (U&"a")',
    ],
)  # fmt: skip
def test_escaped_and_unprintable_names_are_refused(text):
    assert refused(text).code == "Q010"


@pytest.mark.parametrize("text", ["SELECT 'U&' AS a", "SELECT 1\n\t\r AS a", "SELECT 1;", "(SELECT 1)", "SELECT 1 UNION ALL SELECT 2"])  # fmt: skip
def test_plain_statements_are_taken(text):
    assert parse(text, LIMITS).text == text


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_by_a_code(text):
    try:
        parse(text, LIMITS)
    except QueryError as error:
        assert (error.code in ("Q001", "Q003", "Q010"), error.rule) == (True, "R0")  # noqa: PT017 - or parsed


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["SELECT", "(", ")", "'", '"', "a", ",", "FROM", "CASE", "END", "WITH", "::", "1", "JOIN", "*", "--", "/*", "$$"]), max_size=25))  # fmt: skip
def test_any_heap_of_words_is_parsed_or_refused_by_a_code(words):
    try:
        parse(" ".join(words), LIMITS)
    except QueryError as error:
        assert error.code in ("Q001", "Q003", "Q004", "Q010")  # noqa: PT017 - or parsed
