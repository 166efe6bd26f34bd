"""The governed query as frozen values: what stands below the release boundary, and the facts about it.

Everything a department may ever be asked is a ``CellQuery``: group rows of its own tables by a few dimensions and
aggregate them. A form that has no node here cannot be asked, so an unknown construct is refused by construction.
What stands above the boundary (HAVING, ORDER BY, windows over groups, ratios ...) is ordinary SQL over released
cells and is kept as a tree of the SQL library.

``span`` fields say where a node came from and do not take part in comparisons.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from middleplatform.model.decision import Span

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = [
    "Affine", "Aggregate", "AggregateKind", "Arithmetic", "Band", "Between", "Boolean", "Case", "CellQuery",
    "Clause", "Coalesce", "ColumnUse", "Compare", "Context", "DateBucket", "DatePart", "Dimension", "Field", "InList",
    "IsNull", "IsTrue", "Join", "JoinKind", "Literal", "Not", "Opaque", "ParsedQuery", "Piece", "Predicate",
    "QualifiedQuery",
    "QueryFacts", "Relation", "RowExpression", "Rows", "Table", "Term", "UnitBlock", "UnitColumn", "Value", "Violation",
]  # fmt: skip

Value: TypeAlias = int | Decimal | str | bool | date | None


# --- expressions over one row -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a relation in scope: a catalogue column, or a column of a unit block."""

    relation: str
    name: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant of the statement; ``kind`` keeps TRUE and 1 apart, which Python holds for equal."""

    value: Value
    span: Span | None = field(default=None, compare=False)
    kind: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", type(self.value).__name__)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``left op right`` with op of ``+ - *``; total on exact numbers."""

    op: str
    left: "RowExpression"
    right: "RowExpression"


@dataclass(frozen=True, slots=True)
class DateBucket:
    """First day of the ``month``, ``quarter`` or ``year`` that a date lies in."""

    unit: str
    operand: "RowExpression"


@dataclass(frozen=True, slots=True)
class DatePart:
    """The ``month``, ``quarter`` or ``year`` number of a date."""

    unit: str
    operand: "RowExpression"


@dataclass(frozen=True, slots=True)
class Band:
    """Lower end of the band of ``width`` whole units that an integer lies in (a generalisation)."""

    width: int
    operand: "RowExpression"


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The operand, or a constant where it is missing."""

    operand: "RowExpression"
    default: Literal


@dataclass(frozen=True, slots=True)
class Case:
    """The value of the first condition that holds, else the default."""

    branches: tuple[tuple["Predicate", "RowExpression"], ...]
    default: "RowExpression"


@dataclass(frozen=True, slots=True)
class Opaque:
    """What has no governed meaning: its uses are ones that no rule permits, so it never runs.

    Attributes:
        context: How it uses its operands.
        what: Function or operator, for the message.
        operands: What stands inside.
    """

    context: "Context"
    what: str
    operands: tuple["RowExpression | Predicate", ...] = ()
    span: Span | None = field(default=None, compare=False)


RowExpression: TypeAlias = (
    Field | Literal | Arithmetic | DateBucket | DatePart | Band | Coalesce | Case | Opaque
)


# --- predicates over one row --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compare:
    """``left op right`` with op of ``= <> < <= > >=``."""

    op: str
    left: RowExpression
    right: RowExpression


@dataclass(frozen=True, slots=True)
class Between:
    """``low <= operand <= high``."""

    operand: RowExpression
    low: Literal
    high: Literal


@dataclass(frozen=True, slots=True)
class InList:
    """The operand equals one of the values."""

    operand: RowExpression
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """The operand is missing."""

    operand: RowExpression


@dataclass(frozen=True, slots=True)
class Not:
    """Negation in three-valued logic."""

    operand: "Predicate"


@dataclass(frozen=True, slots=True)
class IsTrue:
    """The operand is true: neither false nor unknown."""

    operand: "Predicate"


@dataclass(frozen=True, slots=True)
class Boolean:
    """``AND`` or ``OR`` of at least two predicates; ``op`` is ``"and"`` or ``"or"``."""

    op: str
    operands: tuple["Predicate", ...]


Predicate: TypeAlias = (
    Compare | Between | InList | IsNull | IsTrue | Not | Boolean | Opaque | Literal | Field
)


# --- aggregates ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """``coefficient * field`` in an affine form."""

    coefficient: Fraction
    operand: Field | Coalesce


@dataclass(frozen=True, slots=True)
class Affine:
    """``sum of terms + constant`` over measures of one row, exact (rule R3)."""

    terms: tuple[Term, ...]
    constant: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Piece:
    """An affine form that counts where ``condition`` holds (always, when it is None)."""

    condition: Predicate | None
    value: Affine


class AggregateKind(StrEnum):
    """The aggregates that additive protocols can answer."""

    COUNT = "count"
    COUNT_DISTINCT = "count_distinct"
    SUM = "sum"
    AVG = "avg"
    VAR_SAMP = "var_samp"
    VAR_POP = "var_pop"
    STDDEV_SAMP = "stddev_samp"
    STDDEV_POP = "stddev_pop"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate of a cell.

    Attributes:
        kind: Which.
        pieces: The argument: pieces exclude each other, in order; a row that no piece takes is missing (as SQL's
            NULL). COUNT(*) has one unconditional piece with constant 1. Empty for COUNT(DISTINCT).
        key: The key that COUNT(DISTINCT) counts.
        condition: FILTER condition on the rows, or None.
    """

    kind: AggregateKind
    pieces: tuple[Piece, ...] = ()
    key: Field | None = None
    condition: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """A grouping expression and its label column name in the cells (``d0`` ...)."""

    name: str
    expression: RowExpression


