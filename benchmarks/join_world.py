"""The made world of ``bench_join`` and ``curves``: residents with one department, their incomes with others.

Deterministic, by whole-number mixing of the row's number. Identity numbers have 18 characters, lie in region 9901xx
(assigned to nobody) and end in the check digit of GB 11643. Half of each side's persons are on the other side too.
"""

# ruff: noqa: E501 - the YAML below is laid out as the shipped catalogue's

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.demo.sources import SourceSpec
from middleplatform.model.request import Role, Subject

__all__ = ["ANALYST", "JOIN", "RESIDENTS", "TOTALS", "JoinWorld", "build"]

RESIDENTS = "ga"
"""The department of the persons and their groups; the others have the incomes."""

ANALYST = Subject("analyst", "drc", frozenset({Role.ANALYST}), ("*",))

_WORDS = "COUNT(*) AS n, SUM(i.amount) AS total, AVG(i.amount) AS mean"
JOIN = (
    f"SELECT r.group_code, {_WORDS} FROM ga.resident r JOIN tax.income i ON r.id_number = i.id_number "
    "GROUP BY r.group_code"
)
"""The question over two sides."""

TOTALS = f"SELECT i.kind, {_WORDS} FROM tax.income i GROUP BY i.kind"
"""The question over the holders of the incomes alone: a secure sum where they are several."""

_PERSON = """
CREATE TEMP TABLE person AS
WITH front AS (
    SELECT i, (990101 + i % 6)::VARCHAR
        || strftime(DATE '1940-01-01' + ((i // 6) % 28000)::INTEGER, '%Y%m%d')
        || lpad((i // 168000 + 1)::VARCHAR, 3, '0') AS digits
    FROM range($first, $last) AS t(i)
)
SELECT i, digits || substr('10X98765432', 1 + list_sum(list_transform(
    [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2],
    lambda weight, place: weight * substr(digits, place, 1)::INTEGER))::INTEGER % 11, 1
) AS id_number
FROM front
"""
_RESIDENT = """
CREATE TABLE resident AS
SELECT id_number, 'G' || lpad((hash(i) % $groups)::VARCHAR, 5, '0') AS group_code
FROM person ORDER BY hash(i + 17)
"""
_INCOME = """
CREATE TABLE income AS
SELECT id_number, (hash(i + 3) % 500000 / 100)::DECIMAL(12, 2) AS amount,
    'K' || lpad((hash(i + 5) % $groups)::VARCHAR, 5, '0') AS kind
FROM person WHERE i % $holders = $holder ORDER BY hash(i + 29)
"""

_DEPARTMENTS = """
departments:
  - {code: city, name_zh: 示范市人民政府, name_en: Demo City Government, level: city, region: "990100"}
  - {code: drc, name_zh: 市发展和改革委员会, name_en: Development and Reform Commission, level: city, region: "990100", parent: city}
"""
_DEPARTMENT = '  - {{code: {code}, name_zh: 测试部门 {code}, name_en: Made department {code}, level: city, region: "990100", parent: city}}\n'
_DATASET = """
datasets:
  {name}:
    name_zh: 测试数据
    name_en: Made data
    owner: {owner}
    steward: 数据共享工作负责人
    source_department: {owner}
    collection_basis: 性能测量
    update_frequency: yearly
    library: 主题
    format: DuckDB 表 (Apache Arrow)
    sharing_mode: 查询服务接口 query service
    use_conditions: 仅限统计汇总
    risk_assessed_on: "2025-09-20"
    head_approval: 主要负责人（2025-09-26 同意）
    quality: 0.96
    unit: person
    unit_column: id_number
    held_by: [{held_by}]
    region_column: ""
    purpose_note: 性能测量用的虚构数据。
    rows_by: [id_number]
    columns:
      id_number: {{name_zh: 公民身份号码, name_en: Identity number, type: text, level: general-3, sharing: unconditional, uses: [key], unit: person, nullable: false}}
"""
_GROUP = "      {name}: {{name_zh: 分组, name_en: Group, type: text, level: general-2, sharing: unconditional, uses: [dimension], nullable: false}}\n"
_AMOUNT = '      amount: {name_zh: 收入, name_en: Income, type: "decimal(12,2)", level: general-3, sharing: unconditional, uses: [measure], unit_of_measure: 元, nullable: false}\n'
_BUNDLE = """
name: benchmark
version: "1"
effective: 2026-01-01
purposes:
  statistics: {name_zh: 统计分析, name_en: statistics, roles: [analyst]}
disclosure: {min_units: 10, dominance: [], p_percent: 0, homogeneity: false, history: false, method: exact}
limits: {near_duplicates_per_day: 100000, cells_max: 1000000, projects: ["*"]}
datasets:
  ga.resident:
    purposes: [statistics]
    columns: {id_number: {}, group_code: {}}
  tax.income:
    purposes: [statistics]
    columns: {id_number: {}, amount: {}, kind: {}}
"""


