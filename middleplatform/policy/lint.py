"""Find what is lawful YAML and still wrong: ``policy check`` (policy.md, "What officers need").

An error keeps a bundle from being published; a warning is for the officer to weigh.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from middleplatform.model.catalog import Catalog, Column, Level, Sharing, TypeKind, Use
from middleplatform.model.policy import Bundle, ColumnRule, DatasetRule, Grant
from middleplatform.policy.evaluate import denied
from middleplatform.policy.regions import ALL
from middleplatform.policy.tighten import SHARING_ORDER, uses_within

__all__ = ["MIN_UNITS_SAFE", "Finding", "Severity", "check"]

MIN_UNITS_SAFE = 10
"""Below this many units a threshold is too low for data above general-1 (AI-SDC/ACRO default)."""

MIN_UNITS_LEVEL_4 = 20
"""The same for level general-4 (a re-identification risk of 0.05)."""

_NO_CONDITION = ("", "无条件", "unconditional")


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        severity: Error or warning.
        code: Stable name, e.g. ``"not-shared-without-law"``.
        where: ``"dataset.column"``, dataset, or grant id.
        what: (English, Chinese) sentence.
    """

    severity: Severity
    code: str
    where: str
    what: tuple[str, str]


Said = tuple[Severity, str, tuple[str, str]]
_ERROR, _WARNING = Severity.ERROR, Severity.WARNING


def check(bundle: Bundle, catalog: Catalog, now: datetime) -> tuple[Finding, ...]:
    """Return every finding, errors first, then by place.

    Args:
        bundle: A loaded bundle.
        catalog: Today's catalogue, which may have been tightened since the bundle was written.
        now: Aware; decides which grants have expired.
    """
    found = [*_datasets(bundle, catalog), *_grants(bundle, catalog, now)]
    return tuple(sorted(found, key=lambda each: (each.severity, each.where, each.code)))


def _datasets(bundle: Bundle, catalog: Catalog) -> Iterator[Finding]:
    for name, rule in bundle.datasets.items():
        dataset = catalog.datasets.get(name)
        columns = dataset.columns if dataset else {}
        for said in _dataset(rule, columns.values()):
            yield Finding(said[0], said[1], name, said[2])
        for key in sorted(set(columns) - set(rule.columns)):
            what = ("not classified, so denied", "未分类，因此拒绝")
            yield Finding(_WARNING, "unclassified", f"{name}.{key}", what)
        for key, each in rule.columns.items():
            for said in _column(each, columns.get(key)):
                yield Finding(said[0], said[1], f"{name}.{key}", said[2])
    for name in sorted(set(catalog.datasets) - set(bundle.datasets)):
        what = ("not classified, so denied", "未分类，因此拒绝")
        yield Finding(_WARNING, "unclassified", name, what)


def _dataset(rule: DatasetRule, columns: Iterable[Column]) -> Iterator[Said]:
    personal = any(column.level > Level.GENERAL_1 for column in columns)
    personal = personal or any(each.level > Level.GENERAL_1 for each in rule.columns.values())
    if not personal:
        return
    if rule.disclosure.min_units < MIN_UNITS_SAFE:
        yield (
            _ERROR,
            "threshold-too-low",
            (
                f"min_units below {MIN_UNITS_SAFE} on data above general-1",
                f"一般1级以上数据的最小单元数低于 {MIN_UNITS_SAFE}",
            ),
        )
    if not rule.disclosure.history:
        what = ("history is off on data above general-1", "一般1级以上数据关闭了历史核查")
        yield _ERROR, "history-off", what
    if not rule.disclosure.dominance and not rule.disclosure.p_percent:
        what = ("no dominance rule on data above general-1", "一般1级以上数据没有支配规则")
        yield _WARNING, "dominance-off", what
    if not rule.purposes:
        yield _WARNING, "no-purpose", ("no purpose is allowed", "没有允许的使用目的")


def _column(rule: ColumnRule, column: Column | None) -> Iterator[Said]:
    yield from _sharing(rule)
    yield from _classes(rule, column)
    if column is None or not _within(rule, column):
        yield _ERROR, "looser-than-catalogue", ("looser than the catalogue", "比目录宽松")
    if rule.level is Level.GENERAL_4 and rule.min_units < MIN_UNITS_LEVEL_4 and not denied(rule):
        what = (
            f"level general-4 with min_units below {MIN_UNITS_LEVEL_4}",
            f"一般4级的最小单元数低于 {MIN_UNITS_LEVEL_4}",
        )
        yield _WARNING, "level-4-threshold", what


def _within(rule: ColumnRule, column: Column) -> bool:
    rank = SHARING_ORDER.index
    return (
        rule.level >= column.level
        and rank(rule.sharing) >= rank(column.sharing)
        and uses_within(rule.uses, column)
    )


