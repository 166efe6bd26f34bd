"""A made catalogue, a bundle, rows and a pipeline without disclosure control: what the unit and golden tests share."""

import asyncio
import math
import random
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType

import duckdb
import numpy as np
import pyarrow as pa
import sqlglot

from connectors.duckdb import DuckDBConnector
from connectors.spi import ExecutionLimits
from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.combine.released import Released, run_post
from middleplatform.combine.values import cells_table
from middleplatform.disclosure.disclose import disclose
from middleplatform.model.catalog import (
    Catalog,
    Column,
    ColumnType,
    Dataset,
    Department,
    Level,
    Sharing,
    TypeKind,
    Use,
)
from middleplatform.model.policy import (
    Bundle,
    ColumnRule,
    DatasetRule,
    DisclosureParameters,
    Grant,
    Limits,
    Purpose,
    Withheld,
)
from middleplatform.model.request import Role, Subject
from middleplatform.node.measure import Source
from middleplatform.node.release import released_cells
from middleplatform.planner.plan import make_plan
from middleplatform.sql.parse import parse
from middleplatform.sql.post import MARK
from middleplatform.sql.qualify import qualify

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
TEXT, INTEGER, DATE, BOOLEAN = (
    ColumnType(kind) for kind in (TypeKind.TEXT, TypeKind.INTEGER, TypeKind.DATE, TypeKind.BOOLEAN)
)
MONEY, FINE = ColumnType(TypeKind.DECIMAL, 18, 2), ColumnType(TypeKind.DECIMAL, 18, 4)
KEY, DIM, MEASURE = Use.KEY, Use.DIMENSION, Use.MEASURE

# name: (type, use, protected unit, what the bundle adds)
COLUMNS = {
    "ga.person": {
        "id": (TEXT, KEY, "person", {}), "household": (INTEGER, KEY, "household", {}), "name": (TEXT, Use.DENIED, "", {}),
        "region": (TEXT, DIM, "", {}), "sex": (TEXT, DIM, "", {}), "birth_year": (INTEGER, DIM, "", {"generalise": 5}),
        "born": (DATE, Use.DATE, "", {"finest": "month", "bucket": "month"}), "local": (BOOLEAN, DIM, "", {}),
        "education": (INTEGER, MEASURE, "", {"breakpoints": (6, 9, 12, 16)}),
        "diagnosis": (TEXT, Use.SENSITIVE_DIMENSION, "", {"level": Level.GENERAL_4}),
        "planned": (TEXT, DIM, "", {}),
    },
    "ga.income": {
        "id": (TEXT, KEY, "person", {}), "firm": (TEXT, KEY, "firm", {}), "year": (INTEGER, DIM, "", {}), "kind": (TEXT, DIM, "", {}),
        "amount": (MONEY, MEASURE, "", {"breakpoints": (0, 100, 1000)}), "steps": (INTEGER, MEASURE, "", {"breakpoints": (0, 5)}),
        "paid": (DATE, Use.DATE, "", {"finest": "quarter", "bucket": "quarter"}),
    },
    "ga.参保": {"身份证号": (TEXT, KEY, "person", {}), "险种": (TEXT, DIM, "", {}), "缴费额": (MONEY, MEASURE, "", {"breakpoints": (1,)})},
    "city.firm": {
        "code": (TEXT, KEY, "firm", {}), "region": (TEXT, DIM, "", {}), "section": (TEXT, DIM, "", {}),
        "capital": (FINE, MEASURE, "", {"breakpoints": (100,)}), "staff": (INTEGER, MEASURE, "", {"breakpoints": (10,)}), "person": (TEXT, KEY, "person", {}),
    },
    "city.visit": {"code": (TEXT, KEY, "firm", {}), "passed": (INTEGER, DIM, "", {})},
    "tax.payer": {"id": (TEXT, KEY, "person", {}), "district": (TEXT, DIM, "", {}), "paid": (MONEY, MEASURE, "", {"breakpoints": (100,)})},
    "pub.place": {"code": (TEXT, KEY, "firm", {}), "region": (TEXT, DIM, "", {})},
    "ga.later": {"id": (TEXT, KEY, "person", {}), "sort": (TEXT, DIM, "", {})},
}  # fmt: skip
HOLDERS = {"city.firm": ("c1", "c2", "c3"), "city.visit": ("c1", "c2", "c3"), "ga.later": ()}
UNIT_COLUMNS = {"ga.参保": "身份证号", "city.firm": "code", "city.visit": "code", "pub.place": "code"}  # fmt: skip
DEPARTMENTS = ("ga", "tax", "pub", "city", "c1", "c2", "c3", "drc")

