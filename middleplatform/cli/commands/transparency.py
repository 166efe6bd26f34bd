"""``transparency``: the page for the public: counts of a month that is over, small ones told as such."""

import argparse
from pathlib import Path

from middleplatform.cli.accounting import opened_accounts, write_file
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.logs import add_log
from middleplatform.cli.parser import Commands, leaf

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare it."""
    text = say("The public page of a month: counts only", "月度透明度报告，仅含计数")
    made = leaf(commands, say, "transparency", _page, text)
    add_log(made, say)
    made.add_argument(
        "--month", default="", metavar="YYYY-MM",
        help=say("a month that is over; the last one unless said", "已结束的月份，默认上月"),
    )  # fmt: skip
    made.add_argument(
        "--html", type=Path, metavar="FILE", help=say("write the page there", "写入网页文件")
    )


def _page(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.accountability.transparency import as_html, plain  # noqa: PLC0415 - slow to import

    with opened_accounts(context, options) as accounts:
        page = accounts.transparency(options.month)
    if options.html is not None:
        write_file(options.html, as_html(page))
        context.tell(f"Written: {options.html}", f"已写入：{options.html}")
    if options.html is None or context.as_json:
        context.emit(plain(page))
    return 0
