"""Answers that were released lately, to be given again as they were: same question, same bytes.

Only where a source says that what it reads cannot change while it is open (``Capabilities.fixed``). An answer is found
by all that it hangs on: project, statement as run, duties, parameters and policy. It was judged against the history
of its project when it was first released, and what was released later was judged against it: given again, it tells
nothing new. Checks of the fragment, its claim, the log's entry and the receipt are made every time.

Reveals: to who measures time: that the same project was given the same answer before.

Spec: docs/spec/node.md, "Answers given again".
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock

import pyarrow as pa

__all__ = ["Given", "GivenAnswers"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Given:
    """Released cells, and the bytes in which they left.

    Attributes:
        cells: The table.
        payload: Its encoded bytes.
        digest: SHA-256 of these, hexadecimal.
    """

    cells: pa.Table
    payload: bytes
    digest: str


class GivenAnswers:
    """The latest answers of a node, within a bound of memory; for many threads.

    Args:
        memory_mb: Mebibytes of encoded answers; 0 remembers none.
    """

    def __init__(self, memory_mb: int) -> None:
        self._bytes_max = memory_mb * _MIB
        self._kept: OrderedDict[Hashable, Given] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def find(self, question: Hashable) -> Given | None:
        """Return the answer to a question, if it is remembered.

        Reveals:
            Nothing: the caller has judged the question.
        """
        with self._lock:
            found = self._kept.get(question)
            if found is not None:
                self._kept.move_to_end(question)
            return found

    def keep(self, question: Hashable, given: Given) -> None:
        """Remember an answer; the longest unused ones are forgotten first.

        Reveals:
            Nothing.
        """
        with self._lock:
            known = self._kept.pop(question, None)
            self._bytes += len(given.payload) - (len(known.payload) if known else 0)
            self._kept[question] = given
            while self._bytes > self._bytes_max:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.payload)
