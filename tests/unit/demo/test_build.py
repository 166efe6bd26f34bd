"""The demonstration's databases: row counts, keys, reproducibility, refusals of the disk."""

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from middleplatform.catalog import load
from middleplatform.demo import build as module
from middleplatform.demo.build import COUNTIES, build
from middleplatform.errors import ConfigError
from middleplatform.model.catalog import TypeKind

HERE = Path(__file__).parent
DATA = Path(module.__file__).parent / "data"
ROOT = HERE.parents[2]
CATALOG = ROOT / "policies" / "examples" / "demo" / "catalog"
QUESTIONS = yaml.safe_load((HERE / "questions.yaml").read_text(encoding="utf-8"))
COUNTS = {
    "ga.population": 5912,
    "tax.individual_income": 3055,
    "tax.enterprise_tax": 126,
    "health.encounter_year": 20190,
    "ss.insurance": 5516,
    "amr.enterprise": 1775,
    "amr.inspection": 27178,
}
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, str(ROOT)]))}
SQL_KINDS = {TypeKind.INTEGER: "INTEGER", TypeKind.TEXT: "VARCHAR"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return build(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def pooled(paths):
    """One connection over all departments, as no one may have it outside a test."""
    with duckdb.connect() as connection:
        for department, path in paths.items():
            connection.execute(f"ATTACH '{path}' AS {department} (READ_ONLY)")
        yield connection


def rows(connection, sql):
    return connection.execute(sql).fetchall()


def one(connection, sql):
    (row,) = rows(connection, sql)
    return row[0] if len(row) == 1 else row


def contents(paths):
    """Return a digest of every row in stored order, by department and table."""
    digests = {}
    for department, path in paths.items():
        with duckdb.connect(str(path), read_only=True) as connection:
            for (table,) in rows(connection, "SELECT table_name FROM duckdb_tables() ORDER BY 1"):
                text = repr(rows(connection, f"FROM {table}"))
                digests[department, table] = hashlib.sha256(text.encode()).hexdigest()
    return digests


@pytest.mark.parametrize("table", COUNTS)
def test_every_table_has_its_row_count(pooled, table):
    assert one(pooled, f"SELECT count(*) FROM {table}") == COUNTS[table]


def test_counties_together_are_the_city_and_each_holds_its_own_region(pooled):
    for table in ("enterprise", "inspection"):
        union = " UNION ALL ".join(f"FROM amr_{county}.{table}" for county in COUNTIES)
        for left, right in ((f"FROM amr.{table}", union), (union, f"FROM amr.{table}")):
            assert rows(pooled, f"({left}) EXCEPT ALL ({right})") == []
    for county in COUNTIES:
        regions = rows(pooled, f"SELECT DISTINCT region_code FROM amr_{county}.enterprise")
        assert regions == [(county,)]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: f"Q{question['id']}")
def test_plain_answer_to_each_question_is_the_golden_one(pooled, question):
    result = pooled.execute(question["sql"] + " ORDER BY ALL")
    assert [each[0] for each in result.description] == question["columns"]
    answer = [
        [str(cell) if isinstance(cell, Decimal) else cell for cell in row]
        for row in result.fetchall()
    ]
    assert answer == question["rows"]


def test_smallest_cells_of_the_twelve_questions_show_what_the_demo_must_show():
    shape = {}
    for question in QUESTIONS:
        place = question["columns"].index("n")
        units = [row[place] for row in question["rows"]]
        shape[question["id"]] = (len(units), min(units), sum(each < 10 for each in units))
    assert shape == {
        1: (6, 6, 1),
        2: (18, 105, 0),
        3: (4, 138, 0),
        4: (6, 20, 0),
        5: (6, 20, 0),
        6: (3, 273, 0),
        7: (6, 29, 0),
        8: (2, 1, 2),
        9: (6, 110, 0),
        10: (30, 171, 0),
        11: (1, 1, 1),
        12: (6, 7, 1),
    }


def test_manufacturing_revenue_passes_dominance_and_p_percent(pooled):
    firms = rows(
        pooled,
        "SELECT e.region_code, list(x.revenue ORDER BY x.revenue DESC) FROM tax.enterprise_tax x"
        " JOIN amr.enterprise e USING (uscc) GROUP BY 1",
    )
    for _, revenues in firms:
        assert sum(revenues[:2]) < Decimal("0.9") * sum(revenues)
        assert sum(revenues[2:]) > Decimal("0.1") * revenues[0]


def test_second_build_elsewhere_has_identical_contents(paths, tmp_path):
    assert contents(build(tmp_path)) == contents(paths)


def test_build_with_one_thread_has_identical_contents(paths, tmp_path, monkeypatch):
    connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda **_: connect(config={"threads": 1}))
    built = build(tmp_path)
    monkeypatch.undo()
    assert contents(built) == contents(paths)


