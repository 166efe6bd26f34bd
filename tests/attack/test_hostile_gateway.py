"""A gateway that lies, with its own valid certificate and key, against real node processes: what it asks for and must
not get. Each table reads (name, attack, what the node says). Secure sums: test_hostile_rounds.py; frames and
connections: test_hostile_frames.py.
"""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from node_world import shipped
from null_slots import held_by_nulls

from middleplatform.demo.runtime import PERSONAS
from middleplatform.model.plan import Fragment
from middleplatform.model.request import Role
from tests.attack.hostile import DRC, hostile_gateway, now, subject
from tests.attack.hostile_statements import FINER, ROWS, SHAPES, VALUES

DEPARTMENTS = ("ga", "ss", "tax")
P = "ga.population"
PEOPLE = f"SELECT COUNT(*) AS a0 FROM {P}"
LEAST = 10


@pytest.fixture(scope="module")
def hostile(demo_data, tmp_path_factory):
    with hostile_gateway(tmp_path_factory.mktemp("hostile"), demo_data, DEPARTMENTS) as turned:
        yield turned


@pytest.fixture(scope="module")
def people(demo_data):
    """Return the department's plain rows: what the attacker must not get to know."""
    with duckdb.connect(str(demo_data / "ga.duckdb"), read_only=True) as connection:
        yield connection


def named(table):
    return [pytest.param(*row[1:], id=row[0]) for row in table]


# --- statements ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sql", "rule"), named([*ROWS, *VALUES, *FINER, *SHAPES]))
def test_node_refuses_the_statement_whoever_signed_it(hostile, sql, rule):
    department = "tax" if " tax." in sql else "ga"
    hostile.assert_refused(department, lambda: hostile.ask(department, sql), "X003", rule)


# --- who asks, why, for whom --------------------------------------------------------------------------------------

INCOME = "SELECT SUM(income_total) AS a0 FROM tax.individual_income"
EXPIRED = "SELECT SUM(contribution_base) AS a0 FROM ss.insurance"

GRANTS = [
    # name, department, statement, changes, rule
    ("somebody without a grant", "tax", INCOME, {"subject": PERSONAS["visitor"], "project": "amr"}, "G1"),
    ("a purpose that the grant has not", "tax", INCOME, {"purpose": "emergency"}, "G1"),
    ("a purpose that the data set has not", "tax", INCOME, {"purpose": "data_quality"}, "G2"),
    ("a purpose of nobody", "ga", PEOPLE, {"purpose": "curiosity"}, "G2"),
    ("no purpose", "ga", PEOPLE, {"purpose": ""}, "G2"),
    ("a grant that ended a year ago", "ss", EXPIRED, {"purpose": "planning"}, "G1"),
    ("a role that may not ask", "ga", PEOPLE, {"subject": PERSONAS["auditor"], "project": "audit"}, "G2"),
    ("no role", "ga", PEOPLE, {"subject": subject(roles=frozenset())}, "G2"),
    ("no region", "ga", PEOPLE, {"subject": subject(regions=())}, "G3"),
    ("a project of nobody", "ga", PEOPLE, {"project": "mine"}, "G5"),
    ("the project of another department", "ga", PEOPLE, {"project": "stats"}, "G5"),
    ("a data set of another department", "ga", INCOME, {}, "R0"),
    ("a data set of another department beside the own", "ga", f"SELECT COUNT(*) AS a0 FROM {P} p JOIN tax.individual_income t ON t.id_number = p.id_number", {}, "R0"),
    ("a part of a logical table", "ga", "SELECT COUNT(*) AS a0 FROM amr_county.enterprise", {}, "R0"),
    ("own data, by a steward", "ga", f"SELECT id_number AS d0, COUNT(*) AS a0 FROM {P} GROUP BY 1", {"subject": PERSONAS["steward_ga"], "purpose": "data_quality", "project": "ga"}, "R0"),
]  # fmt: skip


