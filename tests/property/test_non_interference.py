"""What a statement may not use leaves no trace: not in the answer, not in the error, not in the log.

Two runs differ by cells of denied columns, by rows of withheld codes, by rows outside the asker's region or by another
department's rows. Clock and generators are the same, so every byte that differs was told by the data.
"""

import random
import shutil
from decimal import Decimal
from pathlib import Path

import duckdb
import pooled_world as world
import pytest
from asking import ANALYST, ask, opened
from hypothesis import given
from hypothesis import strategies as st
from steady import FixedClock, SeededRng
from strategies import examples

from middleplatform.demo.runtime import PERSONAS

# Few people are asked about here, and often: sizes and overlaps are other tests' matter.
RULES = {**world.STRICT, "history": True, "noise_below": 0, "overlaps_max": 0}
DEMO = Path(__file__).parents[2] / "policies" / "examples" / "demo"

PEOPLE = (
    "SELECT region, COUNT(*) AS n, SUM(income) AS s FROM ga.people GROUP BY region ORDER BY region",
    "SELECT COUNT(*) FROM ga.people",
    "SELECT COUNT(*) FROM ga.people WHERE birth_year <> 1990",
    "SELECT sex, AVG(income) AS a, STDDEV_SAMP(score) AS d FROM ga.people WHERE local GROUP BY sex ORDER BY 1",
    "SELECT COUNT(DISTINCT household) FILTER (WHERE income >= 5000) AS h FROM ga.people",
    "SELECT secret, COUNT(*) FROM ga.people GROUP BY secret",
    "SELECT COUNT(*) FROM ga.people WHERE salary > 5000",
    "SELECT AVG(wage) FROM ga.people",
    "SELECT SUM(income) FROM ga.people WHERE income > 1234",
)
CODED = (
    "SELECT code, COUNT(*) AS n, COUNT(DISTINCT id) AS people, SUM(cost) AS s FROM hb.coded GROUP BY code ORDER BY code",
    "SELECT COUNT(*) AS n FROM hb.coded WHERE code <> 'A02'",
    "SELECT COUNT(*) FILTER (WHERE code = 'A01') AS a, COUNT(DISTINCT id) AS n FROM hb.coded",
    "SELECT COUNT(*) FROM hb.coded WHERE code = 'F32'",
    "SELECT COUNT(*) AS n FROM (SELECT id, COUNT(*) AS n FROM hb.coded WHERE code IN ('A01', 'A02') GROUP BY id) AS u WHERE n >= 2",
)  # fmt: skip
COUNTY = (
    "SELECT section, COUNT(*) AS n, SUM(profit) AS s FROM county.firm GROUP BY section ORDER BY section",
    "SELECT contact FROM county.firm",
)
VISITS = (
    "SELECT kind, SUM(cost) AS s FROM hb.visits GROUP BY kind ORDER BY kind",
    "SELECT note FROM hb.visits",
)


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    return world.write_rules(tmp_path_factory.mktemp("rules"), RULES)


def trace(folder, data, rules, questions, subject=ANALYST):
    """Ask the questions of a fresh platform and return everything that it told anybody, as bytes."""
    with opened(folder, data, *rules, FixedClock(), SeededRng(b"keys")) as platform:
        platform.gateway.rng = SeededRng(b"gateway")
        for name, each in platform.nodes.items():
            each.node.rng = SeededRng(name.encode())
        told = []
        for sql in questions:
            outcome = ask(platform, sql, subject)
            told.append((outcome.code, outcome.rule, outcome.message))
            if outcome.answer is not None:
                release = outcome.answer.release
                told.append((release.table.to_pydict(), release.marks.to_pydict(), release.digest))
                told.append((release.withheld, release.notes, outcome.answer.receipt))
        entries = [entry.leaf for entry in platform.gateway.audit.entries()]
    return repr(told).encode(), entries


@pytest.fixture(scope="module")
def told(tmp_path_factory, rules):
    """Return a function from (data, questions) to a trace; the folder of a run is gone after it."""

    def run(data, questions):
        folder = tmp_path_factory.mktemp("run")
        world.write_data(folder / "data", data)
        found = trace(folder / "state", folder / "data", rules, questions)
        shutil.rmtree(folder)
        return found

    return run


@pytest.fixture(scope="module")
def before(told):
    """Return a function from questions to their trace over the unchanged world."""
    known = {}

    def run(questions):
        if questions not in known:
            known[questions] = told(world.rows(), questions)
        return known[questions]

    return run


@pytest.fixture(scope="module")
def told_rules(tmp_path_factory, rules):
    """Return a function from questions to the rule that refuses each; empty where it is answered."""

    def run(questions):
        folder = tmp_path_factory.mktemp("rules_told")
        world.write_data(folder / "data", world.rows())
        with opened(folder / "state", folder / "data", *rules) as platform:
            outcomes = [ask(platform, sql) for sql in questions]
        return [outcome.rule or outcome.code for outcome in outcomes]

    return run


def replaced(found, columns, place, value):
    row = list(found[place])
    for column in columns:
        row[column] = value(row[column])
    found[place] = tuple(row)


TEXTS = st.none() | st.text("密注联a'\\\"\n0", max_size=6)
AMOUNTS = st.none() | st.decimals(-(10**9), 10**9, places=2)


def test_two_runs_over_the_same_rows_leave_the_same_trace(told, before):
    everything = PEOPLE + CODED + COUNTY + VISITS
    assert told(world.rows(), everything) == before(everything)


