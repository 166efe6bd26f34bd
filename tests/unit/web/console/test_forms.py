"""What somebody typed into a form, read as a number."""

import pytest

from middleplatform.web.console.forms import whole


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("9" * 9, 999999999)])
def test_digits_are_a_whole_number(text, number):
    assert whole(text) == number


@pytest.mark.parametrize(
    "text", ["", " 7", "-1", "+1", "1.0", "1e3", "1_0", "٣", "７", "²", "0x1", "9" * 10, "9" * 5000]
)
def test_anything_else_is_none(text):
    assert whole(text) is None


def test_bound_on_digits_is_the_callers():
    assert (whole("12345", 4), whole("1" * 15, 15)) == (None, int("1" * 15))
