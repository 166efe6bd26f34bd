"""An approved template is answered without any application, and opens nothing but its own statement."""

from dataclasses import replace
from datetime import timedelta

import made_platform
import made_world as made
import pytest
from made_templates import ASKED, CLOSED, OPEN, SQL, TEMPLATE, with_templates

from middleplatform.audit.reconcile import Reconciler
from middleplatform.authorization.templates import approvals, columns_of
from middleplatform.errors import MiddleplatformError, PolicyError, ProtocolError
from middleplatform.gateway.judge import judge
from middleplatform.model.catalog import Sharing
from middleplatform.model.request import Role, Subject
from middleplatform.policy.suite import Case
from middleplatform.policy.templates import offers

OTHER = Subject("li", "tax", frozenset({Role.ANALYST}))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("platform"), made_platform.complete_rows()
    with made_platform.Platform(folder, OPEN, rows) as opened:
        yield opened


@pytest.fixture
def platform(nodes):
    """Return the platform as it was, whatever an earlier test has put in its place."""
    nodes.gateway.bundle, nodes.clock.moment = OPEN, made.NOW
    for node in nodes.nodes.values():
        node.bundle = OPEN
    nodes.use_link(nodes.links["ga"])
    return nodes


def code(platform, sql, **asked):
    try:
        platform.ask(sql, **asked)
    except MiddleplatformError as error:
        return error.code, error.rule
    return "answered", ""


def test_its_statement_is_answered_with_no_application_and_the_log_names_it(platform):
    answer = platform.ask(ASKED)
    assert answer.release.table.num_rows == 2
    assert answer.decision.grants == ("T/education",)
    event, body = platform.entries()[-1]
    assert (event, body["grants"]) == ("released", ["T/education"])
    assert [each["template"] for each in body["fragments"]] == ["education"]
    told = [entry.record.body for entry in platform.nodes["ga"].journal.log.entries()]
    assert told[-1]["template"] == "education"
    logs = platform.audit.entries(), platform.nodes["ga"].journal.log.entries()
    found = Reconciler("ga", [platform.keys["ga"].public_key], platform_reach=made.NOW, node_reach=made.NOW)  # fmt: skip
    assert list(found.run(*map(list, logs))) == []
    assert found.tally.matched


@pytest.mark.parametrize(
    "same",
    [
        ASKED.lower().replace("sum", "Sum"),
        ASKED.replace(" WHERE", "\n -- a remark\n WHERE") + ";",
        ASKED.replace("1970", "1960"),
    ],
)
def test_case_space_and_remarks_are_no_part_of_its_form(platform, same):
    assert code(platform, same) == ("answered", "")


@pytest.mark.parametrize(
    "other",
    [
        ASKED.replace("1970", "1965"),
        ASKED.replace("1970", "1970.0"),
        ASKED.replace("1970", "'1970'"),
        ASKED.replace("1970", ":since"),
        ASKED.replace(">=", ">"),
        ASKED.replace("SUM", "AVG"),
        ASKED.replace("AS years", "AS y"),
        ASKED.replace("GROUP BY p.sex", "GROUP BY 1"),
        ASKED.replace("p.birth_year >= 1970", "(p.birth_year >= 1970)"),
        ASKED.replace("WHERE", "WHERE p.sex = '1' AND"),
        ASKED.replace("p.sex, SUM", "p.sex, COUNT(*) AS n, SUM"),
        ASKED + " LIMIT 5",
        f"SELECT x.years FROM ({ASKED}) x",
        f"{ASKED} UNION ALL {ASKED}",
        f"WITH t AS ({ASKED}) SELECT * FROM t",
        "SELECT SUM(education) AS s FROM ga.person",
    ],
)
def test_any_other_statement_is_judged_as_if_there_were_none(platform, other):
    with_it = code(platform, other)
    platform.gateway.bundle = CLOSED
    assert with_it == code(platform, other) != ("answered", "")


def test_it_is_open_to_its_people_for_its_purposes_in_its_time_only(platform):
    assert code(platform, ASKED, subject=OTHER) == ("P003", "G1")
    platform.gateway.bundle = with_templates(replace(TEMPLATE, subjects=frozenset({"wang"})))
    assert code(platform, ASKED) == ("P003", "G1")
    platform.gateway.bundle = with_templates(
        replace(TEMPLATE, purposes=frozenset({"data_quality"}))
    )
    assert code(platform, ASKED) == ("P003", "G1")
    for moment in (TEMPLATE.ends, TEMPLATE.starts - timedelta(seconds=1)):
        platform.gateway.bundle, platform.clock.moment = OPEN, moment
        assert code(platform, ASKED) == ("P003", "G1")


