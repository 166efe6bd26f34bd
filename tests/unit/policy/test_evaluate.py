"""Evaluation is total, and what it does not know it denies."""

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import policies
from middleplatform import catalog as catalogs
from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.model.policy import Withheld
from middleplatform.model.request import Role, Subject
from middleplatform.policy import evaluate, load, regions

DRC = Subject("ann", "drc", frozenset({Role.ANALYST}))
STEWARD = Subject("gao", "ga", frozenset({Role.DEPARTMENT_STEWARD}))
NOW = datetime(2026, 3, 1, tzinfo=UTC)

CATALOG = catalogs.load(policies.root() / "examples" / "demo" / "catalog")
DEMO = load(policies.root() / "examples" / "demo", CATALOG)
KNOWN = {(name, key) for name, rule in DEMO.datasets.items() for key in rule.columns}

words = st.one_of(
    st.text(), st.sampled_from(["ga.population", "sex", "statistics", "*", "990101", "F10"])
)
moments = st.one_of(st.datetimes(), st.datetimes(timezones=st.timezones()))
subjects = st.builds(
    Subject,
    id=words,
    department=st.one_of(words, st.sampled_from(["drc", "ga"])),
    roles=st.frozensets(st.sampled_from(Role)),
    regions=st.lists(words, max_size=3).map(tuple),
)


@given(dataset=words, column=words, code=words)
def test_unknown_column_is_denied_whatever_its_name(dataset, column, code):
    rule = evaluate.column_rule(DEMO, dataset, column)
    if (dataset, column) not in KNOWN:
        assert evaluate.denied(rule)
        assert evaluate.needs_grant(rule)
        assert evaluate.min_units(DEMO, [(dataset, column or "?")]) == evaluate.NEVER
    if dataset not in DEMO.datasets:
        assert evaluate.dataset_rule(DEMO, dataset) is None
        assert evaluate.min_units(DEMO, [], [dataset]) == evaluate.NEVER
        assert evaluate.disclosure(DEMO, [], [dataset]).min_units == evaluate.NEVER
    evaluate.withheld(rule, code)


@given(
    subject=subjects,
    purpose=words,
    dataset=words,
    column=words,
    operation=words,
    region=st.none() | words,
    now=moments,
)
def test_nothing_raises_and_nobody_unknown_is_permitted(
    subject, purpose, dataset, column, operation, region, now
):
    grants = evaluate.active_grants(DEMO, subject, purpose, now)
    assert all(
        subject.department in grant.departments and purpose in grant.purposes for grant in grants
    )
    if now.utcoffset() is None:
        assert grants == ()
    found = evaluate.covers(DEMO.grants, dataset, column, operation, region)
    if operation not in evaluate.OPERATIONS:
        assert found is None
    if evaluate.purpose(DEMO, purpose) is None:
        assert not evaluate.purpose_permits(DEMO, subject, purpose, dataset)
    if Role.DEPARTMENT_STEWARD not in subject.roles:
        assert evaluate.own_data(DEMO, subject, DEMO.grants, [dataset]) is None
    for scope in evaluate.region_scope(subject, grants):
        assert any(regions.covers(each, scope) for each in subject.regions)


@given(outer=words, inner=words)
def test_region_containment_is_total(outer, inner):
    if regions.covers(outer, inner) and outer != "*":
        assert len(outer) == len(inner) == 6


@pytest.mark.parametrize(
    ("outer", "inner", "holds"),
    [
        ("990100", "990101", True),
        ("990000", "990101", True),
        ("990101", "990101", True),
        ("990101", "990100", False),
        ("990101", "990102", False),
        ("*", "990101", True),
        ("*", "*", True),
        ("990100", "*", False),
        ("99", "990101", False),
        ("", "990101", False),
        ("000000", "990101", False),
        ("99010a", "990101", False),
    ],
)
def test_region_code_covers_what_lies_below(outer, inner, holds):
    assert regions.covers(outer, inner) is holds


