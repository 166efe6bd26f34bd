"""The life of a ticket by a clock: who may do what, what is due when, what the log and the catalogue say of it."""

import json
from dataclasses import replace

import pytest
from steady import SeededRng

from middleplatform.accountability import ticket_acts as acts
from middleplatform.accountability.assets import asset_states
from middleplatform.accountability.ticket_desk import TicketDesk, _act, number_of, tickets, told
from middleplatform.accountability.tickets import Phase
from middleplatform.accountability.tickets import Subject as About
from middleplatform.errors import MiddleplatformError
from middleplatform.governance.desk import Desk
from middleplatform.governance.terms import Rules
from middleplatform.model.record import AuditRecord
from middleplatform.policy import regulation

POPULATION = About("ga.population", "ga.population.sex")
LAW = "《政务数据共享条例》第二十六条"
IDENTITY = "110105" + "19491231" + "002X"


@pytest.fixture
def desk(store, log, clock, catalog, rules):
    return TicketDesk(Desk(store, clock, SeededRng(), log), catalog, rules, log.entry)


@pytest.fixture
def opened(desk, people):
    return desk.open("correction", POPULATION, "三区性别代码有误", people["analyst_drc"])


def refused(code, act, *given):
    with pytest.raises(MiddleplatformError) as caught:
        act(*given)
    assert caught.value.code == code
    return caught.value.public_message


def answered(desk, people, outcome="corrected", basis=LAW):
    ga = people["steward_ga"]
    desk.act(1, ga, lambda ticket, now: acts.take(ticket, ga, now))
    return desk.act(
        1, ga, lambda ticket, now: acts.answer(ticket, outcome, "已核对", basis, ga, now)
    )


def state_of(desk, name="ga.population"):
    with desk.desk.store.reading() as connection:
        return asset_states([name], tickets(connection))[0].state


def test_a_ticket_goes_its_way_and_the_dataset_shows_it(desk, people, opened, log):
    assert (opened.number, opened.department, opened.phase) == ("YY1", "ga", Phase.OPEN)
    assert state_of(desk) == "disputed"
    found = answered(desk, people)
    assert (found.phase, found.outcome, found.answered_by) == (
        Phase.ANSWERED,
        "corrected",
        "steward_ga",
    )
    assert state_of(desk) == "corrected"
    assert state_of(desk, "tax.individual_income") == "undisputed"
    analyst = people["analyst_drc"]
    closed = desk.act(1, analyst, lambda ticket, now: acts.close(ticket, analyst, now))
    assert (closed.phase, state_of(desk)) == (Phase.CLOSED, "corrected")
    acts_of_log = [each.record.body["events"][0]["act"] for each in log.entries()]
    assert acts_of_log == ["opened", "taken", "answered", "closed"]
    assert [each.record.event for each in log.entries()] == ["ticket"] * 4


def test_it_is_due_ten_working_days_later_by_article_26(desk, people, opened, clock, rules):
    shown = told(opened, rules, clock.now())
    assert (shown["due"], shown["article"]) == (
        "2026-10-09",
        "第二十六条",
    )  # a Sunday is worked, two sets of days off
    clock.pass_days(20)
    assert desk.listed(people["bureau"], overdue=True) == ()
    clock.pass_days(2)
    assert [each.number for each in desk.listed(people["bureau"], overdue=True)] == ["YY1"]
    assert not told(answered(desk, people), rules, clock.now())["overdue"]


@pytest.mark.usefixtures("opened")
def test_only_the_two_sides_and_those_who_watch_see_it(desk, people):
    for name in ("analyst_drc", "steward_ga", "bureau", "auditor", "officer_a"):
        assert desk.show(1, people[name]).number == "YY1"
    refused("Q041", desk.show, 1, people["steward_tax"])
    assert desk.listed(people["steward_tax"]) == ()


def test_nobody_acts_for_another(desk, people, opened):
    tax, bureau, analyst = people["steward_tax"], people["bureau"], people["analyst_drc"]
    now = opened.opened_at
    refused("P004", acts.take, opened, tax, now)
    refused("P004", acts.take, opened, bureau, now)
    refused("P004", acts.withdraw, opened, "误报", tax, now)
    refused("P004", desk.open, "objection", POPULATION, "x", people["auditor"])
    ended = answered(desk, people)
    refused("P004", acts.close, ended, tax, now)
    refused("P004", acts.reopen, ended, "仍有误", bureau, now)
    assert acts.close(ended, bureau, now)
    assert acts.reopen(ended, "仍有误", analyst, now)
    for who in (replace(analyst, id="other"), replace(analyst, department="tax")):
        refused("P004", acts.reopen, ended, "仍有误", who, now)
    assert acts.reopen(ended, "仍有误", replace(analyst, id=analyst.id.upper()), now)


@pytest.mark.parametrize("outcome", ["unfounded", "partly", "corrected"])
def test_an_answer_needs_words_and_a_basis_and_the_law_unless_all_is_corrected(
    desk, people, opened, outcome
):
    ga = people["steward_ga"]
    refused(
        "Q040", acts.answer, opened, outcome, "已核对", LAW, ga, opened.opened_at
    )  # not taken yet
    taken = desk.act(1, ga, lambda ticket, now: acts.take(ticket, ga, now))
    refused("Q040", acts.answer, taken, outcome, "", LAW, ga, opened.opened_at)
    refused("Q040", acts.answer, taken, outcome, "已核对", " ", ga, opened.opened_at)
    refused("Q040", acts.answer, taken, "perhaps", "已核对", LAW, ga, opened.opened_at)
    if outcome == "corrected":
        assert acts.answer(taken, outcome, "已核对", "户籍底册", ga, opened.opened_at)
    else:
        refused("Q040", acts.answer, taken, outcome, "已核对", "惯例", ga, opened.opened_at)


