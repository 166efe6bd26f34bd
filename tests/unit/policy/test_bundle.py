"""A bundle loads into effective rules, tightens only, and says everything that is wrong with it."""

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from made_templates import TEMPLATE

from middleplatform.errors import ConfigError
from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.policy import canonical_form, load

BUNDLE = (Path(__file__).parent / "small_bundle.yaml").read_text(encoding="utf-8")


def refused(write, catalog, text):
    with pytest.raises(ConfigError) as caught:
        load(write(text), catalog)
    assert caught.value.code == "C001"
    assert caught.value.message("zh") != caught.value.message("en")
    return caught.value.message("en")


def test_omitted_classes_are_the_catalogues(bundle, catalog):
    rule = bundle.datasets["ga.population"].columns["id_number"]
    column = catalog.datasets["ga.population"].columns["id_number"]
    assert (rule.level, rule.sharing, rule.uses, rule.unit) == (
        column.level,
        column.sharing,
        column.uses,
        "person",
    )


def test_written_values_arrive_exact_and_sorted(bundle):
    population = bundle.datasets["ga.population"]
    assert population.columns["education_years"].breakpoints == (Decimal("6.5"), Decimal(12))
    assert population.unit_breakpoints == (1, 5)
    assert population.columns["birth_year"].generalise == 5
    assert population.disclosure.min_units == 12
    assert population.disclosure.dominance == ((1, 50), (2, 67))
    assert bundle.datasets["amr.enterprise"].disclosure.dominance == ()
    assert bundle.limits.joins_max == 4
    grant = bundle.grants[0]
    assert grant.regions == ("990101", "990102")
    assert grant.ends == datetime(2026, 6, 30, 16, tzinfo=UTC)


def test_a_bundle_that_says_nothing_of_it_perturbs(write, catalog, bundle):
    assert bundle.datasets["ga.population"].disclosure.method == "exact"
    silent = load(write(BUNDLE.replace(", method: exact", "")), catalog)
    assert {rule.disclosure.method for rule in silent.datasets.values()} == {"perturb"}


def test_what_private_joins_are_bound_by_is_kept(write, catalog, bundle):
    before = bundle.datasets["ga.population"]
    assert (before.join, before.columns["education_years"].cap) == ("helper", None)
    assert bundle.limits.join_rows_max == 20_000_000
    text = BUNDLE.replace("    unit_breakpoints: [5, 1]", "    join: blinded")
    text = text.replace("min_units: 30,", "min_units: 30, cap: 22.5,").replace(
        "household_id: {}", "household_id: {cap: 9}"
    )
    text = text.replace("joins_max: 4", "join_rows_max: 1000")
    found = load(write(text), catalog)
    rule = found.datasets["ga.population"]
    assert (rule.join, rule.columns["education_years"].cap) == ("blinded", Decimal("22.5"))
    assert rule.columns["household_id"].cap == 9
    assert found.limits.join_rows_max == 1000
    assert found.digest != bundle.digest


def test_stricter_of_two_wins(write, catalog):
    text = BUNDLE.replace(
        "sex: {}",
        "sex: {level: general-4, sharing: conditional, basis: 统计法, use: sensitive_dimension}",
    )
    rule = load(write(text), catalog).datasets["ga.population"].columns["sex"]
    assert rule.level is Level.GENERAL_4
    assert rule.sharing is Sharing.CONDITIONAL
    assert rule.law == "统计法"
    assert rule.uses == {Use.SENSITIVE_DIMENSION}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("id_number: {}", "id_number: {level: general-1}", "a lower level"),
        ("household_id: {}", "household_id: {sharing: unconditional}", "a freer sharing type"),
        (
            "key_person_flag: {}",
            "key_person_flag: {sharing: conditional, basis: x}",
            "a freer sharing type",
        ),
        ("name: {}", "name: {use: dimension}", "a use that it does not allow"),
        ("sex: {}", "sex: {use: [dimension, measure]}", "a use that it does not allow"),
        ("id_number: {}", "id_number: {unit: household}", "the catalogue's unit is person"),
        (
            "disclosure: {min_units: 12, method: exact}",
            "disclosure: {min_units: 1}",
            "min_units 1 needs every column",
        ),
        (
            "    unit_breakpoints: [5, 1]",
            "    disclosure: {min_units: 1}",
            "min_units 1 needs every column",
        ),
        (
            "purposes: [statistics]\n    disclosure",
            "owner: ga\n    purposes: [statistics]\n    disclosure",
            "owner is amr",
        ),
    ],
)
def test_loosening_is_refused(write, catalog, old, new, said):
    assert old in BUNDLE
    text = refused(write, catalog, BUNDLE.replace(old, new, 1))
    assert said in text
    assert "bundle.yaml:" in text


