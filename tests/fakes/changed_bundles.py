"""Random changes to a bundle, of every kind that bears on a verdict: for comparisons of two bundles."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import strategies as st

from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.model.policy import Bundle
from middleplatform.model.request import Role

__all__ = ["COLUMN_CHANGES", "DISCLOSURE_CHANGES", "Changed", "changed"]

COLUMN_CHANGES = (
    {"uses": frozenset({Use.DENIED})}, {"uses": frozenset({Use.KEY})}, {"uses": frozenset({Use.DIMENSION})},
    {"sharing": Sharing.NOT_SHARED}, {"sharing": Sharing.CONDITIONAL}, {"sharing": Sharing.UNCONDITIONAL},
    {"level": Level.IMPORTANT}, {"level": Level.GENERAL_4}, {"release": "sealed"}, {"release": "both"},
    {"min_units": 30}, {"breakpoints": ()}, {"generalise": 20}, {"finest": "year"},
)  # fmt: skip
_DATASET = (
    {"join": "none"}, {"join": "blinded"}, {"purposes": frozenset()}, {"columns": {}},
    {"purposes": frozenset({"statistics", "planning", "emergency"})}, {"unit_breakpoints": ()},
)  # fmt: skip
DISCLOSURE_CHANGES = (
    {"method": "exact"}, {"method": "noise"}, {"method": "table"}, {"min_units": 25}, {"privacy": None},
    {"p_percent": 20}, {"noise_max": 9},
)  # fmt: skip
_GRANT = (
    {"regions": ("990101",)}, {"operations": frozenset({"count"})}, {"departments": frozenset({"stats"})},
    {"subjects": frozenset({"analyst_stats"})}, {"columns": frozenset({"health.encounter_year.*"})},
    {"columns": frozenset({"ss.insurance.*", "ga.population.*", "tax.individual_income.*"})}, {"basis": ""},
    {"purposes": frozenset({"planning", "statistics", "emergency"})},
)  # fmt: skip
_LIMITS = (
    {"sql_characters_max": 90}, {"depth_max": 1}, {"joins_max": 1}, {"group_columns_max": 1},
    {"projects": ()}, {"projects": ("*",)}, {"join_rows_max": 10},
)  # fmt: skip


@dataclass(frozen=True)
class Changed:
    """A bundle and what was changed of another; it is shown by its changes alone."""

    bundle: Bundle = field(repr=False)
    changes: tuple[str, ...] = ()


@st.composite
def changed(draw, bundle, moments):
    """Return ``bundle`` with one to four changes; what ends or begins anew does so around one of ``moments``."""
    told = []
    for _ in range(draw(st.integers(1, 4))):
        part = draw(st.sampled_from(sorted(_PART)))
        bundle, change = _PART[part](draw, bundle, moments)
        told.append(f"{part} {change}")
    digest = hashlib.sha256(repr(bundle).encode()).hexdigest()
    return Changed(replace(bundle, digest=digest), tuple(told))


def _columns(draw, bundle, _):
    name = draw(st.sampled_from(sorted(bundle.datasets)))
    rules = bundle.datasets[name].columns
    if not rules:
        return bundle, ""
    column = draw(st.sampled_from(sorted(rules)))
    change = draw(st.sampled_from(COLUMN_CHANGES))
    columns = {**rules, column: replace(rules[column], **change)}
    return _with(bundle, name, columns=columns), f"{name}.{column} {change}"


def _datasets(draw, bundle, _):
    name = draw(st.sampled_from(sorted(bundle.datasets)))
    change = draw(st.sampled_from(_DATASET))
    return _with(bundle, name, **change), f"{name} {change}"


def _disclosures(draw, bundle, _):
    change = draw(st.sampled_from(DISCLOSURE_CHANGES))
    names = sorted(draw(st.sets(st.sampled_from(sorted(bundle.datasets)), min_size=1)))
    for name in names:
        disclosure = replace(bundle.datasets[name].disclosure, **change)
        bundle = _with(bundle, name, disclosure=disclosure)
    return bundle, f"{names} {change}"


def _grants(draw, bundle, moments):
    if not bundle.grants:
        return bundle, ""
    place = draw(st.integers(0, len(bundle.grants) - 1))
    before, grant, after = bundle.grants[:place], bundle.grants[place], bundle.grants[place + 1 :]
    if draw(st.integers(0, 5)) == 0:
        return replace(bundle, grants=before + after), f"without {grant.id}"
    beside = timedelta(microseconds=draw(st.integers(-1, 1)))
    turn = draw(st.sampled_from(sorted(moments))) + beside
    when = draw(st.sampled_from([{"starts": turn}, {"ends": turn}, {}]))
    change = draw(st.sampled_from(_GRANT)) if not when or draw(st.booleans()) else {}
    changes = {**when, **change}
    return replace(bundle, grants=(*before, replace(grant, **changes), *after)), f"{changes}"


def _limits(draw, bundle, _):
    change = draw(st.sampled_from(_LIMITS))
    return replace(bundle, limits=replace(bundle.limits, **change)), f"{change}"


def _purposes(draw, bundle, _):
    code = draw(st.sampled_from(sorted(bundle.purposes)))
    roles = draw(st.sampled_from([frozenset(), frozenset(Role)]))
    stated = replace(bundle.purposes[code], roles=roles)
    return replace(bundle, purposes={**bundle.purposes, code: stated}), f"{code} {roles}"


_PART = {
    "columns": _columns, "datasets": _datasets, "disclosures": _disclosures, "grants": _grants,
    "limits": _limits, "purposes": _purposes,
}  # fmt: skip


def _with(bundle, name, **changes):
    rule = replace(bundle.datasets[name], **changes)
    return replace(bundle, datasets={**bundle.datasets, name: rule})
