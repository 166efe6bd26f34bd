"""``token``: make, list and revoke service tokens; each change is an entry of the log, as at the console's desk.

Without a person's token the operator of the machine acts: so the first token can be made, and its entry says so.
"""

import argparse
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.access.tokens import VALID_DAYS_MAX, TokenRecord
from middleplatform.cli import printable
from middleplatform.cli.asking import store
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, group, leaf
from middleplatform.cli.person import add_person, person
from middleplatform.model.request import Role, Subject

if TYPE_CHECKING:
    from middleplatform.login.token_desk import TokenDesk

__all__ = ["add"]

_OPERATOR = Subject("operator", "platform", frozenset({Role.SYSTEM_ADMINISTRATOR}))
_REASON = "at the command line"


def add(commands: Commands, say: Say) -> None:
    """Declare the three."""
    mine = group(commands, say, "token", say("Service tokens", "服务令牌"))
    made = leaf(
        mine, say, "add", _add, say("Make a token; it is shown once", "创建令牌，只显示一次")
    )
    made.add_argument("login", metavar="LOGIN", help=say("whom it lets in", "账号"))
    made.add_argument(
        "--department", required=True, help=say("department, by its code", "所属部门（代码）")
    )
    made.add_argument(
        "--role",
        required=True,
        action="append",
        choices=[str(role) for role in Role],
        metavar="ROLE",
        help=say("a role, repeatable: ", "角色，可重复：") + ", ".join(Role),
    )
    made.add_argument(
        "--region",
        action="append",
        metavar="CODE",
        help=say("a region, repeatable; all unless said", "行政区划代码，可重复；默认全部"),
    )
    made.add_argument(
        "--days",
        type=int,
        default=90,
        help=say(
            f"how long it holds, 1 to {VALID_DAYS_MAX} days (default: %(default)s)",
            f"有效天数，1 至 {VALID_DAYS_MAX}（默认 %(default)s）",
        ),
    )
    made.add_argument("--note", default="", help=say("what it is for", "用途说明"))
    _add_actor(made, say)
    leaf(mine, say, "list", _list, say("List the tokens", "列出令牌"))
    gone = leaf(mine, say, "revoke", _revoke, say("Revoke a token at once", "立即吊销令牌"))
    gone.add_argument("id", metavar="ID", help=say("its id, from the list", "令牌编号（见列表）"))
    _add_actor(gone, say)


def _add_actor(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument("--reason", default=_REASON, help=say("why, for the log", "理由（记入日志）"))
    add_person(made, say, required=False)


@contextmanager
def _desk(context: Context, options: argparse.Namespace) -> "Iterator[tuple[TokenDesk, Subject]]":
    """Give the desk of tokens, and who acts: whoever said so, else the operator of the machine.

    Raises:
        AuditError: A002 the log does not verify.
        ConfigError: C001, C002, C003, C011 or C015.
        PolicyError: P005.
        QueryError: Q040.
    """
    from middleplatform.cli.applying import opened_handling  # noqa: PLC0415 - slow to import
    from middleplatform.login.sessions import Sessions  # noqa: PLC0415 - the same
    from middleplatform.login.token_desk import TokenDesk  # noqa: PLC0415 - the same

    named = options.persona is not None or options.token is not None
    actor = person(context, options) if named else _OPERATOR
    with opened_handling(context) as handling, store(context) as tokens:
        desk = handling.desk
        sessions = Sessions(desk.store, desk.clock, desk.rng)

        def beside() -> list[tuple[str, frozenset[Role]]]:
            return [(each.subject.id, each.subject.roles) for each in sessions.listed()]

        yield TokenDesk(tokens, desk, beside, "" if named else _account()), actor


def _account() -> str:
    """Return the name of the machine's account that runs this; its number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _add(context: Context, options: argparse.Namespace) -> int:
    subject = Subject(
        options.login,
        options.department,
        frozenset(map(Role, options.role)),
        tuple(options.region or ["*"]),
    )
    with _desk(context, options) as (desk, actor):
        made = desk.make(actor, subject, options.days, options.note, options.reason)
    token, record = made.token, made.record
    if context.as_json:
        context.emit({"token": token} | record.plain())
        return 0
    context.write(token + "\n")
    context.tell(
        f"Token {record.id} for {subject.id}, until {record.expires_at:%Y-%m-%d}."
        " It cannot be shown again.",
        f"令牌 {record.id}，账号 {subject.id}，有效期至 {record.expires_at:%Y-%m-%d}。"
        "无法再次显示。",
    )
    return 0


def _list(context: Context, _: argparse.Namespace) -> int:
    with store(context) as tokens:
        records = tokens.records()
    if context.as_json:
        context.emit([each.plain() for each in records])
        return 0
    say = context.say
    table = Table()
    for name in (
        say("id", "编号"), say("login", "账号"), say("department", "部门"), say("roles", "角色"),
        say("regions", "区域"), say("expires", "到期"), say("revoked", "吊销"), say("note", "说明"),
    ):  # fmt: skip
        table.add_column(name)
    for each in records:
        table.add_row(*(Text(printable.line(text)) for text in _row(each)))
    context.out.print(table)
    return 0


def _row(each: TokenRecord) -> tuple[str, ...]:
    revoked = f"{each.revoked_at:%Y-%m-%d}" if each.revoked_at else ""
    return (
        each.id, each.subject.id, each.subject.department, ", ".join(sorted(each.subject.roles)),
        ", ".join(each.subject.regions), f"{each.expires_at:%Y-%m-%d}", revoked, each.note,
    )  # fmt: skip


def _revoke(context: Context, options: argparse.Namespace) -> int:
    with _desk(context, options) as (desk, actor):
        record = desk.revoke(actor, options.id, options.reason)
    if context.as_json:
        context.emit(record.plain())
    else:
        context.tell(f"Token {record.id} is revoked.", f"令牌 {record.id} 已吊销。")
    return 0
