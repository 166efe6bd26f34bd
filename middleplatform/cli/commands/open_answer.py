"""``open``: a sealed answer, with the recipient's own key."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from middleplatform.access.legend import mark_of
from middleplatform.cli import printable, sealing
from middleplatform.cli.context import Context
from middleplatform.cli.enrolment import add_keys
from middleplatform.cli.locale import Say, pick
from middleplatform.cli.parser import Commands, add_json, leaf

if TYPE_CHECKING:  # arithmetic and the column engine take a moment to import; --help must not
    from middleplatform.client.opening import Opened

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare it."""
    made = leaf(
        commands, say, "open", _open,
        say("Open a sealed answer with your own key", "用本人密钥打开密封结果"), json_too=False,
    )  # fmt: skip
    made.add_argument(
        "answer", type=Path, metavar="ANSWER", help=say("the answer, JSON", "结果文件（JSON）")
    )
    made.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help=say(
            "the key file; found by its id beside the answer or here unless said",
            "密钥文件；默认按编号在结果所在目录及当前目录查找",
        ),
    )
    made.add_argument(
        "--parties",
        type=Path,
        metavar="FILE",
        help=say(
            "public keys of gateway and departments; beside the key unless said",
            "网关与各部门公钥文件；默认与密钥文件同目录",
        ),
    )
    add_keys(made, say)
    shape = made.add_mutually_exclusive_group()
    add_json(shape, say)
    shape.add_argument(
        "--csv",
        action="store_true",
        help=say(
            "print CSV, safe for spreadsheets; all else goes to standard error",
            "以 CSV 输出（可安全用于电子表格），其余信息写到标准错误",
        ),
    )


def _open(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.client.opening import read_answer  # noqa: PLC0415 - see above

    document = read_answer(options.answer)
    found = _opened(context, options, document)
    if context.as_json:
        from middleplatform.access import shapes  # noqa: PLC0415 - imports the column engine

        context.emit(shapes.opened(found.release, found.sealed.key_id, found.bits, found.grade))
    elif options.csv:
        from middleplatform.access.csv_text import csv_text  # noqa: PLC0415 - the same

        context.write(csv_text(found.release))
        context.tell(*_how(found))
    else:
        _show(context, found)
    return 0


def _opened(context: Context, options: argparse.Namespace, document: dict[str, object]) -> "Opened":
    from middleplatform.client.book import OpenedBook  # noqa: PLC0415 - see above
    from middleplatform.client.opening import (  # noqa: PLC0415 - see above
        key_of,
        open_answer,
        read_parties,
    )
    from middleplatform.crypto.sealed_keys import OpeningKey  # noqa: PLC0415 - see above

    path = options.key or sealing.found_key(key_of(document), (options.answer.parent, Path()))
    key = OpeningKey.load(path, sealing.passphrase(context, options, path.stem))
    pins = read_parties(options.parties or sealing.parties_file(path))
    book = OpenedBook(sealing.book_file(path))
    try:
        return open_answer(document, key, pins, book)
    finally:
        book.close()


def _how(found: "Opened") -> tuple[str, str]:
    key, bits, grade = found.sealed.key_id, found.bits, found.grade
    return (
        f"opened with key {key}: {bits} bits, randomness of grade {grade}, query {found.sealed.query_id}",
        f"已用密钥 {key} 打开：{bits} 位，随机性等级 {grade}，查询 {found.sealed.query_id}",
    )


def _show(context: Context, found: "Opened") -> None:
    from middleplatform.cli.answer import table  # noqa: PLC0415 - imports the column engine

    say, release = context.say, found.release
    context.out.print(table(release))
    rows = release.table.num_rows
    lines = [say(f"{rows} rows", f"{rows} 行")]
    for reason in sorted({each.reason for each in release.withheld}):
        sign, meaning = mark_of(reason)
        lines.append(f"  {sign} {reason}: {pick(meaning, context.locale)}")
    lines += [
        f"{say('note', '说明')}: {printable.line(pick(note, context.locale))}"
        for note in release.notes
    ]
    lines.append(say(*_how(found)))
    for line in lines:
        context.out.print(Text(line), soft_wrap=True)
