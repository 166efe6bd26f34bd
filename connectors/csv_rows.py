"""Rows of a CSV file (RFC 4180) with declared columns.

The first row names the columns, and must be the declared ones in their order. A missing value is an
empty field without quotes; an empty field in quotes is an empty text. Line breaks, delimiters and
doubled quotes may stand in quotes. Every field is read as text and then held to its declared type
(``connectors.texts``): nothing is guessed.
"""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.csv as arrow_csv

from connectors.folder import Declaration, Identity, identity
from connectors.spi import ColumnDescription, ConnectorError, ErrorKind
from connectors.texts import exact

__all__ = ["check_header", "csv_batches"]

_BLOCK = 1 << 24
"""Bytes read at once; a row that is longer may end the statement."""


def check_header(path: str, known: Identity, declaration: Declaration) -> None:
    """Check that the first row of a file names the declared columns.

    Raises:
        ConnectorError: SCHEMA when it does not, or no column is declared; FAILED when the file
            cannot be read.
    """
    if not declaration.columns:
        raise ConnectorError(ErrorKind.SCHEMA, f"{path}: its columns are not declared")
    with _opened(path, known, declaration) as raw:
        text = io.TextIOWrapper(io.BufferedReader(raw), declaration.encoding, newline="")
        row = next(csv.reader(text, delimiter=declaration.delimiter, strict=True), [])
        text.detach()
    if row != [column.name for column in declaration.columns]:
        raise ConnectorError(ErrorKind.SCHEMA, f"{path}: its columns are {row}")


def csv_batches(
    path: str, known: Identity, declaration: Declaration, columns: Sequence[ColumnDescription]
) -> Iterator[pa.RecordBatch]:
    """Give the rows of a file: ``columns`` of it, in their exact types.

    Raises:
        ConnectorError: FAILED when it is damaged, or a value is not of its type.
    """
    names = [column.name for column in columns]
    with _opened(path, known, declaration) as raw:
        reader = arrow_csv.open_csv(
            io.BufferedReader(raw, _BLOCK),
            arrow_csv.ReadOptions(block_size=_BLOCK, encoding=declaration.encoding),
            arrow_csv.ParseOptions(
                delimiter=declaration.delimiter,
                newlines_in_values=True,
                # An empty row of one column is a missing value.
                ignore_empty_lines=len(declaration.columns) > 1,
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=names,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        for batch in reader:
            arrays = [
                exact(values, column) for values, column in zip(batch.columns, columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, names)
        # The parser takes the end of the file for a closing quote.
        if raw.quotes % 2:
            raise ConnectorError(ErrorKind.FAILED, f"{path}: a quote is never closed")


class _Counted(io.RawIOBase):
    """A file that counts the quotes that were read; in both encodings a quote is the byte 0x22."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # a buffer, as io calls it
        size = self._file.readinto(buffer) or 0
        self.quotes += bytes(memoryview(buffer)[:size]).count(b'"')
        return size


@contextmanager
def _opened(path: str, known: Identity, declaration: Declaration) -> Iterator[_Counted]:
    """Open the very file that was listed, and tell all failures as ours."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with io.FileIO(descriptor) as file:
            if identity(os.fstat(descriptor)) != known:
                raise ConnectorError(ErrorKind.FAILED, f"{path} has just been replaced")
            mark = "\ufeff".encode(declaration.encoding)
            if file.read(len(mark)) != mark:
                file.seek(0)
            yield _Counted(file)
    except (OSError, UnicodeError, csv.Error, KeyError) as error:
        raise ConnectorError(ErrorKind.FAILED, f"{path}: {error}") from None
