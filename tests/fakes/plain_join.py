"""A private join without any cryptography: the same lists, matched and added up in the clear, in one place.

What a plan's sides, words and codes must give. Only for tests: no party may ever hold all of this.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from middleplatform.disclosure.evidence import CellEvidence, Magnitude
from middleplatform.model.join import RUNGS
from middleplatform.model.query import JoinKind
from middleplatform.planner.results import arrow_type
from middleplatform.planner.side_statement import missing_labels, side_statement
from middleplatform.planner.side_words import rungs, width, word_columns, word_totals


@dataclass
class Listed:
    """A side's list rows."""

    table: pa.Table
    words: np.ndarray


@dataclass
class Joined:
    """What comes out: released cells as a gateway builds them, before disclosure control, and the evidence."""

    cells: pa.Table
    evidence: CellEvidence


def listed(block, side, catalog, run):
    """Return a side's rows; ``run(department, statement)`` gives what a department's engine returns."""
    plan = block.join
    tables, words = [], []
    for department in side.departments:
        statement = side_statement(block.cell, block.layout, plan, side.number, catalog, "duckdb")
        table = run(department, statement).cast(statement.result)
        assert table["k"].null_count == 0
        tables.append(table)
        words.append(word_columns(plan, side.number, table))
    table = pa.concat_tables(tables)
    keys = ["k", *(f"d{place}" for place in side.dimensions)]
    if side.unique:
        assert table["k"].combine_chunks().value_counts().__len__() == table.num_rows, "unique"
    elif not side.single:
        grouped = table.group_by(keys).aggregate([])
        assert grouped.num_rows == table.num_rows, "one list row a key and label"
    return Listed(table, np.concatenate(words))


def _column(side, place, default):
    name = f's{side.number}."d{place}"'
    if side.kind is not JoinKind.LEFT:
        return name
    return f"CASE WHEN s{side.number}.r IS NULL THEN {default} ELSE {name} END"


def _tuples(block, lists):
    """Return one row a tuple: labels, a position of each side (missing where unmatched), second keys."""
    plan, connection = block.join, duckdb.connect(config={"threads": 1})
    for side, found in zip(plan.sides, lists, strict=True):
        positions = pa.array(np.arange(found.table.num_rows))
        connection.register(f"s{side.number}", found.table.append_column("r", positions))
    columns, text, where = [], "s0", []
    for side in plan.sides:
        n = side.number
        if n and side.kind is JoinKind.INNER:
            text += f" JOIN s{n} ON s{n}.k = s0.k"
        elif n:
            text += f" LEFT JOIN s{n} ON s{n}.k = s0.k"
        if side.kind is JoinKind.ANTI:
            where.append(f"s{n}.r IS NULL")
            continue
        labels = missing_labels(block.cell, block.layout, plan, n)
        for place, label in zip(side.dimensions, labels, strict=True):
            kind = arrow_type(block.layout.labels[place])
            connection.register(f"m{place}", pa.table({"v": pa.array([label], kind)}))
            columns.append(f'{_column(side, place, f"(SELECT v FROM m{place})")} AS "d{place}"')
        columns.append(f"s{n}.r AS r{n}")
        columns += [f's{n}."u{key}" AS "u{key}"' for key in side.keys]
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    return connection.sql(f"SELECT {', '.join(columns)} FROM {text}{condition}").to_arrow_table()  # fmt: skip


def _groups(tuples, names):
    """Return the cells and, for each, the rows of ``tuples``."""
    indexed = tuples.append_column("tuple", pa.array(np.arange(tuples.num_rows)))
    if not names:
        return indexed.select([]), [np.arange(tuples.num_rows)]
    grouped = indexed.group_by(names, use_threads=False).aggregate([("tuple", "list")])
    return grouped.select(names), [np.array(each) for each in grouped["tuple_list"].to_pylist()]


