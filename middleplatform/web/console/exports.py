"""An answer as a file: CSV, Parquet, Arrow, Excel, JSON; each with the receipt that proves it.

Where the receipt is: in the metadata ``middleplatform`` of the schema (Parquet, Arrow), on a sheet of its own (Excel),
in a file beside the table (CSV, as one zip archive). All files are made of released cells only.

Excel: texts are written as texts, whatever they begin with, and stay so when the cell is edited (quote prefix, text
format); numbers that a double does not hold exactly are texts too. Sources: OWASP, "CSV Injection"; ECMA-376 part 1,
18.8.45 (quotePrefix).
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import isfinite

import pyarrow as pa
import xlsxwriter
from pyarrow import parquet
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from middleplatform.access.csv_text import csv_text
from middleplatform.access.legend import mark_of
from middleplatform.web.console.answered import Answered

__all__ = ["FORMATS", "SEALED", "Exported", "exported"]

SEALED = "json"
"""The one file of a sealed answer: what ``middleplatform open`` reads on the recipient's machine."""

_DIGITS_MAX = 15
"""Decimal digits that every double holds (IEEE 754 binary64)."""
_TEXT_MAX = 32_767  # characters in a cell of a sheet
_ROWS_MAX = 1_048_575  # rows of a sheet beneath its header


@dataclass(frozen=True, slots=True)
class Exported:
    """A file to download.

    Attributes:
        name: Of the file, ASCII.
        kind: Media type.
        content: Its bytes.
    """

    name: str
    kind: str
    content: bytes


def exported(answer: Answered, wanted: str, locale: str) -> Exported | None:
    """Return the answer as a file, or None where there is no such format.

    Args:
        answer: To export; a sealed one only as JSON, since its values are not here.
        wanted: A key of ``FORMATS``.
        locale: ``"en"`` or ``"zh"``, of the words beside the values.
    """
    found = FORMATS.get(wanted)
    if found is None or (answer.sealed and wanted != SEALED):
        return None
    ending, kind, make = found
    return Exported(f"answer-{answer.head['query_id'][:12]}{ending}", kind, make(answer, locale))


def _csv(answer: Answered, _: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            ("answer.csv", csv_text(answer.release)),
            ("receipt.json", answer.text()),
        ):
            member = zipfile.ZipInfo(
                name
            )  # the moment of ZipInfo's default: the same answer, the same bytes
            member.compress_type = zipfile.ZIP_DEFLATED
            mark = "\ufeff" if name.endswith(".csv") else ""  # spreadsheets then read it as UTF-8
            archive.writestr(member, (mark + text).encode())
    return buffer.getvalue()


def _json(answer: Answered, _: str) -> bytes:
    return answer.document().encode()


def _arrow(answer: Answered, _: str) -> bytes:
    table = answer.table()
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def _parquet(answer: Answered, _: str) -> bytes:
    table = answer.table()
    buffer = io.BytesIO()
    names = _unlike(table.column_names)  # Parquet readers refuse columns of one name
    named = table.rename_columns(names).replace_schema_metadata(table.schema.metadata)
    parquet.write_table(named, buffer, compression="zstd")
    return buffer.getvalue()


def _unlike(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found


# --- sheets -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Formats:
    """How cells look: every text is kept a text when it is edited."""

    text: Format
    head: Format
    withheld: Format
    day: Format
    moment: Format


def _xlsx(answer: Answered, locale: str) -> bytes:
    buffer = io.BytesIO()
    options = {
        "in_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
        "strings_to_numbers": False, "default_date_format": "yyyy-mm-dd",
    }  # fmt: skip
    with xlsxwriter.Workbook(buffer, options) as book:
        texts = {"num_format": "@", "quote_prefix": True}
        formats = _Formats(
            book.add_format(texts),
            book.add_format({**texts, "bold": True}),
            book.add_format({**texts, "italic": True, "font_color": "#6b4a00"}),
            book.add_format({"num_format": "yyyy-mm-dd"}),
            book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        )
        _values(book.add_worksheet(_say(locale, "answer", "结果")), answer, formats, locale)
        _legend(book.add_worksheet(_say(locale, "withheld", "抑制说明")), answer, formats, locale)
        _receipt(book.add_worksheet(_say(locale, "receipt", "回执")), answer, formats)
    return buffer.getvalue()


def _say(locale: str, english: str, chinese: str) -> str:
    return chinese if locale == "zh" else english


def _text(sheet: Worksheet, row: int, column: int, value: str, shape: Format) -> None:
    sheet.write_string(row, column, value[:_TEXT_MAX], shape)


def _values(sheet: Worksheet, answer: Answered, formats: _Formats, locale: str) -> None:
    release = answer.release
    names = release.table.column_names
    halves = _half_widths(answer)
    heads = [*names, *(f"{names[place]} ± {_say(locale, '95 %', '95%')}" for place in halves)]
    for place, name in enumerate(heads):
        _text(sheet, 0, place, name, formats.head)
    marks = [column.to_pylist() for column in release.marks.columns]
    for place, column in enumerate(release.table.columns):
        for row, value in enumerate(column.to_pylist()[:_ROWS_MAX], start=1):
            reason = marks[place][row - 1]
            if reason is None:
                _cell(sheet, row, place, value, formats)
            else:
                _text(sheet, row, place, f"{mark_of(reason)[0]} {reason}", formats.withheld)
    for extra, column in enumerate(halves.values(), start=len(names)):
        for row, value in enumerate(column[:_ROWS_MAX], start=1):
            _cell(sheet, row, extra, value, formats)
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, max(len(heads) - 1, 0), 16)