def test_no_key_lies_outside_the_unassigned_region(pooled):
    for table, region in (
        ("ga.population", "id_number[1:6]"),
        ("ga.population", "household_id[2:7]"),
        ("tax.individual_income", "id_number[1:6]"),
        ("health.encounter_year", "id_number[1:6]"),
        ("ss.insurance", "id_number[1:6]"),
        ("ss.insurance", "employer_uscc[3:8]"),
        ("tax.enterprise_tax", "uscc[3:8]"),
        ("amr.enterprise", "uscc[3:8]"),
        ("amr.inspection", "uscc[3:8]"),
    ):
        regions = rows(pooled, f"SELECT DISTINCT {region} AS r FROM {table} WHERE r IS NOT NULL")
        assert {each for (each,) in regions} == set(COUNTIES)


def test_identity_number_agrees_with_region_birth_year_and_sex(pooled):
    assert (
        one(
            pooled,
            "SELECT count(*) FROM ga.population WHERE id_number[1:6] <> region_code"
            " OR id_number[7:10] <> CAST(birth_year AS VARCHAR)"
            " OR id_number[17]::INTEGER % 2 <> sex::INTEGER % 2 OR length(id_number) <> 18",
        )
        == 0
    )


def test_firm_code_is_unique_and_carries_its_region(pooled):
    assert one(pooled, "SELECT count(DISTINCT uscc) FROM amr.enterprise") == 1775
    wrong = "SELECT count(*) FROM amr.enterprise WHERE uscc[3:8] <> region_code"
    assert one(pooled, wrong) == 0


def test_firms_have_made_labels_and_no_published_name(pooled):
    labels = rows(pooled, "SELECT name FROM amr.enterprise WHERE industry_section = 'H'")
    assert {name for (name,) in labels} == {f"餐饮企业{place:04}" for place in range(1, 1619)}
    others = rows(pooled, "SELECT name FROM amr.enterprise WHERE industry_section <> 'H'")
    assert len(others) == 157
    assert all(name.removeprefix("企业").isdecimal() for (name,) in others)


def test_shipped_firm_sources_hold_numbers_alone():
    for name in ("restaurant_inspections", "jtrain"):
        schema = pq.read_schema(DATA / f"{name}.parquet")
        assert schema.metadata is None
        assert all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in schema.types)


def test_business_numbers_are_dense_and_rows_are_ordered_by_them():
    table = pq.read_table(DATA / "restaurant_inspections.parquet")
    assert table.schema.names == ["business", "year", "inspection_score"]
    shipped = [tuple(row.values()) for row in table.to_pylist()]
    assert shipped == sorted(shipped)
    assert {business for business, *_ in shipped} == set(range(1, 1619))


def test_exactly_one_human_being_is_registered_twice(pooled):
    twice = rows(pooled, "SELECT id_number FROM ga.population GROUP BY 1 HAVING count(*) > 1")
    assert len(twice) == 1
    name = f"WHERE id_number = '{twice[0][0]}'"
    assert one(pooled, f"SELECT (count(*), count(DISTINCT name)) FROM ga.population {name}") == (
        2,
        2,
    )
    same = "SELECT DISTINCT sex, birth_year, region_code, education_years, household_id"
    assert len(rows(pooled, f"{same} FROM ga.population {name}")) == 1


