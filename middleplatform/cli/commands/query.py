"""``query`` and ``explain``: ask, or ask what would happen."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.cli import asking, failure, printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say, pick
from middleplatform.cli.parser import Commands, add_json, leaf
from middleplatform.cli.progress import shown
from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.model.budget import POLICY
from middleplatform.model.request import QueryRequest

if TYPE_CHECKING:  # the engine behind it takes a second to import; --help must not
    from middleplatform.demo.runtime import Platform
    from middleplatform.model.advice import Form
    from middleplatform.model.result import Explanation

__all__ = ["add", "run_explain", "run_query"]


def add(commands: Commands, say: Say) -> None:
    """Declare both."""
    query = leaf(
        commands, say, "query", run_query, say("Ask a question", "提出一个查询"), json_too=False
    )
    _asking(query, say)
    shape = query.add_mutually_exclusive_group()
    add_json(shape, say)
    shape.add_argument(
        "--csv",
        action="store_true",
        help=say(
            "print CSV, safe for spreadsheets; all else goes to standard error",
            "以 CSV 输出（可安全用于电子表格），其余信息写到标准错误",
        ),
    )
    explain = leaf(
        commands,
        say,
        "explain",
        run_explain,
        say("Show what would happen to a question; nothing is run", "说明查询将如何处理，不执行"),
    )
    _asking(explain, say)


def _asking(parser: argparse.ArgumentParser, say: Say) -> None:
    parser.add_argument(
        "sql",
        nargs="?",
        metavar="SQL",
        help=say("the statement; - for standard input", "查询语句；- 表示标准输入"),
    )
    parser.add_argument(
        "-f", "--file", type=Path, help=say("read the statement from FILE", "从文件读取语句")
    )
    asking.add_who(parser, say)
    parser.add_argument(
        "--purpose", required=True, help=say("purpose, by its code", "使用目的（代码）")
    )
    parser.add_argument(
        "--project", default="", help=say("project that the question belongs to", "所属项目")
    )
    parser.add_argument(
        "--recipient",
        default="",
        metavar="DEPARTMENT",
        help=say(
            "department that receives the answer; your own unless said",
            "接收结果的部门，默认为本部门",
        ),
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help=say("refuse instead of rewriting to a permitted form", "不改写，直接拒绝"),
    )
    parser.add_argument(
        "--sealed-for",
        default="",
        metavar="KEY",
        help=say(
            "leave the values encrypted for a published key: its id, or its key file",
            "以已登记公钥加密数值：密钥编号或密钥文件",
        ),
    )
    parser.add_argument(
        "--noise",
        nargs="?",
        const=POLICY,
        default="",
        metavar="RHO",
        help=say(
            "answer with differential privacy; RHO is a fraction such as 1/50, what policy allows unless said",
            "以差分隐私方式作答；RHO 为分数（如 1/50），省略则按策略上限",
        ),
    )


def run_query(context: Context, options: argparse.Namespace) -> int:
    """Ask, and print the answer or the refusal."""
    sql = _statement(options)
    if options.csv and options.sealed_for:
        what = ("a sealed answer is no CSV: use --json", "密封结果不能输出为 CSV：请使用 --json")
        raise QueryError("Q040", what=what)
    with context.platform() as platform:
        request = _request(context, platform, options, sql)
        try:
            with shown(context.err, context.say) as progress:
                answer = asyncio.run(platform.gateway.submit(request, progress))
        except MiddleplatformError as error:
            context.note(error)
            return failure.tell(context, error, sql)
    if context.as_json:
        from middleplatform.access import shapes  # noqa: PLC0415 - imports the column engine

        context.emit(shapes.answer(answer))
    elif options.csv:
        from middleplatform.access.csv_text import csv_text  # noqa: PLC0415 - the same

        context.write(csv_text(answer.release))
        context.tell(
            f"receipt: audit entry {answer.receipt.index}", f"回执：审计记录 {answer.receipt.index}"
        )
    else:
        from middleplatform.cli.answer import show  # noqa: PLC0415 - the same

        show(context, answer)
    return 0


def run_explain(context: Context, options: argparse.Namespace) -> int:
    """Print what would happen; the exit code is that of the refusal, if it would be refused."""
    sql = _statement(options)
    with context.platform() as platform:
        request = _request(context, platform, options, sql)
        try:
            advised = platform.gateway.advise(request)
        except MiddleplatformError as error:
            context.note(error)
            return failure.tell(context, error, sql)
    found = advised.explanation
    if context.as_json:
        from middleplatform.access import shapes  # noqa: PLC0415 - imports the column engine

        context.emit(shapes.advice(advised, context.locale))
    else:
        _show(context, found, sql)
        _show_form(context, advised.form)
    return 0 if found.verdict == "permit" else failure.exit_code_of(found.code)


def _statement(options: argparse.Namespace) -> str:
    """Return the statement.

    Raises:
        QueryError: Q040 when there is none, there are two, or it cannot be read as UTF-8.
    """
    if (options.sql is None) == (options.file is None):
        raise QueryError(
            "Q040",
            what=("give the statement, or --file, and not both", "请给出语句或 --file，二者择一"),
        )
    try:
        if options.file is not None:
            return str(options.file.read_text(encoding="utf-8"))
        sql = sys.stdin.buffer.read().decode() if options.sql == "-" else str(options.sql)
        sql.encode()
    except OSError:
        raise QueryError(
            "Q040", what=(f"{options.file} cannot be read", f"无法读取 {options.file}")
        ) from None
    except UnicodeError:
        raise QueryError(
            "Q040", what=("the statement is not UTF-8", "语句不是 UTF-8 编码")
        ) from None
    return sql


def _request(
    context: Context, platform: "Platform", options: argparse.Namespace, sql: str
) -> QueryRequest:
    return platform.gateway.request(
        sql,
        asking.subject(context, options),
        options.purpose,
        project=options.project,
        recipient=options.recipient,
        strict=options.strict,
        sealed_for=asking.key_id(options.sealed_for) if options.sealed_for else "",
        noise=options.noise,
    )


def _show(context: Context, found: "Explanation", sql: str) -> None:
    say = context.say
    verdict = say("permitted", "允许") if found.verdict == "permit" else say("refused", "拒绝")
    context.out.print(Text(f"{verdict}  {found.code or found.protocol}", style="bold"))
    for reason in found.reasons:
        for line in failure.reason_lines(reason, sql, context):
            context.out.print(Text("  " + line), soft_wrap=True)
    if found.steps:
        context.out.print(_steps(context, found))
    for name, lines in (
        (say("rewritten", "改写"), found.rewrites),
        (say("limit", "限制"), found.limits),
    ):
        for each in lines:
            text = f"{name}: {printable.line(pick(each, context.locale))}"
            context.out.print(Text(text), soft_wrap=True)


def _show_form(context: Context, form: "Form | None") -> None:
    """Print the nearest form that would pass, where a question is refused and there is one."""
    if form is None:
        return
    say, request = context.say, form.request
    changes = say("; ", "；").join(pick(each, context.locale) for each in form.changes)
    context.out.print(Text(f"{say('would pass', '可通过的写法')} ({changes}):"), soft_wrap=True)
    for line in printable.text(request.sql).split("\n"):
        context.out.print(Text("  " + line), soft_wrap=True)
    context.out.print(Text(f"  --purpose {request.purpose}"), soft_wrap=True)


def _steps(context: Context, found: "Explanation") -> Table:
    say = context.say
    table = Table(show_lines=True)
    for name in (
        say("stage", "阶段"), say("party", "参与方"), say("what", "做什么"), say("learns", "获知"),
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for step in found.steps:
        what = pick(step.what, context.locale) + (f"\n{step.detail}" if step.detail else "")
        table.add_row(
            Text(step.stage), Text(step.party), Text(printable.text(what)),
            Text(printable.line(pick(step.learns, context.locale))),
        )  # fmt: skip
    return table
