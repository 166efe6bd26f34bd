"""What a person may do with each column, told before anybody asks: pure, from the rules that judge the question.

It promises nothing: the question itself is judged, with history and thresholds that depend on the whole statement.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from middleplatform.model.catalog import Dataset, Use
from middleplatform.model.policy import Bundle, ColumnRule
from middleplatform.model.request import Subject
from middleplatform.policy import evaluate

__all__ = ["CLOSED", "NEVER", "OPEN", "Entitlement", "Form", "entitled", "purposes_of"]

OPEN, CLOSED, NEVER, UNCONNECTED = "open", "grant", "never", "unconnected"
"""May be used now; needs a grant first; is shared with nobody; is registered and not connected."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Form:
    """One thing that may be done with a column.

    Attributes:
        sql: How it is written.
        what: (English, Chinese).
    """

    sql: str
    what: Pair


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a person may do with one column.

    Attributes:
        column: Its name.
        state: ``OPEN``, ``CLOSED``, ``NEVER`` or ``UNCONNECTED``.
        forms: Whatever policy lets anybody do with it.
        purposes: Codes of the purposes for which the person may use it now.
        min_units: Threshold wherever it is named; 0 where the dataset's holds.
        law: That forbids or conditions sharing it; empty where none is cited.
    """

    column: str
    state: str
    forms: tuple[Form, ...]
    purposes: tuple[str, ...]
    min_units: int
    law: str


def purposes_of(bundle: Bundle, subject: Subject, dataset: str = "") -> tuple[str, ...]:
    """Return the purposes that a person may state, for a dataset or any; those that serve most datasets first."""
    served = Counter(code for rule in bundle.datasets.values() for code in rule.purposes)
    found = (
        code
        for code, purpose in bundle.purposes.items()
        if purpose.roles & subject.roles
        and (not dataset or evaluate.purpose_permits(bundle, subject, code, dataset))
    )
    return tuple(sorted(found, key=lambda code: -served[code]))


def entitled(
    bundle: Bundle, subject: Subject, dataset: Dataset, now: datetime
) -> tuple[Entitlement, ...]:
    """Return what ``subject`` may do with each column of ``dataset``, in the catalogue's order.

    Args:
        bundle: The policy with the grants of this moment.
        subject: Who would ask.
        dataset: Of the catalogue.
        now: Aware.
    """
    stated = purposes_of(bundle, subject, dataset.name)
    grants = {code: evaluate.active_grants(bundle, subject, code, now) for code in stated}
    found = []
    for name, column in dataset.columns.items():
        rule = evaluate.column_rule(bundle, dataset.name, name)
        if evaluate.denied(rule):
            found.append(Entitlement(name, NEVER, (), (), 0, rule.law or column.sharing_basis))
            continue
        needs = evaluate.needs_grant(rule)
        purposes = tuple(
            code
            for code in stated
            if not needs
            or any(
                evaluate.covers(grants[code], dataset.name, name, each)
                for each in evaluate.OPERATIONS
            )
        )
        state = (OPEN if purposes else CLOSED) if column.held else UNCONNECTED
        law = rule.law or (column.sharing_basis if needs else "")
        found.append(
            Entitlement(name, state, tuple(_forms(name, rule)), purposes, rule.min_units, law)
        )
    return tuple(found)


def _forms(name: str, rule: ColumnRule) -> Iterable[Form]:
    if Use.KEY in rule.uses:
        yield Form(f"COUNT(DISTINCT {name})", ("counted", "去重计数"))
        yield Form(f"JOIN … ON a.{name} = b.{name}", ("joined on", "用于连接"))
    if rule.uses & {Use.DIMENSION, Use.SENSITIVE_DIMENSION}:
        band = f"in bands of {rule.generalise}", f"按 {rule.generalise} 分段"
        yield Form(f"GROUP BY {name}", band if rule.generalise else ("grouped by", "用于分组"))
        yield Form(f"WHERE {name} = …", ("compared with values", "与取值比较"))
    if Use.DATE in rule.uses and rule.finest:
        text = f"DATE_TRUNC('{rule.finest}', {name})"
        yield Form(text, (f"by {rule.finest} or coarser", "按此单位或更粗单位分段"))
    if Use.MEASURE in rule.uses:
        sealed = rule.release == "sealed"
        what = ("summed; sealed answers only", "求和类聚合，仅以密封方式发布") if sealed else (
            "summed, averaged", "求和、求平均"
        )  # fmt: skip
        yield Form(f"SUM({name}), AVG({name})", what)
        if rule.breakpoints:
            points = ", ".join(map(_plain, sorted(rule.breakpoints)))
            yield Form(f"WHERE {name} < …", (f"compared with {points}", f"与断点 {points} 比较"))
    for each in rule.withheld:
        yield Form(
            f"{each.first}–{each.last}", (f"not shared: {each.law}", f"不予共享：{each.law}")
        )


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
