"""What several departments answer together under ``perturb``: near the pooled answer, the same each time, consistent."""

import re
from hashlib import sha256

import pooled_world as world
import pytest
from asking import ANALYST, ask, opened
from hypothesis import given
from join_strategies import joined
from pooled_answers import plain, released
from sealed_world import opening_key, texts
from strategies import examples

NOISY = {**world.EXACT, "min_units": 3, "method": "perturb"}
LARGEST = 7
"""The policy's default D."""

COUNTED = (
    "SELECT p.region, COUNT(DISTINCT p.id) AS n FROM ga.people AS p JOIN hb.card AS c ON c.id = p.id GROUP BY 1",
    "SELECT c.plan, COUNT(*) AS n, COUNT(*) FILTER (WHERE p.sex = '男') AS m FROM ga.people AS p JOIN hb.card AS c ON c.id = p.id GROUP BY 1",
    "SELECT c.plan, COUNT(DISTINCT p.id) AS n FROM ga.people AS p LEFT JOIN hb.card AS c ON c.id = p.id GROUP BY 1",
    "SELECT v.kind, COUNT(DISTINCT v.id) AS n FROM hb.visits AS v JOIN ga.people AS p ON p.id = v.id GROUP BY 1",
    "SELECT f.section, COUNT(DISTINCT f.uscc) AS n FROM county.firm AS f GROUP BY 1",
)  # fmt: skip
MEANS = (
    "SELECT c.plan, COUNT(p.score) AS n, SUM(p.score) AS s, AVG(p.score) AS a FROM ga.people AS p JOIN hb.card AS c ON c.id = p.id GROUP BY 1",
    "SELECT f.section, COUNT(f.staff) AS n, SUM(f.staff) AS s, AVG(f.staff) AS a FROM county.firm AS f GROUP BY 1",
)  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return world.rows()


@pytest.fixture(scope="module")
def pool(rows):
    with world.pooled(rows, once=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def noisy(rows, tmp_path_factory):
    """Yield a function that asks a platform whose policy perturbs; each statement in a project of its own."""
    folder = tmp_path_factory.mktemp("noisy")
    world.write_data(folder / "data", rows)
    catalog, bundle = world.write_rules(folder, NOISY)
    with opened(folder / "state", folder / "data", catalog, bundle) as platform:
        yield lambda sql, more="": ask(
            platform, sql, project=sha256((sql + more).encode()).hexdigest()
        )


def shown(outcome):
    assert not outcome.refused, f"{outcome.code} {outcome.message}"
    found, marks = released(outcome)
    return [
        [None if mark else value for value, mark in zip(row, each, strict=True)]
        for row, each in zip(found, marks, strict=True)
    ]


@pytest.mark.parametrize("sql", COUNTED)
def test_counts_are_near_the_pooled_ones_and_not_the_same(noisy, pool, sql):
    exact = {row[0]: row[1:] for row in plain(pool, sql)}
    found = {row[0]: row[1:] for row in shown(noisy(sql))}
    pairs = [
        (value, right)
        for label, values in found.items()
        for value, right in zip(values, exact[label], strict=True)
        if value is not None
    ]
    assert len(pairs) >= 2
    assert all(abs(value - right) <= LARGEST for value, right in pairs)
    assert any(value != right for value, right in pairs)


@pytest.mark.parametrize("sql", [*COUNTED, *MEANS])
def test_the_same_units_have_the_same_noise_in_every_round(noisy, sql):
    assert shown(noisy(sql)) == shown(noisy(sql, "another project"))


@pytest.mark.parametrize("sql", MEANS)
def test_a_mean_is_the_released_sum_over_the_released_count(noisy, sql):
    rows = [row for row in shown(noisy(sql)) if None not in row[1:]]
    assert rows
    for _, count, total, mean in rows:
        assert mean == pytest.approx(float(total) / float(count), rel=1e-12)


def test_a_condition_and_the_same_condition_as_a_filter_have_the_same_noise(noisy):
    told = "SELECT c.plan, COUNT(DISTINCT p.id) AS n FROM ga.people AS p JOIN hb.card AS c ON c.id = p.id WHERE {} GROUP BY 1"
    one, other = (
        shown(noisy(told.format(each))) for each in ("p.sex = '男'", "NOT (p.sex <> '男')")
    )
    assert one == other
    assert any(value is not None for _, value in one)


def test_a_sealed_sum_of_perturbed_data_over_several_departments_is_refused(rows, tmp_path):
    world.write_data(tmp_path / "data", rows)
    catalog, bundle = world.write_rules(tmp_path, NOISY, release="both")
    with opened(tmp_path / "state", tmp_path / "data", catalog, bundle) as platform:
        desk = platform.gateway.sealing
        published = desk.publish(ANALYST, *texts(opening_key(ANALYST.id)))
        outcome = ask(platform, MEANS[1], project="p", sealed_for=published.id)
        assert outcome.code == "Q031"


@examples(60)
@given(asked=joined())
def test_random_joins_stay_within_the_noise_and_repeat(noisy, pool, asked):
    outcome = noisy(asked.sql)
    if outcome.refused:
        assert outcome.code in ("Q031", "D010", "P001"), outcome.message
        return
    width = asked.width
    again = shown(noisy(asked.sql, "again"))
    assert shown(outcome) == again
    exact = {row[:width]: row[width:] for row in plain(pool, asked.sql)}
    units = [place for place, text in enumerate(_projections(asked.sql)) if _counts_units(text)]
    for row in again:
        for place in units:
            value = row[width + place]
            if value is not None:
                assert abs(value - exact[tuple(row[:width])][place]) <= LARGEST, asked.sql


def _projections(sql):
    """Return the texts of the aggregates, in order; statements of ``joined`` have no nested ones."""
    head = sql.split(" FROM ")[0]
    return re.findall(r"((?:COUNT|SUM|AVG|VAR\w*|STDDEV\w*)\(.*?\)) AS a\d+", head)


def _counts_units(text):
    return bool(re.fullmatch(r"COUNT\(DISTINCT \w+\.id\)", text))
