"""From a dataset, a column, a window or an incident to every release that used it."""

from datetime import UTC, datetime

import pytest

from middleplatform.audit.search import ReleaseQuery
from middleplatform.errors import AuditError


@pytest.fixture
def filled(log, record):
    log.append(record(0))
    log.append(record(1, event="refused"))
    log.append(record(2, datasets=["tax.payment"], columns=["tax.payment.amount"], subject="wang"))
    log.append(
        record(
            3,
            datasets=["ga.population", "tax.payment"],
            columns=["tax.payment.amount", "ga.population.sex"],
        )
    )
    log.append(record(4, datasets=[], columns=["ga.population.age"], note="ga.population_old"))
    log.append(record(5, datasets=["ga.population_old"], columns=["ga.population_old.age"]))
    return log


def found(log, **parts):
    return [usage.index for usage in log.releases(ReleaseQuery(**parts))]


def test_a_dataset_leads_to_every_release_that_used_it_and_to_no_other(filled):
    assert found(filled, dataset="ga.population") == [0, 3, 4]
    assert found(filled, dataset="tax.payment") == [2, 3]
    assert found(filled, dataset="ga.population_old") == [5]
    assert found(filled, dataset="health.visit") == []


def test_a_column_leads_to_every_release_that_used_it(filled):
    assert found(filled, column="ga.population.age") == [0, 4]
    assert found(filled, column="tax.payment.amount", dataset="ga.population") == [3]


def test_a_window_includes_its_start_and_excludes_its_end(filled):
    start, stop = datetime(2026, 1, 3, 9, tzinfo=UTC), datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert found(filled, start=start, stop=stop) == [2, 3]
    assert found(filled, start=stop) == [4, 5]
    assert found(filled) == [0, 2, 3, 4, 5]


def test_a_persons_releases_are_found_however_the_login_is_written(filled):
    assert found(filled, subject="wang") == found(filled, subject="WANG") == [2]
    assert found(filled, subject="wan") == []


def test_a_usage_names_the_person_the_purpose_and_what_was_released(filled):
    (usage,) = filled.releases(
        ReleaseQuery(column="tax.payment.amount", stop=datetime(2026, 1, 4, tzinfo=UTC))
    )
    assert (usage.subject, usage.department, usage.purpose) == ("wang", "drc", "policy_research")
    assert usage.result_digest == "00" * 32
    assert usage.query_id == f"{2:032x}"


def test_an_incident_leads_to_every_release_in_its_window_once(filled, record):
    window = {"starts": "2026-01-02T00:00:00Z", "ends": "2026-01-05T00:00:00Z"}
    narrow = filled.append(
        record(
            7, event="incident", datasets=["tax.payment"], columns=["tax.payment.amount"], **window
        )
    )
    wide = filled.append(record(8, event="incident", datasets=[], columns=[], **window))
    assert [usage.index for usage in filled.affected(narrow.index)] == [2, 3]
    assert [usage.index for usage in filled.affected(wide.index)] == [2, 3]


def test_what_is_no_incident_is_refused(filled, record):
    with pytest.raises(ValueError, match="incident"):
        filled.affected(0)
    bare = filled.append(record(9, event="incident"))
    with pytest.raises(ValueError, match="RFC 3339"):
        filled.affected(bare.index)
    with pytest.raises(AuditError) as caught:
        filled.affected(99)
    assert caught.value.code == "A004"


def test_chinese_and_quoted_names_are_found(log, record):
    log.append(record(0, datasets=['ga."人口"'], columns=['ga."人口".年龄']))
    assert found(log, dataset='ga."人口"') == [0]
    assert found(log, column='ga."人口".年龄') == [0]


def test_an_entry_without_the_usual_fields_is_found_by_its_window(log, record):
    log.append(record(0, datasets=None, columns="x", subject=5, query_id=None))
    (usage,) = log.releases(ReleaseQuery())
    assert (usage.subject, usage.query_id, usage.datasets, usage.columns) == ("", "", (), ())
