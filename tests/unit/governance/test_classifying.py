"""Is one entry written, and nothing else changed, whatever the column and the rule?"""

import dataclasses
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform import catalog as catalogs
from middleplatform.governance.classifying import classified
from middleplatform.governance.examined import loaded
from middleplatform.policy.examples import example

FOLDER = example("demo")
FILES = {
    each.name: each.read_text(encoding="utf-8")
    for each in FOLDER.iterdir()
    if each.name.endswith(".yaml")
}
CATALOG = catalogs.load(FOLDER / "catalog")
OLD = loaded(FILES, CATALOG)
COLUMNS = [
    (name, column) for name, rule in OLD.datasets.items() for column in CATALOG.datasets[name].columns
    if column in rule.columns and rule.disclosure.min_units > 1
]  # fmt: skip
RULES = st.fixed_dictionaries(
    {"use": st.just("denied")},
    optional={
        "level": st.just("core"),
        "sharing": st.just("not_shared"),
        "law": st.text("abc 保密法: #'{}[],-" + '"', min_size=1, max_size=20).filter(str.strip),
        "min_units": st.integers(10, 99),
    },
)


def without(bundle, dataset, column):
    rule = bundle.datasets[dataset]
    columns = {name: each for name, each in rule.columns.items() if name != column}
    return {**bundle.datasets, dataset: dataclasses.replace(rule, columns=columns)}


def shared(one, other):
    """How many characters both begin with."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


@settings(max_examples=12, deadline=None)
@given(place=st.sampled_from(COLUMNS), rule=RULES)
def test_one_column_changes_and_every_other_line_stays(place, rule):
    dataset, column = place
    new = classified(FILES, dataset, column, rule)
    bundle = loaded(new, CATALOG)
    said = bundle.raw["datasets"][dataset]["columns"][column]
    assert said == rule
    assert without(bundle, dataset, column) == without(OLD, dataset, column)
    assert bundle.grants == OLD.grants
    assert {name for name in FILES if new[name] != FILES[name]} <= {"columns.yaml"}
    before, after = FILES["columns.yaml"], new["columns.yaml"]
    begin = shared(before, after)
    rest = shared(before[begin:][::-1], after[begin:][::-1])
    replaced = before[begin : len(before) - rest]
    assert replaced.count("\n") <= 6, "the longest entry of these files has six lines"


def test_same_entry_again_changes_nothing():
    once = classified(FILES, "ga.population", "sex", {"use": "denied"})
    assert classified(once, "ga.population", "sex", {"use": "denied"}) == once


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("datasets: {a.b: {purposes: [p], columns: {c: {}}}}", "c", "c: {use: denied}"),
        ("datasets: {a.b: {purposes: [p], columns: {c: {}}}}", "d", "{c: {}, d: {use: denied}}"),
        ("datasets:\n  a.b:\n    columns: {}\n", "c", "columns: {c: {use: denied}}\n"),
        ("datasets:\n  a.b:\n    columns:\n      c: {}  # why", "d", "c: {}  # why\n      d: {use: denied}\n"),
        ("datasets:\n  x.y:\n    columns: {}  # end\n", "c", "# end\n\n  a.b:\n    purposes: [q]\n    columns:\n      c: {use: denied}\n"),
    ],
)  # fmt: skip
def test_entry_is_written_in_the_form_that_is_there(text, column, expected):
    made = classified({"x.yaml": text}, "a.b", column, {"use": "denied"}, ["q"])
    assert expected in made["x.yaml"]


def test_dataset_that_no_file_has_gets_a_file():
    made = classified({"m.yaml": "name: x\n", "classified.yaml": "version: y\n"}, "a.b", "c", {})
    assert made["classified-2.yaml"].startswith("datasets:\n  a.b:\n")
    assert made["m.yaml"] == "name: x\n"
