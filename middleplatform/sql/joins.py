"""Joins below the boundary: explicit, inner or left, on key equality (rule R10)."""

from dataclasses import replace

from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.query import (
    Boolean,
    Clause,
    Compare,
    Context,
    Field,
    Join,
    JoinKind,
    Opaque,
    Predicate,
    Rows,
)
from middleplatform.sql.convert import Converter
from middleplatform.sql.extract import fields
from middleplatform.sql.rename import relations
from middleplatform.sql.scope import RowSource, Scope, identifier
from middleplatform.sql.state import State

__all__ = ["join_condition"]


def join_condition(
    state: State, join: exp.Expr, left: Rows, right: RowSource, convert: Converter, scope: Scope
) -> Rows:
    """Return ``left`` joined with ``right``; what is no key equality is reported or refused.

    A predicate of an inner join's ON that is no key equality moves to WHERE; one of a left join stays with the
    right side, on whose fields alone it may speak.
    """
    assert scope.items
    kind = _kind(join)
    if join.args.get("using"):
        pairs, rest = _using(join, scope)
    elif join.args.get("on") is None:
        raise QueryError("Q010", rule="R10", what=("a join without ON", "没有 ON 的连接"))
    else:
        pairs, rest = _split(convert.predicate(join.args["on"]))
    inside = {relation.alias for relation in relations(right.rows)}
    on = [_oriented(state, pair, inside, join) for pair in pairs]
    keys = tuple(pair for pair in on if pair is not None)
    for side in (side for pair in keys for side in pair):
        state.use(state.extract.field(side, Context.JOIN_KEY, Clause.ON))
    for predicate in rest:
        state.use(state.extract.predicate(predicate, Clause.ON))
    if not keys:
        state.violate(
            "R10",
            "a join that is not on key equality",
            "并非主键相等的连接",
            join,
            ("Join on the key: a.id = b.id.", "请按主键连接：a.id = b.id。"),
        )
    return _joined(state, kind, left, right, keys, rest, join)


def _joined(
    state: State,
    kind: JoinKind,
    left: Rows,
    right: RowSource,
    keys: tuple[tuple[Field, Field], ...],
    rest: list[Predicate],
    join: exp.Expr,
) -> Rows:
    if kind is JoinKind.LEFT:
        inside = {relation.alias for relation in relations(right.rows)}
        outside_right = [
            part for part in rest if any(inner.relation not in inside for inner in fields(part))
        ]
        plain = all(isinstance(item, Field | Opaque) for item in right.columns.values())
        if right.rows.joins or outside_right or not plain:
            state.violate(
                "R10",
                "a left join with more than one table and its own filter on the right",
                "左连接的右侧不是带自身条件的单表",
                join,
            )
        condition = _all([*([right.rows.where] if right.rows.where is not None else []), *rest])
        return replace(left, joins=(*left.joins, Join(kind, right.rows.first, keys, condition)))
    where = _all([part for part in (left.where, right.rows.where) if part is not None] + rest)
    return Rows(
        left.first, (*left.joins, Join(kind, right.rows.first, keys), *right.rows.joins), where
    )


def _kind(join: exp.Expr) -> JoinKind:
    method, side, kind = (
        str(join.args.get(part) or "").upper() for part in ("method", "side", "kind")
    )
    if method:
        raise QueryError("Q010", rule="R10", what=(f"a {method} join", f"{method} 连接"))
    if kind == "CROSS" or (not join.args.get("on") and not join.args.get("using")):
        raise QueryError("Q010", rule="R10", what=("a join without ON", "没有 ON 的连接"))
    if side == "LEFT" and kind in ("", "OUTER"):
        return JoinKind.LEFT
    if not side and kind in ("", "INNER"):
        return JoinKind.INNER
    raise QueryError(
        "Q010", rule="R10", what=(f"a {side} {kind} join".replace("  ", " "), f"{side}{kind} 连接")
    )


def _using(join: exp.Expr, scope: Scope) -> tuple[list[tuple[Field, Field]], list[Predicate]]:
    """Read ``USING (key)`` as the equality that it means."""
    pairs: list[tuple[Field, Field]] = []
    for column in join.args["using"]:
        name = identifier(column.this if isinstance(column, exp.Column) else column)
        right = scope.items[-1].columns.get(name)
        left = [item.columns[name] for item in scope.items[:-1] if name in item.columns]
        if len(left) > 1 and name not in scope.merged:
            raise QueryError("Q022", rule="R0", name=name)
        if not left or not isinstance(left[0], Field) or not isinstance(right, Field):
            raise QueryError("Q020", rule="R0", name=name)
        pairs.append((left[0], right))
        scope.merged.add(name)
    return pairs, []


def _split(predicate: Predicate) -> tuple[list[tuple[Field, Field]], list[Predicate]]:
    parts = (
        predicate.operands
        if isinstance(predicate, Boolean) and predicate.op == "and"
        else (predicate,)
    )
    pairs: list[tuple[Field, Field]] = []
    rest: list[Predicate] = []
    for part in parts:
        if (
            isinstance(part, Compare)
            and part.op == "="
            and isinstance(part.left, Field)
            and isinstance(part.right, Field)
        ):
            pairs.append((part.left, part.right))
        else:
            rest.append(part)
    return pairs, rest


def _oriented(
    state: State, pair: tuple[Field, Field], inside: set[str], join: exp.Expr
) -> tuple[Field, Field] | None:
    """Order a pair as (left, right); None, and a report, when it does not connect the two sides by keys."""
    first, second = pair
    if (first.relation in inside) == (second.relation in inside):
        for side in pair:
            state.use(state.extract.field(side, Context.COLUMN_COMPARE, Clause.ON, "="))
        return None
    left, right = (second, first) if first.relation in inside else (first, second)
    if not state.unit_of(left) or state.unit_of(left) != state.unit_of(right):
        for side in pair:
            state.use(state.extract.field(side, Context.JOIN_OTHER, Clause.ON))
        state.violate(
            "R10",
            "a join on something other than a key",
            "按非主键的列连接",
            join,
            ("Join on the key: a.id = b.id.", "请按主键连接：a.id = b.id。"),
        )
        return None
    return left, right


def _all(parts: list[Predicate]) -> Predicate | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else Boolean("and", tuple(parts))
