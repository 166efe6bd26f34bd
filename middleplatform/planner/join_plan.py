"""Stage 4, private joins: a release block over several departments, taken apart into sides.

A side is what one department (or the holders of one logical table) brings: its own relations and filter, its own
dimensions and words. Everything is decided from the statement, the catalogue and the policy, never from data.

Spec: docs/spec/private-join.md.
"""

from collections.abc import Iterable, Mapping

from middleplatform.errors import PolicyError, QueryError
from middleplatform.model.catalog import Catalog, TypeKind
from middleplatform.model.join import BLINDED, HELPER, JoinPlan, JoinProtocol, Side, SideWord
from middleplatform.model.plan import Layout
from middleplatform.model.policy import Bundle, DisclosureParameters
from middleplatform.model.query import CellQuery, Field, JoinKind
from middleplatform.planner.column_types import columns_of, types_in
from middleplatform.planner.join_caps import (
    bounded,
    check_capped,
    check_release,
    check_room,
    unit_cap,
)
from middleplatform.planner.join_missing import holds
from middleplatform.planner.join_notes import notes_of
from middleplatform.planner.join_refusals import refused
from middleplatform.planner.join_sides import Group, conjuncts, datasets_in, determined, groups
from middleplatform.planner.join_words import words_of
from middleplatform.planner.layout import unit_field, unit_name
from middleplatform.sql.extract import fields

__all__ = ["join_plan"]

_KEY_TYPES = frozenset({TypeKind.TEXT, TypeKind.INTEGER})


def join_plan(
    cell: CellQuery,
    layout: Layout,
    catalog: Catalog,
    bundle: Bundle,
    parameters: DisclosureParameters,
    *,
    sealed: bool,
) -> JoinPlan:
    """Return how a release block over several departments is joined; gateway and nodes derive the same.

    Args:
        cell: As read back from the fragment's text.
        layout: Of its words.
        catalog: Says who holds what, and what identifies a row.
        bundle: For ``join``, ``cap`` and ``release``.
        parameters: Of disclosure control, the strictest of the statement's datasets.
        sealed: Whether values leave encrypted only.

    Raises:
        QueryError: Q031 for a form that no private join answers, with the form that would pass; Q004 more departments
            than the policy's relations.
        PolicyError: P001: rule R10, a dataset's policy forbids private joins; R3, a measure's ``release`` does not
            allow what was asked; R5, a measure without a cap where its largest units must be judged; R13, a factor
            per unit that the words might not have room for.
    """
    found, equal = groups(cell, catalog)
    if len(found) > bundle.limits.joins_max + 1:
        raise QueryError("Q004", rule="R0", limit=bundle.limits.joins_max)
    if layout.unit not in equal:
        raise refused("unit")
    datasets = datasets_in(cell.rows)
    protocol = _protocol(datasets, bundle)
    check_release(layout, cell.rows, bundle, sealed=sealed)
    _check_keys(cell, found, catalog)
    _filter(cell, found)
    split = _Split(cell, layout, found, catalog)
    caps = tuple(unit_cap(word.operand, cell.rows, bundle, word.scale) for word in layout.sums)
    if bounded(parameters) and not sealed:
        check_capped(layout, cell.rows, bundle, caps)
    check_room(layout, cell.rows, caps, bundle.limits.join_rows_max)
    words = words_of(
        layout,
        split.population_sides,
        split.sum_sides,
        caps,
        split.counting,
        split.fan,
        parameters,
        sealed=sealed,
    )
    return JoinPlan(
        unit=unit_name(layout.unit, cell.rows, catalog),
        protocol=protocol,
        sides=split.sides(words),
        population_sides=split.population_sides,
        sum_sides=split.sum_sides,
        other_sides=split.other_sides,
        fan=split.fan,
        capped=caps,
        min_units=parameters.min_units,
        notes=notes_of(cell.rows, layout, datasets, catalog, caps, protocol),
    )


def _protocol(datasets: Iterable[str], bundle: Bundle) -> JoinProtocol:
    """Return the strictest protocol of the datasets' policies.

    Raises:
        PolicyError: P001, rule R10: one of them allows none.
    """
    protocol = HELPER
    for name in datasets:
        rule = bundle.datasets.get(name)
        asked = "none" if rule is None else rule.join
        if asked == "blinded":
            protocol = BLINDED
        elif asked != "helper":
            owner = "" if rule is None else rule.owner
            what = (
                (
                    f"{name} is not joined with other departments' rows, by decision of {owner}"
                    " (aggregate each department first and join the results)"
                ),
                f"{owner} 决定 {name} 不与其他部门的数据行连接（请先在各部门内聚合再连接结果）",
            )
            raise PolicyError("P001", rule="R10", what=what)
    return protocol


def _check_keys(cell: CellQuery, found: list[Group], catalog: Catalog) -> None:
    type_of = types_in(cell.rows, columns_of(catalog))
    kinds = {type_of(group.key).kind for group in found}
    if len(kinds) != 1 or not kinds <= _KEY_TYPES:
        raise refused("key type")
    for group in found:
        if len(group.departments) == 1:
            continue
        relation = next(each for each in group.relations if each.alias == group.key.relation)
        # A unit's rows all lie in one part; of other keys nothing is known.
        if unit_field(relation, catalog) != group.key:
            raise refused("parts")


def _filter(cell: CellQuery, found: list[Group]) -> None:
    """Give every conjunct of the filter to the group whose columns it reads."""
    for part in conjuncts(cell.rows.where):
        group = found[_one_side(part, found, "across") or 0]
        if group.kind is not JoinKind.INNER:
            raise refused("where outer")
        group.where.append(part)