@pytest.mark.parametrize(("department", "sql", "changes", "rule"), named(GRANTS))
def test_node_judges_grants_by_its_own_bundle_and_clock(hostile, department, sql, changes, rule):
    hostile.assert_refused(
        department, lambda: hostile.ask(department, sql, **changes), "X003", rule
    )


# --- moments ------------------------------------------------------------------------------------------------------


def at(**shift):
    """Return a moment that is reckoned when it is used."""

    def moment():
        return (datetime.now(UTC) + timedelta(**shift)).isoformat()

    return moment


MOMENTS = [
    ("when an expired grant was good", lambda: "2025-10-01T00:00:00+00:00", "X005"),
    ("within the emergency grant", lambda: "2026-06-01T00:00:00+08:00", "X005"),
    ("before the grant began", lambda: "2025-12-31T23:59:59+00:00", "X005"),
    ("six minutes ago", at(minutes=-6), "X005"),
    ("in six minutes", at(minutes=6, seconds=1), "X005"),
    ("at the beginning of time", lambda: "0001-01-01T00:00:00+23:59", "X005"),
    ("at the end of time", lambda: "9999-12-31T23:59:59-23:59", "X005"),
    ("nowhere", lambda: "2026-06-01T00:00:00", "X001"),
    ("no moment", lambda: "soon", "X001"),
    ("empty", lambda: "", "X001"),
]  # fmt: skip


@pytest.mark.parametrize(("moment", "code"), named(MOMENTS))
def test_fragment_of_another_time_opens_no_grant(hostile, moment, code):
    hostile.assert_refused(
        "ss", lambda: hostile.ask("ss", EXPIRED, purpose="planning", issued_at=moment()), code
    )


# --- altered fragments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(item.name for item in fields(Fragment)))
def test_no_byte_class_of_a_signed_fragment_can_be_changed(hostile, name):
    honest = hostile.fragment("ga")
    body = json.loads(honest.to_bytes())
    value = body.get(name, getattr(honest, name))  # what is empty may be left out
    body[name] = {
        int: lambda: value + 1,
        str: lambda: value + "x",
        list: lambda: [*value, "tax"],
        dict: lambda: {**value, "regions": []},
    }[type(value)]()
    raw = canonical(body)
    signature = hostile.signed(honest.to_bytes())
    hostile.assert_refused("ga", lambda: hostile.send("ga", raw, signature), "X001")


def canonical(body):
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def altered(**changes):
    return lambda body: canonical({**body, **changes})


FORMS = [
    ("a number that is a text", altered(number="0")),
    ("a number that is true", altered(number=True)),
    ("a number below nothing", altered(number=-1)),
    ("a number too large", altered(number=2**31)),
    ("a broken number", altered(number=0.0)),
    ("no query", altered(query_id="")),
    ("a query of another alphabet", altered(query_id="\u67e5\u8be2")),
    ("a query that is a path", altered(query_id="../../served.db")),
    ("a query too long", altered(query_id="q" * 129)),
    ("a cohort that is a text", altered(cohort="ga")),
    ("a cohort with a number", altered(cohort=["ga", 1])),
    ("a subject that is a text", altered(subject="analyst_drc")),
    ("a role of nobody", altered(subject={"department": "drc", "id": "a", "regions": ["*"], "roles": ["root"]})),
    ("a statement that is a list", altered(sql=["SELECT 1"])),
    ("one key more", altered(rows=True)),
    ("one key less", lambda body: canonical({key: body[key] for key in body if key != "purpose"})),
    ("spaces", lambda body: json.dumps(body, sort_keys=True).encode()),
    ("another order", lambda body: json.dumps(dict(reversed(body.items())), separators=(",", ":")).encode()),
    ("a key twice", lambda body: canonical(body)[:-1] + b',"sql":"SELECT * FROM ga.population"}'),
    ("half a character", lambda body: canonical({**body, "project": "~"}).replace(b"~", b"\\ud800")),
    ("not UTF-8", lambda body: canonical(body).replace(b"drc", b"\xff\xfe\xfd")),
    ("no JSON", lambda _: b"SELECT * FROM ga.population"),
    ("nested without end", lambda _: b"[" * 50_000),
    ("a number without end", lambda body: canonical(body).replace(b'"number":0', b'"number":' + b"9" * 9_999)),
    ("nothing", lambda _: b""),
]  # fmt: skip