def test_region_scope_is_the_narrower_of_person_and_grants(bundle):
    whole, county = (
        Subject("a", "drc", frozenset(), ("*",)),
        Subject("b", "drc", frozenset(), ("990101",)),
    )
    grant = bundle.grants[0]
    assert evaluate.region_scope(whole) == ("*",)
    assert evaluate.region_scope(whole, [grant]) == ("990101", "990102")
    assert evaluate.region_scope(county, [grant]) == ("990101",)
    assert evaluate.region_scope(Subject("c", "drc", frozenset(), ("990103",)), [grant]) == ()
    assert evaluate.region_scope(Subject("d", "drc", frozenset(), ()), []) == ()
    assert regions.intersect(("990100", "990101"), ("*",)) == ("990100",)


def test_grant_holds_from_its_start_until_just_before_its_end(bundle):
    grant = bundle.grants[0]

    def active(now):
        return [g.id for g in evaluate.active_grants(bundle, DRC, "statistics", now)]

    assert active(grant.starts) == ["G1"]
    assert active(grant.ends) == []
    assert active(grant.starts.replace(year=2025)) == []
    assert active(NOW.replace(tzinfo=None)) == []


def test_grant_binds_named_departments_and_logins_only(bundle):
    def count(grant, subject, purpose="statistics"):
        changed = dataclasses.replace(bundle, grants=(grant,))
        return len(evaluate.active_grants(changed, subject, purpose, NOW))

    grant = bundle.grants[0]
    assert count(grant, DRC) == 1
    assert count(grant, STEWARD) == 0
    assert count(grant, DRC, "data_quality") == 0
    assert count(dataclasses.replace(grant, subjects=frozenset({"bob"})), DRC) == 0
    assert count(dataclasses.replace(grant, subjects=frozenset({"ann"})), DRC) == 1
    moved = dataclasses.replace(DRC, department="stats")
    assert count(dataclasses.replace(grant, subjects=frozenset({"ann"})), moved) == 0
    assert (
        count(dataclasses.replace(grant, departments=frozenset(), subjects=frozenset()), DRC) == 0
    )
    assert count(dataclasses.replace(grant, basis=" "), DRC) == 0


def test_covers_asks_for_column_operation_and_region(bundle):
    one, own = bundle.grants
    data, column = "ga.population", "education_years"
    assert evaluate.covers([one], data, column, "aggregate", "990101") is one
    assert evaluate.covers([one], data, column, "group") is None
    assert evaluate.covers([one], data, "sex", "aggregate") is None
    assert evaluate.covers([one], data, column, "aggregate", "990103") is None
    assert evaluate.covers([one], data, column, "aggregate", "*") is None
    assert evaluate.covers([one, own], data, "sex", "count", "990103") is own
    assert evaluate.covers([own], "ga.population2", "sex", "count") is None
    assert evaluate.covers([], data, column, "aggregate") is None


def test_highest_threshold_wins_and_names_who_imposed_it(bundle):
    columns = [
        ("amr.enterprise", "uscc"),
        ("ga.population", "education_years"),
        ("ga.population", "sex"),
    ]
    found = evaluate.threshold(bundle, columns)
    assert (found.units, found.dataset, found.column, found.owner) == (
        30,
        "ga.population",
        "education_years",
        "ga",
    )
    assert evaluate.min_units(bundle, [("amr.enterprise", "uscc")]) == 1
    assert evaluate.min_units(bundle, [("amr.enterprise", "uscc")], ["ga.population"]) == 12
    assert evaluate.min_units(bundle, []) == 10
    assert evaluate.min_units(bundle, [*columns, ("ga.population", "no_such")]) == evaluate.NEVER


