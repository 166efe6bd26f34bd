"""Are the questions of a window read back as they were asked, each once, and nothing assumed that the log lacks?"""

from datetime import UTC, datetime, timedelta

import pytest

from middleplatform.audit.entry import LogEntry, leaf_bytes, leaf_head
from middleplatform.errors import QueryError
from middleplatform.governance.replay import WHY, Ended, Why, Window, asked
from middleplatform.model.record import AuditRecord
from middleplatform.model.request import Role, Subject

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
EVER = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
BODY = {
    "at": NOON.isoformat(), "query_id": "a1", "subject": "lin", "department": "drc", "roles": ["analyst"],
    "recipient": "drc", "purpose": "statistics", "project": "drc", "sql": "SELECT 1", "strict": False,
    "regions": ["990101", "990102"],
}  # fmt: skip


def entries(*records):
    return [
        LogEntry(index, leaf_bytes(leaf_head(AuditRecord(event, body)), index))
        for index, (event, body) in enumerate(records)
    ]


def one(body, *ends):
    (found,) = asked(entries(("received", body), *ends), EVER)
    return found


def test_a_question_comes_back_with_all_that_policy_judges_it_by():
    told = {**BODY, "sealed_for": "k1", "noise": "1/50", "strict": True, "project": "elderly"}
    case = one(told).case
    subject = Subject("lin", "drc", frozenset({Role.ANALYST}), ("990101", "990102"))
    assert (case.subject, case.now, case.sql) == (subject, NOON, "SELECT 1")
    assert (case.purpose, case.project, case.recipient) == ("statistics", "elderly", "drc")
    assert (case.strict, case.sealed, case.noise) == (True, True, "1/50")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"regions": None}, Why.FORM),
        ({"regions": ["990101", 2]}, Why.FORM),
        ({"roles": ["emperor"]}, Why.FORM),
        ({"strict": "no"}, Why.FORM),
        ({"noise": 3}, Why.FORM),
        ({"purpose": {"box": "", "sealed": "x", "to": "y"}}, Why.FORM),
        ({"sql": {"box": "", "sealed": "x", "to": "y"}}, Why.SEALED),
        ({"inside": True}, Why.INSIDE),
    ],
)
def test_what_an_entry_does_not_say_is_not_made_up(changes, why):
    found = one({**BODY, **changes})
    assert (found.case, found.why, found.subject) == (None, why, "lin")
    assert all(WHY[why])


def test_an_older_entry_without_regions_is_told_not_taken_for_all_regions():
    older = {name: value for name, value in BODY.items() if name != "regions"}
    end = ("released", {**BODY, "protocol": "local"})
    found = one(older, end)
    assert (found.case, found.why, found.ended.event) == (None, Why.REGIONS, "released")


def test_a_window_takes_its_first_moment_and_not_its_last():
    day = Window.read("2026-03-10..2026-03-10", NOON)
    times = [day.start - timedelta(seconds=1), day.start, NOON, day.stop]
    log = [
        ("received", {**BODY, "query_id": f"{place}", "at": at.isoformat()})
        for place, at in enumerate(times)
    ]
    assert [each.query_id for each in asked(entries(*log), day)] == ["1", "2"]


def test_windows_are_days_back_or_two_days_or_two_moments():
    assert Window.read("30d", NOON) == Window(NOON - timedelta(days=30), NOON)
    days = Window.read("2026-03-01..2026-03-31", NOON)
    assert days == Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    moments = Window.read("2026-03-01T08:00:00+08:00..2026-03-02T00:00:00", NOON)
    assert moments == Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    "text", ["", "30", "0d", "d", "999999d", "2026-03-01", "2026-03-02..2026-03-01", "..", "a..b"]
)
def test_no_other_window_is_taken(text):
    with pytest.raises(QueryError) as refused:
        Window.read(text, NOON)
    assert refused.value.code == "Q040"


def test_how_a_question_ended_is_found_past_the_window_and_the_first_end_counts():
    later = (NOON + timedelta(days=9)).isoformat()
    refused = {**BODY, "at": later, "code": "P001", "rule": "R1", "policy_digest": "ab"}
    log = entries(("received", BODY), ("refused", refused), ("released", {**BODY, "at": later}))
    (found,) = asked(log, Window.read("2026-03-10..2026-03-10", NOON))
    assert found.ended == Ended("refused", "P001", "R1", "ab")
    assert (found.case.expect, found.case.rule) == ("refuse", "R1")


def test_each_question_counts_once_and_fragments_and_own_data_not():
    fragment = {**BODY, "query_id": "b2", "fragment": "ff"}
    own = {**BODY, "query_id": "c3"}
    log = entries(
        ("received", BODY), ("received", {**BODY, "sql": "SELECT 2"}), ("received", fragment),
        ("received", own), ("released", {**own, "protocol": "own"}), ("start", {"at": NOON.isoformat()}),
    )  # fmt: skip
    found = asked(log, EVER)
    assert [(each.query_id, each.why) for each in found] == [("a1", None), ("c3", Why.INSIDE)]
    assert found[0].case.sql == "SELECT 1"
