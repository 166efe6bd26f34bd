"""Build the departments' databases of the demonstration from published data.

Five departments and six counties, one DuckDB file each. Values stay as published; made are only the
keys (``keys.py``), the name labels of persons and firms, the region of a firm, the roll's margin
and the link from an employed person to a firm, all from source keys, never at random.
``data/PROVENANCE.md`` states each rule.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from middleplatform.demo import keys
from middleplatform.errors import ConfigError
from middleplatform.ports import Progress

__all__ = ["COUNTIES", "build"]

COUNTIES = tuple(f"9901{place:02}" for place in range(1, 7))
"""Region codes of the six counties, one for each site of the health study, in its order."""

_DATA = Path(__file__).parent / "data"
_SOURCES = ("randhie", "jtrain", "restaurant_inspections")
_FINGERPRINT = "demo.sha256"
_PARTS = ".build-"

# Decimal places kept of a published float; the stage has exact decimals only.
_SCALES = {
    "randhie": {"income": 2, "meddol": 2, "disea": 2, "time": 6},
    "jtrain": {"sales": 2},
    "restaurant_inspections": {},
}

# One row a published person. Two of them agree in every person-level column and in their visits and
# admissions of every year: one human being registered twice, so both get one key. A household is a
# run of neighboring source numbers with one site, plan and family income.
_PERSON = """
CREATE TABLE person AS
WITH seen AS (
  SELECT zper, any_value(site) AS site, any_value(plan) AS plan, any_value(coins) AS coins,
         any_value(income) AS income, any_value(female) AS female,
         CAST(round_even(any_value(educdec), 0) AS INTEGER) AS education_years,
         CAST(floor(arg_min(xage, year)) AS INTEGER) AS age, sum(time) AS enrolled,
         list({'year': year, 'site': site, 'plan': plan, 'coins': coins, 'income': income,
               'xage': xage, 'female': female, 'educdec': educdec, 'num': num, 'time': time,
               'mhi': mhi, 'disea': disea, 'mdvis': mdvis, 'totadm': totadm} ORDER BY year) AS signs
  FROM randhie GROUP BY zper),
marked AS (
  SELECT * EXCLUDE (signs), min(zper) OVER (PARTITION BY signs) AS person_key,
         coalesce(lag((site, plan, income)) OVER (ORDER BY zper) <> (site, plan, income), true)
           AS opens_household
  FROM seen)
SELECT * EXCLUDE (opens_household), '99010' || site AS region_code, 2024 - age AS birth_year,
       CASE female WHEN 1 THEN '2' ELSE '1' END AS sex,
       max(zper) FILTER (opens_household) OVER (ORDER BY zper) AS household_key,
       '居民' || lpad(CAST(row_number() OVER (ORDER BY sha256('name/' || zper)) AS VARCHAR), 6, '0')
         AS name
FROM marked
"""

# The body of an identity number: region, birth date, sequence (odd for men, even for women).
_IDENTITY = """
WITH born AS (
  SELECT DISTINCT person_key, region_code, sex, sha256('identity/' || person_key) AS hash,
         CAST(make_date(birth_year, 1, 1)
              + CAST(('0x' || hash[1:8])::UBIGINT % 365 AS INTEGER) AS DATE) AS birth_date
  FROM person),
placed AS (
  SELECT *, row_number() OVER (PARTITION BY region_code, birth_date, sex ORDER BY hash) AS place
  FROM born)
SELECT person_key, region_code || strftime(birth_date, '%Y%m%d')
  || lpad(CAST(2 * place - CAST(sex AS INTEGER) % 2 AS VARCHAR), 3, '0') AS body
FROM placed ORDER BY person_key
"""

_FIRM = """
WITH firm AS (
  SELECT DISTINCT 'jtrain/' || CAST(fcode AS BIGINT) AS source,
         '企业' || CAST(fcode AS BIGINT) AS name, 'C' AS industry_section FROM jtrain
  UNION ALL
  SELECT DISTINCT 'restaurant/' || business,
         '餐饮企业' || lpad(CAST(business AS VARCHAR), 4, '0'), 'H' FROM restaurant_inspections)
SELECT *, '99010' || CAST(1 + ('0x' || sha256('region/' || source)[1:8])::UBIGINT % 6 AS VARCHAR)
  AS region_code
FROM firm ORDER BY source
"""

# The roll holds 5,516 people: those enrolled in the study for longest, the older first where equal.
# Insured adults have an employer, drawn by hash over all firms; their contribution base is their
# published income.
_ROLL = """
CREATE TABLE roll AS
WITH insured AS (
  SELECT * FROM person ORDER BY enrolled DESC, age DESC, sha256('roll/' || zper) LIMIT 5516)