def test_duplicate_is_the_only_pair_of_the_source_that_agrees_in_person_and_use():
    signs = "year, site, plan, coins, income, xage, female, educdec, num, time, mhi, disea, mdvis, totadm"
    with duckdb.connect() as connection:
        pairs = rows(
            connection,
            f"SELECT list(zper ORDER BY zper) FROM (SELECT zper, list(({signs}) ORDER BY year) AS s"
            f" FROM '{DATA / 'randhie.parquet'}' GROUP BY zper) GROUP BY s HAVING count(*) > 1",
        )
    assert pairs == [([526235, 526236],)]


@pytest.mark.parametrize(
    ("table", "key", "register"),
    [
        ("tax.individual_income", "id_number", "ga.population"),
        ("health.encounter_year", "id_number", "ga.population"),
        ("ss.insurance", "id_number", "ga.population"),
        ("tax.enterprise_tax", "uscc", "amr.enterprise"),
        ("amr.inspection", "uscc", "amr.enterprise"),
    ],
)
def test_every_key_is_registered(pooled, table, key, register):
    assert rows(pooled, f"SELECT {key} FROM {table} ANTI JOIN {register} USING ({key})") == []


def test_employers_are_registered_firms_of_adults_with_a_contribution_base(pooled):
    wrong = (
        "SELECT count(*) FROM ss.insurance s JOIN ga.population p USING (id_number)"
        " LEFT JOIN amr.enterprise e ON e.uscc = s.employer_uscc"
        " WHERE (2024 - p.birth_year >= 18) <> (e.uscc IS NOT NULL)"
        " OR (s.contribution_base IS NULL) <> (s.employer_uscc IS NULL)"
    )
    assert one(pooled, wrong) == 0


def test_measures_are_the_published_ones_rounded_half_to_even(pooled):
    source = f"'{DATA / 'randhie.parquet'}'"
    published = rows(
        pooled, f"SELECT CAST(meddol AS VARCHAR), CAST(disea AS VARCHAR) FROM {source}"
    )
    built = rows(pooled, "SELECT medical_cost, chronic_count FROM health.encounter_year")
    cent = Decimal("0.01")
    expected = [tuple(Decimal(text).quantize(cent) for text in row) for row in published]
    assert sorted(built) == sorted(expected)


def test_held_columns_of_the_catalog_are_those_of_the_files_and_types_agree(paths):
    catalog = load(CATALOG)
    for dataset in catalog.datasets.values():
        held = {
            column.name: f"DECIMAL({column.type.precision},{column.type.scale})"
            if column.type.kind is TypeKind.DECIMAL
            else SQL_KINDS[column.type.kind]
            for column in dataset.columns.values()
            if column.held
        }
        for department in dataset.held_by:
            with duckdb.connect(str(paths[department]), read_only=True) as connection:
                table = dataset.name.split(".")[1]
                columns = rows(
                    connection,
                    f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}'",
                )
            assert dict(columns) == held


def test_columns_registered_as_never_missing_are_never_missing(pooled):
    for dataset in load(CATALOG).datasets.values():
        for column in dataset.columns.values():
            for department in dataset.held_by:
                if column.held and not column.nullable:
                    table = f"{department}.{dataset.name.split('.')[1]}"
                    missing = f"SELECT count(*) FROM {table} WHERE {column.name} IS NULL"
                    assert one(pooled, missing) == 0


def test_code_lists_cover_every_value(pooled):
    for dataset in load(CATALOG).datasets.values():
        for column in dataset.columns.values():
            for department in dataset.held_by:
                if column.codes and column.held:
                    table = f"{department}.{dataset.name.split('.')[1]}"
                    found = rows(pooled, f"SELECT DISTINCT {column.name} FROM {table}")
                    assert {value for (value,) in found} <= set(column.codes)


