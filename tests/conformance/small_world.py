"""A small catalogue, rows for it, and the questions that the conformance cases are made of."""

from datetime import date
from decimal import Decimal

import pyarrow as pa

from middleplatform.model.catalog import (
    Catalog,
    Column,
    ColumnType,
    Dataset,
    Level,
    Sharing,
    TypeKind,
    Use,
)

_TEXT, _INTEGER, _DATE, _BOOLEAN = (
    ColumnType(kind) for kind in (TypeKind.TEXT, TypeKind.INTEGER, TypeKind.DATE, TypeKind.BOOLEAN)
)


def _money(scale):
    return ColumnType(TypeKind.DECIMAL, 18, scale)


COLUMNS = {
    "ga.person": {
        "id": (_TEXT, Use.KEY, "person"), "household": (_INTEGER, Use.KEY, "household"), "region": (_TEXT, Use.DIMENSION, ""),
        "sex": (_TEXT, Use.DIMENSION, ""), "born": (_DATE, Use.DATE, ""), "age": (_INTEGER, Use.MEASURE, ""), "local": (_BOOLEAN, Use.DIMENSION, ""),
    },
    "tax.income": {
        "id": (_TEXT, Use.KEY, "person"), "firm": (_TEXT, Use.KEY, "firm"), "year": (_INTEGER, Use.DIMENSION, ""), "paid_on": (_DATE, Use.DATE, ""),
        "amount": (_money(2), Use.MEASURE, ""), "rate": (_money(4), Use.MEASURE, ""), "steps": (_INTEGER, Use.MEASURE, ""),
    },
    "ss.参保": {"身份证号": (_TEXT, Use.KEY, "person"), "险种": (_TEXT, Use.DIMENSION, ""), "缴费额": (_money(2), Use.MEASURE, "")},
}  # fmt: skip
_UNITS = {"ga.person": "id", "tax.income": "id", "ss.参保": "身份证号"}


def catalog():
    return Catalog({}, {name: _dataset(name, columns) for name, columns in COLUMNS.items()})


def _dataset(name, columns):
    owner = name.split(".")[0]
    made = {
        column: Column(
            column,
            column,
            column,
            kind,
            Level.GENERAL_2,
            Sharing.UNCONDITIONAL,
            "无条件",
            frozenset({use}),
            unit,
        )
        for column, (kind, use, unit) in columns.items()
    }
    return Dataset(
        name, name, name, owner, "张三", owner, "测试", "daily", "部门", "table", "query service", "统计", date(2026, 1, 1), "李四", 1.0,
        "person", _UNITS[name], (owner,), "", made,
    )  # fmt: skip


def arrow_type(kind):
    if kind.kind is TypeKind.DECIMAL:
        return pa.decimal128(kind.precision, kind.scale)
    return {
        TypeKind.TEXT: pa.string(),
        TypeKind.INTEGER: pa.int64(),
        TypeKind.DATE: pa.date32(),
        TypeKind.BOOLEAN: pa.bool_(),
    }[kind.kind]


def tables(rows):
    """Return the three Arrow tables from tuples of values by table name."""
    found = {}
    for name, columns in COLUMNS.items():
        short = name.split(".")[1]
        schema = pa.schema(
            [pa.field(column, arrow_type(kind)) for column, (kind, _, _) in columns.items()]
        )
        values = list(zip(*rows.get(short, ()), strict=True)) or [()] * len(columns)
        found[short] = pa.Table.from_arrays(
            [
                pa.array(list(column), field.type)
                for column, field in zip(values, schema, strict=True)
            ],
            schema=schema,
        )
    return found


def _d(text):
    return Decimal(text)


