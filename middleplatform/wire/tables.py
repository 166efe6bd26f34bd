"""Released cells as bytes: one Arrow IPC stream whose every byte is meant.

A null in an Arrow array has a slot in the value buffer, and what stands there is what was there before: a table of
withheld counts, sent as it is, would carry them. Therefore null slots are written over before a table is encoded.
"""

import struct
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.crypto.encoding import bad_message

__all__ = ["decode_table", "digest_of", "encode_table", "sealed_digest"]

_ZEROS: tuple[tuple[pa.DataType, object], ...] = (
    (pa.int64(), 0),
    (pa.string(), ""),
    (pa.bool_(), False),
    (pa.date32(), 0),
)


def encode_table(table: pa.Table) -> bytes:
    """Return ``table`` as an Arrow IPC stream of one batch, without metadata, its null slots written over.

    Args:
        table: Columns of int64, decimal128, string, date32 and bool.

    Reveals:
        The values that are not null, and nothing else of what the buffers held.
    """
    columns = [_overwritten(column) for column in table.columns]
    names = table.column_names
    schema = pa.schema(
        [pa.field(name, column.type) for name, column in zip(names, columns, strict=True)]
    )
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def decode_table(raw: bytes) -> pa.Table:
    """Return the table of an Arrow IPC stream from another party: one batch, no larger than its bytes.

    Raises:
        ProtocolError: X001 when it is no such stream, has other types, is compressed (a few bytes may stand for
            gigabytes) or is not consistent in itself.

    Reveals:
        Nothing but success or failure.
    """
    try:
        _check_messages(raw)
        with pa.ipc.open_stream(pa.py_buffer(raw)) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, struct.error):
        raise bad_message("a table is not valid") from None
    if any(not _known(kind) for kind in table.schema.types):
        raise bad_message("a table has a column of an unknown type")
    if len(set(table.column_names)) != table.num_columns:
        raise bad_message("a table has two columns of one name")
    return table


def digest_of(payload: bytes) -> str:
    """Return SHA-256 of an encoded table, hexadecimal: what a receipt says was sent.

    Reveals:
        Nothing to who has not got the table, but a guess at a small one can be checked.
    """
    return sha256(payload).hexdigest()


def sealed_digest(table: str, sealed: str) -> str:
    """Return the digest of a table and the encrypted words that belong to it, from the digest of each.

    Reveals:
        As ``digest_of``.
    """
    return sha256(f"{table}.{sealed}".encode()).hexdigest()


def _check_messages(raw: bytes) -> None:
    """Check, before a batch is read, that there is one, without a dictionary and as it lies in memory."""
    messages = list(pa.ipc.MessageReader.open_stream(pa.py_buffer(raw)))
    if [message.type for message in messages] != ["schema", "record batch"]:
        raise bad_message("a table of other messages")
    if _is_compressed(messages[1].metadata.to_pybytes()):
        raise bad_message("a compressed table")


def _is_compressed(metadata: bytes) -> bool:
    """Say whether a batch's metadata name a compression: Arrow's reader unpacks before anybody can ask.

    Source: Arrow ``Message.fbs``: ``header`` is field 2 of ``Message``, ``compression`` field 3 of ``RecordBatch``;
    FlatBuffers internals, "Tables".
    """
    (message,) = struct.unpack_from("<I", metadata, 0)
    header = _field(metadata, message, 2)
    (batch,) = struct.unpack_from("<I", metadata, header)
    return bool(header) and _field(metadata, header + batch, 3) != 0


def _field(metadata: bytes, table: int, number: int) -> int:
    """Return where a field of a FlatBuffers table lies, 0 where it has none."""
    (back,) = struct.unpack_from("<i", metadata, table)
    entry = 4 + 2 * number
    (size,) = struct.unpack_from("<H", metadata, table - back)
    if entry >= size:
        return 0
    (offset,) = struct.unpack_from("<H", metadata, table - back + entry)
    return table + offset if offset else 0


def _known(kind: pa.DataType) -> bool:
    return pa.types.is_decimal128(kind) or any(kind == known for known, _ in _ZEROS)


def _overwritten(column: pa.ChunkedArray) -> pa.Array:
    """Return the column in fresh buffers, each null slot holding zero or an empty text."""
    whole = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if not whole.null_count:
        return whole
    filled = pa.concat_arrays([pc.fill_null(whole, _zero(whole.type))])
    validity = pa.concat_arrays([pc.is_valid(whole)]).buffers()[1]
    return pa.Array.from_buffers(
        whole.type, len(whole), [validity, *filled.buffers()[1:]], whole.null_count
    )


def _zero(kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_decimal128(kind):
        return pa.scalar(0, pa.decimal128(38, 0)).cast(kind)
    for known, value in _ZEROS:
        if kind == known:
            return (
                pa.scalar(value, pa.int32()).cast(kind)
                if known == pa.date32()
                else pa.scalar(value, kind)
            )
    raise bad_message("a column of an unknown type")