def test_shipped_data_stay_below_two_megabytes():
    assert sum(path.stat().st_size for path in DATA.iterdir()) <= 2_000_000


def test_second_build_in_place_writes_nothing(tmp_path):
    built = build(tmp_path)
    before = {path: path.stat().st_ino for path in built.values()}
    heard = []
    assert build(tmp_path, lambda *step: heard.append(step)) == built
    assert {path: path.stat().st_ino for path in built.values()} == before
    assert heard == []


def test_progress_hears_every_file(tmp_path):
    heard = []
    build(tmp_path, lambda stage, done, total: heard.append((stage, done, total)))
    assert heard == [("build", done, 11) for done in range(1, 12)]


def test_missing_file_or_other_data_cause_a_new_build(paths, tmp_path):
    shutil.copytree(paths["ga"].parent, tmp_path, dirs_exist_ok=True)
    (tmp_path / "ga.duckdb").unlink()
    assert contents(build(tmp_path)) == contents(paths)
    (tmp_path / "demo.sha256").write_text("other data")
    (tmp_path / "tax.duckdb").write_bytes(b"of other data")
    assert contents(build(tmp_path)) == contents(paths)


KILLED = """
import os, sys
from pathlib import Path
from middleplatform.demo.build import build

build(Path(sys.argv[1]), lambda stage, done, total: os._exit(9) if done == 3 else None)
"""


def test_parts_of_a_killed_build_are_gone_after_the_next(paths, tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(command, env=ENVIRONMENT, check=False, timeout=60).returncode == 9
    (parts,) = tmp_path.iterdir()
    assert parts.name.startswith(".build-")
    assert contents(build(tmp_path)) == contents(paths)
    assert not parts.exists()


def test_folders_files_and_links_that_are_not_a_builds_own_stay(tmp_path):
    foreign, elsewhere = tmp_path / ".build-mine", tmp_path / "elsewhere"
    for folder in (foreign, elsewhere):
        folder.mkdir()
    (foreign / "notes.txt").write_text("kept")
    (elsewhere / "ga.duckdb").write_text("kept")
    link = tmp_path / ".build-link"
    link.symlink_to(elsewhere)
    (tmp_path / ".build-file").write_text("kept")
    build(tmp_path)
    assert (tmp_path / ".build-file").read_text() == "kept"
    assert (foreign / "notes.txt").read_text() == "kept"
    assert (link / "ga.duckdb").read_text() == "kept"


def test_build_that_waited_for_another_writes_nothing(tmp_path):
    """The other one starts while the first writes, so it must wait and find the work done."""
    heard, others = [], []

    def first(_stage, done, _total):
        if done == 1:
            others.append(pool.submit(build, tmp_path, lambda *step: heard.append(step)))

    with ThreadPoolExecutor(1) as pool:
        built = build(tmp_path, first)
        assert others[0].result(timeout=60) == built
    assert heard == []
    assert not list(tmp_path.glob(".build-*"))


def test_target_that_is_a_file_is_refused_in_both_languages(tmp_path):
    target = tmp_path / "file"
    target.write_text("")
    with pytest.raises(ConfigError) as caught:
        build(target)
    assert caught.value.code == "C011"
    assert str(target) in caught.value.message("en")
    assert "无法" in caught.value.message("zh")


FULL = """
import resource, signal, sys
from pathlib import Path
from middleplatform.demo.build import build
from middleplatform.errors import ConfigError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    build(Path(sys.argv[1]))
except ConfigError as error:
    sys.exit(42 if error.code == "C011" else 1)
"""


@pytest.mark.parametrize("room", [0, 5_000, 50_000, 500_000])
def test_disk_that_fills_up_is_refused_and_leaves_no_part_behind(tmp_path, room):
    """The limit on file size holds for a whole process, so another one takes it."""
    command = [sys.executable, "-c", FULL, str(tmp_path), str(room)]
    ended = subprocess.run(command, env=ENVIRONMENT, check=False, capture_output=True, timeout=60)
    assert ended.returncode == 42
    assert list(tmp_path.iterdir()) == []
