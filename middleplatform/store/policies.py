"""Policy versions, proposals and approvals. Every published version is kept for ever, file by file.

A bundle's files are kept once, by the digest of their names and bytes; what was published, proposed or restored
refers to them. Rows are made by acts (``store.acts``); this module declares them, reads them, and keeps contents.

Spec: docs/spec/policy-lifecycle.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
)

from middleplatform.errors import QueryError
from middleplatform.policy.written import content_digest
from middleplatform.store.acts import acts
from middleplatform.store.database import UtcTime, metadata

__all__ = [
    "Approval",
    "Capacity",
    "Kind",
    "Proposal",
    "State",
    "Version",
    "approvals",
    "approvals_of",
    "content_digest",
    "files_of",
    "in_force",
    "keep",
    "policy_versions",
    "proposal",
    "proposals",
    "proposals_all",
    "version",
    "versions_all",
]


class Kind(StrEnum):
    """How a version came to be."""

    PUBLISH = "publish"
    ROLLBACK = "rollback"


class State(StrEnum):
    """Where a proposal stands; docs/spec/policy-lifecycle.md draws the ways between them."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    PUBLISHED = "published"


class Capacity(StrEnum):
    """As whom somebody approves."""

    SECOND_OFFICER = "second_officer"
    DATA_OWNER = "data_owner"


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{each}'" for each in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


policy_contents = Table(
    "policy_contents",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kept_at", UtcTime, nullable=False),
)

policy_files = Table(
    "policy_files",
    metadata,
    Column("content", ForeignKey("policy_contents.digest"), primary_key=True),
    Column("path", String(255), primary_key=True),
    Column("text", Text, nullable=False),
)

