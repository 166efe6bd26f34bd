"""What an application's pages offer to whom at every station of its life, and what it waits for."""

from datetime import UTC, datetime, timedelta

import pytest

from middleplatform.errors import QueryError
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import (
    Act,
    Answer,
    Application,
    Column,
    Lane,
    fold,
    later,
)
from middleplatform.governance.terms import Rules
from middleplatform.governance.timeline import ARTICLES, HAPPENED, running, timeline
from middleplatform.model.request import Role, Subject
from middleplatform.policy import regulation
from middleplatform.web.console.offering import WAITS, disputable, offered, waits_for

RULES = Rules(regulation.load())
START = datetime(2026, 9, 14, 2, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
LAW = "《统计法》第三条"


def person(login, department, role):
    return Subject(login, department, frozenset({role}))


ANALYST = person("lin", "drc", Role.ANALYST)
HEAD = person("he", "drc", Role.DEPARTMENT_STEWARD)
SS = person("su", "ss", Role.DEPARTMENT_STEWARD)
TAX = person("tan", "tax", Role.DEPARTMENT_STEWARD)
BUREAU = person("bo", "db", Role.DATA_BUREAU)
OFFICER = person("ou", "db", Role.SECURITY_OFFICER)
SECOND = person("ma", "db", Role.SECURITY_OFFICER)
AUDITOR = person("au", "db", Role.AUDITOR)
OTHER = person("xu", "health", Role.DEPARTMENT_STEWARD)
PEOPLE = {
    "analyst": ANALYST, "head": HEAD, "ss": SS, "tax": TAX, "bureau": BUREAU, "officer": OFFICER,
    "auditor": AUDITOR, "other": OTHER,
}  # fmt: skip


def application(lane=Lane.ORDINARY):
    ends = START + timedelta(hours=24) if lane is Lane.EMERGENCY else START + 300 * DAY
    return Application(
        LAW, "测算", "全市", acts.MODE, "statistics", "drc", "lin", frozenset(),
        (Column("ss.insurance.base", "ss", False), Column("tax.income.total", "tax", False)),
        frozenset({"aggregate"}), ("*",), START, ends, lane,
    )  # fmt: skip


def submitted(lane=Lane.ORDINARY):
    return acts.submit(application(lane), ANALYST, START, RULES)


class Story:
    """An application as it goes on: every event is kept."""

    def __init__(self, lane=Lane.ORDINARY):
        self.events, self.now = list(submitted(lane)), START
        self.state = fold("GX1", self.events)

    def then(self, make, who, *given, days=0, rules=()):
        self.now += days * DAY
        event = make(self.state, *given, who, self.now, *rules)
        self.events.append(event)
        self.state = later(self.state, event)
        return self

    def accepted(self):
        return self.then(acts.sign, HEAD).then(acts.accept, BUREAU)

    def refused_by_ss(self):
        return self.accepted().then(acts.answer, SS, self.refusal())

    def refusal(self):
        return Answer(frozenset(), frozenset(), (), self.state.application.ends, "不宜", LAW)

    def granted_by(self, who):
        wish, part = self.state.application, self.state.parts[who.department]
        return self.then(acts.answer, who, Answer(part.columns, wish.operations, ("*",), wish.ends))

    def offers(self):
        """Return what is offered by person, without what the applying side can do at any time."""
        found = {
            name: offered(self.state, who, RULES, self.now) - {"again"}
            for name, who in PEOPLE.items()
        }
        return {name: each for name, each in found.items() if each}

    def waits(self):
        found = {name: waits_for(self.state, who, RULES, self.now) for name, who in PEOPLE.items()}
        return {name: each for name, each in found.items() if each}


STOP = {"suspend", "withdraw"}
WATCHED = {"ss": STOP, "tax": STOP, "bureau": STOP, "officer": {"suspend"}}
GONE = {"analyst": {"withdraw"}, "head": {"withdraw"}}


def plus(base, **more):
    names = set(base) | set(more)
    return {name: base.get(name, set()) | more.get(name, set()) for name in names}


ALIVE = plus(WATCHED, **GONE)


def test_what_is_offered_from_the_submission_to_the_grant():
    story = Story()
    assert story.offers() == plus(ALIVE, head={"sign"})
    story.then(acts.sign, HEAD)
    assert story.offers() == plus(ALIVE, bureau={"accept", "return"})
    assert story.waits() == {"bureau": "check"}
    story.then(acts.send_back, BUREAU, ["项目批复"])
    assert story.offers() == plus(ALIVE, head={"complete"})
    story.then(acts.complete, HEAD, application())
    assert story.offers() == plus(ALIVE, bureau={"accept"})  # returned once only
    story.then(acts.accept, BUREAU)
    assert story.offers() == plus(ALIVE, ss={"answer", "extend"}, tax={"answer", "extend"})
    assert story.waits() == {"ss": "answer", "tax": "answer"}
    story.then(acts.extend, SS, 5, "数据量大", rules=(RULES,))
    assert story.offers()["ss"] == STOP | {"answer"}
    assert (story.offers()["bureau"], story.waits()["bureau"]) == (STOP | {"consent"}, "consent")
    story.granted_by(SS)
    assert story.offers()["ss"] == STOP | {"deliver"}
    assert "bureau" not in story.waits()
    story.then(acts.deliver, SS)
    assert story.offers() == plus(ALIVE, tax={"answer", "extend"})


def test_what_is_offered_when_a_term_is_over_and_in_a_dispute():
    story = Story().refused_by_ss()
    assert disputable(story.state, ANALYST, RULES, story.now) == ["ss"]
    story.now += 30 * DAY
    assert disputable(story.state, HEAD, RULES, story.now) == ["ss", "tax"]  # it is late
    assert disputable(story.state, SS, RULES, story.now) == []
    assert story.offers()["tax"] == STOP | {"answer"}  # too late for more time
    assert story.offers()["analyst"] == {"withdraw", "object"}
    story.then(stopping.object_to, ANALYST, "ss", "与职责有关", rules=(RULES,))
    sides = {"analyst": {"escalate", "settle"}, "head": {"escalate", "settle"}}
    both = plus(ALIVE, **sides, ss={"answer", "escalate"}, tax={"answer"}, bureau={"escalate"})
    assert story.offers() == both
    assert story.waits() == {"ss": "dispute", "tax": "answer"}
    story.then(stopping.escalate, SS, "协商不成")
    assert story.offers() == plus(both, bureau={"settle"})
    assert story.waits()["bureau"] == "settle"
    story.then(stopping.escalate, ANALYST, "不服").then(stopping.escalate, BUREAU, "不服")
    assert not any("escalate" in each for each in story.offers().values())
    story.then(stopping.settle, BUREAU, "应当共享")
    assert story.offers()["head"] == {"withdraw", "object"}


def test_what_is_offered_of_a_grant_that_is_stopped():
    story = Story().accepted().granted_by(SS).granted_by(TAX)
    story.state = later(story.state, stopping.suspend(story.state, "核查", SS, story.now, LAW))
    assert story.offers()["ss"] == {"resume", "withdraw", "deliver"}
    assert disputable(story.state, ANALYST, RULES, story.now) == ["ss"]
    story.state = later(story.state, stopping.suspend(story.state, "核查", OFFICER, story.now))
    assert story.offers()["officer"] == {"resume"}
    assert story.offers()["bureau"] == {"resume", "withdraw"}
    story.state = later(story.state, stopping.withdraw(story.state, "完成", ANALYST, story.now))
    assert story.offers() == {}


def test_what_is_offered_of_an_emergency():
    story = Story(Lane.EMERGENCY)
    approve = {"approve"}
    assert story.offers() == plus(ALIVE, ss=approve, tax=approve, officer=approve)
    assert story.waits() == {"ss": "approve", "tax": "approve", "officer": "approve"}
    story.then(stopping.approve, OFFICER)
    assert story.offers() == plus(ALIVE, ss=approve, tax=approve)
    assert "approve" not in offered(story.state, SECOND, RULES, story.now)
    story.then(stopping.approve, SS).then(stopping.approve, TAX)
    assert story.offers() == ALIVE
    story.now += 2 * DAY
    assert (story.offers(), story.waits()) == ({"bureau": {"review"}}, {"bureau": "review"})
    story.then(stopping.review, BUREAU, "使用正当")
    assert (story.offers(), story.waits()) == ({}, {})


def test_every_act_has_its_words_and_its_article_and_every_wait_its_words():
    assert set(ARTICLES) == set(Act)
    assert set(HAPPENED) == set(map(str, Act))
    assert {
        "answer",
        "approve",
        "deliver",
        "dispute",
        "check",
        "consent",
        "settle",
        "review",
    } == set(WAITS)


def test_whoever_tries_changes_nothing():
    story = Story().refused_by_ss()
    before = (story.state, tuple(story.events))
    for who in PEOPLE.values():
        offered(story.state, who, RULES, story.now)
    assert (story.state, tuple(story.events)) == before
    with pytest.raises(QueryError):
        acts.sign(story.state, HEAD, story.now)


# --- the time line --------------------------------------------------------------------------------------------------


def test_a_deadline_stands_at_the_events_that_began_and_met_it():
    story = Story().accepted()
    story.then(acts.answer, SS, story.refusal(), days=3)
    steps = timeline(story.events, story.state, RULES, story.now)
    accepted, answered = steps[2], steps[3]
    assert [mark.term.department for mark in accepted.began] == ["ss", "tax"]
    assert [(mark.term.department, mark.left) for mark in answered.met] == [("ss", 7)]
    assert answered.began == ()  # nothing was granted, so nothing is to be delivered
    ahead = running(story.state, RULES, story.now)
    assert [(mark.term.name, mark.term.department, mark.left) for mark in ahead] == [
        ("answer_conditional", "tax", 7)
    ]


def test_what_is_late_says_by_how_many_working_days():
    story = Story().accepted()
    due = running(story.state, RULES, story.now)[0].term.due.date
    assert due.isoformat() == "2026-09-28"  # a Sunday is worked, three days are off
    story.now = datetime(2026, 9, 29, 1, tzinfo=UTC)
    assert {mark.left for mark in running(story.state, RULES, story.now)} == {-1}
    story.then(acts.answer, SS, story.refusal())
    met = timeline(story.events, story.state, RULES, story.now)[-1].met
    assert [mark.left for mark in met] == [-1]
    story.now += 30 * DAY
    met = timeline(story.events, story.state, RULES, story.now)[-1].met
    assert [mark.left for mark in met] == [-1]  # what is met is later no later


def test_nobody_waits_for_what_was_withdrawn():
    story = Story().accepted()
    gone = stopping.withdraw(story.state, "停止采集", TAX, story.now, LAW)
    state = later(story.state, gone)
    assert [mark.term.department for mark in running(state, RULES, story.now)] == ["ss"]
    state = later(state, stopping.withdraw(state, "完成", HEAD, story.now))
    assert running(state, RULES, story.now) == ()


def test_the_applicant_is_the_same_under_every_spelling_of_the_login():
    story, stranger = Story(), person("wu", "drc", Role.ANALYST)
    for who in (ANALYST, person("LIN", "drc", Role.ANALYST)):
        assert offered(story.state, who, RULES, story.now) == {"again", "withdraw"}
    assert offered(story.state, stranger, RULES, story.now) == set()
