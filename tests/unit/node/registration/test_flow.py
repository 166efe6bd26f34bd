"""From a file to a published connector that a node opens: nothing counts before it was confirmed, tested, published."""

import json
from dataclasses import replace

import pytest

from connectors.spi import ExecutionLimits
from middleplatform.errors import AuditError, ConfigError
from middleplatform.model.catalog import Level
from middleplatform.node.registration import files
from middleplatform.node.registration.loading import load
from middleplatform.node.registration.profile import profile_of
from middleplatform.node.registration.trial import passed
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment


def refused(call, *arguments, **more):
    with pytest.raises(ConfigError) as error:
        call(*arguments, **more)
    assert error.value.code == "C013"
    assert error.value.message("zh") != error.value.message("en")
    return error.value.message("en")


def columns(profile):
    return {
        each["name"] or each["physical"]: each
        for each in profile["datasets"]["ga.population"]["columns"]
    }


# --- mapping ----------------------------------------------------------------------------------------------------------


def test_alike_names_are_proposed_and_only_equal_ones_count_at_once(department):
    found = department.add("ga.population=RKXX")
    mapped = found.registration.datasets["ga.population"].columns
    told = {name: (each.physical, str(each.how), each.accepted) for name, each in mapped.items()}
    assert told == {
        "name": ("姓名", "name_zh", False),
        "sex": ("SEX", "letters", False),
        "birth_year": ("BirthYear", "letters", False),
        "region_code": ("region_code", "exact", True),
        "education_years": ("education_years", "exact", True),
        "household_id": ("household_id", "exact", True),
    }
    lost = {each.column: each.hints for each in found.unmapped}
    assert set(lost) == {"id_number", "key_person_flag"}
    assert "SFZH" in lost["id_number"]
    assert "BirthYear" not in lost["id_number"]
    assert ("RKXX", "联系方式") in found.proposals


def test_a_table_that_is_called_otherwise_is_not_guessed(department):
    found = department.add()
    assert found.registration.datasets == {}
    assert [(each.dataset, each.column) for each in found.unmapped] == [("ga.population", "")]


def test_two_names_that_are_alike_are_not_proposed(department):
    department.alter('ALTER TABLE RKXX ADD COLUMN "s_e_x" VARCHAR')
    assert (
        "sex"
        not in department.add("ga.population=RKXX").registration.datasets["ga.population"].columns
    )


def test_mappings_that_fit_nothing_are_all_named_and_nothing_is_written(department):
    said = refused(
        department.add,
        "ga.population=absent",
        "tax.individual_income=RKXX",
        "nonsense",
        "ga.population.id_number=x",
    )
    for part in (
        "no table absent",
        "tax.individual_income is not in the catalogue",
        "write dataset=table",
        "map ga.population",
    ):
        assert part in said
    assert files.names(department.state) == ()


def test_a_mapping_is_corrected_confirmed_and_taken_away(department):
    department.add("ga.population=RKXX")
    found = department.remap("ga.population.id_number=SFZH", "ga.population.name=", accept=True)
    mapped = found.registration.datasets["ga.population"]
    assert not list(mapped.proposed())
    assert "name" not in mapped.columns
    assert mapped.columns["id_number"].physical == "SFZH"


def test_registering_anew_needs_to_be_said_and_forgets_the_old_profile(department):
    department.mapped()
    department.profile()
    assert "--replace" in refused(department.add)
    department.add("ga.population=RKXX", replace=True)
    assert [each.name for each in (department.state / "connectors").iterdir()] == ["main.yaml"]


# --- test -------------------------------------------------------------------------------------------------------------


def test_a_sound_source_passes_its_test(department):
    department.mapped()
    checks = department.test()
    assert passed(checks)
    assert [each.what for each in checks] == ["connection", "schema", "types", "statement"]
    assert files.load_one(department.state, "main").tested.passed


