"""Judge single facts by a bundle. Pure and total: nothing raises, and the unknown is denied.

Authorization and the department's own check both call these, so that a rule is written once.
What is missing never gives a value that a caller could take for "no limit".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.model.policy import (
    METHODS,
    Bundle,
    ColumnRule,
    DatasetRule,
    DisclosureParameters,
    Grant,
    PrivacyRule,
    Purpose,
    Withheld,
)
from middleplatform.model.request import Role, Subject, same_person
from middleplatform.policy import regions

__all__ = [
    "DENIED",
    "NEVER",
    "OPERATIONS",
    "Threshold",
    "active_grants",
    "binds",
    "column_rule",
    "covers",
    "dataset_rule",
    "denied",
    "disclosure",
    "min_units",
    "needs_grant",
    "own_data",
    "purpose",
    "purpose_permits",
    "region_scope",
    "strictest",
    "threshold",
    "withheld",
]

NEVER = 2**63 - 1
"""A threshold that no population reaches: what the unknown gets."""

DENIED = ColumnRule(
    level=Level.CORE,
    sharing=Sharing.NOT_SHARED,
    law="",
    uses=frozenset({Use.DENIED}),
    min_units=NEVER,
)
"""The rule of a column that the bundle does not know."""

OPERATIONS = frozenset({"join", "filter", "group", "aggregate", "count"})


@dataclass(frozen=True, slots=True)
class Threshold:
    """The highest threshold of a query and who imposed it.

    Attributes:
        units: Distinct protected units; ``NEVER`` where something is unknown.
        dataset: Whose rule it is.
        column: Column whose rule it is; empty for the dataset's own.
        owner: Department that imposed it; empty where unknown.
    """

    units: int
    dataset: str = ""
    column: str = ""
    owner: str = ""


def dataset_rule(bundle: Bundle, name: str) -> DatasetRule | None:
    """Return the rule of dataset ``name``; None means that it is denied."""
    return bundle.datasets.get(name)


def column_rule(bundle: Bundle, dataset: str, column: str) -> ColumnRule:
    """Return the rule of a column; ``DENIED`` for an unknown dataset or column."""
    rule = bundle.datasets.get(dataset)
    return rule.columns.get(column, DENIED) if rule else DENIED


def denied(rule: ColumnRule) -> bool:
    """Say whether the column stands nowhere (R1).

    That is: denied, not shared, without any use, or above the general levels. No approved template
    opens such a column either: important and core data are not asked here at all.
    """
    return (
        rule.sharing is Sharing.NOT_SHARED
        or Use.DENIED in rule.uses
        or not rule.uses
        or rule.level >= Level.IMPORTANT
    )


def needs_grant(rule: ColumnRule) -> bool:
    """Say whether the column needs a case-by-case approval: all but unconditional sharing does."""
    return rule.sharing is not Sharing.UNCONDITIONAL


def withheld(rule: ColumnRule, code: str) -> Withheld | None:
    """Return the withheld range that ``code`` touches, or None.

    Args:
        rule: Of a dimension.
        code: A code (``"F32.1"``), a stem (``"F3"``) or a block (``"F10-F19"``), any case.
    """
    parts = [part.strip() for part in code.upper().split("-")]
    low, high = min(parts), max(parts)
    for each in rule.withheld:
        first, last = each.first.upper(), each.last.upper()
        starts_before_end = low[: len(last)] <= last
        ends_after_start = high >= first or first.startswith(high)
        if starts_before_end and ends_after_start:
            return each
    return None


def purpose(bundle: Bundle, code: str) -> Purpose | None:
    """Return the purpose ``code``; None means that it may not be stated."""
    return bundle.purposes.get(code)


def purpose_permits(bundle: Bundle, subject: Subject, code: str, dataset: str) -> bool:
    """Say whether ``subject`` may ask ``dataset`` for purpose ``code`` (G2)."""
    stated = bundle.purposes.get(code)
    rule = bundle.datasets.get(dataset)
    if stated is None or rule is None:
        return False
    return bool(stated.roles & subject.roles) and code in rule.purposes


def active_grants(
    bundle: Bundle, subject: Subject, purpose: str, now: datetime
) -> tuple[Grant, ...]:
    """Return the grants that bind ``subject`` for ``purpose`` at ``now``, in bundle order.

    A grant without a basis binds nobody (decree 809 art. 20); when ``now`` has no zone, none does.
    """
    return binds(bundle.grants, subject, purpose, now)


def binds(
    grants: Iterable[Grant], subject: Subject, purpose: str, now: datetime
) -> tuple[Grant, ...]:
    """Return those of ``grants`` that bind ``subject`` for ``purpose`` at ``now``, in order."""
    return tuple(
        grant
        for grant in grants
        if purpose in grant.purposes and grant.basis.strip() and _binds(grant, subject)
        if _holds(grant, now)
    )


def _binds(grant: Grant, subject: Subject) -> bool:
    """A named person must still be of a named department: who moves loses the grant."""
    if grant.subjects and not any(same_person(each, subject.id) for each in grant.subjects):
        return False
    if grant.departments:
        return subject.department in grant.departments
    return bool(grant.subjects)


def _holds(grant: Grant, now: datetime) -> bool:
    moments = (grant.starts, now, grant.ends)
    if any(each.utcoffset() is None for each in moments):
        return False
    return grant.starts <= now < grant.ends


def covers(
    grants: Iterable[Grant],
    dataset: str,
    column: str,
    operation: str,
    region: str | None = None,
) -> Grant | None:
    """Return the first grant that permits ``operation`` on ``dataset.column``, or None.

    Args:
        grants: Active ones.
        dataset: ``"department.table"``.
        column: Its column.
        operation: One of ``OPERATIONS``; anything else is permitted by no grant.
        region: Region of the rows; None asks for any region, and the caller then filters rows by
            ``region_scope``.
    """
    names = {f"{dataset}.{column}", f"{dataset}.*"}
    for grant in grants:
        if operation not in OPERATIONS or operation not in grant.operations:
            continue
        if not names & grant.columns:
            continue
        if region is None or any(regions.covers(each, region) for each in grant.regions):
            return grant
    return None


def region_scope(subject: Subject, grants: Iterable[Grant] = ()) -> tuple[str, ...]:
    """Return the regions whose rows may be read, sorted.

    Args:
        subject: Bounds them always.
        grants: Those that the query rests on; each one bounds them further.

    Returns:
        ``("*",)`` for everywhere; an empty tuple means no row at all.
    """
    scope = regions.intersect(subject.regions, subject.regions)
    for grant in grants:
        scope = regions.intersect(scope, grant.regions)
    return scope


def threshold(
    bundle: Bundle, columns: Iterable[tuple[str, str]], datasets: Iterable[str] = ()
) -> Threshold:
    """Return the highest threshold over everything that a query names (policy.md, ``min_units``).

    Args:
        bundle: The policy.
        columns: (dataset, column) pairs, in whatever clause they stand.
        datasets: Datasets that are read, also where no column of theirs is named (``COUNT(*)``).

    Returns:
        ``NEVER`` units where any of them is unknown; the default threshold where there are none.
    """
    pairs = tuple(columns)
    named = [(name, "") for name in (*datasets, *(dataset for dataset, _ in pairs))]
    found = [_threshold(bundle, dataset, column) for dataset, column in (*named, *pairs)]
    return max(
        found, key=lambda each: each.units, default=Threshold(DisclosureParameters().min_units)
    )


def _threshold(bundle: Bundle, dataset: str, column: str) -> Threshold:
    rule = bundle.datasets.get(dataset)
    if rule is None:
        return Threshold(NEVER, dataset, column)
    if not column:
        return Threshold(rule.disclosure.min_units, dataset, "", rule.owner)
    return Threshold(rule.columns.get(column, DENIED).min_units, dataset, column, rule.owner)


def min_units(
    bundle: Bundle, columns: Iterable[tuple[str, str]], datasets: Iterable[str] = ()
) -> int:
    """Return the units of ``threshold``."""
    return threshold(bundle, columns, datasets).units


def disclosure(
    bundle: Bundle, columns: Iterable[tuple[str, str]], datasets: Iterable[str] = ()
) -> DisclosureParameters:
    """Return the parameters for a query over several datasets: of each number the strictest.

    Args:
        bundle: The policy.
        columns: (dataset, column) pairs.
        datasets: Datasets that are read.
    """
    pairs, tables = tuple(columns), tuple(datasets)
    names = dict.fromkeys((*tables, *(dataset for dataset, _ in pairs)))
    rules = [rule.disclosure for name in names if (rule := bundle.datasets.get(name))]
    if len(rules) < len(names) or not rules:
        rules.append(DisclosureParameters())
    return replace(strictest(rules), min_units=min_units(bundle, pairs, tables))


def strictest(rules: Sequence[DisclosureParameters]) -> DisclosureParameters:
    """Return of each number the strictest.

    Args:
        rules: At least one.
    """
    return DisclosureParameters(
        min_units=max(rule.min_units for rule in rules),
        dominance=tuple(sorted({pair for rule in rules for pair in rule.dominance})),
        p_percent=max(rule.p_percent for rule in rules),
        homogeneity=any(rule.homogeneity for rule in rules),
        history=any(rule.history for rule in rules),
        method=max((rule.method for rule in rules), key=METHODS.index),
        noise_max=max(rule.noise_max for rule in rules),
        noise_variance=max(rule.noise_variance for rule in rules),
        noise_js=max(rule.noise_js for rule in rules),
        magnitude_percent=max(rule.magnitude_percent for rule in rules),
        interval_percent=max(rule.interval_percent for rule in rules),
        overlaps_max=min((rule.overlaps_max for rule in rules if rule.overlaps_max), default=0),
        noise_below=max(rule.noise_below for rule in rules),
        privacy=_privacy([rule.privacy for rule in rules]),
    )


def _privacy(rules: Sequence[PrivacyRule | None]) -> PrivacyRule | None:
    """Return the strictest of each number, or None where any dataset does not offer tier D."""
    offered = [rule for rule in rules if rule is not None]
    if len(offered) < len(rules):
        return None
    return PrivacyRule(
        rho=min(rule.rho for rule in offered),
        delta=min(rule.delta for rule in offered),
        groups=min(rule.groups for rule in offered),
        rows=min(rule.rows for rule in offered),
        rho_snapshot=min(rule.rho_snapshot for rule in offered),
        rho_project=min(rule.rho_project for rule in offered),
        rho_analyst=min(rule.rho_analyst for rule in offered),
    )


def own_data(
    bundle: Bundle, subject: Subject, grants: Iterable[Grant], datasets: Iterable[str]
) -> Grant | None:
    """Return the grant under which a steward sees cells of any size of the department's own data.

    Every dataset must belong to the subject's department and be named by that one grant.
    """
    names = tuple(datasets)
    if Role.DEPARTMENT_STEWARD not in subject.roles or not names:
        return None
    owners = {rule.owner if (rule := bundle.datasets.get(name)) else "" for name in names}
    if owners != {subject.department}:
        return None
    for grant in grants:
        named = {column.rpartition(".")[0] for column in grant.columns}
        if grant.own_data and named.issuperset(names):
            return grant
    return None
