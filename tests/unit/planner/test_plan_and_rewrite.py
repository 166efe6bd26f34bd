"""Who is asked what: protocols, refusals, and obligations that are met before anything is sent."""

from dataclasses import replace

import made_world as made
import pytest

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.model.decision import Obligation
from middleplatform.planner.plan import make_plan, read_fragment
from middleplatform.planner.rewrite import apply_obligations
from middleplatform.sql.render import fragment


def failure(sql, bundle=made.BUNDLE):
    with pytest.raises(MiddleplatformError) as caught:
        made.planned(sql, bundle=bundle)
    return caught.value


def duty(kind, column="birth_year", *argument, dataset="ga.person"):
    return Obligation(kind, dataset, column, argument, ("told", "告知"))


BAND, BUCKET = duty("band", "birth_year", "5"), duty("bucket", "born", "month")
REGION = duty("region", "region", "990101", "990200")
WITHHOLD = duty("withhold", "diagnosis", "F10-F19", "F60-F69")
STATEMENTS = [
    "SELECT birth_year, born, COUNT(*) FROM ga.person GROUP BY 1, 2", "SELECT CASE WHEN sex = '1' THEN birth_year ELSE 0 END, COUNT(*) FROM ga.person GROUP BY 1",
    "SELECT COALESCE(birth_year, 0), birth_year + 1, COUNT(*) FROM ga.person GROUP BY 1, 2", "SELECT COUNT(*) FROM ga.person p LEFT JOIN ga.person q ON p.id = q.id AND q.sex = '1' WHERE p.birth_year > 1990",
    "SELECT y, COUNT(*) FROM (SELECT id, birth_year AS y FROM ga.person GROUP BY id, birth_year) u GROUP BY y",
    "SELECT p.sex, COUNT(*) FROM ga.person p JOIN (SELECT household, COUNT(*) AS n FROM ga.person GROUP BY household) h ON p.household = h.household GROUP BY 1",
    "SELECT p.birth_year, COUNT(*) FROM ga.income i JOIN ga.person p ON i.id = p.id GROUP BY 1",
]  # fmt: skip


@pytest.mark.parametrize("sql", STATEMENTS)
@pytest.mark.parametrize("duties", [(BAND,), (BUCKET,), (REGION,), (WITHHOLD,), (BAND, BUCKET, REGION, WITHHOLD)])  # fmt: skip
def test_an_obligation_met_twice_changes_nothing_more(sql, duties):
    once = apply_obligations(made.cell(sql), duties)
    assert apply_obligations(once, duties) == once


def test_no_obligation_changes_nothing():
    for sql in STATEMENTS:
        assert apply_obligations(made.cell(sql), ()) == made.cell(sql)


@pytest.mark.parametrize("sql", STATEMENTS)
def test_every_reference_to_a_dataset_is_filtered(sql):
    text = fragment(apply_obligations(made.cell(sql), (REGION,)))
    assert text.count("BETWEEN '990101' AND '990101'") == text.count('"ga"."person"')
    assert text.count("990299") == text.count('"ga"."person"')


def test_another_dataset_is_left_alone():
    other = duty("region", "region", "990101", dataset="city.firm")
    assert apply_obligations(made.cell(STATEMENTS[0]), (other,)) == made.cell(STATEMENTS[0])


def test_a_filter_of_a_left_join_keeps_the_left_rows():
    rows = apply_obligations(made.cell(STATEMENTS[3]), (REGION,)).rows
    assert "990101" in repr(rows.joins[0].condition)
    assert "t1" not in repr(rows.where)


def test_withheld_codes_leave_missing_ones_in(world):
    block = apply_obligations(made.cell("SELECT COUNT(*) FROM ga.person"), (WITHHOLD,))
    (found,) = world.plain(fragment(block))
    kept = [row for row in world.rows["person"] if row[9] != "F10.1"]
    assert found == (len(kept),)
    assert any(row[9] is None for row in kept)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT birth_year, COUNT(*) FROM ga.person GROUP BY 1", "SELECT born, birth_year, COUNT(*) FROM ga.person GROUP BY 1, 2",
        pytest.param("SELECT diagnosis, COUNT(*) FROM ga.person GROUP BY 1", id="withheld codes"),
        "SELECT y, COUNT(*) FROM (SELECT id, birth_year AS y FROM ga.person GROUP BY id, birth_year) u GROUP BY y", "SELECT DISTINCT birth_year FROM ga.person",
        pytest.param("SELECT CASE WHEN sex = '1' THEN birth_year ELSE 0 END AS y, COUNT(*) FROM ga.person GROUP BY 1", id="inside a CASE"),
        pytest.param("SELECT COALESCE(birth_year, 0) AS y, COUNT(*) FROM ga.person GROUP BY 1", id="with a default"),
        pytest.param("SELECT birth_year + 1 AS y, COUNT(*) FROM ga.person GROUP BY 1", id="inside arithmetic"),
    ],
)  # fmt: skip
def test_what_is_sent_is_permitted_as_it_is(sql):
    """Gateway and node judge the fragment again: it must need no further coarsening."""
    asking = Asking(made.ANALYST, "statistics", made.NOW)
    bundle = made.WITHHOLDING if "diagnosis" in sql else made.BUNDLE
    for block in made.planned(sql, bundle=bundle).blocks:
        again = authorize(block.facts, asking, bundle, made.CATALOG)
        assert again.permit
        assert not [duty.kind for duty in again.obligations if duty.kind in ("band", "bucket")]


