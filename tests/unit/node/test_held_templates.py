"""What a node makes of a template: as published, where its own file lets it, for the fragment that names it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from doors import CountingRng, HandClock
from made_templates import CLOSED_REGION, REGIONS, with_regions
from made_templates import REGIONS_SQL as SQL
from policy_world import ANALYST, configured, files, small_catalog

from middleplatform.authorization.authorize import Asking
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.governance.examined import loaded
from middleplatform.model.plan import Fragment
from middleplatform.node.held_policies import HeldPolicies, with_template
from middleplatform.node.judging import judged
from middleplatform.policy.written import content_digest
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify
from middleplatform.wire.policies import POLICY, PolicyDocument

KEY = IdentityKey.generate(CountingRng())
PINS = PinnedKeys({"gateway": KEY.public_key})
AT = datetime(2026, 3, 1, tzinfo=UTC)


class Desk:
    """The policies of one node."""

    def __init__(self, folder, own=None, *, own_grants=False):
        self.clock, self.events = HandClock(), []
        self.held = HeldPolicies(
            "ga", small_catalog(), own or configured(), PINS, self.clock, self.events.append,
            folder=folder, own_grants=own_grants,
        )  # fmt: skip

    def take(self, found):
        raw = found.to_bytes()
        return self.held.take(raw, KEY.sign(POLICY, raw))


def written(template=REGIONS, *, closed=True, **how):
    if closed:
        return with_regions(files(**how), template)
    return {**files(**how), "templates.yaml": template}


def published(found, number=1, before=None):
    previous = content_digest(before) if before else ""
    return PolicyDocument(number, content_digest(found), previous, AT, found)


def ruled(desk, sql=SQL, template="regions", digest=None, who=ANALYST, purpose="statistics"):
    """Return a fragment's facts, and the rules by which it is judged that says it is of a template."""
    held = desk.held.newest
    fragment = Fragment(
        "q", 1, 0, "ga", "local", ("ga",), sql, who, purpose, "drc", held.digest if digest is None else digest,
        AT.isoformat(), template=template,
    )  # fmt: skip
    facts = qualify(parse(sql, held.rules.document.limits), small_catalog()).facts
    return facts, with_template(desk.held.rules(held), fragment, facts, small_catalog())


def verdict(desk, who=ANALYST, purpose="statistics", **said):
    """Return the rule by which a fragment is refused that says it is of a template; empty where it runs."""
    facts, rules = ruled(desk, who=who, purpose=purpose, **said)
    found = judged(facts, Asking(who, purpose, desk.clock.now()), rules, small_catalog())
    bare = judged(facts, Asking(ANALYST, "statistics", desk.clock.now()), ruled(desk, template="")[1], small_catalog())  # fmt: skip
    assert found.rule or found.decision.grants == (("T/regions",) if "G1" in bare.rule else ())
    return found.rule


def own(template="", **how):
    return loaded(written(template, **how), small_catalog())


def test_what_is_published_counts_where_the_own_file_is_silent_about_templates(tmp_path):
    desk = Desk(tmp_path / "policy", own=own(ga=30))
    assert desk.take(published(written()))
    assert verdict(desk) == ""
    assert [verdict(desk, template=name) for name in ("", "other")] == ["G1", "G1"]
    assert verdict(desk, digest="0" * 64) == "G1"
    assert verdict(desk, who=replace(ANALYST, department="ss")) == "G1"


def test_a_column_that_the_own_file_alone_makes_conditional_is_not_opened(tmp_path):
    """The template opens what is conditional where it was approved: of this column nobody has said anything."""
    desk = Desk(tmp_path / "policy", own=own(ga=30))
    assert desk.take(published(written(closed=False)))
    assert verdict(desk) == "G1"


