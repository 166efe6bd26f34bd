"""Published keys of recipients: who published which, when, with which proof, and whether it still serves.

A key is public; the private half never comes here. Kept for good: what was ever published is compared with every new
key, since two keys with a factor in common give each other away.
"""

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Protocol

from middleplatform.crypto.key_proof import KeyProof, check_key
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.errors import ConfigError, ProtocolError, QueryError
from middleplatform.model.request import same_person
from middleplatform.model.sealed import PublishedKey

__all__ = ["KeyRegistry", "KeyRows"]

_ID = re.compile(r"[0-9a-f]{64}")
_COLUMNS = (
    "id", "document", "proof", "modulus", "login", "department", "published_at", "replaces",
)  # fmt: skip


class KeyRows(Protocol):
    """Where published keys are kept: a gateway's own file, or the store that several gateways share."""

    def add(self, values: Mapping[str, object], revoked: tuple[str, str, str, str] | None) -> None:
        """Keep a key and withdraw the one that it replaces (arguments of ``revoke``), both or neither."""
        ...

    def revoke(self, key_id: str, login: str, at: str, reason: str) -> None:
        """Withdraw a key; withdrawing twice keeps the first moment."""
        ...

    def find(self, key_id: str) -> Sequence[object] | None:
        """Return a key's columns, or None."""
        ...

    def all(self) -> Sequence[Sequence[object]]:
        """Return the columns of every key, oldest first."""
        ...

    def close(self) -> None:
        """Close what belongs to this gateway alone."""


class _FileRows:
    """In a SQLite file of its own; safe between threads."""

    def __init__(self, path: Path | None) -> None:
        self._sql = _statements()
        self._lock = Lock()
        with _refusals():
            if path is not None:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._database = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(self._sql["create"])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def add(self, values: Mapping[str, object], revoked: tuple[str, str, str, str] | None) -> None:
        """Keep a key and withdraw the one that it replaces, both or neither."""
        with self._lock, _refusals():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.execute(self._sql["add"], tuple(values.values()))
                if revoked is not None:
                    self._revoke(*revoked)
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise

    def revoke(self, key_id: str, login: str, at: str, reason: str) -> None:
        """Withdraw a key."""
        with self._lock, _refusals():
            self._revoke(key_id, login, at, reason)

    def _revoke(self, key_id: str, login: str, at: str, reason: str) -> None:
        self._database.execute(self._sql["revoke"], (at, login, reason, key_id))

    def find(self, key_id: str) -> Sequence[object] | None:
        """Return a key's columns, or None."""
        with self._lock, _refusals():
            row: Sequence[object] | None = self._database.execute(
                self._sql["find"], (key_id,)
            ).fetchone()
        return row

    def all(self) -> Sequence[Sequence[object]]:
        """Return the columns of every key, oldest first."""
        with self._lock, _refusals():
            return self._database.execute(self._sql["all"]).fetchall()


class KeyRegistry:
    """What was published, and what may be.

    Args:
        kept: A file, made where missing; ``None`` keeps it in memory; rows of another keeper.

    Raises:
        ConfigError: C011 when the file cannot be opened or made.
    """

    def __init__(self, kept: "Path | KeyRows | None") -> None:
        self._rows: KeyRows = _FileRows(kept) if kept is None or isinstance(kept, Path) else kept

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def check(self, document: bytes, proof: bytes) -> SealingKey:
        """Return the key of a publication that may be taken; nothing is kept.

        Args:
            document: Canonical bytes of the key.
            proof: Bytes of its holder's proof.

        Raises:
            QueryError: Q040 for another form, a key of another length, a weak one, one with a factor of any key that
                was ever published, one that was published before, and one without a good proof.
        """
        known = [SealingKey.from_bytes(each.document) for each in self.all()]
        try:
            key = SealingKey.from_bytes(document)
            check_key(key, KeyProof.from_bytes(proof), known)
        except ProtocolError as error:
            what = error.parts.get("what")
            raise _refused(what if isinstance(what, tuple) else _FORM) from None
        if any(each.n == key.n for each in known):
            raise _refused(("its modulus was published before", "其模数此前已登记"))
        return key

    def publish(
        self,
        document: bytes,
        proof: bytes,
        login: str,
        department: str,
        at: str,
        replaces: str = "",
    ) -> PublishedKey:
        """Check a key and keep it; one that it replaces serves no longer.

        Args:
            document: As ``check``.
            proof: As ``check``.
            login: Who publishes it; the key must name this holder.
            department: Of the login.
            at: ISO 8601, UTC.
            replaces: Id of a key of the same login that has not been withdrawn, or empty.

        Raises:
            QueryError: Q040 as ``check``, for a key that names another holder, and for ``replaces`` that does not serve
                or is not this login's.
            ConfigError: C011 the file refuses the write.
        """
        key = self.check(document, proof)
        if key.holder != login:
            raise _refused(("it names another holder", "其持有人与账号不符"))
        if replaces:
            old = self.find(replaces)
            if not same_person(old.login, login) or old.revoked_at:
                raise _refused(("it replaces a key that does not serve", "所替换的密钥无效"))
        modulus = key.n.to_bytes(key.bits // 8, "big")
        row = (key.key_id, document, proof, modulus, login, department, at, replaces)
        told = (replaces, login, at, f"replaced by {key.key_id}") if replaces else None
        self._rows.add(dict(zip(_COLUMNS, row, strict=True)), told)
        return self.find(key.key_id)

    def revoke(self, key_id: str, login: str, at: str, reason: str = "") -> PublishedKey:
        """Withdraw a key from sealing, for good; withdrawing twice keeps the first moment. Opening is not touched.

        Raises:
            QueryError: Q041 there is no such key.
            ConfigError: C011 the file refuses the write.
        """
        self._rows.revoke(key_id, login, at, reason)
        return self.find(key_id)

    def find(self, key_id: str) -> PublishedKey:
        """Return a key, also a withdrawn one.

        Raises:
            QueryError: Q041 there is no such key.
        """
        row = self._rows.find(key_id)
        if row is None or not _ID.fullmatch(key_id):
            raise QueryError("Q041", what=("such key", "该密钥"))
        return _published(row)

    def all(self) -> tuple[PublishedKey, ...]:
        """Return every key, oldest first."""
        return tuple(_published(row) for row in self._rows.all())


_FORM = (
    "it has not the form of a key of 2048 or 3072 bits with its proof",
    "不是 2048 或 3072 位密钥及其证明",
)


def _refused(what: tuple[str, str]) -> QueryError:
    return QueryError("Q040", what=(f"the key is refused: {what[0]}", f"密钥不予登记：{what[1]}"))


def _published(row: Sequence[object]) -> PublishedKey:
    key_id, document, proof, *texts = row
    assert isinstance(document, bytes)
    assert isinstance(proof, bytes)
    bits = SealingKey.from_bytes(document).bits
    return PublishedKey(str(key_id), document, proof, bits, *(str(each or "") for each in texts))


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the refusals of disk and database into one message."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        what = ("the registry of keys", "密钥登记库")
        raise ConfigError("C011", what=what, detail=str(error)) from None


def _statements() -> dict[str, str]:
    text = files("middleplatform.ledger").joinpath("keys.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
