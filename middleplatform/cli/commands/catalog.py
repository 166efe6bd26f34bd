"""``catalog``: which departments, datasets and columns there are."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from rich.table import Table
from rich.text import Text

from middleplatform.cli import printable
from middleplatform.cli.accounting import asset_state
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, group, leaf
from middleplatform.cli.sources import catalog_folder, open_catalog

if TYPE_CHECKING:
    from middleplatform.catalog import Match

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare the three."""
    text = say(
        "Browse the catalogue; list the datasets unless said", "浏览数据目录，默认列出数据集"
    )
    mine = group(commands, say, "catalog", text, otherwise=_list)
    leaf(mine, say, "list", _list, say("List the datasets", "列出数据集"))
    one = leaf(
        mine, say, "show", _show, say("Show all that is registered of one", "显示全部登记信息")
    )
    one.add_argument(
        "name",
        metavar="NAME",
        help=say("a department, dataset or dataset.column", "部门、数据集或 数据集.列"),
    )
    some = leaf(mine, say, "search", _search, say("Search by words", "按关键词检索"))
    some.add_argument(
        "text", metavar="TEXT", nargs="+", help=say("words, Chinese or English", "中文或英文关键词")
    )


def _list(context: Context, _: argparse.Namespace) -> int:
    return _found(context, "")


def _search(context: Context, options: argparse.Namespace) -> int:
    return _found(context, " ".join(options.text))


def _found(context: Context, text: str) -> int:
    from middleplatform import catalog  # noqa: PLC0415 - the validator is slow to import

    matches = catalog.search(open_catalog(catalog_folder(context.settings)), text)
    if context.as_json:
        context.emit([asdict(each) for each in matches])
        return 0
    _print_matches(context, matches)
    return 0


def _print_matches(context: Context, matches: "Sequence[Match]") -> None:
    say = context.say
    table = Table()
    for name in (
        say("name", "名称"), say("in words", "中文名"), say("owner", "提供部门"),
        say("level", "级别"), say("sharing", "共享类型"), say("connected", "已接入"),
    ):  # fmt: skip
        table.add_column(name)
    for each in matches:
        name = f"{each.dataset}.{each.column}" if each.column else each.dataset
        words = say(each.name_en, each.name_zh)
        held = say("yes", "是") if each.held else say("no", "否")
        parts = (name, words, each.owner, each.level, each.sharing, held)
        table.add_row(*(Text(printable.line(part)) for part in parts))
    context.out.print(table)
    count = len(matches)
    context.tell(f"{count} found", f"共 {count} 项")


def _show(context: Context, options: argparse.Namespace) -> int:
    from middleplatform import catalog  # noqa: PLC0415 - the validator is slow to import

    found = catalog.describe(open_catalog(catalog_folder(context.settings)), options.name)
    if found["kind"] == "dataset":
        found = {**found, **asset_state(context, options.name)}
    if context.as_json:
        context.emit(found)
        return 0
    plain = {name: value for name, value in found.items() if name != "columns"}
    context.out.print(_pairs(plain))
    if "columns" in found:
        context.out.print(_columns(context, cast("list[Mapping[str, object]]", found["columns"])))
    return 0


def _pairs(values: Mapping[str, object]) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(Text(name), Text(printable.line(_worded(value))))
    return table


def _worded(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key} = {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _columns(context: Context, columns: Sequence[Mapping[str, object]]) -> Table:
    say = context.say
    table = Table()
    shown = (
        ("name", say("column", "列")), (say("name_en", "name_zh"), say("in words", "名称")),
        ("type", say("type", "类型")), ("unit_of_measure", say("measured in", "计量单位")),
        ("level", say("level", "级别")), ("sharing", say("sharing", "共享类型")),
        ("uses", say("may stand as", "可用于")), ("held", say("connected", "已接入")),
    )  # fmt: skip
    for _, title in shown:
        table.add_column(title)
    for each in columns:
        table.add_row(*(Text(printable.line(_worded(each[key]))) for key, _ in shown))
    return table
