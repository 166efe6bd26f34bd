"""Exact tables at a node: all that is released of a table and its margins, taken together, tells no withheld value."""

import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import product

import made_platform
import made_world as made
import numpy as np
import pytest
from table_worlds import exact

from middleplatform.disclosure.disclose import disclose
from middleplatform.disclosure.secondary import share
from middleplatform.disclosure.table_attack import NO_BOUND, Relation, Table, intervals
from middleplatform.errors import LimitError
from middleplatform.model.policy import DisclosureParameters
from middleplatform.node import table_cube
from middleplatform.node.protected import Margins, _Pattern, protect
from middleplatform.node.table_levels import levels_of
from middleplatform.planner.layout import layout_of

K = 10
PARAMETERS = DisclosureParameters(method="table", history=False)
CITIES = {
    "990101": "990100",
    "990102": "990100",
    "990103": "990100",
    "990201": "990200",
    "990202": "990200",
}


def people(count=900, seed=3):
    """Return persons and incomes in five regions of two cities, some of them small."""
    draw = random.Random(seed)
    rows = {"person": [], "income": []}
    for number in range(count):
        region = draw.choices(list(CITIES), [50, 30, 4, 20, 3])[0]
        born = date(2020 + draw.randint(0, 1), draw.randint(1, 12), 1)
        rows["person"].append((
            f"P{number:05}", number // 3, f"名{number}", region, draw.choice("12"), 1950 + 5 * int(draw.triangular(0, 6, 2)), born,
            draw.random() < 0.5, draw.randint(1, 20), draw.choices(["A01", "F32", "J45"], [80, 15, 5])[0],
        ))  # fmt: skip
        for _ in range(draw.choice([0, 1, 1, 2])):
            amount = Decimal(int(draw.lognormvariate(8, 1)))
            rows["income"].append((
                f"P{number:05}", f"F{draw.randint(1, 30):02}", draw.choice([2022, 2023, 2024]), draw.choice(["工资", "经营"]), amount, 1, date(2024, 1, 15),
            ))  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def exact_world(tmp_path_factory):
    with made.World(tmp_path_factory.mktemp("exact"), people()) as opened:
        yield opened


def released(world, sql, parameters=PARAMETERS, sensitive=()):
    """Return (labels, evidence, marks before, marks after) of a block's cells."""
    cell = made.cell(sql)
    layout = layout_of(cell, made.CATALOG)
    measured = world.source.measure(cell, layout)
    before = disclose(layout, measured.evidence, parameters)
    after = before.copy()
    protect(
        cell, layout, measured, after, parameters, Margins(world.source, made.CATALOG, sensitive)
    )
    labels = [measured.table[item.name].to_pylist() for item in cell.dimensions]
    keys = list(zip(*labels, strict=True)) if labels else [()]
    return keys, measured.evidence, before, after


def together(world, dimensions, aggregate, source, values_of):
    """Ask a table and each of its margins, and put all cells into one table: (table, hidden, keys of cells)."""
    names, values, hidden, marks = [], [], [], []
    for kept in product((True, False), repeat=len(dimensions)):
        chosen = [name for name, keep in zip(dimensions, kept, strict=True) if keep]
        group = f" GROUP BY {', '.join(chosen)}" if chosen else ""
        asked = ", ".join([*chosen, aggregate])
        keys, evidence, _, after = released(world, f"SELECT {asked} FROM {source}{group}")
        for key, value, mark in zip(keys, values_of(evidence), after[:, 0], strict=True):
            left = iter(key)
            names.append(tuple(next(left) if keep else "*" for keep in kept))
            values.append(value)
            hidden.append(mark is not None)
            marks.append(mark)
    index = {name: place for place, name in enumerate(names)}
    relations = []
    for name in names:
        for axis, label in enumerate(name):
            if label == "*":
                parts = [
                    other
                    for other in names
                    if other[axis] != "*" and (*other[:axis], "*", *other[axis + 1 :]) == name
                ]
                relations.append(Relation(index[name], tuple(index[part] for part in parts)))
    bounds = exact([0] * len(values)), exact([NO_BOUND] * len(values))
    return Table(exact(values), *bounds, relations), np.array(hidden), names, marks


