"""Does a simulation say of each audited question what the gateway's judge says of it alone, and without a department?"""

import asyncio
import json
import shutil
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asking import opened
from changed_bundles import Changed, changed
from demo_pool import CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_world import HAN, SUITE
from steady import FixedClock

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.reader import ReadOnlyLog
from middleplatform.cli.main import main
from middleplatform.demo.runtime import PERSONAS
from middleplatform.errors import MiddleplatformError
from middleplatform.gateway.judge import Judgement, judge, judged, read
from middleplatform.governance.desk import Desk
from middleplatform.governance.granted import Granted
from middleplatform.governance.grants_in_force import with_all, with_grants
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.governance.replay import Why, Window, asked
from middleplatform.governance.simulate import simulate, terms_of
from middleplatform.governance.simulation import Kind, allows
from middleplatform.policy.examples import example
from middleplatform.policy.suite import Verdict
from middleplatform.store.database import Store

CATALOG = catalogs.load(example("demo") / "catalog")
DEMO = policies.load(example("demo"), CATALOG)
MAY = datetime(2026, 5, 19, 12, tzinfo=UTC)  # the day before a grant of the demonstration begins
WINDOW = Window(MAY - timedelta(days=1), MAY + timedelta(days=99))
CLINICS = "SELECT visit_year, COUNT(*) AS n FROM health.encounter_year GROUP BY visit_year"
ONE = "SELECT COUNT(*) AS n FROM ga.population"
CLOSE = CASES["R12-differencing"]  # a second population that differs by few from the first
JOINED = ("Q05", "Q06")
PAIRS = 200  # of bundles


def questions():
    """Yield (text, who, purpose, what more is said) of some sixty questions."""
    alone = [case for case in CASES.values() if case.protocol != "private_join"]
    asked_for = [case for case in alone if case.expect == "permit" and not case.sealed]
    refused = [case for case in alone if case.stage == "authorization" and case.expect == "refuse"]
    for case in [*asked_for, *refused[::2], *(CASES[name] for name in JOINED)]:
        more = {"strict": case.strict, "project": case.project, "recipient": case.recipient}
        yield case.sql, case.subject, case.purpose, {**more, "noise": case.noise}
    for who in ("analyst_drc", "analyst_stats", "county_analyst"):
        for purpose in ("emergency", "statistics"):
            yield CLINICS, PERSONAS[who], purpose, {}
    for noise in ("", "1/1000", "1/1000", "9"):
        yield ONE, PERSONAS["analyst_drc"], "statistics", {"noise": noise}
    for sql in (*CLOSE.prior, CLOSE.sql):
        yield sql, CLOSE.subject, CLOSE.purpose, {"project": CLOSE.project}


@pytest.fixture(scope="module")
def state(tmp_path_factory, demo_data):
    """Return the state folder of a platform that was asked, an hour apart, and closed."""
    folder = tmp_path_factory.mktemp("asked") / "state"
    clock = FixedClock(MAY)
    with opened(folder, demo_data, clock=clock) as platform:
        asyncio.run(ask_all(platform.gateway, clock))
        for sql in (ONE, "SELECT name FROM ga.population"):
            ask_inside(platform, sql)
    return folder


async def ask_all(gateway, clock):
    for sql, subject, purpose, more in questions():
        try:
            await gateway.submit(gateway.request(sql, subject, purpose, **more))
        except MiddleplatformError:
            assert sql
        clock.moment += timedelta(hours=1)


def ask_inside(platform, sql):
    request = platform.gateway.request(sql, PERSONAS["steward_ga"], "data_quality")
    try:
        platform.own(request)
    except MiddleplatformError as error:
        assert error.rule  # noqa: PT017 - one of the two is refused


@pytest.fixture(scope="module")
def log(whole_log):
    """Return the questions that the gateway judged."""
    return tuple(each for each in whole_log if each.why is not Why.INSIDE)


@pytest.fixture(scope="module")
def whole_log(state):
    """Return the questions as the log has them."""
    keys = (CheckpointSigner.load(state / "audit.key").key,)
    with ReadOnlyLog.open(state / "audit.db", keys, SystemClock()) as opened_log:
        return asked(opened_log.entries(), WINDOW)


def said(case, bundle):
    """Judge one question by itself, text and all, as the gateway would: what goes wrong is C099."""
    try:
        return judged(case, read(case.sql, CATALOG, bundle.limits), CATALOG, bundle)
    except AssertionError:
        return Judgement(Verdict("refuse", "", "C099"))


def alone(each, candidate, current, now=None):
    """Judge one question by itself, under both bundles; None where it is not policy's alone."""
    case = each.case if now is None else replace(each.case, now=now)
    old, new = said(case, current), said(case, candidate)
    before, after = old.verdict, new.verdict
    code, rule = each.ended.code, each.ended.rule
    if allows(before) and (code in ("D010", "D011", "D013") or (code, rule) == ("D012", "R14")):
        return None
    if allows(before) != allows(after):
        return before, after, "allow_to_deny" if allows(before) else "deny_to_allow"
    if not allows(before):
        return before, after, "same" if before == after else "rule"
    return before, after, "terms" if list(terms_of(old, new)) else "same"


