"""What opens a template further loosens what it reads, and needs those whose data that is; what takes away tightens."""

from dataclasses import replace
from datetime import timedelta

import pytest
from made_templates import CLOSED, OPEN, SQL, TEMPLATE, made, with_templates

from middleplatform.governance.diff import diff
from middleplatform.governance.four_eyes import required_approvals
from middleplatform.governance.order import Direction
from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.policy.bundle import canonical_form
from policies.documents import digest

OTHER, LOOSENS, TIGHTENS, BOTH = Direction.OTHER, Direction.LOOSENS, Direction.TIGHTENS, Direction.BOTH  # fmt: skip
DAY = timedelta(days=1)


def published(bundle):
    return replace(bundle, digest=digest(canonical_form(bundle)))


def changed(**changes):
    return with_templates(replace(TEMPLATE, **changes))


def found(old, new):
    """Return the direction of the only change, and who must approve it."""
    old, new = published(old), published(new)
    difference = diff(old, new, made.CATALOG, made.NOW)
    changes = {*difference.loosens, *difference.tightens, *difference.other}
    (change,) = changes
    assert difference.loosened == difference.tightened == 0, "no cell shows it"
    return change.direction, required_approvals(difference, old, new)


def test_a_new_one_needs_a_second_officer_and_the_owner_of_what_it_reads():
    direction, required = found(CLOSED, OPEN)
    assert direction is LOOSENS
    assert (required.second_officer, required.owners) == (True, {"ga"})


def test_one_that_reads_two_departments_needs_both_owners():
    sql = "SELECT p.sex, SUM(t.paid) AS s FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.sex"
    assert found(CLOSED, changed(sql=sql, parameters=()))[1].owners == {"ga", "tax"}


def test_one_whose_statement_cannot_be_read_needs_every_owner():
    unreadable = changed(sql="SELECT nonsense", parameters=())
    assert found(CLOSED, unreadable)[1].owners == {"ga", "tax", "city", "pub"}


def test_to_take_one_away_tightens_and_needs_nobody():
    assert found(OPEN, CLOSED) == (TIGHTENS, found(OPEN, CLOSED)[1])
    assert not found(OPEN, CLOSED)[1]


@pytest.mark.parametrize(
    ("field", "wider"),
    [
        ("parameters", (("since", ("1960", "1970", "1980")),)),
        ("departments", frozenset({"drc", "tax"})),
        ("purposes", frozenset({"statistics", "data_quality"})),
        ("starts", TEMPLATE.starts - DAY),
        ("ends", TEMPLATE.ends + DAY),
    ],
)
def test_what_opens_it_further_loosens_and_the_way_back_tightens(field, wider):
    direction, required = found(OPEN, changed(**{field: wider}))
    assert (direction, required.owners) == (LOOSENS, {"ga"})
    direction, required = found(changed(**{field: wider}), OPEN)
    assert (direction, bool(required)) == (TIGHTENS, False)


@pytest.mark.parametrize(
    ("field", "old", "new", "direction"),
    [
        ("subjects", frozenset(), frozenset({"li"}), TIGHTENS),
        ("subjects", frozenset({"li"}), frozenset({"li", "wang"}), LOOSENS),
        ("subjects", frozenset({"li"}), frozenset({"wang"}), BOTH),
        ("regions", ("990100",), ("990101",), TIGHTENS),
        ("regions", ("990101",), ("*",), LOOSENS),
        ("regions", ("990101",), ("990102",), BOTH),
        ("sql", SQL, SQL + " ORDER BY 1", BOTH),
        ("parameters", TEMPLATE.parameters, (("since", ("1970", "1980")),), BOTH),
        ("parameters", TEMPLATE.parameters, (("since", ("1970", "1960")),), OTHER),
        ("title_en", "a", "b", OTHER),
        ("basis", "a", "b", BOTH),
        ("risk", TEMPLATE.risk, replace(TEMPLATE.risk, personal="无影响"), BOTH),
        ("risk", TEMPLATE.risk, replace(TEMPLATE.risk, assessed_by="李"), BOTH),
    ],
)
def test_each_field_has_its_direction(field, old, new, direction):
    said, required = found(changed(**{field: old}), changed(**{field: new}))
    assert said == direction
    assert required.second_officer is (Direction.LOOSENS in direction)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"uses": frozenset({Use.DENIED})}, {}),
        ({"sharing": Sharing.NOT_SHARED}, {}),
        ({"level": Level.IMPORTANT}, {}),
        ({"breakpoints": ()}, {}),
        ({"min_units": 50}, {}),
        ({"release": "sealed"}, {}),
    ],
)
def test_what_would_open_more_by_a_template_that_stands_needs_the_owner_too(before, after):
    """Nobody touches the template: what it names is made usable beneath it."""
    standing = {"sharing": Sharing.CONDITIONAL}
    old = made.with_column(OPEN, "ga.person", "education", **{**standing, **before})
    new = made.with_column(OPEN, "ga.person", "education", **{**standing, **after})
    old, new = published(old), published(new)
    required = required_approvals(diff(old, new, made.CATALOG, made.NOW), old, new)
    assert (required.second_officer, required.owners) == (True, {"ga"})


@pytest.mark.parametrize("limit", ["sql_characters_max", "depth_max"])
def test_limits_under_which_a_statement_is_read_at_last_are_everybodys(limit):
    small = replace(OPEN, limits=replace(OPEN.limits, **{limit: 1}))
    old, new = published(small), published(OPEN)
    required = required_approvals(diff(old, new, made.CATALOG, made.NOW), old, new)
    assert required.owners == {"ga", "tax", "city", "pub"}


def test_bundles_without_templates_have_the_form_and_the_digest_that_they_had():
    assert "templates" not in canonical_form(CLOSED)
    assert published(CLOSED).digest != published(OPEN).digest
