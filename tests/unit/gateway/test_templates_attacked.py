"""What somebody tries who wants more of a template than its statement: other trees, other fragments, other catalogues."""

from dataclasses import replace
from pathlib import Path

import made_join
import made_platform
import made_world as made
import pytest
from made_templates import ASKED, CLOSED, OPEN, SQL, TEMPLATE, with_templates

from middleplatform.access.offered import templates
from middleplatform.authorization.authorize import Asking
from middleplatform.authorization.templates import _read, columns_of, forms, within
from middleplatform.errors import MiddleplatformError, ProtocolError
from middleplatform.gateway.approved import decided, ruled
from middleplatform.gateway.check import check
from middleplatform.gateway.judge import judge, read
from middleplatform.gateway.planned import checked
from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.request import Role
from middleplatform.planner.plan import make_plan, read_fragment
from middleplatform.policy.suite import Case
from middleplatform.policy.templates import offers
from middleplatform.sql.forms import canonical
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "sql").glob("*.sql"))


def said(sql, bundle=OPEN, **asked):
    """Return what the judge says of a statement."""
    case = Case("1", made.ANALYST, "statistics", sql, "permit", made.NOW)
    return judge(replace(case, **asked), made.CATALOG, bundle)


def everywhere(bundle, sharing):
    """Return ``bundle`` without grants, every column shared so."""
    datasets = {
        name: replace(
            rule,
            columns={
                column: replace(each, sharing=sharing) for column, each in rule.columns.items()
            },
        )
        for name, rule in bundle.datasets.items()
    }
    return replace(bundle, grants=(), datasets=datasets)


def planned(query, bundle, catalog=made.CATALOG, subject=made.ANALYST):
    """Return what the gateway would send, or the code and rule by which it sends nothing."""
    asking = Asking(subject, "statistics", made.NOW)
    decision = decided(query, asking, bundle, catalog)
    if not decision.permit:
        return decision.reasons[0].rule, ()
    try:
        plan = make_plan(query, decision, catalog, bundle.limits, bundle=bundle)
        return "", checked(plan, asking, ruled(decision, bundle, catalog), catalog, "q").blocks
    except MiddleplatformError as error:
        return error.code, ()


def held_to(sql, shut, free, catalog=made.CATALOG, subject=made.ANALYST):
    """Say whether a statement was answered as a template, having held it to what it does where all is free."""
    query = read(sql, catalog, shut.limits)
    if not isinstance(query, QualifiedQuery):
        return False
    assert canonical(query.parsed.tree) == canonical(parse(sql, shut.limits).tree), "untouched"
    template = replace(TEMPLATE, sql=sql, parameters=())
    bundle = with_templates(template, bundle=shut)
    why, blocks = planned(query, bundle, catalog, subject)
    freely, others = planned(query, free, catalog, subject)
    assert why == freely, sql
    asking = Asking(subject, "statistics", made.NOW)
    opened, plain = (decided(query, asking, each, catalog) for each in (bundle, free))
    assert (opened.disclosure, opened.obligations, opened.threshold_owner) == (
        plain.disclosure, plain.obligations, plain.threshold_owner,
    )  # fmt: skip
    assert [each.sql for each in blocks] == [each.sql for each in others]
    for block in blocks:
        facts = read_fragment(block.sql, catalog)[1]
        assert within(facts, template, bundle, catalog), block.sql
    return bool(blocks)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("bundle", "subject"),
    [(made.BUNDLE, made.ANALYST), (made.BUNDLE, made.COUNTY), (made.WITHHOLDING, made.ANALYST)],
    ids=["analyst", "county", "withholding"],
)
def test_whatever_a_template_says_it_is_sent_as_if_all_were_free_and_departments_know_it(
    path, bundle, subject
):
    """Every column is conditional: rewriting, bands, blocks of units and silent filters must all be opened with it."""
    shut, free = (everywhere(bundle, each) for each in (Sharing.CONDITIONAL, Sharing.UNCONDITIONAL))
    texts = [
        part.split("\n", 2)[2].split(";\n", 1)[0]
        for part in path.read_text(encoding="utf-8").split("-- title: ")[1:]
    ]
    answered = [held_to(sql, shut, free, subject=subject) for sql in texts]
    assert any(answered)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT p.sex, COUNT(*) AS n, SUM(t.paid) AS s FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.sex",
        "SELECT t.district, AVG(p.education) AS a FROM ga.person p JOIN tax.payer t ON t.id = p.id WHERE p.birth_year >= 1970 GROUP BY t.district",
    ],
)
def test_a_private_join_is_sent_and_known_too(sql):
    shut, free = (
        everywhere(made_join.bundle(), each)
        for each in (Sharing.CONDITIONAL, Sharing.UNCONDITIONAL)
    )
    assert held_to(sql, shut, free, made_join.CATALOG)