@pytest.mark.usefixtures("opened")
def test_who_contradicts_an_answer_gets_a_new_term_a_few_times(desk, people, clock, rules):
    analyst, ga = people["analyst_drc"], people["steward_ga"]
    answered(desk, people)
    for _ in range(3):
        clock.pass_days(30)
        again = desk.act(
            1, analyst, lambda ticket, now: acts.reopen(ticket, "仍有误", analyst, now)
        )
        assert (again.phase, again.opened_at, again.outcome) == (Phase.OPEN, clock.now(), "")
        assert not told(again, rules, clock.now())["overdue"]
        desk.act(1, ga, lambda ticket, now: acts.take(ticket, ga, now))
        ended = desk.act(1, ga, lambda t, now: acts.answer(t, "partly", "部分", LAW, ga, now))
    refused("Q040", acts.reopen, ended, "仍有误", analyst, clock.now())


def test_the_decree_knows_no_extension_and_local_rules_may(people, opened, rules, tmp_path):
    bureau, now = people["bureau"], opened.opened_at
    assert "第二十六条" in refused("Q040", acts.extend, opened, 3, "量大", bureau, now, rules)
    text = (regulation.policies.root() / "regulation.yaml").read_text(encoding="utf-8")
    local = tmp_path / "local.yaml"
    local.write_text(
        text.replace("correct, working_days: 10,", "correct, working_days: 10, extension: 5,"),
        encoding="utf-8",
    )
    mild = Rules(regulation.load(local))
    refused("P004", acts.extend, opened, 3, "量大", people["steward_ga"], now, mild)
    refused("Q040", acts.extend, opened, 6, "量大", bureau, now, mild)
    assert acts.extend(opened, 5, "量大", bureau, now, mild).days == 5


def test_no_text_of_a_ticket_holds_an_identity_number(desk, people, opened):
    analyst, ga, now = people["analyst_drc"], people["steward_ga"], opened.opened_at
    refused("Q040", desk.open, "objection", POPULATION, f"{IDENTITY} 重复", analyst)
    taken = desk.act(1, ga, lambda ticket, now: acts.take(ticket, ga, now))
    refused("Q040", acts.answer, taken, "corrected", f"改正 {IDENTITY}", LAW, ga, now)
    refused("Q040", acts.answer, taken, "corrected", "改正", f"{LAW} {IDENTITY}", ga, now)
    refused("Q040", acts.withdraw, taken, IDENTITY, analyst, now)


@pytest.mark.parametrize(
    ("about", "code"),
    [(About("ga.nothing"), "Q021"), (About("ga.population", "ga.population.nothing"), "Q020"),
     (About("ga.population", "tax.individual_income.income_total"), "Q020"), (About(""), "Q021")],
)  # fmt: skip
def test_a_ticket_is_about_data_that_exists(desk, people, about, code):
    refused(code, desk.open, "objection", about, "有误", people["analyst_drc"])


def test_a_release_is_named_by_those_who_got_it(desk, people, log):
    body = {
        "at": "2026-09-01T00:00:00+00:00",
        "department": "drc",
        "recipient": "drc",
        "datasets": ["ga.population"],
    }
    index = log.append(AuditRecord("released", body)).index
    two = log.append(
        AuditRecord("released", {**body, "datasets": ["ga.population", "tax.individual_income"]})
    ).index
    other = log.append(AuditRecord("refused", body)).index
    analyst = people["analyst_drc"]
    found = desk.open("objection", About("", release=index), "合计有误", analyst)
    assert found.about == About("ga.population", "", index)
    refused("Q040", desk.open, "objection", About("", release=two), "合计有误", analyst)
    assert (
        desk.open(
            "objection", About("tax.individual_income", release=two), "有误", analyst
        ).department
        == "tax"
    )
    wrong = [refused("Q041", desk.open, "objection", About("", release=each), "x", who)
             for each, who in ((index, people["steward_tax"]), (other, analyst), (999, analyst))]  # fmt: skip
    assert (
        len(
            {
                text.replace(str(index), "N").replace(str(other), "N").replace("999", "N")
                for text in wrong
            }
        )
        == 1
    )


def test_what_is_told_is_json_and_numbers_are_read_back(opened, rules, clock):
    assert json.loads(json.dumps(told(opened, rules, clock.now())))["release"] is None
    assert [number_of(text) for text in ("YY7", " yy7", "7")] == [7, 7, 7]
    refused("Q041", number_of, "GX7")


def test_a_process_that_knows_no_tickets_finishes_the_act_of_one_that_died(
    desk, people, log, clock, store
):
    event = acts.open_ticket(
        "objection", POPULATION, "有误", people["analyst_drc"], clock.now(), desk.catalog
    )
    desk.desk._begin(lambda connection, _: _act(connection, 1, 0, event, people["analyst_drc"]))
    assert desk.listed(people["bureau"]) == ()  # decided, and neither in the log nor in force
    assert Desk(store, clock, SeededRng(b"other"), log).finish()
    assert [each.number for each in desk.listed(people["bureau"])] == ["YY1"]
    assert [each.record.event for each in log.entries()] == ["ticket"]
    assert not Desk(store, clock, SeededRng(b"third"), log).finish()
