"""Rebuilding governed values: every field replaced, every relation under a new alias.

Works on any frozen value of ``model.query``, so that a new node type needs no line here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

from middleplatform.model.query import Field, Relation, Rows, Table, UnitBlock

__all__ = ["mapped", "relations", "with_aliases"]

T = TypeVar("T")


def mapped(value: T, change: Callable[[Any], Any | None]) -> T:
    """Rebuild ``value``; where ``change`` returns something else than None, that takes the node's place."""
    if isinstance(value, tuple):
        return tuple(mapped(item, change) for item in value)  # type: ignore[return-value]  # same shape
    if (
        not is_dataclass(value)
        or isinstance(value, type)
        or not type(value).__module__.endswith("model.query")
    ):
        return value
    changed = change(value)
    if changed is not None:
        return changed  # type: ignore[no-any-return]  # the caller keeps the kind
    return replace(
        value,
        **{
            item.name: mapped(getattr(value, item.name), change)
            for item in dataclass_fields(value)
            if item.init
        },
    )


def relations(rows: Rows) -> Iterator[Relation]:
    """Yield every relation of ``rows``, those inside unit blocks included, outermost first."""
    for relation in (rows.first, *(join.relation for join in rows.joins)):
        yield relation
        if isinstance(relation, UnitBlock):
            yield from relations(relation.rows)


def with_aliases(value: T, aliases: Mapping[str, str]) -> T:
    """Return ``value`` with its relations, and the fields of them, renamed."""

    def change(node: Any) -> Any | None:  # noqa: ANN401 - any governed value
        if isinstance(node, Field) and node.relation in aliases:
            return replace(node, relation=aliases[node.relation])
        if isinstance(node, Table) and node.alias in aliases:
            return replace(node, alias=aliases[node.alias])
        if isinstance(node, UnitBlock) and node.alias in aliases:
            inner = mapped(replace(node, alias="\0"), change)
            return replace(inner, alias=aliases[node.alias])
        return None

    return mapped(value, change)
