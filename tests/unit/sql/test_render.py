"""A fragment read back means the same, and is written the same: departments and gateway work from the same words."""

from datetime import date
from decimal import Decimal

import made_world as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.model.physical import AS_REGISTERED
from middleplatform.model.query import (
    Boolean,
    Case,
    Compare,
    Context,
    Field,
    IsTrue,
    Literal,
    Not,
    Opaque,
)
from middleplatform.planner.engine_sql import EngineSql, Scope
from middleplatform.planner.plan import read_fragment
from middleplatform.sql.render import fragment, predicate, row

DIMENSIONS = ["sex", "region", "local", "FLOOR(birth_year / 10) * 10", "DATE_TRUNC('year', born)", "EXTRACT(month FROM born)", "COALESCE(sex, '不详')", "CASE WHEN education >= 12 THEN '高' ELSE '低' END"]  # fmt: skip
ATOMS = [
    "sex = '1'", "region <> '990101'", "local", "education >= 12", "2024 - education < 2012", "birth_year BETWEEN 1960 AND 1990", "sex IN ('1', '二', 'O''B')",
    "education IS NULL", "sex IS NOT NULL", "DATE_TRUNC('month', born) >= '1980-01-01'", "EXTRACT(quarter FROM born) = 2", "COALESCE(education, 0) <= 9", "birth_year = -5",
    "FLOOR(birth_year / 5) * 5 = 1980", "born < '2000-01-01'", "TRUE", "education = 1.50", "birth_year < 9007199254740993",
    "CASE WHEN sex = '1' THEN 1 ELSE 0 END = 1",
]  # fmt: skip
CONDITIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda part: f"({part[0]} {part[1]} {part[2]})"),
        inner.map(lambda part: f"NOT ({part})"), inner.map(lambda part: f"({part}) IS TRUE"), inner.map(lambda part: f"({part}) IS NOT FALSE"),
    ),
    max_leaves=5,
)  # fmt: skip
FORMS = st.sampled_from(["education", "education / 3", "2 * education - 1", "COALESCE(education, 0)", "education + birth_year", "-education * 0.25 + 1", "education - education"])  # fmt: skip
CALLS = st.one_of(
    st.just("COUNT(*)"), st.just("COUNT(DISTINCT id)"), st.just("COUNT(DISTINCT household)"), st.just("COUNT(education)"),
    FORMS.map(lambda form: f"SUM({form})"), FORMS.map(lambda form: f"AVG({form})"), st.sampled_from(["VAR_POP", "STDDEV_SAMP", "STDDEV_POP", "VARIANCE"]).map(lambda name: f"{name}(education)"),
    st.tuples(CONDITIONS, FORMS).map(lambda part: f"SUM(CASE WHEN {part[0]} THEN {part[1]} END)"),
    CONDITIONS.map(lambda part: f"COUNT(CASE WHEN {part} THEN 1 END)"),
)  # fmt: skip
PIECES = st.one_of(
    st.tuples(CONDITIONS, FORMS, FORMS).map(lambda part: f"SUM(CASE WHEN {part[0]} THEN {part[1]} ELSE {part[2]} END)"),
    st.tuples(CONDITIONS, CONDITIONS, FORMS).map(lambda part: f"AVG(CASE WHEN {part[0]} THEN 0 WHEN {part[1]} THEN {part[2]} END)"),
)  # fmt: skip
FILTERED = st.one_of(CALLS, st.tuples(CALLS, CONDITIONS).map(lambda part: f"{part[0]} FILTER (WHERE {part[1]})"))  # fmt: skip
SOURCES = st.sampled_from([
    "ga.person p", "ga.person p JOIN ga.income i ON p.id = i.id AND i.year = 2024".replace("ga.income i", "(SELECT id AS id2, year FROM ga.income) i").replace("p.id = i.id ", "p.id = i.id2 "),
    "ga.person p LEFT JOIN (SELECT id AS id2, SUM(amount) AS total FROM ga.income GROUP BY id HAVING COUNT(*) >= 3) u ON p.id = u.id2",
    "ga.person p LEFT JOIN (SELECT id AS id2 FROM ga.income WHERE steps > 5) a ON p.id = a.id2",
])  # fmt: skip


@st.composite
def statements(draw, filtered=FILTERED):
    dimensions = draw(st.lists(st.sampled_from(DIMENSIONS), max_size=3, unique=True))
    calls = draw(st.lists(filtered, min_size=1, max_size=3))
    where = draw(st.one_of(st.just(""), CONDITIONS.map(lambda part: f" WHERE {part}")))
    group = f" GROUP BY {', '.join(str(i + 1) for i in range(len(dimensions)))}" if dimensions else ""  # fmt: skip
    outputs = [f"{item} AS x{i}" for i, item in enumerate([*dimensions, *calls])]
    return f"SELECT {', '.join(outputs)} FROM {draw(SOURCES)}{where}{group}"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(statements())
