"""Service tokens: shown once, stored as a hash, with expiry and revocation.

A token is ``mpt_<id>_<secret>``: a public id of 64 bits, which finds the row and may be written
down anywhere, and a secret of 256 random bits. Stored is the id and the SHA-256 of the whole token;
with 256 random bits a salt or a slow hash would add nothing. Every reason to refuse looks alike
outside.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from middleplatform.access.roles import check_person, check_separation
from middleplatform.errors import ConfigError, PolicyError, QueryError
from middleplatform.model.request import Role, Subject
from middleplatform.ports import Clock, Rng

__all__ = ["VALID_DAYS_MAX", "PlannedToken", "TokenRecord", "TokenRows", "TokenStore"]

VALID_DAYS_MAX = 366
_FORM = re.compile(r"mpt_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DEPARTMENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_REGION = re.compile(r"\*|[0-9]{6}")
_NO_DIGEST = bytes(32)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS token (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    login TEXT NOT NULL,
    department TEXT NOT NULL,
    roles TEXT NOT NULL,
    regions TEXT NOT NULL,
    note TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT
"""
_COLUMNS = "id, login, department, roles, regions, note, created_at, expires_at, revoked_at"


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is known of a token; never the token.

    Attributes:
        id: Public id, 16 hexadecimal digits.
        subject: Whom it lets in.
        note: What it is for.
        created_at: UTC.
        expires_at: First moment at which it no longer holds, UTC.
        revoked_at: When it was withdrawn, UTC, or None.
    """

    id: str
    subject: Subject
    note: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    def plain(self) -> dict[str, object]:
        """Return it as JSON, the same by every door."""
        return {
            "id": self.id,
            "login": self.subject.id,
            "department": self.subject.department,
            "roles": sorted(self.subject.roles),
            "regions": list(self.subject.regions),
            "note": self.note,
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "revoked_at": None if self.revoked_at is None else self.revoked_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class PlannedToken:
    """A token that is about to hold.

    Attributes:
        token: For its bearer; cannot be had again.
        record: What will be known of it.
    """

    token: str = field(repr=False)
    record: TokenRecord


Check = Callable[[Sequence[Sequence[str]]], None]
"""Looks at every record that is kept, and refuses by raising."""


class TokenRows(Protocol):
    """Where tokens are kept: a gateway's own file, or the store that several gateways share."""

    def add(self, values: Mapping[str, object], check: "Check") -> None:
        """Keep a token, by column, unless ``check`` of all records refuses; nobody writes in between."""
        ...

    def find(self, token_id: str) -> tuple[bytes, Sequence[str]] | None:
        """Return digest and record of a token, or None."""
        ...

    def all(self) -> Sequence[Sequence[str]]:
        """Return every record, oldest first."""
        ...

    def revoke(self, token_id: str, at: str) -> None:
        """Withdraw a token; withdrawing twice keeps the first moment."""
        ...

    def close(self) -> None:
        """Close what belongs to this gateway alone."""