def test_a_department_that_writes_down_grants_itself_writes_down_templates_too(tmp_path):
    for number, (mine, rule) in enumerate({
        "": "G1",
        REGIONS: "",
        REGIONS.replace("2027-01-01", "2026-12-31"): "G1",
        REGIONS.replace("GROUP BY region_code", "GROUP BY 1"): "G1",
    }.items()):  # fmt: skip
        desk = Desk(tmp_path / str(number), own=own(mine, ga=30), own_grants=True)
        assert desk.take(published(written()))
        assert verdict(desk) == rule, mine
        assert ("templates" in str(desk.events[0]["stricter"])) is bool(rule)


def test_a_template_of_the_own_file_alone_opens_nothing(tmp_path):
    """Its form is checked by nobody: the gateway does not know it."""
    desk = Desk(tmp_path / "policy", own=own(REGIONS, ga=30))
    assert desk.take(published(written("")))
    assert verdict(desk) == "G1"


def test_before_any_version_came_it_counts_under_the_very_same_rules_only(tmp_path):
    desk = Desk(tmp_path / "policy", own=own(REGIONS))
    assert desk.held.number == 0
    assert verdict(desk) == ""
    assert verdict(desk, digest="0" * 64) == "G1"


def unchanged(desk, held):
    return desk.held.unchanged(held, ("T/regions",), ANALYST, "statistics")


def test_one_that_a_later_version_takes_out_or_changes_holds_no_longer_for_what_runs(tmp_path):
    desk, first = Desk(tmp_path / "policy"), written()
    assert desk.take(published(first))
    began = desk.held.newest
    assert unchanged(desk, began)
    same = written(label="2")
    assert desk.take(published(same, 2, first))
    assert unchanged(desk, began)
    assert desk.take(published(written(""), 3, same))
    assert not unchanged(desk, began)


def test_one_that_has_ended_holds_no_longer(tmp_path):
    desk = Desk(tmp_path / "policy")
    assert desk.take(published(written()))
    desk.clock.moment += timedelta(days=400)
    assert not unchanged(desk, desk.held.newest)


@pytest.mark.parametrize(
    ("mine", "rule"),
    [
        ("region_code: {use: denied}", "R1"),
        ("region_code: {level: important}", "R1"),
        ("region_code: {sharing: not_shared, law: 《某法》第一条}", "R1"),
        (CLOSED_REGION, ""),
    ],
)
def test_what_the_own_file_keeps_back_no_published_template_opens(tmp_path, mine, rule):
    found = written("", ga=30)
    found["columns.yaml"] = found["columns.yaml"].replace(CLOSED_REGION, mine)
    desk = Desk(tmp_path / "policy", own=loaded(found, small_catalog()))
    assert desk.take(published(written()))
    assert verdict(desk) == rule


def test_the_own_files_threshold_stands_under_a_template(tmp_path):
    desk = Desk(tmp_path / "policy", own=own(ga=30))
    assert desk.take(published(written(ga=20)))
    facts, rules = ruled(desk)
    found = judged(facts, Asking(ANALYST, "statistics", desk.clock.now()), rules, small_catalog())
    assert (found.rule, found.decision.disclosure.min_units) == ("", 30)


def test_a_fragment_that_uses_what_the_template_does_not_is_not_of_it(tmp_path):
    desk = Desk(tmp_path / "policy")
    assert desk.take(published(written()))
    held = desk.held.newest
    for text, opens in (
        (SQL, True),
        ("SELECT COUNT(*) AS n FROM ga.population", True),
        ("SELECT COUNT(DISTINCT id_number) AS n FROM ga.population", False),
        ("SELECT COUNT(*) AS n FROM tax.individual_income", False),
        ("SELECT region_code, COUNT(*) AS n FROM ga.population WHERE region_code = '990101' GROUP BY region_code", True),
        ("SELECT region_code, COUNT(region_code) AS n FROM ga.population GROUP BY region_code", False),
    ):  # fmt: skip
        _, rules = ruled(desk, text)
        assert (len(rules.merged.grants) > len(held.rules.merged.grants)) is opens, text
