"""What is shipped: schemas, baseline, regulation and the worked examples."""

from datetime import UTC, datetime

import pytest
from jsonschema import Draft202012Validator

import policies
from middleplatform import catalog as catalogs
from middleplatform.errors import ConfigError
from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.policy import evaluate, explain, lint, load, regulation, suite
from policies import schemas

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EXAMPLES = policies.root() / "examples"


@pytest.fixture(scope="module")
def demo(catalog):
    return load(EXAMPLES / "demo", catalog)


@pytest.fixture(scope="module")
def cases():
    return load(EXAMPLES / "cases", catalogs.load(EXAMPLES / "cases" / "catalog"))


@pytest.mark.parametrize("name", ["catalog", "bundle", "suite", "regulation"])
def test_schema_is_draft_2020_12_and_describes_every_field(name):
    schema = schemas.schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)

    def undescribed(node, path):
        if isinstance(node, dict):
            for key, field in node.get("properties", {}).items():
                if path[-1:] == ("if",):
                    continue
                target = field
                if "$ref" in field and "description" not in field:
                    target = schema["$defs"][field["$ref"].rpartition("/")[2]]
                if "description" not in target:
                    yield (*path, key)
            for key, child in node.items():
                yield from undescribed(child, (*path, key))
        elif isinstance(node, list):
            for child in node:
                yield from undescribed(child, path)

    assert list(undescribed(schema, ())) == []


def test_baseline_denies_every_column_of_the_catalogue(catalog):
    baseline = load(policies.root() / "baseline", catalog)
    assert baseline.datasets == {}
    assert baseline.grants == ()
    for name, dataset in catalog.datasets.items():
        for column in dataset.columns:
            assert evaluate.denied(evaluate.column_rule(baseline, name, column))


def test_demo_has_no_error_and_only_the_meant_warnings(demo, catalog):
    found = [(each.code, each.where) for each in lint.check(demo, catalog, NOW)]
    assert found == [("grant-expired", "共享批〔2025〕009号")]


def test_demo_classifies_every_column(demo, catalog):
    for name, dataset in catalog.datasets.items():
        assert set(demo.datasets[name].columns) == set(dataset.columns)


def test_demo_level_4_columns_need_twenty_units(demo):
    for rule in demo.datasets.values():
        for column in rule.columns.values():
            if column.level is Level.GENERAL_4 and not evaluate.denied(column):
                assert column.min_units >= 20


def test_demo_withholds_the_diagnoses_that_law_protects(demo):
    rule = evaluate.column_rule(demo, "health.encounter_year", "icd10")
    assert rule.uses == {Use.SENSITIVE_DIMENSION}
    assert [evaluate.withheld(rule, code) is None for code in ("F09", "F10", "F69", "B19", "B20", "B24", "I10")] == [
        True, False, False, True, False, False, True,
    ]  # fmt: skip


def test_demo_key_person_flag_is_not_shared_and_cites_a_law(demo):
    rule = evaluate.column_rule(demo, "ga.population", "key_person_flag")
    assert evaluate.denied(rule)
    assert rule.sharing is Sharing.NOT_SHARED
    assert "法" in rule.law or "条例" in rule.law


def test_demo_suite_covers_every_question_and_every_refusal():
    (small,) = suite.load(EXAMPLES / "demo")
    ids = {case.id for case in small.cases}
    for number in range(1, 13):
        assert f"Q{number:02}" in ids
    for number in range(1, 21):
        assert any(name.partition("-")[0] == f"R{number:02}" for name in ids)
    assert {case.rule for case in small.cases} - {""} <= set(explain.RULES)


def test_demo_personas_belong_to_registered_departments(catalog):
    people = suite.personas(EXAMPLES / "demo" / "personas.yaml")
    assert {person.department for person in people.values()} <= set(catalog.departments)


