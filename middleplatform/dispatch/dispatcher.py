"""Stage 5: sends fragments to nodes and carries the rounds of a secure sum between them.

The dispatcher relays; it can read labels' codes, masked words and what a node releases, nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pyarrow as pa

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.messages import CodeList, LabelList, MaskedVector
from middleplatform.crypto.receipts import ReceiptFields, verify_receipt
from middleplatform.crypto.round_context import RoundContext
from middleplatform.crypto.secure_total import merge_codes, merge_labels, unmask
from middleplatform.crypto.sum_words import cells_agreed, round_key
from middleplatform.crypto.word_layout import WordLayout
from middleplatform.dispatch.handed import Documents
from middleplatform.dispatch.link import NodeLink
from middleplatform.errors import MiddleplatformError, ProtocolError, SourceError
from middleplatform.model.plan import Fragment
from middleplatform.model.result import PartialResult

__all__ = ["KEY_HOLDER", "Dispatcher", "Round", "Totals"]

KEY_HOLDER = "keyholder"
"""Name of the party that holds no data and removes masks."""

_SIGNED_AS = "fragment"
_DROP_S = 5.0
"""Seconds to tell a node that a round is over; one that does not hear it forgets the round by itself."""
_TELL_S = 10.0
Totals = Mapping[str, pa.Array]
T = TypeVar("T")


@dataclass
class Round:
    """One secure sum under way, as the gateway sees it.

    Attributes:
        fragments: By department.
        context: What its messages are bound to.
        codes: Union of all departments' codes.
        receipts: By department, once revealed.
        dropped: The departments have been told that it is over.
    """

    fragments: Mapping[str, Fragment]
    context: RoundContext
    codes: tuple[bytes, ...] = ()
    receipts: dict[str, str] = field(default_factory=dict)
    dropped: bool = False

    @property
    def key(self) -> str:
        """Name of the round at every node."""
        return round_key(next(iter(self.fragments.values())))


class Dispatcher:
    """Reaches all nodes.

    Args:
        links: By department.
        identity: The gateway's key; fragments are signed with it.
        pins: Identity keys of the departments.
    """

    def __init__(
        self, links: Mapping[str, NodeLink], identity: IdentityKey, pins: PinnedKeys
    ) -> None:
        self._links = dict(links)
        self._identity = identity
        self._pins = pins

    def link(self, department: str) -> NodeLink:
        """Return a department's link.

        Raises:
            SourceError: S001 when it has none.
        """
        if department not in self._links:
            raise SourceError("S001", department=department)
        return self._links[department]

    @property
    def key_holder(self) -> str:
        """Name of the party that removes the masks of private joins, empty where there is none."""
        return KEY_HOLDER if KEY_HOLDER in self._links else ""

    @property
    def pins(self) -> PinnedKeys:
        """Identity keys of all parties."""
        return self._pins

    # --- policy ---------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> IdentityKey:
        """The gateway's key, with which documents for nodes are signed as fragments are."""
        return self._identity

    def hand_out(self, documents: Documents) -> None:
        """Have every node handed the platform's documents before its next fragment."""
        for link in self._links.values():
            link.handed.documents = documents

    async def tell(self) -> None:
        """Hand the newest documents to all nodes at once; who cannot be reached is told before its next fragment."""

        async def told(link: NodeLink) -> None:
            with suppress(MiddleplatformError, TimeoutError):
                await asyncio.wait_for(link.tell(), _TELL_S)

        await asyncio.gather(*(told(link) for link in self._links.values()))

    # --- one department -------------------------------------------------------------------------------------------

    async def local(self, fragment: Fragment) -> PartialResult:
        """Have one department answer on its own, and check its receipt.

        Raises:
            MiddleplatformError: What the node raises; X001 for a receipt that does not fit.
        """
        raw = fragment.to_bytes()
        result = await self.link(fragment.department).answer(
            raw, self._identity.sign(_SIGNED_AS, raw)
        )
        fields = self.check_receipt(result.receipt, fragment)
        said = (fields.protocol, fields.cells, fields.result_digest)
        if said != (fragment.protocol, result.cells.num_rows, result.result_digest):
            raise ProtocolError("X001", detail="a receipt for another result")
        return result

    # --- secure sum -----------------------------------------------------------------------------------------------

    async def open_round(
        self, fragment: Fragment, context: RoundContext, layout: WordLayout
    ) -> tuple[Round, Totals]:
        """Run a secure sum up to its totals.

        Args:
            fragment: For any one department; the others get the same but for the name.
            context: Of the round.
            layout: Of its words.

        Returns:
            The round, and the totals by word column, one element a code.

        Raises:
            MiddleplatformError: What a node raises, or X001; the round is over and leaves nothing.
        """
        current = Round(
            {name: replace(fragment, department=name) for name in fragment.cohort}, context
        )
        try:
            return current, await self._totals(current, layout)
        except BaseException:  # cancelled, too
            await self.drop(current)
            raise

    async def _totals(self, current: Round, layout: WordLayout) -> Totals:
        keys = await self.agreed(current, lambda link: link.hello, lambda link: link.agree)
        lists = await self.all_of(
            current, lambda name: self.link(name).codes(current.key, keys.get(name))
        )
        current.codes = merge_codes(
            current.context, [CodeList.from_bytes(raw) for raw in lists.values()], self._pins
        )
        if not current.codes:
            return layout_of_nothing(layout)
        vectors = await self.all_of(
            current, lambda name: self.link(name).cells(current.key, current.codes)
        )
        agreed = cells_agreed(current.codes)
        words = unmask(
            current.context,
            [MaskedVector.from_bytes(raw) for raw in vectors.values()],
            self._pins,
            phase="cells",
            agreed=agreed,
        )
        return layout.decode(words, cells=len(current.codes))

    async def ladder(
        self, current: Round, totals: Sequence[Sequence[int]], layout: WordLayout, agreed: bytes
    ) -> Totals:
        """Run the share ladder of a round.

        Args:
            current: The round.
            totals: For each sum, by cell: what the rungs are percents of.
            layout: Of the ladder's words.
            agreed: Digest of what all departments are told.
        """
        try:
            vectors = await self.all_of(
                current, lambda name: self.link(name).ladder(current.key, totals)
            )
            words = unmask(
                current.context,
                [MaskedVector.from_bytes(raw) for raw in vectors.values()],
                self._pins,
                phase="share-ladder",
                agreed=agreed,
            )
            return layout.decode(words, cells=len(current.codes))
        except MiddleplatformError:
            await self.drop(current)
            raise

    async def reveal(self, current: Round, codes: Sequence[bytes]) -> dict[bytes, bytes]:
        """Learn the labels of surviving cells; ends the round."""
        try:
            answers = await self.all_of(
                current, lambda name: self.link(name).reveal(current.key, codes)
            )
            for name, (_, receipt) in answers.items():
                self.check_receipt(receipt, current.fragments[name])
                current.receipts[name] = receipt
            lists = [LabelList.from_bytes(raw) for raw, _ in answers.values()]
            return merge_labels(current.context, lists, self._pins, codes)
        except MiddleplatformError:
            await self.drop(current)
            raise

    # --- rounds of every protocol ---------------------------------------------------------------------------------

    async def agreed(
        self,
        current: Round,
        hello: Callable[[NodeLink], Callable[[bytes, bytes], Awaitable[bytes]]],
        agree: Callable[
            [NodeLink], Callable[[str, Sequence[bytes]], Awaitable[Mapping[str, bytes]]]
        ],
    ) -> dict[str, bytes]:
        """Open a round at all parties and carry their hellos to each other.

        Args:
            current: The round.
            hello: Which call opens it.
            agree: Which call takes the hellos.

        Returns:
            The label key, sealed by the leader for each other department, by name.
        """

        def signed(name: str) -> tuple[bytes, bytes]:
            raw = current.fragments[name].to_bytes()
            return raw, self._identity.sign(_SIGNED_AS, raw)

        hellos = await self.all_of(current, lambda name: hello(self.link(name))(*signed(name)))
        sealed = await self.all_of(
            current, lambda name: agree(self.link(name))(current.key, list(hellos.values()))
        )
        return {name: raw for each in sealed.values() for name, raw in each.items()}

    async def drop(self, current: Round) -> None:
        """Tell every node at once, and once only, that a round is over; who does not answer is left alone."""
        if current.dropped:
            return
        current.dropped = True

        async def tell(name: str) -> None:
            with suppress(MiddleplatformError, TimeoutError):
                await asyncio.wait_for(self.link(name).drop(current.key), _DROP_S)

        await asyncio.gather(*(tell(name) for name in current.fragments))

    @staticmethod
    async def all_of(
        current: Round, call: Callable[[str], Awaitable[T]], names: Sequence[str] | None = None
    ) -> dict[str, T]:
        """Ask all parties of a round at once; the first that fails ends the wait for the others.

        Args:
            current: The round.
            call: Asks one.
            names: Whom to ask, where that is not everybody.
        """
        asked = current.fragments if names is None else names
        tasks = {name: asyncio.ensure_future(call(name)) for name in asked}
        if not tasks:
            return {}
        try:
            await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks.values():
                if task.done():
                    task.result()
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {name: task.result() for name, task in tasks.items()}

    def check_receipt(self, receipt: str, fragment: Fragment) -> ReceiptFields:
        """Return what a receipt says, if its department signed it for this fragment.

        Raises:
            ProtocolError: X001 otherwise.
        """
        fields = verify_receipt(receipt, fragment.department, self._pins)
        if (fields.query_id, fields.fragment_digest) != (fragment.query_id, fragment.digest()):
            raise ProtocolError("X001", detail="a receipt for another fragment")
        return fields


def layout_of_nothing(layout: WordLayout) -> Totals:
    """Return the totals of no cells at all."""
    return {
        measure.name: pa.array(
            [], pa.int64() if measure.words == 1 else pa.decimal128(38, measure.scale)
        )
        for measure in layout.measures
    }
