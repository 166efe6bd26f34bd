"""Who asks what, and why."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["QueryRequest", "Role", "Subject", "person_key", "same_person"]


class Role(StrEnum):
    """The roles of architecture.md; a subject may hold several, never conflicting ones."""

    ANALYST = "analyst"
    DEPARTMENT_STEWARD = "department_steward"
    SECURITY_OFFICER = "security_officer"
    DATA_BUREAU = "data_bureau"
    AUDITOR = "auditor"
    SYSTEM_ADMINISTRATOR = "system_administrator"


@dataclass(frozen=True, slots=True)
class Subject:
    """A natural person (or service) and the department that answers for it.

    Attributes:
        id: Login, unique on the platform.
        department: The department's code, e.g. ``"drc"``.
        roles: What the subject may do.
        regions: Region codes whose data the subject may see; ``("*",)`` for all. A code covers what lies
            below it: ``"990100"`` covers ``"990101"``.
    """

    id: str
    department: str
    roles: frozenset[Role]
    regions: tuple[str, ...] = ("*",)


def person_key(login: str) -> str:
    """Return what all logins of one person have in common, by which people are compared and counted.

    Capital and small letters make no other person, nor do full-width forms and other spellings of one character (NFKC).
    """
    if login.isascii():
        return login.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", login).casefold())


def same_person(one: str, other: str) -> bool:
    """Say whether two logins are one person's; an empty login is nobody's."""
    return bool(one) and person_key(one) == person_key(other)


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One question as it came in.

    Attributes:
        query_id: 128 random bits, hexadecimal; names the query in every message and entry.
        sql: The statement as typed, PostgreSQL dialect.
        subject: Who asks.
        purpose: One of the bundle's purposes; mandatory (个人信息保护法 art. 34: within statutory duty).
        project: What history is kept for, beside the data owner.
        received_at: When it came in, UTC.
        recipient: Department that will receive the answer; the subject's own unless said (decree 809 art. 25).
        strict: Refuse instead of rewriting to a permitted form.
        sealed_for: Id of the published key under which the values leave encrypted; empty for a plain answer.
        noise: Privacy loss (rho of zCDP) to spend on a differentially private answer, a fraction as text (``"1/50"``),
            or ``"policy"`` for what policy allows at most; empty for none.
    """

    query_id: str
    sql: str
    subject: Subject
    purpose: str
    project: str
    received_at: datetime
    recipient: str = ""
    strict: bool = False
    sealed_for: str = ""
    noise: str = ""
