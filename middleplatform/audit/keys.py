"""Ed25519 keys of the log and of its witnesses, in the text forms of C2SP signed-note.

A public key is ``<name>+<key id, hexadecimal>+<base64 of type and 32 bytes>`` (a *vkey*). A private
key is the same with ``PRIVATE+KEY+`` before it and the 32-byte seed, alone in a file that only its
owner can read.

Spec: docs/spec/audit-log.md, "Keys".
"""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from middleplatform.crypto import key_files
from middleplatform.errors import ConfigError
from middleplatform.ports import Rng

__all__ = [
    "CheckpointSigner", "KeyKind", "VerifierKey", "WitnessSigner", "read_private",
    "strict_base64", "valid_name", "write_private",
]  # fmt: skip

_PRIVATE = "PRIVATE+KEY+"
_KEY_BYTES = 32
_FILE_BYTES_MAX = 4096


class KeyKind(IntEnum):
    """Signature types of C2SP signed-note that the log uses."""

    LOG = 0x01
    WITNESS = 0x04


def strict_base64(text: str) -> bytes:
    """Decode standard base64 and refuse every spelling but the canonical one.

    Raises:
        ValueError: The text is not what encoding its content gives.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data


def valid_name(name: str) -> bool:
    """Say whether ``name`` may name a key: not empty, no space, plus or control character."""
    return bool(name) and not any(mark.isspace() or mark == "+" or mark < " " for mark in name)


def _key_id(name: str, kind: KeyKind, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def _refused(english: str, chinese: str, detail: str = "") -> ConfigError:
    return ConfigError("C006", what=(english, chinese), detail=detail)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name it signs under.

    Attributes:
        name: Origin of the log or name of the witness.
        kind: What its signatures mean.
        public: 32 bytes.
    """

    name: str
    kind: KeyKind
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that name the key in a signature line."""
        return _key_id(self.name, self.kind, self.public)

    def text(self) -> str:
        """Return the vkey, without a newline."""
        body = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{body}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a vkey.

        Raises:
            ConfigError: C006 for anything but the text that ``text()`` prints.
        """
        try:
            name, _, body = text.split("+", 2)
            raw = strict_base64(body)
            key = cls(name, KeyKind(raw[0]), raw[1:])
        except (ValueError, IndexError) as error:
            raise _refused("malformed public key", "公钥格式错误", str(error)) from None
        if len(key.public) != _KEY_BYTES or not valid_name(name) or key.text() != text:
            raise _refused("malformed public key", "公钥格式错误")
        return key

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Say whether ``signature`` (64 bytes) is this key's over ``message``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def read_private(path: Path) -> str:
    """Return the one line of a private key file.

    Raises:
        ConfigError: C006 when it is missing, a link, not ours, readable by others, or not one line.
    """
    raw = key_files.read_private(path)
    if len(raw) > _FILE_BYTES_MAX:
        raise _refused("not one line of text", "不是单行文本")
    try:
        line, rest = raw.decode().split("\n")
    except ValueError:  # UnicodeDecodeError is one; its text would show the key
        raise _refused("not one line of text", "不是单行文本") from None
    if rest:
        raise _refused("not one line of text", "不是单行文本")
    return line


def write_private(path: Path, line: str) -> None:
    """Create a private key file, whole or not at all, readable by its owner only.

    Raises:
        ConfigError: C006 when something is there already; C011 when it cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(scratch, path)  # unlike a rename, never replaces a key that is there
        finally:
            scratch.unlink()
        _sync_directory(path.parent)
    except FileExistsError:
        raise _refused("a key is there already", "密钥已存在") from None
    except OSError as error:
        raise ConfigError("C011", what=("a key file", "密钥文件"), detail=str(error)) from None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Signer:
    """A private key under a name; never shown.

    Args:
        name: Origin of the log, or name of the witness: not empty, no space, no plus sign.
        private: The key.
    """

    kind: KeyKind

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        if not valid_name(name):
            raise _refused("malformed key name", "密钥名称格式错误")
        self._private = private
        self.key = VerifierKey(name, self.kind, private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key.text()!r})"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not serialized")

    @property
    def name(self) -> str:
        """Return the name under which the key signs."""
        return self.key.name

    def _line(self, blob: bytes) -> str:
        return f"— {self.name} {base64.b64encode(self.key.key_id + blob).decode()}\n"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the private key at ``path``.

        Raises:
            ConfigError: C006 when the file is not a key of this kind or others may read it.
        """
        line = read_private(path)
        try:
            name, key_id, body = line.removeprefix(_PRIVATE).split("+", 2)
            raw = strict_base64(body)
            signer = cls(name, Ed25519PrivateKey.from_private_bytes(raw[1:]))
        except ValueError:
            raise _refused("malformed private key", "私钥格式错误") from None
        good = (
            line.startswith(_PRIVATE) and raw[0] == cls.kind and key_id == signer.key.key_id.hex()
        )
        if not good:
            raise _refused("malformed private key", "私钥格式错误")
        return signer

    @classmethod
    def create(cls, path: Path, name: str, rng: Rng) -> Self:
        """Make a key, keep it at ``path`` with mode 0600, and return it.

        Raises:
            ConfigError: C006 when a key is there already or the name is not valid; C011 when it
                cannot be written.
        """
        seed = rng.token_bytes(_KEY_BYTES)
        signer = cls(name, Ed25519PrivateKey.from_private_bytes(seed))
        body = base64.b64encode(bytes([cls.kind]) + seed).decode()
        write_private(path, f"{_PRIVATE}{name}+{signer.key.key_id.hex()}+{body}")
        return signer

    @classmethod
    def load_or_create(cls, path: Path, name: str, rng: Rng) -> Self:
        """Load the key at ``path``, or create it when nothing is there.

        Raises:
            ConfigError: C006 when what is there is not a key of this kind under ``name``; C011.
        """
        if not os.path.lexists(path):
            return cls.create(path, name, rng)
        signer = cls.load(path)
        if signer.name != name:
            raise _refused("the key bears another name", "密钥名称不符")
        return signer


class CheckpointSigner(_Signer):
    """The log's own key; its name is the log's origin."""

    kind = KeyKind.LOG

    def sign(self, body: str) -> str:
        """Return the signature line for a checkpoint body, with its newline."""
        return self._line(self._private.sign(body.encode()))


class WitnessSigner(_Signer):
    """A witness's key; signs only what ``witness.Witness`` has checked."""

    kind = KeyKind.WITNESS

    def cosign(self, body: str, timestamp: int) -> str:
        """Return the cosignature line of C2SP tlog-cosignature (Ed25519), with its newline.

        Args:
            body: The checkpoint's body, ending in a newline.
            timestamp: Seconds since 1970, UTC.
        """
        message = f"cosignature/v1\ntime {timestamp}\n{body}".encode()
        return self._line(timestamp.to_bytes(8, "big") + self._private.sign(message))
