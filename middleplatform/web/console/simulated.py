"""What came of a simulation, as its page shows it: counts, tables by rule, analyst and dataset, and lists of questions.

Of a question its entry, its person and its datasets are told, never its text: that is the auditor's to open.

Spec: docs/spec/policy-simulation.md, "What is told".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from fastapi import Request

from middleplatform.governance.replay import WHY
from middleplatform.governance.simulation import KINDS, Kind, Outcome, Simulation, Tally, Unjudged
from middleplatform.model.policy import DisclosureParameters
from middleplatform.web.console.listing import listed
from middleplatform.web.console.log import AUDITORS

__all__ = ["shown"]

_NONE = "-"
"""Stands for no dataset: of a question that could not be read."""
_COLORS: Mapping[Kind, str] = {
    Kind.ALLOW_TO_DENY: "bad",
    Kind.DENY_TO_ALLOW: "warn",
    Kind.RULE: "muted",
    Kind.TERMS: "info",
}
_FILTERS = ("kind", "rule", "analyst", "dataset", "why")
_TEXT_MAX = 200
_TOLD = frozenset(each.name for each in fields(DisclosureParameters)) | {"protocol"}
"""Terms that are policy's own words; what others say is made of the question's text."""


def shown(request: Request, found: Simulation) -> Mapping[str, Any]:
    """Return what the template shows: the view and the filters that the page's address asks for."""
    chosen = {name: request.query_params.get(name, "")[:_TEXT_MAX] for name in _FILTERS}
    wanted = request.query_params.get("view", "")
    view = wanted if wanted in _VIEWS else "changes"
    rows, words = _VIEWS[view](found, chosen)
    return {
        "found": found, "view": view, "chosen": chosen, "rows": listed(request, rows, words),
        "kinds": {kind: (color, KINDS[kind]) for kind, color in _COLORS.items()},
        "counts": {kind: len(found.of(kind)) for kind in Kind},
        "why": WHY, "reasons": found.by_reason(), "told": _TOLD, "none_word": _NONE,
        "auditor": bool(request.state.subject.roles & AUDITORS),
    }  # fmt: skip


_Rows = tuple[Sequence[Any], Callable[[Any], str]]
"""What a view lists, and the words by which one of them is found."""


def _changes(found: Simulation, chosen: Mapping[str, str]) -> _Rows:
    rows = [each for each in found.changes if _wanted(each, chosen)]
    return rows, _outcome_words


def _wanted(each: Outcome, chosen: Mapping[str, str]) -> bool:
    said: Mapping[str, Sequence[str]] = {
        "kind": (str(each.kind),),
        "rule": each.names,
        "analyst": (each.asked.subject,),
        "dataset": each.datasets or (_NONE,),
    }
    return all(not chosen[name] or chosen[name] in values for name, values in said.items())


def _outcome_words(each: Outcome) -> str:
    asked = each.asked
    return " ".join((
        str(asked.index), asked.query_id, asked.subject, *each.names, *each.datasets, *KINDS[each.kind],
    ))  # fmt: skip


def _unjudged(found: Simulation, chosen: Mapping[str, str]) -> _Rows:
    rows = [each for each in found.unjudged if chosen["why"] in ("", str(each.why))]
    return rows, _unjudged_words


def _unjudged_words(each: Unjudged) -> str:
    asked = each.asked
    return " ".join((str(asked.index), asked.query_id, asked.subject, *WHY[each.why]))


def _tallied(
    count: Callable[[Simulation], Sequence[Tally]],
) -> Callable[[Simulation, Mapping[str, str]], _Rows]:
    return lambda found, _: (count(found), lambda each: each.name)


_VIEWS: Mapping[str, Callable[[Simulation, Mapping[str, str]], _Rows]] = {
    "changes": _changes,
    "rule": _tallied(Simulation.by_rule),
    "analyst": _tallied(Simulation.by_analyst),
    "dataset": _tallied(Simulation.by_dataset),
    "unjudged": _unjudged,
}
