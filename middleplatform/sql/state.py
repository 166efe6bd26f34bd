"""What binding one statement gathers: relations, release blocks, uses and violations."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlglot import exp

from middleplatform.model.catalog import Catalog, ColumnType, TypeKind, Use
from middleplatform.model.decision import Span
from middleplatform.model.query import (
    Aggregate,
    AggregateKind,
    CellQuery,
    ColumnUse,
    Field,
    Table,
    UnitBlock,
    Violation,
)
from middleplatform.sql.extract import Extractor
from middleplatform.sql.scope import span_of

__all__ = ["State"]

_COUNT_TYPE = ColumnType(TypeKind.INTEGER)


@dataclass
class State:
    """The accumulators of one statement; nothing in it outlives ``qualify``."""

    catalog: Catalog
    relations: dict[str, Table | UnitBlock] = field(default_factory=dict)
    cells: list[CellQuery] = field(default_factory=list)
    uses: list[ColumnUse] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    label_only: list[str] = field(default_factory=list)
    group_columns_max: int = 0
    joins: int = 0

    def __post_init__(self) -> None:
        self.extract = Extractor(lambda alias: self.relations[alias])

    def alias(self) -> str:
        """Return an alias that is new in the statement."""
        return f"t{len(self.relations)}"

    def use(self, uses: Iterable[ColumnUse]) -> None:
        """Take note of column uses."""
        self.uses.extend(uses)

    def violate(
        self,
        rule: str,
        english: str,
        chinese: str,
        node: exp.Expr | None = None,
        hint: tuple[str, str] = ("", ""),
    ) -> None:
        """Take note of a form that no policy permits."""
        span: Span | None = span_of(node) if node is not None else None
        self.violations.append(Violation(rule, (english, chinese), span, hint))

    def type_of(self, target: Field) -> ColumnType | None:
        """Return the type of a field."""
        relation = self.relations[target.relation]
        if isinstance(relation, Table):
            return self.catalog.datasets[relation.dataset].columns[target.name].type
        content = next(column.content for column in relation.columns if column.name == target.name)
        if isinstance(content, Field):
            return self.type_of(content)
        if isinstance(content, Aggregate):
            return (
                _COUNT_TYPE
                if content.kind in (AggregateKind.COUNT, AggregateKind.COUNT_DISTINCT)
                else ColumnType(TypeKind.DECIMAL, 18, 6)
            )
        return None

    def unit_of(self, target: Field) -> str:
        """Return the protected unit that a field names, or an empty string when it is no key."""
        relation = self.relations[target.relation]
        if isinstance(relation, Table):
            column = self.catalog.datasets[relation.dataset].columns[target.name]
            return column.unit if Use.KEY in column.uses else ""
        content = next(column.content for column in relation.columns if column.name == target.name)
        return self.unit_of(content) if isinstance(content, Field) else ""

    def is_key(self, target: Field) -> bool:
        """Say whether a field names a protected unit."""
        return bool(self.unit_of(target))
