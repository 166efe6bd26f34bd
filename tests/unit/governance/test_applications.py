"""Hand-made histories: what each person may do, what is due when, and what an application is made of."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from middleplatform import catalog as catalogs
from middleplatform import policy
from middleplatform.errors import MiddleplatformError, PolicyError, QueryError
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import STEPS, Act, Answer, Lane, Phase, fold, later
from middleplatform.governance.granted import granted
from middleplatform.governance.handling import number_of, visible
from middleplatform.governance.terms import Rules, terms
from middleplatform.governance.told import late, told
from middleplatform.governance.wanting import wanted
from middleplatform.model.request import Role, Subject
from middleplatform.policy import regulation
from middleplatform.policy.examples import example
from middleplatform.policy.suite import personas
from middleplatform.policy.wishes import checked, read_wish

PEOPLE = personas(example("demo") / "personas.yaml")
ANALYST, HEAD, BUREAU = PEOPLE["analyst_drc"], PEOPLE["steward_drc"], PEOPLE["bureau"]
SS, TAX, OFFICER = PEOPLE["steward_ss"], PEOPLE["steward_tax"], PEOPLE["officer_a"]
RULES = Rules(regulation.load())
FRIDAY = datetime(
    2026, 9, 18, 2, tzinfo=UTC
)  # before the Sunday that is worked and two sets of days off
LAW = "《税收征收管理法》第八条"
WISH = {
    "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "planning", "operations": ["aggregate"],
    "columns": ["ss.insurance.contribution_base", "tax.individual_income.income_total"], "ends": "2027-06-30",
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle():
    return policy.load(example("demo"), catalogs.load(example("demo") / "catalog"))


@pytest.fixture
def made(bundle):
    """Return what makes an application from changed wishes, as the steward submits it."""

    def make(who=HEAD, lane=Lane.ORDINARY, **changes):
        raw = {name: value for name, value in {**WISH, **changes}.items() if value is not None}
        application = wanted(checked(raw), who, bundle, FRIDAY, lane)
        return fold("GX1", acts.submit(application, who, FRIDAY, RULES))

    return make


def all_of(state, who):
    wish, part = state.application, state.parts[who.department]
    return Answer(part.columns, wish.operations, wish.regions, wish.ends)


def refused(code, act, *given):
    with pytest.raises(MiddleplatformError) as caught:
        act(*given)
    assert caught.value.code == code
    return caught.value.public_message


# --- what is applied for ------------------------------------------------------------------------------------------


def test_a_star_is_spelled_out_without_what_is_not_shared(made, bundle):
    names = {each.name for each in made(columns=["ga.population.*"]).application.columns}
    assert "ga.population.key_person_flag" not in names
    assert "ga.population.education_years" in names
    assert len(names) == sum(
        "denied" not in r.uses for r in bundle.datasets["ga.population"].columns.values()
    )


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ("ga.population.key_person_flag", "P001"),
        ("ga.population.nothing", "Q020"),
        ("ga.nothing.sex", "Q021"),
        ("sex", "Q021"),
    ],
)
def test_what_is_not_shared_or_not_there_cannot_be_applied_for(made, columns, code):
    with pytest.raises(MiddleplatformError) as caught:
        made(columns=[columns])
    assert caught.value.code == code


def test_a_day_begins_in_china_and_the_applicant_is_who_it_is_for(made):
    application = made(starts="2026-10-01").application
    assert application.starts == datetime(2026, 9, 30, 16, tzinfo=UTC)
    assert application.subjects == {"steward_drc"}
    assert made(everyone=True).application.subjects == frozenset()


@pytest.mark.parametrize(
    "changes",
    [{"operations": ["steal"]}, {"columns": []}, {"regions": ["99"]}, {"ends": "soon"}, {"ends": None},
     {"ends": "2026-02-30"}, {"ends": "2026-09-01"}, {"purpose": "gossip"}, {"mode": "download"}, {"hours": 3}, {"extra": 1}],
)  # fmt: skip
def test_an_application_that_makes_no_sense_is_not_taken(made, changes):
    with pytest.raises(QueryError) as caught:
        made(**changes)
    assert caught.value.code == "Q040"


def test_a_file_is_read_like_the_options(made, bundle, tmp_path):
    file = tmp_path / "wish.yaml"
    file.write_text(
        "basis: 《统计法》第三条\nscenario: 测算\nscope: 全市\npurpose: planning\noperations: [aggregate]\n"
        "columns: [ss.insurance.contribution_base, tax.individual_income.income_total]\n"
        "regions: [990101]\nends: 2027-06-30\n",
        encoding="utf-8",
    )
    read = wanted(read_wish(file), HEAD, bundle, FRIDAY)
    assert read == made(regions=["990101"]).application
    file.write_text("columns: [a\n", encoding="utf-8")
    assert "wish.yaml:2" in refused("Q040", read_wish, file)


# --- the fast lane ------------------------------------------------------------------------------------------------


def test_unconditional_data_is_answered_by_nobody_and_yields_no_grant(made):
    state = made(who=ANALYST, columns=["ga.population.sex", "ga.population.region_code"])
    assert (state.events, state.phase(FRIDAY), granted(state)) == (1, Phase.ANSWERED, ())
    (term,) = terms(state, RULES, FRIDAY)
    assert (term.name, term.met_at, term.overdue(FRIDAY)) == ("answer_unconditional", FRIDAY, False)


def test_only_the_conditional_part_of_a_mixed_application_is_asked_for(made):
    state = made(columns=["ga.population.sex", "ss.insurance.contribution_base"])
    assert list(state.parts) == ["ss"]
    assert state.open_columns == {"ga.population.sex"}


# --- signature and desk check -------------------------------------------------------------------------------------


def test_an_analysts_application_waits_for_the_own_stewards_signature(made):
    state = made(who=ANALYST)
    assert state.phase(FRIDAY) is Phase.UNSIGNED
    for other in (ANALYST, SS, BUREAU, OFFICER):
        refused("P004", acts.sign, state, other, FRIDAY)
    state = later(state, acts.sign(state, HEAD, FRIDAY))
    assert (state.phase(FRIDAY), state.signed_by) == (Phase.CHECKING, "steward_drc")


def test_nobody_applies_for_another_department(made):
    application = made().application
    for other in (TAX, BUREAU, replace(ANALYST, department="tax"), PEOPLE["auditor"]):
        refused("P004", acts.submit, application, other, FRIDAY, RULES)


def test_an_incomplete_file_is_returned_once_with_all_that_is_missing_and_never_again(made):
    state = made(basis=None, scenario=" ")
    assert "basis, scenario" in refused("Q040", acts.accept, state, BUREAU, FRIDAY)
    refused("Q040", acts.send_back, state, [" "], BUREAU, FRIDAY)
    refused("P004", acts.send_back, state, ["basis"], SS, FRIDAY)
    state = later(state, acts.send_back(state, ["basis", "scenario"], BUREAU, FRIDAY))
    assert (state.phase(FRIDAY), state.missing) == (Phase.RETURNED, ("basis", "scenario"))
    refused("Q040", acts.accept, state, BUREAU, FRIDAY)
    refused("Q040", acts.complete, state, state.application, HEAD, FRIDAY)
    state = later(state, acts.complete(state, made().application, HEAD, FRIDAY))
    assert "once" in refused("Q040", acts.send_back, state, ["scope"], BUREAU, FRIDAY)
    state = later(state, acts.accept(state, BUREAU, FRIDAY))
    assert state.phase(FRIDAY) is Phase.ANSWERING


def test_nobody_checks_what_he_wrote_or_signed_himself(made):
    both = replace(ANALYST, roles=frozenset({Role.ANALYST, Role.DATA_BUREAU}))
    state = later(made(who=both), acts.sign(made(who=both), HEAD, FRIDAY))
    refused("P004", acts.accept, state, both, FRIDAY)
    refused("P004", acts.send_back, state, ["scope"], both, FRIDAY)
    refused("P004", acts.accept, state, replace(HEAD, roles=both.roles), FRIDAY)


# --- deadlines ----------------------------------------------------------------------------------------------------


@pytest.fixture
def accepted(made):
    state = made()
    return later(state, acts.accept(state, BUREAU, FRIDAY))


def due(state, name, now=FRIDAY):
    return {
        each.department: each.due.date for each in terms(state, RULES, now) if each.name == name
    }


def test_ten_working_days_to_answer_are_counted_over_the_october_days_off(accepted):
    # 20 (Sunday, worked), 21 to 24, 28 to 30 September; 8 and 9 October.
    assert due(accepted, "answer_conditional") == {
        "ss": date(2026, 10, 9),
        "tax": date(2026, 10, 9),
    }
    end = datetime(2026, 10, 9, 16, tzinfo=UTC)
    assert not late(accepted, RULES, end - timedelta(seconds=1))
    assert [each.department for each in late(accepted, RULES, end)] == ["ss", "tax"]


def test_an_extension_needs_a_reason_the_bureaus_consent_and_stays_within_ten_days(accepted):
    refused("Q040", acts.extend, accepted, 11, "数据量大", SS, FRIDAY, RULES)
    refused("Q040", acts.extend, accepted, 0, "数据量大", SS, FRIDAY, RULES)
    refused("Q040", acts.extend, accepted, 5, " ", SS, FRIDAY, RULES)
    refused("Q040", acts.consent, accepted, "ss", BUREAU, FRIDAY, RULES)
    asked = later(accepted, acts.extend(accepted, 10, "数据量大", SS, FRIDAY, RULES))
    assert due(asked, "answer_conditional")["ss"] == date(2026, 10, 9)  # nothing before consent
    refused("P004", acts.consent, asked, "ss", SS, FRIDAY, RULES)
    given = later(asked, acts.consent(asked, "ss", BUREAU, FRIDAY, RULES))
    assert due(given, "answer_conditional") == {"ss": date(2026, 10, 22), "tax": date(2026, 10, 9)}
    refused("Q040", acts.extend, given, 1, "还是", SS, FRIDAY, RULES)
    refused(
        "Q040", acts.extend, accepted, 1, "迟了", SS, datetime(2026, 10, 9, 16, tzinfo=UTC), RULES
    )


def test_a_grant_is_delivered_within_twenty_working_days_of_its_answer(accepted):
    state = later(accepted, acts.answer(accepted, all_of(accepted, SS), SS, FRIDAY))
    assert due(state, "deliver") == {"ss": date(2026, 10, 22)}
    refused("Q040", acts.deliver, accepted, TAX, FRIDAY)
    state = later(state, acts.deliver(state, SS, FRIDAY + timedelta(days=1)))
    assert not late(state, RULES, datetime(2026, 10, 8, 4, tzinfo=UTC))
    refused("Q040", acts.deliver, state, SS, FRIDAY)


# --- answers ------------------------------------------------------------------------------------------------------


def test_each_provider_answers_for_its_own_columns_and_the_grants_are_apart(accepted):
    other = Answer(
        all_of(accepted, TAX).columns, frozenset({"aggregate"}), ("*",), accepted.application.ends
    )
    refused("Q040", acts.answer, accepted, other, SS, FRIDAY)
    refused("P004", acts.answer, accepted, other, PEOPLE["steward_ga"], FRIDAY)
    refused("P004", acts.answer, accepted, other, PEOPLE["visitor"], FRIDAY)
    state = later(accepted, acts.answer(accepted, all_of(accepted, SS), SS, FRIDAY))
    assert [each.provider for each in granted(state)] == ["ss"]
    state = later(state, acts.answer(state, all_of(state, TAX), TAX, FRIDAY))
    assert [each.grant.id for each in granted(state)] == ["GX1/ss", "GX1/tax"]
    assert [each["outcome"] for each in told(state, RULES, FRIDAY)["providers"]] == [
        "granted",
        "granted",
    ]
    refused("Q040", acts.answer, state, all_of(state, TAX), TAX, FRIDAY)


@pytest.mark.parametrize("basis", ["", "  ", "无法提供", "不同意", "we decided", "没办法"])
def test_a_refusal_without_a_law_is_refused(accepted, basis):
    given = Answer(frozenset(), frozenset(), (), accepted.application.ends, "理由", basis)
    refused("Q040", acts.answer, accepted, given, TAX, FRIDAY)


@pytest.mark.parametrize(
    "basis", [LAW, "税收征管法第八条", "Tax Collection Law art. 8", "税收征管法8"]
)
def test_a_refusal_with_its_law_and_reason_stands_and_grants_nothing(accepted, basis):
    given = Answer(frozenset(), frozenset(), (), accepted.application.ends, "商业秘密", basis)
    state = later(accepted, acts.answer(accepted, given, TAX, FRIDAY))
    assert granted(state) == ()
    assert told(state, RULES, FRIDAY)["providers"][1]["outcome"] == "refused"
    refused("Q040", acts.answer, accepted, replace(given, reason=" "), TAX, FRIDAY)


def test_less_time_or_a_smaller_region_is_less_and_needs_its_law(accepted):
    whole = all_of(accepted, SS)
    for less in (
        replace(whole, ends=whole.ends - timedelta(days=1)),
        replace(whole, regions=("990101",)),
    ):
        refused("Q040", acts.answer, accepted, less, SS, FRIDAY)
        lawful = replace(less, reason="最小必要", basis="《政务数据共享条例》第二十五条")
        state = later(accepted, acts.answer(accepted, lawful, SS, FRIDAY))
        (each,) = granted(state)
        assert (each.grant.ends, each.grant.regions) == (less.ends, less.regions)
    refused(
        "Q040",
        acts.answer,
        accepted,
        replace(whole, ends=whole.ends + timedelta(days=1)),
        SS,
        FRIDAY,
    )


# --- stopping and disputes ----------------------------------------------------------------------------------------


@pytest.fixture
def answered(accepted):
    state = later(accepted, acts.answer(accepted, all_of(accepted, SS), SS, FRIDAY))
    refusal = Answer(frozenset(), frozenset(), (), state.application.ends, "商业秘密", LAW)
    return later(state, acts.answer(state, refusal, TAX, FRIDAY))


def test_a_provider_stops_its_own_part_with_a_law_and_the_bureau_the_whole(answered):
    refused("Q040", stopping.suspend, answered, "超范围使用", SS, FRIDAY)
    refused("P004", stopping.suspend, answered, "超范围使用", PEOPLE["steward_ga"], FRIDAY, LAW)
    refused("P004", stopping.suspend, answered, "超范围使用", PEOPLE["auditor"], FRIDAY, LAW)
    state = later(answered, stopping.suspend(answered, "超范围使用", SS, FRIDAY, LAW))
    assert granted(state) == ()
    refused("Q040", stopping.resume, state, "可", BUREAU, FRIDAY)  # the whole was never suspended
    refused("P004", stopping.resume, state, "可", ANALYST, FRIDAY)
    assert granted(later(state, stopping.resume(state, "已整改", SS, FRIDAY)))


def test_a_withdrawal_is_for_good(answered):
    refused("P004", stopping.withdraw, answered, "撤", PEOPLE["visitor"], FRIDAY, LAW)
    refused("Q040", stopping.withdraw, answered, "撤", BUREAU, FRIDAY)
    state = later(answered, stopping.withdraw(answered, "目的已实现", HEAD, FRIDAY))
    assert (granted(state), state.phase(FRIDAY)) == ((), Phase.WITHDRAWN)
    for again in (stopping.resume, stopping.suspend):
        refused("Q040", again, state, "再", BUREAU, FRIDAY)


def test_a_dispute_goes_up_one_step_at_a_time_and_reopens_the_answer(answered):
    refused("Q040", stopping.object_to, answered, "ss", "不服", HEAD, FRIDAY, RULES)
    refused("P004", stopping.object_to, answered, "tax", "不服", TAX, FRIDAY, RULES)
    refused("Q040", acts.answer, answered, all_of(answered, TAX), TAX, FRIDAY)
    state, steps = (
        later(answered, stopping.object_to(answered, "tax", "不服", HEAD, FRIDAY, RULES)),
        [],
    )
    refused("P004", stopping.settle, state, "压下", BUREAU, FRIDAY)
    while state.step != STEPS[-1]:
        steps.append(state.step)
        state = later(state, stopping.escalate(state, "未果", HEAD, FRIDAY))
    assert (*steps, state.step) == STEPS
    refused("Q040", stopping.escalate, state, "未果", HEAD, FRIDAY)
    state = later(state, acts.answer(state, all_of(state, TAX), TAX, FRIDAY))
    assert [each.grant.id for each in granted(state)] == ["GX1/ss", "GX1/tax/2"]
    state = later(state, stopping.settle(state, "已达成一致", BUREAU, FRIDAY))
    refused("Q040", acts.answer, state, all_of(state, TAX), TAX, FRIDAY)


def test_lateness_is_a_ground_for_a_dispute(accepted):
    refused("Q040", stopping.object_to, accepted, "ss", "太慢", HEAD, FRIDAY, RULES)
    after = datetime(2026, 10, 10, 1, tzinfo=UTC)
    assert stopping.object_to(accepted, "ss", "太慢", HEAD, after, RULES).act is Act.OBJECTED


# --- the emergency lane -------------------------------------------------------------------------------------------


@pytest.fixture
def urgent(made):
    return made(who=ANALYST, lane=Lane.EMERGENCY, ends=None, hours=48)


def test_an_emergency_holds_with_two_approvals_for_each_providers_columns_only(urgent):
    assert granted(urgent) == ()
    one = later(urgent, stopping.approve(urgent, SS, FRIDAY))
    assert granted(one) == ()
    two = later(one, stopping.approve(one, OFFICER, FRIDAY))
    assert [each.provider for each in granted(two)] == ["ss"]
    assert granted(two)[0].grant.ends == FRIDAY + timedelta(hours=48)
    refused("P004", stopping.approve, two, OFFICER, FRIDAY)
    for other in (HEAD, ANALYST, BUREAU, PEOPLE["steward_ga"]):
        refused("P004", stopping.approve, two, other, FRIDAY)
    refused("Q040", stopping.approve, urgent, SS, FRIDAY + timedelta(hours=48))


def test_nobody_approves_twice_or_for_oneself_whatever_roles_a_login_has(made):
    both = Subject("both", "ss", frozenset({Role.DEPARTMENT_STEWARD}))
    officer = replace(both, roles=frozenset({Role.SECURITY_OFFICER}))
    state = made(
        who=replace(ANALYST, id="both", department="drc"), lane=Lane.EMERGENCY, ends=None, hours=1
    )
    refused("P004", stopping.approve, state, both, FRIDAY)
    state = made(who=ANALYST, lane=Lane.EMERGENCY, ends=None, hours=1)
    state = later(state, stopping.approve(state, both, FRIDAY))
    refused("P004", stopping.approve, state, officer, FRIDAY)


def written(subject, *, roles=None):
    """Return the same person by a login in capital letters."""
    return replace(subject, id=subject.id.upper(), roles=roles or subject.roles)


def test_a_login_in_other_letters_is_the_same_person_to_every_emergency(made):
    both = Subject("both", "ss", frozenset({Role.DEPARTMENT_STEWARD}))
    own = made(who=replace(ANALYST, id="both"), lane=Lane.EMERGENCY, ends=None, hours=1)
    refused("P004", stopping.approve, own, written(both), FRIDAY)
    state = made(who=ANALYST, lane=Lane.EMERGENCY, ends=None, hours=1)
    state = later(state, stopping.approve(state, both, FRIDAY))
    officer = frozenset({Role.SECURITY_OFFICER})
    refused("P004", stopping.approve, state, written(both, roles=officer), FRIDAY)
    state = later(state, stopping.approve(state, OFFICER, FRIDAY))
    bureau, over = frozenset({Role.DATA_BUREAU}), FRIDAY + timedelta(hours=48)
    for involved in (both, OFFICER, ANALYST):
        refused("P004", stopping.review, state, "无异常", written(involved, roles=bureau), over)
    assert stopping.withdraw(state, "不再需要", written(ANALYST), FRIDAY).act is Act.WITHDRAWN


@pytest.mark.parametrize("changes", [{"hours": 73}, {"basis": None}, {"ends": "2026-09-19", "hours": None},
                                     {"columns": ["ga.population.sex"]}, {"starts": "2026-09-01"}])  # fmt: skip
def test_an_emergency_is_short_states_all_and_is_for_what_needs_it(made, changes):
    with pytest.raises(QueryError):
        made(**{"who": ANALYST, "lane": Lane.EMERGENCY, "ends": None, "hours": 1, **changes})


def test_without_the_lane_in_the_regulation_there_is_none(urgent):
    shut = replace(RULES, regulation=replace(RULES.regulation, emergency_hours_max=0))
    refused("Q040", acts.submit, urgent.application, ANALYST, FRIDAY, shut)


def test_an_ended_emergency_is_an_open_task_until_the_bureau_has_reviewed_it(urgent):
    state = later(urgent, stopping.approve(urgent, SS, FRIDAY))
    state = later(state, stopping.approve(state, OFFICER, FRIDAY))
    assert not told(state, RULES, FRIDAY)["review_open"]
    refused("Q040", stopping.review, state, "无异常", BUREAU, FRIDAY)
    over = FRIDAY + timedelta(hours=48)
    assert state.phase(over) is Phase.EXPIRED
    assert told(state, RULES, over)["review_open"]
    assert due(state, "emergency_review", over) == {"": date(2026, 10, 10)}
    refused("P004", stopping.review, state, "无异常", OFFICER, over)
    refused("Q040", stopping.review, state, " ", BUREAU, over)
    state = later(state, stopping.review(state, "无异常", BUREAU, over))
    assert not told(state, RULES, over)["review_open"]
    refused("Q040", stopping.review, state, "再", BUREAU, over)


def test_an_emergency_that_nobody_approved_leaves_no_task(urgent):
    assert terms(urgent, RULES, FRIDAY + timedelta(days=9)) == ()


# --- looking ------------------------------------------------------------------------------------------------------


def test_both_sides_and_those_who_watch_see_an_application_and_nobody_else(made):
    state = made()
    seeing = {name for name, who in PEOPLE.items() if visible(state, who)}
    assert seeing == {"analyst_drc", "county_analyst", "steward_drc", "steward_ss", "steward_tax",
                      "officer_a", "officer_b", "bureau", "auditor"}  # fmt: skip


def test_numbers_are_read_as_people_write_them():
    assert [number_of(text) for text in ("GX7", "gx7", " 7 ")] == [7, 7, 7]
    for text in ("", "GX", "7x", "-1", "٣", "9" * 12):
        refused("Q041", number_of, text)


def test_a_purpose_that_a_dataset_does_not_serve_is_refused(made):
    with pytest.raises(PolicyError) as caught:
        made(purpose="data_quality", columns=["tax.individual_income.income_total"])
    assert (caught.value.code, caught.value.rule) == ("P002", "G2")