# --- a gateway that lies ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    rows = made_platform.complete_rows()
    with made_platform.Platform(tmp_path_factory.mktemp("platform"), OPEN, rows) as opened:
        yield opened


def fragment(select='"t0"."sex" AS "d0", SUM("t0"."education") AS "a0"', rest="GROUP BY 1"):
    return f'SELECT {select} FROM "ga"."person" AS "t0" {rest}'


SINCE = 'WHERE ("t0"."birth_year" >= {}) GROUP BY 1'


@pytest.mark.parametrize(
    "sql",
    [
        fragment('"t0"."region" AS "d0", SUM("t0"."education") AS "a0"'),
        fragment('"t0"."sex" AS "d0", "t0"."diagnosis" AS "d1", SUM("t0"."education") AS "a0"', "GROUP BY 1, 2"),
        fragment('"t0"."sex" AS "d0", AVG("t0"."education") AS "a0"'),
        fragment('"t0"."sex" AS "d0", SUM("t0"."education" * 2) AS "a0"', SINCE.format(1971)),
        fragment(rest=SINCE.format(1971)),
        fragment(rest=SINCE.format(1970).replace(">=", "<")),
        fragment(rest='WHERE ("t0"."sex" = \'1\') GROUP BY 1'),
        fragment(rest='JOIN "ga"."income" AS "t1" ON "t0"."id" = "t1"."id" GROUP BY 1'),
    ],
)  # fmt: skip
def test_a_fragment_that_is_not_of_the_template_it_names_is_refused(platform, sql):
    for template in ("education", ""):
        signed = platform.signed(platform.fragment(sql, template=template))
        with pytest.raises(ProtocolError) as refused:
            platform.nodes["ga"].accept(*signed, "local")
        assert (refused.value.code, refused.value.rule) == ("X003", "G1"), template


@pytest.mark.parametrize("year", [1960, 1970])
def test_a_fragment_that_is_of_it_is_taken(platform, year):
    signed = platform.signed(
        platform.fragment(fragment(rest=SINCE.format(year)), template="education")
    )
    assert platform.nodes["ga"].accept(*signed, "local").decision.grants == ("T/education",)


