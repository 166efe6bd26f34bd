"""Does each side's usage record say what it must answer for, and no more?"""

import csv
import io
from datetime import UTC, datetime

import pytest
from steady import SeededRng

from middleplatform import policy
from middleplatform.accountability.accounts import Accounts
from middleplatform.accountability.usage import as_csv, plain
from middleplatform.audit.search import ReleaseQuery
from middleplatform.errors import AuditError, MiddleplatformError, QueryError
from middleplatform.governance.desk import Desk
from middleplatform.model.record import AuditRecord
from middleplatform.policy.examples import example

BODY = {
    "at": "2026-08-05T03:00:00+00:00", "query_id": "a1", "subject": "lin", "department": "drc", "recipient": "drc",
    "purpose": "planning", "datasets": ["ga.population", "tax.individual_income"],
    "columns": ["ga.population.sex", "tax.individual_income.income_total"], "grants": ["g1"], "protocol": "local",
    "released_values": 12, "withheld": [["R5", "threshold", 3]], "result_digest": "e" * 64,
}  # fmt: skip


@pytest.fixture
def accounts(log, store, catalog, rules, clock):
    log.append(AuditRecord("released", BODY))
    log.append(
        AuditRecord(
            "released",
            {
                **BODY,
                "at": "2026-08-06T03:00:00+00:00",
                "subject": "=cmd|' /C calc'!A0",
                "recipient": "tax",
                "datasets": ["ga.population"],
                "columns": ["ga.population.sex"],
            },
        )
    )
    log.append(
        AuditRecord(
            "incident",
            {
                "at": "2026-08-07T00:00:00+00:00",
                "starts": "2026-08-06T00:00:00+00:00",
                "ends": "2026-08-07T00:00:00+00:00",
                "datasets": ["ga.population"],
            },
        )
    )
    return Accounts(log, store, catalog, policy.load(example("demo"), catalog), rules, clock)


def test_a_provider_sees_the_use_of_its_own_data_and_of_no_other(accounts):
    first, second = accounts.usage_records("ga", "provider")
    assert (first.datasets, first.columns) == (("ga.population",), ("ga.population.sex",))
    assert (first.answers_for_data, first.answers_for_use, first.subject) == (("ga",), "drc", "lin")
    assert (first.released, first.suppressed, second.index) == (12, 3, 1)
    assert [each.index for each in accounts.usage_records("tax", "provider")] == [0]
    assert accounts.usage_records("ss", "provider") == ()


def test_a_user_answers_for_all_that_it_asked_or_received(accounts):
    assert [each.index for each in accounts.usage_records("drc", "user")] == [0, 1]
    (received,) = accounts.usage_records("tax", "user")
    assert (received.answers_for_use, received.answers_for_data) == ("tax", ("ga",))
    (first,) = accounts.usage_records(
        "drc", "user", ReleaseQuery(stop=datetime(2026, 8, 6, tzinfo=UTC))
    )
    assert first.answers_for_data == ("ga", "tax")
    assert accounts.retention_years() == 3


def test_a_spreadsheet_runs_nothing_of_it(accounts):
    records = accounts.usage_records("ga", "provider")
    rows = list(csv.DictReader(io.StringIO(as_csv(records))))
    assert [row["subject"] for row in rows] == ["lin", "'=cmd|' /C calc'!A0"]
    assert list(rows[0]) == list(plain(records[0]))
    assert rows[0]["columns"] == "ga.population.sex"


def test_who_got_what_by_person_department_window_and_incident(accounts):
    def found(incident=None, **parts):
        return [each.index for each in accounts.who_got_what(ReleaseQuery(**parts), incident)]

    assert found() == [0, 1]
    assert found(subject="lin") == [0]
    assert found(department="drc", dataset="tax.individual_income") == [0]
    assert found(department="tax") == []
    assert found(column="ga.population.sex", start=datetime(2026, 8, 6, tzinfo=UTC)) == [1]
    assert found(incident=2) == [1]
    assert found(incident=2, subject="lin") == []
    assert accounts.who_got_what(ReleaseQuery())[0].grants == ("g1",)
    with pytest.raises(QueryError):
        found(incident=0)
    with pytest.raises(AuditError):
        found(incident=9)


def test_a_report_is_for_those_whom_it_concerns(accounts, people, signer, store, clock, log):
    for name in ("auditor", "steward_drc", "steward_ga", "bureau"):
        assert accounts.report("0", signer, people[name]).value["outcome"] == "released"
    for name in ("steward_ss", "analyst_drc", "visitor"):
        with pytest.raises(QueryError) as caught:
            accounts.report("0", signer, people[name])
        assert caught.value.code == "Q041"
    desk = accounts.tickets(Desk(store, clock, SeededRng(), log))
    assert desk.listed(people["auditor"]) == ()


def test_the_user_writes_down_what_became_of_an_answer(accounts, people, store, clock, log):
    desk, drc, tax = (
        Desk(store, clock, SeededRng(), log),
        people["analyst_drc"],
        people["steward_tax"],
    )
    accounts.note_usage(desk, 0, {"effect": "用于年度测算", "storage": " "}, drc)
    accounts.note_usage(desk, 0, {"disposal": "已删除"}, people["steward_drc"])
    accounts.note_usage(desk, 1, {"storage": "内网"}, tax)  # it received the answer
    first, second = accounts.usage_records("ga", "provider")
    assert (first.effect, first.storage, first.disposal) == (("用于年度测算",), (), ("已删除",))
    assert second.storage == ("内网",)
    assert "用于年度测算" in as_csv(accounts.usage_records("drc", "user"))
    assert [each.record.event for each in log.entries(3)] == ["usage"] * 3
    for release, said, who, code in (
        (0, {"effect": "x"}, tax, "Q041"), (2, {"effect": "x"}, drc, "Q041"), (99, {"effect": "x"}, drc, "Q041"),
        (0, {}, drc, "Q040"), (0, {"effect": "1" * 18}, drc, "Q040"), (0, {"effect": "x"}, people["auditor"], "P004"),
    ):  # fmt: skip
        with pytest.raises(MiddleplatformError) as caught:
            accounts.note_usage(desk, release, said, who)
        assert caught.value.code == code
    assert log.size == 6