def found(simulation):
    return {
        each.asked.query_id: (each.before, each.after, str(each.kind))
        for each in simulation.outcomes
    }


def expected(log, *rest):
    each_alone = {each.query_id: alone(each, *rest) for each in log}
    return {name: said for name, said in each_alone.items() if said is not None}


def test_the_log_holds_questions_of_every_ending(log):
    ends = Counter(each.ended.event for each in log)
    assert len(log) >= 60
    assert ends["released"] >= 15
    assert ends["refused"] >= 20
    assert all(each.case for each in log)


def test_the_judge_says_of_each_question_what_came_of_it(log):
    for each in log:
        said = judge(each.case, CATALOG, DEMO)
        if each.ended.event == "released":
            assert allows(said), each
        elif each.ended.code not in ("D010", "D011", "D012"):
            assert (said.rule, said.code) == (each.ended.rule, each.ended.code), each


@settings(max_examples=PAIRS)
@given(data=st.data())
def test_a_simulation_is_each_question_judged_by_itself(log, data):
    times = [each.at for each in log]
    candidate = data.draw(changed(DEMO, times)).bundle
    current = data.draw(st.one_of(st.just(Changed(DEMO)), changed(DEMO, times))).bundle
    now = data.draw(st.one_of(st.none(), st.sampled_from(times)))
    simulation = simulate(candidate, current, CATALOG, log, now=now)
    assert found(simulation) == expected(log, candidate, current, now)
    judged_ids = {each.asked.query_id for each in simulation.outcomes}
    left = {each.asked.query_id for each in simulation.unjudged}
    assert judged_ids | left == {each.query_id for each in log}
    assert not judged_ids & left
    counted = sum(sum(each.counts.values()) for each in simulation.by_analyst())
    assert counted == len(simulation.changes)


def test_what_one_direction_denies_the_other_allows(log):
    without = replace(DEMO, grants=(), digest="none")
    tightened, loosened = (
        simulate(without, DEMO, CATALOG, log),
        simulate(DEMO, without, CATALOG, log),
    )
    denied = {each.asked.query_id for each in tightened.allow_to_deny}
    assert len(denied) >= 5
    assert denied <= {each.asked.query_id for each in loosened.deny_to_allow}
    assert not tightened.deny_to_allow
    assert not loosened.allow_to_deny
    first = tightened.by_rule()[0]
    assert (first.name, first.counts[Kind.ALLOW_TO_DENY]) == ("G1", len(denied))
    analysts = {each.name for each in tightened.by_analyst()}
    assert "analyst_drc" in analysts
    assert "health.encounter_year" in {each.name for each in tightened.by_dataset()}


def test_a_steward_inside_the_own_department_is_counted_and_not_judged(whole_log):
    simulation = simulate(replace(DEMO, grants=()), DEMO, CATALOG, whole_log)
    assert simulation.by_reason()[Why.INSIDE] == 2
    inside = [each.asked for each in simulation.unjudged if each.why is Why.INSIDE]
    assert {each.ended.event for each in inside} == {"released", "refused"}


def test_a_bundle_against_itself_changes_nothing(log):
    assert simulate(DEMO, DEMO, CATALOG, log).changes == ()


def test_another_method_and_threshold_are_other_terms(log):
    rules = {
        name: replace(rule, disclosure=replace(rule.disclosure, method="exact", min_units=15))
        for name, rule in DEMO.datasets.items()
    }
    changes = simulate(replace(DEMO, datasets=rules, digest="exact"), DEMO, CATALOG, log).changes
    assert {each.kind for each in changes} == {Kind.TERMS}
    named = {(term.name, term.before, term.after) for each in changes for term in each.terms}
    assert ("method", "perturb", "exact") in named
    assert ("min_units", "10", "15") in named


def test_a_question_is_judged_at_its_own_moment_or_at_a_stated_one(log):
    clinics = [
        each for each in log if each.case.sql == CLINICS and each.case.purpose == "emergency"
    ]
    mine = [each for each in clinics if each.subject == "analyst_drc"]
    without = replace(DEMO, grants=(), digest="none")
    assert [each.kind for each in simulate(without, DEMO, CATALOG, mine).outcomes] == [
        Kind.ALLOW_TO_DENY
    ]
    late = datetime(2026, 7, 1, tzinfo=UTC)
    assert simulate(without, DEMO, CATALOG, mine, now=late).changes == ()


def test_a_refusal_for_history_is_counted_and_not_taken_for_policy(log):
    (refused,) = [each for each in log if each.ended.code == "D010"]
    assert refused.case.sql == CLOSE.sql
    simulation = simulate(replace(DEMO, grants=()), DEMO, CATALOG, log)
    assert simulation.by_reason() == {Why.HISTORY: 1}
    assert [each.asked for each in simulation.unjudged] == [refused]


