"""What there is to ask, of whom, and what is made of it over time."""

from dataclasses import replace
from datetime import timedelta

import policy_mutations as made
import pytest

from middleplatform.authorization.contexts import judge_use
from middleplatform.governance.cells import Cell, Kind, axes, verdicts
from middleplatform.governance.diff import diff
from middleplatform.governance.questions import ASKED
from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.model.policy import ColumnRule
from middleplatform.model.query import Clause, ColumnUse, Context
from middleplatform.model.request import Role

SUM = "sum, average or variance"
GRANT, OWN = made.BUNDLE.grants


def cell(dataset="tax.payer", column="paid", use=SUM, **who):
    values = {"role": Role.ANALYST, "department": "drc", "subject": "", "purpose": "statistics"}
    return Cell(**{**values, **who}, dataset=dataset, column=column, use=use)


def verdict(asked, bundle=made.BUNDLE):
    return verdicts(bundle, made.CATALOG, made.NOW)[asked]


def with_grants(*grants):
    return replace(made.BUNDLE, grants=grants)


def test_every_other_context_is_refused_whatever_the_rule_says():
    """So the questions leave nothing out that a bundle could permit."""
    dataset = made.BUNDLE.datasets["ga.person"]
    contexts = set(Context) - ASKED - {Context.SMALL_CELLS, Context.PASS}
    for used in Use:
        rule = ColumnRule(Level.GENERAL_1, Sharing.UNCONDITIONAL, "", frozenset({used}), bucket="month", finest="month")  # fmt: skip
        for context in contexts:
            for per_unit in (False, True):
                use = ColumnUse("ga.person", "id", context, Clause.SELECT, per_unit=per_unit)
                assert judge_use(use, rule, dataset) is not None, (used, context)


def test_cells_are_roles_by_departments_by_purposes_by_questions():
    found = verdicts(made.BUNDLE, made.CATALOG, made.NOW)
    listed = [*found]
    assert len(listed) == len(set(listed)) == len(found)
    assert {(each.role, each.department) for each in listed} == {(role, department) for role in Role for department in ("drc", "ga")}  # fmt: skip
    assert {each.subject for each in listed} == {""}
    with pytest.raises(KeyError):
        found[cell(department="elsewhere")]
    with pytest.raises(KeyError):
        found[cell(use="smell")]


def test_who_is_named_is_told_apart_in_the_departments_of_the_grant():
    named = replace(GRANT, subjects=frozenset({"li"}))
    people = [(each.department, each.subject) for each in axes([with_grants(named)], made.CATALOG).persons if each.role is Role.ANALYST]  # fmt: skip
    assert people == [("drc", ""), ("drc", "li"), ("ga", "")]
    anywhere = axes([with_grants(replace(named, departments=frozenset()))], made.CATALOG).persons
    assert {each.department for each in anywhere if each.subject == "li"} == {"drc", "ga"}
    bundle = with_grants(named)
    assert verdict(cell(subject="li"), bundle).kind is Kind.PERMITTED
    assert verdict(cell(), bundle).kind is Kind.NEEDS_GRANT
    found = diff(bundle, with_grants(GRANT), made.CATALOG, made.NOW)
    assert {each.subject for change in found.loosens for each in change.persons} == {""}


def test_a_department_of_no_catalogue_is_asked_for_where_a_grant_names_it():
    bundle = with_grants(replace(GRANT, departments=frozenset({"guest"})))
    assert verdict(cell(department="guest"), bundle).kind is Kind.PERMITTED


def test_a_verdict_ends_with_its_grant_and_one_to_come_is_foreseen():
    end, middle = GRANT.ends, made.NOW + timedelta(days=9)
    now = verdict(cell())
    assert [(each.kind, each.until) for each in now.steps()] == [(Kind.PERMITTED, end), (Kind.NEEDS_GRANT, None)]  # fmt: skip
    later = with_grants(replace(GRANT, starts=middle))
    assert [(each.kind, each.until) for each in verdict(cell(), later).steps()] == [(Kind.NEEDS_GRANT, middle), (Kind.PERMITTED, end), (Kind.NEEDS_GRANT, None)]  # fmt: skip
    split = with_grants(replace(GRANT, ends=middle), replace(GRANT, id="G-2", starts=middle))
    assert verdict(cell(), split) == now


def test_grants_that_are_over_or_without_zone_or_basis_change_no_verdict():
    over = replace(GRANT, id="old", ends=made.NOW)
    naive = replace(GRANT, id="naive", starts=GRANT.starts.replace(tzinfo=None))
    idle = replace(GRANT, id="idle", basis=" ")
    found = diff(with_grants(), with_grants(over, naive, idle), made.CATALOG, made.NOW)
    assert (found.loosens, found.tightens, len(found.other)) == ((), (), 3)


def test_small_cells_of_own_data_are_seen_inside_by_its_stewards_and_by_analysts_who_are_that_too():
    mine = {"department": "ga", "purpose": "data_quality", "dataset": "ga.person", "column": "*", "use": "count rows"}  # fmt: skip
    steward = verdict(cell(role=Role.DEPARTMENT_STEWARD, **mine))
    assert (steward.min_units, steward.min_units_inside) == (10, 1)
    other = verdict(cell(role=Role.DEPARTMENT_STEWARD, **{**mine, "department": "drc"}))
    assert (other.min_units, other.min_units_inside) == (10, 10)
    statistics = with_grants(replace(OWN, purposes=frozenset({"statistics"})))
    analyst = verdict(cell(**{**mine, "purpose": "statistics"}), statistics)
    assert (analyst.min_units, analyst.min_units_inside) == (10, 1)
    plain = replace(OWN, own_data=False)
    found = diff(with_grants(GRANT, plain), made.BUNDLE, made.CATALOG, made.NOW)
    assert found.loosens
    assert found.owners == {"ga"}
    assert {(each.role, each.department) for change in found.loosens for each in change.persons} == {(Role.DEPARTMENT_STEWARD, "ga")}  # fmt: skip
    assert "from 1 inside the department" in found.loosens[0].sentence[0]


def test_rewrites_regions_release_and_threshold_are_of_the_verdict():
    here = {"dataset": "ga.person", "use": "group"}
    assert verdict(cell(column="birth_year", **here)).rewrites[0] == ("band", ("birth_year", "5"))
    assert verdict(cell(column="born", **here)).rewrites[0] == ("bucket", ("born", "month"))
    assert ("withhold", ("diagnosis", "F10-F69")) in verdict(cell(column="region", **here)).rewrites
    assert verdict(cell()).release == ("plain",)
    county = with_grants(replace(GRANT, regions=("990101",), columns=frozenset({"ga.person.*"})))
    asked = made.made.with_column(county, "ga.person", "born", sharing=Sharing.CONDITIONAL, min_units=30)  # fmt: skip
    found = verdict(cell(column="born", **here), asked)
    assert (found.regions, found.min_units, found.imposed_by) == (("990101",), 30, "ga")
    assert verdict(cell(), with_grants(replace(GRANT, regions=("990101",)))).rule == "G3"


def test_a_grant_of_fewer_regions_or_columns_tightens_for_those_whom_it_binds():
    for fewer in (replace(GRANT, regions=("990101",)), replace(GRANT, columns=frozenset({"tax.payer.id"}))):  # fmt: skip
        found = diff(made.BUNDLE, with_grants(fewer, OWN), made.CATALOG, made.NOW)
        who = {(each.role, each.department) for change in found.tightens for each in change.persons}
        assert (who, found.loosens) == ({(Role.ANALYST, "drc")}, ())
