"""From the library's nodes to governed row expressions and predicates, one node type at a time.

Every node type that has a governed meaning is named here. Any other one becomes ``Opaque`` (its columns are reported
as uses that no rule permits) or, when it is no expression at all, refuses the statement.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation

from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.model.query import (
    Arithmetic,
    Band,
    Between,
    Boolean,
    Case,
    Coalesce,
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
    Predicate,
    RowExpression,
)
from middleplatform.sql.affine import affine, constant, solve
from middleplatform.sql.scope import span_of
from middleplatform.sql.subset import PARTIAL, PATTERNS, is_aggregate

__all__ = ["Converter", "outside"]

_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_COMPARISON: dict[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip
_MIRROR = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_DIGITS_MAX = 36
_NUMBER_TYPES = {"DECIMAL", "DOUBLE", "FLOAT", "BIGINT", "INT", "SMALLINT"}
_WIDER_TYPES = {
    TypeKind.INTEGER: {"INT", "BIGINT", "DECIMAL", "DOUBLE", "FLOAT"},
    TypeKind.DECIMAL: {"DECIMAL", "DOUBLE", "FLOAT"},
    TypeKind.TEXT: {"TEXT", "VARCHAR"},
    TypeKind.DATE: {"DATE"},
    TypeKind.BOOLEAN: {"BOOLEAN"},
}


def outside(node: exp.Expr, rule: str = "R0") -> QueryError:
    """Return the error that says that ``node``'s form is outside the accepted SQL."""
    name = type(node).__name__.upper()
    return QueryError("Q010", rule=rule, what=(f"the form {name}", f"{name} 这种写法"))


