"""What to do about a refusal: the nearest form that would pass, found by judging forms near the one that was asked.

Every form that is offered has been judged as a question would be: parsed, authorized and planned for the same person.
Nothing is run, no department is asked, and nothing is counted; what history and budgets say is known only when the
question is asked.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from middleplatform.errors import MiddleplatformError
from middleplatform.model.advice import Advice, Form
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Reason
from middleplatform.model.policy import Bundle
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import Explanation
from middleplatform.policy import evaluate
from middleplatform.policy.entitled import purposes_of
from middleplatform.sql.places import also_at, place_at, place_of
from middleplatform.sql.repair import Fault, repairs

__all__ = ["CHARACTERS_MAX", "JUDGED_MAX", "advice"]

JUDGED_MAX = 40
"""Forms that are judged for one question; a judgement takes about a millisecond, of a private join ten."""

CHARACTERS_MAX = 12_000
"""Characters of all forms that are judged for one question: of a long statement fewer are, none of the longest."""

_REASONS_MAX = 3
Judge = Callable[[QueryRequest], MiddleplatformError | None]
Told = tuple[str, str]


@dataclass(order=True, slots=True)
class _Near:
    """A form on the way: how much was changed, and in which order it was found."""

    cost: int
    number: int
    request: QueryRequest = field(compare=False)
    changes: tuple[Told, ...] = field(compare=False)


def advice(
    request: QueryRequest,
    explanation: Explanation,
    judge: Judge,
    catalog: Catalog,
    bundle: Bundle,
) -> Advice:
    """Return what is told of a question: where it is wrong, and the nearest form that would pass.

    Args:
        request: What is asked.
        explanation: What would happen to it.
        judge: Returns the error that refuses a question, or None.
        catalog: For names and keys.
        bundle: Today's policy.
    """
    if explanation.verdict == "permit":
        return Advice(explanation)
    error = judge(request)
    if error is None:  # policy changed meanwhile
        return Advice(explanation)
    told = _placed(explanation.reasons, error, request.sql)
    everywhere = tuple(dict.fromkeys(_everywhere(told, request.sql, catalog, bundle)))
    placed = replace(explanation, reasons=everywhere)
    return Advice(placed, _nearest(request, error, judge, catalog, bundle))


def _everywhere(
    reasons: Iterable[Reason], sql: str, catalog: Catalog, bundle: Bundle
) -> Iterator[Reason]:
    """Yield the reasons; one that a column may stand nowhere for every place where it stands."""
    for reason in reasons:
        yield reason
        dataset, _, column = reason.column.rpartition(".")
        denied = evaluate.denied(evaluate.column_rule(bundle, dataset, column))
        if reason.rule == "R1" and reason.span is not None and denied:
            having = [name for name, each in catalog.datasets.items() if column in each.columns]
            for span in also_at(sql, reason.span, having):
                yield replace(reason, span=span)


def _placed(reasons: tuple[Reason, ...], error: MiddleplatformError, sql: str) -> Iterator[Reason]:
    """Give a place to the reason of an error that tells it in other words."""
    for reason in reasons:
        if reason.span is not None or error.reasons:
            yield reason
            continue
        line, column, name = (error.parts.get(part) for part in ("line", "column", "name"))
        span = None
        if isinstance(line, int) and isinstance(column, int):
            span = place_at(sql, line, column)
        elif isinstance(name, str):
            span = place_of(sql, name)
        yield replace(reason, span=span)


def _nearest(
    request: QueryRequest,
    error: MiddleplatformError,
    judge: Judge,
    catalog: Catalog,
    bundle: Bundle,
) -> Form | None:
    """Return the form with the least change that passes: forms are taken in the order of what they cost."""
    waiting: list[_Near] = []
    known = {_key(request)}
    here, number = _Near(0, 0, request, ()), 0
    for _ in range(min(JUDGED_MAX, CHARACTERS_MAX // max(1, len(request.sql)))):
        for cost, found, told in _near(here.request, error, catalog, bundle):
            if _key(found) not in known:
                known.add(_key(found))
                number += 1
                changes = (*here.changes, told)
                heapq.heappush(waiting, _Near(here.cost + cost, number, found, changes))
        if not waiting:
            return None
        here = heapq.heappop(waiting)
        refused = judge(here.request)
        if refused is None:
            return Form(here.request, tuple(dict.fromkeys(here.changes)))
        error = refused
    return None


def _key(request: QueryRequest) -> tuple[str, ...]:
    return (request.sql, request.purpose, request.project, request.recipient, request.noise)


def _near(
    request: QueryRequest, error: MiddleplatformError, catalog: Catalog, bundle: Bundle
) -> Iterator[tuple[int, QueryRequest, Told]]:
    """Yield questions near ``request``, each with its cost and what was changed."""
    reasons = [each for each in error.reasons if isinstance(each, Reason)][:_REASONS_MAX]
    yield from _around(request, error, reasons, bundle)
    faults = [_fault(error, each, bundle) for each in reasons] or [_bare(error, request.sql)]
    for place, fault in enumerate(dict.fromkeys(faults)):
        for repair in repairs(request.sql, fault, catalog):
            yield repair.cost + place, replace(request, sql=repair.sql), repair.told


def _around(
    request: QueryRequest,
    error: MiddleplatformError,
    reasons: list[Reason],
    bundle: Bundle,
) -> Iterator[tuple[int, QueryRequest, Told]]:
    """Yield the same statement for another purpose, recipient, project or with another method."""
    rules = {each.rule for each in reasons}
    if "G2" in rules:
        others = (code for code in purposes_of(bundle, request.subject) if code != request.purpose)
        for place, code in enumerate(others):
            purpose = bundle.purposes[code]
            told = f"for the purpose {purpose.name_en}", f"使用目的改为{purpose.name_zh}"
            yield 3 + place, replace(request, purpose=code), told
    if "G4" in rules:
        yield 1, replace(request, recipient=""), ("for the own department", "结果提供给本部门")
    if "G5" in rules:
        told = "within the department's own project", "在本部门项目下查询"
        yield 1, replace(request, project=request.subject.department), told
    if error.code == "D012":
        yield 2, replace(request, noise="policy"), ("with noise", "以差分隐私方式作答")
    if error.code == "D014":
        yield 1, replace(request, noise=""), ("without noise", "不加噪声")


def _fault(error: MiddleplatformError, reason: Reason, bundle: Bundle) -> Fault:
    dataset, _, column = reason.column.rpartition(".")
    rule = evaluate.dataset_rule(bundle, dataset)
    known = rule.columns.get(column) if rule is not None else None
    return Fault(
        error.code, reason.rule, reason.column, reason.span, reason.hint[0], reason.what[0], "", known
    )  # fmt: skip


def _bare(error: MiddleplatformError, sql: str) -> Fault:
    """Return the fault of an error without reasons."""
    if error.code == "S011":  # registered, not connected: nobody can have it
        name = str(error.parts.get("name", ""))
        return Fault(error.code, "R1", name, place_of(sql, name.rpartition(".")[2]))
    what = error.parts.get("what", "")
    said = str(what[0]) if isinstance(what, tuple) else str(what)
    return Fault(error.code, error.rule, what=said, name=str(error.parts.get("name", "")))