LIMITS = Limits(projects=("other",))
OPEN = DisclosureParameters(1, (), 0, homogeneity=False, history=False)
STRICT = DisclosureParameters(min_units=10)

ANALYST = Subject("li", "drc", frozenset({Role.ANALYST}))
COUNTY = Subject("wang", "drc", frozenset({Role.ANALYST}), ("990101",))
STEWARD = Subject("zhao", "ga", frozenset({Role.DEPARTMENT_STEWARD}))


def _level(name, said):
    return Level.GENERAL_1 if name.startswith("pub.") else said.get("level", Level.GENERAL_2)


def _sharing(name):
    return Sharing.CONDITIONAL if name.startswith("tax.") else Sharing.UNCONDITIONAL


def _dataset(name, columns):
    owner = name.split(".")[0]
    made = {
        column: Column(
            column,
            f"{column}（中文）",
            column,
            kind,
            _level(name, said),
            _sharing(name),
            "无条件",
            frozenset({use}),
            unit,
            nullable=not (use is KEY and column == UNIT_COLUMNS.get(name, "id")),
            held=column != "planned",
        )
        for column, (kind, use, unit, said) in columns.items()
    }
    unit_column = UNIT_COLUMNS.get(name, "id")
    return Dataset(
        name, f"{name}（中文）", name, owner, "张三", owner, "测试", "daily", "部门", "table", "query service", "统计", date(2026, 1, 1), "李四", 0.9,
        columns[unit_column][2], unit_column, HOLDERS.get(name, (owner,)), "region" if "region" in columns else "", made,
    )  # fmt: skip


def _rule(name, columns):
    return DatasetRule(
        owner=name.split(".")[0],
        purposes=frozenset({"statistics", "data_quality"}),
        disclosure=STRICT,
        unit_breakpoints=(Decimal(1), Decimal(3)),
        columns=MappingProxyType(
            {column: _column(name, use, unit, said) for column, (_, use, unit, said) in columns.items()}
        ),
    )  # fmt: skip


def _column(name, use, unit, said):
    said = {**said, "breakpoints": tuple(map(Decimal, said.get("breakpoints", ())))}
    said.pop("level", None)
    level = _level(
        name,
        COLUMNS[name].get("diagnosis", (0, 0, 0, {}))[3] if use is Use.SENSITIVE_DIMENSION else {},
    )
    return ColumnRule(level, _sharing(name), "依申请", frozenset({use}), unit, **said)  # fmt: skip


def make_catalog():
    departments = {
        code: Department(code, f"{code}局", f"office {code}", "city", "990100")
        for code in DEPARTMENTS
    }
    return Catalog(
        departments,
        {name: _dataset(name, columns) for name, columns in COLUMNS.items()},
        "c" * 64,
    )


def make_grant(**changes):
    values = {
        "id": "G-1", "departments": frozenset({"drc"}), "subjects": frozenset(), "purposes": frozenset({"statistics"}),
        "columns": frozenset({"tax.payer.*"}), "operations": frozenset({"join", "filter", "group", "aggregate", "count"}),
        "regions": ("*",), "starts": datetime(2026, 1, 1, tzinfo=UTC), "ends": datetime(2027, 1, 1, tzinfo=UTC), "basis": "统计法",
    }  # fmt: skip
    return Grant(**{**values, **changes})


OWN = make_grant(
    id="G-OWN", departments=frozenset({"ga"}), purposes=frozenset({"data_quality"}),
    columns=frozenset({"ga.person.*", "ga.income.*"}), own_data=True,
)  # fmt: skip


def make_bundle(**changes):
    purposes = {
        "statistics": Purpose("statistics", "统计", "statistics", frozenset({Role.ANALYST})),
        "data_quality": Purpose(
            "data_quality", "稽核", "data quality", frozenset({Role.DEPARTMENT_STEWARD})
        ),
    }
    values = {
        "name": "made", "version": "1", "digest": "b" * 64, "effective": date(2026, 1, 1), "purposes": purposes,
        "datasets": {name: _rule(name, columns) for name, columns in COLUMNS.items()}, "grants": (make_grant(), OWN), "limits": LIMITS,
    }  # fmt: skip
    return Bundle(**{**values, **changes})