# --- who ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "protocol", "asked"),
    [
        ("SELECT COUNT(*) FROM ga.person", "local", [("ga",)]), ("SELECT COUNT(*) FROM city.firm", "secure_sum", [("c1", "c2", "c3")]),
        ("SELECT COUNT(*) FROM ga.person UNION ALL SELECT COUNT(*) FROM city.firm", "local+secure_sum", [("ga",), ("c1", "c2", "c3")]), ("SELECT 1", "released", []),
        ("SELECT COUNT(*) FROM city.firm f JOIN city.visit v ON f.code = v.code", "secure_sum", [("c1", "c2", "c3")]),
    ],
)  # fmt: skip
def test_each_block_is_asked_of_those_that_hold_it(sql, protocol, asked):
    plan = made.planned(sql)
    assert plan.protocol == protocol
    assert [block.departments for block in plan.blocks] == asked


def test_rows_of_several_departments_need_a_private_join():
    error = failure("SELECT COUNT(*) FROM ga.person p JOIN tax.payer t ON p.id = t.id")
    assert (error.code, error.rule, error.parts["departments"]) == ("Q030", "R10", "ga, tax")
    assert failure("SELECT COUNT(*) FROM ga.income i JOIN city.firm f ON i.firm = f.code").code == "Q030"  # fmt: skip


@pytest.mark.parametrize("sql", ["SELECT COUNT(DISTINCT person) FROM city.firm", "SELECT COUNT(*) FROM city.firm f LEFT JOIN city.visit v ON f.code = v.code"])  # fmt: skip
def test_counts_that_do_not_add_up_have_no_protocol_over_departments(sql):
    assert (failure(sql).code, failure(sql).rule) == ("Q031", "R5")


@pytest.mark.parametrize("sql", ["SELECT planned, COUNT(*) FROM ga.person GROUP BY planned", "SELECT COUNT(*) FROM ga.later"])  # fmt: skip
def test_what_is_registered_but_not_connected_is_told(sql):
    error = failure(sql)
    assert error.code == "S011"
    assert error.parts["name"] in ("ga.person.planned", "ga.later")


def test_only_a_permitted_statement_is_planned():
    query, decision = made.bound("SELECT name FROM ga.person"), made.decided("SELECT name FROM ga.person")  # fmt: skip
    with pytest.raises(AssertionError):
        make_plan(query, decision, made.CATALOG, made.LIMITS)


def test_a_fragment_is_one_release_block():
    for sql in ("SELECT 1", "SELECT COUNT(*) FROM ga.person UNION ALL SELECT COUNT(*) FROM ga.income", "SELECT name FROM ga.person"):  # fmt: skip
        with pytest.raises(QueryError) as caught:
            read_fragment(sql, made.CATALOG, made.LIMITS)
        assert caught.value.code == "Q010"


def test_a_denied_column_never_reaches_a_fragment():
    for sql in STATEMENTS:
        block = made.cell(sql)
        assert '"name"' not in fragment(block)
    assert made.bound("SELECT COUNT(*) FROM (SELECT sex, region FROM ga.person) q").cells[0].dimensions == ()  # fmt: skip


def test_the_block_is_what_its_own_text_says():
    for sql in STATEMENTS[:1] + STATEMENTS[4:]:
        for block in made.planned(sql).blocks:
            read, facts = read_fragment(
                block.sql, made.CATALOG, replace(made.LIMITS, depth_max=2000)
            )
            assert (read, facts) == (block.cell, block.facts)


def test_notes_tell_every_rewrite():
    plan = made.planned("SELECT birth_year, born, COUNT(*) FROM ga.person GROUP BY 1, 2")
    assert len(plan.notes) == 2
