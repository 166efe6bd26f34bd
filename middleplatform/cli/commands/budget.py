"""``budget``: what may still be spent on differentially private answers."""

import argparse
import asyncio
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from middleplatform.cli import asking, failure, printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, group, leaf
from middleplatform.errors import MiddleplatformError

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare it."""
    mine = group(
        commands, say, "budget", say("Privacy budgets", "隐私预算"),
    )  # fmt: skip
    show = leaf(
        mine, say, "show", _show,
        say(
            "Show what you may still spend on differentially private answers, by dataset",
            "按数据集显示差分隐私作答的剩余预算",
        ),
    )  # fmt: skip
    asking.add_who(show, say)
    show.add_argument("--project", default="", help=say("project that would ask", "用于查询的项目"))


def _show(context: Context, options: argparse.Namespace) -> int:
    subject = asking.subject(context, options)
    with context.platform() as platform:
        from middleplatform.access import shapes  # noqa: PLC0415 - imports the column engine
        from middleplatform.gateway.budgets import budgets  # noqa: PLC0415 - the same

        try:
            found = asyncio.run(budgets(platform.gateway, subject, options.project))
        except MiddleplatformError as error:
            context.note(error)
            return failure.tell(context, error)
        told: Mapping[str, Any] = shapes.budgets(found)
    if context.as_json:
        context.emit(told)
        return 0
    _print(context, told)
    return 0


def _print(context: Context, told: Mapping[str, Any]) -> None:
    say = context.say
    if not told["budgets"] and not told["missing"]:
        context.tell(
            "No dataset offers differentially private answers.", "没有数据集提供差分隐私作答。"
        )
        return
    table = Table(show_lines=True)
    for name in (
        say("dataset", "数据集"), say("snapshot", "快照"), say("one answer", "单次作答"),
        say("scope", "范围"), say("spent", "已用"), say("left", "剩余"),
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for each in told["budgets"]:
        for row in _rows(say, told, each):
            table.add_row(*(Text("\n".join(map(printable.line, text.split("\n")))) for text in row))
    context.out.print(table)
    for each in told["missing"]:
        context.tell(
            f"Department {each['department']} could not be asked: {each['code']}.",
            f"无法询问部门 {each['department']}：{each['code']}。",
        )


def _rows(say: Say, told: Mapping[str, Any], balance: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return three lines, one a cap; a loss is shown as rho and as epsilon at the policy's delta."""
    scopes = (
        ("snapshot", say("everybody", "全部")),
        ("project", say(f"project {told['project']}", f"项目 {told['project']}")),
        ("analyst", say(f"you ({told['analyst']})", f"本人（{told['analyst']}）")),
    )
    delta = balance["delta"]

    def loss(value: Mapping[str, Any]) -> str:
        return f"rho {value['rho']} (epsilon {value['epsilon']:g}, delta {delta})"

    first = (_whose(say, balance), balance["snapshot"], loss(balance["answer"]))
    return [
        (
            *(first if number == 0 else ("", "", "")),
            name,
            loss(balance["spent"][scope]),
            loss(balance["left"][scope]),
        )
        for number, (scope, name) in enumerate(scopes)
    ]


def _whose(say: Say, balance: Mapping[str, Any]) -> str:
    """Name a dataset, and the department where several have rows of it: each has a ledger of its own."""
    dataset, department = balance["dataset"], balance["department"]
    if dataset.partition(".")[0] == department:
        return str(dataset)
    return say(f"{dataset}\nat {department}", f"{dataset}\n（{department}）")