def test_min_units_1_needs_general_1_in_columns_that_the_policy_raises(write, catalog):
    text = BUNDLE.replace("industry_section: {}}", "industry_section: {level: general-2}}")
    assert "min_units 1 needs every column" in refused(write, catalog, text)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("      sex: {}", "      sexx: {}", "the column is not in the catalogue"),
        ("  amr.enterprise:", "  amr.nothing:", "the dataset is not in the catalogue"),
        ("purposes: [statistics, data_quality]", "purposes: [fun]", "purpose fun is unknown"),
        ("effective: 2026-01-01", "effective: 2026-13-01", "ISO date"),
        ("name: small\n", "", "field name is missing"),
        ("generalise: 5", "generalise: 1", "does not fit"),
        ("generalise: 5", "generalise: day", "must be one of: month"),
        ("min_units: 12", "min_units: 0", "at least 1"),
        ("min_units: 12", "min_units: 12.5", "must be: integer"),
        ("min_units: 12", "min_unit: 12", "unknown field min_unit"),
        ("dominance: []", "dominance: [[2]]", "a pair [n, percent]"),
        ("ends: 2027-01-01", "ends: 2025-01-01", "ends before it starts"),
        ("ends: 2027-01-01", "ends: 2027-02-30", "no day or hour that exists"),
        ("ends: 2027-01-01", "ends: 2027-01-01T00:00:00", "with its offset"),
        ("id: OWN", "id: G1", "the number is used twice"),
        ("    departments: [ga]\n", "", "binds nobody"),
        ("departments: [ga]", "departments: [drc]", "belongs to another department"),
        ("departments: [ga]", "departments: [ga, drc]", "belongs to another department"),
        ("operations: [aggregate]", "operations: [export]", "must be one of: join"),
        ("limits: {joins_max: 4}", "limits: {joins_max: 4}\nextra: 1", "unknown field extra"),
        (
            "limits: {joins_max: 4}",
            "limits: {joins_max: 4}\nextends: other",
            "must be one of: baseline",
        ),
        ("      sex: {}", "      sex: {}\n      sex: {}", "the key sex is given twice"),
        ("      sex: {}", "      sex: {law: &a x}", "anchors and aliases are not taken"),
        ("      sex: {}", "      sex: [}", "not valid YAML"),
        ("      sex: {}", "      sex: {cap: 5}", "only a measure or a key has a cap"),
        ("      household_id: {}", "      household_id: {cap: 0}", "A number above 0"),
        ("    unit_breakpoints: [5, 1]", "    join: free", "must be one of: helper"),
        ("limits: {joins_max: 4}", "limits: {join_rows_max: 0}", "at least 1"),
    ],
)
def test_what_is_wrong_is_named(write, catalog, old, new, said):
    assert old in BUNDLE
    assert said in refused(write, catalog, BUNDLE.replace(old, new, 1))


def test_every_problem_is_reported_at_once(write, catalog):
    text = BUNDLE.replace("      sex: {}", "      sexx: {}").replace("id: OWN", "id: G1")
    text = refused(write, catalog, text.replace("id_number: {}", "id_number: {level: general-1}"))
    for part in ("not in the catalogue", "used twice", "a lower level"):
        assert part in text


def test_digest_ignores_layout_and_split_but_sees_every_rule(write, catalog, bundle, tmp_path):
    whole = yaml.safe_load(
        BUNDLE.replace("2026-07-01T00:00:00+08:00", '"2026-07-01T00:00:00+08:00"')
        .replace(": 2026-01-01", ': "2026-01-01"')
        .replace(": 2027-01-01", ': "2027-01-01"')
    )
    folder = tmp_path / "split"
    folder.mkdir()
    for key, value in whole.items():
        kept = {key: value}
        (folder / f"{key}.yaml").write_text(
            yaml.safe_dump(kept, allow_unicode=True), encoding="utf-8"
        )
    assert load(folder, catalog).digest == bundle.digest
    changed = load(write(BUNDLE.replace("min_units: 30", "min_units: 31")), catalog)
    assert changed.digest != bundle.digest
    assert len(bundle.digest) == 64


def test_digest_covers_every_field_of_the_bundle(bundle):
    form = canonical_form(bundle)
    names = {field.name for field in dataclasses.fields(bundle)} - {"digest", "raw"}
    assert set(form) == names - {"templates"}, "there are none"
    with_one = dataclasses.replace(bundle, templates={TEMPLATE.name: TEMPLATE})
    assert set(canonical_form(with_one)) == names


def test_single_file_is_a_bundle(write, catalog, bundle):
    assert load(write(BUNDLE) / "bundle.yaml", catalog).digest == bundle.digest


def test_same_thing_in_two_files_is_refused(write, catalog):
    write("purposes:\n  statistics: {name_zh: 甲, name_en: a, roles: [analyst]}\n", "more.yaml")
    assert "this stands in another file too" in refused(write, catalog, BUNDLE)


def test_tests_and_personas_beside_a_bundle_are_no_part_of_it(write, catalog, bundle):
    write("anything: goes", "columns_test.yaml")
    write("anything: goes", "personas.yaml")
    assert load(write(BUNDLE), catalog).digest == bundle.digest


def test_extends_takes_limits_and_purposes_of_the_baseline(write, catalog):
    text = (
        "name: a\nversion: '1'\neffective: 2026-01-01\nextends: baseline\nlimits: {joins_max: 2}\n"
    )
    loaded = load(write(text), catalog)
    assert loaded.limits.joins_max == 2
    assert loaded.limits.group_columns_max == 3
    assert "data_quality" in loaded.purposes
    assert loaded.datasets == {}


def test_missing_folder_and_empty_folder_are_one_clear_message(tmp_path, catalog):
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ConfigError, match="no policy file is there"):
            load(folder, catalog)