class Converter:
    """Converts expressions over one scope.

    Args:
        resolve: Gives the governed expression that a column means.
        type_of: Gives the type of a field, or None where it has none.
        subquery: Takes note of a subquery that stands in an expression.
        unknown_function: Takes note of a function that is not on the allow-list.
    """

    def __init__(
        self,
        resolve: Callable[[exp.Column], RowExpression],
        type_of: Callable[[Field], ColumnType | None],
        subquery: Callable[[exp.Expr], None],
        unknown_function: Callable[[exp.Expr], None],
    ) -> None:
        self._resolve = resolve
        self._type_of = type_of
        self._subquery = subquery
        self._unknown_function = unknown_function

    # --- expressions ---

    def row(self, node: exp.Expr) -> RowExpression:  # noqa: PLR0911 - one a node type
        """Return the governed row expression that ``node`` is."""
        match node:
            case exp.Column():
                return self._resolve(node)
            case exp.Paren():
                return self.row(node.this)
            case exp.Literal() | exp.Boolean() | exp.Null() | exp.Neg():
                return self._constant_or_negation(node)
            case exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.Mod():
                return self._arithmetic(node)
            case exp.TimestampTrunc() | exp.DateTrunc() | exp.Extract():
                return self._date(node)
            case exp.Cast():
                return self._cast(node)
            case exp.Coalesce():
                return self._coalesce(node)
            case exp.Case():
                return self._case(node)
            case exp.Query() | exp.Exists() | exp.Any() | exp.All():
                self._subquery(node)
                return Opaque(Context.CORRELATED, "subquery", span=span_of(node))
            case _:
                return self._opaque(node)

    def _constant_or_negation(self, node: exp.Expr) -> RowExpression:
        match node:
            case exp.Boolean():
                return Literal(bool(node.this))
            case exp.Null():
                return Literal(None)
            case exp.Neg():
                return _fold(Arithmetic("*", Literal(-1), self.row(node.this)))
            case _:
                return Literal(
                    _number(str(node.this)) if not node.args.get("is_string") else str(node.this),
                    span_of(node),
                )

    def _arithmetic(self, node: exp.Expr) -> RowExpression:
        band = self._band(node)
        if band is not None:
            return band
        left, right = self.row(node.this), self.row(node.expression)
        if isinstance(node, exp.Mod):
            return Opaque(Context.FUNCTION, "%", (left, right), span_of(node))
        op = _ARITHMETIC[type(node)]
        divisor = constant(right)
        if op == "/" and (
            divisor is None or not isinstance(divisor.value, int | Decimal) or not divisor.value
        ):
            return Opaque(Context.PARTIAL, "/", (left, right), span_of(node))
        folded = _fold(Arithmetic(op, left, right))
        if op == "*" and affine(folded) is None and constant(left) is None and divisor is None:
            return Opaque(Context.PRODUCT, "*", (left, right), span_of(node))
        return folded

    def _band(self, node: exp.Expr) -> Band | None:
        """Recognize ``FLOOR(x / n) * n`` and ``x - x % n`` of an integer (exact division: ``(x / n) * n`` is ``x``)."""
        inner: exp.Expr | None = None
        width: exp.Expr | None = None
        if isinstance(node, exp.Mul):
            quotient, width = node.this.unnest(), node.expression
            inner = (
                quotient.this.unnest()
                if isinstance(quotient, exp.Floor) and not quotient.args.get("decimals")
                else None
            )
            if not isinstance(inner, exp.Div) or inner.expression != width:
                return None
            inner = inner.this
        elif isinstance(node, exp.Sub) and isinstance(node.expression.unnest(), exp.Mod):
            remainder = node.expression.unnest()
            inner, width = remainder.this, remainder.expression
            if inner != node.this:
                return None
        if (
            inner is None
            or not isinstance(width, exp.Literal)
            or not str(width.this).isdigit()
            or int(width.this) < 1
        ):
            return None
        operand = self.row(inner)
        if not isinstance(operand, Field) or self._kind(operand) is not TypeKind.INTEGER:
            return None
        return Band(int(width.this), operand)

    def _date(self, node: exp.Expr) -> RowExpression:
        if node.args.get("zone") is not None:
            raise outside(node)
        extract = isinstance(node, exp.Extract)
        unit_node = node.this if extract else node.args.get("unit")
        operand = self.row(node.expression if extract else node.this)
        unit = str(unit_node.this).lower() if isinstance(unit_node, exp.Var | exp.Literal) else "?"
        return DatePart(unit, operand) if extract else DateBucket(unit, operand)

    def _cast(self, node: exp.Cast) -> RowExpression:
        operand = self.row(node.this)
        target = node.to.this.name if isinstance(node.to.this, exp.DType) else "?"
        if isinstance(operand, Literal):
            return _cast_literal(operand, target, node)
        kind = self._kind(operand)
        bare = not node.to.expressions
        if kind is not None and bare and target in _WIDER_TYPES[kind] and type(node) is exp.Cast:
            return operand
        if kind is TypeKind.DATE and target == "DATE":
            return operand
        return Opaque(Context.PARTIAL, "CAST", (operand,), span_of(node))

    def _coalesce(self, node: exp.Coalesce) -> RowExpression:
        operand = self.row(node.this)
        defaults = [self.row(item) for item in node.expressions]
        if (
            len(defaults) == 1
            and isinstance(operand, Field | Band | DateBucket | DatePart)
            and isinstance(defaults[0], Literal)
        ):
            return Coalesce(operand, self._typed(defaults[0], operand))
        return Opaque(Context.FUNCTION, "COALESCE", (operand, *defaults), span_of(node))

    def _case(self, node: exp.Case) -> RowExpression:
        branches: list[tuple[Predicate, RowExpression]] = []
        for branch in node.args["ifs"]:
            condition = branch.this
            if node.this is not None:
                condition = exp.EQ(this=node.this.copy(), expression=condition.copy())
            branches.append((self.predicate(condition), self.row(branch.args["true"])))
        default = node.args.get("default")
        case = Case(tuple(branches), Literal(None) if default is None else self.row(default))
        values = [value for _, value in case.branches] + [case.default]
        kinds = {kind for value in values if (kind := self._kind(value) or _literal_kind(value))}
        if (
            len(kinds - {TypeKind.INTEGER, TypeKind.DECIMAL})
            + bool(kinds & {TypeKind.INTEGER, TypeKind.DECIMAL})
            > 1
        ):
            # The engine would have to cast, and fail on the rows that take one branch only.
            raise QueryError(
                "Q010", rule="R13", what=("a CASE of several types", "多种类型的 CASE")
            )
        return case

    def _opaque(self, node: exp.Expr) -> RowExpression:
        if isinstance(node, exp.Window) or is_aggregate(node):
            raise QueryError(
                "Q010",
                rule="R7" if isinstance(node, exp.Window) else "R3",
                what=("an aggregate or window here", "此处的聚合或窗口函数"),
            )
        if isinstance(node, exp.Columns | exp.Placeholder | exp.Parameter) or not isinstance(
            node, exp.Func | exp.Binary | exp.Unary | exp.Condition
        ):
            raise outside(node)
        name = _name(node)
        context = Context.PARTIAL if name.lower() in PARTIAL else Context.FUNCTION
        if isinstance(node, PATTERNS):
            context = Context.PATTERN
        elif isinstance(node, exp.Func):
            self._unknown_function(node)
        operands = tuple(
            self._inside(child) for child in node.iter_expressions() if _is_operand(child)
        )
        return Opaque(context, name, operands, span_of(node))

    def _inside(self, node: exp.Expr) -> RowExpression | Predicate:
        """Convert what stands inside an unknown form, so that its columns are reported."""
        if isinstance(node, (*_COMPARISON, exp.And, exp.Or, exp.Not, exp.In, exp.Is, exp.Between)):
            return self.predicate(node)
        return self.row(node)

    # --- predicates ---

    def predicate(self, node: exp.Expr) -> Predicate:  # noqa: PLR0911 - one a node type
        """Return the governed predicate that ``node`` is."""
        match node:
            case exp.Paren():
                return self.predicate(node.this)
            case exp.And() | exp.Or():
                return Boolean(
                    "and" if isinstance(node, exp.And) else "or",
                    tuple(self.predicate(part) for part in node.flatten()),
                )
            case exp.Not():
                return Not(self.predicate(node.this))
            case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
                return self._compare(node)
            case exp.Between():
                return self._between(node)
            case exp.In():
                return self._in(node)
            case exp.Is():
                return self._is(node)
            case exp.Case():
                case = self.row(node)
                assert isinstance(case, Case)
                inside = tuple(part for branch in case.branches for part in branch)
                return Opaque(Context.FUNCTION, "CASE", (*inside, case.default), span_of(node))
            case _:
                return self._bare(node)

    def _bare(self, node: exp.Expr) -> Predicate:
        value = self.row(node)
        if isinstance(value, Opaque | Field) or (
            isinstance(value, Literal) and isinstance(value.value, bool)
        ):
            return value
        raise outside(node)

    def _compare(self, node: exp.Expr) -> Predicate:
        left, right = self.row(node.this), self.row(node.expression)
        op = _COMPARISON[type(node)]
        if isinstance(right, Literal):
            return _moved(op, left, self._typed(right, left))
        if isinstance(left, Literal):
            return _moved(_MIRROR[op], right, self._typed(left, right))
        return Compare(op, left, right)

    def _between(self, node: exp.Between) -> Predicate:
        if node.args.get("symmetric"):
            raise outside(node)
        operand, low, high = (
            self.row(node.this),
            self.row(node.args["low"]),
            self.row(node.args["high"]),
        )
        if isinstance(low, Literal) and isinstance(high, Literal):
            low, high = self._typed(low, operand), self._typed(high, operand)
            if isinstance(operand, Arithmetic):
                return Boolean("and", (_moved(">=", operand, low), _moved("<=", operand, high)))
            return Between(operand, low, high)
        return Boolean("and", (Compare(">=", operand, low), Compare("<=", operand, high)))

    def _in(self, node: exp.In) -> Predicate:
        operand = self.row(node.this)
        if (
            node.args.get("query") is not None
            or node.args.get("unnest") is not None
            or node.args.get("field") is not None
        ):
            query = node.args.get("query")
            if query is None:
                raise outside(node)
            self._subquery(query)
            return Opaque(Context.CORRELATED, "IN (subquery)", (operand,), span_of(node))
        values = [self.row(item) for item in node.expressions]
        literals = [self._typed(value, operand) for value in values if isinstance(value, Literal)]
        if values and len(literals) == len(values):
            if isinstance(operand, Arithmetic):
                parts = tuple(_moved("=", operand, value) for value in literals)
                return parts[0] if len(parts) == 1 else Boolean("or", parts)
            return InList(operand, tuple(literals))
        return Opaque(Context.COLUMN_COMPARE, "IN", (operand, *values), span_of(node))

    def _is(self, node: exp.Is) -> Predicate:
        if isinstance(node.expression, exp.Null):
            missing = IsNull(self.row(node.this))
            return Not(missing) if node.args.get("negate") else missing
        if isinstance(node.expression, exp.Boolean):
            inner = self.predicate(node.this)
            return IsTrue(inner if node.expression.this else Not(inner))
        raise outside(node)

    # --- types ---

    def _kind(self, expression: RowExpression) -> TypeKind | None:
        match expression:
            case Field():
                found = self._type_of(expression)
                return None if found is None else found.kind
            case DateBucket():
                return TypeKind.DATE
            case DatePart() | Band():
                return TypeKind.INTEGER
            case Coalesce(operand=operand):
                return self._kind(operand)
            case Arithmetic():
                return TypeKind.DECIMAL
            case Case(branches=branches, default=default):
                values = [value for _, value in branches] + [default]
                kinds = {
                    self._kind(value) or _literal_kind(value)
                    for value in values
                    if value != Literal(None)
                }
                return kinds.pop() if len(kinds) == 1 else None
            case _:
                return None

    def _typed(self, literal: Literal, beside: RowExpression) -> Literal:
        """Give ``literal`` the type of what it is compared with, so that no department ever has to cast."""
        kind = self._kind(beside)
        if kind is None or literal.value is None:
            return literal
        value = literal.value
        if kind is TypeKind.DATE and isinstance(value, str):
            return Literal(_date_of(value), literal.span)
        if kind in (TypeKind.INTEGER, TypeKind.DECIMAL) and isinstance(value, str):
            return Literal(_number(value), literal.span)
        if _literal_kind(literal) not in _COMPARABLE[kind]:
            raise QueryError(
                "Q010",
                rule="R0",
                what=(
                    f"comparing a {kind} column with this literal",
                    f"将 {kind} 类型的列与该常量比较",
                ),
            )
        return literal


