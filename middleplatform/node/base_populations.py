"""Base populations: what of a block's rows follows from its text and from columns that are not sensitive (R14).

Every condition that reads a sensitive value is replaced by a constant, in each way it could hold; what differs among
the ways is compared and kept by history instead of the rows themselves. So its decisions cannot tell sensitive values.
Spec: docs/spec/history.md, "Base populations".

Reveals: Nothing: it follows from the statement and the policy.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from middleplatform.errors import QueryError
from middleplatform.model.query import (
    Aggregate,
    Boolean,
    Case,
    CellQuery,
    Compare,
    Dimension,
    Field,
    InList,
    IsTrue,
    Join,
    JoinKind,
    Literal,
    Not,
    Predicate,
    Relation,
    RowExpression,
    Rows,
    Table,
    UnitBlock,
    UnitColumn,
)
from middleplatform.sql.extract import fields
from middleplatform.sql.rename import mapped, relations

__all__ = ["CONDITIONS_MAX", "Sensitive", "bases", "readings", "sensitive_fields"]

Sensitive = Callable[[str, str], bool]
"""Says of (dataset, column) whether its values are sensitive."""

CONDITIONS_MAX = 4
"""Sensitive conditions beside others under OR or NOT that one population may have."""

_TRUE, _FALSE = Literal(value=True), Literal(value=False)
_MANY = (
    "so many sensitive conditions mixed with others under OR or NOT",
    "在 OR 或 NOT 之下与其他条件混用过多敏感条件",
)
_OUTER = (
    "sensitive conditions mixed with others in the table of an outer join",
    "外连接表中敏感条件与其他条件混用",
)


def readings(cell: CellQuery, sensitive: Sensitive) -> tuple[tuple[CellQuery, ...], ...]:
    """Return the base populations of a block's rows in each way to read them; those of one way belong together.

    Every aggregate for a unit is taken for a sensitive value, as it may stand beside others. One that tells no more
    than open columns do is also taken for an open one: few units could else be left out by it.

    Args:
        cell: The block.
        sensitive: Says which columns are.

    Raises:
        QueryError: As ``bases``.
    """
    found = (bases(cell, sensitive),)
    if not _per_unit(cell):
        return found
    wide = sensitive_fields(cell, sensitive)
    narrow = sensitive_fields(cell, sensitive, aggregates=False)
    if any(wide(item) != narrow(item) for item in _named((cell.dimensions, cell.rows))):
        return (*found, _distinct(cell, narrow))
    return found


def bases(cell: CellQuery, sensitive: Sensitive) -> tuple[CellQuery, ...]:
    """Return the base populations of a block's rows, each once, as blocks without aggregates.

    Dimensions that read only sensitive values are dropped; names of the others stay.

    Args:
        cell: The block.
        sensitive: Says which columns are.

    Raises:
        QueryError: Q031 for more than ``CONDITIONS_MAX`` mixed conditions, and for mixed ones beneath an outer join.
    """
    reads = sensitive_fields(cell, sensitive)
    bare = replace(cell, aggregates=())
    if not _per_unit(cell) and not any(reads(item) for item in _read(bare)):
        return (bare,)  # the text that the rows have
    return _distinct(cell, reads)


def _per_unit(cell: CellQuery) -> bool:
    return any(isinstance(each, UnitBlock) for each in relations(cell.rows))


def _distinct(cell: CellQuery, reads: Callable[[Field], bool]) -> tuple[CellQuery, ...]:
    return tuple(dict.fromkeys(_bases(cell, reads)))


def _bases(cell: CellQuery, reads: Callable[[Field], bool]) -> Iterator[CellQuery]:
    """Yield what remains of a block under each way its sensitive conditions could hold."""
    waiting: list[dict[Predicate, bool | None]] = [{}]
    while waiting:
        values = waiting.pop()
        try:
            made = _Base(reads, values).cell(cell)
        except _OpenError as opened:
            if len(values) == CONDITIONS_MAX:
                raise QueryError("Q031", rule="R14", what=_MANY) from None
            waiting += [{**values, opened.atom: value} for value in (None, False, True)]
            continue
        if made is not None:
            yield made


def sensitive_fields(
    cell: CellQuery, sensitive: Sensitive, *, aggregates: bool = True
) -> Callable[[Field], bool]:
    """Return what says of a field of a block whether it reads a sensitive value.

    Args:
        cell: The block.
        sensitive: Says which columns are.
        aggregates: Whether every aggregate for each unit is; else those that read a sensitive value.
    """
    known = {relation.alias: relation for relation in relations(cell.rows)}

    def reads(target: Field) -> bool:
        relation = known[target.relation]
        if isinstance(relation, Table):
            return sensitive(relation.dataset, target.name)
        content = next(column.content for column in relation.columns if column.name == target.name)
        if aggregates and isinstance(content, Aggregate):
            return True
        return any(reads(inner) for inner in _named(content))

    return reads


def _named(value: object) -> Iterator[Field]:
    """Return the fields anywhere inside a governed value."""
    found: list[Field] = []

    def look(node: object) -> None:
        if isinstance(node, Field):
            found.append(node)

    mapped(value, look)
    return iter(found)


def _read(cell: CellQuery) -> Iterator[Field]:
    """Yield the fields that decide on a block's rows, one without unit blocks."""
    for item in cell.dimensions:
        yield from fields(item.expression)
    for where in (cell.rows.where, *(join.condition for join in cell.rows.joins)):
        if where is not None:
            yield from fields(where)


