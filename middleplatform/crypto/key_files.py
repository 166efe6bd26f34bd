"""Private keys in files: for the owner alone, encrypted under a passphrase unless that is renounced.

A file is PKCS #8 PEM (RFC 5958). When it is encrypted (PBES2, AES-256-CBC), its password is not
the passphrase but scrypt of it (RFC 7914), whose salt and cost stand on the line above the PEM
block; the block's own PBKDF2 has too few rounds against somebody who guesses passphrases.
Imported by identity and certificates of this package and by enrolment.
Spec: docs/spec/enrolment.md, "Key files".

Reveals:
    Nothing of a key to whoever reads a file without the passphrase, but its kind; an unencrypted
    file gives the key to whoever can read the file, which its mode limits to its owner.
"""

import os
import re
import stat
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from middleplatform.errors import ConfigError
from middleplatform.ports import Rng

__all__ = [
    "PASSPHRASE_BYTES_MIN",
    "Passphrase",
    "decode_key",
    "encode_key",
    "is_encrypted",
    "key_invalid",
    "key_password",
    "read_private",
    "replace_private",
    "write_new",
]

Passphrase = Callable[[], bytes]
"""Gives the passphrase when a file needs it; may ask a person, and remembers the answer."""

PASSPHRASE_BYTES_MIN = 12
_FILE_BYTES_MAX = 1 << 22
"""A roster is a file too: twice the longest document of enrolment."""
_FORBIDDEN_MODE = 0o177
"""No bit but the owner's read and write may be set on a key file."""
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1
"""32 MiB and about a tenth of a second for each guess (RFC 7914, section 2)."""
_SALT_BYTES = 16
_STRETCH = re.compile(rb"\Ascrypt n=32768 r=8 p=1 salt=([0-9a-f]{32})\n")
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


def key_invalid(english: str, chinese: str) -> ConfigError:
    """Return C006 with a sentence in both languages."""
    return ConfigError("C006", what=(english, chinese))


def encode_key(key: PrivateKeyTypes, passphrase: Passphrase | None, rng: Rng) -> bytes:
    """Return the content of a key file.

    Args:
        key: The private key.
        passphrase: At least ``PASSPHRASE_BYTES_MIN`` bytes; None writes the key in the clear.
        rng: Draws the salt.

    Raises:
        ConfigError: C006 when the passphrase is too short.
    """
    if passphrase is None:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    words = passphrase()
    if len(words) < PASSPHRASE_BYTES_MIN:
        raise key_invalid(
            f"the passphrase has fewer than {PASSPHRASE_BYTES_MIN} characters",
            f"口令不足 {PASSPHRASE_BYTES_MIN} 个字符",
        )
    salt = rng.token_bytes(_SALT_BYTES)
    how: KeySerializationEncryption = BestAvailableEncryption(_stretched(words, salt))
    head = f"scrypt n={_SCRYPT_N} r={_SCRYPT_R} p={_SCRYPT_P} salt={salt.hex()}\n".encode()
    return head + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def is_encrypted(content: bytes) -> bool:
    """Return whether the key in a file needs a passphrase."""
    return _ENCRYPTED in content


def key_password(content: bytes, passphrase: Passphrase | None) -> bytes | None:
    """Return the password of the PEM block, or None for one in the clear.

    Args:
        content: What ``encode_key`` made, or another program's PKCS #8 PEM.
        passphrase: Called only when the key is encrypted.

    Raises:
        ConfigError: C006 when the key is encrypted and there is no passphrase.
    """
    if not is_encrypted(content):
        return None
    if passphrase is None:
        raise key_invalid(
            "the key is encrypted and no passphrase is given: use --passphrase-file",
            "密钥已加密而未提供口令：请使用 --passphrase-file",
        )
    found = _STRETCH.match(content)
    return _stretched(passphrase(), bytes.fromhex(found[1].decode())) if found else passphrase()


def decode_key(content: bytes, passphrase: Passphrase | None) -> PrivateKeyTypes:
    """Return the private key of a file.

    Raises:
        ConfigError: C006 when the passphrase is missing or wrong, or there is no key.
    """
    password = key_password(content, passphrase)
    start = content.find(b"-----BEGIN")
    try:
        return load_pem_private_key(content[max(start, 0) :], password)
    except (ValueError, TypeError):
        if password is not None:
            raise key_invalid(
                "the passphrase is wrong, or the file is damaged", "口令错误或文件已损坏"
            ) from None
        raise key_invalid("it holds no readable private key", "其中没有可读的私钥") from None


def read_private(path: Path) -> bytes:
    """Read a file that nobody but its owner may read; the open file is judged, not its name.

    Raises:
        ConfigError: C006 when it is missing, a link, no regular file, or open to others, or
            longer than 4 MiB.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise key_invalid(f"{path.name} cannot be opened", f"无法打开 {path.name}") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise key_invalid(f"{path.name} is no regular file", f"{path.name} 不是普通文件")
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & _FORBIDDEN_MODE:
            raise key_invalid(
                f"its owner alone may read {path.name}: set mode 0600",
                f"{path.name} 只能由所有者读取：请将权限设为 0600",
            )
        return _whole(handle, path)
    finally:
        os.close(handle)


def _whole(handle: int, path: Path) -> bytes:
    """Read to the end: a file that is cut off would be taken for a damaged one."""
    with os.fdopen(handle, "rb", closefd=False) as file:
        content = file.read(_FILE_BYTES_MAX + 1)
    if len(content) > _FILE_BYTES_MAX:
        raise key_invalid(f"{path.name} is too long", f"{path.name} 过长")
    return content


def write_new(path: Path, content: bytes, rng: Rng) -> None:
    """Write a file that did not exist, whole or not at all, mode 0600; an existing one stays.

    Raises:
        ConfigError: C011 when the file cannot be written.
    """
    _write(path, content, rng.token_bytes(8).hex(), _publish)


def replace_private(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 in place of what stands there, whole or not at all.

    Raises:
        ConfigError: C011 when the file cannot be written.
    """
    _write(path, content, f"{os.getpid()}.{threading.get_ident()}", Path.replace)


def _write(
    path: Path, content: bytes, suffix: str, publish: Callable[[Path, Path], object]
) -> None:
    draft = path.with_name(f".{path.name}.{suffix}")
    try:
        draft.unlink(missing_ok=True)  # what an interrupted writer of the same number left
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            publish(draft, path)
            _make_durable(path.parent)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        what = (f"{path.name} cannot be written", f"无法写入 {path.name}")
        raise ConfigError("C011", what=what, detail=str(error)) from None


def _publish(draft: Path, path: Path) -> None:
    """Give the finished draft its name, unless somebody was faster."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return


def _make_durable(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@lru_cache(maxsize=16)  # a server that reads its keys again must not stand still for it
def _stretched(passphrase: bytes, salt: bytes) -> bytes:
    made = Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P).derive(passphrase)
    return made.hex().encode()
