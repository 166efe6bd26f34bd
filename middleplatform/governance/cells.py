"""Everything that anybody may ask, as finitely many cells, and the verdict of a bundle on each.

A verdict is that of ``authorize``, asked with the facts of the smallest statement that a cell stands for; no rule is
written a second time here. Who has the same grants for a dataset gets the same verdict, so it is asked once for all of
them. Spec: docs/spec/policy-diff.md.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import cached_property
from itertools import zip_longest

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.authorization.sealed import release_refusals
from middleplatform.governance.questions import WHOLE, Question, questions
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.policy import Bundle, Grant
from middleplatform.model.query import QueryFacts
from middleplatform.model.request import Role, Subject
from middleplatform.policy import evaluate, regions

__all__ = [
    "Axes",
    "Cell",
    "Kind",
    "Person",
    "Standing",
    "Standings",
    "Verdict",
    "Verdicts",
    "axes",
    "verdicts",
]


_STEWARDS = frozenset({Role.ANALYST, Role.DEPARTMENT_STEWARD})
"""Who may be a department's steward."""


@dataclass(frozen=True, slots=True, order=True)
class Person:
    """Whoever has this role in this department.

    Attributes:
        role: What the person may do.
        department: Department that answers for the person.
        subject: Login, where a grant names it; empty for everybody whom none names.
    """

    role: Role
    department: str
    subject: str = ""

    def asks(self) -> Subject:
        """Return the subject that stands for the person; its own regions are not narrowed."""
        return Subject(self.subject, self.department, frozenset({self.role}), (regions.ALL,))

    def asks_inside(self) -> Subject:
        """Return who asks inside the department: an analyst may be its steward too (``access.roles``)."""
        both = {self.role, Role.DEPARTMENT_STEWARD} if self.role in _STEWARDS else {self.role}
        return dataclasses.replace(self.asks(), roles=frozenset(both))


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that may be asked.

    Attributes:
        role: Of who asks.
        department: Of who asks.
        subject: Login, where a grant names it; empty for everybody else.
        purpose: As stated.
        dataset: ``"department.table"``.
        column: Its column, or ``"*"`` for its rows and their number for each unit.
        use: Name of the question (``questions``).
    """

    role: Role
    department: str
    subject: str
    purpose: str
    dataset: str
    column: str
    use: str


class Kind(IntEnum):
    """What comes of a question, in rising looseness."""

    REFUSED = 0
    NEEDS_GRANT = 1
    PERMITTED = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bundle says of a cell, from a moment on.

    Attributes:
        kind: Refused, refused but for a grant, or permitted.
        rule: That refuses; empty when permitted.
        rewrites: (``band`` | ``bucket`` | ``withhold``, argument) that the statement must take.
        regions: Whose rows may be read, ``("*",)`` for all.
        release: ``plain``, ``sealed`` or both: how values may leave.
        min_units: Threshold in distinct units.
        imposed_by: Department that imposed it.
        min_units_inside: The same for who asks inside the owning department and, where the role allows it, is its
            steward too.
        until: First moment at which the next verdict holds, UTC; None where this one holds without end.
        later: The verdicts that follow, in order of time; empty in each of them.
    """

    kind: Kind
    rule: str = ""
    rewrites: tuple[tuple[str, tuple[str, ...]], ...] = ()
    regions: tuple[str, ...] = (regions.ALL,)
    release: tuple[str, ...] = ()
    min_units: int = 0
    imposed_by: str = ""
    min_units_inside: int = 0
    until: datetime | None = None
    later: "tuple[Verdict, ...]" = ()

    def steps(self) -> "tuple[Verdict, ...]":
        """Return this verdict and those that follow it, each on its own."""
        return (dataclasses.replace(self, later=()) if self.later else self, *self.later)


