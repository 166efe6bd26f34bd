"""Whether a source's column can be what the catalogue says, and what of a source has changed since.

Reveals:
    Nothing: names and types only, inside the department.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from connectors.spi import ColumnDescription, TableDescription, TypeKind
from middleplatform.model.catalog import ColumnType
from middleplatform.model.catalog import TypeKind as Declared
from middleplatform.node.registration.record import MappedDataset

__all__ = ["Change", "changes", "fits", "type_text"]

_SAME = {
    Declared.TEXT: TypeKind.TEXT,
    Declared.DATE: TypeKind.DATE,
    Declared.BOOLEAN: TypeKind.BOOLEAN,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the source as registered and as it is.

    Attributes:
        table: Of the source.
        column: Of the source; empty for the whole table.
        what: (English, Chinese).
        drift: Whether a mapped column is concerned; else it is worth knowing only.
    """

    table: str
    column: str
    what: tuple[str, str]
    drift: bool


def type_text(column: ColumnDescription) -> str:
    """Return a type as people write it."""
    if column.kind is TypeKind.DECIMAL:
        return f"decimal({column.precision}, {column.scale})"
    return str(column.kind)


def fits(declared: ColumnType, found: ColumnDescription) -> tuple[str, str] | None:
    """Return why a column cannot be what the catalogue declares, or None when it can.

    A wider column may hold values that do not fit: the profile counts them.

    Args:
        declared: Of the catalogue.
        found: Of the source.
    """
    text = type_text(found)
    match declared.kind:
        case Declared.INTEGER:
            whole = found.kind is TypeKind.DECIMAL and found.scale <= 0
            right = found.kind is TypeKind.INTEGER or (
                whole and found.precision <= declared.precision
            )
        case Declared.DECIMAL:
            places = found.kind is TypeKind.DECIMAL and found.scale <= declared.scale
            right = found.kind is TypeKind.INTEGER or places
        case other:
            right = found.kind is _SAME[other]
    if right:
        return None
    wanted = str(declared.kind)
    if declared.kind is Declared.DECIMAL:
        wanted = f"decimal({declared.precision}, {declared.scale})"
    return (
        f"the catalogue says {wanted}, the source has {text}",
        f"目录为 {wanted}，数据源为 {text}",
    )


def changes(
    registered: Mapping[str, TableDescription],
    present: Mapping[str, TableDescription],
    datasets: Mapping[str, MappedDataset],
) -> Iterator[Change]:
    """Yield what differs, table by table and column by column.

    Args:
        registered: Tables as they were when they were registered.
        present: The source as it is.
        datasets: The mapping, which says what a difference matters for.
    """
    mapped: dict[str, set[str]] = {}
    for each in datasets.values():
        mapped.setdefault(each.table.physical, set()).update(
            item.physical for item in each.columns.values()
        )
    for table, before in registered.items():
        if table not in present:
            yield Change(table, "", ("the table is gone", "表已不存在"), drift=True)
            continue
        yield from _columns(table, before, present[table], mapped.get(table, set()))


def _columns(
    table: str, before: TableDescription, after: TableDescription, mapped: set[str]
) -> Iterator[Change]:
    now = {each.name: each for each in after.columns}
    was = {each.name: each for each in before.columns}
    for name, old in was.items():
        new = now.get(name)
        if new is None:
            yield Change(table, name, ("the column is gone", "列已不存在"), name in mapped)
        elif type_text(new) != type_text(old):
            what = (
                f"was {type_text(old)}, is {type_text(new)}",
                f"原为 {type_text(old)}，现为 {type_text(new)}",
            )
            yield Change(table, name, what, name in mapped)
        elif new.nullable and not old.nullable:
            what = ("may now hold missing values", "现可为空")
            yield Change(table, name, what, name in mapped)
    for name, new in now.items():
        if name not in was:
            what = (f"a new column, {type_text(new)}", f"新增列，{type_text(new)}")
            yield Change(table, name, what, drift=False)
