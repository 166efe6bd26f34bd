"""Verdicts, persons and settings as words, (English, Chinese)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from middleplatform.governance.cells import Kind, Person, Verdict
from middleplatform.model.request import Role

__all__ = ["ROLES", "Said", "joined", "people", "use_words", "verdict_words"]

Said = tuple[str, str]
"""English, Chinese."""

ROLES: Mapping[Role, Said] = {
    Role.ANALYST: ("analyst", "分析员"),
    Role.DEPARTMENT_STEWARD: ("department steward", "部门共享负责人"),
    Role.SECURITY_OFFICER: ("security officer", "安全管理员"),
    Role.DATA_BUREAU: ("data bureau", "数据主管部门"),
    Role.AUDITOR: ("auditor", "审计员"),
    Role.SYSTEM_ADMINISTRATOR: ("system administrator", "系统管理员"),
}

_REWRITES: Mapping[str, Said] = {
    "band": ("grouped in bands of {}", "按 {} 分段"),
    "bucket": ("grouped by {}", "按 {} 分段"),
    "withhold": ("without codes {}", "不含代码 {}"),
}
_WAYS: Mapping[str, Said] = {"plain": ("in plain", "明文"), "sealed": ("sealed", "密封")}


def joined(parts: Iterable[Said]) -> Said:
    """Return sentence parts as one list."""
    both = list(parts)
    return ", ".join(each[0] for each in both), "、".join(each[1] for each in both)


def people(persons: Sequence[Person], everybody: Sequence[Person]) -> Said:
    """Return who ``persons`` are, out of all that there are.

    Args:
        persons: Some.
        everybody: All.
    """
    roles: dict[tuple[Said, ...], list[Role]] = {}
    for role in dict.fromkeys(each.role for each in persons):
        mine, all_of_role = (
            [each for each in group if each.role is role] for group in (persons, everybody)
        )
        roles.setdefault(_departments(mine, all_of_role), []).append(role)
    parts = []
    for where, who in roles.items():
        english, chinese = joined(ROLES[role] for role in who)
        inside = joined(where)
        parts.append(
            (f"{english} ({inside[0]})", f"{chinese}（{inside[1]}）")
            if where
            else (english, chinese)
        )
    return "; ".join(each[0] for each in parts), "；".join(each[1] for each in parts)


def _departments(mine: Sequence[Person], everybody: Sequence[Person]) -> tuple[Said, ...]:
    """Return the departments of persons of one role, or nothing when they are all of them."""
    if len(mine) == len(everybody):
        return ()
    told: list[Said] = []
    here, there = _logins(mine), _logins(everybody)
    for department, logins in here.items():
        missing = sorted(there[department] - logins)
        if not missing:
            told.append((department, department))
        elif "" in logins:
            names = ", ".join(missing)
            told.append((f"{department} but for {names}", f"{department}（{names} 除外）"))
        else:
            told += [(f"{department}: {name}", f"{department}：{name}") for name in sorted(logins)]
    whole = [each for each in there if here.get(each) == there[each]]
    others = sorted(there.keys() - here.keys())
    if len(whole) == len(here) and len(others) < len(here):
        names = ", ".join(others)
        return ((f"all departments but {names}", f"{names} 以外的部门"),)
    return tuple(told)


def _logins(persons: Iterable[Person]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in persons:
        found.setdefault(each.department, set()).add(each.subject)
    return found


_LINES = ("value <", "unit total <", "unit total =")


def use_words(uses: Sequence[Said]) -> Said:
    """Return questions as one list; of several lines of one sort, the sort is told once."""
    told: dict[Said, list[Said]] = {}
    for english, chinese in uses:
        sort = next((each for each in _LINES if english.startswith(f"{each} ")), "")
        if sort:
            (_, at), (_, there) = english.split(f"{sort[-1]} "), chinese.split(f"{sort[-1]} ")
            head = sort, chinese[: -len(there) - 1]
            told.setdefault(head, []).append((at, there))
        else:
            told[english, chinese] = []
    parts = []
    for (english, chinese), lines in told.items():
        at, there = (" / ".join(each[side] for each in lines) for side in (0, 1))
        parts.append((f"{english} {at}".strip(), f"{chinese} {there}".strip()))
    return joined(parts)


def verdict_words(verdict: Verdict, other: Verdict) -> Said:
    """Return what a verdict is, in the respects in which it may differ from ``other``.

    Args:
        verdict: To tell.
        other: What it is told beside.
    """
    steps = verdict.steps()
    english, chinese = _step(steps[0], other)
    for place, each in enumerate(steps[1:]):
        if _same_later(steps[place:], other.steps()):
            break
        until, (then, said) = _moment(steps[place].until), _step(each, other)
        english += f" until {until}, then {then}"
        chinese += f"（至 {until}，其后{said}）"
    return english, chinese


def _same_later(mine: Sequence[Verdict], others: Sequence[Verdict]) -> bool:
    """Say whether the same follows at the same moment beside: then it need not be told."""
    follows = mine[0].until, tuple(mine[1:])
    return any(
        (each.until, tuple(others[place + 1 :])) == follows for place, each in enumerate(others)
    )


def _moment(moment: datetime | None) -> str:
    if moment is None:
        return "-"
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return f"{moment:%Y-%m-%d}" if midnight else f"{moment:%Y-%m-%d %H:%M}Z"


def _step(verdict: Verdict, other: Verdict) -> Said:
    if verdict.kind is Kind.REFUSED:
        return f"refused ({verdict.rule})", f"拒绝（{verdict.rule}）"
    head = (
        ("permitted", "允许") if verdict.kind is Kind.PERMITTED else ("needs a grant", "须经授权")
    )
    parts = list(_respects(verdict, other))
    english, chinese = joined(parts)
    return (f"{head[0]}: {english}", f"{head[1]}：{chinese}") if parts else head


def _respects(verdict: Verdict, other: Verdict) -> Iterable[Said]:
    """Yield what is worth telling: what holds this question beyond the plainest answer, or differs."""
    alike = any(each.kind == verdict.kind for each in other.steps())
    others = list(other.steps())

    def told(field: str) -> bool:
        """Told where it differs from a like verdict beside it, or there is none."""
        like = [each for each in others if each.kind == verdict.kind]
        return not like or any(getattr(each, field) != getattr(verdict, field) for each in like)

    if verdict.kind is Kind.PERMITTED and told("rewrites"):
        if not verdict.rewrites and alike:
            yield "as asked", "按所问"
        for kind, (_, *arguments) in verdict.rewrites:
            shown = ", ".join(arguments)
            yield _REWRITES[kind][0].format(shown), _REWRITES[kind][1].format(shown)
    if told("regions") and (alike or verdict.regions != ("*",)):
        names = ", ".join(verdict.regions) or "-"
        yield f"regions {names}", f"区域 {names}"
    if told("release") and (alike or len(verdict.release) == 1):
        ways = [_WAYS[each] for each in verdict.release]
        yield " or ".join(each[0] for each in ways), "或".join(each[1] for each in ways)
    if (told("min_units") or told("imposed_by")) and (alike or verdict.kind is Kind.PERMITTED):
        by = verdict.imposed_by
        least = verdict.min_units
        units = "unit" if least == 1 else "units"
        yield f"from {least} {units} ({by})", f"不少于 {least} 个单位（{by}）"
    if told("min_units_inside") and verdict.min_units_inside != verdict.min_units:
        inside = verdict.min_units_inside
        yield f"from {inside} inside the department", f"部门内部不少于 {inside} 个"
