"""``ticket``: objections and corrections: opened, taken, answered, closed; each act goes into the log first."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from middleplatform.cli import printable
from middleplatform.cli.accounting import opened_tickets, rows_of
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, Runs, group, leaf
from middleplatform.cli.person import add_person, person

if TYPE_CHECKING:
    from datetime import datetime

    from middleplatform.accountability.ticket_desk import TicketDesk
    from middleplatform.accountability.tickets import Event, Ticket
    from middleplatform.model.request import Subject

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare them."""
    mine = group(commands, say, "ticket", say("Objections and corrections", "异议与校核工单"))
    made = _leaf(mine, say, "open", _open, say("Say that data are wrong", "提出异议或校核申请"))
    made.add_argument(
        "kind", choices=("objection", "correction"), help=say("what is asked for", "异议或校核")
    )
    for name, text in (
        ("dataset", say("the dataset", "数据集")),
        ("column", say("dataset.column", "数据集.列")),
    ):
        made.add_argument(f"--{name}", default="", metavar="NAME", help=text)
    made.add_argument(
        "--release", type=int, default=-1, metavar="LEAF",
        help=say("leaf index of the answer in which it showed", "发现问题的发布记录序号"),
    )  # fmt: skip
    _add_text(
        made, "text", say("what is wrong, without identity numbers", "问题说明，不得含身份号码")
    )
    listed = _leaf(mine, say, "list", _list, say("List tickets", "列出工单"))
    listed.add_argument("--overdue", action="store_true", help=say("only late ones", "只列逾期的"))
    _numbered(mine, say, "show", _show, say("Show one ticket", "显示一项工单"))
    _numbered(mine, say, "take", _act("take"), say("Begin to work on it", "受理"))
    made = _numbered(mine, say, "answer", _act("answer"), say("Answer it", "答复"))
    made.add_argument(
        "--outcome", required=True, choices=("corrected", "partly", "unfounded"), help=say("what was found", "结论")
    )  # fmt: skip
    _add_text(made, "text", say("what was verified and done", "核查与处理情况"))
    _add_text(
        made,
        "basis",
        say("what it rests on; the law unless all is corrected", "依据；未全部更正的须引用法律"),
    )
    made = _numbered(mine, say, "extend", _act("extend"), say("Give it more time", "延长期限"))
    made.add_argument(
        "--days", type=int, required=True, metavar="N", help=say("working days", "工作日")
    )
    _add_text(made, "text", say("why", "理由"))
    for name, text in (
        ("reopen", say("Contradict its answer", "对答复提出异议")),
        ("withdraw", say("Take it back", "撤回")),
    ):
        _add_text(_numbered(mine, say, name, _act(name), text), "text", say("why", "理由"))
    made = _numbered(mine, say, "close", _act("close"), say("End it", "办结"))
    made.add_argument("--text", default="", help=say("a word to it", "说明"))


def _leaf(mine: Commands, say: Say, name: str, run: Runs, text: str) -> argparse.ArgumentParser:
    made = leaf(mine, say, name, run, text)
    add_person(made, say)
    return made


def _numbered(mine: Commands, say: Say, name: str, run: Runs, text: str) -> argparse.ArgumentParser:
    made = _leaf(mine, say, name, run, text)
    made.add_argument("number", metavar="NUMBER", help=say("its number, e.g. YY7", "编号，如 YY7"))
    return made


def _add_text(made: argparse.ArgumentParser, name: str, text: str) -> None:
    made.add_argument(f"--{name}", required=True, help=text)


def _open(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.accountability.tickets import Subject  # noqa: PLC0415 - slow to import

    who = person(context, options)
    dataset = options.dataset or options.column.rpartition(".")[0]
    with opened_tickets(context, options) as desk:
        about = Subject(dataset, options.column, options.release)
        return _tell(context, desk, desk.open(options.kind, about, options.text, who))


def _act(name: str) -> Runs:
    def run(context: Context, options: argparse.Namespace) -> int:
        from middleplatform.accountability.ticket_desk import number_of  # noqa: PLC0415 - slow to import

        who, number = person(context, options), number_of(options.number)
        with opened_tickets(context, options) as desk:
            make = _makes(name, options, desk, who)
            return _tell(context, desk, desk.act(number, who, make))

    return run


def _makes(
    name: str, options: argparse.Namespace, desk: "TicketDesk", who: "Subject"
) -> "Callable[[Ticket, datetime], Event]":
    from middleplatform.accountability import ticket_acts as acts  # noqa: PLC0415 - slow to import

    said = options
    do: dict[str, Callable[[Ticket, datetime], Event]] = {
        "take": lambda ticket, now: acts.take(ticket, who, now),
        "answer": lambda ticket, now: acts.answer(
            ticket, said.outcome, said.text, said.basis, who, now
        ),
        "extend": lambda ticket, now: acts.extend(
            ticket, said.days, said.text, who, now, desk.rules
        ),
        "reopen": lambda ticket, now: acts.reopen(ticket, said.text, who, now),
        "close": lambda ticket, now: acts.close(ticket, who, now, said.text),
        "withdraw": lambda ticket, now: acts.withdraw(ticket, said.text, who, now),
    }
    return do[name]


def _list(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.accountability.ticket_desk import told  # noqa: PLC0415 - slow to import

    who = person(context, options)
    with opened_tickets(context, options, acting=False) as desk:
        now = desk.desk.clock.now()
        found = desk.listed(who, overdue=options.overdue)
        many = [told(each, desk.rules, now) for each in found]
    if context.as_json:
        context.emit(many)
    else:
        _print(context, many)
    return 0


def _show(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.accountability.ticket_desk import number_of  # noqa: PLC0415 - slow to import

    who = person(context, options)
    with opened_tickets(context, options, acting=False) as desk:
        return _tell(context, desk, desk.show(number_of(options.number), who))


def _tell(context: Context, desk: "TicketDesk", ticket: "Ticket") -> int:
    from middleplatform.accountability.ticket_desk import told  # noqa: PLC0415 - slow to import

    one = told(ticket, desk.rules, desk.desk.clock.now())
    if context.as_json:
        context.emit(one)
        return 0
    _print(context, [one])
    for said in (ticket.text, ticket.answer, ticket.basis):
        if said:
            context.write(printable.text(said) + "\n")
    return 0


_WORDS = {
    "objection": ("objection", "异议"), "correction": ("correction", "校核"), "open": ("open", "待受理"),
    "taken": ("taken", "办理中"), "answered": ("answered", "已答复"), "closed": ("closed", "已办结"),
    "withdrawn": ("withdrawn", "已撤回"), "corrected": ("corrected", "已更正"), "partly": ("partly", "部分更正"),
    "unfounded": ("unfounded", "不成立"),
}  # fmt: skip


def _print(context: Context, many: list[dict[str, object]]) -> None:
    say = context.say
    head = (
        say("number", "编号"), say("kind", "类型"), say("state", "状态"), say("about", "对象"),
        say("provider", "提供部门"), say("from", "提出部门"), say("due", "截止日"), say("found", "结论"),
    )  # fmt: skip

    def word(value: object) -> str:
        return say(*_WORDS[str(value)]) if value else ""

    rows: list[tuple[object, ...]] = [
        (
            each["number"], word(each["kind"]), word(each["phase"]), each["column"] or each["dataset"],
            each["provider"], each["department"],
            f"{each['due']} {say('overdue', '逾期')}" if each["overdue"] else each["due"],
            word(each["outcome"]),
        )
        for each in many
    ]  # fmt: skip
    rows_of(context, head, rows)
