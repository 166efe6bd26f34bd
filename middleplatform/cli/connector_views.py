"""How ``connector`` shows registrations, tests and profiles."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import pick

if TYPE_CHECKING:
    from middleplatform.node.registration.record import Registration
    from middleplatform.node.registration.register import Found
    from middleplatform.node.registration.trial import Check

__all__ = ["checks", "found", "listed", "profile", "registration"]

_STATES = {
    "ok": ("ok", "正常"), "note": ("note", "提示"), "failed": ("FAILED", "未通过"),
    "accepted": ("accepted", "已确认"), "proposed": ("PROPOSED", "待确认"),
    "published": ("published", "已发布"), "altered": ("ALTERED since publication", "发布后已修改"),
    "tested": ("tested", "已检验"), "registered": ("registered", "已登记"),
}  # fmt: skip
_WHAT = {
    "connection": ("connection", "连接"), "schema": ("schema", "结构"), "types": ("types", "类型"),
    "statement": ("statement", "试查询"), "mapping": ("mapping", "映射"),
}  # fmt: skip
_WRONG = (
    "blank", "padded", "full_width", "normalisable", "old_form", "bad_form", "bad_region", "bad_birth",
    "bad_check", "outside_codes", "outside_range", "outside_scale", "outside_type", "future", "before_1900",
    "normal_changed", "normal_wrong",
)  # fmt: skip


def _table(
    context: Context, titles: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]
) -> None:
    table = Table()
    for title in titles:
        table.add_column(pick(title, context.locale), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable.line(each)) for each in row))
    context.out.print(table)


def registration(found: "Registration") -> dict[str, Any]:
    """Return a registration as a JSON document."""
    return {
        "name": found.name,
        "department": found.department,
        "kind": found.kind,
        "options": dict(found.options),
        "state": state_of(found),
        "schema": found.schema,
        "fingerprint": found.digest,
        "datasets": {
            name: {
                "table": each.table.physical,
                "state": "proposed" if any(each.proposed()) else "accepted",
                "columns": {
                    column: {
                        "physical": item.physical,
                        "how": str(item.how),
                        "state": "accepted" if item.accepted else "proposed",
                    }
                    for column, item in each.columns.items()
                },
            }
            for name, each in found.datasets.items()
        },
    }


def state_of(found: "Registration") -> str:
    """Return how far a registration has come."""
    if found.published is not None:
        return "published" if found.is_published else "altered"
    tested = found.tested
    return "tested" if tested and tested.passed and tested.digest == found.digest else "registered"


def listed(context: Context, registrations: "Sequence[Registration]") -> None:
    """Show a list of registrations."""
    if context.as_json:
        context.emit([registration(each) for each in registrations])
        return
    rows = [
        (each.name, each.department, each.kind, pick(_STATES[state_of(each)], context.locale), ", ".join(each.datasets))
        for each in registrations
    ]  # fmt: skip
    titles = (
        ("name", "名称"),
        ("department", "部门"),
        ("kind", "类型"),
        ("state", "状态"),
        ("datasets", "数据集"),
    )
    _table(context, titles, rows)


def found(context: Context, made: "Found") -> None:
    """Show what a registration maps, what it does not, and what is proposed for columns without a place."""
    if context.as_json:
        lost = [
            {"dataset": each.dataset, "column": each.column, "hints": list(each.hints)}
            for each in made.unmapped
        ]
        proposals = [
            {"table": table, "column": column, **each.plain()}
            for (table, column), each in made.proposals.items()
        ]
        context.emit(registration(made.registration) | {"unmapped": lost, "proposals": proposals})
        return
    rows = []
    for name, mapped in made.registration.datasets.items():
        pairs = [
            (name, mapped.table),
            *((f"{name}.{key}", item) for key, item in mapped.columns.items()),
        ]
        rows += [
            (place, item.physical, str(item.how), _state(context, accepted=item.accepted))
            for place, item in pairs
        ]  # fmt: skip
    _table(
        context,
        (("catalogue", "目录"), ("source", "数据源"), ("found by", "依据"), ("state", "状态")),
        rows,
    )
    for each in made.unmapped:
        place = f"{each.dataset}.{each.column}" if each.column else each.dataset
        hints = ", ".join(map(printable.line, each.hints))
        context.tell(
            f"not mapped: {place}" + (f" (of a fitting type: {hints})" if hints else ""),
            f"未映射：{place}" + (f"（类型相符的列：{hints}）" if hints else ""),
        )
    for (table, column), proposal in made.proposals.items():
        place = printable.line(f"{table}.{column}")
        level = proposal.level.name.lower().replace("_", "-")
        context.tell(
            f"in no dataset: {place}; proposed {level}, {proposal.use}: {proposal.reasons[0][0]}",
            f"未列入数据集：{place}；建议 {level}、{proposal.use}：{proposal.reasons[0][1]}",
        )
    if any(item for each in made.registration.datasets.values() for item in each.proposed()):
        context.tell(
            "Proposed mappings count once confirmed: connector map NAME --accept, or --map.",
            "建议的映射须经确认：connector map NAME --accept 或 --map。",
        )


def _state(context: Context, *, accepted: bool) -> str:
    return pick(_STATES["accepted" if accepted else "proposed"], context.locale)


def checks(context: Context, made: "Sequence[Check]") -> None:
    """Show what a test found."""
    if context.as_json:
        context.emit([
            {"what": each.what, "where": each.where, "state": each.state,
             "said": pick(each.said, context.locale), "seconds": round(each.seconds, 3)}
            for each in made
        ])  # fmt: skip
        return
    rows = [
        (pick(_WHAT[each.what], context.locale), each.where, pick(_STATES[each.state], context.locale),
         pick(each.said, context.locale), f"{each.seconds:.2f} s" if each.seconds else "")
        for each in made
    ]  # fmt: skip
    titles = (
        ("what", "项目"),
        ("where", "位置"),
        ("state", "结果"),
        ("said", "说明"),
        ("time", "用时"),
    )
    _table(context, titles, rows)


def profile(context: Context, made: Mapping[str, Any]) -> None:
    """Show a full profile: to the department's engineer only."""
    if context.as_json:
        context.emit(made)
        return
    say = context.say
    titles = (
        ("column", "列"), ("source", "数据源"), ("missing", "缺失"), ("wrong or to be mended", "不合标准"),
        ("different", "不同值"), ("repeated keys", "重复键"), ("quality", "质量"),
        ("proposed class", "建议分级"), ("because", "依据"),
    )  # fmt: skip
    for name, dataset in made["datasets"].items():
        context.out.print(
            Text(say(f"{name}: {dataset['rows']} rows, quality {dataset['quality']}",
                     f"{name}：{dataset['rows']} 行，质量 {dataset['quality']}"))
        )  # fmt: skip
        _table(context, titles, [_row(context, each) for each in dataset["columns"]])
    context.tell(
        "These counts stay inside the department. Classes are proposed for an officer to decide; none is applied.",
        "以上数字仅限部门内部使用；分级建议由安全管理员决定，系统不会自行采用。",
    )


def _duplicates(column: Mapping[str, Any]) -> str:
    """Return repeated keys as they are stored, and as they are joined where the catalogue normalises."""
    told = [str(column[name]) for name in ("duplicates", "duplicates_normal") if name in column]
    return " → ".join(told)


def _row(context: Context, column: Mapping[str, Any]) -> tuple[str, ...]:
    counts = column["counts"]
    wrong = ", ".join(f"{name} {counts[name]}" for name in _WRONG if counts.get(name))
    proposal = column["proposal"]
    klass = f"{proposal['level']}, {proposal['use']}"
    if column["stricter_than_catalogue"]:
        klass += context.say(" (stricter than the catalogue)", "（严于目录）")
    place = 1 if context.say("", "zh") else 0
    return (
        column["name"],
        column["physical"],
        str(counts.get("missing", 0)),
        wrong,
        "" if column["distinct"] is None else str(column["distinct"]),
        _duplicates(column),
        f"{column['quality']:.2f}",
        klass,
        proposal["reasons"][0][place],
    )
