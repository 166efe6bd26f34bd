"""What the commands of gateway and node share: where the passphrase comes from, and how trust is shown."""

import argparse
from dataclasses import asdict
from datetime import datetime
from getpass import getpass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.crypto.key_files import Passphrase, is_encrypted, key_invalid, read_private
from middleplatform.enrolment.documents import DOCUMENT_BYTES_MAX
from middleplatform.enrolment.folder import Folder
from middleplatform.enrolment.member import Member
from middleplatform.enrolment.passphrases import (
    from_file,
    from_keyring,
    from_surroundings,
    from_terminal,
    once,
)
from middleplatform.enrolment.registrar import platform_of
from middleplatform.enrolment.roster import GATEWAY
from middleplatform.enrolment.status import PartyStatus, Status, status_of
from middleplatform.errors import ConfigError, QueryError

__all__ = [
    "CERTIFICATE_DAYS_MAX",
    "accept_roster",
    "add_days",
    "add_fingerprint",
    "add_keys",
    "chosen_days",
    "grouped",
    "key_passphrase",
    "member",
    "new_passphrase",
    "read_document",
    "said_fingerprint",
    "show_roster",
    "show_status",
    "trust_folder",
]

CERTIFICATE_DAYS_MAX = 397
_GROUP = 8


def add_keys(parser: argparse.ArgumentParser, say: Say, *, fresh: bool = False) -> None:
    """Add the options that say where the passphrase comes from.

    Args:
        parser: Where.
        say: The language.
        fresh: Whether keys are made, which may be in the clear.
    """
    sources = parser.add_mutually_exclusive_group()
    sources.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=say("file with the passphrase, mode 0600", "存放口令的文件，权限 0600"),
    )
    sources.add_argument(
        "--keyring",
        action="store_true",
        help=say(
            "take the passphrase from the operating system's key store", "从操作系统密钥库取口令"
        ),
    )
    if fresh:
        sources.add_argument(
            "--unencrypted",
            action="store_true",
            help=say(
                "write key files in the clear: for tests and demonstrations only",
                "密钥文件不加密：仅用于测试与演示",
            ),
        )


def add_days(parser: argparse.ArgumentParser, say: Say) -> None:
    """Add how long a certificate holds."""
    parser.add_argument(
        "--days",
        type=int,
        default=90,
        help=say(
            f"how long the certificate holds, 1 to {CERTIFICATE_DAYS_MAX} days"
            " (default: %(default)s)",
            f"证书有效天数，1 至 {CERTIFICATE_DAYS_MAX}（默认 %(default)s）",
        ),
    )


