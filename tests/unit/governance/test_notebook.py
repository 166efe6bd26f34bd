"""Saved questions: own only, replaced by name, each act in the log; and the history of what was asked."""

from dataclasses import replace

import pytest
from policy_world import ANALYST, world

from middleplatform.audit import own
from middleplatform.audit.own import own_question, own_questions
from middleplatform.errors import QueryError
from middleplatform.governance import notebook
from middleplatform.governance.notebook import Draft, Notebook
from middleplatform.model.record import AuditRecord

SQL = "SELECT COUNT(*) FROM ga.population"
MOVED = replace(ANALYST, department="tax")


@pytest.fixture
def kept(tmp_path):
    with world(tmp_path) as made:
        yield made, Notebook(made.life.desk)


def _bodies(log):
    return [each.record.body for each in log.entries() if each.record.event == "saved"]


def test_a_question_is_kept_shown_and_taken_away_and_the_log_says_so(kept):
    made, book = kept
    number = book.keep(Draft(" 人口 ", SQL, "statistics", "elderly", "1/50", strict=True), ANALYST)
    (found,) = book.listed(ANALYST)
    assert (found.number, found.name, found.sql, found.project) == (number, "人口", SQL, "elderly")
    assert (found.noise, found.strict) == ("1/50", True)
    book.remove(number, ANALYST)
    assert book.listed(ANALYST) == ()
    first, second = _bodies(made.log)
    assert (first["kept"], first["name"], second["removed"]) == (number, "人口", [number])
    assert SQL not in str(first)


def test_one_of_the_same_name_is_replaced(kept):
    _, book = kept
    book.keep(Draft("a", SQL, "statistics"), ANALYST)
    book.keep(Draft("a", SQL + " WHERE sex = '1'", "planning"), ANALYST)
    assert [(each.name, each.purpose) for each in book.listed(ANALYST)] == [("a", "planning")]


def test_nobody_sees_anothers(kept):
    _, book = kept
    number = book.keep(Draft("a", SQL, "statistics"), ANALYST)
    for other in (replace(ANALYST, id="other"), MOVED):
        assert book.listed(other) == ()
        with pytest.raises(QueryError, match="There is no such saved question"):
            book.one(number, other)
        with pytest.raises(QueryError):
            book.remove(number, other)


@pytest.mark.parametrize(
    "draft",
    [Draft("", SQL, ""), Draft("x" * 101, SQL, ""), Draft("a", " ", ""), Draft("a\x07", SQL, "")],
)
def test_a_question_without_name_or_statement_is_refused(kept, draft):
    with pytest.raises(QueryError) as refused:
        kept[1].keep(draft, ANALYST)
    assert refused.value.code == "Q040"
    assert _bodies(kept[0].log) == []


def test_there_are_not_endlessly_many(kept, monkeypatch):
    monkeypatch.setattr(notebook, "KEPT_MAX", 1)
    kept[1].keep(Draft("a", SQL, "statistics"), ANALYST)
    kept[1].keep(Draft("a", SQL, "statistics"), ANALYST)
    with pytest.raises(QueryError) as refused:
        kept[1].keep(Draft("b", SQL, "statistics"), ANALYST)
    assert refused.value.code == "Q042"


# --- history ------------------------------------------------------------------------------------------------------


def _asked(log, number, person=ANALYST, end="released", **more):
    body = {
        "at": "2026-03-01T08:00:00+00:00", "query_id": f"{number:032x}", "subject": person.id,
        "department": person.department, "purpose": "statistics", "project": "drc",
    }  # fmt: skip
    log.append(AuditRecord("received", {**body, "sql": f"SELECT {number}", "strict": False}))
    if end:
        log.append(AuditRecord(end, {**body, **more}))


def test_history_is_the_own_newest_first_with_what_became_of_it(kept):
    log = kept[0].log
    _asked(log, 1, datasets=["ga.population"])
    _asked(log, 2, person=MOVED)
    _asked(log, 3, person=replace(ANALYST, id=ANALYST.id + "x"))
    _asked(log, 4, end="refused", code="P001", rule="R2")
    _asked(log, 5, end="")
    found = own_questions(log, ANALYST.id, ANALYST.department, 10)
    assert [(each.sql, each.outcome, each.code) for each in found.questions] == [
        ("SELECT 5", "", ""), ("SELECT 4", "refused", "P001"), ("SELECT 1", "released", ""),
    ]  # fmt: skip
    assert found.questions[2].datasets == ("ga.population",)
    assert log.entry(found.questions[2].end).record.event == "released"
    assert found.before is None


def test_a_login_in_other_letters_has_the_same_history_and_questions(kept):
    made, book = kept
    upper = replace(ANALYST, id=ANALYST.id.upper())
    _asked(made.log, 1, person=upper)
    _asked(made.log, 2)
    for who in (ANALYST, upper):
        found = own_questions(made.log, who.id, who.department, 10).questions
        assert [(each.sql, each.outcome) for each in found] == [
            ("SELECT 2", "released"), ("SELECT 1", "released"),
        ]  # fmt: skip
        assert own_question(made.log, who.id, who.department, 0).sql == "SELECT 1"
    book.keep(Draft("a", SQL, "statistics"), upper)
    assert [each.name for each in book.listed(ANALYST)] == ["a"]


def test_one_question_is_found_by_its_entry_by_who_asked_it_only(kept):
    log = kept[0].log
    _asked(log, 1)
    assert own_question(log, ANALYST.id, ANALYST.department, 0).sql == "SELECT 1"
    for index, person in ((0, MOVED), (1, ANALYST)):
        with pytest.raises(QueryError):
            own_question(log, person.id, person.department, index)


def test_history_is_read_on_from_where_a_page_ends(kept, monkeypatch):
    monkeypatch.setattr(own, "_WINDOW", 3)
    log = kept[0].log
    for number in range(7):
        _asked(log, number)
    seen, before, pages = [], None, 0
    while pages == 0 or before is not None:
        page = own_questions(log, ANALYST.id, ANALYST.department, 2, before)
        seen += [(each.sql, each.outcome) for each in page.questions]
        before, pages = page.before, pages + 1
    assert seen == [(f"SELECT {number}", "released") for number in reversed(range(7))]


def test_a_look_at_history_is_bounded(kept, monkeypatch):
    monkeypatch.setattr(own, "LOOKED_AT_MAX", 4)
    log = kept[0].log
    _asked(log, 0)
    for number in range(1, 4):
        _asked(log, number, person=MOVED)
    first = own_questions(log, ANALYST.id, ANALYST.department, 5)
    assert (first.questions, first.before) == ((), 4)
    assert own_questions(log, ANALYST.id, ANALYST.department, 5, first.before).questions
