"""Ten million made visits of a million made persons, with a catalogue and a bundle of their own.

Deterministic: whole-number mixing of the row's number, no generator of the engine. Persons' numbers
have 18 characters, lie in region 9901xx (assigned to nobody) and end in the check digit of GB 11643.
"""

# ruff: noqa: E501 - the YAML below is laid out as the shipped catalogue's

from pathlib import Path

import duckdb

__all__ = ["ROWS", "UNITS", "build"]

ROWS = 10_000_000
UNITS = 1_000_000

_MIX = """
CREATE MACRO mixed(v) AS xor(v, v >> 15) * 1540483477 % 4294967296;
CREATE MACRO draw(r, salt) AS
    xor(mixed(mixed((r + salt * 10000019) * 1274126177 % 4294967296)), 1013904223);
"""
_PERSON = """
CREATE TEMP TABLE person AS
WITH front AS (
    SELECT i, (990101 + i % 6)::VARCHAR AS region_code,
        (990101 + i % 6)::VARCHAR
        || strftime(DATE '1940-01-01' + ((i // 6) % 28000)::INTEGER, '%Y%m%d')
        || lpad((i // 168000 + 1)::VARCHAR, 3, '0') AS digits
    FROM range($units) AS t(i)
)
SELECT i, region_code, digits || substr('10X98765432', 1 + list_sum(list_transform(
    [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2],
    lambda weight, place: weight * substr(digits, place, 1)::INTEGER))::INTEGER % 11, 1
) AS id_number
FROM front
"""
_VISIT = """
CREATE TABLE visit AS
SELECT id_number, region_code,
    'C' || lpad((draw(r, 2) % 100)::VARCHAR, 2, '0') AS code,
    (2015 + draw(r, 3) % 10)::INTEGER AS visit_year,
    (draw(r, 4) % 500000 / 100)::DECIMAL(12, 2) AS cost
FROM (SELECT r, draw(r, 1) % $units AS unit FROM range($rows) AS t(r)) JOIN person ON i = unit
"""

_DEPARTMENTS = """
departments:
  - {code: city, name_zh: 示范市人民政府, name_en: Demo City Government, level: city, region: "990100"}
  - {code: health, name_zh: 市卫生健康委员会, name_en: Health Commission, level: city, region: "990100", parent: city}
  - {code: drc, name_zh: 市发展和改革委员会, name_en: Development and Reform Commission, level: city, region: "990100", parent: city}
"""
_DATASET = """
datasets:
  health.visit:
    name_zh: 就诊记录
    name_en: Visits
    owner: health
    steward: 市卫生健康委员会数据共享工作负责人
    source_department: health
    collection_basis: 《中华人民共和国基本医疗卫生与健康促进法》第四十九条
    update_frequency: yearly
    library: 主题
    format: DuckDB 表 (Apache Arrow)
    sharing_mode: 查询服务接口 query service
    use_conditions: 仅限统计汇总
    risk_assessed_on: "2025-09-20"
    head_approval: 市卫生健康委员会主要负责人（2025-09-26 同意）
    quality: 0.96
    unit: person
    unit_column: id_number
    held_by: [health]
    region_column: region_code
    purpose_note: 性能测量用的虚构数据。
    columns:
      id_number: {name_zh: 公民身份号码, name_en: Identity number, type: text, level: general-3, sharing: unconditional, uses: [key], unit: person, nullable: false}
      region_code: {name_zh: 区划代码, name_en: Region code, type: text, level: general-2, sharing: unconditional, uses: [dimension], nullable: false}
      code: {name_zh: 项目代码, name_en: Code, type: text, level: general-2, sharing: unconditional, uses: [dimension], nullable: false}
      visit_year: {name_zh: 就诊年度, name_en: Year, type: integer, level: general-2, sharing: unconditional, uses: [dimension], unit_of_measure: 年, nullable: false}
      cost: {name_zh: 费用, name_en: Cost, type: "decimal(12,2)", level: general-3, sharing: unconditional, uses: [measure], unit_of_measure: 元}
"""
_BUNDLE = """
name: benchmark
version: "1"
effective: 2026-01-01
extends: baseline
purposes:
  statistics: {{name_zh: 统计分析, name_en: statistics, roles: [analyst]}}
disclosure: {{min_units: 10, dominance: [[1, 50], [2, 67]], p_percent: 10, homogeneity: true, history: {history}, method: exact, noise_below: 0, overlaps_max: 0}}
limits: {{near_duplicates_per_day: 1000, projects: ["*"], answer_grid_ms: 0}}
datasets:
  health.visit:
    purposes: [statistics]
    columns: {{id_number: {{}}, region_code: {{}}, code: {{}}, visit_year: {{}}, cost: {{}}}}
"""


def build(folder: Path, rows: int = ROWS, units: int = UNITS) -> Path:
    """Write ``health.duckdb``, ``catalog/``, ``history.yaml`` and ``plain.yaml`` into ``folder``; return the database.

    A database of as many rows that is there already is kept.
    """
    catalog = folder / "catalog"
    catalog.mkdir(parents=True, exist_ok=True)
    (catalog / "departments.yaml").write_text(_DEPARTMENTS, encoding="utf-8")
    (catalog / "health.yaml").write_text(_DATASET, encoding="utf-8")
    for name, history in (("history", "true"), ("plain", "false")):
        text = _BUNDLE.format(history=history)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    path = folder / "health.duckdb"
    if not path.exists() or _rows(path) != rows:
        _write(path, rows, units)
    return path


def _rows(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as database:
        return int(database.execute("SELECT count(*) FROM visit").fetchone()[0])


def _write(path: Path, rows: int, units: int) -> None:
    started = path.with_suffix(".part")
    started.unlink(missing_ok=True)
    with duckdb.connect(str(started), config={"threads": 2}) as database:
        database.execute(_MIX)
        database.execute(_PERSON.replace("$units", str(units)))
        database.execute(_VISIT.replace("$units", str(units)).replace("$rows", str(rows)))
        database.execute("CHECKPOINT")
    started.rename(path)
