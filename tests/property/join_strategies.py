"""Random permitted statements that join rows of several departments of ``pooled_world``, as plain SQL."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st
from strategies import FIRMS, PEOPLE, VISITS, Source, _predicates, aggregates

CARD = Source("", "c.id", ("c.plan", "COALESCE(c.plan, '无')"), _predicates("c.plan = '甲'", "c.plan IN ('乙', '丙')", "c.plan IS NULL"), ())  # fmt: skip
PAYERS = Source(
    "", "t.id",
    ("t.year", "t.bracket", "COALESCE(t.bracket, '?')", "CASE WHEN t.paid < 100 THEN 'a' WHEN t.paid < 1000 THEN 'b' ELSE 'c' END"),
    _predicates("t.year = 2022", "t.bracket <> '低'", "t.paid >= 100", "t.paid < 1000", "t.year >= 2023", "t.bracket IS NULL"),
    ("t.paid",),
)  # fmt: skip
ONE_YEAR = replace(PAYERS, dimensions=PAYERS.dimensions[1:])
TOTALS = Source("", "u.id", ("CASE WHEN u.n <= 1 THEN '1' WHEN u.n <= 3 THEN '2-3' ELSE '4+' END",), _predicates("u.n >= 2"), ("u.n", "u.s"))  # fmt: skip
_TOTALS = "(SELECT id, COUNT(*) AS n, SUM(cost) AS s FROM hb.visits GROUP BY id) AS u"
STAFF = Source("", "u.employer", ("CASE WHEN u.n <= 2 THEN '1-2' ELSE '3+' END",), (), ("u.n", "u.s"))  # fmt: skip
_STAFF = "(SELECT employer, COUNT(*) AS n, SUM(paid) AS s FROM tc.payer WHERE employer IS NOT NULL GROUP BY employer) AS u"
FIRMS_2022 = replace(FIRMS, dimensions=("f.section", "COALESCE(f.section, '?')"))


@dataclass(frozen=True)
class Join:
    """Relations of several departments on one key.

    Attributes:
        rows: FROM clause.
        unit: The key that is counted.
        labels: Sides whose dimensions may be grouped.
        filters: Sides whose predicates may stand in WHERE.
        words: Sides whose measures may be summed, each statement's from one or, if ``mixed``, several.
        where: What always stands in WHERE.
        mixed: Whether aggregates of several sides may stand in one statement.
    """

    rows: str
    unit: str
    labels: tuple[Source, ...]
    filters: tuple[Source, ...]
    words: tuple[Source, ...]
    where: str = ""
    mixed: bool = True


JOINS = (
    Join("hb.visits AS v JOIN ga.people AS p ON p.id = v.id", "v.id", (VISITS, PEOPLE), (VISITS, PEOPLE), (VISITS,)),
    Join("ga.people AS p JOIN hb.card AS c ON p.id = c.id", "p.id", (PEOPLE, CARD), (PEOPLE, CARD), (PEOPLE,)),
    Join("ga.people AS p LEFT JOIN hb.card AS c ON c.id = p.id", "p.id", (PEOPLE, CARD), (PEOPLE,), (PEOPLE,)),
    Join("ga.people AS p LEFT JOIN hb.card AS c ON c.id = p.id AND c.plan <> '丙'", "p.id", (PEOPLE, CARD), (PEOPLE,), (PEOPLE,)),
    Join("ga.people AS p LEFT JOIN hb.card AS c ON c.id = p.id", "p.id", (PEOPLE,), (PEOPLE,), (PEOPLE,), "c.id IS NULL"),
    Join("ga.people AS p JOIN tc.payer AS t ON t.id = p.id", "p.id", (PEOPLE, ONE_YEAR), (PEOPLE, ONE_YEAR), (PEOPLE, ONE_YEAR), "t.year = 2023"),
    Join("tc.payer AS t JOIN ga.people AS p ON t.id = p.id", "t.id", (PAYERS, PEOPLE), (PAYERS, PEOPLE), (PAYERS,)),
    Join(f"ga.people AS p JOIN {_TOTALS} ON u.id = p.id", "p.id", (PEOPLE, TOTALS), (PEOPLE, TOTALS), (PEOPLE, TOTALS)),
    Join(f"ga.people AS p LEFT JOIN {_TOTALS} ON u.id = p.id", "p.id", (PEOPLE, TOTALS), (PEOPLE,), (PEOPLE, TOTALS)),
    Join("hb.visits AS v JOIN hb.card AS c ON c.id = v.id JOIN ga.people AS p ON p.id = v.id", "v.id", (VISITS, CARD, PEOPLE), (VISITS, PEOPLE), (VISITS,)),
    Join("hb.visits AS v JOIN ga.people AS p ON p.id = v.id JOIN tc.payer AS t ON t.id = v.id", "v.id", (VISITS, PEOPLE, ONE_YEAR), (VISITS, PEOPLE, ONE_YEAR), (VISITS,), "t.year = 2022"),
    Join("ga.people AS p JOIN hb.card AS c ON c.id = p.id LEFT JOIN tc.payer AS t ON t.id = c.id AND t.year = 2022", "p.id", (PEOPLE, CARD), (PEOPLE, CARD), (PEOPLE,), "t.id IS NULL"),
    Join(f"county.firm AS f JOIN {_STAFF} ON u.employer = f.uscc", "f.uscc", (FIRMS_2022, STAFF), (FIRMS_2022,), (FIRMS_2022, STAFF), "f.year = 2022"),
    Join(f"county.firm AS f LEFT JOIN {_STAFF} ON f.uscc = u.employer", "f.uscc", (FIRMS,), (FIRMS,), (FIRMS,)),
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A statement and how many grouping columns it has."""

    sql: str
    width: int


@st.composite
def joined(draw, joins=JOINS):
    """Return a permitted statement over one of the joins."""
    join = draw(st.sampled_from(joins))
    labels = [each for side in join.labels for each in side.dimensions]
    dimensions = draw(st.lists(st.sampled_from(labels), max_size=2, unique=True))
    conditions = [join.where] if join.where else []
    chosen = [side for side in join.filters if side.predicates and draw(st.booleans())]
    conditions += [draw(st.sampled_from(side.predicates)).sql for side in chosen]
    found = ["COUNT(*)", f"COUNT(DISTINCT {join.unit})"][: draw(st.integers(0, 2))]
    for _ in range(draw(st.integers(0 if found else 1, 2))):
        side = draw(st.sampled_from([each for each in join.words if len(each.measures) > 0]))
        found.append(_aggregate(draw, side, join))
    outputs = [f"{each} AS d{i}" for i, each in enumerate(dimensions)]
    outputs += [f"{each} AS a{i}" for i, each in enumerate(found)]
    sql = f"SELECT {', '.join(outputs)} FROM {join.rows}"
    if conditions:
        sql += " WHERE " + " AND ".join(f"({each})" if " " in each else each for each in conditions)
    if dimensions:
        sql += f" GROUP BY {', '.join(str(i + 1) for i in range(len(dimensions)))}"
    return Asked(sql, len(dimensions))


def _aggregate(draw, side, join):
    """Draw an aggregate of one side; two measures of one form need the side to have two."""
    counted = replace(side, unit=join.unit, predicates=side.predicates or _predicates(f"{side.measures[0]} IS NOT NULL"))  # fmt: skip
    if len(side.measures) > 1 and side.predicates:
        return draw(aggregates(counted)).sql
    name = draw(st.sampled_from(("SUM", "AVG", "COUNT", "STDDEV_SAMP", "VAR_POP")))
    return f"{name}({draw(st.sampled_from(side.measures))})"
