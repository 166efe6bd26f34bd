"""Random permitted questions across departments: a plan's sides and words, put together in the clear, give the plain answer."""

from dataclasses import dataclass

import join_world as world
import pytest
from hypothesis import given
from hypothesis import strategies as st
from join_world import STAFF, SUMS, planned
from plain_join import joined
from pooled_answers import normal, unmatched
from strategies import Block, Predicate, Source, aggregates, examples

from middleplatform.combine.released import Released, run_post
from middleplatform.combine.values import cells_table
from middleplatform.errors import QueryError
from middleplatform.sql.post import MARK


def _all(*texts):
    return tuple(map(Predicate, texts))


@dataclass(frozen=True)
class Across:
    """A source, what may stand in its WHERE, and what must."""

    source: Source
    wheres: tuple[str, ...]
    fixed: str = ""


_P_WHERE = ("p.region = '东'", "p.age BETWEEN 20 AND 59", "p.sex = '1'", "p.income >= 5000", "p.local", "p.region IS NULL")  # fmt: skip
_P_DIMS = (
    "p.region",
    "p.sex",
    "p.local",
    "CASE WHEN p.income < 5000 THEN '低' ELSE '高' END",
    "FLOOR(p.age / 20) * 20",
)
_P_TESTS = (*_all("p.region <> '东'", "p.sex = '2'", "p.income < 5000", "p.age >= 60"), Predicate("p.income IS NOT NULL", presence=True))  # fmt: skip
_Y_TESTS = (*_all("y.kind = '门诊'", "y.cost >= 100", "y.days > 3"), Predicate("y.cost IS NOT NULL", presence=True))  # fmt: skip
SOURCES = (
    Across(
        Source("ga.person p JOIN hb.year y ON y.id = p.id", "p.id", (*_P_DIMS, "y.kind"), _Y_TESTS, ("y.cost", "y.days"), keys=("p.household",)),
        (*_P_WHERE, "y.cost < 1000"), "y.year = 2022",
    ),
    Across(
        Source("ga.person p JOIN hb.year y ON y.id = p.id", "p.id", (*_P_DIMS, "y.kind"), _P_TESTS, ("p.income", "p.points"), keys=("p.household",)),
        (*_P_WHERE, "y.days > 3"), "y.year IN (2021)",
    ),
    Across(
        Source("hb.year y JOIN ga.person p ON y.id = p.id", "y.id", ("y.year", "y.kind", "p.region", "p.sex"), _Y_TESTS, ("y.cost", "y.days")),
        (*_P_WHERE, "y.kind <> '住院'"),
    ),
    Across(
        Source("hb.visit v JOIN ga.person p ON v.id = p.id", "v.id", ("v.kind", "p.region", "CASE WHEN v.cost < 100 THEN 1 ELSE 2 END"),
               _all("v.kind = '急诊'", "v.cost >= 1000"), ("v.cost", "v.hours"), keys=("p.household",)),
        (*_P_WHERE, "v.cost >= 100"),
    ),
    Across(
        Source(f"ga.person p LEFT JOIN {SUMS} ON u.id = p.id", "p.id",
               ("p.region", "CASE WHEN COALESCE(u.n, 0) = 0 THEN '0' WHEN u.n <= 2 THEN '1-2' ELSE '3+' END"), _P_TESTS, ("p.income", "p.points")),
        _P_WHERE,
    ),
    Across(
        Source(f"ga.person p LEFT JOIN {SUMS} ON u.id = p.id", "p.id", ("p.region", "p.sex"), _all("u.n >= 2", "u.s > 1000"), ("u.s", "u.n")),
        _P_WHERE,
    ),
    Across(
        Source("ga.person p LEFT JOIN tax.payer t ON t.id = p.id AND t.paid >= 100", "p.id", ("p.region", "t.grade"), _P_TESTS, ("p.income", "p.points"),
               keys=("p.household",)),
        _P_WHERE,
    ),
    Across(
        Source("ga.person p LEFT JOIN tax.payer t ON t.id = p.id", "p.id", ("p.region", "p.sex"), _P_TESTS, ("p.income", "p.points")),
        _P_WHERE, "t.id IS NULL",
    ),
    Across(
        Source("ga.person p LEFT JOIN hb.year y ON y.id = p.id", "p.id", ("p.region", "y.year"), _Y_TESTS, ("y.cost", "y.days")), _P_WHERE,
    ),
    Across(
        Source("ss.worker k JOIN ga.person p ON p.id = k.id JOIN hb.year y ON y.id = k.id LEFT JOIN tax.payer t ON t.id = k.id", "k.id",
               ("k.plan", "p.region", "t.grade"), _all("k.base >= 1000", "k.plan = '甲'"), ("k.base", "k.months"), keys=("p.household",)),
        (*_P_WHERE, "y.cost < 1000"), "y.year = 2023",
    ),
    Across(
        Source("hb.visit v JOIN hb.card c ON c.id = v.id JOIN ga.person p ON p.id = c.id", "v.id", ("c.plan", "p.sex", "v.kind"), _all("c.plan = '甲'", "v.cost >= 100"),
               ("v.cost", "v.hours")),
        (*_P_WHERE, "c.plan <> '乙'"),
    ),
    Across(
        Source(f"amr.firm f JOIN {STAFF} ON w.firm = f.code", "f.code", ("f.section", "CASE WHEN w.n <= 1 THEN 1 ELSE 2 END"), _all("f.staff >= 10", "f.section = 'A'"),
               ("f.staff", "f.capital")),
        ("f.section <> 'B'", "w.n >= 2"),
    ),
    Across(
        Source("amr.check a JOIN tax.return r ON r.code = a.code", "a.code", ("a.passed",), _all("a.score >= 60", "a.passed"), ("a.score", "a.fine")),
        ("a.score < 60",),
    ),
    Across(
        Source(f"amr.check a LEFT JOIN {STAFF} ON w.firm = a.code", "a.code", ("CASE WHEN COALESCE(w.n, 0) = 0 THEN '0' ELSE '1+' END",), _all("a.score >= 60"),
               ("a.score", "a.fine")),
        ("a.score < 60",),
    ),
)  # fmt: skip