@pytest.mark.parametrize("dimensions", [
    ("region", "birth_year"), ("region", "diagnosis"), ("region", "birth_year", "sex"),
])  # fmt: skip
def test_a_table_and_its_margins_asked_one_by_one_tell_no_withheld_count(exact_world, dimensions):
    table, hidden, names, marks = together(
        exact_world, dimensions, "COUNT(*)", "ga.person", lambda evidence: evidence.rows[:, 0]
    )
    assert "secondary" in marks
    low, high = intervals(table, hidden)
    for place in np.flatnonzero(hidden):
        if low[place] is not None and high[place] is not None:
            assert high[place] - low[place] >= share(table.values, 20)[place], names[place]
    # With what the marks say besides: no small count is known exactly.
    small = np.array([mark == "threshold" for mark in marks])
    least = exact([1 if each else (K if mark == "secondary" and value >= K else 0)
                   for each, mark, value in zip(small, marks, table.values, strict=True)])  # fmt: skip
    most = exact([K - 1 if each else NO_BOUND for each in small])
    low, high = intervals(Table(table.values, least, most, table.relations), hidden)
    assert all(high[place] > low[place] for place in np.flatnonzero(small))


def test_only_the_primary_rules_would_not_do(exact_world):
    table, hidden, _, marks = together(
        exact_world,
        ("region", "birth_year"),
        "COUNT(*)",
        "ga.person",
        lambda evidence: evidence.rows[:, 0],
    )
    primary = np.array([mark not in (None, "secondary") for mark in marks])
    low, high = intervals(table, primary & hidden)
    assert any(high[place] == low[place] for place in np.flatnonzero(primary))


def test_sums_of_a_table_and_its_margins_tell_no_withheld_sum(exact_world):
    table, hidden, names, _ = together(
        exact_world, ("p.region", "i.year", "i.kind"), "SUM(i.amount)", "ga.person AS p JOIN ga.income AS i ON i.id = p.id", lambda evidence: evidence.magnitudes[0].total
    )  # fmt: skip
    low, high = intervals(table, hidden)
    assert hidden.any()
    for place in np.flatnonzero(hidden):
        if high[place] is not None:
            assert high[place] - low[place] >= share(table.values, 20)[place], names[place]


def judged(world, sql):
    """Return what the only count of a block withholds, by combination of levels."""
    cell = made.cell(sql)
    layout = layout_of(cell, made.CATALOG)
    measured = world.source.measure(cell, layout)
    margins = Margins(world.source, made.CATALOG, ())
    parameters = replace(PARAMETERS, min_units=40)
    cube = table_cube.cube_of(cell, layout, measured, parameters, margins)
    family = table_cube.families_of(layout)[0]
    found = _Pattern(layout, parameters, cube, family, 0, None).judged()
    return {vector: flags.tolist() for vector, flags in found.hidden.items()}


def test_a_later_margin_withholds_what_the_table_took_it_to_withhold(exact_world):
    of_both = judged(
        exact_world,
        "SELECT region, birth_year, COUNT(*) FROM ga.person GROUP BY region, birth_year",
    )
    of_region = judged(exact_world, "SELECT region, COUNT(*) FROM ga.person GROUP BY region")
    assert max(of_both) == (2, 1), "two levels of regions above the districts: cities, and all"
    assert {vector[:1]: flags for vector, flags in of_both.items() if vector[1] == 1} == of_region
    assert any(of_region[(0,)])
    assert any(of_both[(0, 0)])


def test_an_average_never_gives_away_a_withheld_count(exact_world):
    keys, _, _, marks = released(
        exact_world,
        "SELECT region, birth_year, COUNT(*), SUM(education), AVG(education), COUNT(DISTINCT id) FROM ga.person GROUP BY region, birth_year",
    )
    count, total, mean, units = marks.T
    assert len(keys) == len(marks)
    assert any(mark == "secondary" for mark in count)
    for row in range(len(marks)):
        if count[row] is not None:
            assert None not in (total[row], mean[row], units[row])
        if total[row] is not None:
            assert mean[row] is not None


