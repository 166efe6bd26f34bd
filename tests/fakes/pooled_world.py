"""A made world for comparing the platform with plain SQL: three departments, and four counties that share one table.

``write`` makes catalogue, bundle and one DuckDB file a department; ``pooled`` gives all rows in one database, under
the names that a statement uses. Every value follows from a seeded generator; nothing is real.
"""

import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import yaml

from middleplatform.demo.keys import credit_codes, identity_numbers

SEED = 990101
COUNTIES = ("c1", "c2", "c3", "c4")
REGIONS = ("东区", "西区", "南区", "O'北\"区 ", "中心区")
KINDS = ("门诊", "住院", "急诊", None)

_TEXT, _BOOLEAN, _INTEGER, _DATE = pa.string(), pa.bool_(), pa.int64(), pa.date32()


def _decimal(precision, scale):
    return pa.decimal128(precision, scale)


def _col(kind, use, nullable=True, **more):
    return {"kind": kind, "use": use, "nullable": nullable, **more}


WITHHELD = [{"first": "F10", "last": "F69", "law": "精神卫生法第四条"}]
CODES = ("A01", "A01", "A02", "F32", "F70")

COLUMNS = {
    "ga.people": {
        "id": _col(_TEXT, "key", False, unit="person"),
        "household": _col(_TEXT, "key", unit="household"),
        "region": _col(_TEXT, "dimension"),
        "sex": _col(_TEXT, "dimension", False),
        "birth_year": _col(_INTEGER, "dimension", False),
        "local": _col(_BOOLEAN, "dimension"),
        "joined": _col(_DATE, "date", finest="month"),
        "income": _col(_decimal(14, 2), "measure", breakpoints=[0, 1000.5, 5000, 20000]),
        "score": _col(_INTEGER, "measure", False, breakpoints=[-5, 0, 10], cap=25),
        "fee": _col(_decimal(8, 4), "measure", breakpoints=[0, 0.5], cap=2),
        "secret": _col(_TEXT, "denied"),
        "salary": _col(_decimal(14, 2), "denied"),
    },
    "hb.visits": {
        "id": _col(_TEXT, "key", False, unit="person"),
        "kind": _col(_TEXT, "dimension"),
        "on_date": _col(_DATE, "date", False, finest="month"),
        "cost": _col(_decimal(14, 2), "measure", breakpoints=[-100, 0, 100, 1000], cap=200000),
        "days": _col(_INTEGER, "measure", breakpoints=[0, 3, 10], cap=1300),
        "note": _col(_TEXT, "denied"),
    },
    "hb.coded": {
        "id": _col(_TEXT, "key", False, unit="person"),
        "code": _col(_TEXT, "dimension", False, withheld=WITHHELD),
        "cost": _col(_decimal(14, 2), "measure", breakpoints=[100]),
    },
    "hb.card": {
        "id": _col(_TEXT, "key", False, unit="person"),
        "plan": _col(_TEXT, "dimension"),
    },
    "tc.payer": {
        "id": _col(_TEXT, "key", False, unit="person"),
        "year": _col(_INTEGER, "dimension", False),
        "bracket": _col(_TEXT, "dimension"),
        "employer": _col(_TEXT, "key", unit="firm", cap=60),
        "paid": _col(_decimal(14, 2), "measure", breakpoints=[0, 100, 1000], cap=600000),
        "note": _col(_TEXT, "denied"),
    },
    "county.firm": {
        "uscc": _col(_TEXT, "key", False, unit="firm"),
        "section": _col(_TEXT, "dimension"),
        "year": _col(_INTEGER, "dimension", False),
        "founded": _col(_DATE, "date", finest="quarter"),
        "profit": _col(_decimal(14, 2), "measure", breakpoints=[-1000, 0, 1000]),
        "staff": _col(_INTEGER, "measure", False, breakpoints=[10, 50]),
        "contact": _col(_TEXT, "denied"),
    },
}  # fmt: skip
HELD = {
    "ga.people": ("ga",),
    "hb.visits": ("hb",),
    "hb.coded": ("hb",),
    "hb.card": ("hb",),
    "tc.payer": ("tc",),
    "county.firm": COUNTIES,
}
ROWS_BY = {
    "ga.people": ["id"],
    "hb.card": ["id"],
    "tc.payer": ["id", "year"],
    "county.firm": ["uscc", "year"],
}
"""Columns that identify a row: a second one is a duplicate registration, which a private join counts once."""


# --- rows ---------------------------------------------------------------------------------------------------------


def _maybe(chance, share, value):
    return None if chance.random() < share else value


def _money(chance, low, high, places=2):
    return Decimal(chance.randint(low * 10**places, high * 10**places)).scaleb(-places)


def _identities(count):
    return identity_numbers(
        [f"9901{1 + each % 6:02}{1950 + each % 50}0101{each % 1000:03}" for each in range(count)]
    )


