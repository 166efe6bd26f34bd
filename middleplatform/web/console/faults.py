"""A refusal as people read it: each reason with its owner, and the statement with the places underlined."""

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from middleplatform.gateway import Gateway
from middleplatform.model.decision import Reason
from middleplatform.model.request import QueryRequest
from middleplatform.web.console.completion import apply_address

__all__ = ["Told", "reasons_told", "underlined", "wanted_columns"]


@dataclass(frozen=True, slots=True)
class Told:
    """One reason.

    Attributes:
        rule: That refuses.
        what: In the reader's language.
        hint: What would pass, or empty.
        column: ``dataset.column`` at fault, or empty.
        text: The place in the statement, as typed, or empty.
        line: Of the place, from 1; 0 without one.
        owner: Name of the department whose rule it is; empty for the platform's own.
        policy_version: Of the bundle.
        apply: Address of the application form, where a grant is what is missing; else empty.
    """

    rule: str
    what: str
    hint: str
    column: str
    text: str
    line: int
    owner: str
    policy_version: str
    apply: str


def reasons_told(
    reasons: Iterable[Reason], asked: QueryRequest, gateway: Gateway, locale: str
) -> tuple[Told, ...]:
    """Return the reasons for a page, each once."""
    place = 1 if locale == "zh" else 0
    found = tuple(dict.fromkeys(reasons))
    wanting = wanted_columns(found)
    return tuple(
        Told(
            each.rule,
            each.what[place],
            each.hint[place],
            each.column,
            asked.sql[each.span.start : each.span.end] if each.span is not None else "",
            each.span.line if each.span is not None else 0,
            _owner(each.owner, gateway, place),
            each.policy_version,
            apply_address(wanting, asked.purpose) if each.rule == "G1" and wanting else "",
        )
        for each in found
    )


def wanted_columns(reasons: Iterable[Reason]) -> list[str]:
    """Return the columns for which a grant is missing, in order, each once."""
    named = (each.column for each in reasons if each.rule == "G1" and each.column)
    return list(dict.fromkeys(named))


def _owner(code: str, gateway: Gateway, place: int) -> str:
    found = gateway.catalog.departments.get(code)
    return code if found is None else (found.name_en, found.name_zh)[place]


def underlined(sql: str, reasons: Iterable[Reason]) -> Markup:
    """Return the statement with the places of ``reasons`` marked, the rule after each.

    Overlapping places are marked once, as one.
    """
    spans = sorted(
        (each.span.start, min(each.span.end, len(sql)), each.rule)
        for each in reasons
        if each.span is not None and each.span.start < len(sql)
    )
    made, at = [], 0
    for start, end, rule in spans:
        if start < at or end <= start:
            continue
        made.append(
            Markup("{}<mark>{}<sup>{}</sup></mark>").format(sql[at:start], sql[start:end], rule)
        )
        at = end
    made.append(Markup("{}").format(sql[at:]))
    return Markup("").join(made)
