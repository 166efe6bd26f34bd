"""How a statement will be answered: fragments, their layout, and the statement above the release boundary."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from functools import cached_property

from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.model.join import JoinPlan
from middleplatform.model.query import (
    AggregateKind,
    CellQuery,
    Coalesce,
    Field,
    Predicate,
    QueryFacts,
)
from middleplatform.model.request import Role, Subject

SQUARED = frozenset(
    {
        AggregateKind.VAR_SAMP,
        AggregateKind.VAR_POP,
        AggregateKind.STDDEV_SAMP,
        AggregateKind.STDDEV_POP,
    }
)

_TEXT = ColumnType(TypeKind.TEXT)

__all__ = [
    "SQUARED",
    "Block",
    "Formula",
    "Fragment",
    "KeyWord",
    "Layout",
    "Part",
    "Plan",
    "Population",
    "SumWord",
]

_NUMBER_MAX = 1 << 31


@dataclass(frozen=True, slots=True)
class Population:
    """Rows of a cell that an aggregate reads; number 0 is all of them.

    Attributes:
        condition: What the rows meet, or None.
        present: Operands that are not missing in them.
        strict: True when the condition says more than "not missing": then its complement within the cell is
            protected too, and 0 % and 100 % are disclosive (R5).
        joined: True when presence hangs on an outer join, whose condition says more than the data do.
    """

    condition: Predicate | None
    present: tuple[Field | Coalesce, ...]
    strict: bool
    joined: bool = False


@dataclass(frozen=True, slots=True)
class SumWord:
    """``SUM(operand)`` over a population, exact: an integer in units of ``10 ** -scale``."""

    operand: Field | Coalesce
    population: int
    scale: int


@dataclass(frozen=True, slots=True)
class KeyWord:
    """``COUNT(DISTINCT key)`` over a population, of a key that is not the cell's own unit."""

    key: Field
    population: int


@dataclass(frozen=True, slots=True)
class Part:
    """``constant * rows + sum of coefficient * sums`` over one population."""

    population: int
    constant: Fraction
    terms: tuple[tuple[Fraction, int], ...]


