"""Near-duplicate questions, and sizes that private joins released, where several gateways share a store.

What the sizes are compared with is for the gateway, which asks for them through ``ledger.history.Questions``.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from middleplatform.store.database import Store, metadata

__all__ = ["SharedQuestions", "populations", "questions"]

questions = Table(
    "questions",
    metadata,
    Column("project", Text, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("fingerprint", String(128), primary_key=True),
    Column("digest", String(64), primary_key=True),
)
"""One row a statement and day: its SHA-256 and that of its form."""

populations = Table(
    "populations",
    metadata,
    Column("project", Text, primary_key=True),
    Column("dataset", Text, primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("shape", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("units_low", BigInteger, nullable=False),
    Column("units_high", BigInteger, nullable=False),
    Column("released_at", Text, nullable=False),
)
"""Sizes of what was released; ``key`` is the SHA-256 of shape and label, which are too long for an index."""


class SharedQuestions:
    """The rows of a gateway's history (``ledger.history.QuestionRows``).

    Args:
        store: Stays open when this is closed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: Connection | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other gateway read or add sizes while within; for one thread, which does not wait meanwhile."""
        with self._store.writing() as connection:
            self._held = connection
            try:
                yield
            finally:
                self._held = None

    def any(self, project: str, dataset: str) -> bool:
        """Say whether sizes of a dataset were kept for a project."""
        asked = select(populations.c.key).where(*_of(project, dataset)).limit(1)
        with self._reading() as connection:
            return connection.execute(asked).scalar() is not None

    def near(
        self, project: str, dataset: str, units: tuple[int, int], complement: tuple[int, int]
    ) -> list[tuple[str, str, int, int]]:
        """Return shape, label and bounds of the sizes that may lie in one of two ranges (both ends included)."""
        low, high = populations.c.units_low, populations.c.units_high
        within = [and_(high >= one, low <= other) for one, other in (units, complement)]
        asked = select(populations.c.shape, populations.c.label, low, high)
        with self._reading() as connection:
            rows = connection.execute(asked.where(*_of(project, dataset), or_(*within))).all()
        return [(row[0], row[1], int(row[2]), int(row[3])) for row in rows]

    def add(
        self, project: str, dataset: str, rows: Iterable[tuple[str, str, int, int]], moment: str
    ) -> None:
        """Keep sizes; those of the same shape and label are replaced."""
        made = [
            {
                "project": project,
                "dataset": dataset,
                "key": _digest(f"{len(shape)} {shape}{label}"),
                "shape": shape,
                "label": label,
                "units_low": low,
                "units_high": high,
                "released_at": moment,
            }
            for shape, label, low, high in rows
        ]
        if not made:
            return
        keys = [each["key"] for each in made]
        with self._writing() as connection:
            connection.execute(
                delete(populations).where(*_of(project, dataset), populations.c.key.in_(keys))
            )
            connection.execute(insert(populations).values(made))

    def ask(self, project: str, day: str, fingerprint: str, statement: str) -> int:
        """Take note of a question and return how many different ones of its form the project's day has seen."""
        form = _digest(fingerprint)
        values = {"project": project, "day": day, "fingerprint": form, "digest": _digest(statement)}
        same = [questions.c[name] == values[name] for name in ("project", "day", "fingerprint")]
        with self._store.apart() as connection:
            kind = postgresql if connection.dialect.name == "postgresql" else sqlite
            made = kind.insert(questions).values(**values).on_conflict_do_nothing()
            connection.execute(made)
            asked = select(func.count()).select_from(questions).where(*same)
            return int(connection.execute(asked).scalar_one())

    def close(self) -> None:
        """Do nothing: the store is its opener's."""

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._held is not None:
            yield self._held
        else:
            with self._store.reading() as connection:
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._held is not None:
            yield self._held
        else:
            with self._store.writing() as connection:
                yield connection


def _of(project: str, dataset: str) -> tuple[ColumnElement[bool], ...]:
    return populations.c.project == project, populations.c.dataset == dataset


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
