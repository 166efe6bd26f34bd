"""History on one node: what decides, over which snapshots, and what its refusals do not depend on."""

import made_platform
import made_world as made
import pytest

from middleplatform.errors import MiddleplatformError
from middleplatform.ledger.history import History
from middleplatform.node.overlap import Memory
from middleplatform.node.units import UnitNumbers

EXACT = made.BUNDLE
PERTURBED = made_platform.with_parameters(
    method="perturb", homogeneity=False, dominance=(), p_percent=0
)
ALL = "SELECT COUNT(*) FROM ga.person"
BY_REGION = "SELECT region, COUNT(*) FROM ga.person GROUP BY region"


def persons(count=200, few=4, schooling=lambda place: 5 + place % 9):
    """Return so many persons, of whom ``few`` are of region 990103."""
    rows = made_platform.complete_rows()
    rows["person"] = [
        (f"P{place:04}", place, "x", "990103" if place < few else f"99010{place % 2 + 1}", "12"[place // 2 % 2], 1950 + place % 50, made.date(1980, 1, 1), place % 4 < 2, schooling(place), "A01" if place % 3 else "J45")
        for place in range(count)
    ]  # fmt: skip
    return rows


class Snapshots:
    """One node's history over several states of its data."""

    def __init__(self, folder, bundle=EXACT):
        self.folder, self.bundle, self.count = folder, bundle, 0
        self.history, self.numbers, self.opened = History(None), UnitNumbers(bytes(32)), []

    def of(self, rows):
        folder = self.folder / str(len(self.opened))
        folder.mkdir(parents=True)
        platform = made_platform.Platform(folder, self.bundle, rows)
        self.opened.append(platform)
        node = platform.nodes["ga"]
        node.history, node._memory = self.history, Memory(self.numbers)

        def ask(sql, project="drc"):
            self.count += 1
            fragment = platform.fragment(sql, query_id=f"h{self.count}", project=project)
            return node.answer(*platform.signed(fragment)).cells

        return ask

    def close(self):
        for platform in self.opened:
            platform.__exit__()


@pytest.fixture
def snapshots(tmp_path):
    opened = []

    def make(bundle=EXACT):
        opened.append(Snapshots(tmp_path / str(len(opened)), bundle))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def told(ask, sql):
    """Return what an analyst learns of the decision: a code, or the marks."""
    try:
        cells = ask(sql)
    except MiddleplatformError as error:
        return error.code
    return tuple(cells["m0"].to_pylist())


# --- snapshots ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", [EXACT, PERTURBED])
@pytest.mark.parametrize(("changed", "verdict"), [(0, (None,)), (1, "D010"), (9, "D010"), (10, (None,))])  # fmt: skip
def test_a_question_is_not_answered_twice_over_data_that_changed_by_few_units(snapshots, bundle, changed, verdict):  # fmt: skip
    world = snapshots(bundle)
    assert told(world.of(persons(200)), ALL) == (None,)
    assert told(world.of(persons(200 + changed)), ALL) == verdict


def test_a_unit_that_moved_closes_the_cells_that_it_left_and_came_to(snapshots):
    world = snapshots()
    rows = persons(200, few=40)
    world.of(rows)(BY_REGION)
    moved = persons(200, few=40)
    moved["person"][10] = (*moved["person"][10][:3], "990101", *moved["person"][10][4:])
    assert told(world.of(moved), BY_REGION) == ("overlap", None, "overlap")


def test_an_unchanged_snapshot_gives_the_same_answer_after_a_restart(snapshots):
    world = snapshots()
    first = world.of(persons())(BY_REGION)
    assert world.of(persons())(BY_REGION).equals(first)


def test_a_complement_of_an_earlier_snapshot_is_seen(snapshots):
    world = snapshots()
    assert told(world.of(persons(200)), f"{ALL} WHERE sex = '1'") == (None,)
    # All others of then, less the four of region 990103: the rows of now are twenty more.
    rows = persons(220)
    rows["person"][200:] = [(*row[:3], "990102", "1", *row[5:]) for row in rows["person"][200:]]
    assert told(world.of(rows), f"{ALL} WHERE sex = '2' AND region <> '990103'") == "D010"


# --- what decides ---------------------------------------------------------------------------------------------------

SCHOOLED = f"{ALL} WHERE education >= 9"
QUESTIONS = [
    SCHOOLED,
    f"{SCHOOLED} AND region <> '990103'",
    f"{ALL} WHERE education >= 12",
    f"{ALL} WHERE education < 12 OR sex = '1'",
    f"{ALL} WHERE education < 12 OR sex = '1' OR region = '990103'",
    f"{ALL} WHERE NOT (education >= 12 AND region = '990103')",
    "SELECT diagnosis, COUNT(*) FROM ga.person GROUP BY diagnosis",
    "SELECT diagnosis, sex, COUNT(*) FROM ga.person WHERE region <> '990103' GROUP BY diagnosis, sex",
    "SELECT sex, COUNT(*) FROM ga.person WHERE diagnosis = 'A01' GROUP BY sex",
    "SELECT CASE WHEN education >= 9 THEN 'x' WHEN region = '990103' THEN 'x' ELSE 'y' END, COUNT(*) FROM ga.person GROUP BY 1",
]


def test_refusals_do_not_depend_on_sensitive_values(snapshots):
    def schooling(place):
        return 20 if place % 7 < 3 else 0

    found = []
    for rows in (persons(), persons(schooling=schooling), persons(schooling=lambda _: 10)):
        world = snapshots(PERTURBED)
        ask = world.of(rows)
        codes = [told(ask, sql) for sql in QUESTIONS]
        found.append([code if isinstance(code, str) else "overlap" in repr(code) for code in codes])
    assert found[0] == found[1] == found[2]
    assert "D010" in found[0]
    assert False in found[0]


def test_a_difference_under_a_sensitive_condition_is_refused(snapshots):
    ask = snapshots(PERTURBED).of(persons())
    assert told(ask, SCHOOLED) == (None,)
    assert told(ask, f"{SCHOOLED} AND region <> '990103'") == "D010"
    assert told(ask, f"{ALL} WHERE education >= 12 AND region <> '990103'") == "D010"


def test_sensitive_conditions_over_the_same_people_are_answered(snapshots):
    ask = snapshots(PERTURBED).of(persons())
    for least in (6, 9, 12):
        assert told(ask, f"{ALL} WHERE education >= {least}") == (None,)


@pytest.mark.parametrize(
    "where",
    [
        "region = '990101' OR (education >= 9 AND region = '990103')",
        "(education >= 9 AND region <> '990103') OR (education < 9)",
        "CASE WHEN education >= 9 THEN 1 WHEN region = '990103' THEN 1 ELSE 0 END = 1",
        "NOT (education >= 9 AND region = '990103')",
    ],
)
def test_a_few_units_cannot_hide_behind_a_sensitive_condition(snapshots, where):
    ask = snapshots(PERTURBED).of(persons())
    assert told(ask, f"{ALL} WHERE {where}") == "D010"


@pytest.mark.parametrize("bundle", [EXACT, PERTURBED])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) FROM (SELECT id, COUNT(*) AS c FROM ga.person GROUP BY id HAVING SUM(CASE WHEN region = '990103' THEN 1 ELSE 0 END) = 0) AS t",
        "SELECT COUNT(*) FROM (SELECT id, COUNT(*) FILTER (WHERE region = '990103') AS c FROM ga.person GROUP BY id) AS t WHERE c = 0",
        "SELECT COUNT(*) FROM ga.person AS p LEFT JOIN (SELECT id, COUNT(*) AS c FROM ga.person WHERE region = '990103' GROUP BY id) AS t ON p.id = t.id WHERE t.c IS NULL",
    ],
)
def test_a_few_units_cannot_hide_behind_an_aggregate_for_each_unit(snapshots, bundle, sql):
    ask = snapshots(bundle).of(persons())
    assert told(ask, ALL) == (None,)
    assert told(ask, sql) == "D010"


