"""Predicate smuggling: the differencing pair in forms that a check of predicates may overlook."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from middleplatform.attack.batches import PATIENCE, difference, filtered
from middleplatform.attack.known import Evidence, Known
from middleplatform.attack.people import DATASET
from middleplatform.attack.surface import Surface

__all__ = ["FORMS", "Form", "smuggling"]

_ALL = f"FROM {DATASET} WHERE"


@dataclass(frozen=True, slots=True)
class Form:
    """One form: what is asked of the whole group, and of the group less the target.

    Attributes:
        name: For the report.
        whole: Text from the group's predicate.
        less: Text from the group's predicate and the target's.
        batch: The aggregate under whose conditions both are asked; empty where they are statements.
        inverse: Whether the difference is 1 for who does not get the benefit.
        money: Whether the difference is an amount.
    """

    name: str
    whole: Callable[[str], str]
    less: Callable[[str, str], str]
    batch: str = ""
    inverse: bool = False
    money: bool = False


FORMS = (
    Form(
        "mixed-or",
        lambda a: f"{a} AND benefit > 0",
        lambda a, c: f"{a} AND (benefit > 0 OR ({c}))",
        "COUNT(*)", inverse=True,
    ),
    Form(
        "case-condition",
        lambda a: f"{a} AND benefit > 0",
        lambda a, c: f"{a} AND CASE WHEN {c} THEN 0 ELSE 1 END = 1 AND benefit > 0",
        "COUNT(*)",
    ),
    Form(
        "arithmetic",
        lambda a: f"{a} AND benefit > 0",
        lambda a, c: f"{a} AND NOT ({c.replace('birth_year =', '2 * birth_year - birth_year =')})"
        " AND benefit > 0",
        "COUNT(*)",
    ),
    Form(
        "summed-case",
        lambda a: f"SELECT SUM(CASE WHEN {a} THEN benefit ELSE 0 END) AS v FROM {DATASET}",
        lambda a, c: f"SELECT SUM(CASE WHEN {a} AND NOT ({c}) THEN benefit ELSE 0 END) AS v FROM {DATASET}",
        money=True,
    ),
    Form(
        "distinct-case",
        lambda a: "SELECT COUNT(DISTINCT CASE WHEN benefit > 0 THEN id_number END) AS v"
        f" {_ALL} {a}",
        lambda a, c: "SELECT COUNT(DISTINCT CASE WHEN benefit > 0 THEN id_number END) AS v"
        f" {_ALL} {a} AND NOT ({c})",
    ),
    Form(
        "unit-block",
        lambda a: "SELECT COUNT(*) AS v FROM (SELECT id_number, COUNT(*) AS c"
        f" {_ALL} {a} AND benefit > 0 GROUP BY id_number) u",
        lambda a, c: "SELECT COUNT(*) AS v FROM (SELECT id_number, COUNT(*) AS c"
        f" {_ALL} {a} AND NOT ({c}) AND benefit > 0 GROUP BY id_number) u",
    ),
    Form(
        "unit-aggregate",
        lambda a: "SELECT COUNT(*) AS v FROM (SELECT id_number, SUM(benefit) AS s"
        f" {_ALL} {a} GROUP BY id_number) u WHERE s > 0",
        lambda a, c: "SELECT COUNT(*) AS v FROM (SELECT id_number, SUM(benefit) AS s"
        f" {_ALL} {a} AND NOT ({c}) GROUP BY id_number) u WHERE s > 0",
    ),
    Form(
        "subquery",
        lambda a: f"SELECT COUNT(*) AS v {_ALL} {a} AND benefit > 0",
        lambda a, c: f"SELECT COUNT(*) AS v {_ALL} {a} AND benefit > 0"
        f" AND id_number NOT IN (SELECT id_number {_ALL} {a} AND {c})",
    ),
    Form(
        "grouped-case",
        lambda a: f"SELECT SUM(benefit) AS v {_ALL} {a}",
        lambda a, c: "SELECT s AS v FROM (SELECT CASE WHEN"
        f" {c} THEN 'x' ELSE 'y' END AS g, SUM(benefit) AS s {_ALL} {a} GROUP BY 1) q WHERE g = 'y'",
        money=True,
    ),
    Form(
        "union",
        lambda a: f"SELECT COUNT(*) AS v {_ALL} {a} AND benefit > 0",
        lambda a, c: f"SELECT COUNT(*) AS v FROM (SELECT id_number {_ALL} {a} AND NOT ({c}) AND benefit > 0"
        f" AND sex = '1' UNION ALL SELECT id_number {_ALL} {a} AND NOT ({c}) AND benefit > 0"
        " AND sex = '2') u",
    ),
)  # fmt: skip


def smuggling(known: Known, surface: Surface) -> Evidence:
    """Attack a tenth of the targets with each form."""
    found: list[float] = []
    for form, some in zip(FORMS, np.array_split(known.targets, len(FORMS)), strict=True):
        bases = sorted({known.base(person) for person in some})
        whole = dict(zip(bases, _asked(surface, form, list(map(form.whole, bases))), strict=True))
        less = _asked(
            surface, form, [form.less(known.base(each), known.isolates(each)) for each in some]
        )
        for person, other in zip(some, less, strict=True):
            found.append(_evidence(known, form, difference(whole[known.base(person)], other)))
    return np.array(found)


def _evidence(known: Known, form: Form, seen: float | None) -> float:
    if form.money:
        return known.summed(seen)
    if form.inverse and seen is not None:
        return known.counted(
            1 + seen
        )  # the padded count is larger by one where there is no benefit
    return known.counted(seen)


def _asked(surface: Surface, form: Form, texts: Sequence[str]) -> list[float | None]:
    if form.batch:
        return filtered(surface, texts, form.batch)
    found: list[float | None] = []
    in_a_row = 0
    for text in texts:
        values = surface.values(text) if in_a_row < PATIENCE else []
        in_a_row = 0 if values else in_a_row + 1
        found.append(values[0] if values else None)
    return found
