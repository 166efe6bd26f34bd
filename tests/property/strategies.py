"""Random permitted statements over the made world of ``pooled_world``, with what an oracle must know of them."""

import os
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st

_TIMES = 5 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 1


def examples(count):
    """Return settings for so many examples in CI, and five times as many at night."""
    return settings(max_examples=count * _TIMES)


@dataclass(frozen=True)
class Predicate:
    """A permitted predicate; ``presence`` says that it asks for nothing but a value's presence."""

    sql: str
    presence: bool = False


@dataclass(frozen=True)
class Expression:
    """An affine expression and the columns that it sums."""

    sql: str
    operands: tuple[str, ...]


@dataclass(frozen=True)
class Piece:
    """The rows under all ``conditions`` on which every operand is there; ``adds`` if they can change the value."""

    conditions: tuple[Predicate, ...]
    operands: tuple[str, ...]
    adds: bool = True


@dataclass(frozen=True)
class Aggregate:
    sql: str
    kind: str
    pieces: tuple[Piece, ...]
    filtered: Predicate | None = None
    key: str = ""


@dataclass(frozen=True)
class Source:
    """What a statement reads.

    Attributes:
        rows: FROM clause.
        unit: Column that names the protected unit.
        dimensions: Expressions that may be grouped.
        predicates: That may stand in WHERE, FILTER and CASE.
        measures: Columns that may be summed.
        keys: Further keys that may be counted.
        others: Units of further tables that contribute.
        parted: Held by several departments.
    """

    rows: str
    unit: str
    dimensions: tuple[str, ...]
    predicates: tuple[Predicate, ...]
    measures: tuple[str, ...]
    keys: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    parted: bool = False


@dataclass(frozen=True)
class Block:
    """One aggregation: dimensions ``d0`` ..., aggregates ``a0`` ..., then ``extra`` outputs."""

    source: Source = field(repr=False)
    where: Predicate | None
    dimensions: tuple[str, ...]
    aggregates: tuple[Aggregate, ...]
    extra: tuple[str, ...] = ()
    having: str = ""

    @property
    def sensitive(self):
        """Return the places of the dimensions that are bands of a measure, or of a measure's total per unit."""
        counted = ("u.n", "u.m")
        measures = [each for each in self.source.measures if each not in counted]
        return tuple(
            place
            for place, each in enumerate(self.dimensions)
            if each.startswith("CASE WHEN") and any(measure in each for measure in measures)
        )

    @property
    def sql(self):
        outputs = [f"{each} AS d{i}" for i, each in enumerate(self.dimensions)]
        outputs += [f"{each.sql} AS a{i}" for i, each in enumerate(self.aggregates)]
        text = f"SELECT {', '.join([*outputs, *self.extra])} FROM {self.source.rows}"
        if self.where is not None:
            text += f" WHERE {self.where.sql}"
        if self.dimensions:
            text += f" GROUP BY {', '.join(str(i + 1) for i in range(len(self.dimensions)))}"
        return text + (f" HAVING {self.having}" if self.having else "")


def _presence(column):
    return Predicate(f"{column} IS NOT NULL", presence=True)


def _predicates(*texts):
    return tuple(Predicate(text) for text in texts)


