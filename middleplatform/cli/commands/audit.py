"""``audit``: read, prove, verify, export and reconcile logs.

None of it opens the platform: a log is read beside the process that writes it.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.cli import printable
from middleplatform.cli.commands import reconcile
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.logs import add_log, open_log, read_text, verify_export
from middleplatform.cli.parser import Commands, Runs, group, leaf
from middleplatform.errors import QueryError
from middleplatform.model.record import Receipt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from middleplatform.audit.reader import LogView
    from middleplatform.audit.search import Usage

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare them all."""
    text = say("An audit log; its newest checkpoint unless said", "审计日志，默认显示最新检查点")
    mine = group(commands, say, "audit", text, otherwise=_head)
    add_log(commands.choices["audit"], say)
    _leaf(mine, say, "head", _head, say("Print the newest checkpoint", "显示最新检查点"))
    index = say("index of the entry, from 0", "记录序号（从 0 起）")
    one = _leaf(mine, say, "show", _show, say("Print an entry", "显示一条记录"))
    one.add_argument("index", type=int, metavar="N", help=index)
    text = say("Print an entry's inclusion proof", "输出记录的包含证明")
    proof = _leaf(mine, say, "proof", _proof, text)
    proof.add_argument("index", type=int, metavar="N", help=index)
    _add_verify(mine, say)
    text = say("Write the log to a file, for an auditor", "导出日志")
    export = _leaf(mine, say, "export", _export, text)
    export.add_argument("file", type=Path, metavar="FILE", help=say("where to", "目标文件"))
    _add_search(mine, say)
    text = say("Say what is past retention", "列出超过保存期限的记录")
    _leaf(mine, say, "retention", _retention, text)
    reconcile.add(mine, say)


def _leaf(commands: Commands, say: Say, name: str, run: Runs, text: str) -> argparse.ArgumentParser:
    made = leaf(commands, say, name, run, text)
    add_log(made, say)
    return made


def _add_verify(mine: Commands, say: Say) -> None:
    text = say("Verify the log, or an export with a public key", "校验日志，或用公钥校验导出文件")
    verify = _leaf(mine, say, "verify", _verify, text)
    for name, text in (
        ("export", say("an export", "导出文件")),
        ("key", say("public keys", "公钥文件")),
    ):
        verify.add_argument(name, type=Path, nargs="?", metavar=name.upper(), help=text)
    verify.add_argument(
        "--against",
        type=Path,
        metavar="FILE",
        help=say("an older checkpoint from elsewhere", "他处保存的较早检查点"),
    )


def _add_search(mine: Commands, say: Say) -> None:
    search = _leaf(mine, say, "search", _search, say("Say who got what", "查询谁获得了什么"))
    for name, text in (
        ("dataset", say("of this dataset", "数据集")),
        ("column", say("of this dataset.column", "数据集.列")),
        ("person", say("asked by this login", "提问人账号")),
        ("department", say("asked by this department", "提问部门")),
    ):
        search.add_argument(f"--{name}", default="", metavar="NAME", help=text)
    for name, text in (
        ("since", say("from this moment on (RFC 3339, or a date, UTC)", "起始时刻（含）")),
        ("until", say("before this moment", "截止时刻（不含）")),
    ):
        search.add_argument(f"--{name}", metavar="TIME", help=text)
    search.add_argument(
        "--incident", type=int, metavar="N",
        help=say("within the window and data of the incident of this entry", "按该事件记录的时间窗与数据查询"),
    )  # fmt: skip


def _head(context: Context, options: argparse.Namespace) -> int:
    with open_log(context, options) as log:
        head = {
            "size": log.size,
            "origin": log.origin,
            "checkpoint": log.checkpoint(),
            "keys": [key.text() for key in log.keys],
        }
    if context.as_json:
        context.emit(head)
    else:
        context.write(str(head["checkpoint"]))
    return 0


def _show(context: Context, options: argparse.Namespace) -> int:
    with open_log(context, options) as log:
        found = log.entry(options.index)
        leaf_hash = log.profile.leaf(found.leaf).hex()
    value = {"index": found.index, "leaf_hash": leaf_hash, **_spoken(found.leaf)}
    if context.as_json:
        context.emit(value)
    else:
        text = json.dumps(value, ensure_ascii=False, indent=2)
        context.write(printable.text(text) + "\n")
    return 0


