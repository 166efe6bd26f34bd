"""The calls of a private join: what the gateway relays between its parties, and what it gets from them.

Spec: docs/spec/private-join.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from middleplatform.crypto.blinded import route
from middleplatform.crypto.join_party import join_context
from middleplatform.crypto.messages import LabelList
from middleplatform.crypto.secure_sum import agreed_digest
from middleplatform.dispatch.dispatcher import Dispatcher, Round
from middleplatform.dispatch.link import NodeLink
from middleplatform.errors import ProtocolError
from middleplatform.model.join import JoinPlan
from middleplatform.model.plan import Fragment
from middleplatform.wire.join_lists import (
    TOKEN_BYTES,
    GroupLists,
    GroupSums,
    ListHead,
    ListPart,
    Points,
    ReleasedCells,
    Tokens,
    Words,
)

__all__ = ["JoinCalls"]

T = TypeVar("T")


@dataclass
class JoinCalls:
    """One private join under way, as the gateway sees it.

    Attributes:
        dispatcher: Reaches the parties.
        plan: Of the join.
        current: The round; ``fragments`` has every party, the key holder too.
    """

    dispatcher: Dispatcher
    plan: JoinPlan
    current: Round
    _sealed: dict[str, bytes] = field(default_factory=dict)
    _turns: dict[str, asyncio.Lock] = field(init=False)
    """A party takes one call of a round at a time; lists that pass by each other wait."""

    def __post_init__(self) -> None:
        self._turns = {name: asyncio.Lock() for name in self.current.fragments}

    @classmethod
    def of(cls, dispatcher: Dispatcher, fragment: Fragment, plan: JoinPlan) -> "JoinCalls":
        """Return a round that nobody was told of yet.

        Args:
            dispatcher: Reaches the parties.
            fragment: For any one of them; the others get the same but for the name.
            plan: Of the join.
        """
        told = {name: _for(fragment, name) for name in fragment.cohort}
        return cls(dispatcher, plan, Round(told, join_context(fragment, plan.departments)))

    async def open(self) -> dict[str, bytes]:
        """Open the round at every party and carry their hellos to each other.

        Returns:
            The label key, sealed by the leader for each other department.

        Raises:
            MiddleplatformError: What a party raises.
            ProtocolError: X001 where the label key was sealed for a party that holds no data.
        """
        keys = await self.dispatcher.agreed(
            self.current, lambda link: link.join_open, lambda link: link.join_agree
        )
        departments = self.plan.departments
        if set(keys) != set(departments) - {min(departments)}:
            raise ProtocolError("X001", detail="label keys for other parties")
        return keys

    async def heads(self, keys: Mapping[str, bytes]) -> dict[str, ListHead]:
        """Have every department make its list, and return what comes before it.

        Args:
            keys: The sealed label key, by department.

        Raises:
            MiddleplatformError: What a department raises.
            ProtocolError: X001 for a list of another side or of another shape than the plan's.
        """
        raw = await self._departments(
            lambda name: self._link(name).join_list(self.current.key, keys.get(name))
        )
        heads = {name: ListHead.from_bytes(each) for name, each in raw.items()}
        for name, head in heads.items():
            self._check_head(name, head)
        return heads

    def _check_head(self, name: str, head: ListHead) -> None:
        side = self.plan.side_of(name)
        assert side is not None, "a department has a side"
        width = sum(word.limbs for word in side.words)
        if (head.side, head.width, head.seconds) != (side.number, width, len(side.keys)):
            raise ProtocolError("X001", detail="a list of another side")
        if not side.dimensions and (head.codes or head.missing):
            raise ProtocolError("X001", detail="labels of a side without dimensions")
        if side.dimensions and head.rows and not head.codes:
            raise ProtocolError("X001", detail="a list without labels")

    async def rows(self, name: str, head: ListHead, take: Callable[[int, ListPart], None]) -> None:
        """Fetch a department's list part by part; no more than one part of it is held as bytes.

        Args:
            name: Whose.
            head: Of the list.
            take: Gets the part's first row and the part, and copies what it keeps.

        Raises:
            MiddleplatformError: What the department raises.
            ProtocolError: X001 for a part of another list, or twice the same.
        """
        first = 0
        for number in range(head.parts):
            async with self._turns[name]:
                raw = await self._link(name).join_rows(self.current.key, number)
            part = ListPart.from_bytes(raw, head)
            if part.number != number:
                raise ProtocolError("X001", detail="another part than asked for")
            take(first, part)
            first += int(part.words.shape[0])

    async def blinded(self, name: str, head: ListHead) -> Tokens:
        """Carry the points of a department's keys past the others and return their doubly blinded tokens.

        Args:
            name: Whose keys.
            head: Of its list.

        Returns:
            Shape (keys, 16): one for each different key of the list.

        Raises:
            MiddleplatformError: What a party raises.
            ProtocolError: X001 for more tokens than rows, or others than tokens.
        """
        async with self._turns[name]:
            raw = await self._link(name).join_points(self.current.key)
        for other in route(name, self.plan.departments):
            async with self._turns[other]:
                raw = await self._link(other).join_blind(self.current.key, name, raw)
        points = Points.from_bytes(raw)
        keys, size = points.values.shape
        if points.side != head.side or keys > head.rows or size != TOKEN_BYTES:
            raise ProtocolError("X001", detail="blinded tokens of another list")
        return points.values

    async def sums(self, helper: str, lists: GroupLists, width: int) -> Words:
        """Ask a helper for the sums of the masks of each group.

        Args:
            helper: Who removes the masks of this side.
            lists: The places of each group.
            width: Words a row.

        Raises:
            MiddleplatformError: What the helper raises.
            ProtocolError: X001 for sums of another side or shape.
        """
        raw = await self._link(helper).join_sums(self.current.key, lists.side, lists.to_bytes())
        found = GroupSums.from_bytes(raw, lists.groups, width)
        if found.side != lists.side:
            raise ProtocolError("X001", detail="sums of another side")
        return found.words

    async def seal(self, asked: Mapping[str, ReleasedCells]) -> dict[str, bytes]:
        """Have who removes masks of magnitudes seal them under the recipient's key.

        Args:
            asked: By sealer, what is released.

        Returns:
            By sealer, its sealed words with its signature.

        Raises:
            MiddleplatformError: What a sealer raises.
        """
        self._sealed = await self.dispatcher.all_of(
            self.current,
            lambda name: self._link(name).join_seal(self.current.key, asked[name].to_bytes()),
            tuple(asked),
        )
        return self._sealed

    async def reveal(self, codes: Mapping[str, Sequence[bytes]]) -> list[dict[bytes, bytes]]:
        """Learn the labels of surviving codes, and get every party's receipt; ends the round.

        Args:
            codes: By department, those of its own codes that survived, ascending.

        Returns:
            By side, label tuples by code.

        Raises:
            MiddleplatformError: What a party raises.
            ProtocolError: X001 for labels of other codes, labels on which the departments of a side disagree, or a
                receipt that does not fit.
        """
        answers = await self.dispatcher.all_of(
            self.current,
            lambda name: self._link(name).join_reveal(self.current.key, codes.get(name, ())),
        )
        found: list[dict[bytes, bytes]] = [{} for _ in self.plan.sides]
        for name, (raw, receipt) in answers.items():
            self._check_receipt(name, receipt, codes.get(name, ()))
            self.current.receipts[name] = receipt
            side = self.plan.side_of(name)
            if side is not None:
                self._take_labels(raw, name, codes.get(name, ()), found[side.number])
        return found

    def _check_receipt(self, name: str, receipt: str, codes: Sequence[bytes]) -> None:
        """Check that a party has receipted this fragment, these codes and the very bytes that it sealed."""
        fields = self.dispatcher.check_receipt(receipt, self.current.fragments[name])
        sealed = [self._sealed[name]] if name in self._sealed else []
        said = (fields.protocol, fields.cells, fields.result_digest)
        if said != ("private_join", len(codes), agreed_digest(*codes, *sealed).hex()):
            raise ProtocolError("X001", detail="a receipt for another result")

    def _take_labels(
        self, raw: bytes, name: str, asked: Sequence[bytes], found: dict[bytes, bytes]
    ) -> None:
        labels = LabelList.from_bytes(raw)
        labels.check(self.current.context, self.dispatcher.pins)
        if labels.sender != name or labels.codes != tuple(asked):
            raise ProtocolError("X001", detail="labels do not fit the codes")
        for code, label in zip(labels.codes, labels.labels, strict=True):
            if found.setdefault(code, label) != label:
                raise ProtocolError("X001", detail="departments name one code differently")

    async def drop(self) -> None:
        """Tell every party that the round is over."""
        await self.dispatcher.drop(self.current)

    def _link(self, name: str) -> NodeLink:
        return self.dispatcher.link(name)

    async def _departments(self, call: Callable[[str], Awaitable[T]]) -> dict[str, T]:
        return await self.dispatcher.all_of(self.current, call, self.plan.departments)


def _for(fragment: Fragment, name: str) -> Fragment:
    return replace(fragment, department=name)