def test_demo_grants_cover_what_the_questions_use(demo):
    person = suite.personas(EXAMPLES / "demo" / "personas.yaml")["analyst_drc"]
    grants = evaluate.active_grants(demo, person, "statistics", NOW)
    for name, column, operation in (
        ("health.encounter_year", "medical_cost", "aggregate"),
        ("ss.insurance", "copay_pct", "group"),
        ("tax.individual_income", "income_total", "filter"),
        ("ga.population", "household_id", "count"),
        ("ss.insurance", "employer_uscc", "join"),
    ):
        assert evaluate.covers(grants, name, column, operation) is not None
    assert evaluate.covers(grants, "ss.insurance", "contribution_base", "aggregate") is None
    planning = evaluate.active_grants(demo, person, "planning", NOW)
    assert evaluate.covers(planning, "ss.insurance", "contribution_base", "aggregate") is None


def test_demo_steward_sees_own_small_cells_and_an_analyst_does_not(demo):
    people = suite.personas(EXAMPLES / "demo" / "personas.yaml")
    own = {
        name: evaluate.own_data(
            demo,
            person,
            evaluate.active_grants(demo, person, "data_quality", NOW),
            ["ga.population"],
        )
        for name, person in people.items()
    }
    assert [name for name, grant in own.items() if grant] == ["steward_ga"]


def test_cases_bundle_says_what_the_cases_assume(cases):
    assert {
        f"{name}.{key}": (
            sorted(rule.uses),
            [int(point) for point in rule.breakpoints],
            rule.min_units,
        )
        for name, data in cases.datasets.items()
        for key, rule in data.columns.items()
    } == {
        "tax.taxpayers.id_number": (["key"], [], 0),
        "tax.taxpayers.name": (["denied"], [], 0),
        "tax.taxpayers.district": (["dimension"], [], 0),
        "tax.taxpayers.industry": (["dimension"], [], 0),
        "tax.taxpayers.income": (["measure"], [30000, 60000, 96000, 144000, 300000, 500000], 10),
        "tax.taxpayers.tax_paid": (["measure"], [0, 3000, 12000, 60000], 10),
        "health.visits.id_number": (["key"], [], 0),
        "health.visits.district": (["dimension"], [], 0),
        "health.visits.diagnosis": (["sensitive_dimension"], [], 20),
        "health.visits.cost": (["measure"], [100, 500, 1000, 5000, 10000, 50000], 10),
        "health.visits.visit_date": (["date"], [], 0),
        "social.pensions.id_number": (["key"], [], 0),
        "social.pensions.district": (["dimension"], [], 0),
        "social.pensions.amount": (["measure"], [1000, 2000, 3000, 5000, 8000], 10),
    }
    for data in cases.datasets.values():
        assert data.unit_breakpoints == (1, 2, 3, 5, 10, 20)
        assert not any(evaluate.needs_grant(rule) for rule in data.columns.values())
    assert cases.datasets["health.visits"].columns["visit_date"].finest == "month"


def test_cases_bundle_has_no_finding(cases):
    assert lint.check(cases, catalogs.load(EXAMPLES / "cases" / "catalog"), NOW) == ()


def test_regulation_has_the_deadlines_of_decree_809():
    shipped = regulation.load()
    assert {
        name: (each.working_days, each.extension) for name, each in shipped.deadlines.items()
    } == {
        "answer_unconditional": (1, 0),
        "answer_conditional": (10, 10),
        "deliver": (20, 0),
        "correct": (10, 0),
        "catalog_update": (10, 5),
        "catalog_review": (2, 0),
    }
    assert shipped.retention["usage_record"].years == 3
    assert all(each.article for each in shipped.deadlines.values())


def test_broken_regulation_is_refused(tmp_path):
    file = tmp_path / "regulation.yaml"
    file.write_text("name: x\ndeadlines: {a: {working_days: 0}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"(?s)working_days.*does not fit: working days"):
        regulation.load(file)


def test_every_rule_has_a_sentence_in_both_languages():
    assert set(explain.RULES) == {f"R{n}" for n in range(15)} | {f"G{n}" for n in range(1, 6)}
    assert all(en.isascii() and not zh.isascii() for en, zh in explain.RULES.values())
    assert explain.rule_text("X9") == explain.RULES["R0"]