def test_levels_of_a_region_code_are_protected_too(exact_world):
    keys, evidence, _, marks = released(
        exact_world, "SELECT region, sex, COUNT(*) FROM ga.person GROUP BY region, sex"
    )
    hidden = np.array([mark is not None for mark in marks[:, 0]])
    values = evidence.rows[:, 0]
    for city, sex in product(set(CITIES.values()), "12"):
        inside = [
            place for place, key in enumerate(keys) if CITIES[key[0]] == city and key[1] == sex
        ]
        out = [place for place in inside if hidden[place]]
        assert len(out) != 1, "a city's total gives away its only withheld district"
        assert not out or values[out].sum() >= K


def test_withheld_conditions_of_a_cell_go_together(exact_world):
    _, _, _, marks = released(
        exact_world,
        "SELECT birth_year, COUNT(*) FILTER (WHERE sex = '1'), COUNT(*) FILTER (WHERE diagnosis = 'J45'),"
        " COUNT(*) FILTER (WHERE diagnosis = 'A01') FROM ga.person GROUP BY birth_year",
    )
    assert any(mark is not None for mark in marks.ravel())
    for row in marks:
        assert all(mark is None for mark in row) or all(mark is not None for mark in row)


def test_a_table_that_cannot_be_protected_is_withheld_under_one_mark(tmp_path):
    # Two counts of nine, known to be below ten, and their total: whoever reads the marks would know both.
    rows = people(18)
    rows["person"] = [
        (*row[:3], list(CITIES)[3 * (place % 2)], *row[4:])
        for place, row in enumerate(rows["person"])
    ]
    with made.World(tmp_path, rows) as world:
        sql = "SELECT region, COUNT(*), COUNT(DISTINCT id) FROM ga.person GROUP BY region"
        _, evidence, before, after = released(world, sql)
        assert evidence.rows[:, 0].tolist() == [9, 9]
        assert before.tolist() == [["threshold", "threshold"]] * 2
        assert after.tolist() == [["secondary", "secondary"]] * 2


def test_what_nobody_needs_to_hide_is_shown(exact_world):
    _, _, before, after = released(exact_world, "SELECT sex, COUNT(*) FROM ga.person GROUP BY sex")
    assert before.tolist() == after.tolist() == [[None], [None]]


def test_a_block_without_dimensions_has_no_margins(exact_world):
    _, _, before, after = released(exact_world, "SELECT COUNT(*), AVG(education) FROM ga.person")
    assert before.tolist() == after.tolist()


def test_a_table_without_a_cell_is_answered_as_one(exact_world):
    sql = "SELECT region, COUNT(*) FROM ga.person WHERE birth_year > 3000 GROUP BY region"
    labels, _, _, after = released(exact_world, sql)
    assert (labels, after.shape) == ([], (0, 1))


def test_too_many_cells_are_refused(exact_world, monkeypatch):
    monkeypatch.setattr(table_cube, "CELLS_MAX", 20)
    with pytest.raises(LimitError) as caught:
        released(
            exact_world,
            "SELECT region, birth_year, COUNT(*) FROM ga.person GROUP BY region, birth_year",
        )
    assert caught.value.code == "L002"


@pytest.mark.parametrize(("sql", "labels", "expected"), [
    ("SELECT region, COUNT(*) FROM ga.person GROUP BY region", list(CITIES), [{**CITIES}]),
    ("SELECT DATE_TRUNC('month', born), COUNT(*) FROM ga.person GROUP BY 1", [date(2020, 1, 1), date(2020, 2, 1), date(2020, 5, 1), date(2021, 1, 1), None],
     [{date(2020, 1, 1): date(2020, 1, 1), date(2020, 2, 1): date(2020, 1, 1), date(2020, 5, 1): date(2020, 4, 1), date(2021, 1, 1): date(2021, 1, 1), None: None},
      {date(2020, 1, 1): date(2020, 1, 1), date(2020, 2, 1): date(2020, 1, 1), date(2020, 5, 1): date(2020, 1, 1), date(2021, 1, 1): date(2021, 1, 1), None: None}]),
    ("SELECT sex, COUNT(*) FROM ga.person GROUP BY sex", ["1", "2"], []),
])  # fmt: skip
def test_levels_are_those_of_calendar_and_codes(sql, labels, expected):
    cell = made.cell(sql)
    found = levels_of(cell.dimensions[0], labels, cell, made.CATALOG)
    assert [dict(level.of) for level in found] == expected


