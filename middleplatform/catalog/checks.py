"""What a schema cannot say of a catalogue: names that must resolve, classes that must agree.

Every check takes raw mappings and tolerates what the schema already refused, so that one run
reports everything.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from policies.documents import Document, Path, Problem, place

__all__ = ["Source", "problems_of"]

Said = tuple[str, tuple[str, str]]

_LAW = re.compile(r"《[^》]+》|第.+条|[Aa]rt(?:icle|\.)|[Ll]aw|[Dd]ecree|\d+号|条例|法")
_LEVELS = ("country", "province", "city", "county", "township")
_ENDS = {"country": "000000", "province": "0000", "city": "00"}


@dataclass(frozen=True, slots=True)
class Source:
    """A raw mapping and the file that it comes from, ``like`` resolved."""

    document: Document
    name: str
    raw: Mapping[str, object]

    def problem(self, path: Path, where: str, what: tuple[str, str]) -> Problem:
        """Return a problem at ``path`` of the file."""
        return Problem(self.document.name, *place(self.document, path), where, what)


def problems_of(departments: Source, datasets: Sequence[Source]) -> list[Problem]:
    """Return what is wrong with the meaning of a catalogue.

    Args:
        departments: The mapping of ``departments.yaml``.
        datasets: One for each dataset.
    """
    problems: list[Problem] = []
    listed = _mappings(departments.raw.get("departments"))
    codes = {_text(each, "code") for each in listed}
    for index, field, what in _department_checks(listed):
        code = _text(listed[index], "code")
        path: Path = ("departments", index, field)
        problems.append(departments.problem(path, f"{code} / {field}", what))
    for source in datasets:
        for field, what in _dataset_checks(source.name, source.raw, codes):
            path = ("datasets", source.name, field)
            problems.append(source.problem(path, f"{source.name} / {field}", what))
        for name, column in _columns(source.raw).items():
            for field, what in _column_checks(column):
                path = ("datasets", source.name, "columns", name, field)
                problems.append(source.problem(path, f"{source.name} / {name} / {field}", what))
    return problems


def _text(raw: Mapping[str, object], key: str) -> str:
    value = raw.get(key, "")
    return str(value) if isinstance(value, str | int) else ""


def _mappings(value: object) -> list[Mapping[str, object]]:
    items = value if isinstance(value, list) else []
    return [item if isinstance(item, dict) else {} for item in items]


def _columns(raw: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    columns = raw.get("columns")
    items = columns.items() if isinstance(columns, dict) else ()
    return {name: column for name, column in items if isinstance(column, dict)}


def _uses(column: Mapping[str, object]) -> list[str]:
    uses = column.get("uses")
    return [str(use) for use in (uses if isinstance(uses, list) else [uses])]


def _department_checks(
    listed: Sequence[Mapping[str, object]],
) -> Iterator[tuple[int, str, tuple[str, str]]]:
    by_code = {_text(each, "code"): each for each in reversed(listed)}
    for index, each in enumerate(listed):
        code, region = _text(each, "code"), _text(each, "region")
        if by_code[code] is not each:
            yield index, "code", (f"department {code} is registered twice", f"部门 {code} 重复登记")
        if not region.endswith(_ENDS.get(_text(each, "level"), "")):
            yield index, "region", ("the region is not one of this level", "区划代码与层级不符")
        yield from ((index, "parent", what) for what in _parent_checks(each, by_code))


def _parent_checks(
    each: Mapping[str, object], by_code: Mapping[str, Mapping[str, object]]
) -> Iterator[tuple[str, str]]:
    name = _text(each, "parent")
    if not name:
        return
    if name not in by_code:
        yield f"{name} is not a registered department", f"部门 {name} 未登记"
        return
    if _in_circle(each, by_code):
        yield "the tree runs in a circle", "组织树存在循环"
        return
    parent = by_code[name]
    ranks = [_LEVELS.index(_text(each_, "level")) for each_ in (parent, each)
             if _text(each_, "level") in _LEVELS]  # fmt: skip
    if ranks != sorted(ranks):
        yield "the superior stands below this department", "上级部门的层级低于本部门"
    if not _within(_text(each, "region"), _text(parent, "region")):
        yield "the region lies outside the superior's", "区划不在上级部门区划之内"


def _in_circle(start: Mapping[str, object], by_code: Mapping[str, Mapping[str, object]]) -> bool:
    seen: set[str] = set()
    code = _text(start, "code")
    while code in by_code:
        if code in seen:
            return True
        seen.add(code)
        code = _text(by_code[code], "parent")
    return False


def _within(inner: str, outer: str) -> bool:
    return inner.startswith(re.sub(r"(00)+$", "", outer))


def _dataset_checks(name: str, raw: Mapping[str, object], codes: set[str]) -> Iterator[Said]:
    home = name.split(".", maxsplit=1)[0]
    held_by = raw.get("held_by", [home])
    named = [("owner", _text(raw, "owner")), ("source_department", _text(raw, "source_department"))]
    named += [("held_by", str(each)) for each in (held_by if isinstance(held_by, list) else [])]
    for field, code in named:
        if code and code not in codes:
            yield field, (f"{code} is not a registered department", f"部门 {code} 未登记")
    columns = _columns(raw)
    yield from _unit_checks(raw, columns)
    yield from _rows_by_checks(raw, columns)
    region = _text(raw, "region_column")
    if region and region not in columns:
        yield "region_column", (f"column {region} does not exist", f"列 {region} 不存在")
    elif region and _text(columns[region], "type") != "text":
        yield "region_column", (f"column {region} is not text", f"列 {region} 不是文本")


def _unit_checks(
    raw: Mapping[str, object], columns: Mapping[str, Mapping[str, object]]
) -> Iterator[Said]:
    key, unit = _text(raw, "unit_column"), _text(raw, "unit")
    if not key:
        return
    if key not in columns:
        yield "unit_column", (f"column {key} does not exist", f"列 {key} 不存在")
    elif "key" not in _uses(columns[key]) or _text(columns[key], "unit") != unit:
        what = (f"column {key} is not a key of unit {unit}", f"列 {key} 不是单元 {unit} 的键")
        yield "unit_column", what


def _rows_by_checks(
    raw: Mapping[str, object], columns: Mapping[str, Mapping[str, object]]
) -> Iterator[Said]:
    named = raw.get("rows_by", [])
    for key in map(str, named if isinstance(named, list) else []):
        if key not in columns:
            yield "rows_by", (f"column {key} does not exist", f"列 {key} 不存在")
        elif columns[key].get("held", True) is False:
            yield "rows_by", (f"column {key} is not connected", f"列 {key} 尚未接入")


def _column_checks(column: Mapping[str, object]) -> Iterator[Said]:
    yield from _sharing_checks(column)
    uses, kind = _uses(column), _text(column, "type")
    exact = kind == "integer" or kind.startswith("decimal")
    if _text(column, "level") == "core" and column.get("held", True) is not False:
        yield "level", ("core data may not be connected", "核心数据不得接入")
    if "measure" in uses and not exact:
        yield "type", ("a measure must be integer or decimal", "度量必须是整数或定点小数")
    if "date" in uses and kind != "date":
        yield "type", ("a date must have type date", "日期列的类型必须是 date")
    if "denied" in uses and len(uses) > 1:
        yield "uses", ("denied stands alone", "denied 不能与其他用法并列")
    if ("key" in uses) != bool(_text(column, "unit")):
        yield "unit", ("a key, and only a key, names a unit", "键必须且只有键可以指明单元")
    if column.get("normalise") and ("key" not in uses or kind != "text"):
        yield "normalise", ("only a key of type text is normalised", "只有文本类型的键可以规范化")
    if kind.startswith("decimal"):
        precision, scale = (int(digits) for digits in re.findall(r"\d+", kind)[:2])
        if scale > precision:
            yield "type", ("the scale is greater than the precision", "小数位数大于总位数")


def _sharing_checks(column: Mapping[str, object]) -> Iterator[Said]:
    sharing, basis = _text(column, "sharing"), _text(column, "sharing_basis").strip()
    if sharing == "not_shared" and not _LAW.search(basis):
        yield (
            "sharing_basis",
            (
                "not_shared must cite the law that forbids sharing (decree 809 art. 14, 15)",
                "不予共享必须注明法律依据（政务数据共享条例第十四、十五条）",
            ),
        )
    if sharing == "conditional" and basis in ("", "无条件", "unconditional"):
        yield (
            "sharing_basis",
            (
                "a conditional column must state its condition and basis (decree 809 art. 15)",
                "有条件共享必须列明条件和依据（政务数据共享条例第十五条）",
            ),
        )