def with_column(bundle, dataset, column, **changes):
    """Return ``bundle`` with one column's rule changed."""
    rule = bundle.datasets[dataset]
    columns = {**rule.columns, column: replace(rule.columns[column], **changes)}
    return replace(
        bundle, datasets={**bundle.datasets, dataset: replace(rule, columns=columns)}
    )  # fmt: skip


def with_dataset(bundle, dataset, **changes):
    """Return ``bundle`` with one dataset's rule changed."""
    changed = replace(bundle.datasets[dataset], **changes)
    return replace(bundle, datasets={**bundle.datasets, dataset: changed})


CATALOG, BUNDLE = make_catalog(), make_bundle()
WITHHOLDING = with_column(BUNDLE, "ga.person", "diagnosis", withheld=(Withheld("F10", "F69", "精神卫生法"),))  # fmt: skip


# --- stages -------------------------------------------------------------------------------------------------------


def bound(sql, catalog=CATALOG, limits=LIMITS):
    """Return ``sql`` parsed and qualified."""
    return qualify(parse(sql, limits), catalog)


def cell(sql):
    """Return the only release block of ``sql``."""
    (found,) = bound(sql).cells
    return found


def decided(
    sql, subject=ANALYST, purpose="statistics", bundle=BUNDLE, *, recipient="", strict=False
):
    """Return what authorization says of ``sql``."""
    asking = Asking(subject, purpose, NOW, recipient, strict)
    return authorize(bound(sql).facts, asking, bundle, CATALOG)


def planned(sql, subject=ANALYST, bundle=BUNDLE, purpose="statistics"):
    """Return the plan of ``sql``, which must be permitted."""
    query, decision = bound(sql), decided(sql, subject, purpose, bundle)
    assert decision.permit, decision.reasons
    return make_plan(query, decision, CATALOG, bundle.limits)


# --- rows ---------------------------------------------------------------------------------------------------------


def make_rows(seed=7, persons=240):
    """Return rows by bare table name; some values missing, some magnitudes negative."""
    draw = random.Random(seed)

    def maybe(value, missing=0.05):
        return None if draw.random() < missing else value

    rows = {"person": [], "income": [], "参保": [], "firm": [], "visit": [], "payer": [], "place": []}  # fmt: skip
    for number in range(persons):
        unit, year = f"P{number:04}", draw.randint(1950, 2009)
        rows["person"].append((
            unit, number // 3, f"名{number}", f"99010{draw.randint(1, 3)}", draw.choice("12"), year,
            date(year, draw.randint(1, 12), draw.randint(1, 28)), maybe(draw.random() < 0.5), maybe(draw.randint(0, 20)),
            maybe(draw.choice(["A01", "F32", "J45", "F10.1"])),
        ))  # fmt: skip
        for _ in range(draw.choice([0, 1, 1, 2, 3])):
            rows["income"].append((
                unit, maybe(f"F{draw.randint(1, 30):02}"), draw.choice([2022, 2023, 2024]), maybe(draw.choice(["工资", "经营"])),
                maybe(Decimal(draw.randint(-5000, 500000)) / 100), maybe(draw.randint(-3, 9)), maybe(date(2024, draw.randint(1, 12), 15)),
            ))  # fmt: skip
        if draw.random() < 0.7:
            rows["参保"].append((unit, maybe(draw.choice(["养老", "医疗"])), maybe(Decimal(draw.randint(0, 900)) / 100)))  # fmt: skip
        rows["payer"].append(
            (unit, draw.choice(["东", "西"]), Decimal(draw.randint(1, 90000)) / 100)
        )
    for number in range(150):
        region, code = f"99010{number % 3 + 1}", f"E{number:03}"
        rows["firm"].append((
            code, region, draw.choice("ABC"), maybe(Decimal(draw.randint(-90, 900000)) / 10000), maybe(draw.randint(0, 400)), f"P{number % 90:04}",
        ))  # fmt: skip
        rows["visit"] += [(code, draw.randint(0, 1)) for _ in range(draw.randint(0, 3))]
        rows["place"].append((code, region))
    return rows