_COMPARABLE = {
    TypeKind.INTEGER: {TypeKind.INTEGER, TypeKind.DECIMAL},
    TypeKind.DECIMAL: {TypeKind.INTEGER, TypeKind.DECIMAL},
    TypeKind.TEXT: {TypeKind.TEXT},
    TypeKind.DATE: {TypeKind.DATE},
    TypeKind.BOOLEAN: {TypeKind.BOOLEAN},
}


def _moved(op: str, side: RowExpression, literal: Literal) -> Predicate:
    """Compare a column rather than arithmetic over it, so that no literal can make a department's engine overflow."""
    solved = solve(side, op, literal.value) if isinstance(side, Arithmetic) else None
    if solved is None:
        return Compare(op, side, literal)
    operand, moved_op, value = solved
    return Compare(moved_op, operand, Literal(value, literal.span))


def _literal_kind(expression: RowExpression) -> TypeKind | None:
    match expression:
        case Literal(value=bool()):
            return TypeKind.BOOLEAN
        case Literal(value=int()):
            return TypeKind.INTEGER
        case Literal(value=Decimal()):
            return TypeKind.DECIMAL
        case Literal(value=date()):
            return TypeKind.DATE
        case Literal(value=str()):
            return TypeKind.TEXT
        case _:
            return None


