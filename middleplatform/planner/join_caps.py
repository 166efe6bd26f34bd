"""What a measure may be released as, and how much one unit of it counts for in a private join."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from middleplatform.errors import PolicyError
from middleplatform.model.plan import Layout
from middleplatform.model.policy import Bundle, DisclosureParameters
from middleplatform.model.query import (
    Aggregate,
    AggregateKind,
    Coalesce,
    Field,
    Relation,
    Rows,
    Table,
)
from middleplatform.planner.column_types import relations_in
from middleplatform.policy.evaluate import column_rule
from middleplatform.sql.extract import fields

__all__ = ["bounded", "check_capped", "check_release", "check_room", "measured", "unit_cap"]

_LIMIT = 1 << 63
"""What the words of one side may add up to, signs apart: docs/spec/private-join.md, "Sides and list rows"."""

Column = tuple[str, str]


def bounded(parameters: DisclosureParameters) -> bool:
    """Say whether the largest units of a magnitude must be judged."""
    return bool(parameters.dominance or parameters.p_percent)


def measured(operand: Field | Coalesce, rows: Rows) -> tuple[Column, ...]:
    """Return the (dataset, column) pairs whose values an operand adds up, through unit blocks; none for a count."""
    return tuple(dict.fromkeys(_measured(operand, dict(relations_in(rows)))))


def _measured(operand: Field | Coalesce, known: dict[str, Relation]) -> Iterator[Column]:
    for item in fields(operand):
        relation = known[item.relation]
        if isinstance(relation, Table):
            yield relation.dataset, item.name
            continue
        content = next(column.content for column in relation.columns if column.name == item.name)
        if not isinstance(content, Aggregate):
            for inner in fields(content):
                yield from _measured(inner, known)
        elif content.kind not in (AggregateKind.COUNT, AggregateKind.COUNT_DISTINCT):
            for piece in content.pieces:
                for term in piece.value.terms:
                    yield from _measured(term.operand, known)


def check_release(layout: Layout, rows: Rows, bundle: Bundle, *, sealed: bool) -> None:
    """Check that every summed column may leave as asked.

    Raises:
        PolicyError: P001, rule R3.
    """
    for word in layout.sums:
        for dataset, column in measured(word.operand, rows):
            release = column_rule(bundle, dataset, column).release
            if release == "sealed" and not sealed:
                what = (
                    f"{dataset}.{column} leaves encrypted only (ask for a sealed answer)",
                    f"{dataset}.{column} 只能以密文发布（请申请密封结果）",
                )
                raise PolicyError("P001", rule="R3", what=what)
            if release == "plain" and sealed:
                what = (
                    f"{dataset}.{column} is not released sealed (ask for a plain answer)",
                    f"{dataset}.{column} 不以密文发布（请申请明文结果）",
                )
                raise PolicyError("P001", rule="R3", what=what)


def check_capped(layout: Layout, rows: Rows, bundle: Bundle, caps: tuple[int, ...]) -> None:
    """Check that every sum has a cap, where the largest units must be judged and cannot be seen.

    Raises:
        PolicyError: P001, rule R5, with what would pass.
    """
    for word, cap in zip(layout.sums, caps, strict=True):
        if cap >= 0:
            continue
        columns = measured(word.operand, rows)
        name = ", ".join(f"{dataset}.{column}" for dataset, column in columns) or "COUNT(*)"
        rules = [column_rule(bundle, *column).release for column in columns]
        if any(release == "plain" for release in rules):
            form = (
                "its owner may set a cap in the policy, or let it be released sealed",
                "其提供部门可在策略中设置上限，或允许以密文发布",
            )
        else:
            form = ("ask for a sealed answer", "请申请密封结果")
        what = (
            f"a sum of {name}, which has no cap, in a join across departments ({form[0]})",
            f"跨部门连接中对没有上限的 {name} 求和（{form[1]}）",
        )
        raise PolicyError("P001", rule="R5", what=what)


def check_room(layout: Layout, rows: Rows, caps: tuple[int, ...], rows_max: int) -> None:
    """Refuse factors inside a unit block, and defaults, that might let the words of a list overflow.

    Whether they do depends on data, and a number of choice would make the error (``X004``) a scale: so it is refused
    where the cap does not rule it out, whatever the data are.

    Args:
        layout: Of the words.
        rows: Of the statement.
        caps: By sum, in units of its last place; -1 for none.
        rows_max: Rows that a private join may have.

    Raises:
        PolicyError: P001, rule R13.
    """
    known = dict(relations_in(rows))
    for s, (word, cap) in enumerate(zip(layout.sums, caps, strict=True)):
        largest = max(cap, cap**2 >> 32 if s in layout.squares else 0)
        fits = cap >= 0 and largest * rows_max < _LIMIT
        if not fits and any(each != 1 for each in _factors(word.operand, known)):
            what = (
                "a factor or default that a private join has no room for (multiply outside: 1000 * SUM(s))",
                "系数或缺省值超出隐私连接的数值范围（请在外层对聚合相乘：1000 * SUM(s)）",
            )
            raise PolicyError("P001", rule="R13", what=what)


def _factors(operand: Field | Coalesce, known: dict[str, Relation]) -> Iterator[Fraction]:
    """Yield the size of every factor and constant but 0 that a statement puts into an operand before it is summed."""
    if isinstance(operand, Coalesce) and isinstance(operand.default.value, int | Decimal):
        yield abs(Fraction(operand.default.value)) or Fraction(1)
    for item in fields(operand):
        relation = known[item.relation]
        if isinstance(relation, Table):
            continue
        content = next(column.content for column in relation.columns if column.name == item.name)
        if not isinstance(content, Aggregate):
            for inner in fields(content):
                yield from _factors(inner, known)
        elif content.kind not in (AggregateKind.COUNT, AggregateKind.COUNT_DISTINCT):
            for piece in content.pieces:
                yield abs(piece.value.constant) or Fraction(1)
                for term in piece.value.terms:
                    yield abs(term.coefficient)
                    yield from _factors(term.operand, known)


def unit_cap(operand: Field | Coalesce, rows: Rows, bundle: Bundle, scale: int) -> int:
    """Return the cap of what one unit adds to a sum, in units of ``10 ** -scale``; -1 for none.

    A column's cap is the policy's. A sum or mean per unit has that of its column, by its coefficients; a count per
    unit has the cap of the key that it is counted by.
    """
    found = _cap(operand, dict(relations_in(rows)), bundle)
    return -1 if found is None else int(found * 10**scale)


def _cap(operand: Field | Coalesce, known: dict[str, Relation], bundle: Bundle) -> Fraction | None:
    if isinstance(operand, Coalesce):
        (item,) = fields(operand)
        inner, default = _cap(item, known, bundle), operand.default.value
        least = Fraction(default) if isinstance(default, int | Decimal) else Fraction(0)
        return None if inner is None else max(inner, abs(least))
    relation = known[operand.relation]
    if isinstance(relation, Table):
        cap = column_rule(bundle, relation.dataset, operand.name).cap
        return None if cap is None else Fraction(cap)
    content = next(column.content for column in relation.columns if column.name == operand.name)
    if isinstance(content, Field):
        return _cap(content, known, bundle)
    if not isinstance(content, Aggregate):
        return None
    if content.kind in (AggregateKind.COUNT, AggregateKind.COUNT_DISTINCT):
        return _least_key_cap(relation.keys, known, bundle)
    return _aggregate_cap(content, relation.keys, known, bundle)


def _aggregate_cap(
    content: Aggregate, keys: tuple[object, ...], known: dict[str, Relation], bundle: Bundle
) -> Fraction | None:
    if content.kind not in (AggregateKind.SUM, AggregateKind.AVG):
        return None
    rows = Fraction(1) if content.kind is AggregateKind.AVG else None
    total = Fraction(0)
    for piece in content.pieces:
        own = Fraction(0)
        for term in piece.value.terms:
            cap = _cap(term.operand, known, bundle)
            if cap is None:
                return None
            own += abs(term.coefficient) * cap
        if piece.value.constant:
            rows = rows if rows is not None else _least_key_cap(keys, known, bundle)
            if rows is None:
                return None
            own += abs(piece.value.constant) * rows
        total += own
    return total


def _least_key_cap(
    keys: tuple[object, ...], known: dict[str, Relation], bundle: Bundle
) -> Fraction | None:
    caps = [_cap(key, known, bundle) for key in keys if isinstance(key, Field)]
    return min((cap for cap in caps if cap is not None), default=None)
