"""Every field of every rule has a direction, and it is the one by which departments' rules are combined."""

import re
from dataclasses import fields, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import policy_mutations as made
import pytest

from middleplatform.governance.diff import diff
from middleplatform.governance.order import Direction
from middleplatform.governance.settings import DERIVED, DIRECTIONS, NESTED, settings
from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.model.policy import (
    Bundle,
    ColumnRule,
    DatasetRule,
    DisclosureParameters,
    Grant,
    Limits,
    PrivacyRule,
    Purpose,
    Template,
    Withheld,
)
from middleplatform.model.request import Role
from middleplatform.policy import evaluate

OTHER, LOOSENS, TIGHTENS, BOTH = Direction.OTHER, Direction.LOOSENS, Direction.TIGHTENS, Direction.BOTH  # fmt: skip


def test_the_table_has_every_field_of_every_rule_and_no_other():
    for rule, table in DIRECTIONS.items():
        names = {each.name for each in fields(rule)} - NESTED.get(rule, frozenset())
        assert set(table) == names - DERIVED, rule


def test_the_page_names_every_field_that_the_table_has():
    page = (Path(__file__).parents[3] / "docs/spec/policy-diff.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:bundle|purpose|dataset|column|disclosure|privacy|limits|grant|template) \|.*$", page, re.MULTILINE)  # fmt: skip
    assert len(rows) == len(DIRECTIONS)
    for table, row in zip(_BY_PAGE, rows, strict=True):
        missing = [name for name in DIRECTIONS[table] if f"`{name}`" not in row]
        assert missing == [], row[:20]


_BY_PAGE = (
    Bundle, Purpose, DatasetRule, ColumnRule, DisclosureParameters, PrivacyRule, Limits, Grant, Template,
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields_of", "field", "values"),
    [
        (DisclosureParameters, "p_percent", (5, 10)), (DisclosureParameters, "homogeneity", (False, True)),
        (DisclosureParameters, "history", (False, True)), (DisclosureParameters, "method", ("exact", "table")),
        (DisclosureParameters, "method", ("perturb", "noise")), (DisclosureParameters, "noise_max", (5, 7)),
        (DisclosureParameters, "noise_variance", (3, 4)), (DisclosureParameters, "noise_js", (1, 2)),
        (DisclosureParameters, "magnitude_percent", (10, 20)), (DisclosureParameters, "interval_percent", (10, 20)),
        (DisclosureParameters, "overlaps_max", (0, 12)), (DisclosureParameters, "overlaps_max", (12, 5)),
        (DisclosureParameters, "noise_below", (0, 50)), (DisclosureParameters, "min_units", (10, 20)),
        (PrivacyRule, "rho", (Fraction(1, 5), Fraction(1, 50))), (PrivacyRule, "delta", (Fraction(1, 5), Fraction(1, 50))),
        (PrivacyRule, "groups", (3, 2)), (PrivacyRule, "rows", (3, 2)), (PrivacyRule, "rho_snapshot", (2, 1)),
        (PrivacyRule, "rho_project", (2, 1)), (PrivacyRule, "rho_analyst", (2, 1)),
    ],
)  # fmt: skip
def test_the_tighter_of_two_values_is_the_one_that_wins_across_departments(
    fields_of, field, values
):
    """(looser, tighter): the table and ``evaluate.disclosure`` agree."""
    order, _ = DIRECTIONS[fields_of][field]
    assert (order(*values), order(*reversed(values))) == (TIGHTENS, LOOSENS)
    parameters = [
        DisclosureParameters(**{field: value}) if fields_of is DisclosureParameters else DisclosureParameters(privacy=PrivacyRule(**{field: value}))
        for value in values
    ]  # fmt: skip
    names = ("ga.person", "tax.payer")
    datasets = {name: replace(made.BUNDLE.datasets[name], disclosure=each) for name, each in zip(names, parameters, strict=True)}  # fmt: skip
    found = evaluate.disclosure(replace(made.BUNDLE, datasets=datasets), (), names)
    assert (
        getattr(found if fields_of is DisclosureParameters else found.privacy, field) == values[1]
    )


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [
        (((1, 50),), ((1, 50), (2, 67)), TIGHTENS), (((1, 50),), ((1, 60),), LOOSENS), (((1, 50),), ((2, 50),), TIGHTENS),
        (((1, 50),), ((2, 60),), BOTH), (((1, 50), (1, 60)), ((1, 50),), OTHER), ((), ((1, 50),), TIGHTENS),
    ],
)  # fmt: skip
def test_dominance_is_compared_by_what_it_withholds(old, new, direction):
    assert DIRECTIONS[DisclosureParameters]["dominance"][0](old, new) is direction


