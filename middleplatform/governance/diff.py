"""What the change from one bundle to another does: which cells it loosens, which it tightens, and by which rules.

Exact for every (role, department, person that a grant names, purpose, dataset, column, use): the cells of its changes
are those whose verdict changes, at any moment from now on. Spec: docs/spec/policy-diff.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import NamedTuple, TypeAlias

from middleplatform.authorization.templates import datasets_of
from middleplatform.governance.cells import Axes, Cell, Person, Standings, Verdict, Verdicts, axes
from middleplatform.governance.order import Direction, of_verdicts
from middleplatform.governance.settings import Setting, settings
from middleplatform.governance.words import Said, people, use_words, verdict_words
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle

__all__ = ["Change", "Difference", "Direction", "diff"]


@dataclass(frozen=True, slots=True)
class Change:
    """Cells that change alike, or one setting.

    A change of cells is all combinations of persons, purposes, columns and uses; one of a setting has none of them.

    Attributes:
        direction: What it does; one that is neither looser nor tighter counts as both.
        where: Who, for what, which columns, asked how; or which setting.
        before: What was; empty where nothing was.
        after: What will be; empty where nothing will be.
        owners: Departments whose data it touches.
        dataset: ``"department.table"``; empty for a setting of none.
        columns: Of the dataset; ``"*"`` for its rows.
        persons: Who, sorted.
        purposes: For what, sorted.
        uses: Asked how, (English, Chinese).
        setting: Path of the setting; empty for cells.
    """

    direction: Direction
    where: Said
    before: Said
    after: Said
    owners: frozenset[str]
    dataset: str = ""
    columns: tuple[str, ...] = ()
    persons: tuple[Person, ...] = ()
    purposes: tuple[str, ...] = ()
    uses: tuple[Said, ...] = ()
    setting: tuple[str, ...] = ()

    @property
    def cells(self) -> int:
        """Return how many cells change; 0 for a setting."""
        return len(self.persons) * len(self.purposes) * len(self.columns) * len(self.uses)

    def each(self) -> Iterator[Cell]:
        """Yield the cells."""
        for person, purpose, column, use in product(
            self.persons, self.purposes, self.columns, self.uses
        ):
            yield Cell(
                person.role,
                person.department,
                person.subject,
                purpose,
                self.dataset,
                column,
                use[0],
            )

    @property
    def sentence(self) -> Said:
        """Return the change as a sentence."""
        english, chinese = (
            f"{where}: {before or '-'} -> {after or '-'}"
            for where, before, after in zip(self.where, self.before, self.after, strict=True)
        )
        return english, chinese.replace(": ", "：")


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between two bundles; true where anything does.

    Attributes:
        old: Digest of the one.
        new: Digest of the other.
        loosens: What lets more be asked or told. What also lets less stands in ``tightens`` too.
        tightens: What lets less.
        other: Names, texts, and what changes nothing that anybody may ask.
    """

    old: str
    new: str
    loosens: tuple[Change, ...]
    tightens: tuple[Change, ...]
    other: tuple[Change, ...]

    def __bool__(self) -> bool:
        """Say whether anything differs."""
        return bool(self.loosens or self.tightens or self.other)

    @property
    def owners(self) -> frozenset[str]:
        """Return the departments whose data a loosening touches: each must approve (four eyes)."""
        return frozenset(owner for each in self.loosens for owner in each.owners)

    @property
    def loosened(self) -> int:
        """Return how many cells are loosened."""
        return sum(each.cells for each in self.loosens)

    @property
    def tightened(self) -> int:
        """Return how many cells are tightened."""
        return sum(each.cells for each in self.tightens)

    @property
    def summary(self) -> Said:
        """Return the counts as a sentence."""
        rules = [sum(not each.cells for each in side) for side in (self.loosens, self.tightens)]
        loosens, tightens = (
            f"{_many(cells, 'cell')} and {_many(count, 'setting')}"
            for cells, count in zip((self.loosened, self.tightened), rules, strict=True)
        )
        return (
            f"loosens {loosens}, tightens {tightens}",
            f"放宽 {self.loosened} 个单元、{rules[0]} 项设置，收紧 {self.tightened} 个单元、{rules[1]} 项设置",
        )


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def diff(old: Bundle, new: Bundle, catalog: Catalog, now: datetime) -> Difference:
    """Return what the change from ``old`` to ``new`` does.

    Args:
        old: In force.
        new: To come.
        catalog: What both are laid over.
        now: From when on, UTC; what grants begin or end later counts from then.
    """
    changes = [*_Cells(old, new, catalog, now).changes(), *_settings_changes(old, new, catalog)]
    sides = {
        side: tuple(each for each in changes if side in each.direction)
        for side in (Direction.LOOSENS, Direction.TIGHTENS)
    }
    other = tuple(each for each in changes if not each.direction)
    return Difference(
        old.digest, new.digest, sides[Direction.LOOSENS], sides[Direction.TIGHTENS], other
    )


# --- cells --------------------------------------------------------------------------------------------------------

_Asking: TypeAlias = tuple[Person, str]
_Both: TypeAlias = tuple[Standings, Standings]


class _Told(NamedTuple):
    """What a change of verdict is; verdicts that differ alike give the same."""

    direction: Direction
    before: Said
    after: Said


class _Block(NamedTuple):
    """Cells of one column that change alike: all combinations."""

    told: _Told
    uses: tuple[Said, ...]
    persons: tuple[Person, ...]
    purposes: tuple[str, ...]


