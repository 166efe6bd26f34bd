"""A made world for joins across departments: keys in many spellings, duplicate registrations, missing values.

``pooled`` gives what a private join must answer: all rows in one database, keys normalised and duplicates left out, by
rules written here a second time.
"""

import random
import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType

import duckdb
import pyarrow as pa
import sqlglot

from middleplatform.authorization.authorize import Asking, authorize
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
    Limits,
    Purpose,
)
from middleplatform.model.request import Role, Subject
from middleplatform.planner.plan import make_plan
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
ANALYST = Subject("li", "drc", frozenset({Role.ANALYST}))
OPEN = DisclosureParameters(1, (), 0, homogeneity=False, history=False)
STRICT = DisclosureParameters(min_units=10)
SPELLINGS = ("trim", "halfwidth", "upper", "id18")

TEXT, INTEGER = ColumnType(TypeKind.TEXT), ColumnType(TypeKind.INTEGER)
BOOLEAN, MONEY = ColumnType(TypeKind.BOOLEAN), ColumnType(TypeKind.DECIMAL, 14, 2)

KEY, DIM, MEASURE = Use.KEY, Use.DIMENSION, Use.MEASURE
PERSON, FIRM = (TEXT, KEY, "person", None), (TEXT, KEY, "firm", 60)
# name: (type, use, protected unit, cap)
COLUMNS = {
    "ga.person": {
        "id": PERSON, "household": (INTEGER, KEY, "household", None), "region": (TEXT, DIM, "", None), "sex": (TEXT, DIM, "", None),
        "age": (INTEGER, DIM, "", None), "local": (BOOLEAN, DIM, "", None), "income": (MONEY, MEASURE, "", 40000),
        "points": (INTEGER, MEASURE, "", 90),
    },
    "hb.year": {
        "id": PERSON, "year": (INTEGER, DIM, "", None), "kind": (TEXT, DIM, "", None), "cost": (MONEY, MEASURE, "", 9000),
        "days": (INTEGER, MEASURE, "", 400),
    },
    "hb.visit": {"id": PERSON, "kind": (TEXT, DIM, "", None), "cost": (MONEY, MEASURE, "", 90000), "hours": (INTEGER, MEASURE, "", 900)},
    "hb.card": {"id": PERSON, "plan": (TEXT, DIM, "", None)},
    "tax.payer": {"id": PERSON, "paid": (MONEY, MEASURE, "", 9000), "grade": (TEXT, DIM, "", None)},
    "ss.worker": {"id": PERSON, "firm": FIRM, "base": (MONEY, MEASURE, "", 9000), "months": (INTEGER, MEASURE, "", 900), "plan": (TEXT, DIM, "", None)},
    "amr.firm": {"code": (TEXT, KEY, "firm", None), "section": (TEXT, DIM, "", None), "staff": (INTEGER, MEASURE, "", 400), "capital": (MONEY, MEASURE, "", 90000)},
    "amr.check": {"code": (TEXT, KEY, "firm", None), "score": (INTEGER, MEASURE, "", 4000), "passed": (BOOLEAN, DIM, "", None), "fine": (MONEY, MEASURE, "", 9000)},
    "tax.return": {"code": (TEXT, KEY, "firm", None), "revenue": (MONEY, MEASURE, "", None)},
}  # fmt: skip
ROWS_BY = {
    "ga.person": ("id",), "hb.year": ("id", "year"), "hb.card": ("id",), "tax.payer": ("id",), "ss.worker": ("id",),
    "amr.firm": ("code",), "tax.return": ("code",),
}  # fmt: skip
HELD = {"amr.firm": ("c1", "c2"), "amr.check": ("c1", "c2")}
NORMALISED = {"ga.person", "hb.visit", "hb.year", "tax.payer"}
BREAKS = {
    "income": (0, 5000), "cost": (0, 100, 1000), "days": (3,), "paid": (100,), "base": (1000,), "staff": (10,), "score": (60,),
}  # fmt: skip


def unit_column(name):
    return "code" if "code" in COLUMNS[name] else "id"


def held_by(name):
    return HELD.get(name, (name.split(".")[0],))


def _dataset(name, columns):
    made = {
        column: Column(
            column, f"列{column}", column, kind, Level.GENERAL_2, Sharing.UNCONDITIONAL, "无条件", frozenset({use}), unit,
            nullable=not (column == unit_column(name) or column in ("sex", "age", "days", "year", "points", "hours")),
            normalise=SPELLINGS if name in NORMALISED and column == "id" else (),
        )
        for column, (kind, use, unit, _) in columns.items()
    }  # fmt: skip
    return Dataset(
        name, f"表{name}", name, held_by(name)[0], "张三", held_by(name)[0], "测试", "daily", "部门", "table", "query service", "统计",
        date(2026, 1, 1), "李四", 0.9, columns[unit_column(name)][2], unit_column(name), held_by(name), "", made,
        rows_by=ROWS_BY.get(name, ()),
    )  # fmt: skip


