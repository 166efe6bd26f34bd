"""Random changes of a bundle, as officers and slips of officers make them, over a cut of the made world."""

import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from hypothesis import strategies as st
from made_templates import TEMPLATE

from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.model.policy import METHODS, PrivacyRule, Purpose, Withheld
from middleplatform.model.request import Role

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "sql"))

import made_world as made

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
_COLUMNS = {
    "ga.person": ("id", "region", "birth_year", "born", "diagnosis"),
    "tax.payer": ("id", "paid"),
}


def _cut(datasets, **changes):
    return {
        name: replace(datasets[name], columns={each: datasets[name].columns[each] for each in columns}, **changes)
        for name, columns in _COLUMNS.items()
    }  # fmt: skip


CATALOG = replace(
    made.CATALOG,
    departments={code: made.CATALOG.departments[code] for code in ("drc", "ga")},
    datasets=_cut(made.CATALOG.datasets),
)
BUNDLE = replace(
    made.WITHHOLDING,
    datasets=_cut(made.WITHHOLDING.datasets, unit_breakpoints=(Decimal(3),)),
    grants=(
        made.make_grant(ends=NOW + timedelta(days=90)),
        replace(made.OWN, columns=frozenset({"ga.person.*"}), ends=NOW + timedelta(days=90)),
    ),
)

_POINTS = st.lists(st.sampled_from([0, 6, 100]), max_size=2, unique=True).map(
    lambda points: tuple(map(Decimal, sorted(points)))
)
_SOME_PURPOSES = st.frozensets(st.sampled_from(["statistics", "data_quality"]), max_size=2)
_USES = st.frozensets(st.sampled_from([*Use]), max_size=2)
_RANGES = [
    Withheld("F10", "F69", "法"), Withheld("F20", "F40", "法"), Withheld("B20", "B24", "法"),
    Withheld("F10", "F69", "另法"),
]  # fmt: skip
_MOMENTS = st.sampled_from([NOW + timedelta(days=days) for days in (-400, 0, 30, 90)])

_COLUMN = {
    "level": st.sampled_from([*Level]),
    "sharing": st.sampled_from([*Sharing]),
    "law": st.sampled_from(["", "统计法"]),
    "uses": _USES,
    "unit": st.sampled_from(["", "person", "firm"]),
    "breakpoints": _POINTS,
    "finest": st.sampled_from(["", "month", "quarter", "year"]),
    "generalise": st.sampled_from([0, 5, 6, 10]),
    "bucket": st.sampled_from(["", "month", "year"]),
    "release": st.sampled_from(["plain", "sealed", "both"]),
    "min_units": st.sampled_from([0, 5, 20, 30]),
    "withheld": st.lists(st.sampled_from(_RANGES), max_size=2, unique=True).map(tuple),
    "cap": st.sampled_from([None, Decimal(5), Decimal(9)]),
}
_DISCLOSURE = {
    "min_units": st.sampled_from([1, 5, 10, 20, 30]),
    "dominance": st.sampled_from([(), ((1, 50),), ((1, 50), (2, 67)), ((2, 90),)]),
    "p_percent": st.sampled_from([0, 10, 20]),
    "homogeneity": st.booleans(),
    "history": st.booleans(),
    "method": st.sampled_from(METHODS),
    "noise_max": st.sampled_from([5, 7]),
    "noise_variance": st.sampled_from([3, 4]),
    "noise_js": st.sampled_from([1, 2]),
    "magnitude_percent": st.sampled_from([10, 20]),
    "interval_percent": st.sampled_from([10, 20]),
    "overlaps_max": st.sampled_from([0, 5, 12]),
    "noise_below": st.sampled_from([0, 50]),
    "privacy": st.sampled_from([None, PrivacyRule(), PrivacyRule(rho=Fraction(1, 10), groups=5)]),
}
_GRANT = {
    "departments": st.frozensets(st.sampled_from(["drc", "ga"]), max_size=2),
    "subjects": st.sampled_from([frozenset(), frozenset({"li"})]),
    "purposes": _SOME_PURPOSES,
    "columns": st.frozensets(
        st.sampled_from(["tax.payer.*", "tax.payer.paid", "tax.payer.id", "ga.person.*"]), max_size=3
    ),
    "operations": st.frozensets(
        st.sampled_from(["join", "filter", "group", "aggregate", "count"]), min_size=1
    ),
    "regions": st.sampled_from([("*",), ("990101",), ("990100",), ("990101", "990102"), ()]),
    "starts": _MOMENTS,
    "ends": _MOMENTS,
    "basis": st.sampled_from(["", "统计法", "条例"]),
    "own_data": st.booleans(),
}  # fmt: skip
_LIMITS = {
    "group_columns_max": st.sampled_from([2, 3]),
    "projects": st.sampled_from([(), ("other",), ("*",)]),
    "answer_grid_ms": st.sampled_from([0, 250]),
    "joins_max": st.sampled_from([4, 8]),
}


_TEMPLATE = {
    "sql": st.sampled_from(["SELECT region FROM ga.person", "SELECT COUNT(*) AS n FROM tax.payer", "?"]),
    "parameters": st.sampled_from([(), (("a", ("1", "2")),), (("a", ("1",)),), (("b", ("1",)),)]),
    "departments": st.frozensets(st.sampled_from(["drc", "ga"]), max_size=2),
    "subjects": st.sampled_from([frozenset(), frozenset({"li"}), frozenset({"wu"})]),
    "purposes": _SOME_PURPOSES,
    "regions": _GRANT["regions"],
    "starts": _MOMENTS,
    "ends": _MOMENTS,
    "basis": _GRANT["basis"],
}  # fmt: skip