def _half_widths(answer: Answered) -> Mapping[int, list[object]]:
    """Return the half widths by column, of those that can have one."""
    found = answer.release.intervals
    if found is None:
        return {}
    return {
        place: column.to_pylist()
        for place, column in enumerate(found.columns)
        if not pa.types.is_null(column.type)
    }


def _cell(sheet: Worksheet, row: int, column: int, value: object, formats: _Formats) -> None:
    """Write a value by its type; a number that a double would round is a text."""
    match value:
        case None:
            return
        case bool():
            sheet.write_boolean(row, column, value)
        case int() | Decimal() if len(str(value).lstrip("-").replace(".", "")) <= _DIGITS_MAX:
            sheet.write_number(row, column, value)
        case float() if isfinite(value):
            sheet.write_number(row, column, value)
        case datetime():
            sheet.write_datetime(row, column, value.replace(tzinfo=None), formats.moment)
        case date():
            sheet.write_datetime(row, column, value, formats.day)
        case Decimal():
            _text(sheet, row, column, format(value, "f"), formats.text)
        case _:
            _text(sheet, row, column, str(value), formats.text)


def _legend(sheet: Worksheet, answer: Answered, formats: _Formats, locale: str) -> None:
    heads = (
        _say(locale, "mark", "标记"), _say(locale, "reason", "原因"), _say(locale, "rule", "规则"),
        _say(locale, "values", "个数"), _say(locale, "meaning", "含义"),
    )  # fmt: skip
    for place, name in enumerate(heads):
        _text(sheet, 0, place, name, formats.head)
    withheld = answer.head["withheld"]
    for row, each in enumerate(withheld, start=1):
        sign, meaning = mark_of(each["reason"])
        for place, text in enumerate((sign, each["reason"], each["rule"])):
            _text(sheet, row, place, text, formats.text)
        sheet.write_number(row, 3, each["cells"])
        _text(sheet, row, 4, _say(locale, *meaning), formats.text)
    for row, note in enumerate(answer.head["notes"], start=len(withheld) + 2):
        _text(sheet, row, 0, note[locale], formats.text)
    sheet.set_column(0, 3, 12)
    sheet.set_column(4, 4, 60)


def _receipt(sheet: Worksheet, answer: Answered, formats: _Formats) -> None:
    head = answer.head
    receipt, policy = head["receipt"], head["policy"]
    lines = [
        ("query_id", head["query_id"]),
        ("protocol", head["protocol"]),
        ("policy_digest", policy["digest"]),
        ("grants", ", ".join(policy["grants"])),
        ("result_digest", head["result_digest"]),
        ("audit_index", str(receipt["index"])),
        ("leaf_hash", receipt["leaf_hash"]),
        ("checkpoint", receipt["checkpoint"]),
        *(("proof", each) for each in receipt["proof"]),
    ]
    for row, (name, value) in enumerate(lines):
        _text(sheet, row, 0, name, formats.head)
        _text(sheet, row, 1, value, formats.text)
    sheet.set_column(0, 0, 16)
    sheet.set_column(1, 1, 90)


Make = Callable[[Answered, str], bytes]
FORMATS: Mapping[str, tuple[str, str, Make]] = {
    "csv": (".csv.zip", "application/zip", _csv),
    "xlsx": (".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _xlsx),
    "parquet": (".parquet", "application/vnd.apache.parquet", _parquet),
    "arrow": (".arrow", "application/vnd.apache.arrow.file", _arrow),
    "json": (".json", "application/json", _json),
}
"""By name: the file's ending, its media type, and what makes it."""
