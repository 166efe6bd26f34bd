"""Do the bytes of a table hold its released values, and nothing else?"""

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleplatform.errors import ProtocolError
from middleplatform.wire.tables import decode_table, digest_of, encode_table

SECRET = 0x5EC2E75EC2E75EC2


def withheld(column, keep):
    """Blank values as the release does: the validity changes, the value buffer need not."""
    whole = pa.concat_arrays([column])
    validity = pa.array(keep).buffers()[1]
    return pa.Array.from_buffers(whole.type, len(whole), [validity, *whole.buffers()[1:]])


SECRETS = {
    "integer": (pa.array([1, SECRET, 3]), SECRET.to_bytes(8, "little")),
    "decimal": (pa.array([Decimal(1), Decimal(SECRET), Decimal(3)], pa.decimal128(38, 0)), SECRET.to_bytes(8, "little")),
    "text": (pa.array(["a", "张三的秘密", "c"]), "张三的秘密".encode()),
    "date": (pa.array([date(2024, 1, 1), date(1999, 12, 31), date(2024, 1, 2)]), date(1999, 12, 31).toordinal().__sub__(719163).to_bytes(4, "little")),
}  # fmt: skip


@pytest.mark.parametrize("kind", SECRETS)
def test_a_withheld_value_is_not_in_the_bytes(kind):
    column, secret = SECRETS[kind]
    hidden = withheld(column, [True, False, True])
    plain = pa.BufferOutputStream()
    with pa.ipc.new_stream(plain, pa.schema([("x", hidden.type)])) as writer:
        writer.write_table(pa.table({"x": hidden}))
    assert secret in bytes(plain.getvalue()), "the trap itself: Arrow sends what a null slot holds"
    raw = encode_table(pa.table({"x": hidden}))
    assert secret not in raw
    assert decode_table(raw)["x"].to_pylist() == hidden.to_pylist()


def test_what_the_release_blanks_is_not_in_the_bytes():
    blanked = pc.if_else(
        pa.array([False, True, False]), pa.scalar(None, pa.int64()), pa.array([1, SECRET, 3])
    )
    assert SECRET.to_bytes(8, "little") not in encode_table(pa.table({"x": blanked}))


def test_a_slice_does_not_bring_its_neighbours():
    whole = pa.table({"x": ["before-neighbour", "kept", None, "after-neighbour"]})
    raw = encode_table(whole.slice(1, 2))
    assert b"neighbour" not in raw
    assert decode_table(raw)["x"].to_pylist() == ["kept", None]


values = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))


@given(
    st.lists(
        st.tuples(
            values,
            st.one_of(st.none(), st.text(max_size=5)),
            st.one_of(st.none(), st.dates()),
            st.one_of(st.none(), st.booleans()),
            st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**20), max_value=10**20)),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_a_table_comes_back_and_its_encoding_is_stable(rows):
    kinds = [pa.int64(), pa.string(), pa.date32(), pa.bool_(), pa.decimal128(38, 2)]
    table = pa.table(
        {f"c{i}": pa.array([row[i] for row in rows], kind) for i, kind in enumerate(kinds)}
    )
    raw = encode_table(table)
    again = decode_table(raw)
    assert again.to_pylist() == table.to_pylist()
    assert digest_of(encode_table(again)) == digest_of(raw)


def stream(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"no arrow", stream(pa.table({"x": [1.5]})), stream(pa.table({"x": [[1], [2]]})), encode_table(pa.table({"x": [1]}))[:-20],
        stream(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])),
        stream(pa.table({"x": pa.array(["a", "b"]).dictionary_encode()})),
    ],
)  # fmt: skip
def test_what_is_no_table_of_cells_is_refused(raw):
    with pytest.raises(ProtocolError) as caught:
        decode_table(raw)
    assert caught.value.code == "X001"


def test_broken_offsets_are_refused_and_never_read():
    raw = bytearray(encode_table(pa.table({"x": ["ab", "cd"]})))
    place = raw.index(b"\x00\x00\x00\x00\x02\x00\x00\x00\x04\x00\x00\x00")
    raw[place + 8 : place + 12] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(ProtocolError):
        decode_table(bytes(raw))


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_few_bytes_that_stand_for_many_are_refused_before_they_are_unpacked(compression):
    table = pa.table({"d0": pa.nulls(1_000_000, pa.int64()).fill_null(0)})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    raw = bytes(sink.getvalue())
    assert len(raw) < table.nbytes / 100, "the trap itself"
    before = pa.total_allocated_bytes()
    with pytest.raises(ProtocolError) as refused:
        decode_table(raw)
    assert (refused.value.code, refused.value.detail) == ("X001", "a compressed table")
    assert pa.total_allocated_bytes() == before


def test_a_table_is_one_batch_and_no_dictionary():
    table = pa.table({"x": [1, 2]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    words = pa.table({"x": pa.array(["a", "b"]).dictionary_encode()})
    other = pa.BufferOutputStream()
    with pa.ipc.new_stream(other, words.schema) as writer:
        writer.write_table(words)
    for raw in (sink, other):
        with pytest.raises(ProtocolError):
            decode_table(bytes(raw.getvalue()))
