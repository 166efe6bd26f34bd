"""Files of an answer: the values as they were released, no text that a spreadsheet runs, the receipt in each."""

import csv
import io
import json
import zipfile
from dataclasses import replace
from datetime import date
from decimal import Decimal
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from doors import noisy_release, release
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from middleplatform.access import shapes
from middleplatform.model.decision import Decision
from middleplatform.model.record import Receipt
from middleplatform.model.result import Answer, Release
from middleplatform.web.arrow import stream
from middleplatform.web.console.answered import answered, received
from middleplatform.web.console.exports import FORMATS, exported
from middleplatform.web.jobs import KeptAnswer

_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def _answer(found):
    decision = Decision(permit=True, reasons=(), obligations=(), bundle_digest="cd" * 32)
    receipt = Receipt(7, "ef" * 32, "checkpoint\n8\nroot\n", ("aa" * 32, "bb" * 32))
    return answered(Answer("0123456789abcdef" * 2, found, "local", decision, receipt, 0.9))


def _of(table):
    marks = pa.table({name: pa.nulls(table.num_rows, pa.string()) for name in table.column_names})
    return _answer(Release(table, marks, (), (), "ab" * 32))


def _book(content):
    """Return every cell of every sheet: (type, value, formula), by sheet and place, read as ECMA-376 says."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        shared = [
            "".join(part.itertext()) for part in ET.fromstring(archive.read("xl/sharedStrings.xml"))
        ]
        sheets = []
        names = sorted(
            each for each in archive.namelist() if each.startswith("xl/worksheets/sheet")
        )
        for name in names:
            cells = {}
            for cell in ET.fromstring(archive.read(name)).iter(f"{_SHEET}c"):
                value, kind = cell.findtext(f"{_SHEET}v"), cell.get("t", "n")
                text = shared[int(value)] if kind == "s" else value
                cells[cell.get("r")] = (kind, text, cell.find(f"{_SHEET}f") is not None)
            sheets.append(cells)
        styles = archive.read("xl/styles.xml").decode()
    return sheets, styles


def test_every_format_has_the_receipt():
    answer = _answer(release())
    head = json.loads(
        parquet.read_table(io.BytesIO(exported(answer, "parquet", "en").content)).schema.metadata[
            b"middleplatform"
        ]
    )
    stream = pa.ipc.open_file(io.BytesIO(exported(answer, "arrow", "en").content))
    with zipfile.ZipFile(io.BytesIO(exported(answer, "csv", "en").content)) as archive:
        beside = json.loads(archive.read("receipt.json"))
    sheets, _ = _book(exported(answer, "xlsx", "en").content)
    assert head == beside == json.loads(stream.schema.metadata[b"middleplatform"])
    assert head["receipt"]["leaf_hash"] == "ef" * 32
    told = {cell[1] for cell in sheets[2].values()}
    assert {"ef" * 32, "checkpoint\n8\nroot\n", "aa" * 32, "bb" * 32, "ab" * 32, "7"} <= told


def test_values_come_out_as_they_were_released():
    answer = _answer(noisy_release())
    for wanted, read in (
        ("parquet", lambda content: parquet.read_table(io.BytesIO(content))),
        ("arrow", lambda content: pa.ipc.open_file(io.BytesIO(content)).read_all()),
    ):
        table = read(exported(answer, wanted, "en").content)
        assert table.select(range(3)).to_pylist() == answer.release.table.to_pylist()
        assert table["mark:n"].to_pylist() == [None, "threshold", None]
        assert table["half_width:n"].to_pylist() == [12.25, None, 12.25]
    with zipfile.ZipFile(io.BytesIO(exported(answer, "csv", "en").content)) as archive:
        lines = archive.read("answer.csv").decode("utf-8-sig").splitlines()
    assert lines[2].startswith("'=1+1,*threshold,*dominance")


def test_a_sheet_has_numbers_as_numbers_and_marks_for_what_was_withheld():
    sheets, styles = _book(exported(_answer(noisy_release()), "xlsx", "zh").content)
    cells = sheets[0]
    assert cells["A1"][1] == "区"
    assert cells["B2"] == ("n", "15", False)
    assert cells["C2"][0] == "n"
    assert cells["A3"][:2] == ("s", "=1+1")
    assert cells["B3"][1] == "[T] threshold"
    assert cells["C3"][1] == "[D] dominance"
    assert "A4" not in cells  # a missing label is an empty cell
    assert cells["D1"][1] == "n ± 95%"
    assert float(cells["D2"][1]) == 12.25
    assert "quotePrefix" in styles


def test_numbers_that_a_double_would_round_are_texts():
    table = pa.table({
        "whole": pa.array([2**53 - 1, 2**60], pa.int64()),
        "exact": pa.array([Decimal("123456789012.34"), Decimal("12345678901234.567")], pa.decimal128(20, 3)),
        "day": pa.array([date(2026, 3, 1), None]),
    })  # fmt: skip
    cells = _book(exported(_of(table), "xlsx", "en").content)[0][0]
    assert cells["A2"][:2] == ("s", str(2**53 - 1))
    assert cells["A3"][:2] == ("s", str(2**60))
    assert cells["B2"][0] == "n"
    assert cells["B3"][:2] == ("s", "12345678901234.567")
    assert cells["C2"][0] == "n"


_RISKY = st.tuples(st.sampled_from("=+-@\t\r\n＝＋－＠|%"), st.text(max_size=12)).map("".join)


@settings(max_examples=25)
@given(st.lists(st.one_of(_RISKY, st.text(max_size=8)), min_size=1, max_size=5), _RISKY)
def test_no_cell_of_a_sheet_is_a_formula(values, name):
    table = pa.table({name: pa.array(values)})
    sheets, _ = _book(exported(_of(table), "xlsx", "en").content)
    cells = [cell for sheet in sheets for cell in sheet.values()]
    assert not any(formula for _, _, formula in cells)
    assert all(kind == "s" for kind, text, _ in sheets[0].values() if text)


@settings(max_examples=40)
@given(st.lists(_RISKY | st.text("a=\r\n,\"'"), min_size=1, max_size=5), _RISKY)
def test_no_cell_of_a_csv_begins_as_a_formula(values, name):
    table = pa.table({name: pa.array(values)})
    with zipfile.ZipFile(io.BytesIO(exported(_of(table), "csv", "en").content)) as archive:
        text = archive.read("answer.csv").decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    risky = tuple("=+-@\t\r\n＝＋－＠|%")
    safe = [value if not value.startswith(risky) else "'" + value for value in (name, *values)]
    assert [each or [""] for each in rows] == [[each] for each in safe]


def test_an_answer_of_another_gateway_is_the_same_file():
    decision = Decision(permit=True, reasons=(), obligations=(), bundle_digest="cd" * 32)
    made = Answer(
        "0f" * 16, noisy_release(), "local", decision, Receipt(7, "ef" * 32, "c", ()), 0.9
    )
    kept = KeptAnswer(json.dumps(shapes.answer(made), ensure_ascii=False), stream(made))
    for wanted in FORMATS:
        one, other = (exported(each, wanted, "en") for each in (answered(made), received(kept)))
        if wanted == "xlsx":
            assert _book(one.content)[0] == _book(other.content)[0]
        elif wanted in ("csv", "json"):
            assert one.content == other.content
        else:
            read = pa.ipc.open_file if wanted == "arrow" else parquet.ParquetFile
            tables = [read(io.BytesIO(each.content)) for each in (one, other)]
            first, second = (t.read_all() if wanted == "arrow" else t.read() for t in tables)
            assert first.equals(second)


def test_a_sealed_answer_is_json_only_and_an_unknown_format_is_no_file():
    answer = _answer(release())
    sealed = replace(answer, sealed=True)
    assert [each for each in FORMATS if exported(sealed, each, "en")] == ["json"]
    assert exported(answer, "exe", "en") is None


@pytest.mark.parametrize("wanted", FORMATS)
def test_an_answer_without_rows_and_with_columns_of_one_name_is_a_file(wanted):
    empty = pa.Table.from_arrays([pa.array([], pa.int64())] * 2, names=["n", "n"])
    marks = pa.Table.from_arrays([pa.array([], pa.string())] * 2, names=["n", "n"])
    made = exported(_answer(Release(empty, marks, (), (), "ab" * 32)), wanted, "en")
    assert made.content
    assert made.name.isascii()