_PERSONS = (
    ("P1", 1, "东区", "1", date(1980, 2, 29), 44, True),
    ("P2", 1, "东区", "2", date(1999, 12, 31), -1, False),
    ("P3", 2, "西区", "1", date(2000, 1, 1), -10, None),
    ("P4", 2, "西区", "2", date(1, 1, 1), -11, True),
    ("P5", 3, None, "1", date(9999, 12, 31), 0, True),
    ("P6", None, "東區🀄", None, None, None, None),
    ("P7", 4, "", "2", date(2024, 5, 31), 9, False),
    (None, 5, "东区", "1", date(2024, 4, 1), 10, True),
    (None, 5, "西区", "2", date(2024, 3, 31), 19, True),
    ("P'8\"", 6, "O'Brien; -- %_\\", "1", date(1969, 12, 31), -20, False),
)
_INCOMES = (
    ("P1", "F1", 2023, date(2023, 1, 31), _d("100.10"), _d("0.0300"), 10),
    ("P1", "F1", 2024, date(2024, 2, 29), _d("-300.25"), _d("0.1000"), 20),
    ("P1", "F2", 2024, date(2024, 12, 31), _d("0.05"), None, -7),
    ("P2", "F1", 2023, None, _d("-0.01"), _d("-0.0001"), None),
    ("P2", None, None, date(2023, 7, 1), None, _d("0.2500"), 3),
    ("P3", "F2", 2024, date(2024, 3, 31), _d("9999999.99"), _d("0.4500"), 0),
    ("P4", "F3", 2024, date(2024, 10, 1), _d("0.00"), None, 1),
    ("P9", "F1", 2024, date(2024, 6, 30), _d("12.34"), _d("0.0000"), 5),
    (None, "F1", 2024, date(2024, 6, 30), _d("50.00"), _d("0.0500"), -5),
    ("P5", "F9", 2023, date(1, 1, 1), None, None, None),
)
_INSURED = (
    ("P1", "养老", _d("1.00")),
    ("P1", "医疗", _d("2.50")),
    ("P2", "养老", None),
    ("P3", None, _d("-3.33")),
    ("P8", "工伤", _d("7.00")),
)
_WHOLE_MAX, _MONEY_MAX = 2**62 - 1, _d("9999999.99")
_EDGES = {
    "person": (
        ("A", 2**63 - 1, "甲", "1", date(1, 1, 1), 10**12 - 1, True),
        ("B", -(2**63), "甲", "2", date(9999, 12, 31), -(10**12) + 1, False),
        ("C", 2**31, "乙", "1", date(1, 12, 31), 2**31, True),
        ("D", -(2**31) - 1, "乙", "2", date(9999, 1, 1), -(2**31) - 1, True),
        ("a", 7, "B", "2", date(1600, 2, 29), 1, None),
        ("É", 7, "a", "2", date(1900, 2, 28), 2, None),
        ("é", 7, "Z", "1", date(2000, 2, 29), 2, False),
        ("b ", 8, "é", "1", date(1582, 10, 10), -3, False),
        ("b", 8, " ", "1", date(1970, 1, 1), None, False),
        ("重庆", 8, "重", "2", date(1969, 12, 31), -1, True),
    ),
    "income": (
        ("A", "F", 2024, date(9999, 12, 31), _MONEY_MAX, _d("99999999999999.9999"), _WHOLE_MAX),
        ("A", "F", 2024, date(1, 1, 1), _MONEY_MAX, _d("-99999999999999.9999"), -(2**62)),
        ("B", "F", 2024, date(1, 3, 31), -_MONEY_MAX, _d("0.0001"), 2**62 - 1),
        ("C", "G", -1, date(9999, 10, 1), _d("0.01"), _d("-0.0001"), 1),
    ),
}  # fmt: skip

DATA = {
    "usual": {"person": _PERSONS, "income": _INCOMES, "参保": _INSURED},
    "empty": {},
    "no_rights": {"person": _PERSONS},
    "edges": _EDGES,
}  # fmt: skip

