"""Statements of tier D: what each unit adds to each cell, clamped in the department's engine.

A unit's rows in a cell count at most as often as policy says, and its totals are cut to the policy's caps; which cells
a unit counts in is chosen at the node, from these rows. Bounds come from policy, never from data.

What a unit may change must be its own rows only: relations are joined by the unit, and unit blocks are of the same
unit. Else another unit's rows would hang on them, and the bounds would not hold.

Spec: docs/spec/differential-privacy.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from itertools import product
from math import prod

import pyarrow as pa
from sqlglot import exp

from middleplatform.errors import DisclosureError, QueryError
from middleplatform.model.catalog import Catalog, TypeKind
from middleplatform.model.physical import AS_REGISTERED, PhysicalNames
from middleplatform.model.plan import Layout
from middleplatform.model.policy import Bundle
from middleplatform.model.query import (
    Boolean,
    Case,
    CellQuery,
    Compare,
    DatePart,
    Field,
    InList,
    Literal,
    Predicate,
    Relation,
    RowExpression,
    Rows,
    Table,
)
from middleplatform.planner.column_types import relations_in
from middleplatform.planner.engine_sql import EngineSql, number
from middleplatform.planner.evidence import Statement, per_unit, plain_tree
from middleplatform.planner.join_caps import measured, unit_cap
from middleplatform.planner.layout import unit_field
from middleplatform.planner.results import arrow_type

__all__ = [
    "LABELS_MAX", "Bounds",
    "bounded_result", "bounded_statement", "bounds_of", "check_private", "public_labels",
]  # fmt: skip

LABELS_MAX = 1_000
"""Most public labels of a statement: more would be mostly noise about nobody, so then small cells are dropped."""

_EXACT = Context(prec=100)
_CAP_MAX = 10**28
"""A sum over 2**31 units of it has at most 38 digits."""
_COUNT = pa.int64()
_PARTS = {"month": range(1, 13), "quarter": range(1, 5)}
Labels = tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one unit may add to one cell.

    Attributes:
        rows: Rows that it counts for.
        caps: For each sum, its total in absolute value, in units of the last place.
    """

    rows: int
    caps: tuple[int, ...]


def bounds_of(layout: Layout, rows: Rows, bundle: Bundle, rows_max: int) -> Bounds:
    """Return the bounds of a statement.

    Args:
        layout: Of its words.
        rows: That it reads.
        bundle: The caps of its measures.
        rows_max: ``PrivacyRule.rows``.

    Raises:
        DisclosureError: D014 a measure has no cap, or one above 28 digits of its last place.
    """
    caps = tuple(unit_cap(word.operand, rows, bundle, word.scale) for word in layout.sums)
    for word, cap in zip(layout.sums, caps, strict=True):
        if cap < 0:
            columns = measured(word.operand, rows)
            name = ", ".join(f"{dataset}.{column}" for dataset, column in columns) or "COUNT(*)"
            what = (
                f"a sum of {name}, which has no cap in the policy",
                f"策略未设上限的 {name} 的求和",
            )
            raise DisclosureError("D014", rule="R5", what=what)
    largest = max([*caps, *(caps[s] ** 2 for s in layout.squares)], default=0)
    if largest > _CAP_MAX:
        what = ("a measure with so high a cap", "上限过高的度量列")
        raise DisclosureError("D014", rule="R5", what=what)
    return Bounds(rows_max, caps)


# --- which statements ---------------------------------------------------------------------------------------------


def check_private(cell: CellQuery, layout: Layout, catalog: Catalog) -> None:
    """Return only if one unit more or less changes no other unit's rows, and every word can be bounded.

    Raises:
        QueryError: Q031 otherwise.
    """
    if layout.keys:
        raise _refused(
            "a distinct count of another unit with noise", "以差分隐私方式对其他单元去重计数"
        )
    if _own_unit(cell.rows, catalog) != layout.unit:
        raise _refused("units of several kinds with noise", "以差分隐私方式统计多种单元")


def _own_unit(rows: Rows, catalog: Catalog) -> Field:
    """Return the unit that all of the rows belong to."""
    own = _unit_of(rows.first, catalog)
    known = {own}
    for join in rows.joins:
        other = _unit_of(join.relation, catalog)
        if not any(left in known and right == other for left, right in join.on):
            raise _refused(
                "a join by anything but the unit with noise", "以差分隐私方式按非单元键关联"
            )
        known.add(other)
    return own


def _unit_of(relation: Relation, catalog: Catalog) -> Field:
    if isinstance(relation, Table):
        return unit_field(relation, catalog)
    inner = _own_unit(relation.rows, catalog)
    for column in relation.columns:
        if column.content == inner and inner in relation.keys:
            return Field(relation.alias, column.name)
    raise _refused(
        "groups of several units below the aggregate with noise", "以差分隐私方式先按非单元键分组"
    )


def _refused(english: str, chinese: str) -> QueryError:
    return QueryError("Q031", rule="R5", what=(english, chinese))


# --- public labels ------------------------------------------------------------------------------------------------


