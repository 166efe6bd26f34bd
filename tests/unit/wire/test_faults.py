"""What travels of an error, and what of a hostile node's error is believed?"""

import pytest

from middleplatform.errors import (
    CODES,
    DisclosureError,
    LimitError,
    MiddleplatformError,
    ProtocolError,
    SourceError,
)
from middleplatform.wire.faults import from_fields, to_fields


def test_an_error_arrives_without_its_detail():
    error = ProtocolError("X003", rule="R5", detail="SELECT secret", department="ga")
    fields = to_fields(error)
    assert "secret" not in str(fields)
    again = from_fields(fields, "ga")
    assert (again.code, again.rule, again.public_message, again.detail) == ("X003", "R5", error.public_message, "")  # fmt: skip


def test_both_languages_arrive():
    error = SourceError(
        "S010", department="ga", dataset="ga.population", what=("column x is missing", "缺少列 x")
    )
    again = from_fields(to_fields(error), "ga")
    assert [again.message(locale) for locale in ("en", "zh")] == [error.message(locale) for locale in ("en", "zh")]  # fmt: skip


def test_a_node_speaks_for_itself_only():
    fields = to_fields(SourceError("S003", department="health"))
    assert "ga" in from_fields(fields, "ga").public_message
    assert "health" not in from_fields(fields, "ga").public_message


def test_every_code_can_travel():
    classes = {each.prefix: each for each in MiddleplatformError.__subclasses__()}
    names = ("what", "department", "limit", "line", "column", "name", "departments", "dataset", "index", "record", "party", "seconds")  # fmt: skip
    for code in CODES:
        error = classes[code[0]](code, rule="R1", **dict.fromkeys(names, "x"))
        assert from_fields(to_fields(error), "x").public_message == error.public_message


@pytest.mark.parametrize(
    "fields",
    [
        None, {}, [], {"code": "Z999", "rule": "", "parts": {}}, {"code": "S001", "rule": "", "parts": {}, "more": 1}, {"code": "S010", "rule": "", "parts": {}},
        {"code": "L002", "rule": "", "parts": {"limit": "\x1b[2J"}}, {"code": "L002", "rule": "", "parts": {"limit": "x" * 301}}, {"code": "L002", "rule": "", "parts": {"limit": {"a": 1}}},
        {"code": "L002", "rule": "DROP", "parts": {"limit": 1}}, {"code": "L002", "rule": "", "parts": {"limit": ["a", "b", "c"]}}, {"code": 5, "rule": "", "parts": {}},
    ],
)  # fmt: skip
def test_what_is_no_error_is_a_deviation(fields):
    with pytest.raises(ProtocolError) as caught:
        from_fields(fields, "ga")
    assert caught.value.code == "X001"


def test_classes_come_back():
    assert isinstance(from_fields(to_fields(LimitError("L001")), "ga"), LimitError)
    assert isinstance(from_fields(to_fields(DisclosureError("D010", rule="R14")), "ga"), DisclosureError)  # fmt: skip
