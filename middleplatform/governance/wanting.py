"""From what people write to an application: each column with its owner and sharing type, as policy says today.

Spec: docs/spec/grants.md, "What is applied for". Decree 809 art. 14, 15 and 20.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from middleplatform.errors import PolicyError, QueryError
from middleplatform.governance.acts import MODE
from middleplatform.governance.applications import Application, Column, Lane
from middleplatform.governance.workdays import SHANGHAI
from middleplatform.model.policy import Bundle
from middleplatform.model.request import Subject
from middleplatform.policy import evaluate
from middleplatform.policy.grants import moment

__all__ = ["wanted", "when"]

_DAY = 10
"""Length of an ISO date: what is no longer has no time of day."""


def wanted(
    raw: Mapping[str, Any], who: Subject, bundle: Bundle, now: datetime, lane: Lane = Lane.ORDINARY
) -> Application:
    """Return the application that ``raw`` (valid by its schema) describes.

    A star is spelled out here, so that columns that come later are not applied for. Emptiness of basis,
    scenario, scope and purpose is the desk check's matter, not a refusal.

    Args:
        raw: Fields of ``policies/schema/application.schema.json``.
        who: The applicant.
        bundle: Today's policy.
        now: Aware.
        lane: An emergency has ``hours`` instead of ``ends``.

    Raises:
        QueryError: Q020 or Q021 for what the policy does not know, Q040 for a time or purpose that is none.
        PolicyError: P001 for what may not be shared at all, P002 for a purpose that the dataset does not serve.
    """
    columns = tuple(sorted(_columns(raw["columns"], bundle), key=lambda each: each.name))
    purpose = str(raw.get("purpose", "")).strip()
    _check_purpose(purpose, columns, bundle)
    starts, ends = _times(raw, now, lane)
    everyone = bool(raw.get("everyone", False))
    return Application(
        basis=raw.get("basis", "").strip(),
        scenario=raw.get("scenario", "").strip(),
        scope=raw.get("scope", "").strip(),
        mode=raw.get("mode", MODE),
        purpose=purpose,
        department=who.department,
        applicant=who.id,
        subjects=frozenset() if everyone else frozenset(raw.get("subjects", [who.id])),
        columns=tuple(dict.fromkeys(columns)),
        operations=frozenset(raw["operations"]),
        regions=tuple(sorted(map(str, raw.get("regions", ["*"])))),
        starts=starts,
        ends=ends,
        lane=lane,
    )


def _columns(names: list[str], bundle: Bundle) -> Iterator[Column]:
    for name in names:
        dataset, _, column = name.rpartition(".")
        rule = evaluate.dataset_rule(bundle, dataset)
        if rule is None:
            raise QueryError("Q021", name=dataset or name)
        if column == "*":
            shared = [key for key, each in rule.columns.items() if not evaluate.denied(each)]
            yield from (_column(bundle, dataset, each) for each in shared)
            continue
        if column not in rule.columns:
            raise QueryError("Q020", name=name)
        yield _column(bundle, dataset, column)


def _column(bundle: Bundle, dataset: str, column: str) -> Column:
    rule = evaluate.column_rule(bundle, dataset, column)
    name = f"{dataset}.{column}"
    if evaluate.denied(rule):
        law = f" ({rule.law})" if rule.law else ""
        what = (f"{name} is not shared{law}", f"{name} 不予共享{law}")
        raise PolicyError("P001", rule="R1", what=what)
    return Column(name, bundle.datasets[dataset].owner, not evaluate.needs_grant(rule))


def _check_purpose(purpose: str, columns: tuple[Column, ...], bundle: Bundle) -> None:
    if not purpose:
        return
    if purpose not in bundle.purposes:
        what = (f"purpose {purpose} is unknown", f"未知的使用目的 {purpose}")
        raise QueryError("Q040", what=what)
    for name in dict.fromkeys(each.name.rpartition(".")[0] for each in columns):
        if purpose not in bundle.datasets[name].purposes:
            what = (f"{name} may not be asked for this purpose", f"{name} 不得用于该目的")
            raise PolicyError("P002", rule="G2", what=what)


def _times(raw: Mapping[str, Any], now: datetime, lane: Lane) -> tuple[datetime, datetime]:
    field = "hours" if lane is Lane.EMERGENCY else "ends"
    other = "ends" if lane is Lane.EMERGENCY else "hours"
    if field not in raw or other in raw or (lane is Lane.EMERGENCY and "starts" in raw):
        what = (f"an application in this lane states {field}", f"该类申请须写明 {field}")
        raise QueryError("Q040", what=what)
    starts = when(raw["starts"]) if "starts" in raw else now
    if lane is Lane.EMERGENCY:
        return starts, starts + timedelta(hours=raw["hours"])
    return starts, when(raw["ends"])


def when(text: str) -> datetime:
    """Return a written moment in UTC; a bare day begins when it begins in China.

    Raises:
        QueryError: Q040 there is no such day or hour.
    """
    try:
        if len(text) == _DAY:
            return moment(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).isoformat())
        return moment(text)
    except (ValueError, OverflowError):
        what = (f"{text} is no day or hour", f"{text} 不是有效时间")
        raise QueryError("Q040", what=what) from None
