"""What private joins of one project tell together: cells that earlier answers of the same family give away (R14).

A family are the questions that join the same tables in the same way. Departments compare their own rows only; how many
of them match shows at the gateway. So it subtracts what was released as an analyst would: a cell whose filter is
narrower or wider by a few units than an earlier one's, a total and the cells that add up to it.
Spec: docs/spec/private-join.md, "History".
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date
from decimal import Decimal
from enum import Enum
from hashlib import sha256

import pyarrow as pa

from middleplatform.errors import DisclosureError
from middleplatform.gateway.blocks import BlockAnswer
from middleplatform.ledger.history import History, Population
from middleplatform.model.join import JoinPlan
from middleplatform.model.plan import Block
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import Between, Compare, Field, InList, Literal, Predicate, Table
from middleplatform.model.request import QueryRequest
from middleplatform.planner.join_sides import conjuncts

__all__ = ["Family", "family_of", "guarded"]

_ALL = (0, 1 << 62)
_NONE = (1, 0)
_TOTAL = "total"
_OVERLAP, _SECONDARY = "overlap", "secondary"

Part = tuple[str, str, tuple[str, ...]]
Label = tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """A question among those that join the same tables in the same way.

    Attributes:
        frame: Which tables, and how: a digest.
        where: Parts of the filter: kind (``is``, ``in``, ``range``), what it is about, values.
        dimensions: What is grouped by, in the order of the columns.
    """

    frame: str
    where: tuple[Part, ...]
    dimensions: tuple[str, ...]

    def text(self) -> str:
        """Return the question's place in the family, for the history."""
        return json.dumps([self.where, self.dimensions], ensure_ascii=False)

    @staticmethod
    def read(frame: str, text: str) -> "Family":
        """Return what ``text`` gave."""
        where, dimensions = json.loads(text)
        parts = tuple((kind, about, tuple(values)) for kind, about, values in where)
        return Family(frame, parts, tuple(dimensions))

    def within(self, other: "Family") -> bool:
        """Say whether this filter lets through only what the other one does; False where that does not show."""
        return all(any(_implies(own, part) for own in self.where) for part in other.where)


@dataclass(frozen=True)
class _Answered:
    """An earlier question and its cells: by label, how many units each has."""

    family: Family
    total: int
    hidden: int
    cells: Mapping[Label, int]


def guarded(
    history: History,
    request: QueryRequest,
    block: Block,
    answer: BlockAnswer,
    rules: DisclosureParameters,
) -> BlockAnswer:
    """Return an answer without the cells that it and earlier ones would give away together, and keep the rest.

    Args:
        history: Of the gateway.
        request: Whose project's history.
        block: A private join.
        answer: To it.
        rules: Of the statement: differences of fewer than ``min_units`` are withheld, where history is kept.

    Raises:
        DisclosureError: D010 where all of it differs from an earlier answer by too few units, or a cell would have
            to be taken out of an answer that left sealed.
        ConfigError: C011 when the history cannot be written; then nothing may leave.

    Reveals:
        To the analyst: that a difference to some earlier answer of the project is small; not which, or how small.
    """
    project, moment = request.project, request.received_at.isoformat()
    plan, counts, least = block.join, answer.counts, rules.min_units
    if plan is None or counts is None or least <= 1 or not rules.history:
        return answer
    family = family_of(block, plan)
    dataset = f"private join|{family.frame}"
    labels = _labels(answer.cells, len(family.dimensions))
    free = _free(answer.cells)
    cells = {
        label: units
        for label, units, shown in zip(labels, counts.shown, free, strict=True)
        if shown
    }
    total = sum(counts.shown) + sum(counts.hidden)
    now = _Answered(family, total, total - sum(cells.values()), cells)
    with history.alone():  # what another gateway releases meanwhile must be compared with as well
        out = _too_close(history, project, dataset, now, least)
        history.add(project, dataset, _populations(now, out), moment)
    return _without(block, answer, [out.get(label, "") for label in labels]) if out else answer


def _too_close(
    history: History, project: str, dataset: str, now: _Answered, least: int
) -> dict[Label, str]:
    """Return the cells that may not be shown, and why."""
    out: dict[Label, str] = {}
    for earlier in _earlier(history, project, dataset, now.family):
        _compare(now, earlier, least, out)
    return out


