"""Are the figures of conduct those that one counts by hand in a made-up history?"""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from steady import SeededRng

from middleplatform import policy
from middleplatform.accountability import ticket_acts, transparency
from middleplatform.accountability.accounts import Accounts
from middleplatform.accountability.conduct import beyond, plain
from middleplatform.accountability.figures import percent
from middleplatform.accountability.periods import Period
from middleplatform.accountability.tickets import Subject as About
from middleplatform.errors import PolicyError, QueryError
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import Answer
from middleplatform.governance.desk import Desk
from middleplatform.governance.handling import Handling
from middleplatform.model.record import AuditRecord
from middleplatform.policy.examples import example

SS = ["ss.insurance.contribution_base", "ss.insurance.plan_code"]
TAX = ["tax.individual_income.income_total"]
WISH = {
    "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "planning", "operations": ["aggregate"],
    "columns": [*SS, *TAX], "ends": "2027-06-30",
}  # fmt: skip
LAW = "《税收征收管理法》第八条"
EMPTY = frozenset()


@pytest.fixture(scope="module")
def bundle(catalog):
    return policy.load(example("demo"), catalog)


@pytest.fixture
def desk(store, clock, log):
    return Desk(store, clock, SeededRng(), log)


@pytest.fixture
def accounts(log, store, catalog, bundle, rules, clock):
    return Accounts(log, store, catalog, bundle, rules, clock)


@pytest.fixture
def history(desk, bundle, rules, people, clock):
    """Make four applications and what came of them; it is the 2026-11-17 then."""
    handling = Handling(desk, bundle, rules)
    head, bureau = people["steward_drc"], people["bureau"]
    ss, tax = people["steward_ss"], people["steward_tax"]

    def does(number, who, make):
        return handling.act(number, who, make)

    def applied(columns):
        number = int(handling.apply({**WISH, "columns": columns}, head).number[2:])
        does(number, bureau, lambda state, now: acts.accept(state, bureau, now))
        return number

    def answers(number, who, columns, reason="", basis=""):
        def make(state, now):
            wish = state.application
            given = Answer(frozenset(columns), wish.operations if columns else EMPTY,
                           wish.regions if columns else (), wish.ends, reason, basis)  # fmt: skip
            return acts.answer(state, given, who, now)

        does(number, who, make)

    first, second = applied([*SS, *TAX]), applied([*SS, *TAX])
    does(second, tax, lambda s, now: acts.extend(s, 5, "量大", tax, now, rules))
    does(second, bureau, lambda s, now: acts.consent(s, "tax", bureau, now, rules))
    clock.pass_days(3)
    answers(first, ss, SS)
    does(first, ss, lambda s, now: acts.deliver(s, ss, now))
    answers(second, ss, SS[:1], "最小必要", "《政务数据共享条例》第二十五条")
    clock.pass_days(27)  # 2026-10-18: ten working days were over on the 9th, fifteen on the 16th
    answers(first, tax, (), "商业秘密", LAW)
    does(first, head, lambda s, now: stopping.object_to(s, "tax", "依据不足", head, now, rules))
    does(first, head, lambda s, now: stopping.escalate(s, "协商未果", head, now))
    clock.pass_days(1)
    answers(first, tax, TAX)  # a dispute opens the answer again
    clock.pass_days(22)
    third = applied(TAX)
    fourth = applied(SS[:1])
    does(fourth, head, lambda s, now: stopping.withdraw(s, "不再需要", head, now))
    clock.pass_days(7)
    return first, second, third


def of(accounts, name, **changes):
    return next(each for each in accounts.figures(**changes) if each.department == name)


@pytest.mark.usefixtures("history")
def test_every_figure_is_the_one_counted_by_hand(accounts):
    ss, tax, ga = (of(accounts, name) for name in ("ss", "tax", "ga"))
    assert (ss.asked, ss.in_time, ss.late, ss.waiting, ss.overdue) == (2, 2, 0, 0, 0)
    assert (ss.refused, ss.partly, ss.with_basis) == (0, 1, 1)
    assert (ss.columns_asked, ss.columns_granted) == (4, 3)
    assert (ss.delivered_in_time, ss.delivered_late) == (1, 1)
    assert (ss.objections, ss.escalations) == (0, 0)
    assert (tax.asked, tax.in_time, tax.late, tax.waiting, tax.overdue) == (3, 0, 1, 1, 1)
    assert (tax.extended, tax.objections, tax.escalations) == (1, 1, 1)
    assert (tax.refused, tax.columns_asked, tax.columns_granted) == (
        0,
        1,
        1,
    )  # the last answer counts
    assert (tax.delivered_in_time, tax.delivered_late) == (
        0,
        1,
    )  # twenty days after the 19th is the 16th
    assert (ga.asked, ga.rates()["in_time_percent"]) == (0, None)
    assert ss.rates()["coverage_percent"] == 75
    assert tax.rates()["in_time_percent"] == 0
    assert ss.certain
    assert json.loads(json.dumps(ss.plain()))["with_basis_percent"] == 100