def _sharing(rule: ColumnRule) -> Iterator[Said]:
    if rule.sharing is Sharing.NOT_SHARED and rule.law.strip() in _NO_CONDITION:
        what = ("not_shared cites no law (decree 809 art. 14)",
                "不予共享未注明法律依据（政务数据共享条例第十四条）")  # fmt: skip
        yield _ERROR, "not-shared-without-law", what
    if rule.sharing is Sharing.CONDITIONAL and rule.law.strip() in _NO_CONDITION:
        what = ("a condition without a basis (decree 809 art. 15)",
                "共享条件没有依据（政务数据共享条例第十五条）")  # fmt: skip
        yield _ERROR, "condition-without-basis", what
    if rule.sharing is Sharing.NOT_SHARED and rule.uses != {Use.DENIED}:
        what = ("not_shared is denied everywhere: its uses have no effect",
                "不予共享的列一律拒绝：所写用法无效")  # fmt: skip
        yield _WARNING, "use-without-effect", what


def _classes(rule: ColumnRule, column: Column | None) -> Iterator[Said]:
    """Contradictory classes, and parameters that fit none of the column's classes."""
    for bad, en, zh in (
        (Use.DENIED in rule.uses and len(rule.uses) > 1, "denied beside another use",
         "禁用与其他用法并列"),
        ({Use.KEY, Use.MEASURE} <= rule.uses, "key and measure at once", "既是键又是度量"),
        ({Use.DATE, Use.MEASURE} <= rule.uses, "date and measure at once", "既是日期又是度量"),
        (
            {Use.DIMENSION, Use.SENSITIVE_DIMENSION} <= rule.uses,
            "dimension and sensitive dimension at once",
            "既是维度又是敏感维度",
        ),
        (Use.KEY in rule.uses and not rule.unit, "a key that names no unit", "键未指明单元"),
        (bool(rule.finest or rule.bucket) and Use.DATE not in rule.uses,
         "a date bucket on what is no date", "非日期列写有日期粒度"),
        (bool(rule.withheld) and not rule.uses & {Use.DIMENSION, Use.SENSITIVE_DIMENSION},
         "withheld codes on what is no dimension", "非维度列写有不予共享代码段"),
    ):  # fmt: skip
        if bad:
            yield _ERROR, "contradictory-classes", (en, zh)
    if rule.breakpoints and not _comparable(rule, column):
        what = ("breakpoints on a column that is no measure", "非度量列写有断点")
        yield _ERROR, "breakpoints-without-measure", what
    if rule.generalise and column is not None and column.type.kind is not TypeKind.INTEGER:
        what = ("a band width on a column that is no integer", "非整数列写有分段宽度")
        yield _ERROR, "band-without-integer", what
    if any(last < first for first, last in ((each.first, each.last) for each in rule.withheld)):
        what = ("a withheld range ends before it starts", "不予共享代码段的末位小于首位")
        yield _ERROR, "withheld-range-empty", what


def _comparable(rule: ColumnRule, column: Column | None) -> bool:
    """Say whether breakpoints mean something: on a measure, or on an ordered numeric dimension."""
    if Use.MEASURE in rule.uses:
        return True
    numeric = column is not None and column.type.numeric
    return numeric and bool(rule.uses & {Use.DIMENSION, Use.SENSITIVE_DIMENSION})


def _grants(bundle: Bundle, catalog: Catalog, now: datetime) -> Iterator[Finding]:
    for grant in bundle.grants:
        for said in (*_grant(grant, catalog, now), *_scope(grant, bundle, catalog)):
            yield Finding(said[0], said[1], grant.id, said[2])


def _grant(grant: Grant, catalog: Catalog, now: datetime) -> Iterator[Said]:
    if not grant.basis.strip():
        what = ("the grant states no basis (decree 809 art. 20)",
                "授权没有使用依据（政务数据共享条例第二十条）")  # fmt: skip
        yield _ERROR, "grant-without-basis", what
    if grant.ends <= now:
        yield _WARNING, "grant-expired", ("the grant has expired", "授权已到期")
    for code in sorted(grant.departments - set(catalog.departments)):
        what = (f"department {code} is unknown", f"未知的部门 {code}")
        yield _ERROR, "grant-unknown-department", what


def _scope(grant: Grant, bundle: Bundle, catalog: Catalog) -> Iterator[Said]:
    levels = []
    for name in sorted(grant.columns):
        dataset, _, key = name.rpartition(".")
        rule = bundle.datasets.get(dataset)
        columns = rule.columns if rule else {}
        if dataset not in catalog.datasets or (key != "*" and key not in columns):
            what = (f"column {name} is not in the policy", f"策略中没有列 {name}")
            yield _ERROR, "grant-unknown-column", what
        elif key != "*" and denied(columns[key]):
            what = (f"column {name} is denied: the grant gives nothing",
                    f"列 {name} 已禁用：授权无效")  # fmt: skip
            yield _WARNING, "grant-without-effect", what
        if dataset in catalog.datasets:
            levels += [column.level for column in catalog.datasets[dataset].columns.values()]
    if ALL not in grant.regions and levels and max(levels) is Level.GENERAL_1:
        what = ("a region limit on non-personal data", "对非个人数据设置了区域限制")
        yield _WARNING, "region-limit-on-public-data", what
