"""Questions that people keep under a name of their own: the statement and how it was asked, never an answer.

A row is made and taken away by acts (``store.acts``): it counts once its entry is in the audit log.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    func,
    select,
)

from middleplatform.errors import QueryError
from middleplatform.store.acts import Change, acts, next_number
from middleplatform.store.database import UtcTime, metadata

__all__ = ["Question", "inserted", "new_number", "one_of", "removed", "saved_of", "saved_questions"]

saved_questions = Table(
    "saved_questions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("login", String(64), nullable=False, index=True),
    Column("department", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sql", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("noise", Text, nullable=False),
    Column("strict", Boolean, nullable=False),
    Column("saved_at", UtcTime, nullable=False),
    Column("removed_at", UtcTime),
    Column("act", ForeignKey("acts.number"), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One that somebody kept.

    Attributes:
        number: From 1.
        login: Whose.
        department: Of that person then; who moves no longer sees it.
        name: Given by the person.
        sql: The statement.
        purpose: Code.
        project: Empty for the department's own.
        noise: Privacy loss to ask with, or empty.
        strict: Refuse instead of rewriting.
        saved_at: When, UTC.
    """

    number: int
    login: str
    department: str
    name: str
    sql: str
    purpose: str
    project: str
    noise: str
    strict: bool
    saved_at: datetime


_FIELDS = tuple(Question.__annotations__)


def new_number(connection: Connection) -> int:
    """Return the next question's number; in a writing transaction nobody else gets it."""
    return next_number(connection, saved_questions.c.number)


def inserted(connection: Connection, question: Question) -> Change:
    """Return the change by which the next act keeps ``question``."""
    act = next_number(connection, acts.c.number)
    values = {name: getattr(question, name) for name in _FIELDS}
    return Change("saved_questions", {**values, "removed_at": None, "act": act})


def removed(number: int, at: datetime) -> Change:
    """Return the change by which the next act takes a question away."""
    return Change("saved_questions", {"removed_at": at}, {"number": number})


def saved_of(connection: Connection, login: str, department: str) -> tuple[Question, ...]:
    """Return a person's questions, the newest first."""
    table = saved_questions.c
    rows = connection.execute(
        select(saved_questions)
        .where(
            func.lower(table.login) == login.lower(),
            table.department == department,
            table.removed_at.is_(None),
        )
        .order_by(table.number.desc())
    )
    return tuple(Question(*(getattr(row, name) for name in _FIELDS)) for row in rows)


def one_of(connection: Connection, number: int, login: str, department: str) -> Question:
    """Return one of a person's questions.

    Raises:
        QueryError: Q041 there is none, or it is another's.
    """
    for each in saved_of(connection, login, department):
        if each.number == number:
            return each
    raise QueryError("Q041", what=("such saved question", "该已保存查询"))