@pytest.mark.usefixtures("history")
def test_a_period_takes_what_came_in_then(accounts):
    autumn = Period(stop=datetime(2026, 11, 1, tzinfo=UTC))
    assert (
        of(accounts, "tax", period=autumn).asked,
        of(accounts, "tax", period=autumn).waiting,
    ) == (2, 0)
    later = Period(start=datetime(2026, 11, 1, tzinfo=UTC))
    assert (of(accounts, "tax", period=later).asked, of(accounts, "tax", period=later).waiting) == (
        1,
        1,
    )
    assert of(accounts, "tax", period=later).objections == 0


def test_a_stale_dataset_is_fresh_again_when_it_was_corrected(accounts, desk, people, clock):
    names = [name for name, each in accounts.catalog.datasets.items() if each.owner == "ga"]
    assert of(accounts, "ga").stale == tuple(names)  # assessed a year and some days before
    assert of(accounts, "ga", stale_days=400).stale == ()
    ga, tickets = people["steward_ga"], accounts.tickets(desk)
    tickets.open("correction", About(names[0]), "有误", people["analyst_drc"])
    tickets.open("objection", About(names[0]), "有误", people["analyst_drc"])
    tickets.act(1, ga, lambda ticket, now: ticket_acts.take(ticket, ga, now))
    tickets.act(1, ga, lambda t, now: ticket_acts.answer(t, "corrected", "已改", "底册", ga, now))
    assert of(accounts, "ga").stale == tuple(names[1:])
    clock.pass_days(30)
    found = of(accounts, "ga")
    assert (found.tickets, found.tickets_in_time, found.tickets_late, found.tickets_corrected) == (
        2,
        1,
        1,
        1,
    )
    assert accounts.assets([names[0]])[0].state == "disputed"


def test_refusals_that_were_read_are_not_read_again(log, clock):
    def refused(code, department="drc"):
        at = clock.now().isoformat()
        log.append(AuditRecord("refused", {"at": at, "code": code, "department": department}))

    starts, holding = [], log.holding

    def counted(first, second=b"", start=0):
        starts.append(start)
        return holding(first, second, start)

    log.holding = counted
    assert beyond(log) == ()
    refused("P003")
    refused("P001")
    refused("P002", "tax")
    said = [(clock.now(), "drc"), (clock.now(), "tax")]
    for _ in range(3):
        assert list(beyond(log)) == said
    refused("P003")
    assert list(beyond(log)) == [*said, (clock.now(), "drc")]
    assert starts == [0, 3]


@pytest.mark.usefixtures("history")
def test_findings_name_the_article_of_the_duty(accounts, log, clock):
    refused = {"at": clock.now().isoformat(), "department": "drc", "code": "P003"}
    log.append(AuditRecord("refused", refused))
    log.append(AuditRecord("refused", {**refused, "code": "P001"}))
    found = [plain(each) for each in accounts.findings()]
    told = {
        (each["side"], each["department"], each["article"], each["about"])
        for each in found
        if each["article"] != "第十七条"
    }
    assert told == {
        ("provider", "tax", "第二十一条", "GX1"), ("provider", "tax", "第二十一条", "GX2"),
        ("provider", "ss", "第二十二条", "GX2"), ("provider", "tax", "第二十二条", "GX1"), ("demander", "drc", "第二十五条", ""),
    }  # fmt: skip
    assert {each["sanction"] for each in found} == {"第三十九条", "第四十条"}
    assert accounts.findings(Period(stop=datetime(2026, 9, 1, tzinfo=UTC)))[0].article == "第十七条"


@pytest.mark.usefixtures("history")
def test_a_grant_that_was_changed_is_still_known_by_its_first_id(accounts):
    known = accounts.approvals()
    assert {"GX1/ss", "GX2/ss", "GX1/tax/2"} <= known.keys()
    assert "GX1/tax" not in known  # that answer was a refusal
    assert known["GX1/ss"].scenario == "测算"
    assert known["GX1/ss"].approved_by == ("steward_ss",)
    assert known["共享批〔2026〕001号"].approved_by == ("officer_a", "officer_b")
    assert known["共享批〔2026〕001号"].scenario


def test_a_second_answer_after_a_dispute_is_not_late_when_the_first_was_not(
    accounts, desk, bundle, rules, people, clock
):
    handling, tax, head, bureau = (
        Handling(desk, bundle, rules),
        people["steward_tax"],
        people["steward_drc"],
        people["bureau"],
    )
    handling.apply({**WISH, "columns": TAX}, head)
    handling.act(1, bureau, lambda s, now: acts.accept(s, bureau, now))
    nothing = Answer(EMPTY, EMPTY, (), datetime(2027, 6, 29, 16, tzinfo=UTC), "商业秘密", LAW)
    handling.act(1, tax, lambda s, now: acts.answer(s, nothing, tax, now))
    clock.pass_days(40)
    handling.act(1, head, lambda s, now: stopping.object_to(s, "tax", "依据不足", head, now, rules))
    handling.act(1, tax, lambda s, now: acts.answer(s, nothing, tax, now))
    assert (of(accounts, "tax").in_time, of(accounts, "tax").late, of(accounts, "tax").refused) == (
        1,
        0,
        1,
    )
    assert not [each for each in accounts.findings() if each.about == "GX1"]


