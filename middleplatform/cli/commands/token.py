"""``token``: make, list and revoke service tokens."""

import argparse
from datetime import timedelta

from rich.table import Table
from rich.text import Text

from middleplatform.access.tokens import VALID_DAYS_MAX, TokenRecord
from middleplatform.cli import printable
from middleplatform.cli.asking import store
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, group, leaf
from middleplatform.model.request import Role, Subject

__all__ = ["add"]


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
    leaf(mine, say, "list", _list, say("List the tokens", "列出令牌"))
    gone = leaf(mine, say, "revoke", _revoke, say("Revoke a token at once", "立即吊销令牌"))
    gone.add_argument("id", metavar="ID", help=say("its id, from the list", "令牌编号（见列表）"))


def _add(context: Context, options: argparse.Namespace) -> int:
    subject = Subject(
        options.login,
        options.department,
        frozenset(map(Role, options.role)),
        tuple(options.region or ["*"]),
    )
    days = min(max(options.days, 0), VALID_DAYS_MAX + 1)  # timedelta has bounds of its own
    with store(context) as tokens:
        token, record = tokens.add(subject, timedelta(days=days), options.note)
    if context.as_json:
        context.emit({"token": token} | _shape(record))
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
        context.emit([_shape(each) for each in records])
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
    with store(context) as tokens:
        record = tokens.revoke(options.id)
    if context.as_json:
        context.emit(_shape(record))
    else:
        context.tell(f"Token {record.id} is revoked.", f"令牌 {record.id} 已吊销。")
    return 0


def _shape(each: TokenRecord) -> dict[str, object]:
    return {
        "id": each.id,
        "login": each.subject.id,
        "department": each.subject.department,
        "roles": sorted(each.subject.roles),
        "regions": list(each.subject.regions),
        "note": each.note,
        "created_at": each.created_at.isoformat(),
        "expires_at": each.expires_at.isoformat(),
        "revoked_at": each.revoked_at.isoformat() if each.revoked_at else None,
    }
