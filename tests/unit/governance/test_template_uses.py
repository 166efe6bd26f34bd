"""Templates in simulations, in the life of a policy, and in what an answer is accounted for with."""

from datetime import timedelta

import pytest
from made_templates import ASKED, CLOSED, OPEN, REGIONS, SQL, TEMPLATE, made, with_regions
from made_templates import YAML as WRITTEN
from policy_world import GA, HAN, LU, files, world

from middleplatform.accountability.approved import templates
from middleplatform.errors import ConfigError, MiddleplatformError
from middleplatform.governance.diff import diff
from middleplatform.governance.drafts import spots
from middleplatform.governance.replay import Asked, Ended
from middleplatform.governance.simulate import simulate
from middleplatform.governance.simulation import Kind
from middleplatform.policy.suite import Case


def closed(template="", **how):
    return with_regions(files(**how), template)


def test_a_template_comes_with_two_more_yes_and_goes_with_none(tmp_path):
    with world(tmp_path) as made_world:
        life = made_world.life
        first = closed()
        life.publish(HAN, life.propose(HAN, first, "first"))
        wanted = life.propose(HAN, closed(REGIONS, label="2"), "template")
        required = life.weigh(wanted).required
        assert (required.second_officer, required.owners) == (True, {"ga"})
        with pytest.raises(MiddleplatformError):
            life.publish(HAN, wanted)
        for who in (LU, GA):
            life.approve(who, wanted)
        life.publish(HAN, wanted)
        assert list(life.standing().bundle.templates) == ["regions"]
        life.publish(HAN, life.propose(HAN, closed(label="3"), "no longer"))
        assert not life.standing().bundle.templates


def test_one_that_would_be_refused_even_so_cannot_be_proposed(tmp_path):
    named = closed(REGIONS.replace("region_code", "name"))
    with world(tmp_path) as made_world, pytest.raises(ConfigError) as refused:
        made_world.life.propose(HAN, named, "names")
    assert "T/regions template-refused" in refused.value.public_message


def test_who_approves_is_told_all_that_the_template_says():
    (change,) = diff(CLOSED, OPEN, made.CATALOG, made.NOW).loosens
    for said in (SQL, ":since = 1960 | 1970", "drc", "statistics", "2027-01-01", "《统计法》第三条", "王, 2025-12-01: 不涉及; 仅汇总"):  # fmt: skip
        assert said in change.sentence[0]


def test_a_simulation_says_which_questions_a_template_would_answer():
    def asked(place, sql, at):
        case = Case(str(place), made.ANALYST, "statistics", sql, "refuse", at, "G1")
        return Asked(place, str(place), "li", at, case, ended=Ended("refused", "P003", "G1"))

    queries = [
        asked(1, ASKED, made.NOW),
        asked(2, ASKED.replace("1970", "1971"), made.NOW),
        asked(3, ASKED, TEMPLATE.starts - timedelta(days=1)),
        asked(4, ASKED, TEMPLATE.ends),
    ]
    found = simulate(OPEN, CLOSED, made.CATALOG, queries)
    assert [each.kind for each in found.outcomes] == [
        Kind.DENY_TO_ALLOW,
        Kind.SAME,
        Kind.SAME,
        Kind.SAME,
    ]
    back = simulate(CLOSED, OPEN, made.CATALOG, queries)
    assert [each.asked.index for each in back.allow_to_deny] == [1]


def test_a_report_is_told_the_basis_and_the_title_of_the_template_that_an_answer_rests_on():
    (approval,) = templates({"templates": {"education": WRITTEN}})
    assert approval.grant == "T/education"
    assert (approval.basis, approval.ends) == (TEMPLATE.basis, TEMPLATE.ends)
    assert approval.scenario == "按性别的受教育年数 · Years of education by sex"


def test_a_draft_is_told_where_its_template_is_wrong(tmp_path):
    lines = REGIONS.splitlines()
    with world(tmp_path) as made_world:
        refused = closed(REGIONS.replace("region_code", "name"))
        (found,) = [each for each in spots(refused, made_world.life) if each.severity == "error"]
        assert (found.place, found.where) == ("templates.yaml:2:3", "templates / regions")
        unassessed = closed(REGIONS.replace(lines[-1], ""))
        (found,) = spots(unassessed, made_world.life)
        assert "risk" in found.what[0]
