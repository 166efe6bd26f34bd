"""``usage``: usage records, figures of providers, duties not met, how datasets stand."""

import argparse
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from middleplatform.cli.accounting import add_span, opened_accounts, rows_of, span, write_file
from middleplatform.cli.applying import opened_handling
from middleplatform.cli.asking import store
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.logs import add_log, open_log
from middleplatform.cli.parser import Commands, Runs, group, leaf
from middleplatform.cli.person import add_person, person

if TYPE_CHECKING:
    from middleplatform.accountability.figures import Figures
    from middleplatform.audit.search import ReleaseQuery

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare them."""
    text = say("Who used whose data, and how providers behave", "使用记录与提供部门考核")
    mine = group(commands, say, "usage", text)
    text = say(
        "Usage records of a department (decree 809 art. 29)", "部门的使用记录（条例第二十九条）"
    )
    records = _leaf(mine, say, "records", _records, text)
    records.add_argument("department", metavar="DEPARTMENT", help=say("its code", "部门代码"))
    records.add_argument(
        "--role", choices=("provider", "user"), default="provider",
        help=say("what others did with its data, or what it did with others'", "作为提供方或使用方"),
    )  # fmt: skip
    records.add_argument(
        "--csv", type=Path, metavar="FILE", help=say("write CSV there", "写入 CSV 文件")
    )
    text = say("Write down what became of an answer", "填写应用成效、存储与销毁情况")
    note = leaf(mine, say, "note", _note, text)
    add_person(note, say)
    note.add_argument(
        "release", type=int, metavar="LEAF", help=say("leaf index of the answer", "发布记录序号")
    )
    for name, text in (
        ("effect", say("what it was good for", "应用成效")),
        ("storage", say("where it is kept", "存储情况")),
        ("disposal", say("how it was disposed of", "销毁情况")),
    ):
        note.add_argument(f"--{name}", default="", metavar="TEXT", help=text)
    text = say("Figures of every provider", "各提供部门考核指标")
    _leaf(mine, say, "figures", _figures, text)
    text = say("Duties that were not met, with their articles", "未履行的职责及其条款")
    _leaf(mine, say, "findings", _findings, text)
    text = say("How datasets stand after objections", "数据集的异议与更正状态")
    assets = leaf(mine, say, "assets", _assets, text)
    add_log(assets, say)
    text = say("The checklist of an inspection", "监督检查清单")
    add_log(leaf(mine, say, "inspection", _inspection, text), say)


def _leaf(mine: Commands, say: Say, name: str, run: Runs, text: str) -> argparse.ArgumentParser:
    made = leaf(mine, say, name, run, text)
    add_log(made, say)
    add_span(made, say)
    return made


def _window(options: argparse.Namespace) -> "ReleaseQuery":
    from middleplatform.audit.search import ReleaseQuery  # noqa: PLC0415 - only needed here

    period = span(options)
    return ReleaseQuery(start=period.start, stop=period.stop)


def _records(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.accountability.usage import as_csv, plain  # noqa: PLC0415 - slow to import

    with opened_accounts(context, options) as accounts:
        found = accounts.usage_records(options.department, options.role, _window(options))
        years = accounts.retention_years()
    if options.csv is not None:
        write_file(options.csv, as_csv(found))
    if context.as_json:
        context.emit([plain(each) for each in found])
        return 0
    if options.csv is None:
        say = context.say
        head = (
            say("entry", "记录"), say("when", "时间"), say("who", "人员"), say("department", "部门"),
            say("purpose", "使用目的"), say("columns", "列"), say("answers for use", "使用责任部门"),
        )  # fmt: skip
        rows_of(context, head, [
            (each.index, each.at.isoformat(timespec="seconds"), each.subject, each.department, each.purpose,
             ", ".join(each.columns), each.answers_for_use)
            for each in found
        ])  # fmt: skip
    count = len(found)
    context.tell(
        f"{count} records, kept for at least {years} years.",
        f"共 {count} 条，至少保存 {years} 年。",
    )
    return 0


def _note(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.accountability.disposal import FIELDS, write_note  # noqa: PLC0415 - slow to import

    who = person(context, options)
    said = {name: getattr(options, name) for name in FIELDS}
    with opened_handling(context) as handling, ExitStack() as opened:
        log = handling.desk.log or opened.enter_context(open_log(context, options))
        write_note(handling.desk, log, options.release, said, who)
    context.tell("Written into the log.", "已写入日志。")
    return 0


def _figures(context: Context, options: argparse.Namespace) -> int:
    with opened_accounts(context, options) as accounts:
        found = accounts.figures(span(options))
    if context.as_json:
        context.emit([each.plain() for each in found])
        return 0
    say = context.say
    head = (
        say("provider", "提供部门"), say("asked", "申请"), say("in time", "按时答复"), say("refused", "不予共享"),
        say("with a basis", "引用依据"), say("columns granted", "数据项满足率"), say("disputes", "争议"),
        say("tickets in time", "按时校核"), say("stale", "目录过期"),
    )  # fmt: skip
    rows_of(context, head, [_figure_row(each) for each in found])
    if not all(each.certain for each in found):
        context.tell("Some terms reach into a year whose holidays are not known yet.",
                     "部分期限涉及节假日安排尚未公布的年份。")  # fmt: skip
    return 0


def _figure_row(each: "Figures") -> tuple[object, ...]:
    rates = {name: "-" if rate is None else f"{rate}%" for name, rate in each.rates().items()}
    return (
        each.department, each.asked, rates["in_time_percent"], rates["refused_percent"], rates["with_basis_percent"],
        rates["coverage_percent"], each.objections + each.escalations, rates["tickets_in_time_percent"],
        f"{len(each.stale)}/{each.datasets}",
    )  # fmt: skip


def _findings(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.accountability.conduct import plain  # noqa: PLC0415 - slow to import

    with opened_accounts(context, options) as accounts:
        found = accounts.findings(span(options))
    if context.as_json:
        context.emit([plain(each) for each in found])
        return 0
    say = context.say
    sides = {
        "provider": say("provider", "提供方"), "demander": say("user", "使用方"),
        "authority": say("authority", "主管部门"),
    }  # fmt: skip
    head = (
        say("side", "责任方"), say("department", "部门"), say("duty", "义务条款"), say("what", "事项"),
        say("about", "对象"), say("due", "截止日"), say("times", "次数"),
    )  # fmt: skip
    rows_of(context, head, [
        (sides[each.side], each.department, each.article, say(each.what_en, each.what_zh), each.about, each.due,
         each.count)
        for each in found
    ])  # fmt: skip
    return 0


def _assets(context: Context, options: argparse.Namespace) -> int:
    with opened_accounts(context, options) as accounts:
        found = accounts.assets()
    if context.as_json:
        context.emit([
            {"dataset": each.dataset, "state": each.state, "pending": list(each.pending),
             "corrected_at": None if each.corrected_at is None else each.corrected_at.isoformat()}
            for each in found
        ])  # fmt: skip
        return 0
    say = context.say
    head = (say("dataset", "数据集"), say("state", "状态"), say("waiting", "待处理"))
    rows_of(context, head, [
        (each.dataset, say(*each.words()), ", ".join(each.pending)) for each in found
    ])  # fmt: skip
    return 0


def _inspection(context: Context, options: argparse.Namespace) -> int:
    with store(context) as tokens:
        holders = tokens.holders()
    with opened_accounts(context, options) as accounts:
        found = accounts.inspection(holders)
    if context.as_json:
        context.emit([asdict(each) for each in found])
        return 0
    say = context.say
    words = {True: say("yes", "是"), False: say("no", "否"), None: "-"}
    head = (say("check", "检查项"), say("holds", "符合"), say("seen", "情况"))
    rows = [(say(each.what_en, each.what_zh), words[each.good], each.seen) for each in found]
    rows_of(context, head, [*rows])
    return 0
