"""``policy templates``: the approved query templates that are open to a person."""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.cli import asking, printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf

if TYPE_CHECKING:
    from middleplatform.model.policy import Template

__all__ = ["add", "table"]


def add(mine: Commands, say: Say) -> None:
    """Declare it below ``policy``."""
    text = say(
        "List the query templates that may be asked without an application",
        "列出无需申请即可使用的查询模板",
    )
    asking.add_who(leaf(mine, say, "templates", _run, text), say)


def _run(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.access import offered  # noqa: PLC0415 - slow to import
    from middleplatform.policy.templates import offers  # noqa: PLC0415 - the same

    who = asking.subject(context, options)
    with context.platform() as platform:
        gateway = platform.gateway
        found = offers(gateway.rules(), who, gateway.clock.now())
    if context.as_json:
        context.emit({"templates": offered.templates(found, context.locale)})
        return 0
    if found:
        context.out.print(table(context, (each.template for each in found)))
    for each in found:
        context.write(f"{each.template.name}\n")
        for line in offered.example(each).splitlines():
            context.write(f"    {printable.line(line)}\n")
    context.tell(f"templates open to you: {len(found)}", f"共 {len(found)} 个模板对您开放")
    return 0


def table(context: Context, templates: "Iterable[Template]") -> Table:
    """Return templates as a table."""
    say = context.say
    made = Table(title=say("Approved query templates", "获批的查询模板"))
    for name in (
        say("name", "名称"), say("in words", "标题"), say("for", "对象"), say("purposes", "使用目的"),
        say("literals", "允许取值"), say("until", "截止"),
    ):  # fmt: skip
        made.add_column(name, overflow="fold")
    for each in templates:
        parts = (
            each.name, say(each.title_en, each.title_zh),
            ", ".join(sorted(each.departments | each.subjects)), ", ".join(sorted(each.purposes)),
            "; ".join(f":{name} {', '.join(values)}" for name, values in each.parameters),
            f"{each.ends:%Y-%m-%d}",
        )  # fmt: skip
        made.add_row(*(Text(printable.line(part)) for part in parts))
    return made
