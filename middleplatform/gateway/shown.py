"""Which cells of a round are shown, and their labels: the same for secure sums and private joins."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa

from middleplatform.disclosure.disclose import Marks
from middleplatform.errors import ProtocolError

__all__ = [
    "JoinedUnits",
    "RoundAnswer",
    "hidden_marks",
    "label_columns",
    "label_values",
    "shown_rows",
]


@dataclass(frozen=True)
class JoinedUnits:
    """How many units the cells of a private join have; it stays at the gateway.

    Attributes:
        shown: Of each cell of the answer, in its order.
        hidden: Of each of the others.
    """

    shown: tuple[int, ...]
    hidden: tuple[int, ...]


@dataclass(frozen=True)
class RoundAnswer:
    """What a round releases.

    Attributes:
        cells: As a node's released cells; only cells with something to show.
        hidden: Marks of the cells that are not shown at all: nobody but their departments knows their labels.
        receipts: By party.
        counts: Of a private join whose lists were matched.
    """

    cells: pa.Table
    hidden: tuple[str, ...]
    receipts: dict[str, str]
    counts: JoinedUnits | None = None


def shown_rows(marks: Marks, width: int) -> list[int]:
    """Return the cells with something to show; without dimensions there is no label to keep: the one row is shown.

    Args:
        marks: Shape (cells, aggregates).
        width: Number of dimensions.
    """
    return [
        number for number, row in enumerate(marks) if not width or any(mark is None for mark in row)
    ]


def hidden_marks(marks: Marks, shown: Sequence[int]) -> tuple[str, ...]:
    """Return the marks of the cells that are not shown at all."""
    hidden = np.ones(len(marks), dtype=np.bool_)
    hidden[list(shown)] = False
    return tuple([str(mark) for mark in marks[hidden].reshape(-1)])


def label_columns(rows: Sequence[Sequence[object]], width: int) -> dict[str, pa.Array]:
    """Return columns ``d0`` ... of label tuples.

    Args:
        rows: One tuple a cell.
        width: Number of dimensions.

    Raises:
        ProtocolError: X001 where a tuple has another number of labels.
    """
    if any(len(row) != width for row in rows):
        raise ProtocolError("X001", detail="labels of another shape")
    try:
        columns = {f"d{index}": pa.array([row[index] for row in rows]) for index in range(width)}
    except pa.ArrowException:
        raise ProtocolError("X001", detail="labels of several types") from None
    return {
        name: column.cast(pa.string()) if pa.types.is_null(column.type) else column
        for name, column in columns.items()
    }


def label_values(label: bytes) -> list[object]:
    """Return the values of a label as a department sends it: a JSON list with types.

    Raises:
        ProtocolError: X001 for anything else.
    """
    try:
        return [_untagged(value) for value in _list(json.loads(label))]
    except (ValueError, ArithmeticError):
        raise ProtocolError("X001", detail="a label of an unknown form") from None


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ProtocolError("X001", detail="a label of an unknown form")
    return value


def _untagged(value: object) -> object:
    match value:
        case None | bool() | int() | str():
            return value
        case {"date": str(text), **rest} if not rest:
            return date.fromisoformat(text)
        case {"decimal": str(text), **rest} if not rest:
            return Decimal(text)
        case _:
            raise ProtocolError("X001", detail="a label of an unknown type")
