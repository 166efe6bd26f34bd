"""Facts of governed expressions: which catalogue column is used how, where, and against which literals.

This is what authorization judges, at the gateway and again at every node. Every node type of ``model.query`` is
named; a field reached in no named way is reported as used by a function, which no rule permits.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from middleplatform.model.query import (
    Aggregate,
    AggregateKind,
    Arithmetic,
    Band,
    Between,
    Boolean,
    Case,
    Clause,
    Coalesce,
    ColumnUse,
    Compare,
    Context,
    DateBucket,
    DatePart,
    Field,
    InList,
    IsNull,
    IsTrue,
    Literal,
    Not,
    Opaque,
    Piece,
    Predicate,
    RowExpression,
    Table,
    UnitBlock,
    Value,
)
from middleplatform.sql.affine import constant, solve

__all__ = ["Extractor", "children", "conditional", "fields", "opaques"]


def children(expression: RowExpression | Predicate) -> tuple[RowExpression | Predicate, ...]:
    """Return what stands directly inside ``expression``, in order."""
    match expression:
        case Field() | Literal():
            return ()
        case Arithmetic(left=left, right=right) | Compare(left=left, right=right):
            return (left, right)
        case Case(branches=branches, default=default):
            return (*(part for branch in branches for part in branch), default)
        case Boolean(operands=operands) | Opaque(operands=operands):
            return operands
        case _:
            return (expression.operand,)


def fields(expression: RowExpression | Predicate) -> Iterator[Field]:
    """Yield every field in ``expression``, in order."""
    if isinstance(expression, Field):
        yield expression
    for child in children(expression):
        yield from fields(child)


def opaques(expression: RowExpression | Predicate) -> Iterator[Opaque]:
    """Yield the outermost opaque forms in ``expression``."""
    if isinstance(expression, Opaque):
        yield expression
        return
    for child in children(expression):
        yield from opaques(child)


def conditional(content: RowExpression | Aggregate) -> bool:
    """Say whether a per-unit aggregate reads only some of a unit's rows."""
    if not isinstance(content, Aggregate):
        return False
    pieces = content.pieces
    return (
        content.condition is not None or len(pieces) > 1 or any(_selects(piece) for piece in pieces)
    )


def _selects(piece: Piece) -> bool:
    present = isinstance(piece.condition, Not) and isinstance(piece.condition.operand, IsNull)
    return piece.condition is not None and not present


def _plain(content: Aggregate, context: Context) -> bool:
    """Say whether a per-unit aggregate may be summed or compared again.

    One piece alone may be other than zero, and no constant may stand beside a measure: they would hide from the
    outer block's evidence how few units, or how dominant ones, a value rests on. Compared, any arithmetic would
    move the breakpoints.
    """
    counted = [piece for piece in content.pieces if piece.value.terms or piece.value.constant]
    if content.key is not None or content.kind is AggregateKind.COUNT:
        return True
    if len(counted) != 1:
        return False
    (form,) = (piece.value for piece in counted)
    if form.terms and form.constant:
        return False
    if context is Context.SUM:
        return True
    numbers = [term.coefficient for term in form.terms] or [form.constant]
    return numbers == [1]