@pytest.mark.parametrize(
    ("statement", "where", "said", "fails"),
    [
        ("ALTER TABLE RKXX DROP COLUMN SEX", "RKXX.SEX", "the column is gone", True),
        (
            "ALTER TABLE RKXX ALTER BirthYear TYPE VARCHAR",
            "RKXX.BirthYear",
            "was integer, is text",
            True,
        ),
        ("ALTER TABLE RKXX RENAME TO other", "RKXX", "the table is gone", True),
        ("ALTER TABLE RKXX ADD COLUMN fresh DATE", "RKXX.fresh", "a new column, date", False),
        ("ALTER TABLE RKXX DROP COLUMN 联系方式", "RKXX.联系方式", "the column is gone", False),
    ],
)
def test_what_changed_in_the_source_is_named(department, statement, where, said, fails):
    department.mapped()
    department.alter(statement)
    checks = department.test()
    found = [each for each in checks if each.where == where]
    assert found[0].said[0] == said
    assert passed(checks) is not fails


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("BirthYear", "VARCHAR"),
        ("BirthYear", "DECIMAL(20, 0)"),
        ("SEX", "INTEGER"),
        ("BirthYear", "DOUBLE"),
    ],
)
def test_a_column_that_cannot_be_what_the_catalogue_says_fails(department, column, kind):
    department.alter(f"ALTER TABLE RKXX ALTER {column} TYPE {kind} USING NULL")
    department.mapped()
    failed = [each for each in department.test() if each.state == "failed"]
    assert [each.what for each in failed] == ["types"]


def test_a_source_that_is_gone_fails_its_test_and_says_so(department):
    department.mapped()
    department.path.unlink()
    (check,) = department.test()
    assert (check.what, check.state) == ("connection", "failed")
    assert "no source at that place" in check.said[0]


# --- profile ----------------------------------------------------------------------------------------------------------


def test_the_seeded_defects_are_found_with_their_right_numbers(department):
    department.mapped()
    profile = department.profile()
    found = columns(profile)
    dataset = profile["datasets"]["ga.population"]
    assert (dataset["rows"], dataset["rows_per_unit"]) == (400, 2)
    key = found["id_number"]
    assert {name: key["counts"][name] for name in ("valid", "bad_check", "normalisable", "padded_key", "old_form")} == {
        "valid": 397, "bad_check": 1, "normalisable": 1, "padded_key": 1, "old_form": 1,
    }  # fmt: skip
    assert (key["distinct"], key["duplicates"]) == (399, 1)
    assert {name: key["counts"][name] for name in ("normal", "normal_changed", "normal_wrong")} == {
        "normal": 400, "normal_changed": 2, "normal_wrong": 1,
    }  # fmt: skip
    assert key["duplicates_normal"] == 1
    assert found["sex"]["counts"]["outside_codes"] == 1
    assert found["education_years"]["counts"]["missing"] == 25
    assert found["education_years"]["quality"] == 0.93
    phone = found["联系方式"]
    assert (phone["name"], phone["proposal"]["use"], phone["proposal"]["state"]) == (
        "",
        "denied",
        "proposed",
    )
    assert phone["proposal"]["level"] == "general-3"


def test_a_profile_belongs_to_its_registration_only(department):
    department.mapped()
    department.profile()
    department.remap("ga.population.sex=")
    assert files.read_json(files.profile_path(department.state, "main")) is not None
    registration = files.load_one(department.state, "main")
    assert profile_of(department.state, registration) is None


def test_no_value_of_a_row_stands_in_any_file(department):
    department.mapped()
    department.test()
    department.profile()
    department.publish()
    everything = "".join(path.read_text() for path in (department.state / "connectors").iterdir())
    for secret in ("99010219", "居民0", "13912340", "h17"):
        assert secret not in everything


# --- publication ------------------------------------------------------------------------------------------------------


def ready(department):
    department.mapped()
    department.test()


def test_a_publication_is_marked_logged_and_opened_by_the_node(department):
    ready(department)
    published = department.publish()
    assert published.is_published
    (entry,) = department.entries
    assert (entry.event, entry.body["connector"], entry.body["by"]) == (
        "connector",
        "main",
        "engineer",
    )
    assert "SFZH" not in str(entry.body)
    found = load(department.state, "ga", department.catalog)
    assert (found.not_connected, dict(found.set_aside)) == ((), {})
    (connector,) = found.published
    source = connector.open_source(ExecutionLimits(30, 1000, 64))
    try:
        cell, _ = read_fragment(
            "SELECT sex, COUNT(*) FROM ga.population GROUP BY sex", department.catalog
        )
        measured = source.measure(cell, layout_of(cell, department.catalog))
    finally:
        source.connector.close()
    assert measured.table.num_rows == 3
    assert found.serving("ga.population") is connector


