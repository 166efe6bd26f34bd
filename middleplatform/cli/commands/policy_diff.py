"""``policy diff``: what a change of bundle loosens and tightens, and who must approve it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.access.system import SystemClock
from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say, pick
from middleplatform.cli.parser import Commands, leaf
from middleplatform.cli.sources import catalog_folder, open_catalog, read_bundle_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from middleplatform.governance.diff import Change, Difference

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare the command."""
    text = say("Say what a change of bundle loosens and tightens", "说明策略变更放宽和收紧了什么")
    made = leaf(commands, say, "diff", _diff, text)
    for name, metavar, what in (
        ("old", "OLD", say("the bundle in force", "现行策略包")),
        ("new", "NEW", say("the bundle to come", "拟生效的策略包")),
    ):
        made.add_argument(name, type=Path, metavar=metavar, help=what)
    made.add_argument(
        "--catalog",
        type=Path,
        metavar="DIR",
        help=say("the catalogue both are laid over", "两者共同依据的目录"),
    )
    made.add_argument(
        "--exit-code",
        action="store_true",
        help=say("end with 1 when anything is loosened", "有放宽时以 1 结束"),
    )


def _diff(context: Context, options: argparse.Namespace) -> int:
    from middleplatform import policy  # noqa: PLC0415 - the validator is slow to import
    from middleplatform.governance.diff import diff  # noqa: PLC0415 - the same

    old, new = (read_bundle_path(path) for path in (options.old, options.new))
    catalog = open_catalog(options.catalog or catalog_folder(context.settings, new))
    before, after = (policy.load(path, catalog) for path in (old, new))
    found = diff(before, after, catalog, SystemClock().now())
    if context.as_json:
        context.emit(_value(found, context.locale))
    else:
        _print(context, found)
    return int(options.exit_code and bool(found.loosens))


def _value(found: "Difference", locale: str) -> dict[str, object]:
    return {
        "old": found.old, "new": found.new,
        "loosened": found.loosened, "tightened": found.tightened,
        "summary": pick(found.summary, locale), "owners": sorted(found.owners),
        "loosens": [_change(each, locale) for each in found.loosens],
        "tightens": [_change(each, locale) for each in found.tightens],
        "other": [_change(each, locale) for each in found.other],
    }  # fmt: skip


def _change(each: "Change", locale: str) -> dict[str, object]:
    return {
        "where": pick(each.where, locale),
        "before": pick(each.before, locale),
        "after": pick(each.after, locale),
        "owners": sorted(each.owners),
        "cells": each.cells,
        "setting": list(each.setting),
        "dataset": each.dataset,
        "columns": list(each.columns),
        "persons": [
            {"role": str(who.role), "department": who.department, "subject": who.subject}
            for who in each.persons
        ],
        "purposes": list(each.purposes),
        "uses": [use[0] for use in each.uses],
    }


def _print(context: Context, found: "Difference") -> None:
    say = context.say
    unmoved = sum(each.cells for each in found.other)
    for title, changes in (
        (say("Loosens", "放宽"), found.loosens),
        (say("Tightens", "收紧"), found.tightens),
        (say("Other", "其他"), [each for each in found.other if not each.cells]),
    ):
        if changes:
            context.out.print(_table(context, title, changes))
    if unmoved:
        context.tell(
            f"{unmoved} cells change only in what they say (a refusal by another rule)",
            f"{unmoved} 个单元只是表述不同（由其他规则拒绝）",
        )
    context.write(pick(found.summary, context.locale) + "\n")
    context.write(_approval(say, found) + "\n")


def _approval(say: Say, found: "Difference") -> str:
    if not found:
        return say("The two are the same.", "两者相同。")
    if not found.loosens:
        return say("Nothing is loosened: no approval is needed.", "没有放宽：无须审批。")
    owners = ", ".join(sorted(found.owners)) or "-"
    return say(
        f"To approve: a second officer, and the data owners {owners}",
        f"须经审批：另一名安全管理员，以及数据提供部门 {owners}",
    )


def _table(context: Context, title: str, changes: "Iterable[Change]") -> Table:
    say, locale = context.say, context.locale
    table = Table(title=title, title_justify="left", show_lines=True)
    for name in (
        say("what", "内容"), say("was", "原为"), say("will be", "改为"), say("cells", "单元数"),
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for each in changes:
        told = (each.where, each.before, each.after)
        parts = [printable.line(pick(part, locale) or "-") for part in told]
        table.add_row(*map(Text, parts), Text(str(each.cells or "")))
    return table