class _FileRows:
    """One SQLite file, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise _disk(error) from None
        with _refusals():
            self._store = sqlite3.connect(
                path, timeout=5, isolation_level=None, check_same_thread=False
            )
            self._store.execute("PRAGMA journal_mode=WAL")
            self._store.execute("PRAGMA synchronous=FULL")
            self._store.execute(_SCHEMA)

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        with self._lock:
            self._store.close()

    def add(self, values: Mapping[str, object], check: Check) -> None:
        """Keep a token, unless ``check`` refuses."""
        with self._lock, _refusals():
            self._store.execute("BEGIN IMMEDIATE")  # other processes write before or after
            try:
                check(self._all())
                self._store.execute(
                    "INSERT INTO token (id, digest, login, department, roles, regions, note,"
                    " created_at, expires_at) VALUES (:id, :digest, :login, :department, :roles,"
                    " :regions, :note, :created_at, :expires_at)",
                    dict(values),
                )
            except BaseException:
                self._store.execute("ROLLBACK")
                raise
            self._store.execute("COMMIT")

    def find(self, token_id: str) -> tuple[bytes, Sequence[str]] | None:
        """Return digest and record of a token, or None."""
        with self._lock, _refusals():
            row = self._store.execute(
                f"SELECT digest, {_COLUMNS} FROM token WHERE id = ?",  # noqa: S608 - constants only
                (token_id,),
            ).fetchone()
        return (row[0], row[1:]) if row else None

    def all(self) -> Sequence[Sequence[str]]:
        """Return every record, oldest first."""
        with self._lock, _refusals():
            return self._all()

    def _all(self) -> Sequence[Sequence[str]]:
        return self._store.execute(
            f"SELECT {_COLUMNS} FROM token ORDER BY created_at, id"  # noqa: S608 - constants only
        ).fetchall()

    def revoke(self, token_id: str, at: str) -> None:
        """Withdraw a token."""
        with self._lock, _refusals():
            self._store.execute(
                "UPDATE token SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (at, token_id)
            )


class TokenStore:
    """The tokens; many threads may use it.

    Attributes:
        changing: Held by who makes or withdraws tokens in several steps, so that those of this process come one after
            the other.
    """

    def __init__(self, kept: Path | TokenRows, clock: Clock, rng: Rng) -> None:
        """Open the tokens in a SQLite file, begun where missing, or with another keeper.

        Raises:
            ConfigError: C011 when the file cannot be opened or written.
        """
        self._clock, self._rng = clock, rng
        self.changing = threading.Lock()
        self._rows: TokenRows = _FileRows(kept) if isinstance(kept, Path) else kept

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        self._rows.close()

    def add(self, subject: Subject, valid: timedelta, note: str = "") -> tuple[str, TokenRecord]:
        """Make a token for ``subject``.

        Args:
            subject: Whom it lets in.
            valid: How long, more than nothing and at most ``VALID_DAYS_MAX`` days.
            note: What it is for.

        Returns:
            The token, which cannot be had again, and its record.

        Raises:
            QueryError: Q040 for conflicting roles, those of the login's other tokens that hold
                included, a malformed subject or a bad duration.
            ConfigError: C011.
        """
        made = self.planned(subject, valid, note)
        self.keep(made)
        return made.token, made.record

    def planned(
        self,
        subject: Subject,
        valid: timedelta,
        note: str = "",
        beside: Iterable[tuple[str, frozenset[Role]]] = (),
    ) -> "PlannedToken":
        """Return a token for ``subject`` that lets nobody in yet: ``keep`` makes it hold.

        Args:
            subject: As in ``add``.
            valid: As in ``add``.
            note: As in ``add``.
            beside: Login and roles of what else lets somebody in now: sessions.

        Raises:
            QueryError: As in ``add``.
            ConfigError: C011.
        """
        _check(subject, valid)
        check_person(subject.id, subject.roles, [*self.holders(), *beside])
        token_id = self._rng.token_bytes(8).hex()
        secret = base64.urlsafe_b64encode(self._rng.token_bytes(32)).rstrip(b"=").decode()
        token = f"mpt_{token_id}_{secret}"
        now = self._clock.now().astimezone(UTC)
        return PlannedToken(token, TokenRecord(token_id, subject, note, now, now + valid, None))

    def keep(self, made: "PlannedToken") -> None:
        """Have a planned token hold from now on; judged once more on what others have kept since it was planned.

        Raises:
            QueryError: Q040 roles that conflict with those of another token of the login.
            ConfigError: C011.
        """
        record, subject = made.record, made.record.subject

        def check(rows: Sequence[Sequence[str]]) -> None:
            check_person(subject.id, subject.roles, self._holding(rows))

        self._rows.add({
            "id": record.id, "digest": _digest(made.token), "login": subject.id,
            "department": subject.department, "roles": json.dumps(sorted(subject.roles)),
            "regions": json.dumps(subject.regions), "note": record.note,
            "created_at": record.created_at.isoformat(), "expires_at": record.expires_at.isoformat(),
        }, check)  # fmt: skip

    def authenticate(self, token: str) -> Subject:
        """Return whom ``token`` lets in.

        Raises:
            PolicyError: P005 for any other text: malformed, unknown, wrong, expired and revoked
                tokens cannot be told apart.
            ConfigError: C011 when the store cannot be read.
        """
        form = _FORM.fullmatch(token)
        token_id = form[1] if form else ""
        row = self._rows.find(token_id)
        right = hmac.compare_digest(
            _digest(token), row[0] if row else _NO_DIGEST
        )  # an unknown id takes the same path as a wrong secret
        record = _record(row[1]) if row else None
        if record is None or not right or record.revoked_at is not None:
            raise PolicyError("P005")
        if not record.created_at <= self._clock.now() < record.expires_at:
            raise PolicyError("P005")
        return record.subject

    def record(self, token_id: str) -> TokenRecord | None:
        """Return what is known of a token by its public id; None where there is none.

        Raises:
            ConfigError: C011 when the store cannot be read.
        """
        row = self._rows.find(token_id)
        return _record(row[1]) if row else None

    def records(self) -> tuple[TokenRecord, ...]:
        """Return all tokens' records, oldest first."""
        return tuple(_record(row) for row in self._rows.all())

    def holders(self) -> list[tuple[str, frozenset[Role]]]:
        """Return login and roles of every token that lets somebody in now."""
        return self._holding(self._rows.all())

    def _holding(self, rows: Iterable[Sequence[str]]) -> list[tuple[str, frozenset[Role]]]:
        now = self._clock.now()
        return [
            (each.subject.id, each.subject.roles)
            for each in map(_record, rows)
            if each.revoked_at is None and each.created_at <= now < each.expires_at
        ]

    def revoke(self, token_id: str) -> TokenRecord:
        """Withdraw a token at once and for good; withdrawing twice keeps the first moment.

        Raises:
            QueryError: Q041 when there is no such token.
            ConfigError: C011.
        """
        now = self._clock.now().astimezone(UTC).isoformat()
        self._rows.revoke(token_id, now)
        row = self._rows.find(token_id)
        if row is None:
            raise QueryError("Q041", what=("such token", "该令牌"))
        return _record(row[1])


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _check(subject: Subject, valid: timedelta) -> None:
    check_separation(subject.roles)
    wrong = [
        name
        for name, good in (
            ("login", _LOGIN.fullmatch(subject.id)),
            ("department", _DEPARTMENT.fullmatch(subject.department)),
            ("regions", subject.regions and all(map(_REGION.fullmatch, subject.regions))),
            ("days", timedelta() < valid <= timedelta(days=VALID_DAYS_MAX)),
        )
        if not good
    ]
    if wrong:
        names = ", ".join(wrong)
        raise QueryError("Q040", what=(f"{names} is malformed or out of range", f"{names} 无效"))


def _record(row: Sequence[str]) -> TokenRecord:
    token_id, login, department, roles, regions, note, created, expires, revoked = row
    subject = Subject(
        login, department, frozenset(map(Role, json.loads(roles))), tuple(json.loads(regions))
    )
    return TokenRecord(
        token_id, subject, note, datetime.fromisoformat(created), datetime.fromisoformat(expires),
        datetime.fromisoformat(revoked) if revoked else None,
    )  # fmt: skip


def _disk(error: Exception) -> ConfigError:
    return ConfigError("C011", what=("the token store", "令牌库"), detail=str(error))


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn SQLite's refusals into one message."""
    try:
        yield
    except sqlite3.Error as error:
        raise _disk(error) from None
