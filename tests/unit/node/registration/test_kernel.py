"""The kernel yields counts only, from any cut of the rows, wherever it runs."""

import pickle
from datetime import date

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.node.registration.kernel import RESULT, ColumnCheck, ProfileKernel, added_up

TEXT, WHOLE = ColumnType(TypeKind.TEXT), ColumnType(TypeKind.INTEGER)
KERNEL = ProfileKernel(
    (
        ColumnCheck("key", TEXT, TEXT, "identity"),
        ColumnCheck("sex", TEXT, TEXT, codes=("1", "2")),
        ColumnCheck("year", WHOLE, ColumnType(TypeKind.DATE)),
        ColumnCheck("staff", WHOLE),
    ),
    date(2026, 3, 1),
)
SCHEMA = pa.schema(
    [("key", pa.string()), ("sex", pa.string()), ("year", pa.int64()), ("staff", pa.int64())]
)

rows = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from((None, "", "990101199001010019", "990101199001010018", "9901")),
            "sex": st.sampled_from((None, "1", "3", "１")),
            "year": st.one_of(st.none(), st.integers(1900, 2030)),
            "staff": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        }
    ),
    max_size=20,
)


def run(*parts):
    """Run the kernel over each part and return what all parts say together."""
    out = [batch for part in parts for batch in KERNEL(iter(part))]
    assert all(batch.schema == RESULT for batch in out)
    return added_up(pa.Table.from_batches(out, RESULT))


def batch(values):
    return pa.RecordBatch.from_pylist(values, schema=SCHEMA)


@settings(max_examples=40)
@given(rows, rows, rows)
def test_counts_do_not_depend_on_how_rows_are_cut(first, second, third):
    whole = run([batch(first + second + third)])
    assert run([batch(first), batch(second)], [batch(third)], []) == whole or not (
        first + second + third
    )


def test_what_comes_out_is_counts_and_no_value():
    secret = "990101199001010019"
    (out,) = KERNEL(iter([batch([{"key": secret, "sex": "3", "year": 1990, "staff": 7}])]))
    shown = str(out.to_pylist())
    assert secret not in shown
    assert set(out.column("column").to_pylist()) == {"", "key", "sex", "year", "staff"}
    assert all(0 <= count <= 1 for count in out.column("count").to_pylist())


def test_a_column_of_another_type_than_declared_is_outside_its_type():
    found = run([batch([{"year": 1990}, {"year": None}, {"year": 1991}])])
    assert found["year"]["outside_type"] == 2


def test_the_kernel_survives_a_journey_to_another_process():
    there = pickle.loads(pickle.dumps(KERNEL))
    assert there == KERNEL
    assert run([batch([{"sex": "3"}])])["sex"]["outside_codes"] == 1


def test_no_batch_at_all_counts_nothing():
    assert run([]) == {}
