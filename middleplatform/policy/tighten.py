"""Lay a written column rule over the catalogue's column: the stricter wins, looser is refused."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import cast

from middleplatform.model.catalog import Column, Level, Sharing, Use
from middleplatform.model.policy import ColumnRule, Withheld

__all__ = ["LEVELS", "SHARING_ORDER", "column_rule", "loosenings", "uses_within"]

Raw = Mapping[str, object]
Said = tuple[str, tuple[str, str]]

LEVELS: Mapping[str, Level] = {
    "general-1": Level.GENERAL_1,
    "general-2": Level.GENERAL_2,
    "general-3": Level.GENERAL_3,
    "general-4": Level.GENERAL_4,
    "important": Level.IMPORTANT,
    "core": Level.CORE,
}
SHARING_ORDER = (Sharing.UNCONDITIONAL, Sharing.CONDITIONAL, Sharing.NOT_SHARED)


def column_rule(raw: Raw, column: Column) -> ColumnRule:
    """Return the effective rule of ``column``.

    Args:
        raw: The written rule, valid by the schema; what it leaves out is the catalogue's.
        column: The catalogue's column.

    Returns:
        The stricter level and sharing type of the two, and the written uses or the catalogue's.
        Where the sharing type was tightened, the catalogue's basis is none of it and is dropped.
    """
    level = max(column.level, LEVELS.get(str(raw.get("level")), column.level))
    written = Sharing(str(raw.get("sharing", column.sharing)))
    sharing = max(written, column.sharing, key=SHARING_ORDER.index)
    inherited = column.sharing_basis if sharing is column.sharing else ""
    generalise = raw.get("generalise", 0)
    return ColumnRule(
        level=level,
        sharing=sharing,
        law=str(raw.get("law", raw.get("basis", inherited))),
        uses=_uses(raw, column),
        unit=str(raw.get("unit", column.unit)),
        breakpoints=breakpoints(raw.get("breakpoints", [])),
        finest=str(raw.get("finest", "")),
        generalise=generalise if isinstance(generalise, int) else 0,
        bucket=generalise if isinstance(generalise, str) else "",
        release=str(raw.get("release", "plain")),
        min_units=cast("int", raw.get("min_units", 0)),
        cap=Decimal(str(raw["cap"])) if "cap" in raw else None,
        withheld=tuple(
            Withheld(**each) for each in cast("list[dict[str, str]]", raw.get("withheld", []))
        ),
    )


def breakpoints(values: object) -> tuple[Decimal, ...]:
    """Return a written list of numbers as sorted exact decimals."""
    return tuple(sorted(Decimal(value) for value in cast("list[int]", values)))


def _uses(raw: Raw, column: Column) -> frozenset[Use]:
    if "use" not in raw:
        return column.uses
    use = raw["use"]
    return frozenset(Use(str(each)) for each in (use if isinstance(use, list) else [use]))


def uses_within(uses: frozenset[Use], column: Column) -> bool:
    """Say whether ``uses`` are no more than the catalogue's; denied and sensitive tighten."""
    allowed = column.uses | {Use.DENIED}
    if Use.DIMENSION in column.uses:
        allowed |= {Use.SENSITIVE_DIMENSION}
    return uses <= allowed


def loosenings(raw: Raw, column: Column) -> Iterator[Said]:
    """Yield (field, sentence) for each point at which ``raw`` is looser than the catalogue."""
    if "level" in raw and LEVELS[str(raw["level"])] < column.level:
        yield "level", ("looser than the catalogue: a lower level", "比目录宽松：级别更低")
    if "sharing" in raw:
        written = SHARING_ORDER.index(Sharing(str(raw["sharing"])))
        if written < SHARING_ORDER.index(column.sharing):
            yield "sharing", ("looser than the catalogue: a freer sharing type",
                              "比目录宽松：共享属性更宽")  # fmt: skip
    if not uses_within(_uses(raw, column), column):
        yield "use", ("looser than the catalogue: a use that it does not allow",
                      "比目录宽松：目录未允许的用法")  # fmt: skip
    if "cap" in raw and not column.uses & {Use.MEASURE, Use.KEY}:
        yield "cap", ("only a measure or a key has a cap", "只有度量或键可以设置上限")
    if "unit" in raw and str(raw["unit"]) != column.unit:
        yield "unit", (f"the catalogue's unit is {column.unit or 'none'}",
                       f"目录中的单元是 {column.unit or '无'}")  # fmt: skip