def test_a_fragment_read_back_is_written_the_same(sql):
    for block in made.bound(sql).cells:
        text = fragment(block)
        read, facts = read_fragment(text, made.CATALOG, made.LIMITS)
        assert fragment(read) == text
        again, _ = read_fragment(fragment(read), made.CATALOG, made.LIMITS)
        assert again == read
        assert set(facts.datasets) <= set(made.CATALOG.datasets)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(statements(st.one_of(FILTERED, PIECES)))
def test_a_fragment_gives_the_departments_answer_of_the_statement(sql):
    """On the plain engine: what is asked of a department is what the statement says, written once or twice."""
    world, query = _world(), made.bound(sql)
    (block,) = query.cells
    text = fragment(block)
    read, _ = read_fragment(text, made.CATALOG, made.LIMITS)
    once, twice = world.plain(text), world.plain(fragment(read))
    assert made.alike(once, twice)
    if len(block.aggregates) + len(block.dimensions) == len(query.outputs):
        assert made.alike(once, world.plain(sql))


_OPEN = []


def _world():
    if not _OPEN:
        import tempfile  # noqa: PLC0415 - Hypothesis takes no fixtures of a function
        from pathlib import Path  # noqa: PLC0415

        _OPEN.append(made.World(Path(tempfile.mkdtemp())))
    return _OPEN[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"), (True, "TRUE"), (1, "1"), (-1, "-1"), (2**60 + 1, "1152921504606846977"), (Decimal("1.50"), "1.50"), (Decimal("-1E+3"), "-1000"),
        ("O'Brien", "'O''Brien'"), ("险", "'险'"), (date(2024, 1, 31), "CAST('2024-01-31' AS DATE)"),
    ],
)  # fmt: skip
def test_a_literal_is_written_exactly(value, text):
    assert row(Literal(value)).sql("postgres") == text


def test_an_opaque_form_is_never_written():
    for write in (row, predicate):
        with pytest.raises(AssertionError):
            write(Opaque(Context.FUNCTION, "MD5", (Field("t0", "name"),)))


def test_a_band_for_an_engine_is_exact_for_negative_numbers(world):
    for number in (-11, -10, -1, 0, 9, 10):
        (plain,) = world.plain(f"SELECT {number} - ((({number} % 10) + 10) % 10)")
        assert plain == ((number // 10) * 10,)
    engine = EngineSql(Scope(lambda _: ColumnType(TypeKind.INTEGER), {}, AS_REGISTERED))
    band = made.cell("SELECT FLOOR(birth_year / 10) * 10, COUNT(*) FROM ga.person GROUP BY 1").dimensions[0]  # fmt: skip
    text = engine.row(band.expression).sql("duckdb")
    values = world.plain_database.execute(f"SELECT birth_year, {text} FROM (SELECT unnest([-11, -10, -1, 0, 9, 10]) AS birth_year) t0").fetchall()  # fmt: skip
    assert all(found == (number // 10) * 10 for number, found in values)


def test_names_with_quotes_stay_names():
    assert row(Field("t0", 'a"b')).sql("postgres") == '"t0"."a""b"'


def test_nested_conditions_keep_their_meaning():
    inner = Compare("=", Field("t0", "sex"), Literal("1"))
    condition = Not(Boolean("or", (IsTrue(inner), Not(inner))))
    assert predicate(condition).sql("postgres") == """(NOT ((("t0"."sex" = '1') IS TRUE) OR (NOT ("t0"."sex" = '1'))))"""  # fmt: skip
    case = Case(((inner, Literal(1)),), Literal(None))
    assert row(case).sql("postgres") == """CASE WHEN ("t0"."sex" = '1') THEN 1 ELSE NULL END"""


def test_an_engine_table_has_no_schema_and_a_fragment_has():
    from middleplatform.planner.evidence import evidence_statement  # noqa: PLC0415 - beside its use
    from middleplatform.planner.layout import layout_of  # noqa: PLC0415

    block = made.cell("SELECT COUNT(*) FROM ga.person")
    assert '"ga"."person"' in fragment(block)
    assert '"ga"' not in evidence_statement(block, layout_of(block, made.CATALOG), "duckdb").sql
    assert made.CATALOG.datasets["ga.person"].columns["birth_year"].type.kind is TypeKind.INTEGER