@dataclass(frozen=True, slots=True)
class Axes:
    """Over what is enumerated.

    Attributes:
        persons: Roles by departments, and in them by the logins that grants name there.
        purposes: Codes, sorted.
        columns: Of each dataset, ``"*"`` first.
        questions: Of each (dataset, column).
    """

    persons: tuple[Person, ...]
    purposes: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    questions: Mapping[tuple[str, str], tuple[Question, ...]]


def axes(bundles: Sequence[Bundle], catalog: Catalog) -> Axes:
    """Return what there is to ask under any of ``bundles``.

    Args:
        bundles: One, or those that are compared.
        catalog: Datasets and departments; what is not in it can be asked by nobody.
    """
    grants = [grant for each in bundles for grant in each.grants]
    departments = {*catalog.departments, *(name for each in grants for name in each.departments)}
    people = {(department, "") for department in departments}
    for grant in grants:
        # Who is named is told apart in every department, for others may bind the department as a whole.
        where = grant.departments or departments
        people |= {(department, login) for department in where for login in grant.subjects}
    columns = {name: (WHOLE, *dataset.columns) for name, dataset in catalog.datasets.items()}
    return Axes(
        persons=tuple(Person(role, *each) for role in Role for each in sorted(people)),
        purposes=tuple(sorted({code for each in bundles for code in each.purposes})),
        columns=columns,
        questions={
            (name, column): questions(name, catalog.datasets[name].columns.get(column), bundles)
            for name, inside in columns.items()
            for column in inside
        },
    )