def asked(log, count, **changes):
    body = {
        "at": "2026-08-05T03:00:00+00:00",
        "department": "drc",
        "recipient": "drc",
        "purpose": "planning",
    }
    for number in range(count):
        one = {**body, "query_id": f"q{number}", **changes}
        log.append(AuditRecord("received", one))
        log.append(AuditRecord("released", {**one, "datasets": ["ga.population"]}))


def test_the_public_page_tells_no_small_count_and_no_name_of_a_person(accounts, log):
    asked(log, 23, subject="lin")
    for _ in range(9):
        log.append(
            AuditRecord(
                "refused",
                {
                    "at": "2026-08-05T03:00:00+00:00",
                    "department": "tax",
                    "rule": "R3",
                    "purpose": "planning",
                },
            )
        )
    for _ in range(11):
        log.append(
            AuditRecord(
                "refused",
                {
                    "at": "2026-08-31T15:59:59+00:00",
                    "department": "tax",
                    "rule": "R5",
                    "purpose": "planning",
                },
            )
        )
    log.append(
        AuditRecord(
            "refused",
            {
                "at": "2026-08-31T16:00:00+00:00",
                "department": "tax",
                "rule": "R5",
                "purpose": "planning",
            },
        )
    )
    page = accounts.transparency("2026-08")
    assert page.totals["questions"] == "20+"
    assert page.totals["refused"] == "20+"
    assert page.totals["failed"] == "<10"
    assert page.rules == {"R5": "10+"}
    assert page.purposes["planning"] == "20+"
    assert set(page.purposes) == set(accounts.bundle.purposes)
    assert page.providing["ga"] == "20+"
    assert page.providing["tax"] == "<10"
    shown = transparency.as_html(page) + json.dumps(transparency.plain(page))
    assert "lin" not in shown.replace("line", "").replace("Policy", "")
    assert "<script" not in shown
    assert (
        accounts.transparency("2026-07").totals["questions"] == "<10"
    )  # as if nothing had been asked


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "<10"), (1, "<10"), (9, "<10"), (10, "10+"), (19, "10+"), (20, "20+"), (1234, "1230+")],
)
def test_counts_are_told_in_tens(count, told):
    assert transparency.shown(count) == told


@pytest.mark.parametrize("month", ["2026-09", "2026-13", "2026-1", "now", "0001-00", "9999-12"])
def test_only_a_whole_month_that_is_over_is_published(accounts, month):
    with pytest.raises(QueryError):
        accounts.transparency(month)


class Unread:
    """A log of which nothing but the first entry may be read."""

    def __init__(self, log):
        self.size, self.entry = log.size, log.entry


def test_a_month_before_the_log_began_costs_no_look_through_it(accounts, log):
    asked(log, 2, subject="lin")
    began = log.entry(0).at
    page = replace(accounts, log=Unread(log)).transparency(f"{began.year - 1}-12")
    assert page.totals["questions"] == "<10"


def test_the_last_month_is_published_unless_said(accounts):
    assert accounts.transparency().month == "2026-08"


def test_who_may_see_what(accounts, people):
    for name in ("auditor", "bureau", "officer_a"):
        accounts.check_department(people[name], "ga")
    accounts.check_department(people["steward_ga"], "ga")
    for name in ("steward_tax", "analyst_drc"):
        with pytest.raises(PolicyError):
            accounts.check_department(people[name], "ga")
        with pytest.raises(PolicyError):
            accounts.check_watcher(people[name])


def test_of_nothing_there_is_no_rate():
    assert (percent(0, 0), percent(1, 3), percent(0, 5)) == (None, 33, 0)


def test_the_checklist_of_an_inspection_says_what_holds(accounts, log, history, people):
    roles = {name: each.roles for name, each in people.items()}
    told = {each.code: each for each in accounts.inspection([])}
    assert (told["separation"].good, told["administrators"].good) == (None, None)
    assert (told["log"].good, told["witness"].good, told["retention"].good) == (True, False, True)
    assert told["applications"].seen == "GX1, GX2"  # its grants were to be served by now
    assert (told["catalogue"].good, told["refusals"].good, told["tickets"].good) == (
        False,
        True,
        True,
    )
    some = [("o", roles["officer_a"]), ("a", roles["auditor"])]
    told = {each.code: each for each in accounts.inspection(some)}
    assert (told["separation"].good, told["administrators"].seen) == (True, "system_administrator")
    both = [("O", roles["officer_a"]), ("o", roles["auditor"])]
    assert not {each.code: each for each in accounts.inspection(both)}["separation"].good
    assert len(history) == 3
    assert log.size
