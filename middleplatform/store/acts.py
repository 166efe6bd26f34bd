"""Acts of people on the way into the log: decided, not yet in force.

An act says what it changes in the store and what its entry in the audit log says. It is kept as *pending* before the
entry is appended, and its changes are made in the transaction that notes the entry's index. So a process that dies at
any point leaves either nothing, or a pending act that the next start finishes, and nobody ever reads a change whose
entry is not in the log. One act at a time is pending: what it was decided on stays true until it is settled.

Spec: docs/spec/policy-lifecycle.md, "The order of an act".
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Integer,
    Row,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.types import TypeEngine

from middleplatform.errors import QueryError
from middleplatform.store.database import UtcTime, metadata

__all__ = [
    "Act",
    "Change",
    "PendingAct",
    "act_index",
    "acts",
    "begin",
    "claim",
    "hand_over",
    "newest",
    "next_number",
    "pending",
    "settle",
    "undo",
]

acts = Table(
    "acts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", String(32), nullable=False, unique=True),
    Column("event", Text, nullable=False),
    Column("body", JSON, nullable=False),
    Column("changes", JSON, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("log", Text),
    Column("log_size", BigInteger),
    Column("audit_index", BigInteger),
)
"""Every act: its entry's body, its changes, the log that takes it, and the entry's index once it is in force."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row that an act inserts or changes.

    Attributes:
        table: A table of the store.
        values: Column values: text, whole numbers, booleans, None, moments, lists and mappings of them.
        key: Which rows change, by column; None inserts.
    """

    table: str
    values: Mapping[str, object]
    key: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody has decided.

    Attributes:
        event: Name of the entry's event.
        body: Of the entry; what changed, by whom and why; no secret, no row, no small count.
        changes: In order.
    """

    event: str
    body: Mapping[str, object]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class PendingAct:
    """An act whose changes wait for its entry.

    Attributes:
        number: From 1, in order.
        id: 128 random bits, hexadecimal; stands in the entry.
        event: As in ``Act``.
        body: As in ``Act``.
        at: When it was decided, UTC.
        log: Name of the log that has taken it on; empty while none has.
        log_size: Entries of that log then: its entry has this index or a higher one.
    """

    number: int
    id: str
    event: str
    body: Mapping[str, object]
    at: datetime
    log: str
    log_size: int


def next_number(connection: Connection, column: Column[int]) -> int:
    """Return one more than the greatest number in ``column``; in a writing transaction nobody else gets it."""
    return (connection.execute(select(func.max(column))).scalar() or 0) + 1


def begin(connection: Connection, act: Act, act_id: str, at: datetime) -> int:
    """Keep ``act`` as pending and return its number.

    What a table could not take would be found out after the entry, and every later act would wait for it: so it is
    refused here, on every database alike.

    Raises:
        QueryError: Q042 while another act is pending; Q040 a text that no table takes.
    """
    _check(act.changes)
    if pending(connection) is not None:
        what = ("another act is on its way into the log", "另一项操作正在写入日志")
        raise QueryError("Q042", what=what)
    number = next_number(connection, acts.c.number)
    changes = [
        {
            "table": each.table,
            "values": _plain(each.values),
            "key": None if each.key is None else _plain(each.key),
        }
        for each in act.changes
    ]
    connection.execute(
        insert(acts).values(
            number=number, id=act_id, event=act.event, body=dict(act.body), changes=changes, at=at
        )
    )
    return number


def pending(connection: Connection) -> PendingAct | None:
    """Return the act that waits, if one does."""
    row = connection.execute(select(acts).where(acts.c.audit_index.is_(None))).one_or_none()
    return None if row is None else _pending(row)


def _pending(row: Row[Any]) -> PendingAct:
    size = -1 if row.log_size is None else row.log_size
    return PendingAct(row.number, row.id, row.event, row.body, row.at, row.log or "", size)


def claim(connection: Connection, number: int, log: str, size: int) -> bool:
    """Note that ``log``, of ``size`` entries, takes the act on; False where it waits no more or another log has it."""
    taken = connection.execute(
        update(acts)
        .where(acts.c.number == number, acts.c.audit_index.is_(None), acts.c.log.is_(None))
        .values(log=log, log_size=size)
    )
    return taken.rowcount == 1


def hand_over(connection: Connection, log: str, other: str) -> None:
    """Let ``other`` finish the act that ``log`` had taken on, if one waits: who was behind ``log`` is fenced off."""
    connection.execute(
        update(acts).where(acts.c.log == log, acts.c.audit_index.is_(None)).values(log=other)
    )


def settle(connection: Connection, number: int, index: int) -> bool:
    """Make the act's changes, now that its entry has an index; False where that was done before."""
    taken = connection.execute(
        update(acts)
        .where(acts.c.number == number, acts.c.audit_index.is_(None))
        .values(audit_index=index)
    )
    if taken.rowcount != 1:
        return False
    raw = connection.execute(select(acts.c.changes).where(acts.c.number == number)).scalar_one()
    for each in cast("list[dict[str, Any]]", raw):
        table = metadata.tables[each["table"]]
        values = _typed(table, each["values"])
        if each["key"] is None:
            connection.execute(insert(table).values(**values))
        else:
            where = [table.c[name] == value for name, value in _typed(table, each["key"]).items()]
            connection.execute(update(table).where(*where).values(**values))
    return True


def newest(connection: Connection, apart_from: Collection[str] = ()) -> int:
    """Return the number of the newest act that is in force, of other events than those named; 0 where none is."""
    wanted = select(func.max(acts.c.number)).where(
        acts.c.audit_index.is_not(None), acts.c.event.not_in(apart_from)
    )
    return connection.execute(wanted).scalar() or 0


def undo(connection: Connection, number: int) -> None:
    """Forget a pending act, of which no log has an entry."""
    connection.execute(acts.delete().where(acts.c.number == number, acts.c.audit_index.is_(None)))


def act_index(connection: Connection, number: int, act_id: str = "") -> int | None:
    """Return the index of the act's entry; None while it waits.

    Args:
        connection: To the store.
        number: Of the act; that of one that was undone is given again.
        act_id: Its id, where the number alone may by now be another's.

    Raises:
        QueryError: Q041 where there is no such act: it was undone.
    """
    row = connection.execute(
        select(acts.c.audit_index, acts.c.id).where(acts.c.number == number)
    ).one_or_none()
    if row is None or act_id not in ("", row.id):
        raise QueryError("Q041", what=("such act", "该操作"))
    return cast("int | None", row.audit_index)


def _check(changes: tuple[Change, ...]) -> None:
    for each in changes:
        table = metadata.tables[each.table]
        if not all(_fits(table.c[name].type, value) for name, value in each.values.items()):
            what = (
                "a text is too long or has a character that is none",
                "文字过长或含有无效字符",
            )
            raise QueryError("Q040", what=what)


def _fits(kind: TypeEngine[Any], value: object) -> bool:
    """Say whether every database takes a text: PostgreSQL knows no U+0000, and keeps to a column's length."""
    if not isinstance(value, str) or not isinstance(kind, String):
        return True
    sound = "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)
    return sound and (kind.length is None or len(value) <= kind.length)


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _typed(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value)
        if isinstance(table.c[name].type, UtcTime) and value is not None
        else value
        for name, value in values.items()
    }
