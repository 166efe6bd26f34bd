"""What the editor is told: names to complete from the catalogue, and what is wrong while somebody types.

Shapes: middleplatform/web/console/assets/README.md.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from middleplatform.catalog.browse import level_name, type_name
from middleplatform.model.advice import Advice, Form
from middleplatform.model.catalog import Catalog, Column, Dataset
from middleplatform.model.decision import Reason, Span
from middleplatform.model.policy import Bundle
from middleplatform.model.request import QueryRequest, Subject
from middleplatform.policy.entitled import CLOSED, NEVER, OPEN, Entitlement, entitled
from middleplatform.ports import Clock

__all__ = ["STATES", "apply_address", "completions", "diagnostics", "form_body"]

KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "JOIN", "LEFT JOIN", "ON", "USING", "AS",
    "AND", "OR", "NOT", "IN", "BETWEEN", "IS NULL", "IS NOT NULL", "CASE", "WHEN", "THEN", "ELSE", "END",
    "DISTINCT", "UNION ALL", "WITH", "OVER", "PARTITION BY", "DESC", "ASC", "FILTER",
)  # fmt: skip
FUNCTIONS = (
    "COUNT", "SUM", "AVG", "VAR_SAMP", "VAR_POP", "STDDEV_SAMP", "STDDEV_POP", "FLOOR", "DATE_TRUNC", "EXTRACT",
    "COALESCE", "ROUND", "ABS", "RANK", "DENSE_RANK", "ROW_NUMBER", "NULLIF", "CAST",
)  # fmt: skip
"""What docs/reference/sql.md accepts: aggregates below the release boundary, the others above it or on literals."""

STATES: Mapping[str, tuple[str, str]] = {
    OPEN: ("yours to use", "可以使用"),
    CLOSED: ("needs a grant", "需要授权"),
    NEVER: ("never shared", "不予共享"),
    "unconnected": ("not connected yet", "尚未接入"),
}
"""What an entitlement's state is called: (English, Chinese)."""


def completions(
    catalog: Catalog, bundle: Bundle, subject: Subject, clock: Clock, locale: str
) -> dict[str, object]:
    """Return what the editor completes for a person: every dataset, each column with what it is for."""
    place = 1 if locale == "zh" else 0
    now = clock.now()
    tables = {
        name: [
            _column(dataset.columns[each.column], each, place)
            for each in entitled(bundle, subject, dataset, now)
        ]
        for name, dataset in catalog.datasets.items()
    }
    labels = {name: _name(dataset, place) for name, dataset in catalog.datasets.items()}
    return {"tables": tables, "labels": labels, "keywords": [*KEYWORDS, *FUNCTIONS]}


def _column(column: Column, may: Entitlement, place: int) -> dict[str, str]:
    parts = [column.name_zh if place else column.name_en, STATES[may.state][place]]
    if may.forms:
        parts.append(may.forms[0].what[place])
    parts.append(level_name(column.level))
    return {"name": column.name, "type": type_name(column.type), "detail": " · ".join(parts)}


def _name(dataset: Dataset, place: int) -> str:
    return dataset.name_zh if place else dataset.name_en


# --- what is wrong ------------------------------------------------------------------------------------------------


def diagnostics(request: QueryRequest, advice: Advice, locale: str) -> dict[str, object]:
    """Return every reason of a refusal with its place, and one click to the form that would pass.

    Args:
        request: What was typed.
        advice: What the gateway says of it.
        locale: ``"en"`` or ``"zh"``.
    """
    place = 1 if locale == "zh" else 0
    found = advice.explanation
    reasons = list(dict.fromkeys(found.reasons))
    told = [
        _diagnostic(request, each, advice.form if not number else None, place)
        for number, each in enumerate(reasons)
    ]
    if found.verdict == "permit":
        told += [_hint(each[place]) for each in found.rewrites]
    return {
        "verdict": found.verdict,
        "code": found.code,
        "protocol": found.protocol,
        "diagnostics": told,
        "form": None if advice.form is None else form_body(request, advice.form, place),
    }


def form_body(request: QueryRequest, form: Form, place: int) -> dict[str, object]:
    """Return the form that would pass, with what of it differs from what was asked."""
    other = form.request
    same = {
        name: getattr(other, name)
        for name in ("purpose", "project", "recipient", "noise")
        if getattr(other, name) != getattr(request, name)
    }
    return {"sql": other.sql, "changes": [each[place] for each in form.changes], **same}


def _hint(text: str) -> dict[str, object]:
    return {"from": 0, "to": 0, "severity": "info", "message": text, "actions": []}


def _diagnostic(
    request: QueryRequest, reason: Reason, form: Form | None, place: int
) -> dict[str, object]:
    span = reason.span or Span(0, len(request.sql), 1, 1)
    hint = reason.hint[place]
    words = reason.what[place] + (f" — {hint}" if hint else "")
    return {
        "from": span.start,
        "to": max(span.end, span.start + 1),
        "severity": "error",
        "message": words,
        "rule": reason.rule,
        "owner": reason.owner,
        "policy_version": reason.policy_version,
        "actions": list(_actions(request, reason, form, place)),
    }


def _actions(
    request: QueryRequest, reason: Reason, form: Form | None, place: int
) -> Iterable[dict[str, object]]:
    if form is not None and form.request.sql != request.sql:
        told = "；".join if place else "; ".join
        label = ("使用可通过的写法：" if place else "Use the form that passes: ") + told(
            each[place] for each in form.changes
        )
        whole = {"from": 0, "to": len(request.sql), "text": form.request.sql}
        yield {"label": label, "replace": whole}
    if reason.rule == "G1" and reason.column:
        label = "申请授权" if place else "Apply for a grant"
        yield {"label": label, "href": apply_address([reason.column], request.purpose)}


def apply_address(columns: Iterable[str], purpose: str) -> str:
    """Return the address of the application form, filled in with what is wanted."""
    pairs = [("column", each) for each in dict.fromkeys(columns)]
    return "/console/my/applications/new?" + urlencode([*pairs, ("purpose", purpose)])
