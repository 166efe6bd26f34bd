"""Lists of which each item stands once: what is the same, and that many items of several kinds cost one look each."""

from decimal import Decimal

import pytest

from policies.schemas import violations


def said(projects):
    return [each.keyword for each in violations({"limits": {"projects": projects}}, "bundle")
            if each.path == ("limits", "projects")]  # fmt: skip


@pytest.mark.parametrize(
    ("items", "twice"),
    [
        (["a", "b"], False),
        (["a", "b", "a"], True),
        (["1", 1, True, None, "a", ["a"], {"a": 1}], False),
        (["a", 1, "b", Decimal("1.0")], True),
        (["a", {"a": 1, "b": 2}, {"b": 2, "a": 1}], True),
        ([["a", 1], ["a", 1]], True),
        ([0.5, "a", 0.5], True),
        ([0, False], False),
    ],
)
def test_same_item_twice_is_found_whatever_the_kinds(items, twice):
    assert said(items) == (["uniqueItems"] if twice else [])


@pytest.mark.parametrize("end", ["\n", " ", "\u2028", "\x00"])
def test_a_name_ends_where_its_text_ends(end):
    """Python's own ``$`` would let a name pass that has a line break behind it."""
    for part in ("templates", "purposes"):
        (found, *_) = violations({part: {f"education{end}": {}}}, "bundle")
        assert found.path == (part,)
        whole = violations({part: {"education": {}}}, "bundle")
        assert (part,) not in {each.path for each in whole}


class Counted(str):
    """A text that counts how often it is compared."""

    compared = 0
    __slots__ = ()

    def __eq__(self, other):
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_items_of_several_kinds_are_not_compared_each_with_each():
    items = [each for number in range(300) for each in (number, Counted(f"p{number}"))]
    assert said(items) == []
    assert Counted.compared < 10 * len(items)