def _populations(now: _Answered, out: Mapping[Label, str]) -> list[Population]:
    """Return what is released, for the history."""
    kept = {label: units for label, units in now.cells.items() if label not in out}
    text = now.family.text()
    entries = [Population(text, _text(label), units, units) for label, units in kept.items()]
    if kept:
        entries.append(Population(text, _TOTAL, now.total, now.total - sum(kept.values())))
    return entries


def _compare(now: _Answered, earlier: _Answered, least: int, out: dict[Label, str]) -> None:
    """Subtract an earlier answer from this one, or this one from it; mark what comes out too small."""
    one, other = now.family, earlier.family
    inside, outside = one.within(other), other.within(one)
    if inside or outside:
        known = now.hidden < least and earlier.hidden < least
        if known and 0 < abs(now.total - earlier.total) < least:
            raise DisclosureError("D010", rule="R14")
        if set(one.dimensions) == set(other.dimensions):
            for label, units in now.cells.items():
                before = earlier.cells.get(_onto(label, one, other))
                if before is not None and 0 < abs(before - units) < least:
                    out[label] = _OVERLAP
    if not (inside and outside) or set(one.dimensions) == set(other.dimensions):
        return
    if set(one.dimensions) < set(other.dimensions):
        _coarser(now, earlier, least, out)
    elif set(other.dimensions) < set(one.dimensions):
        _finer(now, earlier, least, out)


def _coarser(now: _Answered, earlier: _Answered, least: int, out: dict[Label, str]) -> None:
    """Mark a cell of this answer less the earlier cells inside which few units are left."""
    inside: Counter[Label] = Counter()
    for each, units in earlier.cells.items():
        inside[_onto(each, earlier.family, now.family)] += units
    for label, units in now.cells.items():
        if 0 < units - inside[label] < least:
            out[label] = _OVERLAP


def _finer(now: _Answered, earlier: _Answered, least: int, out: dict[Label, str]) -> None:
    """Mark cells, smallest first, until those left out of an earlier cell have enough units."""
    within: dict[Label, dict[Label, int]] = {}
    for each, units in now.cells.items():
        within.setdefault(_onto(each, now.family, earlier.family), {})[each] = units
    for label, units in earlier.cells.items():
        inside = within.get(label, {})
        left = units - sum(n for each, n in inside.items() if each not in out)
        for each, n in sorted(inside.items(), key=lambda item: (item[1], item[0])):
            if not 0 < left < least:
                break
            if each not in out:
                out[each] = _SECONDARY
                left += n


def _onto(label: Label, own: Family, other: Family) -> Label:
    """Return a label's values in the order of another question's dimensions, which are among its own."""
    values = dict(zip(own.dimensions, label, strict=True))
    return tuple([values[each] for each in other.dimensions])


# --- what is kept -------------------------------------------------------------------------------------------------


def _earlier(history: History, project: str, dataset: str, family: Family) -> Iterator[_Answered]:
    found: dict[str, dict[str, Population]] = {}
    for each in history.near(project, dataset, _ALL, _NONE):
        found.setdefault(each.shape, {})[each.label] = each
    for shape, cells in found.items():
        total = cells.pop(_TOTAL)
        if shape != family.text():
            units = {tuple(json.loads(label)): each.units_low for label, each in cells.items()}
            yield _Answered(
                Family.read(family.frame, shape), total.units_low, total.units_high, units
            )


def _labels(cells: pa.Table, width: int) -> list[Label]:
    columns = [cells[f"d{place}"].to_pylist() for place in range(width)]
    texts = [[json.dumps(None if each is None else str(each)) for each in one] for one in columns]
    return list(zip(*texts, strict=True)) if width else [()] * cells.num_rows


def _text(label: Label) -> str:
    return json.dumps(label, ensure_ascii=False)


def _marks(cells: pa.Table) -> list[str]:
    return [name for name in cells.column_names if name[0] == "m" and name != "ml"]


def _free(cells: pa.Table) -> list[bool]:
    """Return which cells have something to show."""
    marks = zip(*[cells[name].to_pylist() for name in _marks(cells)], strict=True)
    return [any(mark is None for mark in row) for row in marks]


def _without(block: Block, answer: BlockAnswer, reasons: Sequence[str]) -> BlockAnswer:
    """Return an answer without the marked cells."""
    if not block.cell.dimensions or type(answer) is not BlockAnswer:
        raise DisclosureError("D010", rule="R14")
    formulas = len(block.layout.formulas)
    hidden = tuple([each for each in reasons if each for _ in range(formulas)])
    kept = answer.cells.filter(pa.array([not each for each in reasons]))
    return replace(answer, cells=kept, hidden=answer.hidden + hidden)