@st.composite
def questions(draw):
    """Return one block across departments."""
    across = draw(st.sampled_from(SOURCES))
    source = across.source
    dimensions = draw(st.lists(st.sampled_from(source.dimensions), max_size=2, unique=True))
    chosen = draw(st.lists(st.sampled_from(across.wheres), max_size=2, unique=True))
    found = draw(st.lists(aggregates(source), min_size=1, max_size=3))
    parts = [*([across.fixed] if across.fixed else []), *chosen]
    where = Predicate(" AND ".join(parts)) if parts else None
    return Block(source, where, tuple(dimensions), tuple(found))


@pytest.fixture(scope="module")
def rows():
    return world.make_rows()


@pytest.fixture(scope="module")
def offices(rows):
    opened = world.departments(rows)
    yield opened
    for connection in opened.values():
        connection.close()


@pytest.fixture(scope="module")
def pool(rows):
    return world.Pool(rows)


def matched(plan, offices):
    (block,) = plan.blocks

    def run(department, statement):
        return offices[department].sql(statement.sql).to_arrow_table()

    return block, joined(block, world.CATALOG, run)


def answered(plan, offices):
    block, found = matched(plan, offices)
    cells = {block.name: (cells_table(found.cells, block.layout, MARK), block.layout)}
    with_post = Released()
    try:
        return run_post(with_post, plan.post_sql, cells, plan.outputs, 10.0)
    finally:
        with_post.close()


def reads(plan):
    (block,) = plan.blocks
    return {(dataset, column) for dataset, column, _ in block.layout.reads}


@examples(80)
@given(block=questions())
def test_a_joined_answer_is_the_plain_answer(offices, pool, block):
    try:
        plan = planned(block.sql)
    except QueryError as error:
        assert error.code == "Q031", (block.sql, error.message("en"))  # noqa: PT017 - a refusal is an answer too
        return
    assert plan.protocol == "private_join"
    found = answered(plan, offices)
    rows = [tuple(map(normal, row.values())) for row in found[0].to_pylist()]
    expected = [tuple(map(normal, row)) for row in pool.answer(block.sql, reads(plan))]
    assert unmatched(rows, expected) == ([], []), block.sql


