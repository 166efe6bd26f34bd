"""How the gateway reaches a node: one interface, whether the node runs in this process or on another machine."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import ParamSpec, Protocol, TypeVar

from middleplatform.dispatch.handed import Handed, Signed
from middleplatform.errors import SourceError
from middleplatform.model.budget import Balance
from middleplatform.model.result import PartialResult

__all__ = ["InProcessLink", "JoinNode", "LocalNode", "NodeLink", "RoundNode"]

P = ParamSpec("P")
T = TypeVar("T")


class NodeLink(Protocol):
    """One department's node, as the gateway sees it. Every message is bytes that could cross a wire."""

    department: str
    handed: Handed

    async def tell(self) -> None:
        """Hand over documents of the platform that are newer than what the node was handed."""
        ...

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

    async def budget(self, project: str, analyst: str) -> list[Balance]:
        """Return what a project and an analyst may still spend of each dataset there."""
        ...

    # A private join; one call at a time a round and party. Messages are those of ``wire.join_lists``.

    async def join_open(self, fragment: bytes, signature: bytes) -> bytes:
        """Open a private join; return the party's hello."""
        ...

    async def join_agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        """Take all hellos; the leader answers with sealed label keys for the other departments."""
        ...

    async def join_list(self, key: str, sealed: bytes | None) -> bytes:
        """Run the statement of the department's side and return the head of its list."""
        ...

    async def join_rows(self, key: str, part: int) -> bytes:
        """Return a part of the list; each once, in order."""
        ...

    async def join_points(self, key: str) -> bytes:
        """Return the blinded points of the own list, sealed for the next department."""
        ...

    async def join_blind(self, key: str, owner: str, raw: bytes) -> bytes:
        """Blind the points of a list; return them sealed for the next department, or the last one's tokens."""
        ...

    async def join_sums(self, key: str, side: int, raw: bytes) -> bytes:
        """Return the masks of each group of a side, added up."""
        ...

    async def join_seal(self, key: str, raw: bytes) -> bytes:
        """Return the sums of masks of what is released, under the recipient's key."""
        ...

    async def join_reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the labels of surviving codes and a receipt; ends the join."""
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

    def take_policy(self, raw: bytes, signature: bytes) -> bool:
        """Take a published version of the policy."""
        ...

    def take_grants(self, raw: bytes, signature: bytes) -> bool:
        """Take the grants of a moment."""
        ...

    def budgets(self, project: str, analyst: str) -> list[Balance]:
        """Return what a project and an analyst may still spend."""
        ...


class RoundNode(Protocol):
    """What a node in this process offers for secure sums; as ``NodeLink``, synchronous."""

    def hello(self, raw: bytes, signature: bytes) -> bytes: ...  # noqa: D102 - as NodeLink
    def agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]: ...  # noqa: D102 - as NodeLink
    def codes(self, key: str, sealed: bytes | None) -> bytes: ...  # noqa: D102 - as NodeLink
    def cells(self, key: str, codes: Sequence[bytes]) -> bytes: ...  # noqa: D102 - as NodeLink
    def ladder(self, key: str, totals: Sequence[Sequence[int]]) -> bytes: ...  # noqa: D102 - as NodeLink
    def reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]: ...  # noqa: D102 - as NodeLink
    def seal(self, key: str, codes: Sequence[bytes], released: bytes) -> bytes: ...  # noqa: D102 - as NodeLink
    def drop(self, key: str) -> None: ...  # noqa: D102 - as NodeLink


class JoinNode(Protocol):
    """What a node in this process offers for private joins; as ``NodeLink``, synchronous."""

    def join_open(self, raw: bytes, signature: bytes) -> bytes: ...  # noqa: D102 - as NodeLink
    def join_agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]: ...  # noqa: D102 - as NodeLink
    def join_list(self, key: str, sealed: bytes | None, stop: Event | None = None) -> bytes: ...  # noqa: D102 - as NodeLink
    def join_rows(self, key: str, part: int) -> bytes: ...  # noqa: D102 - as NodeLink
    def join_points(self, key: str) -> bytes: ...  # noqa: D102 - as NodeLink
    def join_blind(self, key: str, owner: str, raw: bytes) -> bytes: ...  # noqa: D102 - as NodeLink
    def join_sums(self, key: str, side: int, raw: bytes) -> bytes: ...  # noqa: D102 - as NodeLink
    def join_seal(self, key: str, raw: bytes) -> bytes: ...  # noqa: D102 - as NodeLink
    def join_reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]: ...  # noqa: D102 - as NodeLink
    def drop(self, key: str) -> None: ...  # noqa: D102 - as NodeLink


class InProcessLink:
    """A node in this process, run in a thread so that the gateway's loop stays free.

    Args:
        node: For local answers.
        rounds: For secure sums.
        deadline_s: Seconds for one call.
        joins: For private joins; a node without takes part in none.
    """

    def __init__(
        self,
        node: LocalNode,
        rounds: RoundNode,
        deadline_s: float,
        joins: JoinNode | None = None,
    ) -> None:
        self.department = node.department
        self._node = node
        self._rounds = rounds
        self._deadline_s = deadline_s
        self._joined = joins
        self.handed = Handed(self.department, self._held, self._hand_policy, self._hand_grants)

    @property
    def _joins(self) -> JoinNode:
        if self._joined is None:
            raise SourceError("S001", department=self.department)
        return self._joined

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.wait_for(
                asyncio.to_thread(function, *args, **kwargs), self._deadline_s
            )
        except TimeoutError:
            raise SourceError("S002", department=self.department) from None

    # --- policy ---------------------------------------------------------------------------------------------------

    async def tell(self) -> None:
        """Hand over documents of the platform that are newer than what the node was handed."""
        await self.handed.up_to_date()

    async def _held(self) -> int:
        """A node in this process keeps no documents from an earlier run."""
        return 0

    async def _hand_policy(self, document: Signed) -> None:
        await self._call(self._node.take_policy, document.raw, document.signature)

    async def _hand_grants(self, document: Signed) -> None:
        await self._call(self._node.take_grants, document.raw, document.signature)

    # --- questions ------------------------------------------------------------------------------------------------

    async def answer(self, fragment: bytes, signature: bytes) -> PartialResult:
        """Answer a fragment all of whose rows lie there."""
        await self.tell()
        stop = Event()
        try:
            return await self._call(self._node.answer, fragment, signature, stop)
        finally:
            stop.set()  # whoever gives up ends the work too

    async def hello(self, fragment: bytes, signature: bytes) -> bytes:
        """Open a round of secure sum."""
        await self.tell()
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
        if self._joined is not None:
            await self._call(self._joined.drop, key)

    async def sealing_key(self, document: bytes) -> None:
        """Hand over a recipient's public key, before a fragment that names it."""
        await self._call(self._node.take_key, document)

    async def seal(self, key: str, codes: Sequence[bytes], released: bytes) -> bytes:
        """Return the encrypted words of these cells; ``released`` has a 1 for each value that may leave."""
        return await self._call(self._rounds.seal, key, codes, released)

    async def budget(self, project: str, analyst: str) -> list[Balance]:
        """Return what a project and an analyst may still spend of each dataset there."""
        return await self._call(self._node.budgets, project, analyst)

    # --- private joins --------------------------------------------------------------------------------------------

    async def join_open(self, fragment: bytes, signature: bytes) -> bytes:
        """Open a private join; return the party's hello."""
        await self.tell()
        return await self._call(self._joins.join_open, fragment, signature)

    async def join_agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        """Take all hellos; the leader answers with sealed label keys for the other departments."""
        return await self._call(self._joins.join_agree, key, hellos)

    async def join_list(self, key: str, sealed: bytes | None) -> bytes:
        """Run the statement of the department's side and return the head of its list."""
        stop = Event()
        try:
            return await self._call(self._joins.join_list, key, sealed, stop)
        finally:
            stop.set()

    async def join_rows(self, key: str, part: int) -> bytes:
        """Return a part of the list; each once, in order."""
        return await self._call(self._joins.join_rows, key, part)

    async def join_points(self, key: str) -> bytes:
        """Return the blinded points of the own list, sealed for the next department."""
        return await self._call(self._joins.join_points, key)

    async def join_blind(self, key: str, owner: str, raw: bytes) -> bytes:
        """Blind the points of a list; return them sealed for the next department, or the last one's tokens."""
        return await self._call(self._joins.join_blind, key, owner, raw)

    async def join_sums(self, key: str, side: int, raw: bytes) -> bytes:
        """Return the masks of each group of a side, added up."""
        return await self._call(self._joins.join_sums, key, side, raw)

    async def join_seal(self, key: str, raw: bytes) -> bytes:
        """Return the sums of masks of what is released, under the recipient's key."""
        return await self._call(self._joins.join_seal, key, raw)

    async def join_reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the labels of surviving codes and a receipt; ends the join."""
        return await self._call(self._joins.join_reveal, key, codes)