def test_it_lifts_no_other_rule(platform):
    sql = "SELECT diagnosis, MAX(p.education) AS m FROM ga.person p GROUP BY 1"
    platform.gateway.bundle = with_templates(replace(TEMPLATE, sql=sql, parameters=()))
    assert code(platform, sql) == ("P001", "R3")
    sql = "SELECT p.name, SUM(p.education) AS s FROM ga.person p GROUP BY p.name"
    platform.gateway.bundle = with_templates(replace(TEMPLATE, sql=sql, parameters=()))
    assert code(platform, sql) == ("P001", "R1")


def test_what_is_not_shared_stays_so(platform):
    bundle = made.with_column(OPEN, "ga.person", "education", sharing=Sharing.NOT_SHARED)
    assert approvals(TEMPLATE, bundle, made.CATALOG) == ()
    platform.gateway.bundle = bundle
    assert code(platform, ASKED) == ("P001", "R1")


def test_its_regions_cut_the_answer_and_the_department_lets_that_pass(platform):
    conditional = made.with_column(OPEN, "ga.person", "region", sharing=Sharing.CONDITIONAL)
    bundle = with_templates(replace(TEMPLATE, regions=("990101",)), bundle=conditional)
    platform.gateway.bundle = platform.nodes["ga"].bundle = bundle
    answer = platform.ask(ASKED)
    assert (
        "ga.person was cut to region 990101",
        "ga.person 已限定在区域 990101",
    ) in answer.release.notes
    assert [duty.argument for duty in answer.decision.obligations if duty.kind == "region"] == [("990101",)]  # fmt: skip


def test_grants_come_first_and_a_template_only_fills_what_they_leave(platform):
    grant = made.make_grant(columns=frozenset({"ga.person.education"}))
    bundle = replace(OPEN, grants=(*OPEN.grants, grant))
    platform.gateway.bundle = platform.nodes["ga"].bundle = bundle
    assert platform.ask(ASKED).decision.grants == ("G-1",)


def test_the_refusal_names_a_template_that_covers_the_columns(platform):
    with pytest.raises(PolicyError) as refused:
        platform.ask("SELECT SUM(education) AS s FROM ga.person")
    (english, chinese) = refused.value.reasons[0].hint
    assert english == "Approved template education covers this: Years of education by sex."
    assert "按性别的受教育年数" in chinese
    for asked in ({"subject": OTHER}, {"purpose": "data_quality"}):
        with pytest.raises(PolicyError) as refused:
            platform.ask("SELECT SUM(education) AS s FROM ga.person", **asked)
        assert "template" not in str([each.hint for each in refused.value.reasons])


def test_a_template_that_covers_other_columns_is_not_named(platform):
    bundle = made.with_column(OPEN, "ga.person", "region", sharing=Sharing.CONDITIONAL)
    other = replace(TEMPLATE, sql="SELECT sex, COUNT(*) AS n FROM ga.person GROUP BY sex", parameters=())  # fmt: skip
    platform.gateway.bundle = with_templates(other, bundle=bundle)
    with pytest.raises(PolicyError) as refused:
        platform.ask("SELECT SUM(education) AS s FROM ga.person")
    assert "template" not in str(refused.value.reasons)


def test_departments_that_answer_together_let_it_pass_too(platform):
    sql = "SELECT section, SUM(staff) AS s FROM city.firm GROUP BY section"
    shut = made.with_column(OPEN, "city.firm", "staff", sharing=Sharing.CONDITIONAL)
    bundle = with_templates(replace(TEMPLATE, sql=sql, parameters=()), bundle=shut)
    platform.gateway.bundle = bundle
    for node in platform.nodes.values():
        node.bundle = bundle
    answer = platform.ask(sql)
    assert (answer.protocol, answer.decision.grants) == ("secure_sum", ("T/education",))
    assert code(platform, sql.replace("SUM", "AVG")) == ("P003", "G1")


# --- taken away meanwhile -----------------------------------------------------------------------------------------


class Meanwhile:
    """A department during whose answer something happens elsewhere."""

    department = "ga"

    def __init__(self, link, happens):
        self.link, self.happens = link, happens

    async def answer(self, *given):
        found = await self.link.answer(*given)
        self.happens()
        return found


