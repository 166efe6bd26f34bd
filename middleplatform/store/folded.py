"""What the events of a table come to, thing by thing, kept between looks: only what newer acts have added is read.

Acts come into force one after the other, by number, so whatever a look has not seen has a higher number. A store that
was set back, where the last act that was seen is not what it was, is read anew.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, select

from middleplatform.store.acts import acts

__all__ = ["Folded"]


class _Event(Protocol):
    @property
    def number(self) -> int: ...


E = TypeVar("E", bound=_Event)
T = TypeVar("T")


class _Known(Generic[E, T]):
    """What was seen of one store."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last: tuple[int, str | None] = (0, None)
        self.events: dict[int, tuple[E, ...]] = {}
        self.things: dict[int, T] = {}


class Folded(Generic[E, T]):
    """Things by number, of every store that is asked about; many threads may use it.

    What is given may be newer than the connection's own transaction, never older: it is for lists, and what an act
    is decided on is read in its own transaction.

    Args:
        after: Reads what acts beyond a number have added, in order, each with its act's number.
        fold: Makes a thing of its number and all of its events; the same for the same events, and never changed.
    """

    def __init__(
        self,
        after: Callable[[Connection, int], Iterable[tuple[int, E]]],
        fold: Callable[[int, tuple[E, ...]], T],
    ) -> None:
        self._after, self._fold = after, fold
        self._stores: WeakKeyDictionary[Engine, _Known[E, T]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def all(self, connection: Connection) -> tuple[T, ...]:
        """Return all things, by number."""
        with self._lock:
            known = self._stores.get(connection.engine)
            if known is None:
                known = self._stores[connection.engine] = _Known()
        with known.lock:
            if _id_of(connection, known.last[0]) != known.last[1]:
                known.last, known.events, known.things = (0, None), {}, {}
            self._read(connection, known)
            return tuple(known.things[number] for number in sorted(known.things))

    def _read(self, connection: Connection, known: _Known[E, T]) -> None:
        events, last = dict(known.events), known.last[0]
        changed = set()
        for act, event in self._after(connection, last):
            events[event.number] = (*events.get(event.number, ()), event)
            changed.add(event.number)
            last = max(last, act)
        made = {number: self._fold(number, events[number]) for number in changed}
        # Nothing of it counts before all of it could be made.
        known.events, known.things = events, known.things | made
        known.last = last, _id_of(connection, last)


def _id_of(connection: Connection, act: int) -> str | None:
    found: str | None = connection.execute(select(acts.c.id).where(acts.c.number == act)).scalar()
    return found
