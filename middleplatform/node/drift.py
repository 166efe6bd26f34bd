"""Whether a source still has what was registered: names and kinds of columns, before every execution.

A changed type could be cast to the old one and round; a source that has drifted therefore answers nothing until its
department registers the change. Told in the catalogue's names only.

Reveals:
    To the analyst and the gateway: which registered column is missing or of another kind; nothing of the source's
    own names or of other columns.
"""

from collections.abc import Mapping

from connectors.spi import ColumnDescription, TableDescription, TypeKind
from middleplatform.model.catalog import ColumnType
from middleplatform.model.physical import PhysicalNames

__all__ = ["Reads", "drift", "table_name"]

Reads = tuple[tuple[str, str, ColumnType], ...]
"""(dataset, column, type) that a cell's statements name."""

_ZH = {
    TypeKind.INTEGER: "整数", TypeKind.DECIMAL: "小数", TypeKind.TEXT: "文本", TypeKind.DATE: "日期",
    TypeKind.BOOLEAN: "布尔", TypeKind.OTHER: "其他类型",
}  # fmt: skip
_NUMERIC = frozenset({TypeKind.INTEGER, TypeKind.DECIMAL})


def table_name(dataset: str, names: PhysicalNames) -> str:
    """Return what a connector's ``describe`` calls a dataset's table.

    Reveals:
        Nothing.
    """
    return ".".join(names.table(dataset).path)


def drift(
    reads: Reads,
    names: PhysicalNames,
    registered: Mapping[str, TableDescription] | None,
    found: Mapping[str, TableDescription],
) -> tuple[str, tuple[str, str]] | None:
    """Return the first dataset that is no longer as registered and what changed, or None.

    Args:
        reads: What the statements name, with the catalogue's types.
        names: Where it lies in the source.
        registered: What the source had when it was registered, by dataset: then every mapped column must be as it
            was, also one that this cell does not read; None where nothing was recorded.
        found: What the source has now, by its own names.

    Reveals:
        Names and kinds of registered columns.
    """
    for dataset in sorted({dataset for dataset, _, _ in reads}):
        now = found.get(table_name(dataset, names))
        if now is None:
            return dataset, ("the table is missing", "数据表缺失")
        table = names.table(dataset)
        present = {column.name: column for column in now.columns}
        before = registered.get(dataset) if registered is not None else None
        for own, column, kind in reads:
            if own != dataset:
                continue
            what = _against_catalog(column, kind, present.get(table.physical(column)))
            if what is not None:
                return dataset, what
        if before is not None:
            recorded = {column.name: column for column in before.columns}
            for column, physical in table.columns:
                what = _against_record(column, recorded.get(physical), present.get(physical))
                if what is not None:
                    return dataset, what
    return None


def _missing(name: str) -> tuple[str, str]:
    return f"column {name} is missing", f"列 {name} 缺失"


def _against_catalog(
    name: str, kind: ColumnType, now: ColumnDescription | None
) -> tuple[str, str] | None:
    if now is None:
        return _missing(name)
    wanted = TypeKind(str(kind.kind))
    if now.kind is not wanted and not {now.kind, wanted} <= _NUMERIC:
        return _changed(name, now.kind, wanted)
    return _places(name, now.scale, kind.scale) if now.scale > kind.scale else None


def _against_record(
    name: str, was: ColumnDescription | None, now: ColumnDescription | None
) -> tuple[str, str] | None:
    if now is None:
        return _missing(name)
    if was is None:
        return None
    if now.kind is not was.kind:
        return _changed(name, now.kind, was.kind)
    return _places(name, now.scale, was.scale) if now.scale != was.scale else None


def _changed(name: str, now: TypeKind, was: TypeKind) -> tuple[str, str]:
    return (
        f"column {name} is {now}, registered as {was}",
        f"列 {name} 现为{_ZH[now]}，登记为{_ZH[was]}",
    )


def _places(name: str, now: int, was: int) -> tuple[str, str]:
    return (
        f"column {name} has {now} decimal places, registered with {was}",
        f"列 {name} 现有 {now} 位小数，登记为 {was} 位",
    )
