"""Questions that a person keeps, and takes away: both are acts, so the log tells them; nobody else sees them."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection

from middleplatform.errors import QueryError
from middleplatform.governance.desk import Desk
from middleplatform.model.request import Subject
from middleplatform.store import saved
from middleplatform.store.acts import Act
from middleplatform.store.saved import Question

__all__ = ["KEPT_MAX", "NAME_MAX", "Draft", "Notebook"]

KEPT_MAX = 200
"""Questions of one person."""
NAME_MAX = 100
_SQL_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be kept.

    Attributes:
        name: 1 to ``NAME_MAX`` characters; another of the person's questions of that name is replaced.
        sql: The statement.
        purpose: Code.
        project: Empty for the department's own.
        noise: Privacy loss to ask with, or empty.
        strict: Refuse instead of rewriting.
    """

    name: str
    sql: str
    purpose: str
    project: str = ""
    noise: str = ""
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Notebook:
    """Everybody's, each for oneself.

    Attributes:
        desk: Brings acts into the log and into force.
    """

    desk: Desk

    def listed(self, who: Subject) -> tuple[Question, ...]:
        """Return what ``who`` keeps, the newest first."""
        with self.desk.store.reading() as connection:
            return saved.saved_of(connection, who.id, who.department)

    def one(self, number: int, who: Subject) -> Question:
        """Return one of them.

        Raises:
            QueryError: Q041 there is none, or it is another's.
        """
        with self.desk.store.reading() as connection:
            return saved.one_of(connection, number, who.id, who.department)

    def keep(self, draft: Draft, who: Subject) -> int:
        """Keep a question and return its number.

        Raises:
            QueryError: Q040 without a name or a statement, or too long; Q042 there are too many.
            AuditError: As ``Desk.perform``.
        """
        _check(draft)
        made: list[int] = []

        def decide(connection: Connection, _: int) -> Act:
            now = self.desk.clock.now()
            own = saved.saved_of(connection, who.id, who.department)
            same = [each.number for each in own if each.name == draft.name.strip()]
            if len(own) - len(same) >= KEPT_MAX:
                what = (f"{KEPT_MAX} questions are kept already", f"已保存 {KEPT_MAX} 个查询")
                raise QueryError("Q042", what=what)
            number = saved.new_number(connection)
            question = Question(
                number, who.id, who.department, draft.name.strip(), draft.sql, draft.purpose,
                draft.project, draft.noise, draft.strict, now,
            )  # fmt: skip
            made[:] = [number]
            gone = tuple(saved.removed(each, now) for each in same)
            return Act(
                "saved", _body(question, who, same), (*gone, saved.inserted(connection, question))
            )

        self.desk.perform(decide)
        return made[0]

    def remove(self, number: int, who: Subject) -> None:
        """Take a question away.

        Raises:
            QueryError: Q041 there is none, or it is another's.
            AuditError: As ``Desk.perform``.
        """

        def decide(connection: Connection, _: int) -> Act:
            saved.one_of(connection, number, who.id, who.department)
            gone = saved.removed(number, self.desk.clock.now())
            return Act("saved", {**_who(who), "removed": [number]}, (gone,))

        self.desk.perform(decide)


def _check(draft: Draft) -> None:
    if not 1 <= len(draft.name.strip()) <= NAME_MAX or not draft.name.isprintable():
        what = (f"a name has 1 to {NAME_MAX} characters", f"名称须为 1 至 {NAME_MAX} 个字符")
        raise QueryError("Q040", what=what)
    if not draft.sql.strip() or len(draft.sql) > _SQL_MAX:
        raise QueryError("Q040", what=("there is no statement", "没有查询语句"))


def _who(who: Subject) -> dict[str, object]:
    roles = sorted(str(role) for role in who.roles)
    return {"subject": who.id, "department": who.department, "roles": roles}


def _body(question: Question, who: Subject, replaced: list[int]) -> dict[str, object]:
    digest = hashlib.sha256(question.sql.encode("utf-8", "surrogatepass")).hexdigest()
    return {
        **_who(who), "kept": question.number, "removed": replaced, "name": question.name,
        "purpose": question.purpose, "project": question.project, "sql_digest": digest,
    }  # fmt: skip