def test_an_aggregate_for_each_unit_over_sensitive_values_does_not_decide(snapshots):
    taught = "SELECT COUNT(*) FROM (SELECT id, SUM(education) AS c FROM ga.person GROUP BY id) AS t WHERE c >= 9"
    found = []
    for rows in (persons(), persons(schooling=lambda place: 20 if place > 2 else 0)):
        ask = snapshots(PERTURBED).of(rows)
        found.append([told(ask, ALL), told(ask, taught)])
    assert found[0] == found[1] == [(None,), (None,)]


def test_a_sensitive_dimension_is_not_what_is_compared(snapshots):
    ask = snapshots(PERTURBED).of(persons())
    by = "SELECT diagnosis, COUNT(*) FROM ga.person"
    ask(f"{by} GROUP BY diagnosis")
    assert told(ask, f"{by} WHERE region <> '990103' GROUP BY diagnosis") == "D010"


# --- exact tables ---------------------------------------------------------------------------------------------------

TABLE = made_platform.with_parameters(method="table")
COUNTS = "SELECT region, sex, COUNT(*) FROM ga.person GROUP BY region, sex"
BESIDE = "SELECT region, sex, COUNT(*), AVG(education) FROM ga.person GROUP BY region, sex"


@pytest.mark.parametrize("asked", [(COUNTS, BESIDE), (BESIDE, COUNTS)])
def test_a_count_is_withheld_alike_alone_and_beside_a_mean(snapshots, asked):
    ask = snapshots(TABLE).of(persons(few=6))
    first, second = (told(ask, sql) for sql in asked)
    assert first == second
    assert {None, "threshold", "secondary"} <= set(first), (
        "some are shown, some not for their own sake"
    )


# --- the cap and small populations ----------------------------------------------------------------------------------


def years(first, last):
    return f"{ALL} WHERE birth_year BETWEEN {first} AND {last}"


def test_past_the_cap_of_overlaps_only_noise_answers(snapshots):
    bundle = made_platform.with_parameters(PERTURBED, overlaps_max=2)
    ask = snapshots(bundle).of(persons())
    asked = [years(1950 + start, 1969 + start) for start in (0, 5, 10, 15)]
    assert [told(ask, sql) for sql in asked] == [(None,), (None,), "D012", "D012"]
    assert told(ask, asked[0]) == (None,), "what was answered is answered again"
    assert told(ask, BY_REGION) != "D012", "groups as they lie do not count"
    assert told(ask, years(1955, 1959)) == (None,), "a part of an earlier one does not overlap it"


@pytest.mark.parametrize(("most", "code"), [(100, (None,)), (101, "D012")])
def test_small_populations_are_left_to_noise(snapshots, most, code):
    bundle = made_platform.with_parameters(PERTURBED, noise_below=most)
    ask = snapshots(bundle).of(persons())
    assert told(ask, f"{ALL} WHERE sex = '1'") == code
    assert told(ask, f"{ALL} WHERE education >= 9") == (None,), "by the base population"