def test_strictest_disclosure_parameters_win(bundle):
    merged = evaluate.disclosure(bundle, [("amr.enterprise", "uscc"), ("ga.population", "sex")])
    assert merged.min_units == 12
    assert merged.dominance == ((1, 50), (2, 67))
    assert merged.p_percent == 10
    assert merged.history
    public = evaluate.disclosure(bundle, [("amr.enterprise", "uscc")])
    assert (public.min_units, public.dominance, public.history) == (1, (), False)


@pytest.mark.parametrize(
    "change",
    [
        {"sharing": Sharing.NOT_SHARED},
        {"uses": frozenset({Use.DENIED, Use.MEASURE})},
        {"uses": frozenset()},
        {"level": Level.IMPORTANT},
        {"level": Level.CORE},
    ],
)
def test_column_stands_nowhere(bundle, change):
    rule = evaluate.column_rule(bundle, "ga.population", "sex")
    assert not evaluate.denied(rule)
    assert evaluate.denied(dataclasses.replace(rule, **change))


@pytest.mark.parametrize(
    ("code", "hidden"),
    [
        ("F10", True), ("F69", True), ("F69.9", True), ("f32.1", True), (" F32 ", True), ("F3", True), ("F", True),
        ("", True), ("F10-F19", True), ("F00-F19", True), ("A00-Z99", True), ("F69-F10", True), ("F80-A00", True),
        ("F09", False), ("F09.9", False), ("F70", False), ("F7", False), ("G10", False), ("F00-F09", False), ("F70-F79", False),
    ],
)  # fmt: skip
def test_withheld_code_is_found_in_any_disguise(bundle, code, hidden):
    rule = evaluate.column_rule(bundle, "ga.population", "sex")
    rule = dataclasses.replace(rule, withheld=(Withheld("F10", "F69", "精神卫生法第四条"),))
    assert (evaluate.withheld(rule, code) is not None) is hidden


def test_purpose_must_fit_role_and_dataset(bundle):
    assert evaluate.purpose_permits(bundle, DRC, "statistics", "ga.population")
    assert not evaluate.purpose_permits(bundle, STEWARD, "statistics", "ga.population")
    assert not evaluate.purpose_permits(bundle, STEWARD, "data_quality", "amr.enterprise")
    assert not evaluate.purpose_permits(bundle, DRC, "statistics", "tax.individual_income")


def test_only_the_owners_steward_sees_small_cells_of_own_data(bundle):
    own = bundle.grants[1]
    assert evaluate.own_data(bundle, STEWARD, [own], ["ga.population"]) is own
    assert (
        evaluate.own_data(
            bundle,
            dataclasses.replace(STEWARD, roles=frozenset({Role.ANALYST})),
            [own],
            ["ga.population"],
        )
        is None
    )
    assert (
        evaluate.own_data(
            bundle, dataclasses.replace(STEWARD, department="tax"), [own], ["ga.population"]
        )
        is None
    )
    assert evaluate.own_data(bundle, STEWARD, [own], ["ga.population", "amr.enterprise"]) is None
    assert evaluate.own_data(bundle, STEWARD, [own], []) is None
    assert (
        evaluate.own_data(
            bundle, STEWARD, [dataclasses.replace(own, own_data=False)], ["ga.population"]
        )
        is None
    )


def test_own_data_needs_every_dataset_to_be_own_and_named(bundle):
    own = bundle.grants[1]
    population = bundle.datasets["ga.population"]
    wider = dataclasses.replace(bundle, datasets={**bundle.datasets, "ga.other": population})
    both = ["ga.population", "ga.other"]
    assert evaluate.own_data(wider, STEWARD, [own], both) is None
    named = dataclasses.replace(own, columns=own.columns | {"ga.other.*", "amr.enterprise.*"})
    assert evaluate.own_data(wider, STEWARD, [named], both) is named
    assert evaluate.own_data(wider, STEWARD, [named], ["ga.population", "amr.enterprise"]) is None
    assert evaluate.own_data(wider, STEWARD, [named], ["ga.population", "ga.unknown"]) is None
