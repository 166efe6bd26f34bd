"""What is counted, once; what is forgotten; and what an alert leaves in log and store, also over a restart."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from policy_world import HAN, configured, small_catalog, world

from middleplatform.governance.desk import Desk
from middleplatform.governance.detection import Detector, Tally, forms_of
from middleplatform.governance.freezes import Freezing
from middleplatform.model.policy import ProbingRule
from middleplatform.model.record import AuditRecord
from middleplatform.store.freezes import alerts_all


def rule(signal, most, per="user", minutes=60, **then):
    return ProbingRule(signal, per, Fraction(most), minutes, **then)


class Log:
    """Writes entries of questions into a real log, and looks."""

    def __init__(self, made):
        self.made, self.count = made, 0
        self.freezing = Freezing(made.life.desk, small_catalog())
        self.restart()

    def restart(self):
        self.detector = Detector(self.made.life.desk)

    def enter(self, event, subject="lin", project="drc", **more):
        self.count += 1
        body = {"at": self.made.clock.now().isoformat(), "query_id": f"q{self.count}", "subject": subject,
                "department": "drc", "project": project, "purpose": "statistics", **more}  # fmt: skip
        self.made.log.append(AuditRecord(event, body))

    def refused(self, times=1, **more):
        for _ in range(times):
            self.enter("refused", **{"code": "P001", **more})

    def look(self, *rules):
        limits = replace(configured().limits, probing=rules)
        self.detector.look(replace(configured(), limits=limits))
        with self.made.store.reading() as connection:
            return [
                (each.signal, each.target, each.measured, each.freeze)
                for each in alerts_all(connection)
            ]


@pytest.fixture
def log(tmp_path):
    with world(tmp_path) as made:
        yield Log(made)


def test_a_burst_of_refusals_is_one_alert_and_counting_begins_anew(log):
    three = rule("refusals", 3)
    log.refused(3)
    log.refused(9, code="Q001")
    log.refused(9, code="P007")
    assert log.look(three) == []
    log.refused()
    one = ("refusals", "lin", "4", None)
    assert log.look(three) == [one]
    log.refused(3)
    assert log.look(three) == [one]
    log.restart()
    assert log.look(three) == [one]
    log.refused()
    assert log.look(three) == [one, one]


def test_what_is_older_than_the_window_counts_no_more(log):
    log.refused(3)
    log.made.clock.advance(minutes=61)
    log.refused(3)
    log.restart()
    assert log.look(rule("refusals", 3)) == []
    assert log.look(rule("refusals", 5, minutes=120)) == [("refusals", "lin", "6", None)]


def test_users_projects_and_departments_are_counted_apart(log):
    log.refused(2, subject="a", project="x")
    log.refused(2, subject="b", project="x")
    rules = (rule("refusals", 2), rule("refusals", 3, "project"), rule("refusals", 3, "department"))
    assert log.look(*rules) == [("refusals", "x", "4", None), ("refusals", "drc", "4", None)]


def test_budget_is_added_exactly_and_purposes_count_once(log):
    for spent in ("1/50", "1/50", "0"):
        log.enter("released", budget=spent)
    for purpose in ("statistics", "planning", "statistics"):
        log.enter("received", sql="SELECT 1", purpose=purpose)
    assert log.look(rule("budget", "1/25"), rule("purposes", 2)) == []
    log.enter("released", budget="1/1000")
    log.enter("received", sql="SELECT 1", purpose="emergency")
    assert log.look(rule("budget", "1/25"), rule("purposes", 2)) == [
        ("budget", "lin", "41/1000", None), ("purposes", "lin", "3", None),
    ]  # fmt: skip


def test_near_duplicates_are_told_by_form_and_a_repeated_question_is_none(log):
    for _ in range(9):
        log.enter("received", sql="SELECT count(*) FROM a.b WHERE x = 'y'")
    assert log.look(rule("near_duplicates", 2)) == []
    log.enter("received", sql="select COUNT(*) /* z */ from a.b\nwhere x = 'n'")
    log.enter("received", sql="SELECT count(*) AS n FROM a.b WHERE x = 'm' OR x = 'k'")
    log.enter("received", sql="SELECT count(*) FROM a.b WHERE x = 'm'")
    assert log.look(rule("near_duplicates", 2)) == [("near_duplicates", "lin", "3", None)]


def test_forty_conditions_in_one_statement_are_forty_questions():
    parts = ", ".join(f"COUNT(*) FILTER (WHERE x = {n}) AS v{n}" for n in range(40))
    forms = forms_of(f"SELECT {parts} FROM a.b")
    assert max(len([one for form, one in forms if form == each]) for each, _ in forms) >= 39


def test_an_alert_freezes_whom_policy_names_until_then_and_once(log):
    frozen = rule("refusals", 1, freeze="user", hours=2)
    by_project = rule("refusals", 1, "project", freeze="user", hours=1)
    log.refused(2)
    assert log.look(frozen, by_project) == [
        ("refusals", "lin", "2", 1),
        ("refusals", "drc", "2", None),
    ]
    (stop,) = log.freezing.listed(HAN)
    assert stop.freeze.ends == log.made.clock.now() + timedelta(hours=2)
    entries = [each.record for each in log.made.log.entries() if each.record.event == "alert"]
    assert [each.body.get("frozen", {}).get("number") for each in entries] == [1, None]
    assert entries[0].body["entry"] == 1


def test_a_process_that_does_not_hold_the_log_leaves_detection_to_the_one_that_does(log):
    log.refused(2)
    desk = log.made.life.desk
    log.detector = Detector(Desk(desk.store, desk.clock, desk.rng, None))
    assert log.look(rule("refusals", 1)) == []


def test_what_a_tally_keeps_is_bounded_by_its_rules(log):
    tally = Tally((rule("refusals", 3),), {})
    log.refused(50)
    found = [each for entry in log.made.log.entries() for each in tally.add(entry)]
    assert [each.entry for each in found] == list(range(3, 50, 4))


def test_a_login_in_other_letters_is_counted_as_the_same_person(log):
    three = rule("refusals", 3, freeze="user", hours=1)
    for login in ("lin", "Lin", "LIN"):
        log.refused(1, subject=login)
    assert log.look(three) == []
    log.refused(1, subject="LiN")
    one = ("refusals", "LiN", "4", 1)
    assert log.look(three) == [one]
    log.restart()  # what the alert has counted counts no more, under whatever spelling
    log.refused(3, subject="lin")
    assert log.look(three) == [one]
    log.refused(1, subject="lin")
    assert log.look(three) == [one, ("refusals", "lin", "4", None)]  # frozen as long already