# --- other trees --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        ASKED.replace("1970", "1_970"),
        ASKED.replace("1970", "1970."),
        ASKED.replace("1970", "0x7B2"),
        ASKED.replace("1970", "1.97e3"),
        ASKED.replace("1970", "1970::int"),
        ASKED.replace(">= 1970", "> 1969"),
        ASKED.replace("birth_year >= 1970", "birth_year BETWEEN 1970 AND 9999"),
        ASKED.replace("years", '"Years"'),
        ASKED.replace("SUM(p.education)", "SUM(DISTINCT p.education)"),
        ASKED.replace("SUM(p.education)", "SUM(p.education) FILTER (WHERE p.sex = '1')"),
        ASKED.replace("SUM(p.education)", "SUM(p.education) OVER ()"),
        ASKED.replace("ga.person p", "ga.person p TABLESAMPLE BERNOULLI (10)"),
        ASKED.replace("ga.person p", "ONLY ga.person p"),
        ASKED.replace("SELECT p.sex", "SELECT DISTINCT p.sex"),
        ASKED.replace("GROUP BY p.sex", "GROUP BY ROLLUP (p.sex)"),
        ASKED.replace("GROUP BY p.sex", "GROUP BY p.sex ORDER BY years"),
        ASKED.replace("GROUP BY p.sex", "GROUP BY p.sex HAVING SUM(p.education) > 1"),
        f"WITH ga AS (SELECT 1 AS one) {ASKED}",
        f"({ASKED})",
        f"{ASKED}; {ASKED}",
    ],
)
def test_what_only_looks_like_it_is_judged_as_if_there_were_none(other):
    with_it, without = (said(other, each) for each in (OPEN, CLOSED))
    assert with_it == without
    assert with_it.verdict == "refuse"


@pytest.mark.parametrize(
    "same",
    [
        ASKED.replace("SELECT", "SELECT /*+ full(p) */"),
        ASKED.replace("p.sex", 'P."sex"'),
        ASKED.replace("years", '"years"'),
        ASKED.replace("GROUP BY p.sex", "GROUP BY DISTINCT p.sex"),
        ASKED.replace("1970", "+1970"),
    ],
)
def test_what_means_the_same_to_the_platform_is_the_same(same):
    found = said(same)
    assert (found.verdict, found.code) == ("permit", "")


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        (ASKED.replace("ga.person", "ga.:since"), ("'person'", "'income'")),
        (ASKED.replace("AS years", "AS :since"), ("'years'", "'y'")),
    ],
)
def test_a_blank_where_no_literal_stands_is_an_error_before_it_is_published(sql, values):
    """The library takes a text for a name in some places: the statements would be of several shapes."""
    template = replace(TEMPLATE, sql=sql, parameters=(("since", values),))
    found = check(with_templates(template), made.CATALOG, made.NOW)
    assert "template-refused" in {each.code for each in found if each.where == "T/education"}


# --- columns that nothing opens -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"sharing": Sharing.NOT_SHARED}, {"uses": frozenset({Use.DENIED})}, {"uses": frozenset()}, {"level": Level.IMPORTANT}, {"level": Level.CORE},
    ],
)  # fmt: skip
def test_no_denied_column_is_opened_by_a_template_that_names_it(changes):
    for column in ("education", "sex", "birth_year", "id"):
        bundle = made.with_column(OPEN, "ga.person", column, **changes)
        found = said(ASKED, bundle)
        if column != "id":  # which no clause names
            assert (found.verdict, found.rule) == ("refuse", "R1"), column
        given = decided(
            read(ASKED, made.CATALOG, bundle.limits),
            Asking(made.ANALYST, "statistics", made.NOW),
            bundle,
            made.CATALOG,
        )
        assert given.permit is (column == "id")


# --- other rules --------------------------------------------------------------------------------------------------

BANDS = "SELECT p.birth_year, SUM(p.education) AS years FROM ga.person p GROUP BY p.birth_year"
NEAR = "SELECT SUM(p.education) AS years FROM ga.person p WHERE p.region = '990102'"
STRANGER = replace(made.ANALYST, roles=frozenset({Role.AUDITOR}))


