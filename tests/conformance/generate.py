"""Write ``connectors/conformance_cases.json`` from the platform's own planner: ``python tests/conformance/generate.py``."""

import json
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pyarrow as pa
import small_world

from middleplatform.model.catalog import TypeKind
from middleplatform.model.policy import Limits
from middleplatform.planner.bounded import Bounds, bounded_statement
from middleplatform.planner.evidence import (
    distinct_statement,
    evidence_statement,
    members_statement,
    rows_statement,
    totals_statement,
    units_statement,
)
from middleplatform.planner.layout import layout_of
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

SHIPPED = Path(__file__).parents[2] / "connectors" / "conformance_cases.json"
DIALECTS = ("duckdb", "postgres", "spark")


def statements(sql, dialect):
    """Return (kind and place, statement) for each that the node would run for ``sql``."""
    catalog = small_world.catalog()
    found = []
    for cell in qualify(parse(sql, Limits()), catalog).cells:
        layout = layout_of(cell, catalog)
        found.append(("evidence", evidence_statement(cell, layout, dialect)))
        words = (*layout.keys, *layout.others)
        found += [
            (f"distinct {i}", distinct_statement(cell, word, layout, dialect))
            for i, word in enumerate(words)
        ]
        if layout.sums:
            found.append(("totals", totals_statement(cell, layout, dialect)))
        found.append(("units", units_statement(cell, layout, dialect)))
        # Bounds so tight that many totals are cut.
        bounds = Bounds(2, tuple(10 * 10**word.scale for word in layout.sums))
        found.append(("bounded", bounded_statement(cell, layout, bounds, dialect)))
        if len(layout.populations) > 1:
            found.append(("members", members_statement(cell, layout, dialect)))
        if layout.sums:
            made = members_statement(cell, layout, dialect, contributors=True)
            found.append(("contributors", made))
    return found


def cases():
    found = []
    for name, sql in small_world.QUESTIONS.items():
        by_dialect = {dialect: statements(sql, dialect) for dialect in DIALECTS}
        for place, (kind, statement) in enumerate(by_dialect[DIALECTS[0]]):
            text = {dialect: made[place][1].sql for dialect, made in by_dialect.items()}
            found.append(
                {
                    "name": f"{kind}: {name}",
                    "kind": statement.kind,
                    "sql": text,
                    **_common(statement),
                }
            )
    return found


def rows_cases():
    """Return the plain projections: every column, and some in another order."""
    catalog = small_world.catalog()
    wanted = {
        dataset.split(".")[1]: (dataset, tuple(columns))
        for dataset, columns in small_world.COLUMNS.items()
    }
    wanted["some"] = ("tax.income", ("steps", "id", "amount"))
    return [
        {
            "name": f"rows: {name}",
            "kind": "rows",
            "sql": {
                dialect: rows_statement(dataset, columns, catalog, dialect).sql
                for dialect in DIALECTS
            },
            **_common(rows_statement(dataset, columns, catalog, DIALECTS[0])),
        }
        for name, (dataset, columns) in wanted.items()
    ]


def _common(statement):
    return {
        "tree": encoded(statement.tree),
        "result": {field.name: _result_kind(field.type) for field in statement.result},
    }


def encoded(plain):
    match plain:
        case dict():
            return {key: encoded(item) for key, item in plain.items()}
        case list() | tuple():
            return [encoded(item) for item in plain]
        case Decimal():
            return {"node": "Decimal", "text": str(plain)}
        case date():
            return {"node": "Date", "text": plain.isoformat()}
        case _:
            return plain


def data():
    return {
        name: {
            dataset.split(".")[1]: {
                "columns": {column: _kind(kind) for column, (kind, _, _) in columns.items()},
                "rows": encoded(rows.get(dataset.split(".")[1], ())),
            }
            for dataset, columns in small_world.COLUMNS.items()
        }
        for name, rows in small_world.DATA.items()
    }


_RESULT_KINDS = {pa.int64(): "integer", pa.string(): "text", pa.date32(): "date", pa.bool_(): "boolean"}  # fmt: skip


def _result_kind(kind):
    return kind.scale if pa.types.is_decimal(kind) else _RESULT_KINDS[kind]


def _kind(kind):
    return [kind.precision, kind.scale] if kind.kind is TypeKind.DECIMAL else str(kind.kind)


def text():
    made = cases() + rows_cases()
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in made)
    return f'{{"data": {json.dumps(data(), ensure_ascii=False)},\n"cases": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    SHIPPED.write_text(text(), encoding="utf-8")