class _OpenError(Exception):
    """A sensitive condition that no value was chosen for yet."""

    def __init__(self, atom: Predicate) -> None:
        super().__init__()
        self.atom = atom


class _Base:
    """Rebuilds a block under chosen values of its sensitive conditions; None stands for unknown."""

    def __init__(
        self, reads: Callable[[Field], bool], values: dict[Predicate, bool | None]
    ) -> None:
        self._reads, self._values = reads, values

    def cell(self, cell: CellQuery) -> CellQuery | None:
        rows = self._rows(cell.rows, outer=False)
        if rows is None:
            return None
        kept = [(item.name, self._label(item.expression)) for item in cell.dimensions]
        dimensions = tuple(Dimension(name, label) for name, label in kept if label is not None)
        return replace(cell, rows=rows, dimensions=dimensions, aggregates=())

    # --- rows -----------------------------------------------------------------------------------------------------

    def _rows(self, rows: Rows, *, outer: bool) -> Rows | None:
        """Return rows under the values, None where there are none of them."""
        first = self._relation(rows.first, outer=outer)
        where = self._filter(rows.where, outer=outer)
        joins = [self._join(join, outer=outer) for join in rows.joins]
        if first is None or where == _FALSE or any(join is None for join in joins):
            return None
        kept = tuple(join for join in joins if join is not None)
        return Rows(first, kept, None if where == _TRUE else where)

    def _join(self, join: Join, *, outer: bool) -> Join | None:
        inner = join.kind is JoinKind.INNER
        relation = self._relation(join.relation, outer=outer or not inner)
        condition = self._filter(join.condition, outer=outer or not inner)
        if relation is None or condition == _FALSE:
            if inner:
                return None
            # Nothing is joined: the relation stays, so that its columns have names.
            return replace(join, condition=_FALSE)
        return replace(join, relation=relation, condition=None if condition == _TRUE else condition)

    def _relation(self, relation: Relation, *, outer: bool) -> Relation | None:
        if isinstance(relation, Table):
            return relation
        rows = self._rows(relation.rows, outer=outer)
        having = self._filter(relation.having, outer=outer)
        if rows is None or having == _FALSE:
            return None
        labels = {key: self._label(key) for key in relation.keys}
        columns = tuple(
            UnitColumn(column.name, label)
            for column in relation.columns
            if (label := self._column(relation, column, labels)) is not None
        )
        keys = tuple(label for label in labels.values() if label is not None)
        return replace(
            relation,
            rows=rows,
            keys=keys,
            columns=columns,
            having=None if having == _TRUE else having,
        )

    def _column(
        self,
        relation: UnitBlock,
        column: UnitColumn,
        labels: Mapping[RowExpression, RowExpression | None],
    ) -> RowExpression | Aggregate | None:
        if isinstance(column.content, Aggregate):
            return None if self._reads(Field(relation.alias, column.name)) else column.content
        return labels.get(column.content, column.content)

    # --- predicates -----------------------------------------------------------------------------------------------

    def _filter(self, where: Predicate | None, *, outer: bool) -> Predicate:
        """Return what a filter keeps: parts of it that are sensitive as a whole are taken as met, or as not met."""
        kept: list[Predicate] = []
        alone: list[Predicate] = []
        for part in _parts(where):
            if self._pure(part):
                alone.append(part)
            elif outer and self._sensitive(part):
                raise QueryError("Q031", rule="R14", what=_OUTER)
            else:
                kept.append(self.predicate(part, positive=True))
        if outer and alone:
            # Of an outer join the rows without a partner remain: both ways are populations.
            kept.append(self._atom(_all("and", alone), positive=True))
        return _all("and", kept)

    def predicate(self, item: Predicate, *, positive: bool) -> Predicate:
        """Return a condition that, where ``positive``, holds, and else fails, exactly where the given one does."""
        if not self._sensitive(item):
            return _folded(item)
        match item:
            case Boolean(op=op, operands=operands):
                return _all(op, [self.predicate(each, positive=positive) for each in operands])
            case Not(operand=operand):
                return _negated(self.predicate(operand, positive=not positive))
            case IsTrue(operand=operand):
                inner = self.predicate(operand, positive=True)
                return inner if inner in (_TRUE, _FALSE) else IsTrue(inner)
            case _:
                choice = None if self._pure(item) else _choice(item)
                if choice is not None:
                    return self.predicate(_opened(item, choice), positive=positive)
                return self._atom(item, positive=positive)

    def _atom(self, item: Predicate, *, positive: bool) -> Predicate:
        if item not in self._values:
            raise _OpenError(item)
        value = self._values[item]
        # Unknown neither holds nor fails.
        return _TRUE if (not positive if value is None else value) else _FALSE

    def _label(self, expression: RowExpression) -> RowExpression | None:
        """Return a grouping expression under the values, None for one that says nothing more."""
        if not any(self._reads(item) for item in fields(expression)):
            return expression
        if not isinstance(expression, Case):
            return None
        branches = []
        default = expression.default
        for condition, value in expression.branches:
            holds = self.predicate(IsTrue(condition), positive=True)
            if holds == _TRUE:
                default = value
                break
            if holds != _FALSE:
                branches.append((holds, self._value(value)))
        if branches:
            return Case(tuple(branches), self._value(default))
        return self._label(default) if any(fields(default)) else None

    def _value(self, expression: RowExpression) -> RowExpression:
        if any(self._reads(item) for item in fields(expression)):
            found = self._label(expression)
            return Literal(None) if found is None else found
        return expression

    def _sensitive(self, item: Predicate) -> bool:
        return any(self._reads(each) for each in fields(item))

    def _pure(self, item: Predicate) -> bool:
        """Say whether all that a condition reads is sensitive, and something is."""
        found = [self._reads(each) for each in fields(item)]
        return bool(found) and all(found)


