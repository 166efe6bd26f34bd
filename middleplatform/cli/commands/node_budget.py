"""``node budget`` and ``node snapshot``: a department's own view of its privacy budgets, and a new one."""

import argparse
from pathlib import Path

from rich.table import Table
from rich.text import Text

from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf
from middleplatform.errors import ConfigError

__all__ = ["add_budget"]


def add_budget(mine: Commands, say: Say) -> None:
    """Declare them."""
    budget = leaf(
        mine, say, "budget", _budget,
        say(
            "Show what questions have spent of the department's privacy budgets",
            "显示查询已消耗的本部门隐私预算",
        ),
    )  # fmt: skip
    _add_config(budget, say)
    snapshot = leaf(
        mine, say, "snapshot", _snapshot,
        say(
            "Begin a new snapshot of a dataset whose rows were replaced: its privacy budget is whole again",
            "数据更新后启用数据集的新快照：其隐私预算重新计算",
        ),
    )  # fmt: skip
    snapshot.add_argument("dataset", metavar="DATASET", help=say("the dataset", "数据集"))
    snapshot.add_argument(
        "label", metavar="LABEL", help=say("name of the snapshot, never used before", "新快照名称")
    )
    snapshot.add_argument(
        "--reason",
        required=True,
        metavar="TEXT",
        help=say("which rows were replaced; it is logged", "更新了哪些数据；记入日志"),
    )
    _add_config(snapshot, say)


def _add_config(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help=say("the node's settings (node.yaml)", "节点配置（node.yaml）"),
    )


def _snapshot(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.node.config import load  # noqa: PLC0415 - slow to import
    from middleplatform.node.desk_client import begin_snapshot  # noqa: PLC0415 - the same

    config = load(options.config)
    if not config.socket.exists():
        what = (f"no node runs on {config.state}", f"{config.state} 上没有运行中的节点")
        raise ConfigError("C003", what=what)
    found = begin_snapshot(
        config.socket, config.department, options.dataset, options.label, options.reason
    )
    if context.as_json:
        context.emit(found)
        return 0
    name, label = printable.line(found["dataset"]), printable.line(found["snapshot"])
    context.tell(
        f"Answers on {name} are charged to snapshot {label} from now on.",
        f"自此对 {name} 的作答计入快照 {label}。",
    )
    return 0


def _budget(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.node.budgets import spent_lines  # noqa: PLC0415 - slow to import
    from middleplatform.node.config import load  # noqa: PLC0415 - the same

    config = load(options.config)
    lines = spent_lines(config)
    if context.as_json:
        context.emit({"department": config.department, "spent": lines})
        return 0
    _print(context, lines)
    return 0


def _print(context: Context, lines: list[dict[str, object]]) -> None:
    say = context.say
    if not lines:
        context.tell("Nothing is spent.", "尚无消耗。")
        return
    scopes = {
        "snapshot": say("everybody", "全部"),
        "project": say("project", "项目"),
        "analyst": say("analyst", "分析人员"),
    }
    table = Table()
    for name in (
        say("dataset", "数据集"), say("snapshot", "快照"), say("scope", "范围"), say("name", "名称"),
        say("spent (rho)", "已用（rho）"), say("left (rho)", "剩余（rho）"), "epsilon", "delta",
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for each in lines:
        row = (
            each["dataset"], each["snapshot"], scopes[str(each["scope"])], each["name"],
            each["spent"], each.get("left", ""), each.get("epsilon", ""), each.get("delta", ""),
        )  # fmt: skip
        table.add_row(*(Text(printable.line(str(value))) for value in row))
    context.out.print(table)