@pytest.mark.parametrize("form", named(FORMS))
def test_what_is_no_fragment_is_refused_though_it_is_signed(hostile, form):
    raw = form(json.loads(hostile.fragment("ga").to_bytes()))
    hostile.assert_refused("ga", lambda: hostile.send("ga", raw), "X001")


RESIGNED = [
    ("for another department", {"department": "tax"}),
    ("for another department and its cohort", {"department": "tax", "cohort": ("tax",)}),
    ("a cohort of others", {"cohort": ("ss", "tax")}),
    ("a larger cohort", {"cohort": ("ga", "tax")}),
    ("no cohort", {"cohort": ()}),
    ("oneself twice", {"cohort": ("ga", "ga")}),
    ("another protocol", {"protocol": "secure_sum"}),
    ("a protocol of nobody", {"protocol": "rows"}),
]


@pytest.mark.parametrize("changes", named(RESIGNED))
def test_fragment_for_somebody_else_is_refused(hostile, changes):
    hostile.assert_refused("ga", lambda: hostile.ask("ga", **changes), "X001")


def test_fragment_signed_by_another_party_is_refused(hostile):
    raw = hostile.fragment("ga").to_bytes()
    other = hostile.other("tax").identity
    for signature in (
        other.sign("fragment", raw),
        hostile.key.sign("wire call", raw),
        b"",
        bytes(64),
    ):
        hostile.assert_refused("ga", lambda s=signature: hostile.send("ga", raw, s), "X001")


def test_secure_sum_of_one_department_is_none(hostile):
    """Its masks would cancel among nobody, and it knows no threshold."""
    raw = hostile.fragment("ga", protocol="secure_sum").to_bytes()
    signature = hostile.signed(raw)
    hostile.assert_refused(
        "ga", lambda: hostile.call("ga", lambda link: link.hello(raw, signature)), "X001"
    )


# --- replays ------------------------------------------------------------------------------------------------------


def test_fragment_is_answered_once_also_after_a_kill(hostile):
    raw = hostile.fragment("ga").to_bytes()
    assert hostile.send("ga", raw).code == ""
    hostile.assert_refused("ga", lambda: hostile.send("ga", raw), "X002")
    hostile.restart("ga")
    hostile.assert_refused("ga", lambda: hostile.send("ga", raw), "X002")


