"""A folder of Parquet and CSV files: every table, every value, and nothing outside the folder."""

import json
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.conformance import check
from connectors.files import FilesConnector

_WORDS = {"int64": "integer", "string": "text", "date32[day]": "date", "bool": "boolean"}


def word_of(kind):
    return _WORDS.get(str(kind)) or f"decimal({kind.precision},{kind.scale})"


def write_csv(folder, name, table, encoding="utf-8", bom=""):
    """Write a table as a department's export would be, with its declaration."""
    lines = [",".join(map(_quoted, table.schema.names))]
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    lines += [",".join(map(_field, row)) for row in rows]
    text = bom + "\r\n".join(lines) + "\r\n"
    (folder / f"{name}.csv").write_bytes(text.encode(encoding))
    columns = {field.name: word_of(field.type) for field in table.schema}
    declaration = {"columns": columns, "encoding": encoding}
    (folder / f"{name}.schema.json").write_text(
        json.dumps(declaration, ensure_ascii=False), encoding="utf-8"
    )


def _field(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text):
    return '"' + text.replace('"', '""') + '"'


@pytest.fixture
def fresh(tmp_path):
    made = []

    def make():
        made.append(tmp_path / f"部门 '{len(made)}' ; x")
        made[-1].mkdir()
        return made[-1]

    return make


def as_parquet(folder, tables):
    for place, (name, table) in enumerate(tables.items()):
        if place % 2:
            pq.write_table(table, folder / f"{name}.parquet")
            continue
        (folder / name).mkdir()
        half = table.num_rows // 2
        pq.write_table(table.slice(0, half), folder / name / "part-0.parquet")
        pq.write_table(
            table.slice(half), folder / name / "part '1'; y.parquet", use_dictionary=True
        )


def as_csv(folder, tables):
    for place, (name, table) in enumerate(tables.items()):
        write_csv(
            folder, name, table, ("utf-8", "gb18030")[place % 2], ("", "\ufeff")[place % 3 > 0]
        )


@pytest.mark.parametrize("write", [as_parquet, as_csv])
def test_files_pass_every_check(fresh, write):
    def factory(tables):
        folder = fresh()
        write(folder, tables)
        return FilesConnector(folder, threads=1, memory_mb=256)

    assert [f"{item.name}: {item.problem}" for item in check(factory) if item.problem] == []