PEOPLE = Source(
    "ga.people AS p",
    "p.id",
    (
        "p.region", "p.sex", "p.local", "p.birth_year", "FLOOR(p.birth_year / 10) * 10", "DATE_TRUNC('quarter', p.joined)",
        "DATE_TRUNC('month', p.joined)", "EXTRACT(YEAR FROM p.joined)", "COALESCE(p.region, '未知')",
        "CASE WHEN p.income < 1000.5 THEN '低' WHEN p.income < 20000 THEN '中' ELSE '高' END",
        "CASE p.sex WHEN '男' THEN 'M' ELSE 'F' END", "CASE WHEN p.score >= 0 THEN 1 ELSE 0 END",
    ),
    (
        *_predicates(
            "p.region = '东区'", "p.region <> '西区'", "p.region IN ('东区', 'O''北\"区 ')", "p.region IS NULL", "p.sex = '女'",
            "p.local", "NOT p.local", "p.income >= 5000", "p.income < 1000.5", "p.income BETWEEN 0 AND 20000", "5000 > p.income",
            "p.income * 2 <= 10000", "p.score > -5", "p.score <= 10", "p.fee < 0.5", "p.birth_year BETWEEN 1950 AND 1979",
            "2024 - p.birth_year >= 60", "p.joined >= DATE '2021-01-01'", "p.joined < '2022-07-01'",
            "p.joined BETWEEN '2021-04-01' AND '2022-09-30'", "EXTRACT(YEAR FROM p.joined) = 2021",
            "DATE_TRUNC('quarter', p.joined) = DATE '2021-04-01'", "FALSE", "p.region NOT IN ('东区', '西区')",
        ),
        _presence("p.income"), _presence("p.fee"), _presence("p.region"),
    ),
    ("p.income", "p.score", "p.fee"),
    keys=("p.household",),
)  # fmt: skip
_VISIT_DIMENSIONS = (
    "v.kind", "DATE_TRUNC('month', v.on_date)", "DATE_TRUNC('year', v.on_date)", "EXTRACT(QUARTER FROM v.on_date)",
    "CASE WHEN v.cost < 100 THEN 'a' WHEN v.cost < 1000 THEN 'b' ELSE 'c' END", "COALESCE(v.kind, '其他')",
)  # fmt: skip
_VISIT_PREDICATES = (
    *_predicates(
        "v.kind = '门诊'", "v.kind <> '住院'", "v.kind IS NULL", "v.cost >= 1000", "v.cost <= -100", "v.cost BETWEEN 0 AND 1000",
        "v.days > 3", "v.on_date >= '2023-01-01'", "EXTRACT(YEAR FROM v.on_date) = 2022", "v.on_date < DATE '2022-12-01'",
    ),
    _presence("v.days"), _presence("v.cost"),
)  # fmt: skip
VISITS = Source(
    "hb.visits AS v", "v.id", _VISIT_DIMENSIONS, _VISIT_PREDICATES, ("v.cost", "v.days")
)
INNER = Source(
    "hb.visits AS v JOIN hb.card AS c ON c.id = v.id", "v.id", ("c.plan", *_VISIT_DIMENSIONS),
    (*_VISIT_PREDICATES, *_predicates("c.plan = '甲'", "c.plan IN ('乙', '丙')")), ("v.cost", "v.days"),
)  # fmt: skip
LEFT = Source(
    "hb.visits AS v LEFT JOIN hb.card AS c ON v.id = c.id AND c.plan <> '丙'", "v.id", ("c.plan", *_VISIT_DIMENSIONS),
    _VISIT_PREDICATES, ("v.cost", "v.days"), others=("c.id",),
)  # fmt: skip
UNITS = Source(
    "(SELECT id, kind, COUNT(*) AS n, SUM(cost) AS s, COUNT(days) AS m FROM hb.visits WHERE cost > -100 OR cost IS NULL"
    " GROUP BY id, kind HAVING COUNT(*) >= 1) AS u",
    "u.id", ("u.kind", "CASE WHEN u.n <= 1 THEN '1' WHEN u.n <= 3 THEN '2-3' ELSE '4+' END", "CASE WHEN u.s >= 1000 THEN 'x' ELSE 'y' END"),
    (*_predicates("u.n >= 2", "u.n = 1", "u.s > 1000", "u.kind = '门诊'", "u.m < 3"), _presence("u.s")), ("u.n", "u.s", "u.m"),
)  # fmt: skip
PERSONS = Source(
    "(SELECT v.id, COUNT(*) AS n, SUM(v.cost) AS s FROM hb.visits AS v WHERE v.on_date >= '2022-03-01' GROUP BY v.id) AS u",
    "u.id", ("CASE WHEN u.n <= 2 THEN '1-2' WHEN u.n <= 5 THEN '3-5' ELSE '6+' END",),
    _predicates("u.n >= 3", "u.n <= 10", "NOT u.n < 2"), ("u.n", "u.s"),
)  # fmt: skip
FIRMS = Source(
    "county.firm AS f", "f.uscc",
    ("f.section", "f.year", "DATE_TRUNC('year', f.founded)", "COALESCE(f.section, '?')", "EXTRACT(QUARTER FROM f.founded)",
     "CASE WHEN f.profit < 0 THEN '亏' WHEN f.profit < 1000 THEN '平' ELSE '盈' END"),
    (*_predicates("f.section = 'C'", "f.section IN ('H', 'B')", "f.year = 2022", "f.year >= 2022", "f.profit > 0", "f.profit <= -1000",
                  "f.staff >= 50", "f.founded >= '2010-01-01'", "f.section IS NULL", "f.staff BETWEEN 10 AND 50"), _presence("f.profit")),
    ("f.profit", "f.staff"), parted=True,
)  # fmt: skip
SOURCES = (PEOPLE, VISITS, INNER, LEFT, UNITS, PERSONS, FIRMS)