@dataclass(frozen=True, slots=True)
class Formula:
    """How one aggregate comes from the words.

    Attributes:
        kind: Which aggregate.
        parts: One a piece; for COUNT(DISTINCT) one with the population only.
        key: Index into ``Layout.keys``, or -1 when the counted key is the cell's unit.
        scale: Decimal places of the exact result of SUM; -1 when the result is not a finite decimal.
        integer: SUM of whole numbers.
    """

    kind: AggregateKind
    parts: tuple[Part, ...]
    key: int = -1
    scale: int = 0
    integer: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """What departments compute for each cell, in order: both sides derive it from the fragment's text.

    Attributes:
        unit: Field that names the cell's protected unit.
        populations: Number 0 is the whole cell.
        sums: Sums of measures.
        squares: Indices into ``sums`` of those whose squares are summed too.
        keys: Distinct counts of other keys.
        others: Further protected units that contribute (other tables' keys), each counted.
        formulas: One an aggregate.
        labels: Types of the cell's dimensions, in order.
        unit_type: Of the unit's field.
        reads: Every (dataset, column, type) that the cell's statements name, sorted.
    """

    unit: Field
    populations: tuple[Population, ...]
    sums: tuple[SumWord, ...]
    squares: tuple[int, ...]
    keys: tuple[KeyWord, ...]
    others: tuple[KeyWord, ...]
    formulas: tuple[Formula, ...]
    labels: tuple[ColumnType, ...] = ()
    unit_type: ColumnType = _TEXT
    reads: tuple[tuple[str, str, ColumnType], ...] = ()

    def words(self, formula: Formula) -> tuple[str, ...]:
        """Return the names of the word columns that ``formula`` reads, each once."""
        names: list[str] = []
        for part in formula.parts:
            if formula.kind is AggregateKind.COUNT_DISTINCT:
                names.append(
                    f"units_{part.population}" if formula.key < 0 else f"keys_{formula.key}"
                )
                continue
            names.append(f"rows_{part.population}")
            names += [f"sum_{number}" for _, number in part.terms]
            if formula.kind in SQUARED:
                names += [f"sq_{number}" for _, number in part.terms]
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Fragment:
    """What one department is asked to run: numbered, bound to one query, one purpose and one policy.

    Attributes:
        query_id: Of the request.
        attempt: From 1; a retry is a new attempt with fresh masks.
        number: Of the release block within the query.
        department: Who is asked.
        protocol: ``local``, ``secure_sum`` or ``private_join``.
        cohort: All parties that take part, sorted; under a private join the key holder too.
        sql: One governed SELECT, generated from the tree, PostgreSQL dialect.
        subject: Who asks.
        purpose: Why.
        project: What history is kept for.
        policy_digest: The gateway's bundle.
        issued_at: ISO 8601, UTC.
        sealed_for: Id of the key under which values leave encrypted; empty for plain ones.
        noise: Privacy loss (rho of zCDP) of a differentially private answer, a fraction as text; empty for none.
        template: Name of the approved template that the question is one of and rests on; empty for none.
    """

    query_id: str
    attempt: int
    number: int
    department: str
    protocol: str
    cohort: tuple[str, ...]
    sql: str
    subject: Subject
    purpose: str
    project: str
    policy_digest: str
    issued_at: str
    sealed_for: str = ""
    noise: str = ""
    template: str = ""

    def to_bytes(self) -> bytes:
        """Return the canonical form that is signed and digested."""
        return self._canonical

    @cached_property
    def _canonical(self) -> bytes:
        # Not ``asdict``: it copies every name of a large cohort, six times a fragment.
        body: dict[str, object] = {item.name: getattr(self, item.name) for item in fields(self)}
        if not self.template:  # a fragment of none is written as before there were any
            del body["template"]
        body["subject"] = {
            "id": self.subject.id,
            "department": self.subject.department,
            "roles": sorted(str(role) for role in self.subject.roles),
            "regions": self.subject.regions,
        }
        return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()

    def digest(self) -> str:
        """Return SHA-256 of the canonical form, hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @staticmethod
    def from_mapping(body: Mapping[str, object]) -> "Fragment":
        """Rebuild a fragment from its decoded canonical form.

        Raises:
            KeyError, TypeError, ValueError: The form is not one that ``to_bytes`` writes.
        """
        subject, cohort = body["subject"], body["cohort"]
        if not isinstance(subject, Mapping):
            raise TypeError("a subject is a mapping")
        rest = {key: value for key, value in body.items() if key not in ("subject", "cohort")}
        whole = {name: rest.pop(name) for name in ("attempt", "number")}
        names = [subject["id"], subject["department"]]
        texts = (cohort, subject["roles"], subject["regions"], names, list(rest.values()))
        if not all(map(_texts, texts)) or not all(map(_whole, whole.values())):
            raise TypeError("a field of another type")
        rebuilt = Subject(
            subject["id"],
            subject["department"],
            frozenset(Role(role) for role in subject["roles"]),
            tuple(subject["regions"]),
        )
        return Fragment(**rest, **whole, subject=rebuilt, cohort=tuple(cohort))  # type: ignore[arg-type]  # checked above


def _texts(values: object) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)


def _whole(value: object) -> bool:
    return type(value) is int and 0 <= value < _NUMBER_MAX


@dataclass(frozen=True, slots=True)
class Block:
    """One release block: who answers it and how.

    Attributes:
        cell: As read back from the fragment's text.
        name: The cells' table name above the boundary.
        layout: Of its words.
        departments: Who is asked.
        protocol: ``local``, ``secure_sum`` or ``private_join``.
        sql: The fragment's text, the same for all.
        facts: Of the fragment's text, to be judged again.
        join: How the sides of a private join are put together; None for the other protocols.
    """

    cell: CellQuery
    name: str
    layout: Layout
    departments: tuple[str, ...]
    protocol: str
    sql: str
    facts: QueryFacts
    join: JoinPlan | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a statement will be answered.

    Attributes:
        blocks: Release blocks.
        post_sql: Statement over the blocks' cells, DuckDB dialect, with mark columns.
        outputs: Output column names.
        notes: (English, Chinese) sentences for the answer.
        protocol: Of all blocks together.
        folds: Whether the statement above the boundary folds several cells into one (aggregates, windows).
    """

    blocks: tuple[Block, ...]
    post_sql: str
    outputs: tuple[str, ...]
    notes: tuple[tuple[str, str], ...] = field(default=())
    protocol: str = "local"
    folds: bool = False