def _changed(draw, value, choices):
    field = draw(st.sampled_from(sorted(choices)))
    return replace(value, **{field: draw(choices[field])})


def _in_dataset(draw, bundle, change):
    name = draw(st.sampled_from(sorted(bundle.datasets)))
    return replace(bundle, datasets={**bundle.datasets, name: change(bundle.datasets[name])})


def _column(draw, bundle):
    def change(rule):
        if not rule.columns:
            return rule
        name = draw(st.sampled_from(sorted(rule.columns)))
        changed = _changed(draw, rule.columns[name], _COLUMN)
        return replace(rule, columns={**rule.columns, name: changed})

    return _in_dataset(draw, bundle, change)


def _without_column(draw, bundle):
    def change(rule):
        gone = draw(st.sampled_from(["", *sorted(rule.columns)]))
        return replace(rule, columns={name: each for name, each in rule.columns.items() if name != gone})  # fmt: skip

    return _in_dataset(draw, bundle, change)


def _dataset(draw, bundle):
    choices = {"purposes": _SOME_PURPOSES, "unit_breakpoints": _POINTS, "join": st.sampled_from(["helper", "blinded", "none"])}  # fmt: skip
    return _in_dataset(draw, bundle, lambda rule: _changed(draw, rule, choices))


def _disclosure(draw, bundle):
    return _in_dataset(
        draw, bundle, lambda rule: replace(rule, disclosure=_changed(draw, rule.disclosure, _DISCLOSURE))
    )  # fmt: skip


def _without_dataset(draw, bundle):
    gone = draw(st.sampled_from(sorted(bundle.datasets)))
    kept = {name: each for name, each in bundle.datasets.items() if name != gone}
    return replace(bundle, datasets=kept or bundle.datasets)


def _purposes(draw, bundle):
    code = draw(st.sampled_from(["statistics", "data_quality"]))
    roles = draw(st.frozensets(st.sampled_from([Role.ANALYST, Role.DEPARTMENT_STEWARD, Role.AUDITOR])))  # fmt: skip
    if not roles:
        return replace(bundle, purposes={name: each for name, each in bundle.purposes.items() if name != code})  # fmt: skip
    return replace(bundle, purposes={**bundle.purposes, code: Purpose(code, "目的", code, roles)})


def _grant(draw, bundle):
    place = draw(st.integers(0, len(bundle.grants)))
    grants = list(bundle.grants)
    if place == len(grants):
        fresh = made.make_grant(id=f"G-{draw(st.integers(2, 4))}", columns=frozenset({"tax.payer.*"}))  # fmt: skip
        grants.append(_changed(draw, fresh, _GRANT))
    elif draw(st.integers(0, 3)):
        grants[place] = _changed(draw, grants[place], _GRANT)
    elif draw(st.booleans()):
        grants.reverse()
    else:
        del grants[place]
    return replace(bundle, grants=tuple(grants))


def _template(draw, bundle):
    name = draw(st.sampled_from(["education", "other"]))
    if name in bundle.templates and draw(st.booleans()):
        return replace(bundle, templates={each: kept for each, kept in bundle.templates.items() if each != name})  # fmt: skip
    found = bundle.templates.get(name, replace(TEMPLATE, name=name))
    return replace(bundle, templates={**bundle.templates, name: _changed(draw, found, _TEMPLATE)})


def _rest(draw, bundle):
    if draw(st.booleans()):
        return replace(bundle, limits=_changed(draw, bundle.limits, _LIMITS))
    choices = {"version": st.sampled_from(["1", "2"]), "effective": st.sampled_from([date(2026, 1, 1), date(2026, 5, 1)])}  # fmt: skip
    return _changed(draw, bundle, choices)


_CHANGES = (_column, _column, _column, _grant, _grant, _grant, _grant, _dataset, _disclosure, _purposes, _without_column, _without_dataset, _template, _rest)  # fmt: skip


@st.composite
def bundles(draw, start=BUNDLE, changes=(0, 2)):
    """Draw ``start`` with some changes."""
    found = start
    for _ in range(draw(st.integers(*changes))):
        found = draw(st.sampled_from(_CHANGES))(draw, found)
    return found


_LINES = (
    (Use.KEY, ("release",)), (Use.DIMENSION, ("generalise", "withheld")), (Use.DATE, ("finest", "bucket")),
    (Use.MEASURE, ("breakpoints",)),
)  # fmt: skip


@st.composite
def column_pairs(draw):
    """Draw two bundles that differ in one thing that bears on a column, and that column."""
    dataset = draw(st.sampled_from(sorted(_COLUMNS)))
    column = draw(st.sampled_from(_COLUMNS[dataset]))
    kind, lines = draw(st.sampled_from(_LINES))
    same = {"uses": frozenset({kind}), "finest": "quarter", "breakpoints": (Decimal(6),)}
    field = draw(st.sampled_from([*lines, *lines, "uses", ""]))
    values = draw(st.lists(_COLUMN.get(field, _POINTS), min_size=2, max_size=2, unique=True))
    pair = []
    for value in values:
        bundle = made.with_column(
            BUNDLE, dataset, column, **{**same, **({field: value} if field else {})}
        )
        points = BUNDLE.datasets[dataset].unit_breakpoints if field else value
        pair.append(made.with_dataset(bundle, dataset, unit_breakpoints=points))
    return pair, dataset, column


@st.composite
def pairs(draw):
    """Draw two bundles, the second of which came from the first by one to three changes."""
    old = draw(bundles())
    return old, draw(bundles(old, (1, 3)))