def _rule(name, columns, disclosure):
    rules = {
        column: ColumnRule(
            Level.GENERAL_2, Sharing.UNCONDITIONAL, "", frozenset({use}), unit, tuple(map(Decimal, BREAKS.get(column, ()))),
            release="both", cap=None if cap is None else Decimal(cap),
        )
        for column, (_, use, unit, cap) in columns.items()
    }  # fmt: skip
    points = tuple(map(Decimal, (0, 1, 2, 3)))
    purposes = frozenset({"statistics"})
    return DatasetRule(held_by(name)[0], purposes, disclosure, points, MappingProxyType(rules))


def make_catalog():
    codes = sorted({code for name in COLUMNS for code in held_by(name)} | {"drc"})
    departments = {code: Department(code, f"{code}局", code, "city", "990100") for code in codes}
    datasets = {name: _dataset(name, columns) for name, columns in COLUMNS.items()}
    return Catalog(departments, datasets, "join" * 16)


def make_bundle(disclosure=OPEN, **limits):
    purposes = {
        "statistics": Purpose("statistics", "统计", "statistics", frozenset({Role.ANALYST}))
    }
    datasets = {name: _rule(name, columns, disclosure) for name, columns in COLUMNS.items()}
    return Bundle("joins", "1", "b" * 64, date(2026, 1, 1), purposes, datasets, (), Limits(**limits))  # fmt: skip


CATALOG, BUNDLE, STRICT_BUNDLE = make_catalog(), make_bundle(), make_bundle(STRICT)

P_Y = "ga.person p JOIN hb.year y ON y.id = p.id"
SUMS = "(SELECT id, COUNT(*) AS n, SUM(cost) AS s FROM hb.visit GROUP BY id) u"
STAFF = "(SELECT firm, COUNT(*) AS n, SUM(base) AS s FROM ss.worker WHERE firm IS NOT NULL GROUP BY firm) w"


def planned(sql, bundle=BUNDLE, catalog=CATALOG, **asked):
    """Return the plan of ``sql``, which must be permitted."""
    query = qualify(parse(sql, bundle.limits), catalog)
    decision = authorize(query.facts, Asking(ANALYST, "statistics", NOW), bundle, catalog)
    assert decision.permit, (sql, decision.reasons)
    return make_plan(query, decision, catalog, bundle.limits, bundle=bundle, **asked)


def block(sql, **asked):
    """Return the only release block of ``sql``."""
    (found,) = planned(sql, **asked).blocks
    return found


# --- rows ---------------------------------------------------------------------------------------------------------


def _identity(number):
    body = f"990101{1950 + number % 45}{1 + number % 12:02}{1 + number % 28:02}{number:03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    rest = sum(weight * int(digit) for weight, digit in zip(weights, body, strict=True)) % 11
    return body + "10X98765432"[rest]


def spelled(draw, identity):
    """Return one of the ways in which people have written an identity number."""
    full = identity.translate({ord(each): ord(each) + 0xFEE0 for each in "0123456789X"})
    ways = (identity, identity.lower(), f" {identity} ", full, f"\u3000{identity}\t")
    return draw.choice((*ways, identity[:6] + identity[8:17]))


def make_rows(seed=5, persons=160):
    """Return rows by dataset; of a table held in parts, each row has its department in front."""
    draw = random.Random(seed)
    found = {name: [] for name in COLUMNS}

    def maybe(value, missing=0.08):
        return None if draw.random() < missing else value

    def money(low, high):
        return Decimal(draw.randint(low * 100, high * 100)) / 100

    for number in range(persons):
        identity = _identity(number)
        _person(found, draw, maybe, money, identity, number)
    for number in range(60):
        code, county = f"F{number:03}", draw.choice(("c1", "c2"))
        for _ in range(draw.choice((0, 1, 1, 1, 2))):
            found["amr.firm"].append(
                (
                    county,
                    code,
                    maybe(draw.choice("ABC")),
                    maybe(draw.randint(0, 300)),
                    money(0, 9000),
                )
            )
        for _ in range(draw.choice((0, 1, 3))):
            check = (
                county,
                code,
                maybe(draw.randint(40, 100)),
                maybe(draw.random() < 0.5),
                maybe(money(0, 99)),
            )
            found["amr.check"].append(check)
        for _ in range(draw.choice((0, 1, 1, 2))):
            found["tax.return"].append((code, money(0, 5000)))
    return found


