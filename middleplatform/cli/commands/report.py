"""``report``: the signed report of one decision, made and verified."""

import argparse
from pathlib import Path

from middleplatform.cli.accounting import opened_accounts, write_file
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.logs import add_log, open_log, read_log_keys, read_text
from middleplatform.cli.parser import Commands, group, leaf

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare them."""
    mine = group(commands, say, "report", say("Reports of decisions", "决定报告"))
    text = say("Make the signed report of a decision", "生成一项决定的签名报告")
    made = leaf(mine, say, "make", _make, text, json_too=False)
    add_log(made, say)
    made.add_argument(
        "decision",
        metavar="QUERY_ID|LEAF",
        help=say("the query or an entry of it", "查询编号或记录序号"),
    )
    made.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        dest="json_file",
        help=say("where the data go", "数据文件"),
    )
    made.add_argument(
        "--html", type=Path, metavar="FILE", help=say("where the page goes", "网页文件")
    )
    made.add_argument(
        "--at", type=int, metavar="SIZE",
        help=say("under the checkpoint of this size; the newest unless said", "以该规模的检查点证明，默认最新"),
    )  # fmt: skip
    text = say("Verify a report, data or page", "校验报告（数据或网页）")
    verify = leaf(mine, say, "verify", _verify, text)
    add_log(verify, say)
    verify.add_argument("file", type=Path, metavar="FILE", help=say("the report", "报告文件"))
    verify.add_argument(
        "--against", type=Path, metavar="FILE",
        help=say("a checkpoint of the same size from elsewhere", "他处保存的同规模检查点"),
    )  # fmt: skip


def _make(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.audit.keys import CheckpointSigner  # noqa: PLC0415 - only needed here

    path = getattr(options, "log", None) or context.settings.state / "audit.db"
    signer = CheckpointSigner.load(path.with_suffix(".key"))
    with opened_accounts(context, options) as accounts:
        made = accounts.report(options.decision, signer, size=options.at)
    for file, text in ((options.json_file, made.json), (options.html, made.html)):
        if file is not None:
            write_file(file, text)
            context.tell(f"Written: {file}", f"已写入：{file}")
    if options.json_file is None and options.html is None:
        context.write(made.json)
    return 0


def _verify(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.accountability.report import check  # noqa: PLC0415 - slow to import

    text = read_text(options.file)
    against = read_text(options.against) if options.against else None
    named = getattr(options, "log_key", None)
    if named is not None:
        keys = read_log_keys(named)
    else:
        with open_log(context, options) as log:
            keys = log.keys
    value, size = check(text, keys, against)
    end = value["entries"][-1]["entry"]
    if context.as_json:
        context.emit({
            "verified": True, "size": size, "outcome": value["outcome"], "index": end["index"],
            "query_id": end["body"].get("query_id"),
        })  # fmt: skip
    else:
        index, outcome = end["index"], value["outcome"]
        context.tell(
            f"Verified: the report of entry {index} ({outcome}), in a log of {size} entries.",
            f"校验通过：第 {index} 条记录（{outcome}）的报告，日志共 {size} 条。",
        )
    return 0