@pytest.mark.parametrize(
    "then",
    [CLOSED, with_templates(replace(TEMPLATE, parameters=(("since", ("1960", "1970", "1980")),)))],
    ids=["removed", "changed"],
)
def test_one_that_is_taken_out_or_changed_while_a_question_runs_refuses_its_release(platform, then):
    def published():
        platform.gateway.bundle = replace(then, digest="d" * 64)

    platform.use_link(Meanwhile(platform.links["ga"], published))
    assert code(platform, ASKED) == ("P003", "G1")
    assert platform.entries()[-1][0] == "refused"


def test_another_policy_with_the_same_template_lets_the_answer_leave(platform):
    def published():
        platform.gateway.bundle = replace(OPEN, digest="d" * 64)

    platform.use_link(Meanwhile(platform.links["ga"], published))
    assert code(platform, ASKED) == ("answered", "")


def test_one_that_ends_while_a_question_runs_refuses_its_release(platform):
    def year_passes():
        platform.clock.moment += timedelta(days=400)

    platform.use_link(Meanwhile(platform.links["ga"], year_passes))
    assert code(platform, ASKED) == ("P003", "G1")


# --- at the department --------------------------------------------------------------------------------------------

FRAGMENT = 'SELECT "t0"."sex" AS "d0", SUM("t0"."education") AS "a0" FROM "ga"."person" AS "t0" GROUP BY 1'  # fmt: skip


def answered(platform, **changes):
    node = platform.nodes["ga"]
    return node.answer(*platform.signed(platform.fragment(FRAGMENT, **changes)))


def test_a_department_opens_a_templates_columns_only_where_the_fragment_names_it(platform):
    assert answered(platform, template="education").cells.num_rows == 2
    for changes in (
        {},
        {"template": "another"},
        {"template": "education", "policy_digest": "e" * 64},
        {"template": "education", "subject": OTHER},
    ):
        with pytest.raises(ProtocolError) as refused:
            answered(platform, **changes)
        assert (refused.value.code, refused.value.rule) == ("X003", "G1")


def test_a_fragment_without_a_template_is_written_as_it_always_was(platform):
    raw = platform.fragment(FRAGMENT).to_bytes()
    assert b"template" not in raw
    empty = raw.replace(b'"subject"', b'"template":"","subject"')
    fragment = platform.fragment(FRAGMENT)
    with pytest.raises(ProtocolError):
        platform.nodes["ga"].answer(*platform.signed(fragment, raw=empty))


def test_what_it_opens_are_the_columns_that_it_names_for_what_it_does_with_them():
    bundle = made.with_column(OPEN, "ga.person", "birth_year", sharing=Sharing.CONDITIONAL)
    found = {
        next(iter(each.operations)): each.columns
        for each in approvals(TEMPLATE, bundle, made.CATALOG)
    }
    assert found == {
        "aggregate": {"ga.person.education"},
        "filter": {"ga.person.birth_year"},
    }
    named = columns_of(TEMPLATE, bundle, made.CATALOG)
    assert named["count"] == {"ga.person.id"}
    assert "ga.person.region" in named["filter"], "an answer may be cut to regions"


# --- judged without asking ----------------------------------------------------------------------------------------


def test_tests_and_simulation_judge_it_as_the_gateway_does():
    def said(sql, bundle):
        case = Case("1", made.ANALYST, "statistics", sql, "permit", made.NOW)
        return judge(case, made.CATALOG, bundle).verdict

    assert said(ASKED, OPEN) == "permit"
    assert said(ASKED, CLOSED) == said(ASKED.replace("1970", "1971"), OPEN) == "refuse"


def test_who_it_is_open_to_is_offered_it_for_the_purposes_that_are_open_too():
    (offer,) = offers(OPEN, made.ANALYST, made.NOW)
    assert (offer.template, [each.code for each in offer.purposes]) == (TEMPLATE, ["statistics"])
    assert offers(OPEN, OTHER, made.NOW) == ()
    assert offers(OPEN, replace(made.ANALYST, roles=frozenset({Role.AUDITOR})), made.NOW) == ()
    assert offers(OPEN, made.ANALYST, TEMPLATE.ends) == ()


def test_the_blank_itself_is_no_statement(platform):
    assert code(platform, SQL)[0].startswith("Q")
