"""``node``: a department's own node: running it (``node_run``), and the commands of its enrolment."""

import argparse
from pathlib import Path

from middleplatform.cli import enrolment as shared
from middleplatform.cli.commands.node_budget import add_budget
from middleplatform.cli.commands.node_run import add_run
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, Runs, group, leaf
from middleplatform.enrolment.folder import Folder, Peers
from middleplatform.enrolment.member import node_folder

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare them all."""
    mine = group(commands, say, "node", say("A department's own node", "部门自有节点"))
    add_run(mine, say)
    add_budget(mine, say)
    add_enrolment(mine, say)


def add_enrolment(mine: Commands, say: Say, party: str = "") -> None:
    """Declare the commands by which a node joins a platform and decides whom it trusts.

    Args:
        mine: Where.
        say: The language.
        party: Who joins; asked for when empty.
    """
    _add_init(mine, say, party)
    enroll = _leaf(
        mine,
        say,
        "enroll",
        _enroll,
        say("Install the registrar's admission", "安装注册机构的准入文件"),
    )
    enroll.add_argument(
        "admission", type=Path, metavar="ADMISSION", help=say("the admission", "准入文件")
    )
    shared.add_fingerprint(
        enroll,
        say(
            "the platform's fingerprint, compared out of band; not needed to renew",
            "经线下核对的平台指纹；续期时可省略",
        ),
    )
    shared.add_keys(enroll, say)
    _leaf(
        mine, say, "status", _status,
        say("Show keys, expiry and every party", "显示密钥、有效期与各主体"),
    )  # fmt: skip
    roster = _leaf(mine, say, "roster", _roster, say("Show the roster", "显示名册"))
    roster.add_argument(
        "--accept",
        type=Path,
        metavar="FILE",
        help=say("take a newer one that was brought", "采用送来的新名册"),
    )
    _add_rotate(mine, say)
    revoke = _leaf(
        mine, say, "revoke", _revoke,
        say(
            "Refuse a party at once, whatever the roster says",
            "立即拒绝某主体，不论名册如何",
        ),
    )  # fmt: skip
    revoke.add_argument(
        "name", metavar="NAME", help=say("gateway, or a department", "gateway 或部门代码")
    )
    revoke.add_argument("--lift", action="store_true", help=say("refuse it no longer", "解除拒绝"))
    pin = _leaf(
        mine, say, "pin", _pin,
        say("Pin another department's identity key", "固定其他部门的身份密钥"),
    )  # fmt: skip
    pin.add_argument("name", metavar="NAME", help=say("the party", "主体"))
    pin.add_argument(
        "--fingerprint",
        required=True,
        metavar="HEX",
        help=say("its fingerprint, compared with it directly", "与其直接核对的指纹"),
    )


def _leaf(mine: Commands, say: Say, name: str, run: Runs, text: str) -> argparse.ArgumentParser:
    made = leaf(mine, say, name, run, text)
    made.add_argument(
        "--state",
        type=Path,
        required=True,
        metavar="DIR",
        help=say("the node's state folder", "节点状态文件夹"),
    )
    return made


def _add_init(mine: Commands, say: Say, party: str) -> None:
    made = _leaf(
        mine, say, "init", _init,
        say("Make the node's keys and its request", "创建节点密钥与申请文件"),
    )  # fmt: skip
    made.set_defaults(department=party)
    if not party:
        made.add_argument(
            "--department",
            required=True,
            metavar="CODE",
            help=say("its code, e.g. ga", "部门代码，如 ga"),
        )
    made.add_argument(
        "--platform",
        default="mp.internal",
        metavar="NAME",
        help=say("the platform to join (default: %(default)s)", "要加入的平台（默认 %(default)s）"),
    )
    made.add_argument(
        "--own-authority",
        action="store_true",
        help=say("issue its certificates by an authority of its own", "由部门自有签发机构签发证书"),
    )
    made.add_argument(
        "--peers",
        choices=[str(each) for each in Peers],
        default=str(Peers.PINNED),
        help=say(
            "whose word makes other departments' keys count (default: %(default)s)",
            "其他部门密钥以谁为准：pinned 本部门核对，registrar 注册机构（默认 %(default)s）",
        ),
    )
    shared.add_keys(made, say, fresh=True)


def _add_rotate(mine: Commands, say: Say) -> None:
    made = _leaf(
        mine, say, "rotate", _rotate,
        say("Renew the node's TLS key and certificate", "轮换节点 TLS 密钥与证书"),
    )  # fmt: skip
    made.add_argument(
        "--identity",
        action="store_true",
        help=say(
            "a new identity key too, handed over to by the old",
            "同时更换身份密钥（由旧密钥签名移交）",
        ),
    )
    shared.add_days(made, say)
    shared.add_keys(made, say)


def _init(context: Context, options: argparse.Namespace) -> int:
    path = node_folder(options.state)
    account = f"{options.platform}/{options.department}"
    own = shared.member(path, shared.new_passphrase(context, options, account))
    identity = own.create(
        options.department,
        options.platform,
        Peers(options.peers),
        own_authority=options.own_authority,
    )
    if context.as_json:
        context.emit({
            "party": options.department, "request": str(own.folder.request_file),
            "fingerprint": identity.fingerprint,
        })  # fmt: skip
        return 0
    context.write(identity.fingerprint + "\n")
    context.tell(
        f"Bring {own.folder.request_file} to the platform, and tell it this fingerprint by telephone"
        f" or in person: {shared.grouped(identity.fingerprint)}",
        f"请将 {own.folder.request_file} 送交平台，并通过电话或当面告知以下指纹："
        f"{shared.grouped(identity.fingerprint)}",
    )
    return 0


def _enroll(context: Context, options: argparse.Namespace) -> int:
    path = node_folder(options.state)
    own = shared.member(path, shared.key_passphrase(context, options, path))
    own.install(shared.read_document(options.admission), shared.said_fingerprint(options))
    return shared.show_status(context, path)


def _status(context: Context, options: argparse.Namespace) -> int:
    return shared.show_status(context, node_folder(options.state))


def _roster(context: Context, options: argparse.Namespace) -> int:
    path = node_folder(options.state)
    if options.accept is not None:
        return shared.accept_roster(context, path, options.accept)
    return shared.show_roster(context, path)


def _rotate(context: Context, options: argparse.Namespace) -> int:
    path = node_folder(options.state)
    own = shared.member(path, shared.key_passphrase(context, options, path))
    identity = own.rotate(identity_too=options.identity, days=shared.chosen_days(options))
    at_once = own.folder.authority.exists() and not options.identity
    if context.as_json:
        context.emit({
            "request": str(own.folder.request_file), "fingerprint": identity.fingerprint,
            "in_force": at_once,
        })  # fmt: skip
        return 0
    if at_once:
        context.tell("The new certificate is in force.", "新证书已生效。")
        return 0
    context.tell(
        f"Have {own.folder.request_file} admitted by the platform, then run: middleplatform node"
        " enroll ADMISSION. Until then the old keys serve.",
        f"请将 {own.folder.request_file} 提交平台准入，然后运行 middleplatform node enroll ADMISSION。"
        "在此之前旧密钥继续使用。",
    )
    return 0


def _revoke(context: Context, options: argparse.Namespace) -> int:
    path = node_folder(options.state)
    Folder(path).refuse(options.name, lift=options.lift)
    return shared.show_roster(context, path)


def _pin(context: Context, options: argparse.Namespace) -> int:
    path = node_folder(options.state)
    Folder(path).pin(options.name, shared.said_fingerprint(options) or "")
    return shared.show_roster(context, path)