def _parts(where: Predicate | None) -> Iterator[Predicate]:
    """Yield what must hold together."""
    if isinstance(where, Boolean) and where.op == "and":
        for each in where.operands:
            yield from _parts(each)
    elif isinstance(where, IsTrue):
        yield from (IsTrue(each) for each in _parts(where.operand))
    elif where is not None:
        yield where


def _all(op: str, operands: list[Predicate]) -> Predicate:
    """Join predicates by AND or OR, constants taken out."""
    ends, drops = (_FALSE, _TRUE) if op == "and" else (_TRUE, _FALSE)
    if ends in operands:
        return ends
    kept = tuple(dict.fromkeys(each for each in operands if each != drops))
    if not kept:
        return drops
    return kept[0] if len(kept) == 1 else Boolean(op, kept)


def _negated(item: Predicate) -> Predicate:
    if item in (_TRUE, _FALSE):
        return _FALSE if item == _TRUE else _TRUE
    return Not(item)


def _choice(value: object) -> Case | None:
    """Return a CASE inside an expression."""
    found: list[Case] = []

    def look(node: object) -> None:
        if isinstance(node, Case) and not found:
            found.append(node)

    mapped(value, look)
    return found[0] if found else None


def _opened(item: Predicate, choice: Case) -> Predicate:
    """Return a condition over a CASE as one over each of its branches."""
    earlier: list[Predicate] = []
    ways: list[Predicate] = []
    for condition, value in choice.branches:
        ways.append(Boolean("and", (*earlier, IsTrue(condition), _with(item, choice, value))))
        earlier.append(Not(IsTrue(condition)))
    ways.append(Boolean("and", (*earlier, _with(item, choice, choice.default))))
    return Boolean("or", tuple(ways))


def _with(item: Predicate, choice: Case, value: RowExpression) -> Predicate:
    return mapped(item, lambda node: value if node == choice else None)


def _folded(item: Predicate) -> Predicate:
    """Return what a comparison of two equal or different constants says; else the condition itself."""
    match item:
        case Compare(op="=" | "<>" as op, left=Literal() as left, right=Literal() as right):
            if left.kind == right.kind and left.value is not None:
                return _TRUE if (left == right) is (op == "=") else _FALSE
        case InList(operand=Literal() as operand, values=values):
            if all(each.kind == operand.kind for each in values) and operand.value is not None:
                return _TRUE if operand in values else _FALSE
        case _:
            pass
    return item
