"""A node under ``perturb``: what leaves is perturbed, agrees with itself, and is the same whenever the units are."""

from dataclasses import replace
from decimal import Decimal

import made_platform
import made_world as made
import pyarrow as pa
import pytest

from connectors.memory import MemoryConnector
from middleplatform.disclosure.disclose import disclose
from middleplatform.errors import SourceError
from middleplatform.model.policy import DisclosureParameters
from middleplatform.node.measure import Source
from middleplatform.node.perturbed import block_keys, perturbed
from middleplatform.node.units import UnitNumbers
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment

PARAMETERS = DisclosureParameters(min_units=10, method="perturb", history=False)
BUNDLE = made_platform.with_parameters(method="perturb", history=False)
AMOUNTS = {"nobody": (0, 0), "missing": (0, None), "one": (1, 0), "few": (5, 0), "known": (5, None), "many": (30, 0)}  # fmt: skip
"""Kinds of income: how many of forty people have one, and what the table says of the others."""
BY_SEX = "SELECT sex, COUNT(*) AS n, COUNT(DISTINCT id) AS p, SUM(education) AS s, AVG(education) AS a FROM ga.person GROUP BY sex"


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    rows = made_platform.complete_rows()
    with made_platform.Platform(tmp_path_factory.mktemp("noisy"), BUNDLE, rows) as platform:
        yield platform


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    bundle = made_platform.with_parameters(history=False)
    rows = made_platform.complete_rows()
    with made_platform.Platform(tmp_path_factory.mktemp("exact"), bundle, rows) as platform:
        yield platform


def ask(platform, sql):
    return platform.ask(sql).release.table.to_pylist()


def run(source, sql, numbers, parameters=PARAMETERS):
    """Return the perturbed block of ``sql``, its marks, and the cells below the perturbed threshold."""
    cell, _ = read_fragment(sql, made.CATALOG)
    layout = layout_of(cell, made.CATALOG)
    measured = source.measure(cell, layout)
    marks = disclose(layout, measured.evidence, parameters)
    found, fewer = perturbed(cell, layout, measured, marks, parameters, source, numbers)
    return measured, found, marks, fewer


def source_of(platform):
    return platform.nodes["ga"].source


def test_an_answer_agrees_with_itself_and_is_not_the_exact_one(noisy, exact):
    found, plain = ask(noisy, BY_SEX), ask(exact, BY_SEX)
    for row in found:
        assert row["n"] == row["p"], "one row a person"
        assert row["a"] == pytest.approx(float(row["s"]) / row["n"])
    assert found != plain
    for row, other in zip(found, plain, strict=True):
        assert abs(row["n"] - other["n"]) <= PARAMETERS.noise_max


def test_words_that_leave_are_of_the_same_types_as_exact_ones(noisy, exact):
    fragments = [each.fragment('SELECT "t0"."sex" AS "d0", AVG("t0"."education") AS "a0" FROM "ga"."person" AS "t0" GROUP BY "t0"."sex"') for each in (noisy, exact)]  # fmt: skip
    one, two = (
        platform.nodes["ga"].answer(*platform.signed(fragment)).cells
        for platform, fragment in zip((noisy, exact), fragments, strict=True)
    )
    assert one.schema == two.schema
    assert not one.equals(two)


@pytest.mark.parametrize(
    "other",
    [
        "SELECT q.sex AS d0, COUNT(*) AS a0, SUM(q.education) AS a1 FROM ga.person AS q WHERE q.sex = '1' GROUP BY q.sex",
        "SELECT COUNT(*) AS a0, SUM(x.education) AS a1 FROM ga.person AS x WHERE NOT (x.sex <> '1')",
        "SELECT COUNT(*) AS a0, SUM(x.education) AS a1 FROM ga.person AS x WHERE x.sex IN ('1') AND x.id IS NOT NULL",
        "SELECT COUNT(CASE WHEN sex = '1' THEN 1 END) AS a0, SUM(CASE WHEN sex = '1' THEN education END) AS a1 FROM ga.person",
    ],
)
def test_the_same_units_have_the_same_noise_whatever_the_text(noisy, other):
    numbers, source = UnitNumbers(bytes(32)), source_of(noisy)
    first = "SELECT COUNT(*) AS a0, SUM(education) AS a1 FROM ga.person WHERE sex = '1'"
    told = []
    for sql in (first, other):
        _, found, _, _ = run(source, sql, numbers)
        place = 1 if "CASE" in sql else 0
        sums = [name for name in found.table.column_names if name.startswith("sum_")]
        told.append((found.table[f"units_{place}"][0].as_py(), found.table[sums[0]][0].as_py()))
    assert told[0] == told[1]