def test_codes_of_a_list_lie_in_those_that_they_begin_with():
    dataset = made.CATALOG.datasets["city.firm"]
    section = replace(
        dataset.columns["section"], codes={"C": "制造业", "C13": "农副食品加工业", "D": "电力"}
    )
    changed = replace(dataset, columns={**dataset.columns, "section": section})
    catalog = replace(made.CATALOG, datasets={**made.CATALOG.datasets, "city.firm": changed})
    cell = made.cell("SELECT section, COUNT(*) FROM city.firm GROUP BY section")
    found = levels_of(cell.dimensions[0], ["C131", "C132", "C14", "D", None], cell, catalog)
    assert [dict(level.of) for level in found] == [
        {"C131": "C13", "C132": "C13", "C14": "C", "D": "D", None: None},
        {"C131": "C", "C132": "C", "C14": "C", "D": "D", None: None},
    ]


def test_a_node_releases_a_protected_table_and_its_margin(tmp_path):
    bundle = made_platform.with_parameters(method="table", history=False)
    with made_platform.Platform(
        tmp_path, bundle, rows={**made.make_rows(), **people()}
    ) as platform:
        cells = {}
        for dimensions in (("region", "sex", "local"), ("region", "sex"), ("region",), ()):
            columns = [f't0."{name}"' for name in dimensions]
            labels = [f'{column} AS "d{place}"' for place, column in enumerate(columns)]
            shown = ", ".join([*labels, 'COUNT(*) AS "a0"'])
            group = f" GROUP BY {', '.join(columns)}" if columns else ""
            fragment = platform.fragment(f'SELECT {shown} FROM "ga"."person" AS "t0"{group}')
            answer = platform.nodes["ga"].answer(*platform.signed(fragment))
            cells[dimensions] = answer.cells.to_pylist()
        marks = [row["m0"] for rows in cells.values() for row in rows]
        assert "secondary" in marks
        assert "threshold" in marks
        assert all(
            (row["rows_0"] is None) == (row["m0"] is not None)
            for rows in cells.values()
            for row in rows
        )


# --- nothing withheld -----------------------------------------------------------------------------------------------

CLEAN = [
    "SELECT region, COUNT(*) FROM ga.person GROUP BY region",
    "SELECT region, birth_year, COUNT(*), COUNT(*) FILTER (WHERE sex = '1') FROM ga.person GROUP BY region, birth_year",
    "SELECT EXTRACT(MONTH FROM born) AS m, COUNT(*) FROM ga.person GROUP BY 1",
    "SELECT kind, year, SUM(amount), COUNT(DISTINCT firm) FROM ga.income GROUP BY kind, year",
    "SELECT kind, AVG(amount), STDDEV(amount) FROM ga.income GROUP BY kind",
]


def sides(world, sql, parameters, sensitive=()):
    """Return (whether all is shown, the marks of each combination)."""
    cell = made.cell(sql)
    layout = layout_of(cell, made.CATALOG)
    margins = Margins(world.source, made.CATALOG, sensitive)
    measured = world.source.measure(cell, layout)
    cube = table_cube.cube_of(cell, layout, measured, parameters, margins)
    shown = table_cube.shows_all(cell, layout, measured, parameters, margins)
    return shown, {vector: side.marks for vector, side in cube.sides.items()}


def test_where_nothing_of_a_table_is_withheld_nothing_of_its_margins_is(exact_world):
    seen = []
    for sql, k, percent in product(CLEAN, (2, 5, 20, 60), (1, 5, 20, 60)):
        parameters = replace(PARAMETERS, min_units=k, p_percent=percent)
        shown, marks = sides(exact_world, sql, parameters)
        bottom = min(marks, key=sum)
        assert shown == (marks[bottom] == None).all()  # noqa: E711 - of an array
        assert not shown or all((each == None).all() for each in marks.values())  # noqa: E711
        seen.append(shown)
    assert 10 < sum(seen) < len(seen) - 10, "both happen"


def test_margins_are_measured_where_a_label_is_sensitive(exact_world):
    sql = "SELECT region, COUNT(*) FROM ga.person GROUP BY region"
    parameters = replace(PARAMETERS, min_units=2)
    assert sides(exact_world, sql, parameters)[0]
    assert not sides(exact_world, sql, parameters, ("region",))[0]