# --- a question's place -------------------------------------------------------------------------------------------


def family_of(block: Block, plan: JoinPlan) -> Family:
    """Return the place of a private join among the questions of its tables: whatever the order of its text."""
    names: dict[str, str] = {}
    frame: list[object] = []
    parts: list[Part] = []
    for side in plan.sides:
        relations = (side.rows.first, *(join.relation for join in side.rows.joins))
        shown = sorted(
            (each.dataset if isinstance(each, Table) else _plain(each, {}), each.alias)
            for each in relations
        )
        for place, (name, alias) in enumerate(shown):
            names[alias] = f"{name}/{place}"
    for side in plan.sides:
        conditions = [side.rows.where, *(join.condition for join in side.rows.joins)]
        parts += [_part(each, names) for condition in conditions for each in conjuncts(condition)]
        relations = (side.rows.first, *(join.relation for join in side.rows.joins))
        local = sorted((join.kind.value, _plain(join.on, names)) for join in side.rows.joins)
        key = _plain(side.key, names)
        frame.append([side.kind.value, sorted(names[each.alias] for each in relations), local, key])
    dimensions = tuple(_plain(each.expression, names) for each in block.cell.dimensions)
    digest = sha256(json.dumps(sorted(frame, key=str), ensure_ascii=False).encode()).hexdigest()
    return Family(digest, tuple(sorted(set(parts))), dimensions)


def _plain(item: object, names: Mapping[str, str]) -> str:
    """Return the text of a node, aliases by their tables; equal for equal nodes."""
    match item:
        case Field(relation=relation, name=name):
            return f"{names.get(relation, relation)}.{name}"
        case Enum():
            return str(item.value)
        case tuple() | list():
            return f"({', '.join(_plain(each, names) for each in item)})"
        case _ if is_dataclass(item):
            inner = [
                _plain(getattr(item, each.name), names) for each in fields(item) if each.compare
            ]
            return f"{type(item).__name__}({', '.join(inner)})"
        case _:
            return f"{type(item).__name__}:{item}"


def _part(part: Predicate, names: Mapping[str, str]) -> Part:
    """Return a part of a filter: an interval or a list of values of a column where it is one, else its text."""
    match part:
        case Compare(op="=", left=Field() as item, right=Literal() as value):
            return ("in", _plain(item, names), (_value(value),))
        case Compare(
            op="<" | "<=" | ">" | ">=" as op, left=Field() as item, right=Literal() as value
        ):
            return ("range", _plain(item, names), (op, _value(value)))
        case Between(operand=Field() as item, low=low, high=high):
            return ("range", _plain(item, names), (">=", _value(low), "<=", _value(high)))
        case InList(operand=Field() as item, values=values):
            return ("in", _plain(item, names), tuple(sorted({_value(each) for each in values})))
        case _:
            return ("is", _plain(part, names), ())


def _value(literal: Literal) -> str:
    value = literal.value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return f"date:{value.isoformat()}" if isinstance(value, date) else f"text:{value}"
    return f"number:{Decimal(value).normalize():f}"


def _implies(one: Part, other: Part) -> bool:
    """Say whether what meets one part meets another; False where that does not show."""
    if one == other:
        return True
    if one[1] != other[1] or "is" in (one[0], other[0]):
        return False
    if other[0] == "in":
        return one[0] == "in" and set(one[2]) <= set(other[2])
    bounds = list(zip(other[2][::2], other[2][1::2], strict=True))
    if one[0] == "in":
        return all(_holds(value, op, bound) for value in one[2] for op, bound in bounds)
    own = list(zip(one[2][::2], one[2][1::2], strict=True))
    return all(any(_tighter(mine, theirs) for mine in own) for theirs in bounds)


def _tighter(one: tuple[str, str], other: tuple[str, str]) -> bool:
    (op, bound), (wider, limit) = one, other
    if op[0] != wider[0]:
        return False
    return _holds(bound, wider, limit) or (bound == limit and op == wider)


def _holds(value: str, op: str, bound: str) -> bool:
    """Compare two values of one kind."""
    kind, _, text = value.partition(":")
    other, _, limit = bound.partition(":")
    if kind != other or kind == "text":
        return False
    left, right = (Decimal(text), Decimal(limit)) if kind == "number" else (text, limit)
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[op]  # type: ignore[operator]  # of one kind