proposals = Table(
    "proposals",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, _one_of("kind", Kind), nullable=False),
    Column("state", Text, _one_of("state", State), nullable=False),
    Column("author", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("content", ForeignKey("policy_contents.digest"), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("bundle", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("base", Integer, nullable=False),
    Column("base_digest", String(64), nullable=False),
    Column("restores", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("closed_at", UtcTime),
    Column("comment", Text, nullable=False),
    Column("act", ForeignKey("acts.number"), nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("proposal", ForeignKey("proposals.number"), nullable=False),
    Column("person", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("capacity", Text, _one_of("capacity", Capacity), nullable=False),
    Column("comment", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("act", ForeignKey("acts.number"), nullable=False),
    UniqueConstraint("proposal", "person"),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, _one_of("kind", Kind), nullable=False),
    Column("proposal", ForeignKey("proposals.number"), nullable=False, unique=True),
    Column("content", ForeignKey("policy_contents.digest"), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("bundle", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("predecessor", Integer, nullable=False, unique=True),
    Column("restores", Integer, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("act", ForeignKey("acts.number"), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of policy that somebody wants.

    Attributes:
        number: From 1.
        kind: Publish new files, or restore an earlier version's.
        state: Where it stands.
        author: Login.
        department: The author's.
        reason: The author's words.
        content: Digest of the files; see ``files_of``.
        digest: Digest of the bundle's effective rules at the time.
        bundle: The bundle's name.
        label: The officers' own version label, from the bundle.
        base: Number of the version in force when it was made; 0 when none had been published.
        base_digest: Digest of the bundle in force then.
        restores: Number of the version that a rollback restores; 0 for a publication.
        at: When, UTC.
        closed_by: Who rejected, withdrew or published it; empty while it is open.
        closed_at: When, or None.
        comment: What that person said.
    """

    number: int
    kind: Kind
    state: State
    author: str
    department: str
    reason: str
    content: str
    digest: str
    bundle: str
    label: str
    base: int
    base_digest: str
    restores: int
    at: datetime
    closed_by: str
    closed_at: datetime | None
    comment: str


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's yes.

    Attributes:
        person: Login.
        department: The person's.
        capacity: As a second officer, or for the department whose data is loosened.
        comment: The person's words.
        at: When, UTC.
    """

    person: str
    department: str
    capacity: Capacity
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """A policy that was, or is, in force.

    Attributes:
        number: From 1, without gaps.
        kind: Published or restored.
        proposal: What it was.
        content: Digest of its files.
        digest: Digest of the effective rules when it was published.
        bundle: Name of the bundle.
        label: The officers' version label.
        predecessor: The version before it; 0 for the first.
        restores: Version whose files it has again; 0 when they are new.
        published_by: Login.
        at: When, UTC.
        audit_index: Index of its entry in the audit log.
    """

    number: int
    kind: Kind
    proposal: int
    content: str
    digest: str
    bundle: str
    label: str
    predecessor: int
    restores: int
    published_by: str
    at: datetime
    audit_index: int


def keep(connection: Connection, files: Mapping[str, str], at: datetime) -> str:
    """Keep ``files`` (text by name) for ever and return their digest; keeping twice is keeping once."""
    name = content_digest(files)
    known = select(policy_contents.c.digest).where(policy_contents.c.digest == name)
    if connection.execute(known).one_or_none() is None:
        connection.execute(insert(policy_contents).values(digest=name, kept_at=at))
        rows = [{"content": name, "path": path, "text": text} for path, text in files.items()]
        connection.execute(insert(policy_files), rows)
    return name


def files_of(connection: Connection, content: str) -> Mapping[str, str]:
    """Return the files of ``content``, text by name, byte for byte as they were kept.

    Raises:
        QueryError: Q041.
    """
    rows = connection.execute(
        select(policy_files.c.path, policy_files.c.text)
        .where(policy_files.c.content == content)
        .order_by(policy_files.c.path)
    ).all()
    if not rows:
        raise QueryError("Q041", what=("such policy files", "该策略文件"))
    return {row.path: row.text for row in rows}


def proposal(connection: Connection, number: int) -> Proposal:
    """Return a proposal.

    Raises:
        QueryError: Q041.
    """
    row = connection.execute(select(proposals).where(proposals.c.number == number)).one_or_none()
    if row is None:
        raise QueryError("Q041", what=(f"proposal {number}", f"提案 {number}"))
    return _proposal(row)


def proposals_all(connection: Connection) -> tuple[Proposal, ...]:
    """Return every proposal, oldest first."""
    rows = connection.execute(select(proposals).order_by(proposals.c.number))
    return tuple(_proposal(row) for row in rows)


def approvals_of(connection: Connection, number: int) -> tuple[Approval, ...]:
    """Return who approved proposal ``number``, in order."""
    rows = connection.execute(
        select(approvals).where(approvals.c.proposal == number).order_by(approvals.c.number)
    )
    return tuple(
        Approval(row.person, row.department, Capacity(row.capacity), row.comment, row.at)
        for row in rows
    )


def version(connection: Connection, number: int) -> Version:
    """Return a published version.

    Raises:
        QueryError: Q041.
    """
    row = connection.execute(_VERSIONS.where(policy_versions.c.number == number)).one_or_none()
    if row is None:
        raise QueryError("Q041", what=(f"policy version {number}", f"策略版本 {number}"))
    return _version(row)


def versions_all(connection: Connection) -> tuple[Version, ...]:
    """Return every version, oldest first."""
    rows = connection.execute(_VERSIONS.order_by(policy_versions.c.number))
    return tuple(_version(row) for row in rows)


def in_force(connection: Connection) -> Version | None:
    """Return the version in force: the newest one; None while nothing was published."""
    newest = _VERSIONS.order_by(policy_versions.c.number.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return None if row is None else _version(row)


_VERSIONS = select(policy_versions, acts.c.audit_index).join(
    acts, acts.c.number == policy_versions.c.act
)


def _proposal(row: Row[Any]) -> Proposal:
    return Proposal(
        row.number, Kind(row.kind), State(row.state), row.author, row.department, row.reason,
        row.content, row.digest, row.bundle, row.label, row.base, row.base_digest, row.restores,
        row.at, row.closed_by, row.closed_at, row.comment,
    )  # fmt: skip


def _version(row: Row[Any]) -> Version:
    return Version(
        row.number, Kind(row.kind), row.proposal, row.content, row.digest, row.bundle, row.label,
        row.predecessor, row.restores, row.published_by, row.at, row.audit_index,
    )  # fmt: skip