# --- evidence -------------------------------------------------------------------------------------------------------

CONDITIONS = (
    ("ga.person p JOIN hb.year y ON y.id = p.id", "y.year = 2022", "p.region", "p.id", "y.cost >= 100", "y.cost"),
    ("hb.year y JOIN ga.person p ON p.id = y.id", "y.days >= 0 OR y.days < 0", "p.sex", "y.id", "y.kind = '门诊'", "y.cost"),
    ("hb.visit v JOIN ga.person p ON p.id = v.id", "v.hours >= 0 OR v.hours < 0", "p.region", "v.id", "v.kind = '急诊'", "v.cost"),
    ("ga.person p LEFT JOIN tax.payer t ON t.id = p.id", "p.age > 0", "t.grade", "p.id", "p.sex = '1'", "p.income"),
    (f"ga.person p LEFT JOIN {SUMS} ON u.id = p.id", "p.age > 0", "p.region", "p.id", "u.n >= 2", "u.s"),
)  # fmt: skip
GUARDED = ("y.days", "v.hours")
"""Measures of which no breakpoint is all: their always-true conditions are left out of the statement."""


def asked(case):
    """Return the statement under test, and the units, their rest and their totals by group as SQL tells them."""
    rows, where, group, unit, condition, measure = case
    kept = "" if any(each in where for each in GUARDED) else f" WHERE {where}"
    sql = (
        f"SELECT {group} AS d, COUNT(*) FILTER (WHERE {condition}) AS n, SUM({measure}) AS s"
        f" FROM {rows}{kept} GROUP BY 1"
    )
    counted = (
        f"SELECT {group} AS d, COUNT(DISTINCT {unit}) AS units, COUNT(*) AS rows,"
        f" COUNT(DISTINCT {unit}) FILTER (WHERE {condition}) AS some,"
        f" COUNT(DISTINCT {unit}) FILTER (WHERE ({condition}) IS NOT TRUE) AS rest FROM {rows}{kept} GROUP BY 1"
    )
    totals = f"SELECT {group} AS d, {unit} AS k, ABS(SUM({measure})) AS t FROM {rows}{kept} GROUP BY 1, 2"  # fmt: skip
    return sql, counted, totals


@pytest.mark.parametrize("case", CONDITIONS, ids=lambda case: f"{case[0][:12]} {case[4]}")
def test_evidence_counts_the_units_that_sql_counts(offices, pool, case):
    sql, counted, _ = asked(case)
    plan = planned(sql)
    _, found = matched(plan, offices)
    evidence = found.evidence
    expected = {row[0]: row[1:] for row in pool.answer(counted, reads(plan))}
    labels = found.cells["d0"].to_pylist()
    assert set(labels) == set(expected)
    for place, label in enumerate(labels):
        units, rows, some, rest = expected[label]
        assert (evidence.units[place, 0], evidence.rows[place, 0]) == (units, rows), label
        assert (evidence.units[place, 1], evidence.rest[place, 1]) == (some, rest), label


@pytest.mark.parametrize("case", CONDITIONS, ids=lambda case: f"{case[0][:12]} {case[5]}")
def test_rungs_bound_the_largest_units_from_above_and_closely(offices, pool, case):
    sql, _, totals = asked(case)
    plan = planned(sql, bundle=world.STRICT_BUNDLE)
    block, found = matched(plan, offices)
    (magnitude,) = found.evidence.magnitudes
    scale, cap = block.layout.sums[0].scale, block.join.capped[0]
    largest = {}
    for label, _, total in pool.answer(totals, reads(plan)):
        largest.setdefault(label, []).append(int((total or 0) * 10**scale))
    for place, label in enumerate(found.cells["d0"].to_pylist()):
        told = [*sorted(largest[label], reverse=True), 0, 0, 0]
        assert magnitude.absolute[place] == sum(told), label
        for rank, bound in enumerate(magnitude.top[place]):
            assert bound >= told[rank]
            assert bound <= max(told[rank] * 5 // 4 + 2, cap * 4**11 // 5**11), (
                "a rung, or the lowest"
            )