def _arrow_type(kind):
    if kind.kind is TypeKind.DECIMAL:
        return pa.decimal128(kind.precision, kind.scale)
    return {TypeKind.TEXT: pa.string(), TypeKind.INTEGER: pa.int32(), TypeKind.DATE: pa.date32(), TypeKind.BOOLEAN: pa.bool_()}[kind.kind]  # fmt: skip


def write_database(path, rows, tables=None):
    """Write the tables to a DuckDB file."""
    with duckdb.connect(str(path)) as connection:
        for name, columns in COLUMNS.items():
            bare = name.split(".")[1]
            if bare not in rows or (tables is not None and bare not in tables):
                continue
            shown = {column: kind for column, (kind, *_) in columns.items() if column != "planned"}
            columns_of = zip(*rows[bare], strict=True) if rows[bare] else [()] * len(shown)
            values = [
                pa.array(list(each), _arrow_type(kind))
                for each, kind in zip(columns_of, shown.values(), strict=True)
            ]
            connection.register("arrow", pa.table(values, names=list(shown)))
            connection.execute(f'CREATE TABLE "{bare}" AS SELECT * FROM arrow')
            connection.unregister("arrow")
    return path


EXECUTION = ExecutionLimits(timeout_s=30, rows_max=1_000_000, memory_mb=256)


class World:
    """All departments' rows in one file: what no one may have outside a test."""

    def __init__(self, folder, rows=None):
        self.rows = make_rows() if rows is None else rows
        self.path = write_database(folder / "pooled.duckdb", self.rows)
        self.connector = DuckDBConnector(self.path, threads=1, memory_mb=256)
        self.source = Source("ga", self.connector, EXECUTION)
        self.released = Released()
        self.plain_database = duckdb.connect()
        for name in COLUMNS:
            schema, bare = name.split(".")
            if bare not in self.rows:
                continue
            self.plain_database.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            table = self._table(bare)
            self.plain_database.register(f"raw_{bare}", table)
            self.plain_database.execute(
                f'CREATE TABLE "{schema}"."{bare}" AS SELECT * FROM "raw_{bare}"'
            )

    def _table(self, bare):
        with self.connector._connection.cursor() as cursor:
            return cursor.sql(f'SELECT * FROM "{bare}"').to_arrow_table()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connector.close()
        self.released.close()
        self.plain_database.close()

    def plain(self, sql):
        """Return the rows that the pooled database itself gives to PostgreSQL's ``sql``."""
        return self.plain_database.execute(
            sqlglot.transpile(sql, read="postgres", write="duckdb")[0]
        ).fetchall()

    def cells(self, block, parameters=OPEN):
        """Return a block's released cells."""
        measured = self.source.measure(block.cell, block.layout)
        marks = disclose(block.layout, measured.evidence, parameters)
        telling = np.zeros(measured.table.num_rows, dtype=np.bool_)
        return released_cells(block.cell, block.layout, measured, marks, (), telling)

    def run(self, sql, parameters=OPEN, **asked):
        """Return values and marks of ``sql``, through every stage."""
        plan = planned(sql, **asked)
        cells = {
            block.name: (
                cells_table(self.cells(block, parameters), block.layout, MARK),
                block.layout,
            )
            for block in plan.blocks
        }
        return run_post(self.released, plan.post_sql, cells, plan.outputs, 10.0)

    def answer(self, sql, parameters=OPEN, **asked):
        """Return the rows of ``sql`` through every stage, as plain tuples."""
        return rows_of(self.run(sql, parameters, **asked)[0])


def rows_of(table: pa.Table):
    """Return a table's rows as tuples."""
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def alike(one, other, *, ordered=False):
    """Say whether two lists of rows hold the same values: numbers by value, a float within its rounding."""
    left, right = ([tuple(map(_comparable, row)) for row in rows] for rows in (one, other))
    if not ordered:
        left, right = (sorted(rows, key=_coarse) for rows in (left, right))
    return len(left) == len(right) and all(
        len(first) == len(second) and all(map(_same, first, second))
        for first, second in zip(left, right, strict=True)
    )


def _comparable(value):
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    return value


def _coarse(row):
    return repr([f"{value:.4g}" if isinstance(value, float) else value for value in row])


def _same(first, second):
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-9)
    return first == second


def wait(coroutine):
    """Run a coroutine to its end."""
    return asyncio.run(coroutine)
