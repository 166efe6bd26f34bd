"""A text becomes a value when it writes one of its type exactly, and fails otherwise."""

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.spi import ConnectorError, ErrorKind, TypeKind
from connectors.texts import arrow_type, declared, exact


@pytest.mark.parametrize(
    ("word", "text", "value"),
    [
        ("integer", "-9223372036854775808", -(2**63)),
        ("integer", "007", 7),
        ("decimal(18,2)", "-0.10", Decimal("-0.10")),
        ("decimal(18,2)", "7", Decimal("7.00")),
        ("decimal(18,2)", "1.5000", Decimal("1.50")),
        ("decimal(38,0)", "9" * 38, Decimal("9" * 38)),
        ("date", "0001-01-01", date(1, 1, 1)),
        ("date", "9999-12-31", date(9999, 12, 31)),
        ("boolean", "true", True),
        ("boolean", "0", False),
        ("boolean", "f", False),
        ("text", " 公民\n", " 公民\n"),
    ],
)
def test_text_of_the_type_is_its_value(word, text, value):
    column = declared("c", word)
    found = exact(pa.array([None, text]), column)
    assert found.to_pylist() == [None, value]
    assert found.type == arrow_type(column)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        *(("integer", text) for text in ("", " 1", "1.0", "1e3", "0x1F", "9223372036854775808", "١", "1\n")),
        *(("decimal(18,2)", text) for text in ("", "1.234", "1e3", "1,000.00", "1.", ".5", "+1", "NaN", "Infinity", "9" * 17)),
        *(("date", text) for text in ("", "2024-02-30", "2024-2-3", "20240203", "0000-01-01", "4713-01-01 BC", "infinity", "2024-01-01 00:00:00")),
        *(("boolean", text) for text in ("", "yes", "TRUE", "2", "是")),
    ],
)  # fmt: skip
def test_text_that_does_not_write_the_type_is_failed_and_is_not_told(word, text):
    with pytest.raises(ConnectorError) as caught:
        exact(pa.array([text, None]), declared("列", word))
    assert caught.value.kind is ErrorKind.FAILED
    assert "列" in caught.value.detail
    assert not text.strip() or f"'{text}'" not in caught.value.detail


@pytest.mark.parametrize("word", ["integer", "decimal(4,1)", "date", "boolean", "text"])
def test_no_texts_and_missing_texts_are_no_error(word):
    column = declared("c", word)
    assert len(exact(pa.array([], pa.string()), column)) == 0
    assert exact(pa.nulls(2, pa.string()), column).to_pylist() == [None, None]


@pytest.mark.parametrize(
    "word",
    ["float", "decimal", "decimal(39,2)", "decimal(0,0)", "decimal(2,3)", "decimal(2,-1)", "Integer", ""],
)  # fmt: skip
def test_word_that_is_no_type_is_schema(word):
    with pytest.raises(ConnectorError) as caught:
        declared("c", word)
    assert caught.value.kind is ErrorKind.SCHEMA


def test_decimal_has_its_digits():
    column = declared("c", "decimal(18, 2)")
    assert (column.kind, column.precision, column.scale) == (TypeKind.DECIMAL, 18, 2)
