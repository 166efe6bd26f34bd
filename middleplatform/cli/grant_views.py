"""Applications for data as text: a table of many, all of one."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say

__all__ = ["print_history", "print_many", "print_one", "words"]

Told = Mapping[str, Any]

_WORDS = {
    "unsigned": ("waits for its signature", "待签署"), "checking": ("desk check", "材料审核"),
    "returned": ("returned for completion", "待补正"), "answering": ("with the providers", "待答复"),
    "answered": ("answered", "已答复"), "suspended": ("suspended", "已暂停"),
    "withdrawn": ("withdrawn", "已撤回"), "expired": ("expired", "已到期"),
    "waiting": ("waits", "待答复"), "refused": ("refused", "不予共享"), "granted": ("granted", "同意共享"),
    "granted_in_part": ("granted in part", "部分同意"), "approved": ("approved", "已批准"),
    "ordinary": ("ordinary", "一般"), "emergency": ("emergency", "应急"),
    "negotiation": ("negotiation", "协商"), "same_level_authority": ("same-level authority", "同级主管部门"),
    "common_superior": ("common superior authority", "共同的上级主管部门"), "government": ("government", "本级政府"),
}  # fmt: skip


def words(name: str, say: Say) -> str:
    """Return what a state is called."""
    return say(*_WORDS[name])


def print_many(context: Context, many: Sequence[Told]) -> None:
    """Print one line for each application."""
    say = context.say
    table = _table(
        say("number", "编号"), say("by", "申请部门"), say("purpose", "使用目的"), say("providers", "提供部门"),
        say("state", "状态"), say("due", "期限"), say("overdue", "逾期"),
    )  # fmt: skip
    for each in many:
        providers = ", ".join(part["department"] for part in each["providers"])
        state = words(each["phase"], say)
        if each["lane"] == "emergency":
            state += f" ({words('emergency', say)})"
        due = min((term["due"] for term in each["terms"] if term["met_at"] is None), default="")
        _row(
            table, each["number"], each["department"], each["purpose"], providers, state, due,
            ", ".join(dict.fromkeys(_who(t, say) for t in each["terms"] if _late(t))),
        )  # fmt: skip
    context.out.print(table)


def _late(term: Told) -> bool:
    return bool(term["overdue"]) and term["met_at"] is None


def _who(term: Told, say: Say) -> str:
    return term["department"] or say("data bureau", "主管部门")


def print_one(context: Context, one: Told) -> None:
    """Print all of one application."""
    say = context.say
    fields = {
        say("state", "状态"): words(one["phase"], say),
        say("by", "申请人"): f"{one['applicant']} ({one['department']})",
        say("signed by", "签署人"): one["signed_by"],
        say("for", "使用人"): ", ".join(one["subjects"]) or say("the department", "本部门全体"),
        say("basis", "使用依据"): one["basis"], say("scenario", "使用场景"): one["scenario"],
        say("scope", "使用范围"): one["scope"], say("purpose", "使用目的"): one["purpose"],
        say("operations", "操作"): ", ".join(one["operations"]),
        say("regions", "区域"): ", ".join(one["regions"]),
        say("time limit", "使用时限"): f"{one['starts']} … {one['ends']}",
        say("to be completed", "需补充材料"): ", ".join(one["asked_for"]),
    }  # fmt: skip
    if one["dispute"]:
        step = words(one["dispute"]["step"], say)
        fields[say("dispute", "争议")] = f"{one['dispute']['with']}: {step}"
    if one["review_open"]:
        fields[say("open task", "待办")] = say("review by the data bureau", "主管部门复核")
    context.write(f"{one['number']}\n")
    for name, value in fields.items():
        if value:
            context.write(f"  {name}: {printable.line(value)}\n")
    _print_providers(context, one)
    _print_terms(context, one)


def _print_providers(context: Context, one: Told) -> None:
    say = context.say
    table = _table(
        say("provider", "提供部门"), say("columns", "申请的数据项"), say("answer", "答复"),
        say("granted", "同意的数据项"), say("reason and basis", "理由与依据"),
    )  # fmt: skip
    for each in one["providers"]:
        given = each["answer"] or {"columns": [], "reason": "", "basis": ""}
        why = " · ".join(part for part in (given["reason"], given["basis"]) if part)
        _row(
            table, each["department"], ", ".join(each["columns"]), words(each["outcome"], say),
            ", ".join(given["columns"]), why,
        )  # fmt: skip
    free = [each["name"] for each in one["columns"] if each["unconditional"]]
    if free:
        _row(table, say("nobody", "无需答复"), ", ".join(free),
             say("unconditional", "无条件共享"), ", ".join(free), "")  # fmt: skip
    context.out.print(table)


def _print_terms(context: Context, one: Told) -> None:
    say = context.say
    table = _table(
        say("deadline", "期限事项"), say("article", "条款"), say("who", "责任部门"), say("due", "截止日"),
        say("met", "完成"), say("", ""),
    )  # fmt: skip
    for each in one["terms"]:
        marks = [
            say("overdue", "逾期") if each["overdue"] else "",
            "" if each["calendar_known"] else say("holidays not known yet", "节假日安排未公布"),
        ]
        _row(
            table, say(each["name_en"], each["name_zh"]), each["article"], _who(each, say), each["due"],
            (each["met_at"] or "")[:10], ", ".join(mark for mark in marks if mark),
        )  # fmt: skip
    if one["terms"]:
        context.out.print(table)


def print_history(context: Context, told: Told) -> None:
    """Print what happened to an application, and what is to be done."""
    from middleplatform.governance.timeline import HAPPENED  # noqa: PLC0415 - slow to import

    say = context.say
    table = _table(
        say("when", "时间"), say("what", "事项"), say("article", "条款"), say("by", "办理人"),
        say("said", "说明"), say("deadlines", "期限"),
    )  # fmt: skip
    for each in told["events"]:
        what = " ".join(part for part in (say(*HAPPENED[each["act"]]), each["department"]) if part)
        said = " · ".join(
            part for part in (each["reason"], each["basis"], *each["missing"]) if part
        )
        _row(
            table, each["at"][:16], what, say(each["article_en"], each["article_zh"]),
            f"{each['by']} ({each['of']})", said,
            "; ".join([*(_days(one, say, met=True) for one in each["met"]),
                       *(_days(one, say) for one in each["began"])]),
        )  # fmt: skip
    for each in told["ahead"]:
        name = say(each["name_en"], each["name_zh"])
        _row(
            table, each["due"], say("to be done: ", "待办：") + name, each["article"],
            _who(each, say), "", _days(each, say),
        )  # fmt: skip
    context.out.print(table)


def _days(term: Told, say: Say, *, met: bool = False) -> str:
    left = term["working_days_left"]
    if left < 0:
        said = say(f"late by {-left} working days", f"逾期 {-left} 个工作日")
    elif met:
        said = say(f"in time, {left} working days left", f"按期，剩余 {left} 个工作日")
    else:
        said = say(f"until {term['due']}", f"至 {term['due']}")
    known = (
        "" if term["calendar_known"] else say(" (holidays not known yet)", "（节假日安排未公布）")
    )
    return said + known


def _table(*names: str) -> Table:
    table = Table()
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _row(table: Table, *parts: str) -> None:
    table.add_row(*(Text(printable.line(part)) for part in parts))
