"""Where a recipient's own key lies, and its passphrase: never the gateway's or a node's."""

import argparse
from getpass import getpass
from pathlib import Path

from middleplatform.cli.context import Context
from middleplatform.crypto.key_files import Passphrase, key_invalid
from middleplatform.enrolment.passphrases import from_file, from_keyring, from_terminal, once
from middleplatform.errors import QueryError

__all__ = [
    "book_file",
    "found_key",
    "new_passphrase",
    "parties_file",
    "passphrase",
]

_HEAD_BYTES = 4096


def new_passphrase(context: Context, options: argparse.Namespace, holder: str) -> Passphrase:
    """Return the passphrase of a key that is about to be made."""
    return _source(options, holder) or once(lambda: _typed_twice(context))


def passphrase(context: Context, options: argparse.Namespace, holder: str) -> Passphrase:
    """Return the passphrase of a key that is there."""
    asked = context.say("Passphrase of the key: ", "密钥口令：")
    return _source(options, holder) or from_terminal(asked)


def _source(options: argparse.Namespace, holder: str) -> Passphrase | None:
    if options.passphrase_file is not None:
        return from_file(options.passphrase_file)
    return from_keyring(f"sealing/{holder}") if options.keyring else None


def _typed_twice(context: Context) -> bytes:
    first = from_terminal(context.say("New passphrase: ", "新口令："))()
    if getpass(context.say("Again: ", "再次输入：")).encode() != first:
        raise key_invalid("the two passphrases differ", "两次输入的口令不一致")
    return first


def parties_file(key: Path) -> Path:
    """Return where the parties' public keys lie, beside a key."""
    return key.with_name(key.name + ".parties.json")


def book_file(key: Path) -> Path:
    """Return where it is written what a key has opened."""
    return key.with_name(key.name + ".opened")


def found_key(key_id: str, folders: tuple[Path, ...]) -> Path:
    """Return the key file of an id among the ``*.key`` files of some folders.

    Raises:
        QueryError: Q040 there is none.
    """
    wanted = f"\nkey {key_id}\n".encode()
    for folder in folders:
        for path in sorted(folder.glob("*.key")):
            try:
                with path.open("rb") as file:
                    head = file.read(_HEAD_BYTES)
            except OSError:
                continue
            if wanted in head:
                return path
    what = (
        f"no key file here has the id {key_id}: use --key",
        f"此处没有编号为 {key_id} 的密钥文件：请使用 --key",
    )
    raise QueryError("Q040", what=what)