AGAIN = [
    # The same query once more, with something else: (name, changes, code)
    ("another statement under the same number", {"sql": f"SELECT COUNT(*) AS a0 FROM {P} WHERE sex = '1'"}, "X002"),
    ("the same, a moment later", {}, "X002"),
    ("another purpose", {"number": 1, "purpose": "planning"}, "X001"),
    ("another policy", {"number": 1, "policy_digest": "0" * 64}, "X001"),
    ("another person", {"number": 1, "subject": replace(DRC, id="somebody")}, "X001"),
    ("another department's person", {"number": 1, "subject": PERSONAS["analyst_stats"]}, "X001"),
    ("another role", {"number": 1, "subject": subject(roles=frozenset({Role.DATA_BUREAU}))}, "X001"),
    ("another region", {"number": 1, "subject": subject(regions=("990101",))}, "X001"),
    ("another project", {"number": 1, "project": "elderly"}, "X001"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code"), named(AGAIN))
def test_one_query_has_one_asker_one_purpose_one_policy(hostile, changes, code):
    first = hostile.fragment("ga")
    assert hostile.send("ga", first.to_bytes()).code == ""
    again = replace(first, issued_at=now())
    hostile.assert_refused(
        "ga", lambda: hostile.send("ga", replace(again, **changes).to_bytes()), code
    )


# --- small cells --------------------------------------------------------------------------------------------------

SMALL = [
    ("by region, sex and schooling", "region_code", "sex", "education_years"),
    ("by region, sex and age", "region_code", "sex", "FLOOR(birth_year / 5) * 5"),
    ("by schooling and age", "sex", "education_years", "FLOOR(birth_year / 5) * 5"),
]


@pytest.mark.parametrize("columns", [pytest.param(row[1:], id=row[0]) for row in SMALL])
def test_small_cells_come_back_withheld_and_their_bytes_are_zero(hostile, people, columns):
    names = ", ".join(f"{each} AS d{place}" for place, each in enumerate(columns))
    sql = f"SELECT {names}, COUNT(*) AS a0 FROM {P} GROUP BY 1, 2, 3"
    said = hostile.ask("ga", sql, subject=PERSONAS["analyst_stats"], project="stats")
    assert said.code == ""
    truth = people.execute(
        f"SELECT {', '.join(columns)}, COUNT(DISTINCT id_number) FROM population GROUP BY 1, 2, 3"
    ).fetchall()
    units = {tuple(map(plain, row[:-1])): row[-1] for row in truth}
    small = {key for key, count in units.items() if count < LEAST}
    assert small, "there are some, or this shows nothing"
    withheld = released = 0
    for row in said.table.to_pylist():
        count = units[tuple(plain(row[f"d{place}"]) for place in range(3))]
        if row["rows_0"] is None:
            withheld += 1
            assert row["m0"] is not None
        else:
            released += 1
            assert count >= LEAST
    assert withheld >= len(small)
    assert released
    assert held_by_nulls(said.table) == set()


def plain(value):
    """Return a label as both sides write it: numbers as numbers, whatever their type."""
    return value if value is None or isinstance(value, str) else int(value)


# --- differencing -------------------------------------------------------------------------------------------------

# All of them state their schooling, but for women of the third region.
_GROUPS = [
    (f"99010{place}", sex) for place in range(1, 7) for sex in "12" if (place, sex) != (3, "2")
]


@pytest.fixture(scope="module")
def targets(people):
    """Return, for each region and sex, a value of schooling that 1 to 9 people have: a population less them is near."""
    found = {}
    for region, sex in _GROUPS:
        rows = people.execute(
            "SELECT education_years, COUNT(DISTINCT id_number), COUNT(DISTINCT household_id) FROM population"
            " WHERE region_code = ? AND sex = ? AND education_years IS NOT NULL GROUP BY 1 HAVING COUNT(*) < 10"
            " AND COUNT(*) = COUNT(DISTINCT id_number) ORDER BY 2 DESC",
            [region, sex],
        ).fetchall()
        found[f"region_code = '{region}' AND sex = '{sex}'"] = rows[0][0]
    return found


def count(where, what="COUNT(*)"):
    return f"SELECT {what} AS a0 FROM {P} WHERE {where}"


# name: what is asked of a group g that a few people e belong to; the last one would tell how many they are
DIFFERENCES = {
    "all, then all but a few": lambda g, e: [count(g), count(f"{g} AND education_years <> {e}")],
    "all but a few, then all": lambda g, e: [count(f"{g} AND education_years <> {e}"), count(g)],
    "a range and a shorter one": lambda g, e: [count(g), count(f"{g} AND NOT (education_years BETWEEN {e} AND {e})")],
    "a group and its parts": lambda g, e: [count(g), count(f"{g} AND education_years < {e}"), count(f"{g} AND education_years > {e}")],
    "by households": lambda g, e: [count(g), f"SELECT SUM(c) AS a0 FROM (SELECT household_id, COUNT(*) AS c FROM {P} WHERE {g} AND education_years <> {e} GROUP BY household_id) t"],
    "by people": lambda g, e: [count(g), f"SELECT SUM(c) AS a0 FROM (SELECT id_number, COUNT(*) AS c FROM {P} WHERE {g} AND education_years <> {e} GROUP BY id_number) t"],
    "a condition inside households": lambda g, e: [count(g), f"SELECT SUM(c) AS a0 FROM (SELECT household_id, COUNT(*) FILTER (WHERE education_years <> {e}) AS c FROM {P} WHERE {g} GROUP BY household_id) t"],
    "households beside themselves": lambda g, e: [count(g), f"SELECT SUM(t.c) AS a0 FROM {P} p JOIN (SELECT id_number, COUNT(*) AS c FROM {P} WHERE {g} AND education_years <> {e} GROUP BY id_number) t ON t.id_number = p.id_number WHERE {g.replace('region', 'p.region').replace('sex', 'p.sex')}"],
    "by another aggregate": lambda g, e: [count(g), count(f"{g} AND education_years <> {e}", "COUNT(DISTINCT household_id)")],
    "two conditions of one fragment": lambda g, e: [f"SELECT COUNT(*) AS a0, COUNT(*) FILTER (WHERE education_years <> {e}) AS a1 FROM {P} WHERE {g}"],
}  # fmt: skip


@pytest.mark.parametrize("one_query", [True, False], ids=["in one query", "over several"])
@pytest.mark.parametrize("name", sorted(DIFFERENCES))
def test_no_few_people_are_the_difference_of_two_answers(hostile, targets, name, one_query):
    project = "elderly" if one_query else "cohorts"
    group = sorted(targets)[sorted(DIFFERENCES).index(name) % len(targets)]
    query = hostile.rng.token_bytes(16).hex()
    before = len(hostile.log("ga"))
    said = []
    for number, sql in enumerate(DIFFERENCES[name](group, targets[group])):
        same = {"query_id": query, "number": number} if one_query else {}
        said.append(hostile.ask("ga", sql, project=project, **same))
    assert said[0].code == ""
    assert not all(told(each) for each in said), "every part of a difference came out"
    codes = {each.code for each in said if each.code}
    assert codes <= {"D010"}
    ends = {each.body["code"] for each in hostile.log("ga")[before:] if each.event == "refused"}
    assert ends == codes
    hostile.assert_alive("ga")


def told(said):
    """Tell whether everything that was asked for came."""
    return said.code == "" and all(
        value is None
        for row in said.table.to_pylist()
        for name, value in row.items()
        if name[0] == "m"
    )


def test_two_fragments_sent_at_once_do_not_slip_past_each_other(hostile, targets):
    group = max(targets)
    statements = [count(group), count(f"{group} AND education_years <> {targets[group]}")]
    found = hostile.ask_together("ga", statements, project="repeat")
    assert sorted(each.code for each in found) == ["", "D010"]


def test_a_region_of_the_askers_hides_no_difference(hostile, targets):
    """The gateway chooses whose regions it names: the rows are compared all the same."""
    group = sorted(targets)[-2]
    region, sex = group.split(" AND ")
    code = region.split("'")[1]
    near = count(f"{sex} AND education_years <> {targets[group]}")
    said = [
        hostile.ask("ga", count(group), project="repeat"),
        hostile.ask("ga", near, project="repeat", subject=subject(regions=(code,))),
    ]
    assert [each.code for each in said] == ["", "D010"]


def test_a_project_is_the_only_thing_that_parts_two_histories(hostile, targets):
    """A limitation, exactly: listed projects and the own are compared each for itself (docs/limitations.md)."""
    group = sorted(targets)[-3]
    first, second = count(group), count(f"{group} AND education_years <> {targets[group]}")
    assert hostile.ask("ga", first, project="drc").code == ""
    assert hostile.ask("ga", second, project="drc").code == "D010"
    assert hostile.ask("ga", second, project="repeat").code == ""
    listed = {"elderly", "cohorts", "repeat", "uninsured_city", "statutory_tables"}
    assert set(shipped()[1].limits.projects) == listed
