"""Build grants from what is written."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import cast

from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Grant

__all__ = ["build", "problems_of"]

Raw = Mapping[str, object]
Said = tuple[str, tuple[str, str]]


def build(raw: Raw) -> Grant:
    """Return the grant that ``raw``, valid by the schema and by ``problems_of``, describes."""
    return Grant(
        id=str(raw["id"]),
        departments=_names(raw, "departments"),
        subjects=_names(raw, "subjects"),
        purposes=_names(raw, "purposes"),
        columns=_names(raw, "columns"),
        operations=_names(raw, "operations"),
        regions=tuple(sorted(map(str, cast("list[object]", raw["regions"])))),
        starts=moment(str(raw["starts"])),
        ends=moment(str(raw["ends"])),
        basis=str(raw.get("basis", "")),
        own_data=bool(raw.get("own_data", False)),
    )


def moment(text: str) -> datetime:
    """Return a written moment in UTC; a bare date is its first moment in UTC.

    Raises:
        ValueError: There is no such day or hour.
    """
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def _names(raw: Raw, key: str) -> frozenset[str]:
    return frozenset(cast("list[str]", raw.get(key, [])))


def problems_of(raw: Raw, catalog: Catalog, purposes: frozenset[str]) -> Iterator[Said]:
    """Yield (field, sentence) for what keeps ``raw`` from being a grant at all."""
    yield from _time_problems(raw)
    for code in sorted(_names(raw, "purposes") - purposes):
        yield "purposes", (f"purpose {code} is unknown", f"未知的使用目的 {code}")
    if not _names(raw, "departments") and not _names(raw, "subjects"):
        yield "departments", ("the grant binds nobody", "授权没有使用对象")
    for name in sorted(_names(raw, "columns")):
        dataset = catalog.datasets.get(name.rpartition(".")[0])
        if raw.get("own_data") and dataset and {dataset.owner} != _names(raw, "departments"):
            what = (f"own_data, but {name} belongs to another department", f"{name} 不是本部门数据")
            yield "own_data", what


def _time_problems(raw: Raw) -> Iterator[Said]:
    try:
        starts, ends = moment(str(raw["starts"])), moment(str(raw["ends"]))
    except (ValueError, OverflowError):
        yield "starts", ("starts or ends is no day or hour that exists", "起止时间不存在")
        return
    if ends <= starts:
        yield "ends", ("the grant ends before it starts", "授权的结束早于开始")
