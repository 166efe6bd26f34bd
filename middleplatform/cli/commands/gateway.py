"""``gateway``: the platform's registrar, and the gateway's own keys."""

import argparse
from pathlib import Path

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli import enrolment as shared
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, Runs, group, leaf
from middleplatform.crypto.key_files import replace_private
from middleplatform.enrolment.documents import refused
from middleplatform.enrolment.folder import Folder, Peers
from middleplatform.enrolment.papers import read_request_paper
from middleplatform.enrolment.registrar import Registrar
from middleplatform.enrolment.roster import GATEWAY

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare them all."""
    text = say("The gateway: registrar, keys, parties", "网关：注册机构、密钥与参与主体")
    mine = group(commands, say, "gateway", text)
    _add_init(mine, say)
    _add_admit(mine, say)
    install = _leaf(
        mine, say, "install", _install,
        say("Install the gateway's own admission", "安装网关自身的准入文件"),
    )  # fmt: skip
    install.add_argument(
        "admission", type=Path, metavar="ADMISSION", help=say("the admission", "准入文件")
    )
    shared.add_fingerprint(install, say("the platform's fingerprint, compared", "经核对的平台指纹"))
    shared.add_keys(install, say)
    roster = _leaf(mine, say, "roster", _roster, say("Show the roster", "显示名册"))
    roster.add_argument(
        "--accept",
        type=Path,
        metavar="FILE",
        help=say("take a newer one, brought from the registrar", "采用从注册机构取得的新名册"),
    )
    _leaf(
        mine, say, "status", _status,
        say("Show keys, expiry and every party", "显示密钥、有效期与各主体"),
    )  # fmt: skip
    _add_rotate(mine, say)
    _add_revoke(mine, say)


def _leaf(mine: Commands, say: Say, name: str, run: Runs, text: str) -> argparse.ArgumentParser:
    made = leaf(mine, say, name, run, text)
    made.add_argument(
        "--trust",
        type=Path,
        metavar="DIR",
        help=say(
            "the gateway's trust folder; of the settings unless said",
            "网关信任文件夹；默认取自配置",
        ),
    )
    return made


def _add_registrar(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument(
        "--registrar",
        type=Path,
        metavar="DIR",
        help=say(
            "the registrar's folder, if elsewhere than in the trust folder",
            "注册机构文件夹（若不在信任文件夹内）",
        ),
    )


def _add_init(mine: Commands, say: Say) -> None:
    made = _leaf(
        mine, say, "init", _init,
        say("Make the registrar and the gateway's keys", "创建注册机构与网关密钥"),
    )  # fmt: skip
    made.add_argument(
        "--platform",
        default="mp.internal",
        metavar="NAME",
        help=say("the platform's name (default: %(default)s)", "平台名（默认 %(default)s）"),
    )
    _add_registrar(made, say)
    shared.add_days(made, say)
    shared.add_keys(made, say, fresh=True)


def _add_admit(mine: Commands, say: Say) -> None:
    made = _leaf(
        mine, say, "admit", _admit, say("Admit a party, or renew it", "准入或续期一个主体")
    )
    made.add_argument(
        "request", type=Path, metavar="REQUEST", help=say("its request.json", "其 request.json")
    )
    shared.add_fingerprint(
        made,
        say(
            "its fingerprint, compared out of band; not needed to renew",
            "经线下核对的指纹；续期时可省略",
        ),
    )
    made.add_argument(
        "--address",
        default="",
        metavar="HOST:PORT",
        help=say("where its node listens", "其节点监听地址"),
    )
    made.add_argument(
        "--out", type=Path, metavar="FILE", help=say("where the admission goes", "准入文件输出位置")
    )
    _add_registrar(made, say)
    shared.add_days(made, say)
    shared.add_keys(made, say)


def _add_rotate(mine: Commands, say: Say) -> None:
    made = _leaf(
        mine, say, "rotate", _rotate,
        say("Renew the gateway's TLS key and certificate", "轮换网关 TLS 密钥与证书"),
    )  # fmt: skip
    made.add_argument(
        "--identity",
        action="store_true",
        help=say(
            "a new identity key too, handed over to by the old",
            "同时更换身份密钥（由旧密钥签名移交）",
        ),
    )
    _add_registrar(made, say)
    shared.add_days(made, say)
    shared.add_keys(made, say)


def _add_revoke(mine: Commands, say: Say) -> None:
    made = _leaf(
        mine, say, "revoke", _revoke, say("Revoke a party or a certificate", "吊销主体或证书")
    )
    made.add_argument("name", metavar="NAME", help=say("the party", "主体"))
    made.add_argument(
        "--serial",
        default="",
        metavar="HEX",
        help=say("only this certificate of it", "仅吊销其该序列号的证书"),
    )
    _add_registrar(made, say)
    shared.add_keys(made, say)


def _init(context: Context, options: argparse.Namespace) -> int:
    trust = shared.trust_folder(context, options)
    secret = shared.new_passphrase(context, options, f"{options.platform}/{GATEWAY}")
    days = shared.chosen_days(options)
    office = Registrar.create(
        _office_folder(trust, options), options.platform, secret, SystemClock(), SystemRng()
    )
    own = shared.member(trust, secret)
    identity = own.create(GATEWAY, options.platform, Peers.REGISTRAR)
    asked = shared.read_document(own.folder.request_file)
    own.install(office.admit(asked, identity.fingerprint, "", days), office.fingerprint)
    if context.as_json:
        context.emit({
            "platform": options.platform, "trust": str(trust), "registrar": str(office.path),
            "platform_fingerprint": office.fingerprint, "fingerprint": identity.fingerprint,
        })  # fmt: skip
        return 0
    context.write(office.fingerprint + "\n")
    context.tell(
        f"Platform {options.platform} is made. Tell every department its fingerprint, by telephone"
        f" or in person: {shared.grouped(office.fingerprint)}",
        f"平台 {options.platform} 已创建。请通过电话或当面将其指纹告知各部门："
        f"{shared.grouped(office.fingerprint)}",
    )
    return 0


def _admit(context: Context, options: argparse.Namespace) -> int:
    office = _office(context, options)
    raw = shared.read_document(options.request)
    party = read_request_paper(raw).party
    said, days = shared.said_fingerprint(options), shared.chosen_days(options)
    admission = office.admit(raw, said, options.address, days)
    path = options.out or options.request.with_name(f"{party}.admission.json")
    replace_private(path, admission)
    _hand_on(context, options, office)
    if context.as_json:
        context.emit({
            "party": party, "admission": str(path), "platform_fingerprint": office.fingerprint,
        })  # fmt: skip
        return 0
    context.write(f"{path}\n")
    context.tell(
        f"{party} is admitted. Bring it {path}, and tell it the platform's fingerprint:"
        f" {shared.grouped(office.fingerprint)}",
        f"{party} 已准入。请将 {path} 送交该部门，并告知平台指纹："
        f"{shared.grouped(office.fingerprint)}",
    )
    return 0


def _install(context: Context, options: argparse.Namespace) -> int:
    trust = shared.trust_folder(context, options)
    own = shared.member(trust, shared.key_passphrase(context, options, trust))
    own.install(shared.read_document(options.admission), shared.said_fingerprint(options))
    return shared.show_status(context, trust)


def _roster(context: Context, options: argparse.Namespace) -> int:
    trust = shared.trust_folder(context, options)
    if options.accept is not None:
        return shared.accept_roster(context, trust, options.accept)
    return shared.show_roster(context, trust)


def _status(context: Context, options: argparse.Namespace) -> int:
    return shared.show_status(context, shared.trust_folder(context, options))


def _rotate(context: Context, options: argparse.Namespace) -> int:
    trust = shared.trust_folder(context, options)
    own = shared.member(trust, shared.key_passphrase(context, options, trust))
    days = shared.chosen_days(options)
    own.rotate(identity_too=options.identity, days=days)
    if not (_office_folder(trust, options) / "registrar.key").exists():
        context.tell(
            f"Have {own.folder.request_file} admitted by the registrar, then run: middleplatform"
            " gateway install ADMISSION",
            f"请将 {own.folder.request_file} 提交注册机构准入，然后运行 middleplatform gateway install"
            " ADMISSION",
        )
        return 0
    office = _office(context, options)
    own.install(office.admit(shared.read_document(own.folder.request_file), None, "", days), None)
    return shared.show_status(context, trust)


def _revoke(context: Context, options: argparse.Namespace) -> int:
    office = _office(context, options)
    office.revoke(options.name, options.serial)
    _hand_on(context, options, office)
    roster = office.roster()
    sequence = roster.sequence if roster else 0
    if context.as_json:
        context.emit({"party": options.name, "serial": options.serial, "sequence": sequence})
        return 0
    what = options.serial or options.name
    context.tell(
        f"{what} is revoked by roster {sequence}. The gateway refuses it from now on, and passes the"
        " roster on to the nodes that it reaches.",
        f"{what} 已由第 {sequence} 号名册吊销。网关即刻拒绝，并将名册下发至可达节点。",
    )
    return 0


def _office(context: Context, options: argparse.Namespace) -> Registrar:
    path = options.registrar or _office_folder(shared.trust_folder(context, options), options)
    secret = shared.key_passphrase(context, options, path)
    return Registrar.open(path, secret, SystemClock(), SystemRng())


def _office_folder(trust: Path, options: argparse.Namespace) -> Path:
    return Path(options.registrar or trust / "registrar")


def _hand_on(context: Context, options: argparse.Namespace, office: Registrar) -> None:
    """Give the gateway the newest roster, where its folder is on this machine."""
    trust = options.trust or context.settings.trust
    if trust is None or not Folder(Path(trust)).owner_file.exists():
        context.tell(
            f"Bring {office.roster_file} to the gateway and run there: middleplatform gateway roster"
            " --accept FILE",
            f"请将 {office.roster_file} 送交网关，并在其上运行 middleplatform gateway roster --accept FILE",
        )
        return
    folder = Folder(Path(trust))
    if folder.owner().registrar != office.key.public_key:
        raise refused(
            "registrar",
            "the trust folder belongs to another registrar; name its own with --registrar",
            "信任文件夹属于其他注册机构；请用 --registrar 指明",
        )
    folder.accept(shared.read_document(office.roster_file))