@st.composite
def predicates(draw, source, depth=1):
    if depth and draw(st.integers(0, 3)) == 0:
        left = draw(predicates(source, depth - 1))
        right = draw(predicates(source, depth - 1))
        match draw(st.sampled_from(("AND", "OR", "NOT"))):
            case "AND":
                return Predicate(f"({left.sql} AND {right.sql})", left.presence and right.presence)
            case "OR":
                return Predicate(f"({left.sql} OR {right.sql})")
            case _:
                return Predicate(f"NOT ({left.sql} AND {right.sql})")
    return draw(st.sampled_from(source.predicates))


@st.composite
def expressions(draw, source):
    first = draw(st.sampled_from(source.measures))
    template = draw(
        st.sampled_from(
            (
                "{x}",
                "{x}",
                "{x} * 2 - 1",
                "0.5 * {x} + 3",
                "-{x}",
                "{x} / 4",
                "coalesce",
                "two",
                "two",
            )
        )
    )
    if template == "coalesce" and not first.startswith("u."):
        return Expression(f"COALESCE({first}, 0)", (f"COALESCE({first}, 0)",))
    if template == "two":
        second = draw(st.sampled_from([each for each in source.measures if each != first]))
        sign = draw(st.sampled_from("+-"))
        return Expression(f"{first} {sign} 2 * {second}", (first, second))
    return Expression(
        (template if template != "coalesce" else "{x}").format(x=first), (first,)
    )  # fmt: skip


def _negated(predicate):
    return Predicate(f"NOT (({predicate.sql}) IS TRUE)")


@st.composite
def cases(draw, source):
    """Return (text, pieces) of a conditional argument."""
    when = draw(predicates(source))
    then = draw(expressions(source))
    pieces = [Piece((when,), then.operands)]
    match draw(st.sampled_from(("zero", "null", "chain", "ones"))):
        case "ones":
            return f"CASE WHEN {when.sql} THEN 1 ELSE 0 END", (
                Piece((when,), ()),
                Piece((_negated(when),), (), adds=False),
            )
        case "zero":
            pieces.append(Piece((_negated(when),), (), adds=False))
            return f"CASE WHEN {when.sql} THEN {then.sql} ELSE 0 END", tuple(pieces)
        case "null":
            return f"CASE WHEN {when.sql} THEN {then.sql} END", tuple(pieces)
        case _:
            other, second = draw(predicates(source, 0)), draw(expressions(source))
            pieces.append(Piece((other, _negated(when)), second.operands))
            return (
                f"CASE WHEN {when.sql} THEN {then.sql} WHEN {other.sql} THEN {second.sql} END",
                tuple(pieces),
            )


