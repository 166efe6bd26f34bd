"""The driver's values become exact ones or the statement fails; never another number, never another day."""

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.postgres_types import exact_batch
from connectors.spi import ConnectorError, ErrorKind

NUMERIC = pa.opaque(pa.string(), "numeric", "PostgreSQL")
WIDEST = "9" * 38


def exact(column, wanted):
    batch = pa.RecordBatch.from_arrays([column], names=["n"])
    return exact_batch(batch, pa.schema([("n", wanted)])).column(0)


def numeric(*texts):
    return pa.ExtensionArray.from_storage(NUMERIC, pa.array(texts, pa.string()))


def failure(column, wanted):
    with pytest.raises(ConnectorError) as caught:
        exact(column, wanted)
    return caught.value.kind


@pytest.mark.parametrize(
    ("texts", "scale", "values"),
    [
        ((WIDEST, "-" + WIDEST, None), 0, (Decimal(WIDEST), Decimal("-" + WIDEST), None)),
        (("0.10", "-0.01", "7"), 2, (Decimal("0.10"), Decimal("-0.01"), Decimal("7.00"))),
        (("0." + WIDEST, "-0.5"), 38, (Decimal("0." + WIDEST), Decimal("-0.5"))),
        ((None, None), 2, (None, None)),
        (
            ("1.5000000", "-0.10" + "0" * 60, WIDEST[2:] + ".990000"),
            2,
            (Decimal("1.50"), Decimal("-0.10"), Decimal(WIDEST[2:] + ".99")),
        ),
        (("7.000", "-8"), 0, (Decimal(7), Decimal(-8))),
        ((), 2, ()),
    ],
)
def test_numbers_of_up_to_38_digits_are_read_exactly(texts, scale, values):
    found = exact(numeric(*texts), pa.decimal128(38, scale))
    assert found.type == pa.decimal128(38, scale)
    assert tuple(found.to_pylist()) == values


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("1" + "0" * 38, 0), (WIDEST + "9", 0), ("170141183460469231731687303715884105728", 0), ("4" * 60, 2), ("1" * 37, 2),
        ("1.005", 2), ("nan", 2), ("inf", 2), ("-inf", 2), ("1e5", 2), ("", 2),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit_fail_and_are_not_wrapped_or_rounded(text, scale):
    assert failure(numeric("1", None, text), pa.decimal128(38, scale)) is ErrorKind.FAILED


@pytest.mark.parametrize("days", [2**31 - 1, -(2**31), -719_163, 2_932_897, -2_147_472_692])
def test_days_before_the_year_1_and_after_9999_and_infinite_ones_fail(days):
    column = pa.array([0, None, days], pa.int32()).cast(pa.date32())
    assert failure(column, pa.date32()) is ErrorKind.FAILED


def test_first_and_last_days_pass():
    days = [date(1, 1, 1), None, date(9999, 12, 31)]
    assert exact(pa.array(days, pa.date32()), pa.date32()).to_pylist() == days


@pytest.mark.parametrize("name", ["bpchar", "name", "citext"])
def test_text_of_a_type_that_compares_otherwise_is_drift(name):
    field = pa.field("n", pa.string(), metadata={"POSTGRESQL:type": name})
    batch = pa.RecordBatch.from_arrays([pa.array(["x"])], schema=pa.schema([field]))
    with pytest.raises(ConnectorError) as caught:
        exact_batch(batch, pa.schema([("n", pa.string())]))
    assert caught.value.kind is ErrorKind.SCHEMA
