"""``grant``: applications for data: apply, look, and (``grant_acts``) everything that happens to one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from middleplatform.cli.applying import opened_handling
from middleplatform.cli.commands import grant_acts
from middleplatform.cli.context import Context
from middleplatform.cli.grant_views import print_history, print_many, print_one, words
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, group, leaf
from middleplatform.cli.person import add_person, person
from middleplatform.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from middleplatform.governance.handling import Handling
    from middleplatform.model.request import Subject

__all__ = ["add"]

_FIELDS = ("basis", "scenario", "scope", "purpose")
_LISTS = {
    "columns": "column",
    "operations": "operation",
    "regions": "region",
    "subjects": "subject",
}


def add(commands: Commands, say: Say) -> None:
    """Declare them."""
    mine = group(commands, say, "grant", say("Applications for data and grants", "共享申请与授权"))
    made = leaf(mine, say, "apply", _apply, say("Apply for data", "提出共享申请"))
    _add_wish(made, say)
    made.add_argument(
        "--starts", metavar="TIME", help=say("from when; now unless said", "起始时间，默认现在")
    )
    made.add_argument("--ends", metavar="TIME", help=say("time limit", "使用时限"))
    made.add_argument(
        "--complete", metavar="NUMBER",
        help=say("complete the application that was returned", "补正被退回的申请"),
    )  # fmt: skip
    made = leaf(mine, say, "emergency", _emergency, say("Apply in an emergency", "提出应急申请"))
    _add_wish(made, say)
    made.add_argument("--hours", type=int, metavar="N", help=say("how long, in hours", "小时数"))
    made = leaf(mine, say, "list", _list, say("List applications", "列出申请"))
    add_person(made, say)
    made.add_argument("--overdue", action="store_true", help=say("only late ones", "只列逾期的"))
    made = leaf(mine, say, "show", _show, say("Show one application", "显示一项申请"))
    add_person(made, say)
    _add_number(made, say)
    made.add_argument(
        "--yaml", action="store_true",
        help=say("print its grants for a node's own policy", "以策略 YAML 输出授权"),
    )  # fmt: skip
    text = say("Show what happened to one, with deadlines", "显示一项申请的办理过程与期限")
    made = leaf(mine, say, "history", _history, text)
    add_person(made, say)
    _add_number(made, say)
    made = leaf(
        mine, say, "check", _check, say("Find what an application lacks", "检查申请缺少的事项")
    )
    add_person(made, say)
    _add_number(made, say)
    grant_acts.add(mine, say)


def _add_wish(made: argparse.ArgumentParser, say: Say) -> None:
    add_person(made, say)
    made.add_argument(
        "file", nargs="?", type=Path, metavar="FILE",
        help=say("the application (YAML); options win over it", "申请文件（YAML），选项优先"),
    )  # fmt: skip
    for name, text in (
        ("basis", say("the law and duty it rests on", "使用依据")),
        ("scenario", say("what it is used for", "使用场景")),
        ("scope", say("how far, in words", "使用范围")),
        ("purpose", say("a purpose of the policy", "使用目的")),
    ):
        made.add_argument(f"--{name}", help=text)
    for name, text in (
        ("column", say("dataset.column or dataset.*, repeatable", "数据项，可重复")),
        ("operation", say("join, filter, group, aggregate or count, repeatable", "操作，可重复")),
        ("region", say("a region, repeatable; all unless said", "行政区划代码，可重复；默认全部")),
        ("subject", say("a login that it is for, repeatable; your own unless said", "使用人，可重复；默认本人")),
    ):  # fmt: skip
        made.add_argument(f"--{name}", action="append", metavar=name.upper(), help=text)
    made.add_argument(
        "--everyone", action="store_true", help=say("for the whole department", "本部门全体")
    )


def _add_number(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument("number", metavar="NUMBER", help=say("its number, e.g. GX7", "编号，如 GX7"))


def _wish(options: argparse.Namespace) -> "Mapping[str, Any]":
    """Return what the file says with what the options say over it."""
    from middleplatform.policy import wishes  # noqa: PLC0415 - the validator is slow to import

    raw: dict[str, Any] = {}
    if options.file is not None:
        raw |= wishes.read_wish(options.file)
    plain = {name: getattr(options, name, None) for name in (*_FIELDS, "starts", "ends", "hours")}
    lists = {name: getattr(options, said) for name, said in _LISTS.items()}
    raw |= {name: value for name, value in (plain | lists).items() if value is not None}
    if options.everyone:
        raw |= {"everyone": True}
    return wishes.checked(raw)


def _apply(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.governance.handling import number_of  # noqa: PLC0415 - slow to import

    who, raw = person(context, options), _wish(options)
    with opened_handling(context) as handling:
        if options.complete is not None:
            state = handling.complete(number_of(options.complete), raw, who)
        else:
            state = handling.apply(raw, who)
        return grant_acts.tell(context, handling, state)


def _emergency(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.governance.applications import Lane  # noqa: PLC0415 - slow to import

    who, raw = person(context, options), _wish(options)
    with opened_handling(context) as handling:
        return grant_acts.tell(context, handling, handling.apply(raw, who, Lane.EMERGENCY))


def _list(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.governance.told import late, told  # noqa: PLC0415 - slow to import

    who = person(context, options)
    with opened_handling(context, acting=False) as handling:
        now = handling.desk.clock.now()
        states = handling.listed(who)
        if options.overdue:
            states = tuple(each for each in states if late(each, handling.rules, now))
        many = [told(each, handling.rules, now) for each in states]
    if context.as_json:
        context.emit(many)
    else:
        print_many(context, many)
    return 0


def _show(context: Context, options: argparse.Namespace) -> int:
    shown = _told(context, options)
    if options.yaml:
        import yaml  # noqa: PLC0415 - only here

        context.write(
            yaml.safe_dump({"grants": shown["grants"]}, allow_unicode=True, sort_keys=False)
        )
    elif context.as_json:
        context.emit(shown)
    else:
        print_one(context, shown)
    return 0


def _history(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.governance.handling import number_of  # noqa: PLC0415 - slow to import
    from middleplatform.governance.timeline import told_history  # noqa: PLC0415 - the same

    who = person(context, options)
    with opened_handling(context, acting=False) as handling:
        state = _shown(handling, options.number, who)
        events = handling.history(number_of(options.number), who)
        shown = told_history(events, state, handling.rules, handling.desk.clock.now())
    if context.as_json:
        context.emit(shown)
    else:
        print_history(context, shown)
    return 0


def _told(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from middleplatform.governance.told import told  # noqa: PLC0415 - slow to import

    who = person(context, options)
    with opened_handling(context, acting=False) as handling:
        state = _shown(handling, options.number, who)
        return told(state, handling.rules, handling.desk.clock.now())


def _shown(handling: "Handling", number: str, who: "Subject") -> Any:  # noqa: ANN401 - State, imported late
    from middleplatform.governance.handling import number_of  # noqa: PLC0415 - slow to import

    return handling.show(number_of(number), who)


def _check(context: Context, options: argparse.Namespace) -> int:
    shown = _told(context, options)
    lacks = list(shown["not_stated"])
    if context.as_json:
        context.emit({"number": shown["number"], "phase": shown["phase"], "not_stated": lacks})
    else:
        state = words(shown["phase"], context.say)
        names = ", ".join(lacks)
        context.tell(
            f"{shown['number']} ({state}): "
            + (f"not stated: {names}" if lacks else "all is stated"),
            f"{shown['number']}（{state}）：" + (f"未写明 {names}" if lacks else "事项齐全"),
        )
    return QueryError.exit_code if lacks else 0