def test_a_join_to_rows_of_the_same_people_repeats_their_noise(noisy):
    numbers, source = UnitNumbers(bytes(32)), source_of(noisy)
    plain = "SELECT COUNT(DISTINCT i.id) AS a0 FROM ga.income AS i"
    joined = (
        "SELECT COUNT(DISTINCT p.id) AS a0 FROM ga.person AS p JOIN ga.income AS i ON p.id = i.id"
    )
    one, two = (run(source, sql, numbers)[1].table["units_0"][0].as_py() for sql in (plain, joined))
    exact = [run(source, sql, numbers)[0].table["units_0"][0].as_py() for sql in (plain, joined)]
    assert exact[0] == exact[1]
    assert one == two


def test_noise_outlives_a_restart_and_another_department_has_its_own(noisy):
    source, sql = (
        source_of(noisy),
        "SELECT region AS d0, COUNT(*) AS a0 FROM ga.person GROUP BY region",
    )
    one, two, other = (
        run(source, sql, UnitNumbers(secret))[1].table["units_0"].to_pylist()
        for secret in (bytes(32), bytes(32), b"\x01" * 32)
    )
    assert one == two
    assert one != other


def test_cells_below_the_threshold_after_noise_are_marked_and_their_labels_told_of(noisy):
    source = source_of(noisy)
    sql = "SELECT region AS d0, sex AS d1, local AS d2, COUNT(*) AS a0 FROM ga.person GROUP BY region, sex, local"
    least = replace(PARAMETERS, min_units=18)
    seen = 0
    for number in range(12):
        measured, found, marks, fewer = run(source, sql, UnitNumbers(bytes([number]) * 32), least)
        for row, (before, after) in enumerate(zip(measured.evidence.units[:, 0], found.evidence.units[:, 0], strict=True)):  # fmt: skip
            assert (marks[row, 0] == "threshold") == (before < 18 or after < 18)
            assert fewer[row] == (after < 18)
            seen += before >= 18 > after
    assert seen


def test_public_data_leave_exactly_and_are_not_read_twice(noisy):
    class Counting:
        department = "ga"

        def rows(self, *_):
            raise AssertionError("asked again")

    cell, _ = read_fragment("SELECT COUNT(*) AS a0 FROM ga.person", made.CATALOG)
    layout = layout_of(cell, made.CATALOG)
    measured = source_of(noisy).measure(cell, layout)
    marks = disclose(layout, measured.evidence, made.OPEN)
    found, _ = perturbed(cell, layout, measured, marks, replace(made.OPEN, method="perturb"), Counting(), UnitNumbers())  # fmt: skip
    assert found is measured


def test_units_that_changed_between_two_statements_end_the_question(noisy):
    source = source_of(noisy)
    cell, _ = read_fragment("SELECT sex AS d0, COUNT(*) AS a0 FROM ga.person GROUP BY sex", made.CATALOG)  # fmt: skip
    layout = layout_of(cell, made.CATALOG)
    measured = source.measure(cell, layout)
    wrong = replace(measured.evidence, units=measured.evidence.units + 1)
    with pytest.raises(SourceError) as caught:
        block_keys(cell, layout, replace(measured, evidence=wrong), source, UnitNumbers())
    assert caught.value.code == "S003"
    gone = replace(measured, table=measured.table.slice(0, 1), evidence=measured.evidence)
    with pytest.raises(SourceError):
        block_keys(cell, layout, gone, source, UnitNumbers())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sex AS d0, local AS d1, COUNT(*) AS a0, SUM(CASE WHEN region = '990101' THEN education END) AS a1 FROM ga.person GROUP BY sex, local",
        "SELECT kind AS d0, COUNT(DISTINCT firm) AS a0, VAR_SAMP(steps) AS a1, SUM(amount) AS a2 FROM ga.income GROUP BY kind",
        "SELECT kind AS d0, COUNT(*) AS a0, SUM(steps) AS a1 FROM ga.income WHERE kind = 'nothing' GROUP BY kind",
        "SELECT COUNT(*) AS a0 FROM ga.income AS i LEFT JOIN ga.person AS p ON p.id = i.id WHERE i.kind = 'nothing'",
    ],
)
def test_a_source_without_sql_gives_the_same_words(noisy, sql):
    """The reference connector reads the tree; its cells and keys must be those of the engine."""
    cell, _ = read_fragment(sql, made.CATALOG)
    layout = layout_of(cell, made.CATALOG)
    engine = source_of(noisy)
    rows = noisy.rows
    tables = {name: table_of(f"ga.{name}", rows[name]) for name in ("person", "income")}
    memory = Source("ga", MemoryConnector(tables), made.EXECUTION)
    numbers = UnitNumbers(bytes(32))
    found = [
        perturbed(cell, layout, measured, disclose(layout, measured.evidence, PARAMETERS), PARAMETERS, source, numbers)[0]
        for source in (engine, memory)
        for measured in (source.measure(cell, layout),)
    ]  # fmt: skip
    names = [name for formula in layout.formulas for name in layout.words(formula)]
    assert found[0].table.select(names).equals(found[1].table.select(names))


