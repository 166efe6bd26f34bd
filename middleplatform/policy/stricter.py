"""The stricter of two bundles, field by field: what a department's own file says, and what the platform has published.

A department's own file counts in all that it says. Of data that the department does not hold it may be silent: there
the published document speaks alone. Of data that it holds, silence denies.

Grants are the platform's word (data owners give them): those of the document count, the own file's only for columns
that it alone makes conditional. So are approved templates: those of the document count, and only where the own file,
once completed, has the very same.

Held by: a node's verdict is that of both bundles (``node.judging``); what is merged here are the numbers of a verdict,
and a property test compares them with both.

The same order tells whether a new bundle loosens an old one anywhere (``loosened``).

Spec: docs/spec/node.md, "Policy"; docs/spec/policy-lifecycle.md, "Four eyes".
"""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from math import lcm

from middleplatform.model.catalog import Catalog, Sharing, Use
from middleplatform.model.policy import (
    Bundle,
    ColumnRule,
    DatasetRule,
    Grant,
    Limits,
    Purpose,
    Withheld,
)
from middleplatform.policy import evaluate
from middleplatform.policy.bundle import canonical_form
from middleplatform.policy.tighten import SHARING_ORDER
from policies.documents import digest

__all__ = ["completed", "held_by", "loosened", "stricter", "stricter_points"]

_JOINS = ("helper", "blinded", "none")
_BUCKETS = ("month", "quarter", "year")
_FINEST = ("month", "quarter", "year", "")
_WAYS = {"plain": {"plain"}, "sealed": {"sealed"}, "both": {"plain", "sealed"}}


def held_by(department: str, catalog: Catalog) -> frozenset[str]:
    """Return the datasets of which a department holds rows."""
    return frozenset(
        name for name, dataset in catalog.datasets.items() if department in dataset.held_by
    )


def completed(own: Bundle, document: Bundle, held: Collection[str]) -> Bundle:
    """Return the own bundle with what it is silent about, and may be, as the document says.

    Args:
        own: The department's own file.
        document: As published.
        held: Datasets of which the department holds rows: silence about them denies.

    Returns:
        With the document's grants before the own ones, and its templates, since both are the platform's word.
    """
    others = {name: rule for name, rule in document.datasets.items() if name not in held}
    return replace(
        own,
        datasets={**others, **own.datasets},
        purposes={**document.purposes, **own.purposes},
        grants=tuple(dict.fromkeys((*document.grants, *own.grants))),
        templates=document.templates,
    )


def stricter(own: Bundle, document: Bundle) -> Bundle:
    """Return the rules under which nothing is permitted or shown that either of the two keeps back.

    Args:
        own: The department's own file, as ``completed`` gives it.
        document: As published.

    Returns:
        Named as the document; with its digest where it says the same, else with a digest of its own.
    """
    shared = own.datasets.keys() & document.datasets.keys()
    datasets = {
        name: _dataset(own.datasets[name], rule)
        for name, rule in document.datasets.items()
        if name in shared
    }
    purposes = {
        code: _purpose(own.purposes[code], stated)
        for code, stated in document.purposes.items()
        if code in own.purposes
    }
    merged = replace(
        document,
        datasets=datasets,
        purposes=purposes,
        grants=_grants(own, document),
        templates={
            name: template
            for name, template in document.templates.items()
            if own.templates.get(name) == template
        },
        limits=_limits(own.limits, document.limits),
    )
    if merged == document:
        return document
    return replace(merged, digest=digest(canonical_form(merged)))


def loosened(old: Bundle, new: Bundle) -> frozenset[str] | None:
    """Return the datasets in which ``new`` permits or shows what ``old`` keeps back; None where it does so nowhere.

    Empty where only purposes or limits are looser. Of grants, templates and probing it says nothing.

    Args:
        old: In force.
        new: Wanted.
    """
    bare = _bare(new)
    merged = _bare(stricter(_bare(old), bare))
    if replace(merged, digest=bare.digest) == bare:
        return None
    return frozenset(
        name for name, rule in bare.datasets.items() if merged.datasets.get(name) != rule
    )


def _bare(bundle: Bundle) -> Bundle:
    """Return the bundle without what lets nothing: denied columns, and the law that a withheld range cites."""
    datasets = {
        name: replace(
            rule,
            disclosure=evaluate.strictest([rule.disclosure]),
            columns={
                column: replace(each, withheld=_ranges(each.withheld))
                for column, each in rule.columns.items()
                if not evaluate.denied(each)
            },
        )
        for name, rule in bundle.datasets.items()
    }
    return replace(bundle, datasets=datasets, templates={})


def _ranges(withheld: Iterable[Withheld]) -> tuple[Withheld, ...]:
    pairs = sorted({(each.first, each.last) for each in withheld})
    return tuple(Withheld(first, last, "") for first, last in pairs)


def stricter_points(merged: Bundle, document: Bundle, most: int) -> tuple[str, ...]:
    """Return where the department's own file is stricter, as dotted paths, e.g. ``datasets.ga.population.join``.

    Args:
        merged: As ``stricter`` gives it.
        document: What it was made of.
        most: How many at most.
    """
    said = (canonical_form(merged), canonical_form(document))
    found: list[str] = []
    for path in _differing(*said, ()):
        if len(found) == most:
            break
        found.append(".".join(path))
    return tuple(found)


