"""Every field of a bundle, and in which direction it loosens: one table, complete by test.

Cells tell exactly who may ask what; this tells which rules were changed for it, and the numbers that no cell shows.
Spec: docs/spec/policy-diff.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TypeAlias, cast

from middleplatform.governance.order import Direction, by_set, of_bands, of_buckets
from middleplatform.model.catalog import Sharing, Use
from middleplatform.model.policy import (
    METHODS,
    Bundle,
    ColumnRule,
    DatasetRule,
    DisclosureParameters,
    Grant,
    Limits,
    PrivacyRule,
    ProbingRule,
    Purpose,
    Risk,
    Template,
    Withheld,
)
from middleplatform.policy import evaluate, regions

__all__ = ["DERIVED", "DIRECTIONS", "NESTED", "Setting", "settings"]

Order: TypeAlias = Callable[[object, object], Direction]
"""From what was and what will be, which differ, to the direction of the change."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One field that differs.

    Attributes:
        direction: What the change does; OTHER for names, texts and what only cells can tell.
        path: Where, e.g. ``("datasets", "ga.population", "disclosure", "min_units")``.
        chinese: What the field is called in Chinese.
        before: Its value, as text; empty where the rule is new.
        after: Its value, as text; empty where the rule is gone.
    """

    direction: Direction
    path: tuple[str, ...]
    chinese: str
    before: str
    after: str


# --- orders -------------------------------------------------------------------------------------------------------


def _other(_: object, __: object) -> Direction:
    return Direction.OTHER


def _both(_: object, __: object) -> Direction:
    return Direction.BOTH


def _ranked(rank: Callable[[object], object]) -> Order:
    """Return the order in which the greater rank is the tighter."""

    def order(old: object, new: object) -> Direction:
        before, after = cast("tuple[int, int]", (rank(old), rank(new)))
        if before == after:
            return Direction.OTHER
        return Direction.TIGHTENS if after > before else Direction.LOOSENS

    return order


_higher_tightens = _ranked(lambda value: value)


def _sooner_tightens(old: object, new: object) -> Direction:
    return _higher_tightens(new, old)


_lower_tightens = _ranked(lambda value: -cast("int", value))
_cap_lower_tightens = _ranked(lambda value: -cast("int", value) if value else float("-inf"))
_more_loosens: Order = lambda old, new: by_set(cast("Iterable[object]", old), cast("Iterable[object]", new))  # noqa: E731 - a name for the table  # fmt: skip


def _listed(*rising: object) -> Order:
    """Return the order of values that are listed in rising strictness; an unlisted one goes both ways."""

    def order(old: object, new: object) -> Direction:
        if old not in rising or new not in rising:
            return Direction.BOTH
        return _higher_tightens(rising.index(old), rising.index(new))

    return order


def _uses(old: object, new: object) -> Direction:
    """A denied column may be used for nothing; a sensitive dimension is a dimension whose labels hide small cells."""

    def permitted(uses: object) -> set[Use]:
        found = set(cast("frozenset[Use]", uses))
        if Use.DENIED in found:
            return set()
        return found | ({Use.SENSITIVE_DIMENSION} if Use.DIMENSION in found else set())

    return by_set(permitted(old), permitted(new))


def _release(old: object, new: object) -> Direction:
    """Neither way contains the other: what is sealed is judged by counts alone, what is plain is read by more."""
    ways = {"plain": {"plain"}, "sealed": {"sealed"}, "both": {"plain", "sealed"}}
    return by_set(ways.get(str(old), {str(old)}), ways.get(str(new), {str(new)}))


def _finest(old: object, new: object) -> Direction:
    """No bucket at all is tighter than a year."""
    return _listed("month", "quarter", "year", "")(old, new)


def _bucket(old: object, new: object) -> Direction:
    """Without a bucket a date is not grouped at all, so to have one loosens."""
    if not old or not new:
        return Direction.LOOSENS if new else Direction.TIGHTENS
    return of_buckets(str(old), str(new))


def _withheld(old: object, new: object) -> Direction:
    """Each range keeps codes back; what law it cites changes nothing."""
    before, after = (
        {(each.first, each.last) for each in cast("tuple[Withheld, ...]", ranges)}
        for ranges in (old, new)
    )
    return by_set(after, before)


def _dominance(old: object, new: object) -> Direction:
    """(n, p) withholds all that (m, q) does when n >= m and p <= q: fewer units hold no more than more of them do."""
    before, after = (cast("tuple[tuple[int, int], ...]", pairs) for pairs in (old, new))

    def implied(pairs: Iterable[tuple[int, int]], by: Iterable[tuple[int, int]]) -> bool:
        return all(any(n >= m and p <= q for n, p in by) for m, q in pairs)

    less = Direction.OTHER if implied(before, after) else Direction.LOOSENS
    return less | (Direction.OTHER if implied(after, before) else Direction.TIGHTENS)


def _projects(old: object, new: object) -> Direction:
    """``*`` stands for every project."""
    before, after = (set(cast("tuple[str, ...]", names)) for names in (old, new))
    if "*" in before and "*" in after:
        return Direction.OTHER
    if "*" in before | after:
        return Direction.LOOSENS if "*" in after else Direction.TIGHTENS
    return by_set(before, after)


def _probing(old: object, new: object) -> Direction:
    """Each rule is kept or made stricter, or something that was caught is caught no longer."""
    before, after = (cast("tuple[ProbingRule, ...]", rules) for rules in (old, new))

    def covered(rules: Iterable[ProbingRule], by: Iterable[ProbingRule]) -> bool:
        return all(any(_catches(each, rule) for each in by) for rule in rules)

    less = Direction.OTHER if covered(before, after) else Direction.LOOSENS
    return less | (Direction.OTHER if covered(after, before) else Direction.TIGHTENS)


def _catches(one: ProbingRule, other: ProbingRule) -> bool:
    """Say whether ``one`` does at least all that ``other`` does."""
    same = (one.signal, one.per) == (other.signal, other.per)
    length = float("inf") if one.freeze and not one.hours else one.hours
    least = float("inf") if other.freeze and not other.hours else other.hours
    frozen = not other.freeze or (one.freeze == other.freeze and length >= least)
    return same and one.most <= other.most and one.minutes >= other.minutes and frozen


def _whom(old: object, new: object) -> Direction:
    """None named stands for everybody."""
    before, after = (set(cast("frozenset[str]", names)) for names in (old, new))
    if not before or not after:
        return Direction.TIGHTENS if after else Direction.LOOSENS
    return by_set(before, after)


def _regions(old: object, new: object) -> Direction:
    """A region contains those below it."""
    before, after = (cast("tuple[str, ...]", codes) for codes in (old, new))

    def within(codes: Iterable[str], others: Iterable[str]) -> bool:
        return all(any(regions.covers(other, code) for other in others) for code in codes)

    less = Direction.OTHER if within(after, before) else Direction.LOOSENS
    return less | (Direction.OTHER if within(before, after) else Direction.TIGHTENS)


def _literals(old: object, new: object) -> Direction:
    """More permitted literals loosen; other names go with another statement, which goes both ways by itself."""
    before, after = (
        dict(cast("tuple[tuple[str, tuple[str, ...]], ...]", each)) for each in (old, new)
    )
    if before.keys() != after.keys():
        return Direction.BOTH
    found = Direction.OTHER
    for name, values in before.items():
        found |= by_set(values, after[name])
    return found


# --- the table ----------------------------------------------------------------------------------------------------

DIRECTIONS: Mapping[type, Mapping[str, tuple[Order, str]]] = {
    Bundle: {"name": (_other, "名称"), "version": (_other, "版本"), "effective": (_other, "生效日期")},
    Purpose: {
        "code": (_other, "代码"), "name_zh": (_other, "中文名称"), "name_en": (_other, "英文名称"),
        "roles": (_more_loosens, "角色"),
    },
    DatasetRule: {
        "owner": (_both, "提供部门"), "purposes": (_more_loosens, "使用目的"),
        "unit_breakpoints": (_more_loosens, "逐单位断点"),
        "join": (_listed("helper", "blinded", "none"), "跨部门连接方式"),
    },
    ColumnRule: {
        "level": (_higher_tightens, "级别"),
        "sharing": (_listed(Sharing.UNCONDITIONAL, Sharing.CONDITIONAL, Sharing.NOT_SHARED), "共享类型"),
        "law": (_other, "依据"), "uses": (_uses, "用法"), "unit": (_both, "受保护单位"),
        "breakpoints": (_more_loosens, "断点"), "finest": (_finest, "最细日期"),
        "generalise": (lambda old, new: of_bands(cast("int", old), cast("int", new)), "分段宽度"),
        "bucket": (_bucket, "日期分段"), "release": (_release, "发布方式"),
        "min_units": (_higher_tightens, "阈值"), "withheld": (_withheld, "不予共享的代码"), "cap": (_both, "单位上限"),
    },
    DisclosureParameters: {
        "min_units": (_higher_tightens, "阈值"), "dominance": (_dominance, "支配规则"),
        "p_percent": (_higher_tightens, "p% 规则"), "homogeneity": (_higher_tightens, "同质性规则"),
        "history": (_higher_tightens, "历史比对"), "method": (_listed(*METHODS), "保护方法"),
        "noise_max": (_higher_tightens, "最大扰动"), "noise_variance": (_higher_tightens, "扰动方差"),
        "noise_js": (_higher_tightens, "不出现的小计数"), "magnitude_percent": (_higher_tightens, "数值扰动百分比"),
        "interval_percent": (_higher_tightens, "区间宽度百分比"), "overlaps_max": (_cap_lower_tightens, "重叠发布上限"),
        "noise_below": (_higher_tightens, "仅以噪声作答的人数下限"),
    },
    PrivacyRule: {
        "rho": (_lower_tightens, "单次隐私损失"), "delta": (_lower_tightens, "delta"),
        "groups": (_lower_tightens, "每单位单元格数"),
        "rows": (_lower_tightens, "每单位行数"), "rho_snapshot": (_lower_tightens, "快照预算"),
        "rho_project": (_lower_tightens, "项目预算"), "rho_analyst": (_lower_tightens, "分析员预算"),
    },
    Limits: {
        "sql_characters_max": (_lower_tightens, "语句长度"), "depth_max": (_lower_tightens, "嵌套深度"),
        "joins_max": (_lower_tightens, "连接数"), "group_columns_max": (_lower_tightens, "分组列数"),
        "group_columns_max_level_4": (_lower_tightens, "含四级列时的分组列数"),
        "cells_max": (_lower_tightens, "单元格数"),
        "near_duplicates_per_day": (_lower_tightens, "每日近似语句数"), "projects": (_projects, "登记的项目"),
        "join_rows_max": (_lower_tightens, "连接行数"), "answer_grid_ms": (_higher_tightens, "作答时间间隔"),
        "probing": (_probing, "试探行为检测"),
    },
    # What a grant gives is told by cells, exactly and over all time; its own fields say only where it comes from.
    Grant: {
        "id": (_other, "文号"), "departments": (_other, "使用部门"), "subjects": (_other, "使用人"),
        "purposes": (_other, "使用目的"),
        "columns": (_other, "列"), "operations": (_other, "操作"), "regions": (_other, "区域"),
        "starts": (_other, "开始"),
        "ends": (_other, "截止"), "basis": (_other, "依据"), "own_data": (_other, "本部门数据"),
    },
    Template: {
        "name": (_other, "名称"), "title_zh": (_other, "中文标题"), "title_en": (_other, "英文标题"),
        "sql": (_both, "语句"), "parameters": (_literals, "允许取值"),
        "departments": (_whom, "开放部门"), "subjects": (_whom, "使用人"), "purposes": (_more_loosens, "使用目的"),
        "regions": (_regions, "区域"), "starts": (_higher_tightens, "开始"), "ends": (_sooner_tightens, "截止"),
        # What it was approved for is not one officer's to write anew.
        "basis": (_both, "依据"), "risk": (_both, "风险评估"),
    },
}  # fmt: skip
"""Of each rule, its plain fields: their order, and what they are called in Chinese."""

NESTED: Mapping[type, frozenset[str]] = {
    Bundle: frozenset({"purposes", "datasets", "grants", "limits", "templates"}),
    DatasetRule: frozenset({"disclosure", "columns"}),
    DisclosureParameters: frozenset({"privacy"}),
}
"""Fields that hold rules of their own."""

DERIVED = frozenset({"digest", "raw"})
"""Fields of a bundle that follow from the others (``policy.canonical_form``)."""


# --- the difference -----------------------------------------------------------------------------------------------


def settings(old: Bundle, new: Bundle) -> Iterator[Setting]:
    """Yield every field that differs between two bundles, in order of their fields."""
    yield from _fields(old, new, ())
    for part, (zh, added) in _PARTS.items():
        before, after = getattr(old, part), getattr(new, part)
        yield from _named(before, after, (part,), zh, added)
    yield from _named(_by_id(old), _by_id(new), ("grants",), "授权", _OTHER)
    yield from _grant_order(old, new)
    yield from _fields(old.limits, new.limits, ("limits",))


_ADDED = Direction.LOOSENS
_OTHER = Direction.OTHER
_PARTS = {
    "purposes": ("使用目的", _ADDED),
    "datasets": ("数据集", _ADDED),
    "templates": ("查询模板", _ADDED),
}


def _fields(old: object, new: object, path: tuple[str, ...]) -> Iterator[Setting]:
    for name, (order, chinese) in DIRECTIONS[type(old)].items():
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            direction = order(before, after)
            yield Setting(direction, (*path, name), chinese, _text(before), _text(after))


def _named(
    old: Mapping[str, object], new: Mapping[str, object], path: tuple[str, ...], chinese: str, added: Direction
) -> Iterator[Setting]:  # fmt: skip
    """Yield what differs between two sets of rules by name; ``added`` is what a new one does."""
    for name in dict.fromkeys((*old, *new)):
        where = (*path, name)
        if name not in old:
            yield Setting(_direction(new[name], added), where, chinese, "", _summary(new[name]))
        elif name not in new:
            gone = _direction(old[name], added) and Direction.TIGHTENS
            yield Setting(gone, where, chinese, _summary(old[name]), "")
        else:
            yield from _inside(old[name], new[name], where)


def _direction(rule: object, added: Direction) -> Direction:
    """A denied column lets nothing, whether it is written or left out."""
    denied = isinstance(rule, ColumnRule) and evaluate.denied(rule)
    return Direction.OTHER if denied else added


def _inside(old: object, new: object, path: tuple[str, ...]) -> Iterator[Setting]:
    yield from _fields(old, new, path)
    if isinstance(old, DatasetRule) and isinstance(new, DatasetRule):
        yield from _inside(old.disclosure, new.disclosure, (*path, "disclosure"))
        yield from _named(old.columns, new.columns, (*path, "columns"), "列", _ADDED)
    if isinstance(old, DisclosureParameters) and isinstance(new, DisclosureParameters):
        offered = {"privacy": old.privacy} if old.privacy else {}
        offers = {"privacy": new.privacy} if new.privacy else {}
        yield from _named(offered, offers, path, "差分隐私", _ADDED)


def _by_id(bundle: Bundle) -> dict[str, Grant]:
    """Grants by their number, a second one of the same number told apart; no loader lets it pass."""
    found: dict[str, Grant] = {}
    for grant in bundle.grants:
        name, again = grant.id, 1
        while name in found:
            again += 1
            name = f"{grant.id} #{again}"
        found[name] = grant
    return found


def _grant_order(old: Bundle, new: Bundle) -> Iterator[Setting]:
    """Of several grants that cover a use, the first is the one that is named."""
    both = _by_id(old).keys() & _by_id(new).keys()
    before, after = ([name for name in _by_id(each) if name in both] for each in (old, new))
    if before != after:
        path = ("grants", "order")
        yield Setting(Direction.OTHER, path, "授权的次序", ", ".join(before), ", ".join(after))


# --- values as text -----------------------------------------------------------------------------------------------


def _summary(rule: object) -> str:
    """Return what a whole rule says, in a few words."""
    if isinstance(rule, Grant):
        who, what = (
            ", ".join(sorted(each)) for each in (rule.departments | rule.subjects, rule.columns)
        )
        return f"{who}: {what} ({rule.ends:%Y-%m-%d})"
    if isinstance(rule, Template):
        return _template_text(rule)
    if isinstance(rule, ColumnRule):
        return f"{_text(rule.uses)}, {_text(rule.sharing)}"
    if isinstance(rule, DatasetRule):
        return _text(rule.purposes)
    return _text(rule.roles) if isinstance(rule, Purpose) else "+"


def _template_text(rule: Template) -> str:
    """Return all that who approves it must weigh."""
    people = ", ".join(sorted(rule.departments | rule.subjects))
    literals = "".join(f" :{name} = {' | '.join(values)};" for name, values in rule.parameters)
    return (
        f"{people}, {_text(rule.purposes)}, {_text(rule.regions)}, {rule.starts:%Y-%m-%d}/{rule.ends:%Y-%m-%d}: "
        f"{' '.join(rule.sql.split())};{literals} {rule.basis}; {_text(rule.risk)}"
    )


def _rule_text(rule: ProbingRule | Withheld | Risk) -> str:
    if isinstance(rule, Risk):
        return f"{rule.assessed_by}, {rule.assessed_on}: {rule.secrecy}; {rule.personal}"
    if isinstance(rule, Withheld):
        return f"{rule.first}-{rule.last} ({rule.law})"
    then = f" -> {rule.freeze} {rule.hours or '-'} h" if rule.freeze else ""
    return f"{rule.signal}/{rule.per} > {rule.most} in {rule.minutes} min{then}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, ProbingRule | Withheld | Risk):
        return _rule_text(value)
    if isinstance(value, Enum):
        return value.name.lower().replace("_", " ") if isinstance(value, int) else str(value.value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(_text, value))) or "-"
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "-"
    return str(value) if value is not None and value != "" else "-"