def add_fingerprint(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the fingerprint that people compared."""
    parser.add_argument("--fingerprint", metavar="HEX", help=text)


def chosen_days(options: argparse.Namespace) -> int:
    """Return how long a certificate shall hold.

    Raises:
        QueryError: Q040 outside its range.
    """
    days = int(options.days)
    if not 1 <= days <= CERTIFICATE_DAYS_MAX:
        what = (
            f"--days must lie between 1 and {CERTIFICATE_DAYS_MAX}",
            f"--days 须在 1 至 {CERTIFICATE_DAYS_MAX} 之间",
        )
        raise QueryError("Q040", what=what)
    return days


def said_fingerprint(options: argparse.Namespace) -> str | None:
    """Return the fingerprint as typed, in groups or capitals or not; None when none was.

    Raises:
        QueryError: Q040 when it is no fingerprint.
    """
    if options.fingerprint is None:
        return None
    said = "".join(options.fingerprint.split()).replace(":", "").lower()
    if len(said) != 64 or set(said) - set("0123456789abcdef"):  # noqa: PLR2004 - SHA-256
        what = ("a fingerprint has 64 hexadecimal digits", "指纹为 64 位十六进制数字")
        raise QueryError("Q040", what=what)
    return said


def new_passphrase(
    context: Context, options: argparse.Namespace, account: str
) -> Passphrase | None:
    """Return the passphrase that new keys are encrypted under, or None where that is renounced."""
    if options.unencrypted:
        return None
    return _source(context, options, account) or once(lambda: _typed_twice(context))


def key_passphrase(
    context: Context, options: argparse.Namespace, folder: Path
) -> Passphrase | None:
    """Return the passphrase of a folder's key files, or None when they are in the clear."""
    name = "registrar.key" if (folder / "registrar.key").exists() else "identity.key"
    if not (folder / name).exists() or not is_encrypted(read_private(folder / name)):
        return None
    account = _account(folder) if options.keyring else ""
    asked = context.say(f"Passphrase of {folder}: ", f"{folder} 的口令：")
    return _source(context, options, account) or from_terminal(asked)


def member(path: Path, passphrase: Passphrase | None) -> Member:
    """Return a party at its folder, with the machine's clock and generator."""
    return Member(Folder(path), passphrase, SystemClock(), SystemRng())


def read_document(path: Path) -> bytes:
    """Return a paper that somebody brought.

    Raises:
        QueryError: Q040 when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError:
        raise QueryError("Q040", what=(f"{path} cannot be read", f"无法读取 {path}")) from None


def grouped(fingerprint: str) -> str:
    """Return a fingerprint in groups, to be read aloud."""
    parts = range(0, len(fingerprint), _GROUP)
    return " ".join(fingerprint[place : place + _GROUP] for place in parts)


def accept_roster(context: Context, path: Path, brought: Path) -> int:
    """Take a roster that somebody brought, and show it."""
    Folder(path).accept(read_document(brought))
    return show_roster(context, path)


def show_status(context: Context, path: Path) -> int:
    """Print a party's trust: its own keys and certificate, then every party."""
    found = status_of(path, SystemClock())
    if context.as_json:
        context.emit(_shape(found))
        return 0
    for name, value in _facts(context, found):
        context.write(f"{name}: {printable.line(value)}\n")
    _print_parties(context, found)
    return 0


def show_roster(context: Context, path: Path) -> int:
    """Print the parties."""
    found = status_of(path, SystemClock())
    if context.as_json:
        shape = _shape(found)
        context.emit({
            name: shape[name]
            for name in ("platform", "sequence", "issued_at", "parties", "revoked")
        })  # fmt: skip
        return 0
    _print_parties(context, found)
    return 0


def _shape(found: Status) -> dict[str, object]:
    shape = asdict(found)
    for name in ("not_after", "issued_at"):
        moment = getattr(found, name)
        shape[name] = moment.isoformat() if isinstance(moment, datetime) else None
    return shape


def _facts(context: Context, found: Status) -> list[tuple[str, str]]:
    say = context.say
    until = f" ({say('until', '有效期至')} {found.not_after:%Y-%m-%d})" if found.not_after else ""
    state = {
        "none": say("none yet", "尚无"), "valid": say("valid", "有效"),
        "expiring": say("expires soon: rotate it", "即将到期：请轮换"),
        "expired": say("expired: rotate it", "已过期：请轮换"),
        "not yet valid": say("not yet valid: check the clock", "尚未生效：请检查时钟"),
        "revoked": say("revoked: rotate it", "已吊销：请轮换"),
    }[found.certificate]  # fmt: skip
    keys = say("encrypted", "已加密") if found.encrypted else say("in the clear", "未加密")
    return [
        (say("party", "主体"), f"{found.party} @ {found.platform}"),
        (say("identity fingerprint", "身份指纹"), grouped(found.fingerprint)),
        (
            say("platform fingerprint", "平台指纹"),
            grouped(found.platform_fingerprint) or say("not enrolled yet", "尚未注册"),
        ),
        (say("key files", "密钥文件"), keys),
        (say("certificate", "证书"), f"{state}{until} {found.serial}".rstrip()),
        (say("roster", "名册"), str(found.sequence)),
    ]


def _print_parties(context: Context, found: Status) -> None:
    say = context.say
    table = Table()
    for name in (
        say("party", "主体"), say("address", "地址"), say("state", "状态"), say("pin", "指纹核对"),
        say("authority", "签发机构"), say("fingerprint", "指纹"),
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for each in found.parties:
        table.add_row(*(Text(printable.line(part)) for part in _row(say, each)))
    context.out.print(table)


def _row(say: Say, each: PartyStatus) -> tuple[str, ...]:
    states = {
        "active": say("active", "有效"), "revoked": say("revoked", "已吊销"),
        "refused": say("refused here", "本方拒绝"),
    }  # fmt: skip
    pins = {
        "own": say("own", "本方"), "pinned": say("compared", "已核对"),
        "registrar": say("by the registrar", "依注册机构"), "pending": say("PENDING", "待核对"),
        "changed": say("CHANGED", "已变更"),
    }  # fmt: skip
    whose = say("own", "自有") if each.authority else say("platform", "平台")
    return (
        each.name, each.address, states[each.state], pins[each.pin], whose, each.fingerprint,
    )  # fmt: skip


def _source(context: Context, options: argparse.Namespace, account: str) -> Passphrase | None:
    if options.passphrase_file is not None:
        return from_file(options.passphrase_file)
    if options.keyring:
        return from_keyring(account)
    said = context.settings.passphrase_file
    return from_file(said) if said is not None else from_surroundings()


def _account(folder: Path) -> str:
    """Return the key store's account of a folder; registrar and gateway of one platform share one."""
    if (folder / "registrar.key").exists():
        return f"{platform_of(folder)}/{GATEWAY}"
    owner = Folder(folder).owner()
    return f"{owner.platform}/{owner.party}"


def _typed_twice(context: Context) -> bytes:
    first = from_terminal(context.say("New passphrase: ", "新口令："))()
    if getpass(context.say("Again: ", "再次输入：")).encode() != first:
        raise key_invalid("the two passphrases differ", "两次输入的口令不一致")
    return first


def trust_folder(context: Context, options: argparse.Namespace) -> Path:
    """Return the gateway's trust folder: of the command line, else of the settings.

    Raises:
        ConfigError: C003 when neither names one.
    """
    found = options.trust or context.settings.trust
    if found is None:
        what = ("name the trust folder with --trust", "请用 --trust 指明信任文件夹")
        raise ConfigError("C003", what=what)
    return Path(found)