REFUSED = {
    "secret": "R1", "salary": "R1", "wage": "R0", "1234": "R3", "F32": "R1", "contact": "R1", "note": "R1", "<> 1990": "R14",
    "'990102'": "G3",
}  # fmt: skip


@pytest.mark.parametrize("questions", [PEOPLE, CODED, COUNTY, VISITS])
def test_the_questions_are_answered_or_refused_by_their_own_rule(told_rules, questions):
    for sql, rule in zip(questions, told_rules(questions), strict=True):
        expected = [wanted for word, wanted in REFUSED.items() if word in sql]
        assert rule in (expected or [""]), sql


def test_a_row_that_counts_does_leave_a_trace(told, before):
    data = world.rows()
    place = next(i for i, row in enumerate(data["ga"]["people"]) if row[2] == "东区" and row[7])
    replaced(data["ga"]["people"], (2,), place, lambda _: "西区")
    answers, entries = told(data, PEOPLE)
    assert answers != before(PEOPLE)[0]
    assert entries != before(PEOPLE)[1]


@examples(12)
@given(
    seed=st.integers(0, 2**32), text=TEXTS, amount=AMOUNTS, share=st.sampled_from((0.01, 0.5, 1))
)
def test_no_cell_of_a_denied_column_leaves_a_trace(told, before, seed, text, amount, share):
    data = world.rows()
    chance = random.Random(seed)
    counties = [(county, "firm", 6) for county in world.COUNTIES]
    for department, table, column in [("ga", "people", 10), ("hb", "visits", 5), *counties]:
        found = data[department][table]
        for place in range(len(found)):
            if chance.random() < share:
                replaced(found, (column,), place, lambda _: text)
                if table == "people":
                    replaced(found, (11,), place, lambda _: amount)
    everything = PEOPLE + CODED + COUNTY + VISITS
    assert told(data, everything) == before(everything)


@examples(12)
@given(seed=st.integers(0, 2**32), change=st.sampled_from(("gone", "others", "more")))
def test_no_row_of_a_withheld_code_leaves_a_trace(told, before, seed, change):
    data = world.rows()
    chance = random.Random(seed)
    coded = data["hb"]["coded"]
    hidden = [place for place, row in enumerate(coded) if "F10" <= row[1] <= "F69"]
    assert hidden
    chosen = [place for place in hidden if chance.random() < 0.7]
    if change == "gone":
        data["hb"]["coded"] = [row for place, row in enumerate(coded) if place not in chosen]
    elif change == "others":
        for place in chosen:
            replaced(coded, (2,), place, lambda _: Decimal(chance.randint(-9, 10**6)))
            replaced(coded, (0,), place, lambda _: chance.choice(coded)[0])
            replaced(coded, (1,), place, lambda _: chance.choice(("F10", "F45.1", "F69")))
    else:
        coded += [(f"{chance.random()}", *coded[place][1:]) for place in chosen]
    assert told(data, CODED) == before(CODED)


@examples(10)
@given(seed=st.integers(0, 2**32))
def test_no_row_of_another_department_leaves_a_trace(told, before, seed):
    data = world.rows()
    chance = random.Random(seed)
    data["hb"]["visits"] = chance.sample(data["hb"]["visits"], chance.randint(0, 300))
    data["hb"]["card"] = []
    for county in world.COUNTIES:
        chance.shuffle(data[county]["firm"])
        data[county]["firm"] = data[county]["firm"][: chance.randint(0, 40)]
    assert told(data, PEOPLE) == before(PEOPLE)


# --- rows outside the region --------------------------------------------------------------------------------------

REGIONAL = (
    "SELECT sex, COUNT(*) AS n FROM ga.population GROUP BY sex ORDER BY sex",
    "SELECT COUNT(*) AS n FROM ga.population WHERE sex = '1'",
    "SELECT COUNT(*) AS n FROM ga.population WHERE sex = '2'",
    "SELECT birth_year, COUNT(*) AS n FROM ga.population GROUP BY birth_year ORDER BY birth_year",
    "SELECT region_code, COUNT(DISTINCT id_number) AS n FROM ga.population GROUP BY region_code",
    "SELECT COUNT(*) FROM ga.population WHERE region_code = '990102'",
)
CHANGES = {
    "others are younger": "UPDATE population SET birth_year = 2001 WHERE region_code <> '990101'",
    "all others are gone": "DELETE FROM population WHERE region_code <> '990101'",
    "few others are left": "DELETE FROM population WHERE region_code <> '990101' AND id_number NOT IN "
    "(SELECT id_number FROM population WHERE region_code <> '990101' ORDER BY id_number LIMIT 5)",
    "others change sex": "UPDATE population SET sex = CASE sex WHEN '1' THEN '2' ELSE '1' END WHERE region_code <> '990101'",
    "others are twice as many": "INSERT INTO population SELECT * REPLACE (reverse(id_number) AS id_number) FROM population "
    "WHERE region_code <> '990101'",
}  # fmt: skip


@pytest.fixture(scope="module")
def regional(demo_data, tmp_path_factory):
    """Return a function from a change of the population to the trace of a county's analyst."""

    def run(change):
        folder = tmp_path_factory.mktemp("regional")
        shutil.copytree(demo_data, folder / "data")
        with duckdb.connect(str(folder / "data" / "ga.duckdb")) as connection:
            connection.execute(change)
        person = PERSONAS["county_analyst"]
        found = trace(folder / "state", folder / "data", (DEMO / "catalog", DEMO), REGIONAL, person)
        shutil.rmtree(folder)
        return found

    return run


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_row_outside_the_region_leaves_a_trace(regional, change):
    assert regional(change) == regional("SELECT 1")