QUESTIONS = {
    "all": "SELECT COUNT(*) FROM ga.person",
    "by text": "SELECT region, COUNT(*) FROM ga.person GROUP BY region",
    "by two": "SELECT region, sex, COUNT(*), SUM(age) FROM ga.person GROUP BY region, sex",
    "by boolean": "SELECT local, COUNT(*), SUM(age) FROM ga.person GROUP BY local",
    "by date": "SELECT born, COUNT(*) FROM ga.person GROUP BY born",
    "by month": "SELECT DATE_TRUNC('month', born) AS m, COUNT(*) FROM ga.person GROUP BY 1",
    "by quarter": "SELECT DATE_TRUNC('quarter', born) AS q, COUNT(*) FROM ga.person GROUP BY 1",
    "by year": "SELECT DATE_TRUNC('year', born) AS y, COUNT(*) FROM ga.person GROUP BY 1",
    "by month number": "SELECT EXTRACT(month FROM born) AS m, COUNT(*) FROM ga.person GROUP BY 1",
    "by quarter number": "SELECT EXTRACT(quarter FROM born) AS q, COUNT(*) FROM ga.person GROUP BY 1",
    "by year number": "SELECT EXTRACT(year FROM born) AS y, COUNT(*) FROM ga.person GROUP BY 1",
    "by band": "SELECT FLOOR(age / 10) * 10 AS band, COUNT(*), SUM(age) FROM ga.person GROUP BY 1",
    "by band of one": "SELECT FLOOR(age / 1) * 1 AS band, COUNT(*) FROM ga.person GROUP BY 1",
    "by decimal": "SELECT rate, COUNT(*) FROM tax.income GROUP BY rate",
    "by arithmetic": "SELECT amount * 2 + 1 AS doubled, COUNT(*) FROM tax.income GROUP BY 1",
    "by product": "SELECT amount * rate AS product, COUNT(*) FROM tax.income GROUP BY 1",
    "by difference": "SELECT amount - rate AS difference, COUNT(*) FROM tax.income GROUP BY 1",
    "by coalesced decimal": "SELECT COALESCE(amount, 0.125) AS a, COUNT(*) FROM tax.income GROUP BY 1",
    "by product that may not fit": "SELECT steps * 4 AS four, COUNT(*) FROM tax.income GROUP BY 1",
    "by binary text": "SELECT region, COUNT(*) FROM ga.person WHERE region >= 'B' AND region < 'é' OR id BETWEEN 'a' AND '重' GROUP BY 1",
    "by coalesce": "SELECT COALESCE(region, '不详') AS r, COUNT(*) FROM ga.person GROUP BY 1",
    "by case": "SELECT CASE WHEN age < 0 THEN '负' WHEN age >= 10 THEN '长' WHEN age IS NULL THEN NULL ELSE '幼' END AS g, COUNT(*) FROM ga.person GROUP BY 1",
    "by case of numbers": "SELECT CASE WHEN age < 0 THEN 0 WHEN age > 9 THEN 1.5 ELSE age END AS g, COUNT(*) FROM ga.person GROUP BY 1",
    "sums": "SELECT SUM(amount), SUM(rate), SUM(steps), COUNT(amount) FROM tax.income",
    "sums by year": "SELECT year, SUM(amount), SUM(rate), SUM(steps) FROM tax.income GROUP BY year",
    "affine": "SELECT year, SUM(amount * 2 - 3 * rate + 1), SUM(steps / 4) FROM tax.income GROUP BY year",
    "averages": "SELECT year, AVG(amount), AVG(steps) FROM tax.income GROUP BY year",
    "deviations": "SELECT year, VAR_SAMP(amount), STDDEV_POP(steps) FROM tax.income GROUP BY year",
    "filtered": "SELECT year, COUNT(*) FILTER (WHERE amount < 0), SUM(amount) FILTER (WHERE steps > 2) FROM tax.income GROUP BY year",
    "pieces": "SELECT year, SUM(CASE WHEN amount < 0 THEN -amount WHEN steps > 2 THEN amount ELSE 0 END) FROM tax.income GROUP BY year",
    "coalesced sum": "SELECT year, SUM(COALESCE(amount, 0)), SUM(COALESCE(steps, -1)) FROM tax.income GROUP BY year",
    "present": "SELECT COUNT(amount), COUNT(rate), COUNT(steps) FROM tax.income",
    "distinct key": "SELECT year, COUNT(DISTINCT id), COUNT(DISTINCT firm) FROM tax.income GROUP BY year",
    "distinct key filtered": "SELECT COUNT(DISTINCT firm) FILTER (WHERE amount > 0), COUNT(DISTINCT CASE WHEN steps > 2 THEN firm END) FROM tax.income",
    "compare": "SELECT sex, COUNT(*) FROM ga.person WHERE age >= -10 AND age <> 0 AND region > '东' GROUP BY sex",
    "between": "SELECT sex, COUNT(*) FROM ga.person WHERE born BETWEEN '0001-01-01' AND DATE '2000-01-01' GROUP BY sex",
    "not between": "SELECT sex, COUNT(*) FROM ga.person WHERE age NOT BETWEEN -10 AND 9 GROUP BY sex",
    "in": "SELECT COUNT(*) FROM ga.person WHERE region IN ('东区', '東區🀄', 'O''Brien; -- %_\\')",
    "not in with null": "SELECT COUNT(*) FROM ga.person WHERE region NOT IN ('东区', NULL)",
    "not in": "SELECT COUNT(*) FROM ga.person WHERE NOT (region IN ('东区', ''))",
    "in decimals": "SELECT COUNT(*) FROM tax.income WHERE amount IN (0, -0.01, 12.34, 12.340)",
    "null tests": "SELECT COUNT(*) FROM ga.person WHERE region IS NULL OR born IS NULL OR NOT (sex IS NOT NULL)",
    "three values": "SELECT sex, COUNT(*) FROM ga.person WHERE NOT (age > 0 AND region = '东区') OR local GROUP BY sex",
    "is true": "SELECT COUNT(*) FROM ga.person WHERE (age > 0 OR local) IS NOT TRUE",
    "is false": "SELECT COUNT(*) FROM ga.person WHERE (local AND age > 0) IS FALSE",
    "bare boolean": "SELECT COUNT(*) FROM ga.person WHERE local",
    "not boolean": "SELECT COUNT(*) FROM ga.person WHERE NOT local",
    "never": "SELECT region, COUNT(*) FROM ga.person WHERE FALSE GROUP BY region",
    "never, one cell": "SELECT COUNT(*), SUM(age) FROM ga.person WHERE FALSE",
    "decimal against whole": "SELECT COUNT(*) FROM tax.income WHERE amount > 12 AND amount < 1e7",
    "whole against decimal": "SELECT COUNT(*) FROM tax.income WHERE steps > 2.5",
    "moved": "SELECT COUNT(*) FROM tax.income WHERE 2 * steps + 1 > 7",
    "bucket compare": "SELECT COUNT(*) FROM ga.person WHERE DATE_TRUNC('year', born) >= '1999-01-01'",
    "part compare": "SELECT COUNT(*) FROM ga.person WHERE EXTRACT(quarter FROM born) = 2 OR EXTRACT(year FROM born) = 9999",
    "inner join": "SELECT p.region, COUNT(*), SUM(i.amount) FROM ga.person p JOIN tax.income i ON p.id = i.id GROUP BY p.region",
    "inner join filtered": "SELECT p.sex, SUM(i.amount) FROM ga.person p JOIN tax.income i ON p.id = i.id AND i.year = 2024 WHERE p.age < 0 GROUP BY p.sex",
    "left join": "SELECT p.region, COUNT(*), COUNT(i.amount), SUM(i.amount) FROM ga.person p LEFT JOIN tax.income i ON p.id = i.id GROUP BY p.region",
    "left join filtered": "SELECT p.region, COUNT(i.id), SUM(i.steps) FROM ga.person p LEFT JOIN tax.income i ON p.id = i.id AND i.amount > 0 GROUP BY p.region",
    "left join, right label": "SELECT i.year, COUNT(*) FROM ga.person p LEFT JOIN tax.income i ON p.id = i.id GROUP BY i.year",
    "anti join": "SELECT p.region, COUNT(*), SUM(p.age) FROM ga.person p LEFT JOIN tax.income i ON p.id = i.id WHERE i.id IS NULL GROUP BY p.region",
    "anti join filtered": "SELECT p.region, COUNT(*) FROM ga.person p LEFT JOIN tax.income i ON p.id = i.id AND i.amount > 0 WHERE i.id IS NULL GROUP BY p.region",
    "anti join of units": "SELECT COUNT(*) FROM ga.person p LEFT JOIN (SELECT id, SUM(amount) AS t FROM tax.income GROUP BY id HAVING SUM(amount) > 0) u ON p.id = u.id WHERE u.id IS NULL AND p.age < 10",
    "three tables": "SELECT p.sex, s.险种, SUM(i.amount), SUM(s.缴费额) FROM ga.person p JOIN tax.income i ON p.id = i.id LEFT JOIN ss.参保 s ON s.身份证号 = p.id GROUP BY 1, 2",
    "中文": "SELECT \"险种\" AS 种类, COUNT(*), SUM(缴费额) FROM ss.参保 WHERE 险种 <> '工伤' GROUP BY 险种",
    "units": "SELECT COUNT(*), SUM(t), AVG(n) FROM (SELECT id, SUM(amount) AS t, COUNT(*) AS n FROM tax.income GROUP BY id) u",
    "units having": "SELECT COUNT(*), SUM(t) FROM (SELECT id, SUM(amount) AS t FROM tax.income GROUP BY id HAVING COUNT(*) > 1 AND SUM(steps) > 0) u",
    "units by label": "SELECT u.year, COUNT(*), SUM(u.n) FROM (SELECT id, year, COUNT(*) AS n FROM tax.income GROUP BY id, year) u GROUP BY u.year",
    "units by count": "SELECT n, COUNT(*) FROM (SELECT id, COUNT(*) AS n FROM tax.income GROUP BY id) u GROUP BY n",
    "units by sum": "SELECT n, COUNT(*) FROM (SELECT id, SUM(steps) AS n FROM tax.income GROUP BY id) u GROUP BY n",
    "units by case of sum": "SELECT CASE WHEN t < 0 THEN '负' WHEN t > 100.5 THEN '高' ELSE '中' END AS g, COUNT(*) FROM (SELECT id, SUM(amount) AS t FROM tax.income GROUP BY id) u GROUP BY 1",
    "units filtered": "SELECT SUM(a), COUNT(b) FROM (SELECT id, SUM(amount) FILTER (WHERE year = 2024) AS a, COUNT(steps) AS b FROM tax.income GROUP BY id) u",
    "units pieces": "SELECT SUM(a) FROM (SELECT id, SUM(CASE WHEN steps > 2 THEN amount * 2 WHEN steps < 0 THEN 1 ELSE amount END) AS a FROM tax.income GROUP BY id) u",
    "units constant": "SELECT SUM(a) FROM (SELECT id, SUM(steps + 3) AS a FROM tax.income GROUP BY id) u",
    "units distinct": "SELECT f, COUNT(*) FROM (SELECT id, COUNT(DISTINCT firm) AS f FROM tax.income GROUP BY id) u GROUP BY f",
    "units joined": "SELECT p.region, COUNT(*), SUM(u.t) FROM ga.person p JOIN (SELECT id, SUM(amount) AS t FROM tax.income WHERE year = 2024 GROUP BY id) u ON u.id = p.id GROUP BY p.region",
    "units left joined": "SELECT p.region, COUNT(*), SUM(u.t), SUM(COALESCE(u.t, 0)) FROM ga.person p LEFT JOIN (SELECT id, SUM(amount) AS t FROM tax.income GROUP BY id) u ON u.id = p.id GROUP BY p.region",
    "units of other key": "SELECT COUNT(*), SUM(n) FROM (SELECT firm, COUNT(*) AS n FROM tax.income GROUP BY firm) u",
    "units mean": "SELECT SUM(a), COUNT(a) FROM (SELECT id, AVG(age) AS a FROM ga.person GROUP BY id) u",
    "units means": "SELECT SUM(a), SUM(b), SUM(c) FROM (SELECT id, AVG(amount) AS a, AVG(steps) FILTER (WHERE year = 2024) AS b, AVG(2 * amount - rate / 4 + 0.5) AS c FROM tax.income GROUP BY id) u",
    "units mean pieces": "SELECT g, COUNT(*) FROM (SELECT id, AVG(CASE WHEN steps > 2 THEN amount * 2 WHEN steps < 0 THEN 1 ELSE rate END) AS g FROM tax.income GROUP BY id) u GROUP BY g",
    "units deviation": "SELECT SUM(a), SUM(b) FROM (SELECT household, STDDEV_SAMP(age) AS a, STDDEV_POP(age) AS b FROM ga.person WHERE age BETWEEN -100 AND 100 GROUP BY household) u",
    "units variance": "SELECT SUM(a), SUM(b) FROM (SELECT household, VAR_SAMP(age) AS a, VAR_POP(age) AS b FROM ga.person WHERE age BETWEEN -100 AND 100 GROUP BY household) u",
    "units squared": "SELECT VAR_POP(t), STDDEV_SAMP(n) FROM (SELECT id, SUM(amount) AS t, COUNT(*) AS n FROM tax.income GROUP BY id) u",
    "units having label": "SELECT SUM(n) FROM (SELECT id, region AS r, COUNT(*) AS n FROM ga.person WHERE local GROUP BY id, region HAVING region IS NULL OR region <> '') u",
    "joined to units of other key": "SELECT COUNT(*) FROM ga.person p JOIN (SELECT household, COUNT(*) AS n FROM ga.person GROUP BY household HAVING COUNT(*) > 1) h ON h.household = p.household",
    "large literal": "SELECT COUNT(*) FROM tax.income WHERE steps = 4611686018427387903 OR rate = 99999999999999.9999",
    "compare with null": "SELECT COUNT(*) FROM ga.person WHERE NOT (sex = NULL) OR age > NULL OR age BETWEEN NULL AND 3 OR NOT (age BETWEEN 5 AND NULL)",
    "counted pieces": "SELECT SUM(CASE WHEN amount > 0 THEN 1 END), AVG(CASE WHEN amount > 0 THEN 1 ELSE 0 END), COUNT(CASE WHEN steps > 2 THEN 1 END) FROM tax.income",
    "label of a constant": "SELECT 'x' AS k, COUNT(*) FROM ga.person GROUP BY 1",
    "label of units joined": "SELECT u.n, COUNT(*), SUM(p.age) FROM ga.person p LEFT JOIN (SELECT id, COUNT(*) AS n FROM tax.income GROUP BY id) u ON u.id = p.id GROUP BY u.n",
}  # fmt: skip