@pytest.mark.parametrize(
    ("sql", "asked", "rule"),
    [
        (ASKED, {"recipient": "tax"}, "G4"),
        (ASKED, {"project": "nowhere"}, "G5"),
        (ASKED, {"purpose": "data_quality"}, "G2"),
        (ASKED, {"purpose": "gossip"}, "G2"),
        (ASKED, {"subject": STRANGER}, "G2"),
        (BANDS, {"strict": True}, "R4"),
        (NEAR, {"subject": made.COUNTY}, "G3"),
        (NEAR, {"subject": replace(made.ANALYST, regions=())}, "G3"),
    ],
)
def test_every_other_rule_refuses_as_it_does(sql, asked, rule):
    bundle = with_templates(
        replace(TEMPLATE, sql=SQL),
        replace(TEMPLATE, name="bands", sql=BANDS, parameters=()),
        replace(TEMPLATE, name="near", sql=NEAR, parameters=()),
    )
    assert said(sql, bundle).verdict == "permit"
    found = said(sql, bundle, **asked)
    assert (found.verdict, found.rule) == ("refuse", rule)


def test_questions_alike_are_counted_for_a_template_as_for_any(platform):
    few = replace(OPEN, limits=replace(OPEN.limits, near_duplicates_per_day=1))
    platform.gateway.bundle = few
    try:
        platform.ask(ASKED)
        with pytest.raises(MiddleplatformError) as refused:
            platform.ask(ASKED.replace("1970", "1960"))
    finally:
        platform.gateway.bundle = OPEN
    assert (refused.value.code, refused.value.rule) == ("D011", "R14")


def test_one_that_is_no_sql_hides_no_other_from_the_list():
    """A bundle of the settings is loaded without its statements being judged."""
    bundle = with_templates(TEMPLATE, replace(TEMPLATE, name="broken", sql="SELECT 'open :since"))
    assert said(ASKED, bundle).verdict == "permit"
    listed = templates(offers(bundle, made.ANALYST, made.NOW), "en")
    assert [each["example"] for each in listed] == [ASKED.replace("1970", "1960"), "SELECT 'open :since"]  # fmt: skip


# --- what is remembered -------------------------------------------------------------------------------------------


def test_what_is_remembered_of_a_template_is_of_this_catalogue():
    """Catalogues that come one after the other may lie at the same place in memory."""
    for number in range(20):
        person = made.CATALOG.datasets["ga.person"]
        region = ("region", "planned")[number % 2]
        catalog = replace(
            made.CATALOG,
            datasets={**made.CATALOG.datasets, "ga.person": replace(person, region_column=region)},
        )
        assert columns_of(TEMPLATE, OPEN, catalog)["filter"] == {
            "ga.person.birth_year", f"ga.person.{region}",
        }  # fmt: skip
        del catalog, person


def test_what_is_remembered_of_a_template_is_of_these_limits_and_this_content():
    tight = replace(OPEN, limits=replace(OPEN.limits, sql_characters_max=len(SQL) - 10))
    assert len(forms(TEMPLATE, OPEN.limits)) == 2
    assert forms(TEMPLATE, tight.limits) == frozenset()
    assert len(forms(replace(TEMPLATE, parameters=(("since", ("1960",)),)), OPEN.limits)) == 1


def test_templates_are_read_before_anybody_asks(platform):
    fresh = with_templates(replace(TEMPLATE, name="fresh"))
    platform.gateway.bundle = fresh
    platform.gateway.read_ahead()
    platform.gateway.bundle = OPEN
    read_once = [each.cache_info().misses for each in (forms, _read)]
    query = qualify(parse(ASKED, fresh.limits), made.CATALOG)
    asking = Asking(made.ANALYST, "statistics", made.NOW)
    assert decided(query, asking, fresh, made.CATALOG).permit
    assert [each.cache_info().misses for each in (forms, _read)] == read_once


def test_a_question_is_held_against_templates_without_reading_them_again():
    many = with_templates(*(replace(TEMPLATE, name=f"t{number}") for number in range(200)))
    query = qualify(parse(ASKED.replace("1970", "1971"), many.limits), made.CATALOG)
    asking = Asking(made.ANALYST, "statistics", made.NOW)
    assert not decided(query, asking, many, made.CATALOG).permit
    read_once = forms.cache_info().misses
    for _ in range(3):
        assert not decided(query, asking, many, made.CATALOG).permit
    assert forms.cache_info().misses == read_once
