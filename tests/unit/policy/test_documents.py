"""Strict YAML and the canonical form."""

from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policies import documents
from policies.documents import canonical, digest, place, read


def value(text):
    document, problems = read("x.yaml", text)
    assert problems == ()
    return document.value


def problem(text):
    _, problems = read("x.yaml", text)
    assert problems
    return problems[0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: no", {"a": "no"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 010101", {"a": "010101"}),
        ("a: 990101", {"a": 990101}),
        ("a: '990101'", {"a": "990101"}),
        ("1: x", {"1": "x"}),
        ("a: 0.1", {"a": Decimal("0.1")}),
        ("a: 1e3", {"a": "1e3"}),
        ("a: 0x10", {"a": "0x10"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: .inf", {"a": ".inf"}),
        ("a:", {"a": None}),
        ("a: true", {"a": True}),
        ("<<: x", {"<<": "x"}),
        ("", None),
    ],
)
def test_scalars_mean_what_an_officer_reads(text, wanted):
    assert value(text) == wanted


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a: 1\na: 2", 2, 1, "given twice"),
        ("a: &x 1\nb: *x", 1, 4, "anchors"),
        ("a: !!str 1", 1, 4, "tags"),
        ("a: !!python/object/apply:os.system [x]", 1, 4, "tags"),
        ("? [1, 2]\n: 3", 1, 3, "plain word"),
        ("a: [1", 1, 6, "not valid YAML"),
        ("a: 1\n---\nb: 2", 2, 1, "not valid YAML"),
        ("[" * 30 + "]" * 30, 1, 25, "nested deeper"),
        ("a: \x01", 0, 0, "a character is not allowed"),
        ('a: "\\uD800"', 1, 4, "a character is not allowed"),
        ('"\\uDFFF": a', 1, 1, "a character is not allowed"),
        (b"a: \xff", 0, 0, "not UTF-8"),
        ("a: " + "x" * 4_000_001, 0, 0, "longer than 4 MB"),
    ],
)
def test_the_rest_of_yaml_is_refused_with_its_place(text, line, column, said):
    found = problem(text)
    assert said in found.what[0]
    assert (found.line, found.column) == (line, column)


@given(st.text() | st.binary())
def test_reading_never_raises(text):
    document, problems = read("x.yaml", text)
    assert document.value is None or problems is not None


def test_place_is_that_of_the_nearest_ancestor():
    document, _ = read("x.yaml", "a:\n  b: 1\n")
    assert place(document, ("a", "b")) == (2, 3)
    assert place(document, ("a", "c", 4)) == (1, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_canonical_form_is_one_for_one_value(given_value):
    text = canonical(given_value)
    assert canonical(given_value) == text
    if isinstance(given_value, dict):
        assert digest(dict(reversed(given_value.items()))) == digest(given_value)


def test_canonical_form_is_plain():
    assert (
        canonical({"乙": Decimal("1.50"), "a": [True, None, Decimal(100)]})
        == '{"a":[true,null,100],"乙":1.5}'.encode()
    )
    with pytest.raises(TypeError):
        canonical(1.5)


def test_shipped_yaml_means_the_same_to_a_common_parser():
    text = "a: [1, 'x', {b: true}]"
    assert value(text) == yaml.safe_load(text)


def test_document_of_too_many_values_is_refused_before_it_takes_the_memory(monkeypatch):
    monkeypatch.setattr(documents, "_NODES_MAX", 1_000)
    assert value("[" + "a," * 999 + "]") == ["a"] * 999
    found, problems = read("x.yaml", "[" + "a," * 1_000 + "]")
    assert found.value is None
    assert "more than 1000 values" in problems[0].what[0]


def test_what_was_read_lately_is_kept_within_bounds(monkeypatch):
    monkeypatch.setattr(documents, "_KEPT_NODES", 2_000)
    lately = documents._Lately()
    few = "[" + "a," * 10 + "]"
    kept = lately.of("few", few)
    assert lately.of("few", few) is kept
    for number in range(20):
        lately.of(f"{number}", "[" + "a," * 300 + "]" + "#" * 30_000)
        assert lately._nodes <= 2_000
    assert lately.of("few", few) is not kept, "it had to make room"
    assert lately.of("few", few) == kept
    for number in range(100):
        lately.of(f"{number}", few)
    assert len(lately._kept) == documents._KEPT