SELECT i.*, f.uscc AS employer_uscc
FROM insured i LEFT JOIN (SELECT *, row_number() OVER (ORDER BY uscc) - 1 AS place FROM firm) f
  ON i.age >= 18
 AND f.place = ('0x' || sha256('employer/' || i.person_key)[1:12])::UBIGINT
               % (SELECT count(*) FROM firm)
"""

# Person tables are ordered by made key, so the order of a file says nothing of the source.
_TABLES: Mapping[str, Mapping[str, str]] = {
    "ga": {
        "population": """
            SELECT id_number, name, sex, birth_year, region_code, education_years, household_id
            FROM person JOIN identity USING (person_key) JOIN household USING (household_key)
            ORDER BY id_number, name"""
    },
    "tax": {
        "individual_income": """
            SELECT id_number, 2019 AS tax_year, CAST(income AS DECIMAL(12, 2)) AS income_total
            FROM person JOIN identity USING (person_key) WHERE age BETWEEN 20 AND 59
            ORDER BY id_number, income_total""",
        "enterprise_tax": """
            SELECT uscc, CAST(sales AS DECIMAL(14, 2)) AS revenue,
                   CAST(employ AS INTEGER) AS employees_declared
            FROM jtrain JOIN firm ON source = 'jtrain/' || CAST(fcode AS BIGINT)
            WHERE year = 1988 AND sales IS NOT NULL ORDER BY uscc""",
    },
    "health": {
        "encounter_year": """
            SELECT id_number, CAST(2018 + year AS INTEGER) AS visit_year,
                   CAST(mdvis AS INTEGER) AS outpatient_visits,
                   CAST(totadm AS INTEGER) AS admissions,
                   CAST(meddol AS DECIMAL(12, 2)) AS medical_cost,
                   CAST(r.disea AS DECIMAL(6, 2)) AS chronic_count
            FROM randhie r JOIN person USING (zper) JOIN identity USING (person_key)
            ORDER BY id_number, visit_year, zper"""
    },
    "ss": {
        "insurance": """
            SELECT id_number, lpad(CAST(plan AS VARCHAR), 2, '0') AS plan_code,
                   CAST(coins AS INTEGER) AS copay_pct, employer_uscc,
                   CASE WHEN employer_uscc IS NOT NULL THEN CAST(income AS DECIMAL(12, 2)) END
                     AS contribution_base
            FROM roll JOIN identity USING (person_key) ORDER BY id_number, zper"""
    },
    "amr": {
        "enterprise": """
            SELECT uscc, name, industry_section, region_code FROM firm ORDER BY uscc""",
        "inspection": """
            SELECT uscc, CAST(year AS INTEGER) AS inspect_year,
                   CAST(inspection_score AS INTEGER) AS score
            FROM restaurant_inspections JOIN firm ON source = 'restaurant/' || business
            ORDER BY uscc, inspect_year, score""",
    },
}


def build(target: Path, progress: Progress | None = None) -> Mapping[str, Path]:
    """Build the demonstration's databases in ``target``, unless they are there already.

    The same data and rules give the same rows in the same order. A file appears under its name only
    when it is whole. Builds in one folder take turns, and each removes the parts of killed ones.

    Args:
        target: Folder, created where missing.
        progress: Hears ``("build", files written, files in all)``.

    Returns:
        Path of the DuckDB file by department code: ga, tax, health, ss, amr, and amr_990101 to
        amr_990106. Tables stand in schema ``main`` under the table part of their logical name.

    Raises:
        ConfigError: C011 when the file system refuses a write.
    """
    plan = _plan()
    paths = {department: target / f"{department}.duckdb" for department in plan}
    with _disk(target):
        if not _built(target, paths):
            target.mkdir(parents=True, exist_ok=True)
            with _alone(target):
                # Another process may have built while this one waited.
                if not _built(target, paths):
                    _sweep(target, paths)
                    _write_all(target, paths, plan, progress)
    return MappingProxyType(paths)


def _plan() -> Mapping[str, Mapping[str, str]]:
    """Return the SQL of every table by department and table name, the counties' slices included."""
    counties = {
        f"amr_{region}": {
            name: f"FROM ({whole}) WHERE uscc[3:8] = '{region}' ORDER BY ALL"
            for name, whole in _TABLES["amr"].items()
        }
        for region in COUNTIES
    }
    return {**_TABLES, **counties}


