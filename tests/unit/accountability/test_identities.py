"""Does a text that names somebody by number never reach the log, and does plain language?"""

import pytest

from middleplatform.accountability.identities import plain_text
from middleplatform.errors import QueryError

WHAT = ("text", "文字")
NUMBER = "110105" + "19491231" + "002X"
FIRM = "91350100" + "M000100Y43"


@pytest.mark.parametrize(
    "text",
    [
        NUMBER, NUMBER.lower(), NUMBER[:6] + " " + NUMBER[6:14] + " " + NUMBER[14:], "-".join(NUMBER),
        f"身份证{NUMBER}重复", f"a{NUMBER}b", f"0{NUMBER}", "110105491231002", "１１０１０５４９１２３１００２",
        FIRM, FIRM.lower(), f"企业（{FIRM}）", "123456789012345", "110105 491231 002", "110105\u200b19491231\u200b0021",
        "\u00ad".join(NUMBER), "\u200e".join(NUMBER), "\u0301".join(NUMBER), "\u3164".join(NUMBER), "\ufe0f\u20e3".join(NUMBER),
        "110105，19491231，0021", "110105(19491231)0021", "110105:19491231:0021", "110105、19491231、0021", "。".join(NUMBER),
        "一一〇一〇五一九四九一二三一〇〇二一", "壹壹零壹零伍壹玖肆玖壹贰叁壹零零贰壹", "9135 0100 M000 100Y 43", "91350100-M000100Y4-3",
    ],
)  # fmt: skip
def test_what_looks_like_an_identity_number_is_refused_and_not_repeated(text):
    with pytest.raises(QueryError) as caught:
        plain_text(text, WHAT)
    assert caught.value.code == "Q040"
    assert text not in caught.value.public_message


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01 至 2026-02-02 的记录重复", "on 20260101 we saw that rows are missing", "GX7, YY12, 990101",
        "约 12,345,678 元", "3f2a" * 16, "《政务数据共享条例》第二十六条", "电话 010-12345678", "",
        "第一、二、三章，共 100, 200, 300, 400, 500 行", "110105、110106、110108、110112", "IN 202610 REPEATED WERE 12 ROWS",
        "010-12345678、010-87654321", "一二三四五六七八九十",
    ],
)  # fmt: skip
def test_plain_language_passes_without_blanks_around_it(text):
    assert plain_text(f" {text}\n", WHAT) == text


def test_a_text_has_a_greatest_length():
    with pytest.raises(QueryError):
        plain_text("长" * 2001, WHAT)
