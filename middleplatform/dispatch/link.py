"""How the gateway reaches a node: one interface, whether the node runs in this process or on another machine."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import ParamSpec, Protocol, TypeVar

from middleplatform.errors import SourceError
from middleplatform.model.result import PartialResult

__all__ = ["InProcessLink", "LocalNode", "NodeLink", "RoundNode"]

P = ParamSpec("P")
T = TypeVar("T")


class NodeLink(Protocol):
    """One department's node, as the gateway sees it. Every message is bytes that could cross a wire."""

    department: str

    async def answer(self, fragment: bytes, signature: bytes) -> PartialResult:
        """Answer a fragment all of whose rows lie there."""
        ...

    async def hello(self, fragment: bytes, signature: bytes) -> bytes:
        """Open a round of secure sum."""
        ...

    async def agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        """Take all hellos; the leader answers with sealed label keys."""
        ...

    async def codes(self, key: str, sealed: bytes | None) -> bytes:
        """Run the fragment and return the keyed codes of its groups."""
        ...

    async def cells(self, key: str, codes: Sequence[bytes]) -> bytes:
        """Return the masked words of all cells."""
        ...

    async def ladder(self, key: str, totals: Sequence[Sequence[int]]) -> bytes:
        """Return the masked share ladder."""
        ...

    async def reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the labels of surviving codes and a receipt."""
        ...

    async def drop(self, key: str) -> None:
        """Forget a round."""
        ...

    async def sealing_key(self, document: bytes) -> None:
        """Hand over a recipient's public key, before a fragment that names it."""
        ...

    async def seal(self, key: str, codes: Sequence[bytes], released: bytes) -> bytes:
        """Return the encrypted words of these cells; ``released`` has a 1 for each value that may leave."""
        ...


class LocalNode(Protocol):
    """What a node in this process offers for local answers."""

    department: str

    def answer(self, raw: bytes, signature: bytes, stop: Event | None = None) -> PartialResult:
        """Answer a fragment; ``stop`` is set when nobody waits any more."""
        ...

    def take_key(self, document: bytes) -> None:
        """Remember a recipient's public key."""
        ...


class RoundNode(Protocol):
    """What a node in this process offers for secure sums; as ``NodeLink``, synchronous."""

    def hello(self, raw: bytes, signature: bytes) -> bytes: ...  # noqa: D102 - as NodeLink
    def agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]: ...  # noqa: D102
    def codes(self, key: str, sealed: bytes | None) -> bytes: ...  # noqa: D102
    def cells(self, key: str, codes: Sequence[bytes]) -> bytes: ...  # noqa: D102
    def ladder(self, key: str, totals: Sequence[Sequence[int]]) -> bytes: ...  # noqa: D102
    def reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]: ...  # noqa: D102
    def seal(self, key: str, codes: Sequence[bytes], released: bytes) -> bytes: ...  # noqa: D102
    def drop(self, key: str) -> None: ...  # noqa: D102


class InProcessLink:
    """A node in this process, run in a thread so that the gateway's loop stays free.

    Args:
        node: For local answers.
        rounds: For secure sums.
        deadline_s: Seconds for one call.
    """

    def __init__(self, node: LocalNode, rounds: RoundNode, deadline_s: float) -> None:
        self.department = node.department
        self._node = node
        self._rounds = rounds
        self._deadline_s = deadline_s

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.wait_for(
                asyncio.to_thread(function, *args, **kwargs), self._deadline_s
            )
        except TimeoutError:
            raise SourceError("S002", department=self.department) from None

    async def answer(self, fragment: bytes, signature: bytes) -> PartialResult:
        """Answer a fragment all of whose rows lie there."""
        stop = Event()
        try:
            return await self._call(self._node.answer, fragment, signature, stop)
        finally:
            stop.set()  # whoever gives up ends the work too

    async def hello(self, fragment: bytes, signature: bytes) -> bytes:
        """Open a round of secure sum."""
        return await self._call(self._rounds.hello, fragment, signature)

    async def agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        """Take all hellos; the leader answers with sealed label keys."""
        return await self._call(self._rounds.agree, key, hellos)

    async def codes(self, key: str, sealed: bytes | None) -> bytes:
        """Run the fragment and return the keyed codes of its groups."""
        return await self._call(self._rounds.codes, key, sealed)

    async def cells(self, key: str, codes: Sequence[bytes]) -> bytes:
        """Return the masked words of all cells."""
        return await self._call(self._rounds.cells, key, codes)

    async def ladder(self, key: str, totals: Sequence[Sequence[int]]) -> bytes:
        """Return the masked share ladder."""
        return await self._call(self._rounds.ladder, key, totals)

    async def reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the labels of surviving codes and a receipt."""
        return await self._call(self._rounds.reveal, key, codes)

    async def drop(self, key: str) -> None:
        """Forget a round."""
        await self._call(self._rounds.drop, key)

    async def sealing_key(self, document: bytes) -> None:
        """Hand over a recipient's public key, before a fragment that names it."""
        await self._call(self._node.take_key, document)

    async def seal(self, key: str, codes: Sequence[bytes], released: bytes) -> bytes:
        """Return the encrypted words of these cells; ``released`` has a 1 for each value that may leave."""
        return await self._call(self._rounds.seal, key, codes, released)