def _person(found, draw, maybe, money, identity, number):
    def times(*counts):
        return range(draw.choice(counts))

    for _ in times(0, 1, 1, 1, 1, 2):
        found["ga.person"].append((
            spelled(draw, identity), maybe(number // 3), maybe(draw.choice(("东", "西", "南"))), draw.choice("12"), draw.randint(1, 90),
            maybe(draw.random() < 0.8), maybe(money(-500, 30000)), draw.randint(-9, 9),
        ))  # fmt: skip
    for year in draw.sample((2021, 2022, 2023), draw.choice((0, 1, 2, 3))):
        for _ in times(1, 1, 1, 2):
            found["hb.year"].append((
                spelled(draw, identity), year, maybe(draw.choice(("门诊", "住院"))), maybe(money(-100, 3000)), draw.randint(0, 30),
            ))  # fmt: skip
    for _ in times(0, 0, 1, 2, 4):
        visit = (spelled(draw, identity), maybe(draw.choice(("门诊", "急诊"))), maybe(money(0, 2000)), draw.randint(0, 9))  # fmt: skip
        found["hb.visit"].append(visit)
    for _ in times(0, 1, 1, 2):
        found["hb.card"].append((identity, maybe(draw.choice(("甲", "乙", "丙")))))
    for _ in times(0, 0, 1, 2):
        payer = (spelled(draw, identity), maybe(money(0, 900)), draw.choice("高低"))
        found["tax.payer"].append(payer)
    for _ in times(0, 1, 1, 2):
        worker = (identity, maybe(f"F{draw.randrange(60):03}", 0.2), maybe(money(0, 5000)), maybe(draw.randint(1, 12)), draw.choice("甲乙"))  # fmt: skip
        found["ss.worker"].append(worker)


def arrow(name, rows):
    """Return rows of a dataset as a table."""
    kinds = {
        column: {TypeKind.TEXT: pa.string(), TypeKind.INTEGER: pa.int64(), TypeKind.BOOLEAN: pa.bool_()}.get(
            kind.kind, pa.decimal128(kind.precision, kind.scale)
        )
        for column, (kind, *_) in COLUMNS[name].items()
    }  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, kinds.values(), strict=True)]
    return pa.table(arrays, names=list(kinds))


def parts(found):
    """Return (department, dataset, table) for every part."""
    for name, rows in found.items():
        holders = held_by(name)
        for department in holders:
            own = rows if len(holders) == 1 else [row[1:] for row in rows if row[0] == department]
            yield department, name, arrow(name, own)


def departments(found):
    """Return a database connection a department, its tables under their bare names."""
    opened = {}
    for department, name, table in parts(found):
        connection = opened.setdefault(department, duckdb.connect(config={"threads": 1}))
        connection.register("arrow", table)
        connection.execute(f'CREATE TABLE "{name.split(".")[1]}" AS SELECT * FROM arrow')
        connection.unregister("arrow")
    return opened


# --- what must come out -------------------------------------------------------------------------------------------


def normal(text):
    """Return the one form of an identity number."""
    found = unicodedata.normalize("NFKC", text).strip().upper()
    if not re.fullmatch(r"[0-9]{15}", found):
        return found or None
    body = f"{found[:6]}19{found[6:]}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    rest = sum(weight * int(digit) for weight, digit in zip(weights, body, strict=True)) % 11
    return body + "10X98765432"[rest]


class Pool:
    """All rows in one database."""

    def __init__(self, found):
        self.connection = duckdb.connect(config={"threads": 1})
        tables = {}
        for _, name, table in parts(found):
            tables.setdefault(name, []).append(table)
        for name, own in tables.items():
            schema = name.split(".")[0]
            table = pa.concat_tables(own)
            if name in NORMALISED:
                keys = pa.array(list(map(normal, table["id"].to_pylist())), pa.string())
                table = table.set_column(0, "id", keys)
            self.connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            self.connection.execute(f'CREATE SCHEMA IF NOT EXISTS "raw_{schema}"')
            self.connection.register("arrow", table)
            self.connection.execute(f'CREATE TABLE "raw_{schema}"."{_bare(name)}" AS SELECT * FROM arrow')  # fmt: skip
            self.connection.unregister("arrow")

    def answer(self, sql, reads):
        """Return the plain rows of PostgreSQL's ``sql``, duplicates left out by the columns that it reads."""
        for name in COLUMNS:
            named = sorted({column for dataset, column in reads if dataset == name})
            self._view(name, named)
        plain = sqlglot.transpile(sql, read="postgres", write="duckdb")[0]
        return self.connection.execute(plain).fetchall()

    def _view(self, name, named):
        schema, keys = name.split(".")[0], ROWS_BY.get(name, ())
        others = [f'"{column}" NULLS LAST' for column in named if column not in keys]
        order = ", ".join([*(f'"{key}"' for key in keys), *others])
        distinct = f"DISTINCT ON ({', '.join(keys)}) " if keys else ""
        tail = f" ORDER BY {order}" if keys else ""
        text = f'SELECT {distinct}* FROM "raw_{schema}"."{_bare(name)}"{tail}'
        self.connection.execute(f'CREATE OR REPLACE VIEW "{schema}"."{_bare(name)}" AS {text}')


def _bare(name):
    return name.split(".")[1]