def incomes(alone=()):
    """Return a source of ``AMOUNTS``: one row a person; ``alone`` are further rows."""
    rows = [
        (f"9901011990010{number}{unit:03d}0", None, 2024, kind, *_paid(unit < paid, other), None)
        for number, (kind, (paid, other)) in enumerate(AMOUNTS.items())
        for unit in range(40)
    ]
    tables = {"income": table_of("ga.income", [*rows, *alone])}
    return Source("ga", MemoryConnector(tables), made.EXECUTION)


def _paid(paid, other):
    return (Decimal(100), 3) if paid else (other, other)


def marks_of(sql, parameters=PARAMETERS, number=0, source=None):
    """Return the marks of each cell by its label."""
    _, found, marks, _ = run(source or incomes(), sql, UnitNumbers(bytes([number]) * 32), parameters)  # fmt: skip
    return dict(zip(found.table["d0"].to_pylist(), marks.tolist(), strict=True))


def test_a_sum_to_which_few_contribute_is_withheld_and_its_count_is_not():
    sql = "SELECT kind AS d0, SUM(amount) AS a0, AVG(amount) AS a1, STDDEV_SAMP(amount) AS a2, COUNT(*) AS a3 FROM ga.income GROUP BY kind"
    found = marks_of(sql)
    assert found["many"] == [None] * 4
    for kind in ("nobody", "one", "few"):
        assert found[kind] == ["threshold"] * 3 + [None], "one mark, however few"
    for kind in ("missing", "known"):
        assert found[kind] == ["complement"] * 3 + [None], "as before: a value is a condition"


def test_a_zero_for_missing_values_makes_nobody_contribute():
    sql = "SELECT kind AS d0, SUM(COALESCE(steps, 0)) AS a0 FROM ga.income GROUP BY kind"
    found = marks_of(sql)
    assert found["known"] == found["missing"] == found["few"] == ["threshold"]
    assert found["many"] == [None]


def test_a_sum_of_two_columns_needs_contributors_to_both():
    sql = (
        "SELECT kind AS d0, SUM(amount + year) AS a0, SUM(year) AS a1 FROM ga.income GROUP BY kind"
    )
    found = marks_of(sql)
    assert found["few"] == ["threshold", None]
    assert found["many"] == [None] * 2


def test_totals_that_add_up_to_zero_are_no_contributions():
    amounts = [
        (f"99010119900109{unit:02d}00", None, 2024, "back", Decimal(sign * 7), 1, None)
        for unit in range(40)
        for sign in (1, -1)
    ]
    sql = "SELECT kind AS d0, SUM(amount) AS a0 FROM ga.income GROUP BY kind"
    assert marks_of(sql, source=incomes(amounts))["back"] == ["threshold"]


def test_per_unit_totals_and_conditions_are_counted_alike():
    block = "SELECT q.kind AS d0, SUM(q.t) AS a0 FROM (SELECT id, kind, SUM(amount) AS t FROM ga.income GROUP BY id, kind) AS q GROUP BY q.kind"
    found = marks_of(block)
    assert found["few"] == found["nobody"] == ["threshold"]
    assert found["many"] == [None]
    part = "SELECT kind AS d0, SUM(amount) FILTER (WHERE year = 2024) AS a0 FROM ga.income GROUP BY kind"
    off = replace(PARAMETERS, homogeneity=False)
    assert marks_of(part, off)["few"] == ["threshold"]


def test_contributors_count_with_their_noise():
    sql = "SELECT kind AS d0, SUM(amount) AS a0 FROM ga.income GROUP BY kind"
    near = replace(PARAMETERS, min_units=28)
    told = {marks_of(sql, near, number)["many"][0] for number in range(12)}
    assert told == {None, "threshold"}, "the mark does not say that they are fewer than 28"


def test_contributors_of_public_data_are_not_counted():
    sql = "SELECT kind AS d0, SUM(amount) AS a0 FROM ga.income GROUP BY kind"
    public = replace(PARAMETERS, min_units=1, dominance=(), p_percent=0)
    assert marks_of(sql, public)["one"] == [None]


def table_of(dataset, rows):
    columns = made.CATALOG.datasets[dataset].columns
    held = [column for column in columns.values() if column.held]
    kinds = {"text": pa.string(), "integer": pa.int64(), "date": pa.date32(), "boolean": pa.bool_()}
    arrays = {
        column.name: pa.array(
            [row[place] for row in rows],
            kinds.get(str(column.type.kind.value), pa.decimal128(18, column.type.scale)),
        )
        for place, column in enumerate(held)
    }
    return pa.table(arrays)