def _spoken(leaf_bytes: bytes) -> dict[str, object]:
    value = json.loads(leaf_bytes)
    return {"event": value["event"], "body": value["body"]}


def _proof(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.audit.proof import proof_text  # noqa: PLC0415 - only needed here

    with open_log(context, options) as log:
        receipt = _receipt(log, options.index)
    if context.as_json:
        context.emit({
            "index": receipt.index, "leaf_hash": receipt.leaf_hash,
            "checkpoint": receipt.checkpoint, "proof": list(receipt.proof),
        })  # fmt: skip
    else:
        context.write(proof_text(receipt))
    return 0


def _receipt(log: "LogView", index: int) -> Receipt:
    size = log.size
    entry = log.entry(index)
    proof = log.inclusion_proof(index, size)
    return Receipt(
        index, log.profile.leaf(entry.leaf).hex(), log.checkpoint_at(size),
        tuple(part.hex() for part in proof),
    )  # fmt: skip


def _verify(context: Context, options: argparse.Namespace) -> int:
    against = read_text(options.against) if options.against else None
    if options.export is not None:
        if options.key is None:
            what = ("an export needs the public key", "校验导出文件需要公钥")
            raise QueryError("Q040", what=what)
        size = verify_export(options.export, options.key, against)
    else:
        with open_log(context, options) as log:
            size = log.verify(against)
    if context.as_json:
        context.emit({"verified": True, "size": size})
    else:
        context.tell(f"Verified: {size} entries.", f"校验通过：{size} 条记录。")
    return 0


def _export(context: Context, options: argparse.Namespace) -> int:
    with open_log(context, options) as log:
        size = log.export(options.file)
    if context.as_json:
        context.emit({"file": str(options.file), "size": size})
    else:
        context.tell(f"{size} entries written.", f"已导出 {size} 条记录。")
    return 0


def _search(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.accountability.usage import who_got_what  # noqa: PLC0415 - slow to import
    from middleplatform.audit.search import ReleaseQuery  # noqa: PLC0415 - only needed here

    query = ReleaseQuery(
        options.dataset,
        options.column,
        reconcile.moment(options.since),
        reconcile.moment(options.until),
        options.department,
        options.person,
    )
    with open_log(context, options) as log:
        found = who_got_what(log, query, options.incident)
    if context.as_json:
        context.emit([_usage(each) for each in found])
    else:
        _print_usages(context, found)
    return 0


def _usage(each: "Usage") -> dict[str, object]:
    return {
        "index": each.index,
        "at": each.at.isoformat(),
        "query_id": each.query_id,
        "subject": each.subject,
        "department": each.department,
        "recipient": each.recipient,
        "purpose": each.purpose,
        "datasets": list(each.datasets),
        "columns": list(each.columns),
        "grants": list(each.grants),
        "result_digest": each.result_digest,
    }


def _print_usages(context: Context, found: "Iterable[Usage]") -> None:
    say = context.say
    table = Table()
    for name in (
        say("entry", "记录"), say("when", "时间"), say("who", "人员"), say("department", "部门"),
        say("recipient", "接收部门"), say("purpose", "使用目的"), say("grants", "授权"), say("columns", "列"),
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for each in found:
        parts = (
            str(each.index), each.at.isoformat(timespec="seconds"), each.subject, each.department,
            each.recipient, each.purpose, ", ".join(each.grants), ", ".join(each.columns),
        )  # fmt: skip
        table.add_row(*(Text(printable.line(part)) for part in parts))
    context.out.print(table)


def _retention(context: Context, options: argparse.Namespace) -> int:
    with open_log(context, options) as log:
        found = log.retention()
    past = [[part.start, part.stop - 1] for part in found.past]
    if context.as_json:
        context.emit({"years": found.years, "before": found.before.isoformat(), "past": past})
        return 0
    count = sum(len(part) for part in found.past)
    before = f"{found.before:%Y-%m-%d}"
    context.tell(
        f"Kept for {found.years} years; {count} entries are older than {before}.",
        f"保存 {found.years} 年；{count} 条记录早于 {before}。",
    )
    for first, last in past:
        context.write(f"{first}-{last}\n")
    return 0
