"""Open a log to read: the platform's, or any node's, also while its process runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from middleplatform.access.system import SystemClock
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.errors import AuditError, ConfigError, QueryError

if TYPE_CHECKING:
    from middleplatform.audit.keys import VerifierKey
    from middleplatform.audit.reader import ReadOnlyLog

__all__ = [
    "add_log", "is_shared", "open_log", "open_log_at", "open_shared_log", "read_log_keys", "read_text", "unreadable",
    "verify_export",
]  # fmt: skip


def add_log(parser: argparse.ArgumentParser, say: Say) -> None:
    """Add ``--log`` and ``--key``."""
    # SUPPRESS: what was said before a command must not be undone by the command's default.
    parser.add_argument(
        "--log",
        type=Path,
        metavar="PATH",
        default=argparse.SUPPRESS,
        help=say("a log's database; the platform's unless said", "日志数据库，默认为平台日志"),
    )
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        dest="log_key",
        default=argparse.SUPPRESS,
        help=say("the log's public keys; those beside it unless said", "日志公钥，默认取其同目录"),
    )


def open_log(context: Context, options: argparse.Namespace) -> "ReadOnlyLog":
    """Open the log that the options name, for reading; all of it has been recomputed then.

    Raises:
        QueryError: Q041 there is none, Q040 its public keys cannot be read.
        AuditError: A001, A002.
    """
    path, keys = getattr(options, "log", None), getattr(options, "log_key", None)
    if path is None and is_shared(context):
        return open_shared_log(context, keys)
    return open_log_at(context, path or context.settings.state / "audit.db", keys)


def is_shared(context: Context) -> bool:
    """Say whether the platform's log is not a file but lies in a store that several gateways share."""
    return context.settings.store.startswith("postgresql")


def open_shared_log(context: Context, keys: Path | None) -> "ReadOnlyLog":
    """Open the log in the store that several gateways share; closing it closes the store.

    Raises:
        QueryError: Q041 there is none, Q040 its public keys cannot be read.
        AuditError: A001, A002.
    """
    from middleplatform.governance.shared import read_log  # noqa: PLC0415 - slow to import

    settings = context.settings
    found = read_log_keys(keys) if keys else _keys_beside(settings.state / "audit.db")
    return read_log(settings, found, SystemClock())


def open_log_at(context: Context, path: Path, keys: Path | None) -> "ReadOnlyLog":
    """Open the log at ``path``; as ``open_log``."""
    from middleplatform.audit.reader import ReadOnlyLog  # noqa: PLC0415 - only needed here

    if not path.is_file():
        raise QueryError("Q041", what=(f"audit log at {path}", f"审计日志 {path}"))
    found = read_log_keys(keys) if keys else _keys_beside(path)
    retention = context.settings.retention_years
    return ReadOnlyLog.open(path, found, SystemClock(), retention_years=retention)


def read_log_keys(path: Path) -> "tuple[VerifierKey, ...]":
    """Read a file of public keys of one log, one a line, the present one first.

    Raises:
        QueryError: Q040 when there is no such file or it holds anything else.
    """
    from middleplatform.audit.keys import KeyKind, VerifierKey  # noqa: PLC0415 - only needed here

    try:
        keys = tuple(VerifierKey.parse(line) for line in read_text(path).splitlines())
    except ConfigError:
        keys = ()
    if not keys or len({key.name for key in keys}) != 1 or keys[0].kind is not KeyKind.LOG:
        raise _no_key(path)
    return keys


def _keys_beside(path: Path) -> "tuple[VerifierKey, ...]":
    """Return the public keys beside the log, or the public half of its own key."""
    from middleplatform.audit.keys import CheckpointSigner  # noqa: PLC0415 - only needed here

    public = path.with_suffix(".pub")
    if public.exists():
        return read_log_keys(public)
    return (CheckpointSigner.load(path.with_suffix(".key")).key,)


def verify_export(path: Path, keys: Path, against: str | None) -> int:
    """Verify an export as ``audit/verify.py`` does and return its size; nothing of ours is opened.

    Raises:
        AuditError: A002 when it does not verify.
        QueryError: Q040 when a file cannot be read or holds no key.
    """
    from middleplatform.audit import verify  # noqa: PLC0415 - only needed here

    try:
        found = verify.read_keys(read_text(keys))
    except ValueError:
        found = []
    if not found:
        raise _no_key(keys)
    try:
        return verify.verify(path, found, against)
    except verify.Broken as fault:
        raise AuditError("A002", what=fault.args[1]) from None
    except OSError:
        raise unreadable(path) from None


def read_text(path: Path) -> str:
    """Return a text file as it is.

    Raises:
        QueryError: Q040.
    """
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeError):
        raise unreadable(path) from None


def _no_key(path: Path) -> QueryError:
    return QueryError("Q040", what=(f"{path} holds no public key", f"{path} 不含公钥"))


def unreadable(path: Path) -> QueryError:
    """Make the error for a file that cannot be read."""
    return QueryError("Q040", what=(f"{path} cannot be read", f"无法读取 {path}"))
