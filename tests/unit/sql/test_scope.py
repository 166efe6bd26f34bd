import made_world as made
import pytest
from sqlglot import exp, parse_one

from middleplatform.errors import QueryError
from middleplatform.sql.scope import Item, Scope, identifier, span_of


def code_of(sql):
    with pytest.raises(QueryError) as caught:
        made.bound(sql)
    return caught.value.code


def column(text):
    return parse_one(text, dialect="postgres")


def scope():
    found = Scope()
    found.add(Item("p", "ga.person", {"id": None, "sex": None}, released=True))
    found.add(Item("i", "", {"id": None, "amount": None}, released=True))
    return found


def test_a_bare_name_is_found_in_its_only_item():
    item, name = scope().find(column("amount"))
    assert (item.name, name) == ("i", "amount")


def test_a_name_in_two_items_is_ambiguous_unless_qualified():
    with pytest.raises(QueryError) as caught:
        scope().find(column("id"))
    assert caught.value.code == "Q022"
    assert scope().find(column("i.id"))[0].name == "i"


def test_a_schema_names_the_dataset_and_not_an_alias():
    assert scope().find(column("ga.person.sex"))[0].name == "p"
    assert scope().find(column("tax.person.sex")) is None
    assert scope().find(column("ga.i.amount")) is None


def test_a_name_of_nothing_is_nothing():
    assert scope().find(column("nowhere")) is None
    assert scope().find(column("q.sex")) is None


def test_two_items_of_one_name_are_refused():
    found = scope()
    with pytest.raises(QueryError) as caught:
        found.add(Item("p", "", {}, released=True))
    assert caught.value.code == "Q010"


def test_a_from_item_is_a_whole_row_as_an_expression():
    assert scope().is_relation("p")
    assert not scope().is_relation("sex")


@pytest.mark.parametrize(("text", "name"), [("Sex", "sex"), ('"Sex"', "Sex"), ("险种", "险种"), ('"a""b"', 'a"b')])  # fmt: skip
def test_names_are_folded_unless_quoted(text, name):
    assert identifier(column(text).this) == name


@pytest.mark.parametrize("node", [None, "text", exp.Star(), exp.Literal.number(1)])
def test_what_is_no_identifier_names_nothing(node):
    with pytest.raises(QueryError) as caught:
        identifier(node)
    assert caught.value.code == "Q010"


def test_a_span_covers_first_to_last_name_and_counts_from_one():
    sql = "SELECT 1,\n  p.sex FROM t"
    node = parse_one(sql, dialect="postgres").expressions[1]
    span = span_of(node)
    assert sql[span.start : span.end] == "p.sex"
    assert (span.line, span.column) == (2, 3)


def test_what_was_not_written_has_no_place():
    assert span_of(exp.column("made")) is None


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT COUNT(nothing) FROM ga.person", "Q020"),
        ("SELECT COUNT(q.sex) FROM ga.person p", "Q020"),
        ("SELECT COUNT(person.sex) FROM ga.person p", "Q020"),
        ("SELECT COUNT(*) FROM person", "Q021"),
        ("SELECT COUNT(*) FROM ga.nothing", "Q021"),
        ("SELECT COUNT(*) FROM pg_catalog.pg_tables", "Q021"),
        ("SELECT COUNT(*) FROM other.ga.person", "Q021"),
        ("SELECT COUNT(*) FROM 'file.parquet'", "Q021"),
        ("SELECT COUNT(*) FROM read_csv('x')", "Q021"),
        ("SELECT COUNT(id) FROM ga.person p JOIN ga.income i ON p.id = i.id", "Q022"),
        ("SELECT COUNT(*) FROM ga.person JOIN ga.person ON TRUE", "Q010"),
        ('SELECT COUNT(*) FROM GA."Person"', "Q021"),
        ("SELECT COUNT(*) FROM ga.person p WHERE p", "Q010"),
        ("SELECT n FROM (SELECT COUNT(*) AS n FROM ga.person) c WHERE c = 1", "Q010"),
        ("SELECT c.m FROM (SELECT COUNT(*) AS n FROM ga.person) c", "Q020"),
        ("SELECT n FROM (SELECT COUNT(*) AS n FROM ga.person) a JOIN (SELECT COUNT(*) AS n FROM ga.person) b ON TRUE", "Q022"),
        ("WITH person AS (SELECT 1) SELECT * FROM person", "Q010"),
        ("WITH ga AS (SELECT COUNT(*) AS n FROM ga.person) SELECT n FROM ga", "Q010"),
        ("WITH x(n) AS (SELECT COUNT(*) FROM ga.person) SELECT n FROM x", "Q010"),
        ("WITH RECURSIVE x AS (SELECT 1 AS n) SELECT n FROM x", "Q010"),
        ("SELECT n FROM (SELECT COUNT(*) FROM ga.person) AS c(n)", "Q010"),
        ("SELECT COUNT(*) FROM ga.person AS p(a, b)", "Q010"),
        ("SELECT xmin, COUNT(*) FROM ga.person GROUP BY xmin", "Q020"),
    ],
)  # fmt: skip
def test_names_that_mean_nothing_or_two_things_are_refused(sql, code):
    assert code_of(sql) == code