def public_labels(cell: CellQuery, catalog: Catalog) -> Labels | None:
    """Return all labels that the cells can have, where catalogue and statement alone say so; else None.

    Public are a column's code list, what a condition on the column leaves of it, booleans, months and quarters, and
    the values that a CASE names itself. Without dimensions there is one cell, with an empty label.
    """
    domains = [
        _domain(item.expression, cell.rows, dict(relations_in(cell.rows)), catalog)
        for item in cell.dimensions
    ]
    found = [domain for domain in domains if domain is not None]
    if len(found) < len(domains) or prod(map(len, found)) > LABELS_MAX:
        return None
    return tuple(product(*found))


def _domain(
    expression: RowExpression, rows: Rows, known: dict[str, Relation], catalog: Catalog
) -> tuple[object, ...] | None:
    match expression:
        case Case(branches=branches, default=default):
            values = [*(then for _, then in branches), default]
            if not all(isinstance(value, Literal) for value in values):
                return None
            return tuple(dict.fromkeys(v.value for v in values if isinstance(v, Literal)))
        case DatePart(unit=unit) if unit in _PARTS:
            return (*_PARTS[unit], None)
        case Field():
            return _column_domain(expression, rows, known, catalog)
        case _:
            return None


def _column_domain(
    target: Field, rows: Rows, known: dict[str, Relation], catalog: Catalog
) -> tuple[object, ...] | None:
    named = next((values for field, values in _named(rows.where) if field == target), None)
    relation = known[target.relation]
    if not isinstance(relation, Table):
        return named
    column = catalog.datasets[relation.dataset].columns[target.name]
    listed: tuple[object, ...] | None = None
    if column.codes and column.type.kind is TypeKind.TEXT:
        listed = tuple(column.codes)
    elif column.type.kind is TypeKind.BOOLEAN:
        listed = (False, True)
    if named is not None:
        return named if listed is None else tuple(each for each in named if each in listed)
    outer = relation != rows.first
    return listed and (*listed, *((None,) if column.nullable or outer else ()))


def _named(where: Predicate | None) -> Iterator[tuple[Field, tuple[object, ...]]]:
    """Yield the fields that a condition fixes to values that it names."""
    for part in where.operands if isinstance(where, Boolean) and where.op == "and" else (where,):
        match part:
            case Compare(op="=", left=Field() as target, right=Literal(value=value)):
                yield target, (value,)
            case InList(operand=Field() as target, values=values):
                yield target, tuple(dict.fromkeys(each.value for each in values))
            case _:
                continue


# --- the statement ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def bounded_statement(
    cell: CellQuery,
    layout: Layout,
    bounds: Bounds,
    dialect: str,
    names: PhysicalNames = AS_REGISTERED,
) -> Statement:
    """Return the statement that gives what each unit adds to each cell, clamped.

    Columns: labels ``d*``, unit ``u``, rows ``r*`` of each population, totals ``s*``, and sums of squares ``q*`` where
    they are asked. Its rows stay inside the node.
    """
    engine, rows = per_unit(cell, layout, dialect, names)
    columns: list[exp.Expr] = [exp.column(item.name) for item in cell.dimensions]
    columns.append(exp.column("u"))
    populations = range(len(layout.populations))
    columns += [_clamped(engine, f"r{p}", (0, bounds.rows), 0) for p in populations]
    for s, (word, cap) in enumerate(zip(layout.sums, bounds.caps, strict=True)):
        columns.append(_clamped(engine, f"s{s}", (-cap, cap), word.scale))
        if s in layout.squares:
            columns.append(_clamped(engine, f"q{s}", (0, cap**2), 2 * word.scale))
    select = exp.Select(expressions=columns)
    alias = exp.TableAlias(this=exp.to_identifier("per_unit"))
    select.set("from_", exp.From(this=exp.Subquery(this=rows, alias=alias)))
    tree = {
        "cell": plain_tree(cell), "layout": plain_tree(layout), "rows": bounds.rows, "caps": list(bounds.caps)
    }  # fmt: skip
    sql = select.sql(dialect, comments=False, copy=False)
    return Statement("bounded", sql, tree, bounded_result(cell, layout))


def _clamped(engine: EngineSql, name: str, within: tuple[int, int], scale: int) -> exp.Expr:
    """Return a total cut to a range; a missing one stays missing, which GREATEST and LEAST would make a bound of."""
    low, high = (number(Decimal(end).scaleb(-scale, _EXACT)) for end in within)
    total = exp.column(name)
    ifs = [
        exp.If(this=exp.GT(this=total, expression=high), true=high.copy()),
        exp.If(this=exp.LT(this=total.copy(), expression=low), true=low.copy()),
    ]
    cut = exp.Case(ifs=ifs, default=total.copy())
    if name[0] == "r":
        return exp.alias_(exp.cast(cut, "BIGINT", copy=False), name, copy=False)
    return exp.alias_(engine.exact(cut, scale), name, copy=False)


def bounded_result(cell: CellQuery, layout: Layout) -> pa.Schema:
    """Return the columns of ``bounded_statement``."""
    found = [
        (item.name, arrow_type(kind))
        for item, kind in zip(cell.dimensions, layout.labels, strict=True)
    ]
    found.append(("u", arrow_type(layout.unit_type)))
    found += [(f"r{p}", _COUNT) for p in range(len(layout.populations))]
    for s, word in enumerate(layout.sums):
        found.append((f"s{s}", pa.decimal128(38, word.scale)))
        if s in layout.squares:
            found.append((f"q{s}", pa.decimal128(38, 2 * word.scale)))
    return pa.schema(found)
