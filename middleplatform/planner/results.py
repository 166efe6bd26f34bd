"""Columns of each statement's result, exactly: what a connector casts to before a node reads anything."""

import pyarrow as pa

from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.model.plan import Layout
from middleplatform.model.query import CellQuery

__all__ = [
    "arrow_type",
    "distinct_result",
    "evidence_result",
    "members_result",
    "released_result",
    "rows_result",
    "totals_result",
    "units_result",
]

_PRECISION = 38
_COUNT = pa.int64()
_ROWS = pa.decimal128(_PRECISION, 0)
_PLAIN = {
    TypeKind.INTEGER: pa.int64(),
    TypeKind.TEXT: pa.string(),
    TypeKind.DATE: pa.date32(),
    TypeKind.BOOLEAN: pa.bool_(),
}


def arrow_type(kind: ColumnType) -> pa.DataType:
    """Return the type of a result column that holds values of ``kind``."""
    if kind.kind is TypeKind.DECIMAL:
        return pa.decimal128(_PRECISION, kind.scale)
    return _PLAIN[kind.kind]


def evidence_result(cell: CellQuery, layout: Layout) -> pa.Schema:
    """Return the columns of an evidence statement."""
    fields = _labels(cell, layout)
    for p in range(len(layout.populations)):
        fields.append((f"units_{p}", _COUNT))
        if p:
            fields.append((f"rest_{p}", _COUNT))
        fields.append((f"rows_{p}", _ROWS))
    for s, word in enumerate(layout.sums):
        total = pa.decimal128(_PRECISION, word.scale)
        fields += [(f"sum_{s}", total), (f"abs_{s}", total), (f"neg_{s}", _COUNT)]
        fields += [(f"top{place}_{s}", total) for place in (1, 2, 3)]
        if s in layout.squares:
            fields.append((f"sq_{s}", pa.decimal128(_PRECISION, 2 * word.scale)))
    return pa.schema(fields)


def released_result(cell: CellQuery, layout: Layout) -> pa.Schema:
    """Return the columns of a local answer: labels, ``ml``, the words that its aggregates read, and their marks."""
    known = {item.name: item.type for item in evidence_result(cell, layout)}
    known |= {f"keys_{index}": _COUNT for index in range(len(layout.keys))}
    words = dict.fromkeys(name for formula in layout.formulas for name in layout.words(formula))
    marks = [(f"m{index}", pa.string()) for index in range(len(layout.formulas))]
    return pa.schema(
        [
            *_labels(cell, layout),
            ("ml", pa.string()),
            *((name, known[name]) for name in words),
            *marks,
        ]
    )


def distinct_result(cell: CellQuery, layout: Layout) -> pa.Schema:
    """Return the columns of a statement that counts another key."""
    return pa.schema([*_labels(cell, layout), ("keys", _COUNT)])


def units_result(cell: CellQuery, layout: Layout) -> pa.Schema:
    """Return the columns of a statement that lists units."""
    unit = arrow_type(layout.unit_type)
    return pa.schema([*_labels(cell, layout), ("u", unit), ("n", _COUNT)])


def members_result(cell: CellQuery, layout: Layout, *, contributors: bool = False) -> pa.Schema:
    """Return the columns of a statement that lists units by population, and by sum where asked."""
    counts = [(f"r{p}", _COUNT) for p in range(1, len(layout.populations))]
    flags = [(f"c{s}", pa.bool_()) for s in range(len(layout.sums) if contributors else 0)]
    return pa.schema([*units_result(cell, layout), *counts, *flags])


def totals_result(cell: CellQuery, layout: Layout) -> pa.Schema:
    """Return the columns of a statement that gives unit totals."""
    sums = [(f"s{s}", pa.decimal128(_PRECISION, word.scale)) for s, word in enumerate(layout.sums)]
    return pa.schema([*_labels(cell, layout), *sums])


def rows_result(columns: tuple[tuple[str, ColumnType], ...]) -> pa.Schema:
    """Return the columns of a plain projection, by name and type."""
    return pa.schema([(name, arrow_type(kind)) for name, kind in columns])


def _labels(cell: CellQuery, layout: Layout) -> list[tuple[str, pa.DataType]]:
    return [
        (item.name, arrow_type(kind))
        for item, kind in zip(cell.dimensions, layout.labels, strict=True)
    ]
