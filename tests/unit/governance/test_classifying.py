"""Is one entry written, and nothing else changed, whatever the column and the rule?"""

import dataclasses
import re
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform import catalog as catalogs
from middleplatform.errors import ConfigError
from middleplatform.governance.classifying import classified
from middleplatform.governance.examined import loaded
from middleplatform.governance.line_ends import kept
from middleplatform.policy.examples import example
from middleplatform.policy.written import said

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


# --- files in other forms ---------------------------------------------------------------------------------------------


def wanted(text, dataset, column, rule):
    """Return what a text would say with one entry more, or one otherwise."""
    value = said("t", text)
    begun = value["datasets"].get(dataset, {"purposes": ["q"], "columns": {}})
    begun = begun | {"columns": begun["columns"] | {column: rule}}
    return value | {"datasets": value["datasets"] | {dataset: begun}}


ANCHORED = """\
datasets:
  a.b: {purposes: [p], columns: &wide {c: &one {use: dimension}, d: *one, e: {use: key}}}
  x.y:
    purposes: [p]
    columns: *wide
  z.z:
    purposes: [p]
    columns:
      f: *one
      g: {use: measure}   # stays
"""
MERGED = """\
base: &base
  c: {use: dimension}
datasets:
  a.b:
    columns:
      d: {use: key}
      <<: *base
  x.y: {columns: {}}
"""
LITERAL = """\
datasets:
  a.b:
    columns:
      c:
        use: denied
        law: |
          one
          two

      d:
        law: >-
          three
  x.y:
    columns: {c: {}}
"""
ODD = """\
datasets:
  a.b:
    columns:
      ? c
      : {use: key}
  x.y: {columns: {"c" : {use: key,}, d: , 'e': [],},}
"""


def outcome(files, dataset, column, rule):
    try:
        return classified(files, dataset, column, rule, ["q"])
    except ConfigError as error:
        return error


@pytest.mark.parametrize(
    ("text", "dataset", "column"),
    [
        (ANCHORED, "a.b", "d"), (ANCHORED, "z.z", "f"), (ANCHORED, "z.z", "g"), (ANCHORED, "z.z", "h"), (ANCHORED, "n.n", "c"),
        (MERGED, "a.b", "c"), (MERGED, "a.b", "d"), (MERGED, "a.b", "e"), (MERGED, "x.y", "c"), (MERGED, "n.n", "c"),
        (LITERAL, "a.b", "c"), (LITERAL, "a.b", "d"), (LITERAL, "a.b", "e"), (LITERAL, "x.y", "c"),
        (LITERAL.partition("\n      d:")[0], "a.b", "e"), (LITERAL.partition("\n      d:")[0], "n.n", "e"),
        (ODD, "a.b", "c"), (ODD, "x.y", "c"), (ODD, "x.y", "d"), (ODD, "x.y", "e"), (ODD, "x.y", "f"),
        ("datasets: &all\n  a.b:\n    columns: {c: {}}\nother: *all\n", "a.b", "c"),
        ("datasets:\n  a.b: &it\n    columns: {c: {}}\n  x.y: *it\n", "x.y", "c"),
        ("datasets:\n  a.b:\n    columns:\n", "a.b", "c"),
        ("datasets:\n  a.b:\n    columns: {c: {}, # why\n    }\n", "a.b", "d"),
        ("datasets:\n  a.b:\n    columns: {c: {}}\n    columns: {d: {}}\n", "a.b", "c"),
        ("datasets:\n  a.b:\n    columns:\n      c: {}\n...\n", "a.b", "d"),
        ("datasets:\n  a.b:\n    columns:\n      c: {}\n---\nx: y\n", "a.b", "d"),
        ("datasets: [a.b]\n", "a.b", "c"), ("datasets:\n  a.b: 7\n", "a.b", "c"), ("[]\n", "a.b", "c"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize(
    "rule", [{"use": "denied"}, {"use": "denied", "law": "第一条\u2028: #'\x85"}]
)
def test_one_entry_is_written_or_the_file_is_refused_whatever_its_form(
    text, dataset, column, windows, rule
):
    text = text.replace("\n", "\r\n") if windows else text
    files = {"m.yaml": "name: x\n", "x.yaml": text}
    made = outcome(files, dataset, column, rule)
    if isinstance(made, ConfigError):
        assert made.code == "C001"
        assert all("x.yaml" in made.message(language) for language in ("en", "zh"))
        return
    (changed,) = [name for name in made if made[name] != files.get(name)]
    if changed == "x.yaml":
        assert said("t", made[changed]) == wanted(text, dataset, column, rule)
        assert windows is (re.search("(?<!\r)\n", made[changed]) is None)
        for comment in re.findall("#.*", text):
            assert comment in made[changed]
    else:
        assert said("t", text) == said("t", made["x.yaml"])


NO = "datasets:\n  a.b:\n    columns:\n      no: {use: key}\n      at: {since: 2026-01-01, share: 0.1}\n"


@pytest.mark.parametrize(
    ("text", "dataset", "column", "expected"),
    [
        (ANCHORED, "a.b", "d", None), (ANCHORED, "x.y", "d", None), (ANCHORED, "z.z", "f", None),
        (ANCHORED, "z.z", "h", None), (MERGED, "a.b", "e", None), (NO, "a.b", "no", "no: {use: denied}\n"),
        (LITERAL, "a.b", "c", "      c: {use: denied}\n\n      d:\n"), (LITERAL, "a.b", "e", "three\n      e: {use: denied}\n  x.y"),
        (ODD, "x.y", "f", "'e': [], f: {use: denied}}"), (ODD, "a.b", "c", None),
    ],
)  # fmt: skip
def test_other_forms_are_written_where_they_can_be(text, dataset, column, expected):
    if expected is None:
        with pytest.raises(ConfigError) as caught:
            classified({"x.yaml": text}, dataset, column, {"use": "denied"})
        assert "cannot be changed alone" in caught.value.message("en")
        return
    assert expected in classified({"x.yaml": text}, dataset, column, {"use": "denied"})["x.yaml"]


def test_shipped_files_with_windows_line_ends_keep_them():
    files = {name: text.replace("\n", "\r\n") for name, text in FILES.items()}
    new = classified(files, "ga.population", "sex", {"use": "denied"})
    plain = classified(FILES, "ga.population", "sex", {"use": "denied"})
    assert new == {name: text.replace("\n", "\r\n") for name, text in plain.items()}


def test_what_a_browser_sent_keeps_the_line_ends_of_what_is_in_force():
    standing = {"a": "x\r\ny\r\n", "b": "x\ny\r\n", "c": "x\ny\n", "d": "x"}
    sent = dict.fromkeys((*standing, "e"), "x\nz\ny\n")
    assert kept(sent, standing) == {**sent, "a": "x\r\nz\r\ny\r\n"}
