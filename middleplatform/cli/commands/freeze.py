"""``freeze``, ``unfreeze`` and ``alerts``: stop at once, go on by two people, and what looked like probing."""

import argparse
from typing import TYPE_CHECKING

from middleplatform.cli.context import Context
from middleplatform.cli.freezing import (
    alert_shape,
    opened_freezing,
    print_alerts,
    print_freezes,
    shape,
)
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, group, leaf
from middleplatform.cli.person import add_person, person
from middleplatform.errors import QueryError

if TYPE_CHECKING:
    from middleplatform.governance.freezes import Standing

__all__ = ["add"]

_HOURS_MAX = 8760


def add(commands: Commands, say: Say) -> None:
    """Declare them."""
    mine = group(commands, say, "freeze", say("Stop at once", "立即冻结"))
    for scope, metavar, text, named in (
        ("platform", "", say("Stop all questions", "停止全部查询"), ""),
        ("department", "CODE", say("Stop a department: its people and its data", "冻结部门：其人员与数据"),
         say("its code", "部门代码")),
        ("dataset", "NAME", say("Stop a dataset", "冻结数据集"),
         say("its name, e.g. ga.population", "数据集名称，如 ga.population")),
        ("user", "LOGIN", say("Stop a person", "冻结用户"), say("the login", "账号")),
        ("project", "NAME", say("Stop a project", "冻结项目"), say("its name", "项目名称")),
    ):  # fmt: skip
        made = leaf(mine, say, scope, _freeze, text)
        made.set_defaults(scope=scope, target="")
        if metavar:
            made.add_argument("target", metavar=metavar, help=named)
        add_person(made, say)
        made.add_argument(
            "--reason", required=True, help=say("why, for the log", "理由（记入日志）")
        )
        made.add_argument(
            "--hours", type=int, metavar="N",
            help=say("until when it holds; until two people end it unless said", "冻结小时数；默认直至两人解除"),
        )  # fmt: skip
        made.add_argument(
            "--drill", action="store_true",
            help=say("record it and stop nothing", "演练：只记录，不停止"),
        )  # fmt: skip
    made = leaf(mine, say, "list", _list, say("List freezes", "列出冻结"))
    add_person(made, say)
    made.add_argument(
        "--all", action="store_true", help=say("those that are over too", "包括已结束的")
    )
    _add_unfreeze(commands, say)
    mine = group(commands, say, "alerts", say("What looked like probing", "试探行为告警"))
    made = leaf(mine, say, "list", _alerts, say("List alerts", "列出告警"))
    add_person(made, say)


def _add_unfreeze(commands: Commands, say: Say) -> None:
    text = say(
        "Agree to end a freeze; the second of two people ends it", "同意解除冻结；第二人同意后解除"
    )
    made = leaf(commands, say, "unfreeze", _unfreeze, text)
    made.add_argument(
        "number", type=int, metavar="NUMBER", help=say("from the list", "编号（见列表）")
    )
    add_person(made, say)
    made.add_argument("--reason", required=True, help=say("why, for the log", "理由（记入日志）"))


def _freeze(context: Context, options: argparse.Namespace) -> int:
    from datetime import timedelta  # noqa: PLC0415 - with the rest

    from middleplatform.model.freeze import Scope  # noqa: PLC0415 - slow to import

    who, hours = person(context, options), options.hours
    if hours is not None and not 0 < hours <= _HOURS_MAX:
        what = (f"--hours is 1 to {_HOURS_MAX}", f"--hours 须为 1 至 {_HOURS_MAX}")
        raise QueryError("Q040", what=what)
    with opened_freezing(context) as desk:
        ends = None if hours is None else desk.desk.clock.now() + timedelta(hours=hours)
        made = desk.freeze(
            who, Scope(options.scope), options.target, options.reason, ends=ends, drill=options.drill
        )  # fmt: skip
        (standing,) = (each for each in desk.listed(who) if each.freeze.number == made.number)
    return _tell(context, standing)


def _unfreeze(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with opened_freezing(context) as desk:
        standing = desk.unfreeze(who, options.number, options.reason)
    return _tell(context, standing)


def _tell(context: Context, standing: "Standing") -> int:
    if context.as_json:
        context.emit(shape(standing))
        return 0
    freeze = standing.freeze
    name = " ".join(part for part in (str(freeze.scope), freeze.target) if part)
    context.write(f"{freeze.number}\n")
    if standing.state != "open":
        context.tell(f"Freeze {freeze.number} is lifted.", f"冻结 {freeze.number} 已解除。")
    elif standing.consents:
        context.tell(
            f"Freeze {freeze.number} holds until another person agrees; one of the two is a security officer.",
            f"冻结 {freeze.number} 仍然生效，尚须另一人同意；两人之中须有一名安全员。",
        )
    elif freeze.drill:
        context.tell(f"Drill: {name}; nothing is stopped.", f"演练：{name}，未停止任何查询。")
    else:
        context.tell(f"Stopped: {name}.", f"已停止：{name}。")
    return 0


def _list(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with opened_freezing(context, acting=False) as desk:
        many = [each for each in desk.listed(who) if options.all or each.state == "open"]
    if context.as_json:
        context.emit([shape(each) for each in many])
    else:
        print_freezes(context, many)
    return 0


def _alerts(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with opened_freezing(context, acting=False) as desk:
        many = desk.alerts(who)
    if context.as_json:
        context.emit([alert_shape(each) for each in many])
    else:
        print_alerts(context, many)
    return 0