def _fingerprint() -> str:
    """Return a digest of all that decides the files: data, rules, the writer's version."""
    digest = hashlib.sha256(duckdb.__version__.encode())
    sources = (_DATA / f"{name}.parquet" for name in _SOURCES)
    for path in (*sources, Path(__file__), Path(keys.__file__)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _built(target: Path, paths: Mapping[str, Path]) -> bool:
    mark = target / _FINGERPRINT
    return (
        mark.is_file()
        and mark.read_text(encoding="ascii", errors="replace") == _fingerprint()
        and all(path.is_file() for path in paths.values())
    )


@contextmanager
def _disk(target: Path) -> Iterator[None]:
    """Turn every refusal of the file system into C011; a wrong statement stays what it is."""
    try:
        yield
    except (OSError, duckdb.OperationalError, duckdb.FatalException) as error:
        what = (f"cannot write the demo's databases to {target}", f"无法将演示数据库写入 {target}")
        raise ConfigError("C011", what=what, detail=str(error)) from error


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Wait for every other build in ``target``; the kernel ends the turn of a killed one."""
    descriptor = os.open(target, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(target: Path, paths: Mapping[str, Path]) -> None:
    """Remove what killed builds left; in our turn no living build owns a folder of parts.

    A folder that holds anything but a build's own files is not ours and stays. One that cannot be
    removed does no harm.
    """
    databases = {path.name for path in paths.values()}
    ours = databases | {f"{name}.wal" for name in databases} | {_FINGERPRINT}
    for parts in target.glob(f"{_PARTS}*"):
        # A file is no folder and rmtree refuses a link: both are OSErrors, and both stay.
        with suppress(OSError):
            if {each.name for each in parts.iterdir()} <= ours:
                shutil.rmtree(parts)


def _write_all(
    target: Path,
    paths: Mapping[str, Path],
    plan: Mapping[str, Mapping[str, str]],
    progress: Progress | None,
) -> None:
    """Write every file apart, then move them under their names; the fingerprint goes last."""
    with (
        TemporaryDirectory(dir=target, prefix=_PARTS) as parts,
        duckdb.connect(config={"temp_directory": "", "threads": 2}) as connection,
    ):
        _stage(connection)
        for done, (department, tables) in enumerate(plan.items(), start=1):
            _write(connection, Path(parts) / paths[department].name, tables)
            if progress is not None:
                progress("build", done, len(plan))
        (Path(parts) / _FINGERPRINT).write_text(_fingerprint(), encoding="ascii")
        (target / _FINGERPRINT).unlink(missing_ok=True)
        for name in (*(path.name for path in paths.values()), _FINGERPRINT):
            (Path(parts) / name).replace(target / name)


def _stage(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the published data, then make keys and links, in memory."""
    for name in _SOURCES:
        _keep(connection, name, _published(name))
    connection.execute(_PERSON)
    bodies = connection.sql(_IDENTITY).to_arrow_table()
    numbers = keys.identity_numbers(bodies["body"].to_pylist())
    _keep(
        connection, "identity", bodies.drop(["body"]).append_column("id_number", pa.array(numbers))
    )
    connection.execute("""
        CREATE TABLE household AS SELECT DISTINCT household_key,
          'H' || region_code || upper(sha256('household/' || household_key)[1:11]) AS household_id
        FROM person""")
    firms = connection.sql(_FIRM).to_arrow_table()
    codes = keys.credit_codes(firms["region_code"].to_pylist(), firms["source"].to_pylist())
    _keep(connection, "firm", firms.append_column("uscc", pa.array(codes)))
    connection.execute(_ROLL)


def _keep(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("incoming", table)
    connection.execute(f"CREATE TABLE {name} AS FROM incoming")
    connection.unregister("incoming")


def _published(name: str) -> pa.Table:
    """Read one source; floats become exact, rounded half to even from their decimal text."""
    table = pq.read_table(_DATA / f"{name}.parquet")
    for column, scale in _SCALES[name].items():
        text = pc.cast(table[column], pa.string())
        exact = pc.round(pc.cast(text, pa.decimal128(30, 12)), scale, round_mode="half_to_even")
        place = table.schema.get_field_index(column)
        table = table.set_column(place, column, pc.cast(exact, pa.decimal128(18, scale)))
    return table


def _write(connection: duckdb.DuckDBPyConnection, path: Path, tables: Mapping[str, str]) -> None:
    place = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{place}' AS file")
    try:
        for table, select in tables.items():
            connection.execute(f"CREATE TABLE file.main.{table} AS {select}")
    finally:
        connection.execute("DETACH file")