@pytest.mark.parametrize(
    ("field", "old", "new", "direction"),
    [
        ("uses", {Use.DIMENSION}, {Use.SENSITIVE_DIMENSION}, TIGHTENS), ("uses", {Use.KEY}, {Use.KEY, Use.MEASURE}, LOOSENS),
        ("uses", {Use.KEY}, {Use.KEY, Use.DENIED}, TIGHTENS), ("uses", {Use.KEY}, {Use.MEASURE}, BOTH), ("uses", {Use.DENIED}, set(), OTHER),
        ("level", Level.GENERAL_2, Level.GENERAL_4, TIGHTENS), ("sharing", Sharing.CONDITIONAL, Sharing.UNCONDITIONAL, LOOSENS),
        ("finest", "year", "", TIGHTENS), ("finest", "quarter", "month", LOOSENS), ("bucket", "", "year", LOOSENS), ("bucket", "month", "year", TIGHTENS),
        ("generalise", 5, 0, LOOSENS), ("release", "plain", "both", LOOSENS), ("release", "plain", "sealed", BOTH),
        ("cap", None, Decimal(5), BOTH), ("unit", "person", "firm", BOTH), ("law", "a", "b", OTHER),
        ("breakpoints", (Decimal(5),), (Decimal(5), Decimal(6)), LOOSENS), ("breakpoints", (Decimal(5), Decimal(6)), (Decimal(6), Decimal(5)), OTHER),
        ("withheld", (Withheld("F10", "F69", "a"),), (Withheld("F10", "F69", "b"),), OTHER), ("withheld", (Withheld("F10", "F69", "a"),), (), LOOSENS),
        ("withheld", (Withheld("F10", "F69", "a"),), (Withheld("F10", "F68", "a"),), BOTH),
    ],
)  # fmt: skip
def test_a_column_field_has_its_direction_in_the_difference(field, old, new, direction):
    values = [frozenset(each) if isinstance(each, set) else each for each in (old, new)]
    pair = [made.made.with_column(made.BUNDLE, "ga.person", "region", **{field: value}) for value in values]  # fmt: skip
    (found,) = settings(*pair)
    assert found.path == ("datasets", "ga.person", "columns", "region", field)
    assert found.direction is direction


def test_rules_that_come_and_go_are_told_and_denied_columns_let_nothing():
    bare = replace(made.BUNDLE, datasets={}, purposes={})
    assert {each.direction for each in settings(bare, made.BUNDLE)} == {LOOSENS}
    assert {each.direction for each in settings(made.BUNDLE, bare)} == {TIGHTENS}
    person = made.BUNDLE.datasets["ga.person"]
    more = {**person.columns, "name": replace(person.columns["id"], uses=frozenset({Use.DENIED}))}
    (added,) = settings(made.BUNDLE, made.made.with_dataset(made.BUNDLE, "ga.person", columns=more))
    assert (added.direction, added.path[-1], added.before) == (OTHER, "name", "")


def test_the_order_of_grants_and_a_number_given_twice_are_told():
    one, two = made.BUNDLE.grants
    (turned,) = settings(made.BUNDLE, replace(made.BUNDLE, grants=(two, one)))
    assert (turned.direction, turned.path) == (OTHER, ("grants", "order"))
    (twice,) = settings(made.BUNDLE, replace(made.BUNDLE, grants=(one, two, one)))
    assert twice.path == ("grants", f"{one.id} #2")


def test_limits_and_purposes_touch_every_owner_that_they_bear_on():
    limits = replace(made.BUNDLE, limits=replace(made.BUNDLE.limits, projects=("*",), joins_max=9))
    found = diff(made.BUNDLE, limits, made.CATALOG, made.NOW)
    assert [each.setting[-1] for each in found.loosens] == ["joins_max", "projects"]
    assert found.owners == {"ga", "tax"}
    audit = Purpose("statistics", "统计", "statistics", frozenset({Role.ANALYST, Role.AUDITOR}))
    opened = replace(made.BUNDLE, purposes={**made.BUNDLE.purposes, "statistics": audit})
    found = diff(made.BUNDLE, opened, made.CATALOG, made.NOW)
    assert {each.role for change in found.loosens for each in change.persons} == {Role.AUDITOR}
    assert found.owners == {"ga", "tax"}


def test_a_change_is_told_as_a_sentence_with_counts_in_both_languages():
    grant, own = made.BUNDLE.grants
    fewer = frozenset({"join", "filter", "group", "count"})
    tighter = replace(made.BUNDLE, grants=(replace(grant, operations=fewer), own))
    found = diff(tighter, made.BUNDLE, made.CATALOG, made.NOW)
    english, chinese = found.loosens[1].sentence
    assert english == (
        "analyst (drc), statistics: tax.payer.paid: sum, average or variance, sum of unit totals: "
        "needs a grant -> permitted: in plain, from 10 units (tax) until 2026-05-30 08:00Z, then needs a grant"
    )  # fmt: skip
    assert chinese.startswith(
        "分析员（drc），statistics：tax.payer.paid：求和、平均或方差、逐单位合计再求和：须经授权 -> 允许"
    )
    assert found.summary == (
        "loosens 3 cells and 0 settings, tightens 0 cells and 0 settings",
        "放宽 3 个单元、0 项设置，收紧 0 个单元、0 项设置",
    )
    assert (found.owners, len(found.other)) == ({"tax"}, 1)
