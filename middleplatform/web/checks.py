"""Statements that are judged and not run: while somebody types, for ``explain``, for the page of a refusal.

No department sees one, so no other bound holds; yet it takes the processor for up to half a second. So few are judged
at once, and nobody can have all of those that wait.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from middleplatform.errors import LimitError
from middleplatform.model.request import Subject, person_key

__all__ = ["Checks"]

_AT_ONCE = 2
_OWN_MAX = 8


class Checks:
    """All of one process.

    Args:
        at_once: Judged at once, of everybody.
        own_max: Judged or waiting, of one person.
    """

    def __init__(self, at_once: int = _AT_ONCE, own_max: int = _OWN_MAX) -> None:
        self._room, self._own_max = asyncio.Semaphore(at_once), own_max
        self._own: Counter[str] = Counter()

    @asynccontextmanager
    async def one(self, subject: Subject) -> AsyncIterator[None]:
        """Wait for room, and keep it while within.

        Raises:
            LimitError: L001 this person has too many already.
        """
        person = person_key(subject.id)
        if self._own[person] >= self._own_max:
            raise LimitError("L001")
        self._own[person] += 1
        try:
            async with self._room:
                yield
        finally:
            self._own[person] -= 1
            self._own += Counter()  # keeps only those who still wait
