"""A refused statement as people see it: the places marked once, everything else as it was typed."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.model.decision import Reason, Span
from middleplatform.web.console.faults import underlined, wanted_columns

SQL = "SELECT a, b\nFROM t -- <c> & 人"


def _at(start, end, rule="R1", column=""):
    return Reason(rule, ("", ""), column, span=Span(start, end, 1, 1))


def test_places_are_marked_in_their_order_with_their_rules():
    made = str(underlined(SQL, [_at(10, 11, "R3"), _at(7, 8, "R2")]))
    assert made.startswith("SELECT <mark>a<sup>R2</sup></mark>, <mark>b<sup>R3</sup></mark>\nFROM")
    assert made.endswith("&lt;c&gt; &amp; 人")


def test_places_that_overlap_are_marked_once():
    made = str(underlined(SQL, [_at(7, 11), _at(7, 8), _at(9, 11), Reason("R4", ("", ""))]))
    assert made.count("<mark>") == 2, "the narrower ones"


@settings(max_examples=100)
@given(
    st.text(max_size=30), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=5)
)
def test_the_statement_is_all_there_whatever_is_marked(sql, places):
    made = str(underlined(sql, [_at(*sorted(each)) for each in places]))
    assert re.sub(r"<sup>R1</sup>|</?mark>", "", made) == str(underlined(sql, []))


def test_columns_for_which_a_grant_is_missing_are_named_once():
    reasons = [
        _at(0, 1, "G1", "a.b.c"),
        _at(2, 3, "G1", "a.b.c"),
        _at(0, 1, "R1", "a.b.d"),
        _at(0, 1, "G1"),
    ]
    assert wanted_columns(reasons) == ["a.b.c"]
