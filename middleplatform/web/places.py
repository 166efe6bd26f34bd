"""Places that people hold at once: open requests, questions in the table, questions at work.

Nobody gets another place who holds as many as are left free. So one person takes at most half of all, ten at most ten
elevenths, and whoever comes next finds a place however greedy the others are. Beside that each has a limit.

Spec: docs/spec/login.md, "Places".
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from middleplatform.errors import LimitError
from middleplatform.model.request import Subject, person_key

__all__ = ["Places", "Room", "fair"]

_SHARE = 8


def fair(own: int, free: int, own_max: int) -> bool:
    """Say whether a person who holds ``own`` places gets one of ``free`` more."""
    return own < min(free, own_max)


class Places:
    """A number of places that are held for a while.

    Args:
        most: Of everybody.
        own_max: Of one person; 0 for an eighth of ``most``.
    """

    def __init__(self, most: int, own_max: int = 0) -> None:
        self._most, self._own_max = most, own_max or max(1, most // _SHARE)
        self._held: Counter[str] = Counter()

    def check(self, who: Subject | str) -> None:
        """Refuse one place too many.

        Args:
            who: A person; an address of somebody who is not known.

        Raises:
            LimitError: L001.
        """
        free = self._most - self._held.total()
        if not fair(self._held[_key(who)], free, self._own_max):
            raise LimitError("L001")

    @contextmanager
    def one(self, who: Subject | str) -> Iterator[None]:
        """Hold a place while within; ``check`` says whether there is one."""
        person = _key(who)
        self._held[person] += 1
        try:
            yield
        finally:
            self._held[person] -= 1
            self._held += Counter()  # keeps only those who hold one


def _key(who: Subject | str) -> str:
    return f"@{who}" if isinstance(who, str) else person_key(who.id)


@dataclass(eq=False)
class _Waiting:
    """Somebody who waits for a place to work in."""

    person: str
    given: asyncio.Event = field(default_factory=asyncio.Event)


class Room:
    """Places to work in: given to who waits and has the fewest, of those to who came first.

    Args:
        most: Of everybody.
        own_max: Of one person, also where the others stand empty: whoever comes next need not wait for long work.
    """

    def __init__(self, most: int, own_max: int) -> None:
        self._free, self._own_max = most, own_max
        self._held: Counter[str] = Counter()
        self._queue: list[_Waiting] = []

    @asynccontextmanager
    async def one(self, subject: Subject) -> AsyncIterator[None]:
        """Wait for a place, and hold it while within."""
        mine = _Waiting(person_key(subject.id))
        self._queue.append(mine)
        self._give()
        try:
            await mine.given.wait()
            yield
        finally:
            if mine.given.is_set():
                self._free += 1
                self._held[mine.person] -= 1
                self._held += Counter()
                self._give()
            else:
                self._queue.remove(mine)

    def _give(self) -> None:
        while self._free:
            able = [each for each in self._queue if self._held[each.person] < self._own_max]
            if not able:
                return
            next_one = min(able, key=lambda each: self._held[each.person])
            self._queue.remove(next_one)
            self._free -= 1
            self._held[next_one.person] += 1
            next_one.given.set()