def test_grants_of_applications_hold_at_the_moments_at_which_the_gateway_joins_them(log):
    without, half = replace(DEMO, grants=(), digest="none"), log[len(log) // 2].at
    clinic, tax = "health.encounter_year", "tax.individual_income"
    whole = replace(
        next(each for each in DEMO.grants if f"{clinic}.*" in each.columns),
        columns=frozenset(
            f"{name}.{column}"
            for name in (clinic, tax)
            for column in CATALOG.datasets[name].columns
        ),
    )
    early = {"ends": log[9].at, "purposes": frozenset({"statistics", "emergency"})}
    yielded = [
        Granted("health", replace(whole, id="GX1/health", starts=half)),
        Granted("health", replace(whole, id="GX2/health", **early)),
        Granted("tax", replace(whole, id="GX3/tax")),
    ]
    pair = [with_all(bundle, yielded) for bundle in (DEMO, without)]
    simulation = simulate(*pair, CATALOG, log)
    for each in simulation.outcomes:
        case = each.asked.case
        then = [with_grants(bundle, yielded, case.now) for bundle in (DEMO, without)]
        assert [each.after, each.before] == [judge(case, CATALOG, bundle) for bundle in then]
    gained = simulate(pair[1], without, CATALOG, log).deny_to_allow
    assert gained
    assert all(
        each.asked.at >= half or each.asked.at < log[9].at
        for each in gained
        if clinic in each.datasets
    )


def test_in_force_is_the_newest_published_version(state, tmp_path, capsys, monkeypatch):
    folder = Path(shutil.copytree(state, tmp_path / "state"))
    monkeypatch.setenv("MIDDLEPLATFORM_STATE", str(folder))
    texts = {path.name: path.read_text(encoding="utf-8") for path in example("demo").glob("*.yaml")}
    texts = {name: text for name, text in texts.items() if not name.endswith("_test.yaml")}
    texts |= {
        "grants.yaml": "grants: []\n",
        "small_test.yaml": SUITE.replace("persona: analyst", "persona: analyst_drc") % "refuse",
    }
    signer = CheckpointSigner.load(folder / "audit.key")
    with (
        AuditLog.open(folder / "audit.db", signer, SystemClock()) as written,
        Store.open(f"sqlite:///{folder / 'store.db'}") as store,
    ):
        life = Lifecycle(Desk(store, SystemClock(), SystemRng(), written), CATALOG, DEMO)
        number = life.propose(HAN, texts, "nothing is granted")
        life.publish(HAN, number)
        digest = life.standing().bundle.digest
    words = ["policy", "simulate", str(example("demo")), "--replay", "2026-05-18..2026-06-30"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["current"], told["candidate"]) == (digest, DEMO.digest)
    assert told["deny_to_allow"] >= 5


def test_the_command_needs_no_department_and_writes_nothing(state, tmp_path, capsys, monkeypatch):
    alone_with_log = tmp_path / "state"
    alone_with_log.mkdir()
    for name in ("audit.db", "audit.key"):
        shutil.copy(state / name, alone_with_log / name)
    monkeypatch.setenv("MIDDLEPLATFORM_STATE", str(alone_with_log))
    monkeypatch.setenv("MIDDLEPLATFORM_DATA", str(tmp_path / "no such data"))
    candidate = Path(shutil.copytree(str(example("demo")), tmp_path / "candidate"))
    (candidate / "grants.yaml").write_text("grants: []\n", encoding="utf-8")
    window = ("--replay", "2026-05-18..2026-06-30")

    def raising(*_):
        raise AssertionError("a simulation opens no platform")

    assert main(["policy", "simulate", str(candidate), *window, "--json"], raising) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["questions"] == told["judged"] + len(told["not_judged"])
    assert told["allow_to_deny"] == len(
        [e for e in told["changes"] if e["kind"] == "allow_to_deny"]
    )
    assert told["allow_to_deny"] >= 5
    assert told["by_rule"][0]["name"] == "G1"
    for locale, title, heading in (
        ("en", "By analyst", "allow → deny"),
        ("zh", "按人员", "允许 → 拒绝"),
    ):
        words = ["--locale", locale, "policy", "simulate", str(candidate), *window]
        assert main(words, raising) == 0
        shown = capsys.readouterr()
        assert title in shown.out
        assert heading in shown.out + shown.err
        assert "analyst_drc" in shown.out
    assert (alone_with_log / "audit.db").read_bytes() == (state / "audit.db").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"state", "candidate"}


def test_an_export_is_simulated_as_the_log_itself(state, whole_log, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MIDDLEPLATFORM_STATE", str(tmp_path))
    key = CheckpointSigner.load(state / "audit.key").key
    (tmp_path / "log.pub").write_text(key.text() + "\n", encoding="utf-8")
    with ReadOnlyLog.open(state / "audit.db", (key,), SystemClock()) as whole:
        whole.export(tmp_path / "log.jsonl")
    words = ["policy", "simulate", str(example("demo")), "--log", str(tmp_path / "log.jsonl")]
    assert main([*words, "--replay", "2026-05-18..2026-06-30", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["questions"] == len(whole_log)
