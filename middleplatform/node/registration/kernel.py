"""The kernel of a profile: batches of rows go in, counts come out, and nothing else.

It is picklable, so that a source may run it where its rows are, several times over parts of them: the counts of the
parts add up. Beside a source on other machines it needs this package there.

Reveals:
    Nothing by itself: counts of any size, for the department's own engineer.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.node.registration import standards
from middleplatform.node.registration.normal import normalised

__all__ = ["RESULT", "ColumnCheck", "ProfileKernel", "added_up"]

RESULT = pa.schema([("column", pa.string()), ("check", pa.string()), ("count", pa.int64())])
"""What the kernel yields: one row a column and check; the column "" counts rows."""

_NUMERIC = (TypeKind.INTEGER, TypeKind.DECIMAL)


@dataclass(frozen=True, slots=True)
class ColumnCheck:
    """What to count of one column.

    Attributes:
        name: In the batches.
        found: Type that the batches have.
        declared: Type of the catalogue; None for a column that is not in it.
        standard: ``"identity"``, ``"credit"`` or ``""``.
        codes: The code table; empty for none.
        normalise: Steps that bring a key to one form before it is joined across departments; empty for none.
    """

    name: str
    found: ColumnType
    declared: ColumnType | None = None
    standard: str = ""
    codes: tuple[str, ...] = ()
    normalise: tuple[str, ...] = ()

    def counts(self, values: pa.Array, today: date) -> Mapping[str, int]:
        """Return this column's counts of one batch."""
        found = dict(self._content(values, today))
        if self.found.kind in (TypeKind.TEXT, TypeKind.INTEGER):
            found |= standards.shapes(values, today)
        if self.declared is not None and not self._holds(self.declared):
            found["outside_type"] = len(values) - values.null_count
        return found

    def _content(self, values: pa.Array, today: date) -> Mapping[str, int]:
        match self.found.kind:
            case TypeKind.TEXT:
                return self._text(values, today)
            case TypeKind.DATE:
                return standards.dates(values, today)
            case TypeKind.INTEGER | TypeKind.DECIMAL:
                limits = self.declared if self.declared and self.declared.numeric else self.found
                return standards.numbers(values, limits.precision, limits.scale, self.codes)
            case TypeKind.BOOLEAN:
                return {"missing": values.null_count}

    def _text(self, values: pa.Array, today: date) -> Mapping[str, int]:
        found = standards.texts(values, self.codes)
        if self.standard == "identity":
            found |= standards.identity(values, today)
        elif self.standard == "credit":
            found |= standards.credit(values)
        if self.normalise:
            found |= self._normal(values, today)
        return found

    def _normal(self, values: pa.Array, today: date) -> Mapping[str, int]:
        """Count what the declared steps alter, and what they do not bring to a right key."""
        normal = normalised(values, self.normalise)
        altered = pc.and_(normal.is_valid(), pc.not_equal(normal, values))
        found = {
            "normal": len(normal) - normal.null_count,
            "normal_changed": int(pc.sum(altered).as_py() or 0),
        }
        if self.standard:
            judged = (
                standards.identity(normal, today)
                if self.standard == "identity"
                else standards.credit(normal)
            )
            # A number of 15 digits that is left so is a key that no other department has.
            found["normal_wrong"] = found["normal"] - judged["valid"]
        return found

    def _holds(self, declared: ColumnType) -> bool:
        both = (self.found.kind, declared.kind)
        return both[0] is both[1] or all(kind in _NUMERIC for kind in both)


@dataclass(frozen=True, slots=True)
class ProfileKernel:
    """Counts over batches that have the columns named.

    Attributes:
        columns: What to count.
        today: The day of the profile, the same in every part.
    """

    columns: tuple[ColumnCheck, ...]
    today: date

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield one batch of counts for all batches of a part."""
        counted: Counter[tuple[str, str]] = Counter()
        for batch in batches:
            counted["", "rows"] += batch.num_rows
            for each in self.columns:
                for check, count in each.counts(batch.column(each.name), self.today).items():
                    counted[each.name, check] += count
        yield pa.RecordBatch.from_pylist(
            [
                {"column": column, "check": check, "count": count}
                for (column, check), count in sorted(counted.items())
            ],
            schema=RESULT,
        )


def added_up(table: pa.Table) -> dict[str, dict[str, int]]:
    """Return the counts of all parts, by column and check."""
    total = table.group_by(["column", "check"]).aggregate([("count", "sum")])
    found: dict[str, dict[str, int]] = {}
    for row in total.to_pylist():
        found.setdefault(row["column"], {})[row["check"]] = row["count_sum"]
    return found