@dataclass(frozen=True, slots=True)
class Given:
    """What of a grant in force a verdict depends on; not to whom, under what number, or until when.

    Attributes:
        columns: ``"dataset.column"`` names, or ``"dataset.*"``.
        operations: Of ``join``, ``filter``, ``group``, ``aggregate``, ``count``.
        regions: Region codes.
        own_data: Whether stewards see small cells of their department's own data.
    """

    columns: frozenset[str]
    operations: frozenset[str]
    regions: tuple[str, ...]
    own_data: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a verdict on a dataset depends on beside the rules of the dataset, at a moment.

    Attributes:
        purposed: Whether the dataset may be asked by the person for the purpose at all.
        grants: What those in force that name the dataset give, in order.
        inside: Whom a grant may let see small cells of the department's own data.
    """

    purposed: bool
    grants: tuple[Given, ...] = ()
    inside: Person | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Standings:
    """What holds from each moment on, in order of time; there is one object for all who have the same.

    Attributes:
        steps: (first moment, standing).
        askings: Somebody who has each standing, at a moment at which it holds.
    """

    steps: tuple[tuple[datetime, Standing], ...]
    askings: tuple[Asking, ...]


class Verdicts(Mapping[Cell, Verdict]):
    """The verdicts of one bundle on every cell, each worked out when it is first asked for."""

    def __init__(self, bundle: Bundle, catalog: Catalog, now: datetime, over: Axes) -> None:
        """Remember what is judged.

        Args:
            bundle: Judges.
            catalog: What is asked about.
            now: From when on, UTC.
            over: What is enumerated.
        """
        self.bundle, self.catalog, self.now, self.axes = bundle, catalog, now, over
        self._binding: dict[tuple[str, str, str], tuple[int, ...]] = {}
        self._standings: dict[tuple[Person, str, str], Standings] = {}
        self._alike: dict[tuple[str, tuple[tuple[datetime, Standing], ...]], Standings] = {}
        self._askings: dict[tuple[str, Standing], Asking] = {}
        self._steps: dict[tuple[str, str, str, int], Verdict] = {}
        self._verdicts: dict[tuple[str, str, str, Standings], Verdict] = {}

    def __iter__(self) -> Iterator[Cell]:
        """Yield every cell."""
        for (dataset, column), asked in self.axes.questions.items():
            for person in self.axes.persons:
                for purpose in self.axes.purposes:
                    for each in asked:
                        yield Cell(
                            person.role,
                            person.department,
                            person.subject,
                            purpose,
                            dataset,
                            column,
                            each.name,
                        )

    def __len__(self) -> int:
        """Return how many cells there are."""
        asked = sum(len(each) for each in self.axes.questions.values())
        return asked * len(self.axes.persons) * len(self.axes.purposes)

    def __getitem__(self, cell: Cell) -> Verdict:
        """Return the verdict on ``cell``.

        Raises:
            KeyError: The cell is none of those that are enumerated.
        """
        person = Person(cell.role, cell.department, cell.subject)
        question = self._by_name[cell.dataset, cell.column, cell.use]
        if person not in self._persons or cell.purpose not in self.axes.purposes:
            raise KeyError(cell)
        standings = self.standings(person, cell.purpose, cell.dataset)
        return self.judged(cell.dataset, cell.column, question, standings)

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, str], Question]:
        return {
            (*where, each.name): each
            for where, asked in self.axes.questions.items()
            for each in asked
        }

    @cached_property
    def _persons(self) -> frozenset[Person]:
        return frozenset(self.axes.persons)

    def standings(self, person: Person, purpose: str, dataset: str) -> Standings:
        """Return what the verdicts of ``person`` on ``dataset`` depend on, from now on."""
        key = (person, purpose, dataset)
        if key not in self._standings:
            steps = tuple(
                (since, self._standing(person, purpose, dataset, since))
                for since in self._moments(person, purpose, dataset)
            )
            # Whoever has a standing is judged as the first who had it is, and at whatever moment.
            askings = tuple(
                self._askings.setdefault((dataset, each), Asking(person.asks(), purpose, since))
                for since, each in steps
            )
            alike = self._alike.setdefault((dataset, steps), Standings(steps, askings))
            self._standings[key] = alike
        return self._standings[key]

    def _standing(self, person: Person, purpose: str, dataset: str, since: datetime) -> Standing:
        subject = person.asks()
        if not evaluate.purpose_permits(self.bundle, subject, purpose, dataset):
            return Standing(purposed=False)
        held = dict.fromkeys(
            self._given[place]
            for place in self._bound(person, purpose, dataset)
            if self._holds(place, subject, purpose, since)
        )
        own = person.role in _STEWARDS and any(grant.own_data for grant in held)
        return Standing(purposed=True, grants=tuple(held), inside=person if own else None)

    def _holds(self, place: int, subject: Subject, purpose: str, moment: datetime) -> bool:
        alone = self._alone[place]
        return bool(evaluate.active_grants(alone, subject, purpose, moment))

    @cached_property
    def _alone(self) -> tuple[Bundle, ...]:
        """One bundle for each grant, with no other grant."""
        return tuple(
            dataclasses.replace(self.bundle, grants=(grant,)) for grant in self.bundle.grants
        )

    @cached_property
    def _given(self) -> tuple[Given, ...]:
        return tuple(
            Given(each.columns, each.operations, each.regions, each.own_data)
            for each in self.bundle.grants
        )

    @cached_property
    def _naming(self) -> Mapping[str, tuple[int, ...]]:
        """Grants that name a column of a dataset, by dataset."""
        found: dict[str, list[int]] = {name: [] for name in self.catalog.datasets}
        for place, grant in enumerate(self.bundle.grants):
            for name in {each.rpartition(".")[0] for each in grant.columns}:
                found.setdefault(name, []).append(place)
        return {name: tuple(places) for name, places in found.items()}

    def _bound(self, person: Person, purpose: str, dataset: str) -> tuple[int, ...]:
        """Return the grants naming ``dataset`` that bind the person at some moment of theirs."""
        key = (person.department, person.subject, purpose)
        if key not in self._binding:
            subject = person.asks()
            self._binding[key] = tuple(
                place
                for place, grant in enumerate(self.bundle.grants)
                if self._holds(place, subject, purpose, grant.starts)
            )
        binding = self._binding[key]
        return tuple(place for place in self._naming[dataset] if place in binding)

    def _moments(self, person: Person, purpose: str, dataset: str) -> list[datetime]:
        """Return now and every later moment at which a grant begins or ends to hold."""
        grants: Iterable[Grant] = (
            self.bundle.grants[place] for place in self._bound(person, purpose, dataset)
        )
        ends = {moment for grant in grants for moment in (grant.starts, grant.ends)}
        return [self.now, *sorted(moment for moment in ends if moment > self.now)]

    def judged(
        self, dataset: str, column: str, question: Question, standings: Standings
    ) -> Verdict:
        """Return the verdict on a question, of all who have ``standings``."""
        key = (dataset, column, question.name, standings)
        if key not in self._verdicts:
            steps = [
                (since, self._step(dataset, column, question, standing, asking))
                for (since, standing), asking in zip(
                    standings.steps, standings.askings, strict=True
                )
            ]
            self._verdicts[key] = _over_time(steps)
        return self._verdicts[key]

    def _step(
        self, dataset: str, column: str, question: Question, standing: Standing, asking: Asking
    ) -> Verdict:
        key = (dataset, column, question.name, id(asking))  # there is one asking for each standing
        if key not in self._steps:
            facts = question.facts(dataset, column)
            self._steps[key] = _verdict(facts, asking, self.bundle, self.catalog, standing.inside)
        return self._steps[key]


def _over_time(steps: Sequence[tuple[datetime, Verdict]]) -> Verdict:
    """Return verdicts that hold one after another as one; what does not change is one step."""
    kept = [each for place, each in enumerate(steps) if not place or each[1] != steps[place - 1][1]]
    if len(kept) == 1:
        return kept[0][1]
    ends = [since for since, _ in kept[1:]]
    first, *later = (
        dataclasses.replace(step, until=until) for (_, step), until in zip_longest(kept, ends)
    )
    return dataclasses.replace(first, later=tuple(later))


def _verdict(
    facts: QueryFacts, asking: Asking, bundle: Bundle, catalog: Catalog, inside: Person | None
) -> Verdict:
    """Return the verdict at one moment, from the functions that judge every statement."""
    decision = authorize(facts, asking, bundle, catalog)
    refusals = {way: release_refusals(facts, bundle, sealed=way == "sealed") for way in _WAYS}
    ways = tuple(way for way, refused in refusals.items() if not refused)
    against = [reason.rule for reason in decision.reasons if reason.rule != "G1"]
    if against:
        return Verdict(Kind.REFUSED, against[0])
    if not ways:
        return Verdict(Kind.REFUSED, refusals["plain"][0].rule)
    units = least = decision.disclosure.min_units
    if inside is not None:
        there = dataclasses.replace(asking, subject=inside.asks_inside(), inside=True)
        least = authorize(facts, there, bundle, catalog).disclosure.min_units
    return Verdict(
        kind=Kind.PERMITTED if decision.permit else Kind.NEEDS_GRANT,
        rule="" if decision.permit else decision.reasons[0].rule,
        rewrites=_rewrites(decision),
        regions=_regions(decision),
        release=ways,
        min_units=units,
        imposed_by=decision.threshold_owner,
        min_units_inside=least,
    )


_WAYS = ("plain", "sealed")


def _rewrites(decision: Decision) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(
        (duty.kind, (duty.column, *duty.argument)) for duty in decision.obligations if duty.kind != "region"
    )  # fmt: skip


def _regions(decision: Decision) -> tuple[str, ...]:
    found = [duty.argument for duty in decision.obligations if duty.kind == "region"]
    return found[0] if found else (regions.ALL,)


def verdicts(bundle: Bundle, catalog: Catalog, now: datetime, over: Axes | None = None) -> Verdicts:
    """Return the verdict of ``bundle`` on every cell, from ``now`` on.

    Args:
        bundle: Judges.
        catalog: What is asked about.
        now: From when on, UTC; what grants end or begin later is in the verdicts' ``until`` and ``later``.
        over: What is enumerated; the bundle's own when left out.
    """
    return Verdicts(bundle, catalog, now, over or axes((bundle,), catalog))