def _fold(expression: Arithmetic) -> RowExpression:
    form = affine(expression)
    if form is not None and not form.terms:
        folded = constant(expression)
        assert folded is not None
        return folded
    return expression


def _number(text: str) -> int | Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise QueryError("Q010", rule="R0", what=("this number", "该数字")) from None
    if (
        not value.is_finite()
        or len(value.as_tuple().digits) > _DIGITS_MAX
        or abs(value.adjusted()) > _DIGITS_MAX
    ):
        raise QueryError("Q010", rule="R0", what=("a number of this size", "该数量级的数字"))
    return (
        int(value)
        if value == value.to_integral_value() and "." not in text and "e" not in text.lower()
        else value
    )


def _date_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise QueryError(
            "Q010",
            rule="R0",
            what=("a date literal that is not YYYY-MM-DD", "非 YYYY-MM-DD 的日期常量"),
        ) from None


def _cast_literal(literal: Literal, target: str, node: exp.Cast) -> Literal:
    value = literal.value
    if target in ("DATE", "TIMESTAMP") and isinstance(value, str):
        return Literal(_date_of(value), literal.span)
    if (
        target in _NUMBER_TYPES
        and isinstance(value, str | int | Decimal)
        and not isinstance(value, bool)
    ):
        return Literal(_number(str(value)), literal.span)
    if target in ("TEXT", "VARCHAR") and isinstance(value, str):
        return literal
    raise outside(node)


def _name(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return str(node.this)
    return node.sql_name() if isinstance(node, exp.Func) else type(node).__name__.upper()


def _is_operand(node: exp.Expr) -> bool:
    return not isinstance(node, exp.DataType | exp.Var | exp.Identifier | exp.Interval)