@dataclass(frozen=True)
class Extractor:
    """Extracts column uses; ``relation_of`` gives the relation that an alias names."""

    relation_of: Callable[[str], Table | UnitBlock]

    def field(
        self,
        field: Field,
        context: Context,
        clause: Clause,
        op: str = "",
        literals: tuple[Value, ...] = (),
    ) -> Iterator[ColumnUse]:
        """Yield the use of ``field``; of a unit block's column, the uses of what it is made of."""
        relation = self.relation_of(field.relation)
        if isinstance(relation, Table):
            yield ColumnUse(
                relation.dataset, field.name, context, clause, op, literals, span=field.span
            )
            return
        content = next(column.content for column in relation.columns if column.name == field.name)
        first = relation.rows.first
        dataset = first.dataset if isinstance(first, Table) else ""
        for use in self._content(content, context, clause, op, literals):
            if not use.dataset:
                use = replace(use, dataset=dataset)  # noqa: PLW2901 - the same use, placed
            yield replace(use, span=field.span or use.span)

    def _content(
        self,
        content: RowExpression | Aggregate,
        context: Context,
        clause: Clause,
        op: str,
        literals: tuple[Value, ...],
    ) -> Iterator[ColumnUse]:
        if not isinstance(content, Aggregate):
            yield from self._passed_on(content, context, clause, op, literals)
            return
        if context in (Context.SUM, Context.COMPARE) and not _plain(content, context):
            context = Context.UNIT_FORM
        found = [term.operand for piece in content.pieces for term in piece.value.terms]
        inside = [inner for operand in found for inner in fields(operand)]
        if not inside:
            # A count per unit: not the value of any column, but it has its own breakpoints.
            inside = [content.key] if content.key is not None else []
        for inner in inside:
            for use in self.field(inner, context, clause, op, literals):
                yield replace(use, per_unit=True)
        if not found and content.key is None:
            yield ColumnUse("", "*", context, clause, op, literals, per_unit=True)

    def _passed_on(
        self,
        content: RowExpression,
        context: Context,
        clause: Clause,
        op: str,
        literals: tuple[Value, ...],
    ) -> Iterator[ColumnUse]:
        """Yield the use of a grouping expression that a unit block passes on."""
        if isinstance(content, Field):
            yield from self.field(content, context, clause, op, literals)
        elif context is Context.GROUP:
            yield from self.group(content, clause)
        elif context is Context.COMPARE and literals:
            yield from self._against(op, content, literals[0], clause)
        else:
            yield from self.all(content, context, clause, op)

    def all(
        self, expression: RowExpression | Predicate, context: Context, clause: Clause, op: str = ""
    ) -> Iterator[ColumnUse]:
        """Yield the same use of every field in ``expression``."""
        for field in fields(expression):
            yield from self.field(field, context, clause, op)

    # --- predicates ---

    def predicate(  # noqa: C901, PLR0912 - one branch a node type
        self, predicate: Predicate, clause: Clause
    ) -> Iterator[ColumnUse]:
        """Yield the uses in ``predicate``."""
        match predicate:
            case Boolean(operands=operands):
                for operand in operands:
                    yield from self.predicate(operand, clause)
            case Not(operand=inner) | IsTrue(operand=inner):
                yield from self.predicate(inner, clause)
            case Compare(op=op, left=left, right=right):
                yield from self._compare(op, left, right, clause)
            case Between(operand=operand, low=low, high=high):
                yield from self._compare(">=", operand, low, clause)
                yield from self._compare("<=", operand, high, clause)
            case InList(operand=operand, values=values):
                for value in values:
                    yield from self._compare("=", operand, value, clause)
            case IsNull(operand=operand):
                yield from self._null_test(operand, clause)
            case Field():
                yield from self.field(predicate, Context.COMPARE, clause, "=", (True,))
            case Opaque():
                yield from self.opaque(predicate, clause)
            case Literal():
                return

    def _null_test(self, operand: RowExpression, clause: Clause) -> Iterator[ColumnUse]:
        if isinstance(operand, Opaque):
            yield from self.opaque(operand, clause)
            return
        context = Context.NULL_TEST if isinstance(operand, Field | Coalesce) else Context.FUNCTION
        yield from self.all(operand, context, clause, "IS NULL")

    def _compare(
        self, op: str, left: RowExpression, right: RowExpression, clause: Clause
    ) -> Iterator[ColumnUse]:
        mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
        if (value := constant(right)) is not None:
            yield from self._against(op, left, value.value, clause)
        elif (value := constant(left)) is not None:
            yield from self._against(mirrored, right, value.value, clause)
        else:
            for side in (left, right):
                if isinstance(side, Opaque):
                    yield from self.opaque(side, clause)
                else:
                    yield from self.all(side, Context.COLUMN_COMPARE, clause, op)

    def _against(
        self, op: str, side: RowExpression, value: Value, clause: Clause
    ) -> Iterator[ColumnUse]:
        match side:
            case Opaque():
                yield from self.opaque(side, clause)
            case Field():
                yield from self.field(side, Context.COMPARE, clause, op, (value,))
            case Coalesce(operand=Field() as inner, default=default):
                yield from self.field(inner, Context.COMPARE, clause, op, (value,))
                assert isinstance(default, Literal)
            case (
                DateBucket(unit=unit, operand=Field() as inner)
                | DatePart(unit=unit, operand=Field() as inner)
            ):
                yield from self.field(inner, Context.COMPARE_BUCKET, clause, unit, (value,))
            case Band(operand=Field() as inner):
                yield from self.field(inner, Context.COMPARE_BAND, clause, op, (value,))
            case Case():
                yield from self._case(side, Context.COMPARE, clause, op)
            case Literal():
                return
            case _:
                yield from self._against_affine(op, side, value, clause)

    def _against_affine(
        self, op: str, side: RowExpression, value: Value, clause: Clause
    ) -> Iterator[ColumnUse]:
        solved = solve(side, op, value)
        opaque = list(opaques(side))
        if opaque:
            for inner in opaque:
                yield from self.opaque(inner, clause)
        elif solved is None:
            yield from self.all(side, Context.COLUMN_COMPARE, clause, op)
        else:
            operand, op, moved = solved
            yield from self.field(next(fields(operand)), Context.COMPARE, clause, op, (moved,))

    def _case(
        self, case: Case, context: Context, clause: Clause, op: str = ""
    ) -> Iterator[ColumnUse]:
        for condition, value in case.branches:
            yield from self.predicate(condition, clause)
            yield from self._case_value(value, context, clause, op)
        yield from self._case_value(case.default, context, clause, op)

    def _case_value(
        self, value: RowExpression, context: Context, clause: Clause, op: str
    ) -> Iterator[ColumnUse]:
        match value:
            case Opaque():
                yield from self.opaque(value, clause)
            case Case():
                yield from self._case(value, context, clause, op)
            case _ if context is Context.GROUP:
                yield from self.group(value, clause)
            case _:
                yield from self.all(value, Context.COLUMN_COMPARE, clause, op)

    def opaque(self, opaque: Opaque, clause: Clause) -> Iterator[ColumnUse]:
        """Yield the uses inside a form that has no governed meaning."""
        for operand in opaque.operands:
            for inner in opaques(operand):
                yield from self.opaque(inner, clause)
            yield from self.all(operand, opaque.context, clause, opaque.what)

    # --- grouping and aggregates ---

    def group(
        self, expression: RowExpression, clause: Clause = Clause.GROUP_BY
    ) -> Iterator[ColumnUse]:
        """Yield the uses of a grouping expression."""
        match expression:
            case (
                DateBucket(unit=unit, operand=Field() as inner)
                | DatePart(unit=unit, operand=Field() as inner)
            ):
                yield from self.field(inner, Context.GROUP_BUCKET, clause, unit)
            case Band(width=width, operand=Field() as inner):
                yield from self.field(inner, Context.GROUP_BAND, clause, str(width))
            case Case():
                yield from self._case(expression, Context.GROUP, clause)
            case Opaque():
                yield from self.opaque(expression, clause)
            case Literal():
                return
            case Coalesce(operand=inner):
                yield from self.group(inner, clause)
            case Arithmetic(left=left, right=right):
                yield from self.group(left, clause)
                yield from self.group(right, clause)
            case _:
                yield from self.all(expression, Context.GROUP, clause)

    def aggregate(self, aggregate: Aggregate, clause: Clause) -> Iterator[ColumnUse]:
        """Yield the uses of an aggregate's argument and conditions."""
        if aggregate.condition is not None:
            yield from self.predicate(aggregate.condition, clause)
        if aggregate.key is not None:
            yield from self.field(aggregate.key, Context.COUNT_DISTINCT, clause)
        context = Context.COUNT if aggregate.kind is AggregateKind.COUNT else Context.SUM
        for piece in aggregate.pieces:
            if piece.condition is not None:
                yield from self.predicate(piece.condition, clause)
            for term in piece.value.terms:
                yield from self.all(term.operand, context, clause, str(aggregate.kind))

    def passed(self, columns: Iterable[RowExpression], clause: Clause) -> Iterator[ColumnUse]:
        """Yield the uses of row expressions that a subquery only passes on."""
        for expression in columns:
            yield from self.all(expression, Context.PASS, clause)