@st.composite
def aggregates(draw, source):
    shape = draw(st.sampled_from(("rows", "present", "unit", "key", "sum", "sum", "avg", "spread", "case", "case", "count case")))  # fmt: skip
    match shape:
        case "rows":
            text, kind, pieces, key = "COUNT(*)", "count", (Piece((), ()),), ""
        case "present":
            column = draw(st.sampled_from(source.measures))
            text, kind, key = f"COUNT({column})", "count", ""
            pieces = (Piece((_presence(column),), ()),)
        case "unit" | "key":
            key = draw(st.sampled_from(source.keys)) if shape == "key" and source.keys else ""
            text, kind = f"COUNT(DISTINCT {key or source.unit})", "distinct"
            pieces = (Piece((), (key,) if key else ()),)
        case "sum" | "avg":
            expression = draw(expressions(source))
            text, kind, key = f"{shape.upper()}({expression.sql})", shape, ""
            pieces = (Piece((), expression.operands),)
        case "spread":
            column = draw(st.sampled_from(source.measures))
            name = draw(st.sampled_from(("STDDEV_SAMP", "STDDEV_POP", "VAR_SAMP", "VAR_POP")))
            text, kind, key = f"{name}({column})", "spread", ""
            pieces = (Piece((), (column,)),)
        case "count case":
            when = draw(predicates(source))
            text, kind, key = f"COUNT(CASE WHEN {when.sql} THEN 1 END)", "count", ""
            pieces = (Piece((when,), ()),)
        case _:
            argument, pieces = draw(cases(source))
            kind, key = draw(st.sampled_from(("sum", "avg"))), ""
            text = f"{kind.upper()}({argument})"
    filtered = None
    if draw(st.integers(0, 3)) == 0:
        filtered = draw(predicates(source))
        text += f" FILTER (WHERE {filtered.sql})"
    return Aggregate(text, kind, pieces, filtered, key)


@st.composite
def blocks(draw, sources=SOURCES):
    """Return a plain release block: dimensions, then aggregates, one output each."""
    source = draw(st.sampled_from(sources))
    dimensions = draw(st.lists(st.sampled_from(source.dimensions), max_size=2, unique=True))
    where = draw(st.none() | predicates(source))
    found = draw(st.lists(aggregates(source), min_size=1, max_size=3))
    return Block(source, where, tuple(dimensions), tuple(found))


_HAVING = ("COUNT(*) >= 3", "COUNT(*) BETWEEN 5 AND 400", "COUNT(*) * 2 > 30 AND COUNT(*) < 1000")
_ABOVE = (
    "WITH g AS ({block}) SELECT {d}, a0, SUM(n) OVER () AS total, RANK() OVER (ORDER BY n DESC) AS r FROM g",
    "SELECT {d}, a0 AS x, n * 100.0 / NULLIF(SUM(n) OVER (PARTITION BY d0), 0) AS share FROM ({block}) AS g",
    "WITH g AS ({block}), h AS (SELECT MAX(n) AS m, COUNT(*) AS k FROM g) SELECT {d}, g.n, h.m - g.n AS gap, h.k FROM g CROSS JOIN h",
    "SELECT COUNT(*) AS groups, SUM(n) AS n, MIN(n) AS low FROM ({block}) AS g",
    "SELECT d0 AS label, SUM(n) AS n, MAX(a0) AS a FROM ({block}) AS g GROUP BY d0 HAVING SUM(n) > 5",
    "SELECT '甲' AS w, {d}, n FROM ({block}) AS g UNION ALL SELECT '乙', {d}, n FROM ({block}) AS g",
    "SELECT {d}, CASE WHEN n > 20 THEN '多' ELSE '少' END AS size, COALESCE(a0, 0) AS a FROM ({block}) AS g WHERE n > 1",
)  # fmt: skip


@st.composite
def statements(draw):
    """Return the text of a permitted statement of any form, deterministic as SQL."""
    block = draw(blocks())
    shape = draw(st.sampled_from(("plain", "having", "above", "above", "ordered", "ratio")))
    if shape == "ratio":
        ratio = f"{block.aggregates[0].sql} * 1.0 / NULLIF(COUNT(*), 0) AS ratio"
        return replace(block, extra=(ratio,)).sql
    if not block.dimensions or shape == "plain":
        return block.sql
    labels = [f"d{i}" for i in range(len(block.dimensions))]
    if shape == "having":
        return replace(block, having=draw(st.sampled_from(_HAVING))).sql
    if shape == "ordered":
        order = ", ".join(label + draw(st.sampled_from(("", " DESC"))) for label in labels)
        skip = draw(st.sampled_from(("", " OFFSET 2")))
        return f"{block.sql} ORDER BY {order} LIMIT {draw(st.integers(0, 6))}{skip}"
    inner = replace(block, extra=("COUNT(*) AS n",)).sql
    return draw(st.sampled_from(_ABOVE)).replace("{d}", ", ".join(labels)).replace("{block}", inner)
