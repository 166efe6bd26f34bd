"""Is a filter seen to lie within another where it does, and never where it does not?"""

import pytest

from middleplatform.gateway.join_family import Family

AGE, SEX = "ga.people/0.age", "ga.people/0.sex"


def family(*where):
    return Family("", where, ())


def between(*bounds):
    return ("range", AGE, bounds)


def among(*values):
    return ("in", SEX, tuple(f"text:{each}" for each in values))


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ([between("<", "number:60")], []),
        ([between("<", "number:60")], [between("<", "number:61")]),
        ([between("<", "number:60")], [between("<=", "number:60")]),
        ([between("<=", "number:59")], [between("<", "number:60")]),
        ([between(">=", "number:10", "<=", "number:20")], [between(">=", "number:9")]),
        ([("in", AGE, ("number:3", "number:4"))], [between(">", "number:2", "<", "number:5")]),
        ([among("a")], [among("a", "b")]),
        ([among("a"), ("is", "x", ())], [("is", "x", ())]),
        ([between(">", "date:2024-01-31")], [between(">=", "date:2024-01-31")]),
    ],
)
def test_a_filter_that_lies_within_another(narrow, wide):
    one, other = family(*narrow), family(*wide)
    assert one.within(other)
    assert not other.within(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([between("<", "number:60")], [between(">=", "number:60")]),
        ([among("a")], [among("b")]),
        ([among("a")], [("in", AGE, ("text:a", "text:b"))]),
        ([between("<", "number:60")], [("is", AGE, ())]),
        ([between("<", "number:9")], [between("<", "date:2024-01-01")]),
        ([between("<", "number:60"), among("a")], [between("<", "number:50"), among("a", "b")]),
    ],
)
def test_filters_neither_of_which_lies_within_the_other(one, other):
    assert not family(*one).within(family(*other))
    assert not family(*other).within(family(*one))


def test_a_place_is_read_back_as_it_was_kept():
    here = Family("f", (between("<", "number:60"), among("甲", "乙")), ("d0", "d1"))
    assert Family.read("f", here.text()) == here
