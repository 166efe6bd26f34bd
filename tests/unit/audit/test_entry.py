"""Leaf bytes: one record, one spelling."""

import json
from collections import OrderedDict
from types import MappingProxyType

import pytest

from middleplatform.audit.entry import LogEntry, canonical, leaf_bytes, leaf_head, moment
from middleplatform.errors import AuditError
from middleplatform.model.record import AuditRecord

AT = "2026-03-01T08:00:00Z"


def leaf(body: dict[str, object], index: int = 0, event: str = "released") -> bytes:
    return leaf_bytes(leaf_head(AuditRecord(event, {"at": AT} | body)), index)


def test_the_leaf_has_sorted_keys_no_blanks_and_its_index():
    assert (
        leaf({"用途": "统计", "b": [1, True, None], "a": {"y": -1, "x": ""}}, 7)
        == (
            '{"body":{"a":{"x":"","y":-1},"at":"2026-03-01T08:00:00Z","b":[1,true,null],"用途":"统计"},'
            '"event":"released","index":7}'
        ).encode()
    )


def test_order_and_kind_of_mapping_do_not_matter():
    one = {"a": {"x": 1, "y": 2}, "b": [1, 2]}
    two = OrderedDict([("b", (1, 2)), ("a", MappingProxyType({"y": 2, "x": 1}))])
    assert leaf(one) == leaf(dict(two))


def test_reading_a_leaf_gives_the_record_back():
    body = {"at": AT, "sql": "SELECT '\u2028\n\"'", "n": 2**53 - 1}
    entry = LogEntry(3, leaf_bytes(leaf_head(AuditRecord("refused", body)), 3))
    assert entry.record == AuditRecord("refused", body)
    assert entry.at == moment(AT)
    assert canonical(json.loads(entry.leaf)) == entry.leaf


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), float("inf"), 2**53, -(2**53), b"x", {1: 2}, {None: 1}, {"a"}, object(), "\ud800", {"\ud800": 1}],
)  # fmt: skip
def test_what_has_no_single_spelling_is_refused(value):
    with pytest.raises(ValueError, match=r"entry|surrogate"):
        leaf({"a": value})


def test_nesting_beyond_the_limit_is_refused():
    value: object = 1
    for _ in range(40):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        leaf({"a": value})


def test_an_entry_beyond_one_mebibyte_is_refused():
    with pytest.raises(ValueError, match="1 MiB"):
        leaf({"a": "x" * 1_048_576})


def test_an_unknown_event_is_refused():
    with pytest.raises(ValueError, match="event"):
        leaf({}, event="deleted")


@pytest.mark.parametrize(
    "at", [None, 0, "", "2026-03-01", "2026-03-01T08:00:00", "2026-03-01 08:00:00Z", "20260301T080000Z", "2026-13-01T08:00:00Z"]
)  # fmt: skip
def test_an_entry_without_its_moment_is_refused(at):
    with pytest.raises(ValueError, match=r"RFC 3339|month"):
        leaf({"at": at})


def test_every_offset_and_fraction_of_rfc_3339_is_read():
    assert (
        moment("2026-03-01T16:00:00+08:00") == moment("2026-03-01T08:00:00.000000Z") == moment(AT)
    )


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"nonsense", b'"x"', b"\xff"])
def test_bytes_that_are_no_entry_are_said_to_be_altered(raw):
    with pytest.raises(AuditError, match="entry 4 was altered"):
        _ = LogEntry(4, raw).record
