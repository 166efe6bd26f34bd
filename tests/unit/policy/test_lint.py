"""Lint finds what is lawful YAML and still wrong."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from middleplatform.model.catalog import Level
from middleplatform.policy import lint, load

BUNDLE = (Path(__file__).parent / "small_bundle.yaml").read_text(encoding="utf-8")

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def codes(write, catalog, text, now=NOW):
    found = lint.check(load(write(text), catalog), catalog, now)
    return {(each.code, each.where, str(each.severity)) for each in found}


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (
            "sex: {}",
            "sex: {sharing: not_shared}",
            ("not-shared-without-law", "ga.population.sex", "error"),
        ),
        (
            "household_id: {}",
            "household_id: {sharing: not_shared}",
            ("not-shared-without-law", "ga.population.household_id", "error"),
        ),
        (
            "sex: {}",
            "sex: {sharing: conditional}",
            ("condition-without-basis", "ga.population.sex", "error"),
        ),
        (
            "sex: {}",
            "sex: {use: [dimension, denied]}",
            ("contradictory-classes", "ga.population.sex", "error"),
        ),
        (
            "sex: {}",
            "sex: {use: [dimension, sensitive_dimension]}",
            ("contradictory-classes", "ga.population.sex", "error"),
        ),
        (
            "sex: {}",
            "sex: {finest: month}",
            ("contradictory-classes", "ga.population.sex", "error"),
        ),
        ("sex: {}", "sex: {generalise: 5}", ("band-without-integer", "ga.population.sex", "error")),
        (
            "sex: {}",
            "sex: {breakpoints: [1]}",
            ("breakpoints-without-measure", "ga.population.sex", "error"),
        ),
        (
            "id_number: {}",
            "id_number: {breakpoints: [1]}",
            ("breakpoints-without-measure", "ga.population.id_number", "error"),
        ),
        (
            "sex: {}",
            "sex: {withheld: [{first: F9, last: F1, law: x}]}",
            ("withheld-range-empty", "ga.population.sex", "error"),
        ),
        (
            "id_number: {}",
            "id_number: {withheld: [{first: A, last: B, law: x}]}",
            ("contradictory-classes", "ga.population.id_number", "error"),
        ),
        (
            "sex: {}",
            "sex: {level: general-4}",
            ("level-4-threshold", "ga.population.sex", "warning"),
        ),
        ("      sex: {}\n", "", ("unclassified", "ga.population.sex", "warning")),
        ("min_units: 12", "min_units: 9", ("threshold-too-low", "ga.population", "error")),
        (
            "{min_units: 12, method: exact}",
            "{history: false}",
            ("history-off", "ga.population", "error"),
        ),
        (
            "{min_units: 12, method: exact}",
            "{dominance: [], p_percent: 0}",
            ("dominance-off", "ga.population", "warning"),
        ),
        ("    basis: 统计法\n", "", ("grant-without-basis", "G1", "error")),
        ("ends: 2026-07-01T00:00:00+08:00", "ends: 2026-02-01", ("grant-expired", "G1", "warning")),
        (
            "[ga.population.education_years]",
            "[ga.population.nothing]",
            ("grant-unknown-column", "G1", "error"),
        ),
        (
            "[ga.population.education_years]",
            "[ga.nothing.*]",
            ("grant-unknown-column", "G1", "error"),
        ),
        (
            "[ga.population.education_years]",
            "[ga.population.name]",
            ("grant-without-effect", "G1", "warning"),
        ),
        (
            "[ga.population.education_years]",
            "[amr.enterprise.uscc]",
            ("region-limit-on-public-data", "G1", "warning"),
        ),
        (
            "departments: [drc]",
            "departments: [nowhere]",
            ("grant-unknown-department", "G1", "error"),
        ),
    ],
)
def test_finding(write, catalog, old, new, finding):
    assert old in BUNDLE
    before = codes(write, catalog, BUNDLE)
    assert finding not in before
    assert finding in codes(write, catalog, BUNDLE.replace(old, new, 1))


def test_numeric_dimension_may_have_breakpoints(write, catalog):
    text = BUNDLE.replace("birth_year: {generalise: 5}", "birth_year: {breakpoints: [1960]}")
    assert not [
        code for code, _, _ in codes(write, catalog, text) if code == "breakpoints-without-measure"
    ]


def test_catalogue_tightened_afterwards_makes_the_bundle_looser(bundle, catalog):
    dataset = catalog.datasets["ga.population"]
    column = dataclasses.replace(dataset.columns["sex"], level=Level.GENERAL_4)
    dataset = dataclasses.replace(dataset, columns={**dataset.columns, "sex": column})
    tightened = dataclasses.replace(
        catalog, datasets={**catalog.datasets, "ga.population": dataset}
    )
    before = lint.check(bundle, catalog, NOW)
    after = lint.check(bundle, tightened, NOW)
    assert "looser-than-catalogue" not in {each.code for each in before}
    assert {each.where for each in after if each.code == "looser-than-catalogue"} == {
        "ga.population.sex"
    }


def test_errors_come_first(write, catalog):
    text = BUNDLE.replace("    basis: 统计法\n", "")
    found = lint.check(load(write(text), catalog), catalog, NOW)
    assert found[0].severity is lint.Severity.ERROR
    assert found[-1].severity is lint.Severity.WARNING
