"""``login``: check the file on logins; see who is in, put somebody out, let a login begin anew."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, group, leaf
from middleplatform.cli.person import add_person, person

if TYPE_CHECKING:
    from middleplatform.login.people import People

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare the four."""
    mine = group(commands, say, "login", say("Logins of people", "人员登录"))
    text = say("Check the file on logins", "检查登录配置文件")
    made = leaf(mine, say, "check", _check, text)
    made.add_argument(
        "file", nargs="?", type=Path, metavar="FILE",
        help=say("the file; that of the setting login unless said", "配置文件；默认取设置 login"),
    )  # fmt: skip
    made = leaf(mine, say, "sessions", _sessions, say("List who is logged in", "列出当前会话"))
    made.add_argument(
        "login", nargs="?", metavar="LOGIN", help=say("of this login only", "仅此账号")
    )
    add_person(made, say)
    for name, run, text in (
        ("end", _end, say("End every session of a login", "结束某账号的全部会话")),
        ("forget", _forget, say("Let a login begin anew with the provider", "解除账号与身份提供方用户的绑定")),
    ):  # fmt: skip
        made = leaf(mine, say, name, run, text)
        made.add_argument("login", metavar="LOGIN", help=say("the login", "账号"))
        made.add_argument(
            "--reason", required=True, help=say("why, for the log", "理由（记入日志）")
        )
        add_person(made, say)


def _check(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.login.configured import load  # noqa: PLC0415 - slow to import

    file = options.file or context.settings.login
    found = load(file)
    provider = found.provider
    limits, bounds = found.limits, found.bounds
    if context.as_json:
        context.emit({
            "address": found.address,
            "provider": None if provider is None else provider.issuer,
            "roles": {} if found.claims is None else
                     {name: str(role) for name, role in found.claims.roles.items()},
            "idle_s": int(bounds.idle.total_seconds()),
            "absolute_s": int(bounds.absolute.total_seconds()),
            "failures": limits.failures,
        })  # fmt: skip
        return 0
    if provider is None:
        context.tell("Valid: logins by service token only.", "有效：仅可使用服务令牌登录。")
    else:
        roles = (
            ", ".join(sorted({str(role) for role in found.claims.roles.values()}))
            if found.claims
            else ""
        )
        context.tell(
            f"Valid: logins with {provider.issuer}; claims can give {roles}.",
            f"有效：使用 {provider.issuer} 登录；声明可授予 {roles}。",
        )
    return 0


def _sessions(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with _people(context, acting=False) as people:
        found = people.sessions(who, options.login)
    if context.as_json:
        context.emit([
            {
                "id": each.id, "login": each.subject.id, "department": each.subject.department,
                "roles": sorted(map(str, each.subject.roles)), "how": str(each.how),
                "address": each.address, "began_at": each.began_at.isoformat(),
                "seen_at": each.seen_at.isoformat(), "ends_at": each.ends_at.isoformat(),
            }
            for each in found
        ])  # fmt: skip
        return 0
    say = context.say
    table = Table(say("login", "账号"), say("roles", "角色"), say("how", "方式"), say("from", "来源"),
                  say("began", "开始"), say("last seen", "最近使用"))  # fmt: skip
    for each in found:
        began, seen = (at.isoformat(timespec="minutes") for at in (each.began_at, each.seen_at))
        roles = ", ".join(sorted(map(str, each.subject.roles)))
        cells = (each.subject.id, roles, str(each.how), each.address, began, seen)
        table.add_row(*(Text(printable.line(cell)) for cell in cells))
    context.out.print(table)
    return 0


def _end(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with _people(context) as people:
        count = people.end(who, options.login, options.reason)
    if context.as_json:
        context.emit({"ended": count})
    else:
        context.tell(f"Sessions ended: {count}.", f"已结束会话：{count}。")
    return 0


def _forget(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with _people(context) as people:
        people.forget(who, options.login, options.reason)
    if context.as_json:
        context.emit({"forgotten": options.login})
    else:
        context.tell("The login begins anew.", "该账号可重新绑定。")
    return 0


@contextmanager
def _people(context: Context, *, acting: bool = True) -> "Iterator[People]":
    from middleplatform.cli.applying import opened_handling  # noqa: PLC0415 - slow to import
    from middleplatform.login.people import People  # noqa: PLC0415 - the same

    with opened_handling(context, acting=acting) as handling:
        desk = handling.desk
        yield People(desk.store, desk, desk.clock)