def _differing(one: object, other: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if one == other:
        return
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted(one.keys() | other.keys()):
            yield from _differing(one.get(name), other.get(name), (*path, str(name)))
        return
    yield path


# --- rule by rule -------------------------------------------------------------------------------------------------


def _purpose(own: Purpose, stated: Purpose) -> Purpose:
    return replace(stated, roles=own.roles & stated.roles)


def _dataset(own: DatasetRule, rule: DatasetRule) -> DatasetRule:
    return replace(
        rule,
        purposes=own.purposes & rule.purposes,
        disclosure=rule.disclosure
        if own.disclosure == rule.disclosure
        else evaluate.strictest([own.disclosure, rule.disclosure]),
        unit_breakpoints=_common(own.unit_breakpoints, rule.unit_breakpoints),
        columns={
            name: _column(own.columns[name], each)
            for name, each in rule.columns.items()
            if name in own.columns
        },
        join=max(own.join, rule.join, key=_JOINS.index),
    )


def _common(own: Iterable[Decimal], stated: Iterable[Decimal]) -> tuple[Decimal, ...]:
    known = set(own)
    return tuple(each for each in stated if each in known)


def _column(own: ColumnRule, rule: ColumnRule) -> ColumnRule:
    ways = _WAYS[own.release] & _WAYS[rule.release]
    uses = _uses(own.uses, rule.uses) if ways else frozenset({Use.DENIED})
    sharing = max(own.sharing, rule.sharing, key=SHARING_ORDER.index)
    return replace(
        rule,
        level=max(own.level, rule.level),
        sharing=sharing,
        law=rule.law if sharing is rule.sharing else own.law,
        uses=uses,
        breakpoints=_common(own.breakpoints, rule.breakpoints),
        finest=max(own.finest, rule.finest, key=_FINEST.index),
        generalise=_band(own.generalise, rule.generalise),
        bucket=_bucket(own.bucket, rule.bucket),
        release="both" if len(ways) > 1 else next(iter(ways), rule.release),
        min_units=max(own.min_units, rule.min_units),
        withheld=tuple(dict.fromkeys((*rule.withheld, *own.withheld))),
        cap=_cap(own.cap, rule.cap),
    )


def _uses(own: frozenset[Use], stated: frozenset[Use]) -> frozenset[Use]:
    """A denied column may be used for nothing; of two dimensions the sensitive one is stricter."""
    if Use.DENIED in own | stated:
        return frozenset({Use.DENIED})
    both = own & stated
    dimensions = {Use.DIMENSION, Use.SENSITIVE_DIMENSION}
    if own & dimensions and stated & dimensions and Use.SENSITIVE_DIMENSION in own | stated:
        both = (both - dimensions) | {Use.SENSITIVE_DIMENSION}
    return both or frozenset({Use.DENIED})


def _cap(own: Decimal | None, stated: Decimal | None) -> Decimal | None:
    """Return the lower cap; 0, under which nothing counts, where only one of the two has one.

    Neither of these is the stricter: without a cap a sum is refused wherever largest units must be judged, and let
    unbounded where they need not.
    """
    if own is None and stated is None:
        return None
    return Decimal(0) if own is None or stated is None else min(own, stated)


def _band(own: int, stated: int) -> int:
    """Return the narrowest band that is a multiple of both; 0 is none."""
    return lcm(own, stated) if own and stated else own or stated


def _bucket(own: str, stated: str) -> str:
    """Without a bucket a date is not grouped at all."""
    return max(own, stated, key=_BUCKETS.index) if own and stated else ""


def _limits(own: Limits, stated: Limits) -> Limits:
    """What looks like probing is counted at the gateway, by what was published."""
    numbers = [
        each.name
        for each in dataclasses.fields(Limits)
        if each.name not in ("projects", "answer_grid_ms", "probing")
    ]
    most = {name: min(getattr(own, name), getattr(stated, name)) for name in numbers}
    grid = max(own.answer_grid_ms, stated.answer_grid_ms)
    projects = _projects(own.projects, stated.projects)
    return replace(stated, **most, projects=projects, answer_grid_ms=grid)


def _projects(own: tuple[str, ...], stated: tuple[str, ...]) -> tuple[str, ...]:
    """``*`` stands for every project."""
    if "*" in own:
        return stated
    return own if "*" in stated else tuple(each for each in stated if each in own)


def _grants(own: Bundle, document: Bundle) -> tuple[Grant, ...]:
    """Return the document's grants, and the own ones for columns that only the own file makes conditional."""
    alone = frozenset(
        f"{dataset}.{name}"
        for dataset, rule in document.datasets.items()
        if dataset in own.datasets
        for name, column in rule.columns.items()
        if column.sharing is Sharing.UNCONDITIONAL
        and evaluate.needs_grant(evaluate.column_rule(own, dataset, name))
    )
    if not alone:
        return document.grants
    more = (
        replace(each, columns=_spelled(each, alone), own_data=False)
        for each in own.grants
        if each not in document.grants
    )
    return (*document.grants, *(each for each in more if each.columns))


def _spelled(grant: Grant, names: frozenset[str]) -> frozenset[str]:
    """Return those of ``names`` that the grant opens."""
    wide = tuple(each[:-1] for each in grant.columns if each.endswith(".*"))
    return frozenset(
        name for name in names if name in grant.columns or (wide and name.startswith(wide))
    )
