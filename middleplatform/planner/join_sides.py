"""Which relations of a release block lie together, on which key they are joined, and what tells their rows apart.

Relations of one holder set form one side; what joins the sides is one class of equal keys. A table's rows are told
apart by ``Dataset.rows_by``, those of a unit block by its keys.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from middleplatform.model.catalog import Catalog
from middleplatform.model.query import (
    Boolean,
    CellQuery,
    Compare,
    Field,
    InList,
    Join,
    JoinKind,
    Literal,
    Predicate,
    Relation,
    RowExpression,
    Rows,
    Table,
)
from middleplatform.planner.column_types import relations_in
from middleplatform.planner.join_refusals import refused
from middleplatform.sql.extract import fields

__all__ = ["Group", "conjuncts", "datasets_in", "determined", "groups", "together"]

Pair = tuple[Field, Field]
_NO_FIELD = Field("", "")


@dataclass
class Group:
    """Relations of one holder set, before their own filters are added.

    Attributes:
        departments: The holder set, sorted.
        kind: How they are joined to the others.
        relations: In order of joining; those of an anti join inside the department come last.
        joins: Of all but the first.
        key: The field that equals those of the other groups.
        where: Own conjuncts.
    """

    departments: tuple[str, ...]
    kind: JoinKind = JoinKind.INNER
    relations: list[Relation] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    key: Field = _NO_FIELD
    where: list[Predicate] = field(default_factory=list)

    @property
    def aliases(self) -> frozenset[str]:
        """Return the names of the relations."""
        return frozenset(relation.alias for relation in self.relations)

    def rows(self) -> Rows:
        """Return them joined and filtered."""
        return Rows(self.relations[0], tuple(self.joins), together(self.where))


def together(parts: Iterable[Predicate]) -> Predicate | None:
    """Return the conjunction of predicates, or None for none."""
    found = tuple(parts)
    if not found:
        return None
    return found[0] if len(found) == 1 else Boolean("and", found)


def conjuncts(condition: Predicate | None) -> tuple[Predicate, ...]:
    """Return the parts of a conjunction, nested ones included."""
    if condition is None:
        return ()
    if isinstance(condition, Boolean) and condition.op == "and":
        return tuple(part for each in condition.operands for part in conjuncts(each))
    return (condition,)


def datasets_in(rows: Rows) -> tuple[str, ...]:
    """Return the datasets of ``rows``, those inside unit blocks included, sorted."""
    tables = {each.dataset for _, each in relations_in(rows) if isinstance(each, Table)}
    return tuple(sorted(tables))


# --- who holds what -----------------------------------------------------------------------------------------------


def groups(cell: CellQuery, catalog: Catalog) -> tuple[list[Group], frozenset[Field]]:
    """Return the relations of a block by holder set, in the order of joining, and the class of equal keys.

    Raises:
        QueryError: Q031 for a form that cannot be taken apart.
    """
    held = {
        relation.alias: _holders(relation, catalog)
        for relation in (cell.rows.first, *(join.relation for join in cell.rows.joins))
    }
    _check_onward(cell.rows)
    found = _collected(cell.rows, held)
    _check_overlap(found)
    equal = _key_class(cell.rows.joins, held)
    for group in found:
        _connect(group, cell.rows, equal)
    return found, equal


def _holders(relation: Relation, catalog: Catalog) -> tuple[str, ...]:
    if isinstance(relation, Table):
        return tuple(sorted(catalog.datasets[relation.dataset].held_by))
    inside = {tuple(sorted(catalog.datasets[name].held_by)) for name in datasets_in(relation.rows)}
    if len(inside) != 1:
        raise refused("nested")
    return inside.pop()


def _check_onward(rows: Rows) -> None:
    """What an outer join adds may be missing, so nothing is joined to it."""
    outer = {join.relation.alias for join in rows.joins if join.kind is not JoinKind.INNER}
    if any(left.relation in outer for join in rows.joins for left, _ in join.on):
        raise refused("onward")


def _collected(rows: Rows, held: dict[str, tuple[str, ...]]) -> list[Group]:
    steps = [(JoinKind.INNER, rows.first), *((join.kind, join.relation) for join in rows.joins)]
    found: dict[tuple[str, ...], Group] = {}
    kinds: dict[tuple[str, ...], list[JoinKind]] = {}
    for kind, relation in steps:
        holder = held[relation.alias]
        group = found.setdefault(holder, Group(holder))
        kinds.setdefault(holder, []).append(kind)
        group.relations.append(relation)
    for holder, own in kinds.items():
        if JoinKind.INNER not in own:
            if len(own) > 1:
                raise refused("outer twice")
            found[holder].kind = own[0]
        elif JoinKind.LEFT in own:
            raise refused("outer twice")
    return list(found.values())


def _check_overlap(found: list[Group]) -> None:
    departments = [name for group in found for name in group.departments]
    if len(set(departments)) != len(departments):
        raise refused("overlap")


# --- the key ------------------------------------------------------------------------------------------------------


class _Classes:
    """Fields that are equal to each other."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._parent: dict[Field, Field] = {}
        for left, right in pairs:
            self._parent[self.root(left)] = self.root(right)

    def root(self, item: Field) -> Field:
        while (above := self._parent.setdefault(item, item)) != item:
            item = above
        return item

    def of(self, item: Field) -> frozenset[Field]:
        known = list(self._parent)
        return frozenset(each for each in known if self.root(each) == self.root(item))