# --- relations below the boundary ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
    """A catalogue dataset under an alias that is unique in the statement."""

    alias: str
    dataset: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class UnitColumn:
    """A column of a unit block: its name and what it is: a key, a dimension or a per-unit aggregate."""

    name: str
    content: RowExpression | Aggregate


@dataclass(frozen=True, slots=True)
class UnitBlock:
    """Rows pre-aggregated by a key: one row a unit (and own dimensions) (rule R2).

    Attributes:
        alias: Unique in the statement.
        rows: What is grouped.
        keys: Grouping expressions; at least one is a key field.
        columns: What it offers to the block around it.
        having: Predicate over ``Field(alias, name)`` of its own columns, or None.
    """

    alias: str
    rows: "Rows"
    keys: tuple[RowExpression, ...]
    columns: tuple[UnitColumn, ...]
    having: Predicate | None = None


Relation: TypeAlias = Table | UnitBlock


class JoinKind(StrEnum):
    """Joins below the boundary (rule R10); ANTI is a left join whose right key is missing."""

    INNER = "inner"
    LEFT = "left"
    ANTI = "anti"


@dataclass(frozen=True, slots=True)
class Join:
    """Joins ``relation`` to what stands before it.

    Attributes:
        kind: How.
        relation: The right side.
        on: Pairs (left field, right field) that must be equal.
        condition: Further predicate on the right side's fields only, or None.
    """

    kind: JoinKind
    relation: Relation
    on: tuple[tuple[Field, Field], ...]
    condition: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Joined relations and a filter."""

    first: Relation
    joins: tuple[Join, ...] = ()
    where: Predicate | None = None


@dataclass(frozen=True, slots=True)
class CellQuery:
    """One release block: the aggregation that is released cell by cell.

    Attributes:
        name: Cells' name above the boundary (``cells_0`` ...).
        rows: What is aggregated.
        dimensions: Grouping expressions; empty for one ungrouped cell.
        aggregates: In order; columns ``a0`` ...
    """

    name: str
    rows: Rows
    dimensions: tuple[Dimension, ...]
    aggregates: tuple[Aggregate, ...]


# --- facts --------------------------------------------------------------------------------------------------------


class Context(StrEnum):
    """How a column is used; authorization permits by class and context, and nothing else."""

    OUTPUT = "output"
    GROUP = "group"
    GROUP_BUCKET = "group_bucket"
    GROUP_BAND = "group_band"
    UNIT_GROUP = "unit_group"
    COMPARE = "compare"
    COMPARE_BUCKET = "compare_bucket"
    COMPARE_BAND = "compare_band"
    COLUMN_COMPARE = "column_compare"
    NULL_TEST = "null_test"
    JOIN_KEY = "join_key"
    JOIN_OTHER = "join_other"
    COUNT = "count"
    COUNT_DISTINCT = "count_distinct"
    SUM = "sum"
    PRODUCT = "product"
    AGGREGATE_OTHER = "aggregate_other"
    FUNCTION = "function"
    PARTIAL = "partial"
    PATTERN = "pattern"
    ORDER = "order"
    DISTINCT = "distinct"
    CORRELATED = "correlated"
    PASS = "pass"  # noqa: S105 - a context, no secret
    SMALL_CELLS = "small_cells"
    UNIT_FORM = "unit_form"


class Clause(StrEnum):
    """Where in the statement; misuse inside some clauses is told by their own rule."""

    SELECT = "select"
    WHERE = "where"
    ON = "on"
    GROUP_BY = "group_by"
    HAVING = "having"
    ORDER_BY = "order_by"
    WINDOW = "window"
    SUBQUERY = "subquery"


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """One use of one catalogue column.

    Attributes:
        dataset: ``department.table``.
        column: Its name.
        context: How it is used.
        clause: Where.
        op: Comparison operator, function name or bucket, by context.
        literals: What it is compared with, moved to the column's own side.
        per_unit: The use is of an aggregate per unit, not of the column's own values.
        span: Where in the text.
    """

    dataset: str
    column: str
    context: Context
    clause: Clause
    op: str = ""
    literals: tuple[Value, ...] = ()
    per_unit: bool = False
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Violation:
    """A form that no policy permits, whatever the column."""

    rule: str
    what: tuple[str, str]
    span: Span | None = field(default=None, compare=False)
    hint: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """All that authorization needs to know of a statement.

    Attributes:
        uses: Every column use below the boundary.
        violations: Forms that no policy permits.
        datasets: Names of all datasets, sorted.
        group_columns_max: Largest number of grouping columns of a block.
        joins: Number of joins in all.
    """

    uses: tuple[ColumnUse, ...]
    violations: tuple[Violation, ...]
    datasets: tuple[str, ...]
    group_columns_max: int
    joins: int


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """One SELECT, parsed, within the limits of length and depth.

    Attributes:
        text: As typed.
        tree: Of the SQL library; treat as frozen.
    """

    text: str
    tree: "exp.Expr"


@dataclass(frozen=True, slots=True)
class QualifiedQuery:
    """A statement with every name resolved, cut at the release boundary.

    Attributes:
        parsed: What was typed.
        cells: Release blocks, in order of their names.
        post: Statement over the cells' tables (PostgreSQL tree); treat as frozen.
        facts: What authorization judges.
        outputs: Output column names, in order.
        label_only: Blocks of which nothing but labels was asked.
    """

    parsed: ParsedQuery
    cells: tuple[CellQuery, ...]
    post: "exp.Expr"
    facts: QueryFacts
    outputs: tuple[str, ...]
    label_only: tuple[str, ...] = ()
