"""The rounds that a node has under way: few, each step in order, none for ever.

A round holds the secrets of its pairs and the department's measured cells or lists. It ends, and lets go of them, with
its last step, with the first step that fails or comes out of order, when it is dropped, and when nobody goes on with
it. Which steps there are, and which may follow on which, is the protocol's own.
Spec: docs/spec/secure-sum.md, "Steps at a department"; docs/spec/private-join.md, "Steps".
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf
from threading import Lock, Timer
from typing import Generic, TypeVar

from middleplatform.errors import LimitError, ProtocolError

__all__ = ["NOISY_SUM", "ROUNDS_MAX", "SEALED_SUM", "SECURE_SUM", "OpenRounds", "Order", "Step"]

ROUNDS_MAX = 64
"""Rounds under way at one node, unless its configuration says otherwise."""

_DROPPED_MAX = 4096
"""Names of dropped rounds that are remembered: a hello may still be under way when its round is dropped."""

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """Which steps a round has at a party, and which may follow on which.

    Attributes:
        first: What opens a round.
        last: What ends it.
        follows: For each step but the last, those that may come next; one that may come again names itself.
    """

    first: IntEnum
    last: IntEnum
    follows: Mapping[IntEnum, frozenset[IntEnum]]


class Step(IntEnum):
    """Steps of a secure sum at a department, in order."""

    HELLO = 0
    AGREE = 1
    CODES = 2
    CELLS = 3
    LADDER = 4
    SEAL = 5
    REVEAL = 6


# Where no department has a cell there is nothing to add, and REVEAL of nothing follows on CODES.
SECURE_SUM = Order(
    Step.HELLO,
    Step.REVEAL,
    {
        Step.HELLO: frozenset({Step.AGREE}),
        Step.AGREE: frozenset({Step.CODES}),
        Step.CODES: frozenset({Step.CELLS, Step.REVEAL}),
        Step.CELLS: frozenset({Step.LADDER, Step.REVEAL}),
        Step.LADDER: frozenset({Step.REVEAL}),
    },
)

# A ladder would tell of units for no privacy loss.
NOISY_SUM = Order(
    Step.HELLO,
    Step.REVEAL,
    {
        Step.HELLO: frozenset({Step.AGREE}),
        Step.AGREE: frozenset({Step.CODES}),
        Step.CODES: frozenset({Step.CELLS, Step.REVEAL}),
        Step.CELLS: frozenset({Step.REVEAL}),
    },
)

# A ladder would need totals that the gateway cannot read.
SEALED_SUM = Order(
    Step.HELLO,
    Step.REVEAL,
    {
        Step.HELLO: frozenset({Step.AGREE}),
        Step.AGREE: frozenset({Step.CODES}),
        Step.CODES: frozenset({Step.CELLS, Step.SEAL}),
        Step.CELLS: frozenset({Step.SEAL}),
        Step.SEAL: frozenset({Step.REVEAL}),
    },
)


@dataclass(eq=False)
class _Entry(Generic[T]):
    content: T
    ends_at: float
    order: Order
    last: IntEnum
    busy: bool = False


@dataclass(eq=False)
class OpenRounds(Generic[T]):
    """Rounds by name; safe between threads.

    Attributes:
        idle_s: Seconds that a round waits for its next step, greater than 0.
        rounds_max: Rounds under way at once, at least 1.
        now: Seconds of a clock that never goes back.
        expired: Told of each round that nobody went on with.
    """

    idle_s: float
    rounds_max: int = ROUNDS_MAX
    now: Callable[[], float] = time.monotonic
    expired: Callable[[T], None] = lambda _: None
    _entries: dict[str, _Entry[T]] = field(default_factory=dict)
    _dropped: dict[str, None] = field(default_factory=dict)
    _opening: int = 0
    _lock: Lock = field(default_factory=Lock)
    _timer: Timer | None = None

    def __len__(self) -> int:
        """Return how many rounds are under way."""
        with self._lock:
            return len(self._entries)

    @contextmanager
    def opening(self) -> Iterator[Callable[..., None]]:
        """Hold a place while a round is being opened.

        Yields:
            What puts the round there: takes its name, its content and the order of its steps (``SECURE_SUM``).

        Raises:
            LimitError: L001 too many rounds under way.

        Reveals:
            To the gateway: that the node is busy.
        """
        with self._lock:
            self._expire()
            if len(self._entries) + self._opening >= self.rounds_max:
                raise LimitError("L001", detail="too many rounds under way")
            self._opening += 1
        try:
            yield self._put
        finally:
            with self._lock:
                self._opening -= 1

    def _put(self, key: str, content: T, order: Order = SECURE_SUM) -> None:
        with self._lock:
            if key in self._entries or key in self._dropped:
                raise ProtocolError(
                    "X002", detail="a round that came twice, or was dropped meanwhile"
                )
            ends_at = self.now() + self.idle_s
            self._entries[key] = _Entry(content, ends_at, order, order.first)
            self._watch()

    def content(self, key: str) -> T | None:
        """Return a round that is under way, or None.

        Reveals:
            Nothing.
        """
        with self._lock:
            entry = self._entries.get(key)
            return entry.content if entry else None

    @contextmanager
    def step(self, key: str, step: IntEnum) -> Iterator[T]:
        """Take a step of a round; whatever is raised meanwhile ends the round.

        Raises:
            ProtocolError: X001 no such round, a step that is not yet due, or a round that ended meanwhile, so that
                the step's result must not leave; X002 a step that was taken before, also by another thread.

        Reveals:
            Nothing.
        """
        entry = self._enter(key, step)
        try:
            yield entry.content
        except BaseException:
            self._remove(key, entry)
            raise
        self._leave(key, entry)

    def _enter(self, key: str, step: IntEnum) -> _Entry[T]:
        with self._lock:
            self._expire()
            entry = self._entries.get(key)
            if entry is None:
                raise ProtocolError("X001", detail="no such round")
            if entry.busy or step not in entry.order.follows[entry.last]:
                self._forget(key)
                code = "X002" if step <= entry.last else "X001"
                raise ProtocolError(code, detail="a step came twice or out of order")
            entry.last, entry.busy, entry.ends_at = step, True, inf
            return entry

    def _leave(self, key: str, entry: _Entry[T]) -> None:
        with self._lock:
            if self._entries.get(key) is not entry:
                raise ProtocolError("X001", detail="the round ended during a step")
            if entry.last is entry.order.last:
                self._forget(key)
            entry.busy, entry.ends_at = False, self.now() + self.idle_s

    def _remove(self, key: str, entry: _Entry[T]) -> None:
        with self._lock:
            if self._entries.get(key) is entry:
                self._forget(key)

    def drop(self, key: str) -> T | None:
        """Forget a round and return it, if there was one; a step that is under way then fails, also the first.

        Reveals:
            Nothing.
        """
        with self._lock:
            entry = self._entries.get(key)
            self._forget(key)
            self._dropped[key] = None
            while len(self._dropped) > _DROPPED_MAX:
                del self._dropped[next(iter(self._dropped))]
            return entry.content if entry else None

    def sweep(self) -> None:
        """Forget the rounds that nobody went on with; runs by itself when the next one is due.

        Reveals:
            Nothing.
        """
        with self._lock:
            self._timer = None
            self._expire()
            self._watch()

    def close(self) -> None:
        """Forget all rounds and end the timer.

        Reveals:
            Nothing.
        """
        with self._lock:
            self._entries.clear()
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            timer.join()

    # --- with the lock held ---------------------------------------------------------------------------------------

    def _forget(self, key: str) -> None:
        self._entries.pop(key, None)

    def _expire(self) -> None:
        moment = self.now()
        for key in [key for key, entry in self._entries.items() if entry.ends_at <= moment]:
            content = self._entries[key].content
            self._forget(key)
            self.expired(content)

    def _watch(self) -> None:
        """Have ``sweep`` run when the next round is due: a gateway that vanished calls nothing any more.

        A timer that is no longer needed is left to run out: a thread for each round would cost more.
        """
        if self._timer is None and self._entries:
            due = min(entry.ends_at for entry in self._entries.values()) - self.now()
            self._timer = Timer(min(max(due, 0), self.idle_s) + 0.01, self.sweep)
            self._timer.daemon = True
            self._timer.start()