def rows():
    """Return the rows of each department's tables: by department, table name, list of tuples."""
    chance = random.Random(SEED)
    ids = _identities(420)
    people = []
    for number, identity in enumerate(ids):
        income = _money(chance, -200, 30000) if number % 60 else _money(chance, 400000, 900000)
        if number % 11 == 0:
            income = Decimal("0.00")
        people.append(
            (
                identity,
                _maybe(chance, 0.05, f"H{number // 3:04}"),
                _maybe(chance, 0.06, chance.choice(REGIONS[: 1 + number % 5])),
                chance.choice("男女"),
                1940 + chance.randrange(70),
                _maybe(chance, 0.3, chance.random() < 0.9),
                _maybe(chance, 0.1, date(2020, 1, 1) + timedelta(days=chance.randrange(1460))),
                _maybe(chance, 0.08, income),
                chance.randint(-20, 20) if number % 7 else 0,
                _maybe(chance, 0.2, _money(chance, -1, 2, 4)),
                f"密{number}",
                _money(chance, 0, 99),
            )
        )
    visits, card = [], []
    for number, identity in enumerate(ids[:260]):
        times = chance.choice((1, 1, 1, 2, 2, 3, 5, 8)) if number else 60
        visits += [_visit(chance, identity, number) for _ in range(times)]
        if number % 3:
            card.append((identity, _maybe(chance, 0.1, chance.choice(("甲", "乙", "丙")))))
    firms = {county: [] for county in COUNTIES}
    codes = credit_codes(["990101"] * 150, [f"firm/{each}" for each in range(150)])
    for number, code in enumerate(codes):
        county = COUNTIES[number % 7 % 4]
        section = _maybe(chance, 0.05, chance.choice("CCCHHIBB"))
        founded = _maybe(chance, 0.1, date(2000, 1, 1) + timedelta(days=chance.randrange(7000)))
        for year in chance.sample((2021, 2022, 2023), chance.randint(1, 3)):
            profit = _maybe(chance, 0.07, _money(chance, -5000, 9000))
            firms[county].append(
                (code, section, year, founded, profit, chance.randint(1, 80), f"联{number}")
            )
    return {
        "ga": {"people": people},
        "hb": {"visits": visits, "card": card, "coded": _coded(visits)},
        "tc": {"payer": _payers(random.Random(SEED + 1), ids, codes)},
        **{county: {"firm": found} for county, found in firms.items()},
    }


def _visit(chance, identity, number):
    return (
        identity,
        chance.choice(KINDS),
        date(2022, 1, 1) + timedelta(days=chance.randrange(730)),
        _maybe(chance, 0.05, _money(chance, -300, 3000)),
        _maybe(chance, 0.4, chance.randint(0, 20)),
        f"注{number}",
    )


def _payers(chance, ids, codes):
    """Return two years of taxes; some rows stand twice, registered by mistake, and one id stands in no other table."""
    found = []
    for number, identity in enumerate([*ids[40:380], *_identities(430)[420:]]):
        for year in chance.sample((2022, 2023), chance.randint(1, 2)):
            bracket = _maybe(chance, 0.06, chance.choice(("低", "中", "高")))
            employer = _maybe(chance, 0.3, chance.choice(codes[:60]))
            row = (
                identity,
                year,
                bracket,
                employer,
                _maybe(chance, 0.05, _money(chance, -50, 9000)),
                f"税{number}",
            )
            found += [row] * (2 if number % 41 == 0 else 1)
    return found


def _coded(visits):
    """Give every visit a diagnosis code, some of which law keeps from sharing."""
    return [(row[0], CODES[place % len(CODES)], row[3]) for place, row in enumerate(visits)]


def _dataset(department, table):
    return f"county.{table}" if department in COUNTIES else f"{department}.{table}"


def arrow(dataset, found):
    columns = COLUMNS[dataset]
    values = list(zip(*found, strict=True)) or [()] * len(columns)
    arrays = [
        pa.array(column, each["kind"])
        for column, each in zip(values, columns.values(), strict=True)
    ]
    return pa.table(arrays, names=list(columns))


def write_data(folder, data):
    """Write one DuckDB file a department."""
    folder.mkdir(parents=True, exist_ok=True)
    for department, tables in data.items():
        file = folder / f"{department}.duckdb"
        file.unlink(missing_ok=True)
        with duckdb.connect(str(file)) as connection:
            for name, found in tables.items():
                connection.register("rows", arrow(_dataset(department, name), found))
                connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM rows')
                connection.unregister("rows")