@dataclass(frozen=True)
class JoinWorld:
    """What was made.

    Attributes:
        folder: Of everything.
        holders: Departments of the incomes, ascending.
    """

    folder: Path
    holders: tuple[str, ...]

    @property
    def catalog(self) -> Path:
        """Return the catalogue's folder."""
        return self.folder / "catalog"

    @property
    def bundle(self) -> Path:
        """Return the policy's file."""
        return self.folder / "bundle.yaml"

    def database(self, department: str) -> Path:
        """Return a department's file."""
        return self.folder / f"{department}.duckdb"

    def sources(self, threads: int, memory_mb: int) -> Mapping[str, SourceSpec]:
        """Return where each department's data lie."""
        catalog = catalogs.load(self.catalog)
        bundle = policies.load(self.bundle, catalog)
        return {
            name: SourceSpec(
                "duckdb",
                {"path": str(self.database(name).resolve()), "threads": str(threads), "memory_mb": str(memory_mb)},
                catalog,
                bundle,
            )
            for name in (RESIDENTS, *self.holders)
        }  # fmt: skip

    def pooled(self, sql: str, *, threads: int, memory_mb: int) -> duckdb.DuckDBPyConnection:
        """Return a database in memory that sees all tables under their catalogue names, and has run ``sql`` once."""
        config = {"threads": threads, "memory_limit": f"{memory_mb}MiB", "temp_directory": ""}
        database = duckdb.connect(config=config)
        for name in (RESIDENTS, *self.holders):
            database.execute(f"ATTACH '{self.database(name)}' AS db_{name} (READ_ONLY)")
        parts = " UNION ALL ".join(f"SELECT * FROM db_{name}.income" for name in self.holders)
        database.execute("CREATE SCHEMA ga; CREATE SCHEMA tax")
        database.execute(f"CREATE VIEW ga.resident AS SELECT * FROM db_{RESIDENTS}.resident")
        database.execute(f"CREATE VIEW tax.income AS {parts}")
        database.sql(sql).to_arrow_table()
        return database


def build(folder: Path, rows: int, *, groups: int = 100, departments: int = 2) -> JoinWorld:
    """Write catalogue, policy and databases.

    Args:
        folder: Existing and empty.
        rows: Of the residents, and of the incomes of all their holders together.
        groups: Of residents, and kinds of income.
        departments: At least 2: one has the residents, the others the incomes.
    """
    names = ("tax",) if departments == 2 else tuple(f"tax{at:02}" for at in range(1, departments))
    world = JoinWorld(folder, names)
    world.catalog.mkdir()
    made = "".join(
        _DEPARTMENT.format(code=code) for code in dict.fromkeys((RESIDENTS, "tax", *names))
    )
    (world.catalog / "departments.yaml").write_text(_DEPARTMENTS + made, encoding="utf-8")
    head = _DATASET.format(name="ga.resident", owner=RESIDENTS, held_by=RESIDENTS)
    text = head + _GROUP.format(name="group_code")
    (world.catalog / "ga.yaml").write_text(text, encoding="utf-8")
    head = _DATASET.format(name="tax.income", owner="tax", held_by=", ".join(names))
    text = head + _GROUP.format(name="kind") + _AMOUNT
    (world.catalog / "tax.yaml").write_text(text, encoding="utf-8")
    world.bundle.write_text(_BUNDLE, encoding="utf-8")
    _write(world.database(RESIDENTS), (0, rows), _RESIDENT, {"groups": groups})
    for at, name in enumerate(names):
        numbers = {"groups": groups, "holders": len(names), "holder": at}
        _write(world.database(name), (rows // 2, rows // 2 + rows), _INCOME, numbers)
    return world


def _write(path: Path, persons: tuple[int, int], table: str, numbers: Mapping[str, int]) -> None:
    with duckdb.connect(str(path), config={"threads": 2}) as database:
        person = _PERSON.replace("$first", str(persons[0])).replace("$last", str(persons[1]))
        database.execute(person)
        for name in sorted(numbers, key=len, reverse=True):
            table = table.replace(f"${name}", str(numbers[name]))
        database.execute(table)
        database.execute("DROP TABLE person; CHECKPOINT")