def _one_side(item: object, found: list[Group], form: str) -> int | None:
    """Return the number of the group that an expression reads, or None for a constant.

    Raises:
        QueryError: Q031 when it reads several.
    """
    numbers = {
        number
        for inner in fields(item)  # type: ignore[arg-type]  # a row expression or a predicate
        for number, group in enumerate(found)
        if inner.relation in group.aliases
    }
    if len(numbers) > 1:
        raise refused(form)
    return numbers.pop() if numbers else None


class _Split:
    """Which side has what.

    Attributes:
        dimensions: By side, numbers of the cell's dimensions.
        keys: By side, numbers of ``Layout.keys``.
        unique: By side.
        single: By side.
        fan: As in ``JoinPlan``.
        population_sides: As in ``JoinPlan``.
        sum_sides: As in ``JoinPlan``.
        other_sides: As in ``JoinPlan``.
    """

    def __init__(
        self, cell: CellQuery, layout: Layout, found: list[Group], catalog: Catalog
    ) -> None:
        self._cell, self._layout, self._found = cell, layout, found
        self.dimensions = self._dimensions()
        self.unique, self.single = self._rows_a_key(catalog)
        self.fan = self._fan()
        self.population_sides = tuple(map(self._population, range(len(layout.populations))))
        self.sum_sides = tuple(map(self._sum, range(len(layout.sums))))
        self.keys = self._keys()
        self.other_sides = tuple(self._other(word.key) for word in layout.others)

    @property
    def counting(self) -> int:
        """Return the side whose table rows must be counted, or -1 where a tuple is a row."""
        return self.fan if self.fan >= 0 and not self.single[self.fan] else -1

    def sides(self, words: Mapping[int, tuple[SideWord, ...]]) -> tuple[Side, ...]:
        """Return the sides, with their words."""
        return tuple(
            Side(
                number=number,
                departments=group.departments,
                kind=group.kind,
                rows=group.rows(),
                key=group.key,
                dimensions=self.dimensions[number],
                keys=self.keys[number],
                words=words.get(number, ()),
                unique=self.unique[number],
                single=self.single[number],
            )
            for number, group in enumerate(self._found)
        )

    def _side(self, item: object, form: str) -> int | None:
        number = _one_side(item, self._found, form)
        if number is not None and self._found[number].kind is JoinKind.ANTI:
            raise refused("anti")
        return number

    def _dimensions(self) -> list[tuple[int, ...]]:
        owners = [self._side(item.expression, "dimension") or 0 for item in self._cell.dimensions]
        return [
            tuple(place for place, owner in enumerate(owners) if owner == number)
            for number in range(len(self._found))
        ]

    def _rows_a_key(self, catalog: Catalog) -> tuple[list[bool], list[bool]]:
        unique: list[bool] = []
        single: list[bool] = []
        for group, own in zip(self._found, self.dimensions, strict=True):
            expressions = [self._cell.dimensions[place].expression for place in own]
            plain = [item for item in expressions if isinstance(item, Field)]
            by_key = determined(group, catalog, [group.key])
            unique.append(all(map(by_key.expression, expressions)))
            single.append(determined(group, catalog, [group.key, *plain]).one_row)
        return unique, single

    def _fan(self) -> int:
        fans = [
            number
            for number, group in enumerate(self._found)
            if group.kind is not JoinKind.ANTI and not (self.unique[number] and self.single[number])
        ]
        if len(fans) > 1:
            raise refused("many to many")
        if not fans:
            return -1
        if self._found[fans[0]].kind is JoinKind.LEFT and not self.single[fans[0]]:
            raise refused("left fan")
        return fans[0]

    def _word(self, number: int) -> int:
        """Check that words may stand on a side: a list row of another than the fan would be used twice."""
        if self.fan not in (-1, number):
            raise refused("fan")
        return number

    def _population(self, p: int) -> int:
        population = self._layout.populations[p]
        condition, present = population.condition, population.present
        if condition is None and not present:
            return -1
        parts = ([] if condition is None else [condition]) + list(present)
        numbers = {self._side(part, "across") for part in parts} - {None}
        if len(numbers) > 1:
            raise refused("sum" if condition is None else "measure")
        number = self._word(numbers.pop() or 0 if numbers else max(self.fan, 0))
        outer = self._found[number].kind is JoinKind.LEFT
        if outer and not present and condition is not None and holds(condition):
            raise refused("unmatched")
        return number

    def _sum(self, s: int) -> int:
        word = self._layout.sums[s]
        number = self._side(word.operand, "measure")
        assert number is not None, "an operand has a field"
        of_population = self.population_sides[word.population]
        if of_population not in (-1, number):
            conditional = self._layout.populations[word.population].condition is not None
            raise refused("measure" if conditional else "sum")
        outer = self._found[number].kind is JoinKind.LEFT
        filled = 0 if isinstance(word.operand, Field) else word.operand.default.value
        if outer and of_population < 0 and filled != 0:
            raise refused("default")
        return self._word(number)

    def _keys(self) -> list[tuple[int, ...]]:
        owners: list[int] = []
        for word in self._layout.keys:
            population = self._layout.populations[word.population]
            number = self._side(word.key, "measure")
            assert number is not None, "a key is a field"
            only_present = population.condition is None and set(population.present) <= {word.key}
            own_key = word.key == self._found[number].key
            if not only_present or not (self.single[number] or own_key):
                raise refused("second key", "R5")
            owners.append(number)
        return [
            tuple(place for place, owner in enumerate(owners) if owner == number)
            for number in range(len(self._found))
        ]

    def _other(self, key: Field) -> int:
        for number, group in enumerate(self._found):
            if key == group.key:
                return number
        raise refused("unit", "R5")
