"""Judges audited questions again: under the bundle in force and under a candidate, by the gateway's own judge.

No department is contacted: nothing here can reach one. A statement is read once for both bundles where their limits
agree, and the same question is judged once. Of a moment only one thing bears on a verdict, which grants and templates
hold; so two moments between which none begins or ends are the same moment to the judge.

Spec: docs/spec/policy-simulation.md.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from middleplatform.gateway.judge import Judgement, Read, judged, read
from middleplatform.governance.replay import Asked, Why
from middleplatform.governance.simulation import (
    Outcome,
    Simulation,
    Terms,
    Unjudged,
    allows,
    kind_of,
)
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Obligation
from middleplatform.model.policy import Bundle
from middleplatform.policy.suite import Case, Verdict
from middleplatform.ports import Progress

__all__ = ["simulate", "terms_of"]

_HISTORY = frozenset({("D010", "R14"), ("D011", "R14"), ("D012", "R14")})
_BUDGET = "D013"


def simulate(
    candidate: Bundle,
    current: Bundle,
    catalog: Catalog,
    queries: Iterable[Asked],
    *,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> Simulation:
    """Judge questions under two bundles.

    Args:
        candidate: What would be in force.
        current: What is.
        catalog: Both are laid over it.
        queries: Of the log.
        now: Judge all of them at this moment, aware; each at its own unless given.
        progress: Hears of ``simulate``, in statements.
    """
    listed = tuple(queries)
    cases = [_at(each.case, now) for each in listed]
    outcomes: dict[int, Outcome] = {}
    unjudged = {place: each.why or Why.FORM for place, each in enumerate(listed) if not each.case}
    groups = _by_text(cases)
    bench = _Bench(catalog, _Judge(catalog, current), _Judge(catalog, candidate))
    for number, (sql, places) in enumerate(groups.items()):
        bench.take(sql)
        for place, case in places:
            outcome = bench.judge(listed[place], case)
            if isinstance(outcome, Why):
                unjudged[place] = outcome
            else:
                outcomes[place] = outcome
        if progress is not None:
            progress("simulate", number + 1, len(groups))
    return Simulation(
        candidate.digest, current.digest,
        tuple(outcomes[place] for place in sorted(outcomes)),
        tuple(Unjudged(listed[place], unjudged[place]) for place in sorted(unjudged)),
    )  # fmt: skip


def _at(case: Case | None, now: datetime | None) -> Case | None:
    return case if case is None or now is None else replace(case, now=now)


def _by_text(cases: Sequence[Case | None]) -> Mapping[str, list[tuple[int, Case]]]:
    """Return the places of each statement: of one at a time the trees are in memory."""
    groups: dict[str, list[tuple[int, Case]]] = {}
    for place, case in enumerate(cases):
        if case is not None:
            groups.setdefault(case.sql, []).append((place, case))
    return groups


class _Judge:
    """One bundle; of one statement at a time it knows what it said of each question."""

    def __init__(self, catalog: Catalog, bundle: Bundle) -> None:
        self._catalog, self.bundle = catalog, bundle
        moments = {at for grant in bundle.grants for at in (grant.starts, grant.ends)}
        moments |= {at for each in bundle.templates.values() for at in (each.starts, each.ends)}
        self._turns = sorted(at for at in moments if at.utcoffset() is not None)
        self._query: Read | None = None
        self._said: dict[tuple[object, ...], Judgement] = {}

    def take(self, query: Read) -> None:
        """Go on to the next statement."""
        self._query = query
        self._said.clear()

    def judge(self, case: Case) -> tuple[tuple[object, ...], Judgement]:
        """Return what is said of a question, and what makes it the same question as another."""
        assert self._query is not None, "a statement is taken first"
        key = (
            case.subject, case.purpose, case.recipient, case.project, case.strict, case.sealed, case.noise,
            None if case.now.utcoffset() is None else bisect_right(self._turns, case.now),
        )  # fmt: skip
        found = self._said.get(key)
        if found is None:
            found = self._judged(case, self._query)
            self._said[key] = found
        return key, found

    def _judged(self, case: Case, query: Read) -> Judgement:
        try:
            return judged(case, query, self._catalog, self.bundle)
        except Exception:  # noqa: BLE001 - a bundle that lint refuses can do this; the gateway ends it with C099 too
            return Judgement(Verdict("refuse", "", "C099"))


@dataclass
class _Bench:
    """Both judges, and how what they said of one question differs."""

    catalog: Catalog
    current: _Judge
    candidate: _Judge

    def __post_init__(self) -> None:
        self._terms: dict[tuple[object, ...], tuple[Terms, ...]] = {}

    def take(self, sql: str) -> None:
        """Read a statement, once where both bundles have the same limits."""
        self._terms.clear()
        limits = self.current.bundle.limits
        query = read(sql, self.catalog, limits)
        self.current.take(query)
        other = self.candidate.bundle.limits
        self.candidate.take(query if other == limits else read(sql, self.catalog, other))

    def judge(self, asked: Asked, case: Case) -> Outcome | Why:
        """Judge a question under both bundles, or say why policy alone does not decide it."""
        first, before = self.current.judge(case)
        if allows(before.verdict) and (why := _beyond_policy(asked)):
            return why
        second, after = self.candidate.judge(case)
        terms = self._terms.get((first, second))
        if terms is None:
            terms = tuple(terms_of(before, after))
            self._terms[first, second] = terms
        kind = kind_of(before.verdict, after.verdict, terms)
        datasets = before.datasets or after.datasets
        return Outcome(asked, kind, before.verdict, after.verdict, datasets, terms)


def _beyond_policy(asked: Asked) -> Why | None:
    """Say whether a question that policy allows was refused for what had been asked or spent before it."""
    if (asked.ended.code, asked.ended.rule) in _HISTORY:
        return Why.HISTORY
    return Why.BUDGET if asked.ended.code == _BUDGET else None


def terms_of(before: Judgement, after: Judgement) -> Iterator[Terms]:
    """Yield what differs of two answers to one question; nothing where either bundle gives none."""
    if (
        before.plan is None
        or after.plan is None
        or before.decision is None
        or after.decision is None
    ):
        return
    old, new = before.decision, after.decision
    for name in (each.name for each in fields(old.disclosure)):
        yield from _differ(name, getattr(old.disclosure, name), getattr(new.disclosure, name))
    yield from _differ("obligations", *(_duties(each.obligations) for each in (old, new)))
    yield from _differ("protocol", before.plan.protocol, after.plan.protocol)
    plans = (before.plan, after.plan)
    yield from _differ(
        "statement", *("; ".join(block.sql for block in plan.blocks) for plan in plans)
    )
    joins = [tuple(block.join for block in plan.blocks) for plan in plans]
    if joins[0] != joins[1]:
        yield Terms("join")
    if before.noises != after.noises:
        yield Terms("noise")


def _differ(name: str, before: object, after: object) -> Iterator[Terms]:
    if before != after:
        yield Terms(name, str(before), str(after))


def _duties(obligations: Sequence[Obligation]) -> str:
    parts = [(duty.kind, f"{duty.dataset}.{duty.column}", *duty.argument) for duty in obligations]
    return "; ".join(" ".join(part) for part in parts)