def test_what_leaves_has_no_small_count_and_no_name_of_the_source(department):
    ready(department)
    department.publish()
    text = files.published_path(department.state, "main").read_text()
    document = json.loads(text)["datasets"]["ga.population"]
    assert (document["threshold"], document["rows"]) == (10, 400)
    assert document["columns"]["id_number"] == {
        "type": "text", "missing": None, "normalisable": None, "invalid": None, "duplicates": None, "quality": 1.0,
        "duplicates_normal": None, "normal_changed": None, "normal_wrong": None,
    }  # fmt: skip
    assert document["columns"]["education_years"]["missing"] == 25
    assert not any(
        word in text for word in ("SFZH", "RKXX", "BirthYear", "联系方式", str(department.folder))
    )


def test_everything_that_is_missing_is_named_at_once(department, future):
    department.add("ga.population=RKXX")
    catalog = department.with_dataset(risk_assessed_on=future, head_approval=" ")
    said = refused(department.publish, catalog=catalog, by=" ")
    for part in (
        "risk_assessed_on 2026-03-02 lies in the future (decree 809 art. 13)",
        "the head of the department has not agreed",
        "ga.population.sex = SEX is only proposed",
        "ga.population.id_number is not mapped",
        "it was not tested",
        "nobody is named",
    ):
        assert part in said
    assert "key_person_flag" not in said, "the catalogue says that it is not held"
    assert department.entries == []


def test_a_column_that_the_policy_does_not_know_is_not_classified(department):
    ready(department)
    rule = department.bundle.datasets["ga.population"]
    known = {name: each for name, each in rule.columns.items() if name != "sex"}
    datasets = {**department.bundle.datasets, "ga.population": replace(rule, columns=known)}
    said = refused(department.publish, bundle=replace(department.bundle, datasets=datasets))
    assert "ga.population.sex is not classified" in said


def test_core_data_is_not_connected(department):
    ready(department)
    before = department.catalog.datasets["ga.population"].columns
    columns = {**before, "sex": replace(before["sex"], level=Level.CORE)}
    said = refused(department.publish, catalog=department.with_dataset(columns=columns))
    assert "ga.population.sex: core data is not connected" in said


def test_drift_after_the_test_refuses_publication(department):
    ready(department)
    department.alter("ALTER TABLE RKXX DROP COLUMN SEX")
    assert "the source has changed: RKXX.SEX: the column is gone" in refused(department.publish)


def test_an_alteration_after_the_test_refuses_publication(department):
    ready(department)
    department.remap("ga.population.name=")
    assert "it was not tested since" in refused(department.publish)


def test_a_failed_test_refuses_publication(department):
    department.mapped()
    department.alter("ALTER TABLE RKXX DROP COLUMN SEX")
    department.test()
    assert "its last test failed" in refused(department.publish)


def test_one_dataset_is_published_by_one_connector(department):
    ready(department)
    department.publish()
    department.add("ga.population=RKXX", name="second")
    assert "ga.population is published by connector main" in refused(
        department.publish, name="second"
    )


def test_a_locked_log_leaves_everything_as_it_was(department):
    ready(department)
    before = {path.name: path.read_bytes() for path in (department.state / "connectors").iterdir()}
    department.profile()

    def locked(_):
        raise AuditError("A003")

    with pytest.raises(AuditError):
        department.publish(log=locked)
    after = {path.name: path.read_bytes() for path in (department.state / "connectors").iterdir()}
    assert after.keys() - before.keys() == {"main.profile.json"}
    assert after["main.yaml"] == before["main.yaml"]


# --- what a node opens ------------------------------------------------------------------------------------------------


def test_what_is_not_published_or_was_altered_since_is_set_aside(department):
    assert load(department.state, "ga", department.catalog).not_connected == ("ga.population",)
    ready(department)
    assert "not published" in load(department.state, "ga", department.catalog).set_aside["main"][0]
    department.publish()
    path = department.state / "connectors" / "main.yaml"
    path.write_text(path.read_text().replace("physical: SEX", "physical: 姓名"), encoding="utf-8")
    found = load(department.state, "ga", department.catalog)
    assert "altered since" in found.set_aside["main"][0]
    assert found.published == ()
    path.write_text("broken: [", encoding="utf-8")
    found = load(department.state, "ga", department.catalog)
    assert "not valid YAML" in found.set_aside["main"][0]


def test_another_department_gets_no_registration_of_this_one(department):
    ready(department)
    department.publish()
    found = load(department.state, "tax", department.catalog)
    assert found.published == ()
    assert "another department" in found.set_aside["main"][0]
