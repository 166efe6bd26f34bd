"""The rounds of one protocol at a node, each of whose ends stands in the node's log: failed, expired or dropped.

Reveals: to whoever reads the department's log: that an accepted fragment was not answered, and by which code.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from threading import Event
from typing import Generic, Protocol, TypeVar

from middleplatform.errors import LimitError, MiddleplatformError, SourceError
from middleplatform.node.open_rounds import OpenRounds
from middleplatform.node.service import Node, Task

__all__ = ["EnteredRounds", "OneRound"]


class OneRound(Protocol):
    """What a round of any protocol has.

    Attributes:
        task: What was accepted.
        stop: Of the call under way.
        dropped: Whether it ended elsewhere.
    """

    task: Task
    stop: Event
    dropped: bool


R = TypeVar("R", bound=OneRound)


class EnteredRounds(Generic[R]):
    """Rounds under way; safe between threads.

    Args:
        node: Whose rounds, and whose log.
        idle_s: Seconds that a round waits for its next step.
        rounds_max: Rounds under way at once; more are refused with L001.
        now: Seconds of a clock that never goes back.
    """

    def __init__(
        self, node: Node, idle_s: float, rounds_max: int, now: Callable[[], float]
    ) -> None:
        self._node = node
        self._rounds: OpenRounds[R] = OpenRounds(idle_s, rounds_max, now, self._expired)

    def __len__(self) -> int:
        """Return how many rounds are under way."""
        return len(self._rounds)

    @contextmanager
    def _step(self, key: str, step: IntEnum) -> Iterator[R]:
        """Take a step; one that fails or is out of order is entered in the node's log: it ends what was accepted."""
        known = self._rounds.content(key)
        try:
            with self._rounds.step(key, step) as current:
                yield current
        except Exception as error:
            if known is not None and not known.dropped:
                self._dropped(known)
                self._node.failed(known.task, error)
            raise

    def _expired(self, left: R) -> None:
        """Enter that a gateway never ended a round; what the log cannot take now must not end another's call."""
        self._dropped(left)
        with suppress(MiddleplatformError):
            self._node.failed(left.task, SourceError("S002", department=self._node.department))

    def drop(self, key: str) -> None:
        """Forget a round that has ended elsewhere; a step under way is told to stop and then gives nothing.

        Reveals:
            Nothing.
        """
        current = self._rounds.drop(key)
        if current is not None:
            current.dropped = True
            current.stop.set()
            self._dropped(current)
            self._node.failed(current.task, LimitError("L003"))

    def _dropped(self, current: R) -> None:
        """Stop what else works for a round that has ended too early."""

    def sweep(self) -> None:
        """Forget the rounds that nobody went on with.

        Reveals:
            Nothing.
        """
        self._rounds.sweep()

    def close(self) -> None:
        """Forget all rounds; for the end of the node.

        Reveals:
            Nothing.
        """
        self._rounds.close()
