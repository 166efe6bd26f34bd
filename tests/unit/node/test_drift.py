"""A source that is no longer as registered answers nothing, and says in the catalogue's names what changed."""

import threading
from dataclasses import replace

import made_world as made
import pytest

from connectors.duckdb import DuckDBConnector
from connectors.spi import ColumnDescription, ExecutionLimits, TableDescription, TypeKind
from middleplatform.errors import MiddleplatformError
from middleplatform.model.physical import PhysicalNames, PhysicalTable
from middleplatform.node.measure import Source, Sources
from middleplatform.planner.layout import layout_of

COUNT = "SELECT region, COUNT(*), SUM(education) FROM ga.person GROUP BY region"


@pytest.fixture
def stored(tmp_path):
    """Return a function that alters a database of the made world and opens it as a source."""
    opened = []

    def change(*statements):
        path = made.write_database(tmp_path / f"{len(opened)}.duckdb", made.make_rows())
        with made.duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        opened.append(DuckDBConnector(path, threads=1, memory_mb=128))
        return Source("ga", opened[-1], ExecutionLimits(30, 100_000, 64))

    yield change
    for connector in opened:
        connector.close()


def asked(source, sql=COUNT, how="measure"):
    block = made.cell(sql)
    return getattr(source, how)(block, layout_of(block, made.CATALOG))


def refused(source, sql=COUNT, how="measure"):
    with pytest.raises(MiddleplatformError) as caught:
        asked(source, sql, how)
    return caught.value


@pytest.mark.parametrize("how", ["measure", "units", "unit_totals"])
@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER TABLE person RENAME region TO area", "column region is missing"),
        ("ALTER TABLE person ALTER education TYPE VARCHAR", "column education is text, registered as integer"),
        ("ALTER TABLE person ALTER education TYPE DECIMAL(10, 2)", "column education has 2 decimal places, registered with 0"),
        ("ALTER TABLE person ALTER education TYPE DOUBLE", "column education is other, registered as integer"),
        ("ALTER TABLE person RENAME TO persons", "the table is missing"),
    ],
)  # fmt: skip
def test_a_changed_schema_is_named_at_the_next_run(stored, statement, told, how):
    error = refused(stored(statement), how=how)
    assert (error.code, error.parts["dataset"], error.parts["what"][0]) == ("S010", "ga.person", told)  # fmt: skip
    assert told in error.message("en")
    assert error.parts["what"][1] in error.message("zh")


def test_changes_that_lose_nothing_and_columns_that_are_not_read_do_not_matter(stored):
    wider = stored("ALTER TABLE person ALTER education TYPE DECIMAL(20, 0)", "ALTER TABLE person DROP name")  # fmt: skip
    assert asked(wider).table.equals(asked(stored()).table)


def renamed():
    names = PhysicalNames.of(
        {"ga.person": PhysicalTable(("rkxx",), (("id", "sfzh"), ("region", "qh"), ("education", "jynx"), ("sex", "xb")))}
    )  # fmt: skip
    statements = [
        "ALTER TABLE person RENAME TO rkxx", "ALTER TABLE rkxx RENAME id TO sfzh", "ALTER TABLE rkxx RENAME region TO qh",
        "ALTER TABLE rkxx RENAME education TO jynx", "ALTER TABLE rkxx RENAME sex TO xb",
    ]  # fmt: skip
    return names, statements


def test_a_source_with_names_of_its_own_gives_the_same_evidence(stored):
    names, statements = renamed()
    there = replace(stored(*statements), names=names)
    for sql in (COUNT, "SELECT p.sex, COUNT(*), SUM(i.amount) FROM ga.person p LEFT JOIN ga.income i ON p.id = i.id WHERE p.region > '9' GROUP BY 1"):  # fmt: skip
        assert asked(there, sql).table.equals(asked(stored(), sql).table)


def test_with_a_record_every_mapped_column_must_be_as_it_was(stored):
    names, statements = renamed()
    text, whole = TypeKind.TEXT, TypeKind.INTEGER
    record = TableDescription(
        (ColumnDescription("sfzh", text), ColumnDescription("qh", text), ColumnDescription("jynx", whole), ColumnDescription("xb", text))
    )  # fmt: skip
    registered = {"ga.person": record}
    there = replace(stored(*statements), names=names, registered=registered)
    assert asked(there).table.num_rows > 1
    gone = stored(*statements, "ALTER TABLE rkxx DROP xb")
    error = refused(replace(gone, names=names, registered=registered))
    assert error.parts["what"][0] == "column sex is missing"
    assert "xb" not in error.message("en")


def test_a_cell_goes_to_the_source_that_has_its_datasets(stored):
    one, other = stored(), stored()
    sources = Sources("ga", {"ga.person": one, "ga.income": one, "ga.firm": other})
    joined = "SELECT COUNT(*) FROM ga.person p JOIN ga.income i ON p.id = i.id"
    assert asked(sources, joined).table.equals(asked(one, joined).table)
    across = "SELECT COUNT(*) FROM ga.person p JOIN ga.参保 s ON p.id = s.身份证号"
    assert refused(sources, across).code == "S011"
    apart = Sources("ga", {"ga.person": one, "ga.参保": other})
    assert refused(apart, across).code == "Q031"
    assert refused(apart, across, "units").code == "Q031"


@pytest.mark.parametrize("several", [False, True])
def test_nothing_runs_for_who_has_gone(stored, several):
    one = stored()
    source = Sources("ga", {"ga.person": one}) if several else one
    stop = threading.Event()
    waiting = source.until(stop)
    assert asked(waiting).table.num_rows > 1
    stop.set()
    assert refused(waiting).code == "L003"
    assert asked(source).table.num_rows > 1
