"""Carets stand beneath the place, whatever the width of what comes before."""

import pytest
from rich.cells import cell_len

from middleplatform.cli import printable
from middleplatform.cli.excerpt import excerpt
from middleplatform.cli.locale import choose
from middleplatform.model.decision import Span


def place(sql, text):
    start = sql.index(text)
    return Span(start, start + len(text), 1, 1)


@pytest.mark.parametrize(("sql", "text"), [
    ("SELECT a FROM t", "a"), ("SELECT '深圳' AS 城市, 身份证号 FROM 人口", "身份证号"),
    ("SELECT '😀', x FROM t", "x"), ("SELECT\n\n  '北京', y\nFROM t", "y"), ("SELECT\t\x1b[1m, z", "z"),
    ("SELECT " + "列, " * 200 + "末 FROM t", "末"),
])  # fmt: skip
def test_carets_cover_exactly_the_place(sql, text):
    shown, carets = excerpt(sql, place(sql, text))
    left = carets.index("^")
    assert set(carets[left:]) == {"^"}
    assert len(carets) - left == cell_len(text)
    before = shown[: shown.rindex(text)]
    assert cell_len(before) == left


def test_place_of_several_lines_is_underlined_on_its_first():
    sql = "SELECT (SELECT a\nFROM t)"
    assert excerpt(sql, place(sql, "(SELECT a\nFROM t)"))[1].count("^") == len("(SELECT a")


def test_place_at_the_very_end_still_has_a_caret():
    assert excerpt("SELECT", Span(6, 6, 1, 7))[1].endswith("^")


def test_place_outside_the_statement_is_not_shown():
    assert excerpt("SELECT", Span(99, 100, 9, 9)) == []


def test_steering_characters_are_written_as_escapes():
    assert printable.line("a\x1b]0;x\x07b\u202ec\nd") == "a\\x1b]0;x\\x07b\\u202ec\\x0ad"
    assert printable.text("a\nb\r") == "a\nb\\x0d"


def test_language_is_read_before_the_arguments_are():
    assert choose(["query", "--locale", "zh"], {}) == "zh"
    assert choose(["--locale=xx"], {"LANG": "zh_CN"}) == "zh"
    assert choose([], {"LC_ALL": "", "LC_MESSAGES": "en_US", "LANG": "zh_CN"}) == "en"