def _key_class(joins: tuple[Join, ...], held: dict[str, tuple[str, ...]]) -> frozenset[Field]:
    """Return the fields that are the key of the join across departments."""
    across = [
        pair
        for join in joins
        for pair in join.on
        if held[pair[0].relation] != held[pair[1].relation]
    ]
    inner = [pair for join in joins if join.kind is JoinKind.INNER for pair in join.on]
    classes = _Classes([*inner, *across])
    roots = {classes.root(item) for pair in across for item in pair}
    if len(roots) != 1:
        raise refused("one key")
    return classes.of(roots.pop())


def _connect(group: Group, rows: Rows, equal: frozenset[Field]) -> None:
    """Give a group its key, its joins, and the condition of an outer join."""
    by_alias = {join.relation.alias: join for join in rows.joins}
    if group.kind is not JoinKind.INNER:
        (relation,) = group.relations
        join = by_alias[relation.alias]
        if len(join.on) != 1:
            raise refused("one key")
        group.key = join.on[0][1]
        group.where = list(conjuncts(join.condition))
        return
    anti = [
        each
        for each in group.relations
        if each.alias in by_alias and by_alias[each.alias].kind is JoinKind.ANTI
    ]
    group.relations = [each for each in group.relations if each not in anti] + anti
    group.key = _own_key(group, equal, by_alias)
    local = _Classes(_local_pairs(group, by_alias))
    for relation in group.relations[1:]:
        group.joins.append(_local_join(group, relation, by_alias, local))


def _own_key(group: Group, equal: frozenset[Field], by_alias: dict[str, Join]) -> Field:
    """Return the group's field of the class: one a relation, or two keys of a row would have to be equal."""
    found: list[Field] = []
    for relation in group.relations:
        join = by_alias.get(relation.alias)
        if join is not None and join.kind is JoinKind.ANTI:
            continue
        own = sorted(
            (each for each in equal if each.relation == relation.alias), key=lambda each: each.name
        )
        if len(own) > 1:
            raise refused("one key")
        found += own
    return found[0]


def _local_pairs(group: Group, by_alias: dict[str, Join]) -> Iterator[Pair]:
    for relation in group.relations:
        join = by_alias.get(relation.alias)
        if join is not None and join.kind is JoinKind.INNER:
            yield from (pair for pair in join.on if pair[0].relation in group.aliases)


def _local_join(
    group: Group,
    relation: Relation,
    by_alias: dict[str, Join],
    local: _Classes,
) -> Join:
    """Return how a relation is joined to those of its group: on what connects them, or on the key of all."""
    join = by_alias.get(relation.alias)
    if join is None:
        raise refused("one key")
    pairs: list[Pair] = []
    for left, right in join.on:
        if left.relation in group.aliases:
            pairs.append((left, right))
        elif (group.key, right) not in pairs and local.root(group.key) != local.root(right):
            # What equals another department's key equals the own one.
            pairs.append((group.key, right))
    return Join(join.kind, relation, tuple(pairs), join.condition)


# --- what tells rows apart ------------------------------------------------------------------------------------------


def determined(group: Group, catalog: Catalog, seed: Iterable[Field]) -> "Known":
    """Return what is fixed where the fields of ``seed`` have one value each."""
    known = Known(group, catalog, set(seed))
    known.close()
    return known


class Known:
    """Fields and relations that have one value, or one row, for given values of others."""

    def __init__(self, group: Group, catalog: Catalog, seed: set[Field]) -> None:
        self._fields = seed | set(_fixed(group.where))
        self._relations: set[str] = set()
        anti = {join.relation.alias for join in group.joins if join.kind is JoinKind.ANTI}
        self._open = {
            relation.alias: identity(relation, catalog)
            for relation in group.relations
            if relation.alias not in anti
        }
        self._pairs = [
            pair for join in group.joins if join.kind is JoinKind.INNER for pair in join.on
        ]

    def close(self) -> None:
        """Follow what follows from what is fixed, until nothing more does."""
        known = -1
        while known != len(self._fields) + len(self._relations):
            known = len(self._fields) + len(self._relations)
            for left, right in self._pairs:
                if self.field(left) or self.field(right):
                    self._fields |= {left, right}
            for alias, identifying in self._open.items():
                if identifying and all(map(self.field, identifying)):
                    self._relations.add(alias)

    def field(self, item: Field) -> bool:
        """Say whether a field has one value."""
        return item in self._fields or item.relation in self._relations

    def expression(self, item: RowExpression) -> bool:
        """Say whether an expression has one value."""
        return all(map(self.field, fields(item)))

    @property
    def one_row(self) -> bool:
        """Say whether there is one row."""
        return self._relations >= set(self._open)


def identity(relation: Relation, catalog: Catalog) -> tuple[Field, ...]:
    """Return the fields whose values no two rows of a relation share, or none."""
    if isinstance(relation, Table):
        return tuple(
            Field(relation.alias, name) for name in catalog.datasets[relation.dataset].rows_by
        )
    return tuple(
        Field(relation.alias, column.name)
        for column in relation.columns
        if column.content in relation.keys
    )


def _fixed(where: Iterable[Predicate]) -> Iterator[Field]:
    for part in where:
        match part:
            case Compare(op="=", left=Field() as item, right=Literal()):
                yield item
            case Compare(op="=", left=Literal(), right=Field() as item):
                yield item
            case InList(operand=Field() as item, values=(_,)):
                yield item
            case _:
                pass
