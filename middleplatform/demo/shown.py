"""What a person sees of an answer of the demonstration: by whichever way it came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from middleplatform.model.result import Answer, Withholding

__all__ = ["Shown"]


@dataclass(frozen=True)
class Shown:
    """What a person sees of an answer.

    Attributes:
        protocol: What answered.
        table: The rows.
        marks: Why values are withheld, same shape.
        withheld: How many, by reason.
        notes: (English, Chinese).
        entry: Index in the log that has it: the platform's, or for own data the department's.
        parties: Who took part and signed.
        sealed: Whether the recipient's command opened it; nobody else could read the values.
        intervals: Half widths of 95 % intervals, same shape; None without noise.
    """

    protocol: str
    table: pa.Table
    marks: pa.Table
    withheld: tuple[Withholding, ...]
    notes: tuple[tuple[str, str], ...]
    entry: int
    parties: tuple[str, ...]
    sealed: bool = False
    intervals: pa.Table | None = None

    @staticmethod
    def of(answer: Answer, parties: tuple[str, ...]) -> "Shown":
        """Return what is shown of the platform's plain answer."""
        found = answer.release
        index = answer.receipt.index
        return Shown(
            answer.protocol, found.table, found.marks, found.withheld, found.notes, index, parties,
            intervals=found.intervals,
        )  # fmt: skip

    @staticmethod
    def of_opened(answer: Answer, parties: tuple[str, ...], opened: Mapping[str, Any]) -> "Shown":
        """Return what is shown of a sealed answer.

        Args:
            answer: As the gateway gave it.
            parties: Who took part.
            opened: What ``middleplatform open --json`` printed.
        """
        names = [each["name"] for each in opened["columns"]]
        table = _table(names, opened["rows"])
        reasons: list[list[object]] = [[None] * len(names) for _ in range(table.num_rows)]
        for mark in opened["suppressed"]:
            reasons[mark["row"]][mark["column"]] = mark["reason"]
        marks = _table(names, reasons).cast(pa.schema([(name, pa.string()) for name in names]))
        withheld = tuple(Withholding(**each) for each in opened["withheld"])
        notes = answer.release.notes
        index = answer.receipt.index
        return Shown(answer.protocol, table, marks, withheld, notes, index, parties, sealed=True)

    @staticmethod
    def of_own(department: str, found: Mapping[str, Any]) -> "Shown":
        """Return what a node shows its own steward.

        Args:
            department: The node's.
            found: What ``node own`` gives.
        """
        names = found["columns"]
        table = _table(names, found["rows"])
        marks = pa.table({name: pa.nulls(table.num_rows, pa.string()) for name in names})
        return Shown("own", table, marks, (), (), found["entry"], (department,))


def _table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table({name: pa.array(values) for name, values in zip(names, columns, strict=True)})