def pooled(data, *, once=False):
    """Return a connection that has all rows of all departments, under the statement's names.

    ``once`` leaves out the second and further rows of a duplicate registration.
    """
    connection = duckdb.connect(":memory:", config={"threads": 1})
    for name in COLUMNS:
        schema, table = name.split(".")
        found = [
            row
            for department, tables in data.items()
            for own, each in tables.items()
            if _dataset(department, own) == name
            for row in each
        ]
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.register("rows", arrow(name, found))
        kept = ROWS_BY.get(name) if once else None
        distinct = f"DISTINCT ON ({', '.join(kept)}) " if kept else ""
        connection.execute(f"CREATE TABLE {schema}.{table} AS SELECT {distinct}* FROM rows")
        connection.unregister("rows")
    return connection


# --- catalogue and bundle -----------------------------------------------------------------------------------------

EXACT = {
    "min_units": 1,
    "dominance": [],
    "p_percent": 0,
    "homogeneity": False,
    "history": False,
    "method": "exact",
    "noise_below": 0,
    "overlaps_max": 0,
}
STRICT = {
    "min_units": 10, "dominance": [[1, 50], [2, 67]], "p_percent": 10, "homogeneity": True, "history": False,
    "method": "exact", "noise_below": 0, "overlaps_max": 0,
}  # fmt: skip
UNIT_BREAKPOINTS = [1, 2, 3, 5, 10]


def _type(kind):
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return {_TEXT: "text", _BOOLEAN: "boolean", _INTEGER: "integer", _DATE: "date"}[kind]


def _catalog_column(name, each, level):
    found = {
        "name_zh": f"列{name}", "name_en": name, "type": _type(each["kind"]), "level": level,
        "sharing": "unconditional", "uses": each["use"], "nullable": each["nullable"],
    }  # fmt: skip
    if "unit" in each:
        found["unit"] = each["unit"]
    if each["use"] == "measure":
        found["unit_of_measure"] = "元"
    return found


def _catalog_dataset(name, columns, level):
    owner = HELD[name][0]
    key = next(column for column, each in columns.items() if each["use"] == "key")
    return {
        "name_zh": f"表{name}", "name_en": name, "owner": owner, "steward": "负责人", "source_department": owner,
        "collection_basis": "测试", "update_frequency": "monthly", "library": "部门", "format": "table",
        "sharing_mode": "query service", "use_conditions": "只提供聚合结果", "risk_assessed_on": "2026-01-05",
        "head_approval": "负责人", "quality": 1, "unit": columns[key]["unit"], "unit_column": key, "held_by": list(HELD[name]),
        "columns": {column: _catalog_column(column, each, level) for column, each in columns.items()},
    } | ({"rows_by": ROWS_BY[name]} if name in ROWS_BY else {})  # fmt: skip


def write_rules(folder: Path, disclosure, *, join="helper", release="plain"):
    """Write catalogue and bundle folders for one set of disclosure parameters; return both.

    ``join`` says how rows of several departments are joined, for all data sets or by name; ``release`` how measures
    may leave.
    """
    level = "general-1" if disclosure["min_units"] == 1 else "general-3"
    catalog, bundle = folder / "catalog", folder / "bundle"
    catalog.mkdir(parents=True)
    bundle.mkdir()
    departments = [
        {"code": "city", "name_zh": "市", "name_en": "City", "level": "city", "region": "990100"}
    ]
    departments += [
        {"code": code, "name_zh": f"部门{code}", "name_en": code, "level": "city", "region": "990100", "parent": "city"}
        for code in ("ga", "hb", "tc", *COUNTIES, "stats")
    ]  # fmt: skip
    datasets = {name: _catalog_dataset(name, columns, level) for name, columns in COLUMNS.items()}
    _write(catalog / "departments.yaml", {"departments": departments})
    _write(catalog / "datasets.yaml", {"datasets": datasets})
    rules = {
        name: {
            "purposes": ["statistics"], "disclosure": disclosure, "unit_breakpoints": UNIT_BREAKPOINTS,
            "join": join if isinstance(join, str) else join.get(name, "helper"),
            "columns": {
                column: {"use": "denied"} if each["use"] == "denied" else {part: each[part] for part in ("breakpoints", "finest", "withheld", "cap") if part in each}
                | ({"release": release} if each["use"] == "measure" else {})
                for column, each in columns.items()
            },
        }
        for name, columns in COLUMNS.items()
    }  # fmt: skip
    _write(
        bundle / "bundle.yaml",
        {
            "name": "pooled", "version": "1", "effective": date(2026, 1, 1), "extends": "baseline",
            "purposes": {"statistics": {"name_zh": "统计", "name_en": "statistics", "roles": ["analyst"]}},
            "disclosure": disclosure, "datasets": rules, "limits": {"projects": ["*"], "answer_grid_ms": 0},
        },
    )  # fmt: skip
    return catalog, bundle


class _Plain(yaml.SafeDumper):
    """Writes a value again where it stands again: policy files take no aliases."""

    def ignore_aliases(self, data):
        del data
        return True


def _write(path, body):
    text = yaml.dump(body, Dumper=_Plain, allow_unicode=True, sort_keys=False)
    path.write_text(text, encoding="utf-8")