class _Cells:
    """Compares the verdicts of two bundles, and lays cells that change alike together."""

    def __init__(self, old: Bundle, new: Bundle, catalog: Catalog, now: datetime) -> None:
        self.bundles = (old, new)
        self.axes: Axes = axes(self.bundles, catalog)
        self.sides = [Verdicts(each, catalog, now, self.axes) for each in self.bundles]
        self._told: dict[tuple[Verdict, Verdict], _Told] = {}

    def changes(self) -> Iterator[Change]:
        for dataset, columns in self.axes.columns.items():
            askings = self._askings(dataset)
            if not askings:
                continue
            blocks: dict[_Block, list[str]] = {}
            for column in columns:
                for block in self._column(dataset, column, askings):
                    blocks.setdefault(block, []).append(column)
            for block, together in blocks.items():
                yield self._change(dataset, tuple(together), block)

    def _askings(self, dataset: str) -> dict[_Both, list[_Asking]]:
        """Return whoever may be judged otherwise, for each purpose, by what the two verdicts depend on."""
        found: dict[_Both, list[_Asking]] = {}
        ruled_alike = self._ruled_alike(dataset)
        for person, purpose in product(self.axes.persons, self.axes.purposes):
            old, new = (side.standings(person, purpose, dataset) for side in self.sides)
            if not ruled_alike or old.steps != new.steps:
                found.setdefault((old, new), []).append((person, purpose))
        return found

    def _ruled_alike(self, dataset: str) -> bool:
        """Say whether all that bears on a verdict beside a person's standing is the same in both."""
        old, new = self.bundles
        return old.limits == new.limits and old.datasets.get(dataset) == new.datasets.get(dataset)

    def _column(
        self, dataset: str, column: str, askings: Mapping[_Both, list[_Asking]]
    ) -> Iterator[_Block]:
        found: dict[_Told, dict[_Both, list[Said]]] = {}
        for question, both in product(self.axes.questions[dataset, column], askings):
            old, new = (
                side.judged(dataset, column, question, standings)
                for side, standings in zip(self.sides, both, strict=True)
            )
            if old != new:
                uses = found.setdefault(self._tell(old, new), {}).setdefault(both, [])
                uses.append((question.name, question.chinese))
        for told, asked in found.items():
            together: dict[tuple[Said, ...], list[_Asking]] = {}
            for both, uses in asked.items():
                together.setdefault(tuple(uses), []).extend(askings[both])
            for names, who in together.items():
                for purposes, persons in _rectangles(who):
                    yield _Block(told, names, persons, purposes)

    def _tell(self, old: Verdict, new: Verdict) -> _Told:
        if (old, new) not in self._told:
            words = verdict_words(old, new), verdict_words(new, old)
            self._told[old, new] = _Told(of_verdicts(old, new), *words)
        return self._told[old, new]

    def _change(self, dataset: str, columns: tuple[str, ...], block: _Block) -> Change:
        names = ", ".join(f"{dataset}.{column}" for column in columns)
        who = people(block.persons, self.axes.persons)
        purposes, uses = ", ".join(block.purposes), use_words(block.uses)
        return Change(
            block.told.direction,
            (f"{who[0]}, {purposes}: {names}: {uses[0]}", f"{who[1]}，{purposes}: {names}: {uses[1]}"),
            block.told.before,
            block.told.after,
            _owners(self.bundles, dataset),
            dataset,
            columns,
            block.persons,
            block.purposes,
            block.uses,
        )  # fmt: skip


def _rectangles(
    askings: Iterable[_Asking],
) -> Iterator[tuple[tuple[str, ...], tuple[Person, ...]]]:
    """Yield purposes and persons, all combinations of which are ``askings``."""
    purposes: dict[Person, set[str]] = {}
    for person, purpose in askings:
        purposes.setdefault(person, set()).add(purpose)
    persons: dict[tuple[str, ...], list[Person]] = {}
    for person in sorted(purposes):
        persons.setdefault(tuple(sorted(purposes[person])), []).append(person)
    for codes, who in persons.items():
        yield codes, tuple(who)


# --- settings -----------------------------------------------------------------------------------------------------


def _settings_changes(old: Bundle, new: Bundle, catalog: Catalog) -> Iterator[Change]:
    for each in settings(old, new):
        dataset = each.path[1] if each.path[0] == "datasets" else ""
        columns = (each.path[3],) if dataset and each.path[2:3] == ("columns",) else ()
        shown = " / ".join(each.path)
        yield Change(
            each.direction,
            (f"setting {shown}", f"设置 {shown}（{each.chinese}）"),
            (each.before, each.before),
            (each.after, each.after),
            _touched(each, (old, new), catalog),
            dataset,
            columns,
            setting=each.path,
        )


def _touched(setting: Setting, bundles: Sequence[Bundle], catalog: Catalog) -> frozenset[str]:
    """Return whose data a setting bears on: of a dataset, a purpose's, what a template reads, or everybody's."""
    part, *rest = setting.path
    if part == "datasets":
        return _owners(bundles, rest[0])
    rules = [rule for each in bundles for rule in each.datasets.values()]
    if part == "purposes":
        return frozenset(rule.owner for rule in rules if rest[0] in rule.purposes)
    everybody = frozenset(rule.owner for rule in rules)
    if part == "templates":
        return _read(rest[0], bundles, catalog) or everybody
    return everybody if part == "limits" else frozenset()


def _read(template: str, bundles: Sequence[Bundle], catalog: Catalog) -> frozenset[str]:
    """Return whose data a template reads, as it was and as it will be; nobody's where that cannot be told."""
    read = [
        datasets_of(each.templates[template], each, catalog)
        for each in bundles
        if template in each.templates
    ]
    if not all(read):
        return frozenset()
    return frozenset(catalog.datasets[name].owner for names in read for name in names)


def _owners(bundles: Sequence[Bundle], dataset: str) -> frozenset[str]:
    found = (each.datasets.get(dataset) for each in bundles)
    return frozenset(rule.owner for rule in found if rule is not None)
