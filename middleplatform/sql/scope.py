"""Names in scope: what the FROM of one SELECT offers, and which relation each thing is.

A relation is of one of three kinds, and the kind decides what may be done with it:

* rows: a department's rows, joined and filtered; they may only be aggregated;
* units: rows pre-aggregated by a key, one a unit; they too may only be aggregated;
* released: cells above the release boundary; ordinary SQL applies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.decision import Span
from middleplatform.model.query import RowExpression, Rows

__all__ = ["Item", "Released", "RowSource", "Scope", "identifier", "span_of"]


@dataclass(frozen=True)
class RowSource:
    """Rows below the boundary: their source and the columns they offer."""

    rows: Rows
    columns: Mapping[str, RowExpression]


@dataclass(frozen=True)
class Released:
    """A statement over released cells: its tree and its output names."""

    tree: exp.Query
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """One FROM item: its visible name, its dataset name if it is a bare table, and what it offers."""

    name: str
    dataset: str
    columns: Mapping[str, RowExpression | None]
    released: bool


@dataclass
class Scope:
    """The items of one FROM, in order; ``merged`` are the columns that USING made one of."""

    items: list[Item] = field(default_factory=list)
    outer: "Scope | None" = None
    merged: set[str] = field(default_factory=set)

    def add(self, item: Item) -> None:
        """Add an item; two of one name are refused as PostgreSQL does."""
        if any(other.name == item.name for other in self.items):
            raise QueryError(
                "Q010",
                rule="R0",
                what=(f"the name {item.name} twice in FROM", f"FROM 中重复的名称 {item.name}"),
            )
        self.items.append(item)

    def find(self, column: exp.Column) -> tuple[Item, str] | None:
        """Return the item and column name that ``column`` means in this scope, or None if it means nothing here.

        Raises:
            QueryError: Q022 when it could mean two.
        """
        name = identifier(column.this)
        table = identifier(column.args["table"]) if column.args.get("table") else ""
        schema = identifier(column.args["db"]) if column.args.get("db") else ""
        found = [item for item in self.items if _answers(item, name, table, schema)]
        if len(found) > 1 and not table and name in self.merged:
            # JOIN ... USING makes one column of the two; a left join keeps the left one.
            return found[0], name
        if len(found) > 1:
            raise QueryError("Q022", rule="R0", name=name)
        return (found[0], name) if found else None

    def is_relation(self, name: str) -> bool:
        """Say whether ``name`` names a FROM item: as an expression it would be a whole row."""
        return any(item.name == name for item in self.items)


def _answers(item: Item, name: str, table: str, schema: str) -> bool:
    if schema:
        return item.dataset == f"{schema}.{table}" and name in item.columns
    if table and item.name != table:
        return False
    return name in item.columns


def identifier(node: exp.Expr | str | None) -> str:
    """Return the name that an identifier means: folded to lower case unless quoted, as PostgreSQL does."""
    if not isinstance(node, exp.Identifier):
        raise QueryError("Q010", rule="R0", what=("a name of this form", "这种形式的名称"))
    text = str(node.this)
    if text.startswith("__"):
        raise QueryError("Q010", rule="R0", what=("a name that begins with __", "以 __ 开头的名称"))
    return text if node.args.get("quoted") else text.lower()


def span_of(node: exp.Expr) -> Span | None:
    """Return the place of ``node`` in the statement: of its first and last identifier, or None."""
    places = [
        child.meta
        for child in node.find_all(exp.Identifier, exp.Literal, exp.Func)
        if "start" in child.meta
    ]
    if not places:
        return None
    first = min(places, key=lambda meta: int(meta["start"]))
    last = max(int(meta["end"]) for meta in places)
    start = int(first["start"])
    line_column = int(first["col"]) - (int(first["end"]) - start)
    return Span(start=start, end=last + 1, line=int(first["line"]), column=max(line_column, 1))