def joined(block, catalog, run):
    """Return the answer of a block by private join, worked out in the clear."""
    plan, layout = block.join, block.layout
    lists = [listed(block, side, catalog, run) for side in plan.sides]
    tuples = _tuples(block, lists)
    labels, rows = _groups(tuples, [item.name for item in block.cell.dimensions])
    positions = {
        side.number: [_matched(tuples[f"r{side.number}"], own) for own in rows]
        for side in plan.sides
        if side.kind is not JoinKind.ANTI
    }
    totals = {}
    for side, found in zip(plan.sides, lists, strict=True):
        if side.words:
            used = np.concatenate([np.zeros(0, dtype=np.int64), *positions[side.number]])
            assert len(np.unique(used)) == len(used), "a list row with words is used once"
            sums = [found.words[own].sum(axis=0, dtype=np.uint64) for own in positions[side.number]]
            shape = (len(rows), width(side))
            totals |= word_totals(side, np.array(sums, dtype=np.uint64).reshape(shape))
    counted = np.array([len(own) for own in rows], dtype=np.int64)
    seconds = [
        np.array([_distinct(tuples[f"u{j}"], own) for own in rows], dtype=np.int64)
        for j in range(len(layout.keys))
    ]
    others = [
        np.array([len(own) for own in positions[side]], dtype=np.int64) for side in plan.other_sides
    ]
    evidence = _evidence(plan, layout, totals, counted, seconds, others)
    return Joined(_cells(layout, labels, evidence), evidence)


def _matched(column, own):
    found = column.combine_chunks().take(pa.array(own, pa.int64())).drop_null()
    return found.to_numpy(zero_copy_only=False).astype(np.int64)


def _distinct(column, own):
    return len(column.combine_chunks().take(pa.array(own, pa.int64())).drop_null().unique())


def _evidence(plan, layout, totals, counted, seconds, others):
    cells = len(counted)
    populations = range(len(layout.populations))
    units, rest, rows = (np.zeros((cells, len(populations)), dtype=np.int64) for _ in range(3))
    for p in populations:
        side = plan.population_sides[p]
        units[:, p] = counted if side < 0 else totals[f"units_{p}"]
        rest[:, p] = 0 if side < 0 else counted - totals[f"full_{p}"]
        if side >= 0:
            rows[:, p] = totals[f"rows_{p}"]
        else:
            rows[:, p] = totals.get("rows_0", counted)
    magnitudes = [
        Magnitude(
            totals[f"sum_{s}"], totals.get(f"abs_{s}", totals[f"sum_{s}"]), _tops(plan, totals, s, cells), totals.get(f"sq_{s}")
        )
        for s in range(len(layout.sums))
    ]  # fmt: skip
    none = np.zeros((cells, 0), dtype=np.int64)
    stacked = [np.stack(each, axis=1) if each else none for each in (seconds, others)]
    return CellEvidence(units, rest, rows, magnitudes, *stacked)


def _tops(plan, totals, s, cells):
    """Return upper bounds of the three largest units: a unit above rung j and not above j - 1 is at most rung j - 1."""
    found = np.zeros((cells, 3), dtype=object)
    if f"rung_{s}_0" not in totals:
        return found
    ladder = rungs(plan.capped[s])
    over = np.stack([totals[f"rung_{s}_{j}"] for j in range(RUNGS)], axis=1)
    for place in range(3):
        found[:, place] = ladder[-1]
        for j in range(RUNGS - 1, 0, -1):
            found[:, place] = np.where(over[:, j] > place, ladder[j - 1], found[:, place])
    return found


def _cells(layout, labels, evidence):
    columns = {name: labels[name] for name in labels.column_names}
    cells = evidence.cells
    columns["ml"] = pa.array([None] * cells, pa.string())
    for p in range(len(layout.populations)):
        columns[f"units_{p}"] = pa.array(evidence.units[:, p])
        columns[f"rows_{p}"] = pa.array(evidence.rows[:, p])
    for s, magnitude in enumerate(evidence.magnitudes):
        scale = layout.sums[s].scale
        columns[f"sum_{s}"] = _decimals(magnitude.total, scale)
        if magnitude.squares is not None:
            columns[f"sq_{s}"] = _decimals(magnitude.squares, 2 * scale)
    for j in range(len(layout.keys)):
        columns[f"keys_{j}"] = pa.array(evidence.keys[:, j])
    for index in range(len(layout.formulas)):
        columns[f"m{index}"] = pa.array([None] * cells, pa.string())
    return pa.table(columns)


def _decimals(values, scale):
    from decimal import Context, Decimal  # noqa: PLC0415 - beside its only use

    wide = Context(prec=60)
    return pa.array([Decimal(int(value)).scaleb(-scale, wide) for value in values], pa.decimal128(38, scale))  # fmt: skip
