"""Where the passphrase of the key files comes from: a file, the service manager, a key store, a person.

Imported by trust and the commands.
Spec: docs/enrolment.md, "The passphrase".

Reveals:
    Nothing: a passphrase is kept in memory only, and never logged.
"""

import os
import sys
from collections.abc import Callable, Mapping
from getpass import getpass
from importlib import import_module
from pathlib import Path

from middleplatform.crypto.key_files import Passphrase, key_invalid, read_private

__all__ = ["CREDENTIAL", "from_file", "from_keyring", "from_surroundings", "from_terminal", "once"]

CREDENTIAL = "middleplatform-passphrase"
"""Name of the credential in systemd's ``$CREDENTIALS_DIRECTORY``."""
_SERVICE = "middleplatform"


def once(source: Callable[[], bytes]) -> Passphrase:
    """Return a passphrase that asks ``source`` once and remembers."""
    known: list[bytes] = []

    def give() -> bytes:
        if not known:
            known.append(source())
        return known[0]

    return give


def from_file(path: Path) -> Passphrase:
    """Return the first line of a file with mode 0600 or 0400, owned by this user.

    Raises:
        ConfigError: When called: C006 for another mode, or no line.
    """
    return once(lambda: _line(read_private(path), path.name))


def from_terminal(ask: str) -> Passphrase:
    """Return what a person types without echo.

    Args:
        ask: The question.

    Raises:
        ConfigError: When called: C006 when there is no terminal.
    """
    return once(lambda: _typed(ask))


def from_keyring(account: str) -> Passphrase:
    """Return the passphrase that the operating system's key store keeps.

    Args:
        account: ``"<platform>/<party>"``; the service is ``"middleplatform"``.

    Raises:
        ConfigError: When called: C006 when the store has none, or the extra is not installed.
    """
    return once(lambda: _stored(account))


def from_surroundings(environment: Mapping[str, str] | None = None) -> Passphrase | None:
    """Return the passphrase that the surroundings of a service name, or None.

    ``MIDDLEPLATFORM_PASSPHRASE_FILE`` counts before systemd's ``$CREDENTIALS_DIRECTORY``.
    """
    found = os.environ if environment is None else environment
    if said := found.get("MIDDLEPLATFORM_PASSPHRASE_FILE"):
        return from_file(Path(said))
    if said := found.get("CREDENTIALS_DIRECTORY"):
        path = Path(said) / CREDENTIAL
        if path.exists():
            # The service manager guards its folder; its modes and owners are its own.
            return once(lambda: _line(path.read_bytes(), path.name))
    return None


def _line(content: bytes, name: str) -> bytes:
    line = content.split(b"\n", 1)[0].rstrip(b"\r")
    if not line:
        raise key_invalid(f"{name} holds no passphrase", f"{name} 中没有口令")
    return line


def _typed(ask: str) -> bytes:
    if not sys.stdin.isatty():
        raise key_invalid(
            "there is no terminal to type a passphrase at: use --passphrase-file",
            "没有可输入口令的终端：请使用 --passphrase-file",
        )
    return getpass(ask).encode()


def _stored(account: str) -> bytes:
    try:
        keyring = import_module("keyring")  # an extra
    except ImportError:
        raise key_invalid(
            "the operating system's key store needs the extra: pip install middleplatform[keyring]",
            "使用系统密钥库需安装附加组件：pip install middleplatform[keyring]",
        ) from None
    try:
        found = keyring.get_password(_SERVICE, account)
    except keyring.errors.KeyringError:
        found = None
    if not found:
        raise key_invalid(
            f"the key store has no passphrase; run: keyring set {_SERVICE} {account}",
            f"密钥库中没有口令；请运行 keyring set {_SERVICE} {account}",
        )
    return str(found).encode()
