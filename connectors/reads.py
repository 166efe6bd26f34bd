"""Which tables and columns a statement reads, told by the parser of the engine that will run it.

Only those are fetched from a source that cannot run the statement itself. A name too many costs
time; a column too few could change what a name means. So a column counts as read when its name
occurs anywhere in the parsed statement, and every column does when the statement has a form that
reads columns without naming them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb

from connectors.spi import ColumnDescription, ConnectorError, ErrorKind, TableDescription, TypeKind

__all__ = ["Reads", "reads"]

Node: TypeAlias = Mapping[str, Any]

_EXPRESSIONS = frozenset(
    {
        "BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT",
        "FUNCTION", "OPERATOR", "SUBQUERY", "TYPE", "WINDOW",
    }
)  # fmt: skip
_RELATIONS = frozenset({"BASE_TABLE", "EMPTY", "JOIN", "SUBQUERY"})
_JOINS = frozenset({"CROSS", "REGULAR"})
_KNOWN_MAX = 512


@dataclass(frozen=True, slots=True)
class Reads:
    """What a statement reads.

    Attributes:
        tables: Paths of names, as the statement has them; its own WITH names are not among them.
        optional: Paths that may also be a WITH name of the statement.
        names: Every text of the statement in small letters, or None when all columns are read.
    """

    tables: frozenset[tuple[str, ...]]
    optional: frozenset[tuple[str, ...]]
    names: frozenset[str] | None

    def columns(self, table: TableDescription) -> tuple[ColumnDescription, ...]:
        """Return the columns of ``table`` that are read, at least one.

        Columns without an exact type are left out: a statement that names one fails.

        Raises:
            ConnectorError: SCHEMA when the engine could not tell two columns apart, or no column
                has an exact type.
        """
        known = [column for column in table.columns if column.kind is not TypeKind.OTHER]
        if len({column.name.casefold() for column in table.columns}) < len(table.columns):
            raise ConnectorError(ErrorKind.SCHEMA, "two columns differ in capital letters only")
        if not known:
            raise ConnectorError(ErrorKind.SCHEMA, "no column has an exact type")
        if self.names is None:
            return tuple(known)
        named = [column for column in known if column.name.casefold() in self.names]
        return tuple(named) or (known[0],)


_KNOWN: dict[str, Reads] = {}


def reads(engine: duckdb.DuckDBPyConnection, sql: str) -> Reads:
    """Parse one SELECT and return what it reads; nothing of it is run.

    Raises:
        ConnectorError: REFUSED when the engine cannot write down what it parsed.
    """
    found = _KNOWN.get(sql)  # what a text is does not hang on the engine
    if found is None:
        found = _parsed(engine, sql)
        if len(_KNOWN) >= _KNOWN_MAX:
            _KNOWN.clear()
        _KNOWN[sql] = found
    return found


def _parsed(engine: duckdb.DuckDBPyConnection, sql: str) -> Reads:
    row = engine.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    parsed = json.loads(row[0]) if row else {"error": True}
    if parsed["error"]:
        raise ConnectorError(ErrorKind.REFUSED, "not one plain SELECT")
    nodes = list(_nodes(parsed["statements"]))
    own = {item["key"] for node in nodes for item in node.get("cte_map", {}).get("map", ())}
    paths = {tuple(_path(node)) for node in nodes if node.get("type") == "BASE_TABLE"}
    optional = frozenset(path for path in paths if len(path) == 1 and path[0] in own)
    relations = {name for node in nodes for name in _relation_names(node)}
    whole = any(_reads_unnamed(node, relations) for node in nodes)
    names = None if whole else frozenset(_texts(parsed["statements"]))
    return Reads(frozenset(paths) - optional, optional, names)


def _path(node: Node) -> list[str]:
    parts = (node["catalog_name"], node["schema_name"], node["table_name"])
    return [part for part in parts if part]


def _relation_names(node: Node) -> Iterator[str]:
    if "sample" in node and "alias" in node:
        yield from (name.casefold() for name in (node["alias"], node.get("table_name", "")) if name)


def _reads_unnamed(node: Node, relations: set[str]) -> bool:
    """Return whether ``node`` may read columns that it does not name."""
    if "class" in node:
        parts = node.get("column_names", ())
        as_row = len(parts) == 1 and str(parts[0]).casefold() in relations
        return as_row or node["class"] not in _EXPRESSIONS
    if "ref_type" in node and node["ref_type"] not in _JOINS:
        return True
    is_relation = "sample" in node and "alias" in node
    return is_relation and (node["type"] not in _RELATIONS or bool(node.get("column_name_alias")))


def _nodes(tree: object) -> Iterator[Node]:
    if isinstance(tree, dict):
        yield tree
        for part in tree.values():
            yield from _nodes(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _nodes(part)


def _texts(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree.casefold()
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from _texts(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _texts(part)
