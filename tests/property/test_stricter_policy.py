"""A node's verdict is the stricter of its own file and the published policy: over random pairs, for every statement of the
shipped suites; what is published never widens what the department's own file lets out.
"""

from dataclasses import fields, replace
from datetime import UTC, datetime
from itertools import product

import pytest
from changed_bundles import COLUMN_CHANGES, DISCLOSURE_CHANGES, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.authorization.sealed import release_refusals
from middleplatform.errors import MiddleplatformError
from middleplatform.model.catalog import Use
from middleplatform.model.policy import Bundle, ColumnRule, DatasetRule, Limits, Purpose
from middleplatform.node.held_policies import Rules
from middleplatform.node.judging import judged
from middleplatform.node.release import sensitivity
from middleplatform.policy import evaluate, suite
from middleplatform.policy.examples import example
from middleplatform.policy.stricter import completed, held_by, stricter, stricter_points
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

CATALOG = catalogs.load(example("demo") / "catalog")
BUNDLE = policies.load(example("demo"), CATALOG)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
MOMENTS = sorted({moment for grant in BUNDLE.grants for moment in (grant.starts, grant.ends)})
DEPARTMENTS = ("ga", "tax", "health", "keyholder")
DIGEST = "0" * 64


def _asked():
    """Return facts and circumstances of each statement of the suites that reads at all, each once."""
    found = {}
    for case in (case for each in suite.load(example("demo")) for case in each.cases):
        try:
            facts = qualify(parse(case.sql, BUNDLE.limits), CATALOG).facts
        except MiddleplatformError:
            continue
        asking = Asking(case.subject, case.purpose, NOW, project=case.subject.department)
        found.setdefault((case.sql, case.purpose, case.subject.id), (facts, asking))
    return list(found.values())


ASKED = _asked()
PAIRS = st.tuples(changed(BUNDLE, MOMENTS), changed(BUNDLE, MOMENTS), st.sampled_from(DEPARTMENTS))


def lets(facts, asking, bundle):
    """Return the decision of one bundle alone, and whether a node of that bundle would run the statement."""
    decision = authorize(facts, asking, bundle, CATALOG)
    coarser = any(duty.kind in ("band", "bucket") for duty in decision.obligations)
    good = decision.permit and not release_refusals(facts, bundle, sealed=False) and not coarser
    return decision, good


def test_there_is_enough_to_ask():
    assert len(ASKED) > 50
    assert sum(lets(*each, BUNDLE)[1] for each in ASKED) > 10


def check_verdicts(mine, published, department, asked):
    own = completed(mine, published, held_by(department, CATALOG))
    merged = stricter(own, published)
    rules = Rules(merged, published, own)
    for facts, asking in asked:
        (first, here), (second, there) = (lets(facts, asking, each) for each in (own, published))
        found = judged(facts, asking, rules, CATALOG)
        if not (here and there):
            assert found.rule, "one of the two keeps it back"
            continue
        if found.rule:
            assert found.rule == "R5" or not lets(facts, asking, merged)[1]
        numbers = evaluate.strictest([first.disclosure, second.disclosure])
        assert replace(found.decision.disclosure, dominance=()) == replace(numbers, dominance=())
        assert set(found.decision.disclosure.dominance) == set(numbers.dominance)


@given(pair=PAIRS)
@settings(max_examples=25)
def test_a_nodes_verdict_is_the_stricter_of_both(pair):
    check_verdicts(pair[0].bundle, pair[1].bundle, pair[2], ASKED)


@pytest.mark.parametrize("name", ["ga.population", "health.encounter_year"])
def test_every_pair_of_changes_to_one_rule_gives_the_stricter(name):
    about = [each for each in ASKED if each[0].datasets == (name,)]
    one = replace(BUNDLE, datasets={name: BUNDLE.datasets[name]})
    rule = BUNDLE.datasets[name]
    used = sorted({use.column for facts, _ in about for use in facts.uses} & rule.columns.keys())
    for column in used[:4]:
        uses = [each for each in about if any(use.column == column for use in each[0].uses)][:1]
        made = [
            replace(one, digest=str(place), datasets={
                name: replace(rule, columns={
                    **rule.columns, column: replace(rule.columns[column], **change),
                })
            })
            for place, change in enumerate(COLUMN_CHANGES)
        ]  # fmt: skip
        for own, published in product(made, made):
            check_verdicts(own, published, rule.owner, uses)
    made = [
        replace(one, digest=str(place), datasets={
            name: replace(rule, disclosure=replace(rule.disclosure, **change))
        })
        for place, change in enumerate(DISCLOSURE_CHANGES)
    ]  # fmt: skip
    for own, published in product(made, made):
        check_verdicts(own, published, rule.owner, about[:1])


@given(pair=PAIRS)
@settings(max_examples=25)
def test_what_is_merged_keeps_back_what_either_does(pair):
    mine, published, department = (pair[0].bundle, pair[1].bundle, pair[2])
    own = completed(mine, published, held_by(department, CATALOG))
    merged = stricter(own, published)
    assert stricter(merged, merged) is merged
    assert bool(stricter_points(merged, published, 1)) == (merged is not published)
    for name, rule in merged.datasets.items():
        for column, each in rule.columns.items():
            for bundle in (own, published):
                other = evaluate.column_rule(bundle, name, column)
                assert each.level >= other.level
                assert each.min_units >= other.min_units
                assert set(each.breakpoints) <= set(other.breakpoints)
                assert evaluate.denied(each) or not evaluate.denied(other)
                if not evaluate.denied(each):
                    told = sensitivity(merged)(name, column), sensitivity(bundle)(name, column)
                    assert told[0] or not told[1] or Use.KEY in other.uses
    for bundle in (own, published):
        assert merged.limits.cells_max <= bundle.limits.cells_max
        assert merged.limits.join_rows_max <= bundle.limits.join_rows_max


@pytest.mark.parametrize("department", DEPARTMENTS)
def test_silence_denies_what_a_department_holds_and_leaves_the_rest_to_what_is_published(
    department,
):
    held = held_by(department, CATALOG)
    empty = replace(BUNDLE, datasets={}, digest=DIGEST)
    merged = stricter(completed(empty, BUNDLE, held), BUNDLE)
    assert merged.datasets.keys() == BUNDLE.datasets.keys() - held


def test_the_same_rules_are_the_published_ones():
    assert stricter(completed(BUNDLE, BUNDLE, held_by("ga", CATALOG)), BUNDLE) is BUNDLE


def test_every_field_of_every_rule_has_its_stricter():
    """A field that nobody merges would be the published one: say here what becomes of a new one, and merge it."""
    merged = {
        ColumnRule: "level sharing law uses breakpoints finest generalise bucket release min_units withheld cap",
        DatasetRule: "purposes disclosure unit_breakpoints columns join",
        Purpose: "roles",
        Bundle: "datasets purposes grants limits templates",
        Limits: "sql_characters_max depth_max joins_max group_columns_max group_columns_max_level_4 cells_max"
        " near_duplicates_per_day projects join_rows_max answer_grid_ms",
    }
    published = {
        ColumnRule: "unit",  # the catalogue's
        DatasetRule: "owner",
        Purpose: "code name_zh name_en",
        Bundle: "name version digest effective raw",
        Limits: "probing",  # counted at the gateway
    }
    for rule, names in merged.items():
        known = {*names.split(), *published[rule].split()}
        assert known == {each.name for each in fields(rule)}, rule
