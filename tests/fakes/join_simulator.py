"""Makes up what a gateway sees of a private join from what the specification says that it learns, and nothing else.

``Leak`` is docs/spec/private-join.md, "What every party learns", for one question over two sides. ``Simulated`` stands
in the place of a party: it has no rows, no keys of the round, no masks; all that it sends is drawn evenly but for the leak.
"""

import json
from dataclasses import dataclass, field

import numpy as np

from middleplatform.crypto.join_party import join_context
from middleplatform.crypto.messages import CodeList, Hello, LabelList, SealedKey, signed
from middleplatform.crypto.receipts import ReceiptFields, sign_receipt
from middleplatform.crypto.secure_sum import agreed_digest
from middleplatform.model.plan import Fragment
from middleplatform.wire.join_lists import (
    GroupLists,
    GroupSums,
    ListHead,
    ListPart,
    Points,
    parts_of,
)

__all__ = ["Leak", "OwnList", "Simulated"]

_UNSIGNED = bytes(64)
_NOTE_BYTES, _TAG_BYTES, _POINT_BYTES = 28, 16, 32


@dataclass
class OwnList:
    """What is learned of one department's list.

    Attributes:
        side: Number of its side.
        width: Words a row.
        units: Of each row, a number that stands for its key in every list; no order.
        labels: Of each row, the number of its label tuple; no order.
        names: Bytes of the label tuples: said at the end, for codes that the gateway names.
    """

    side: int
    width: int
    units: np.ndarray
    labels: np.ndarray
    names: list[bytes]


@dataclass
class Leak:
    """What the gateway learns of a round.

    Attributes:
        lists: By department.
        totals: By side and by the numbers of the labels of all sides, the words' totals of a cell.
        blinded: Whether tokens come from points.
    """

    lists: dict[str, OwnList]
    totals: dict[tuple[int, tuple[int, ...]], np.ndarray]
    blinded: bool = False


@dataclass
class Round:
    """What the simulated parties share: evenly drawn tokens, codes and orders."""

    leak: Leak
    draw: np.random.Generator
    tokens: dict[int, bytes] = field(default_factory=dict)
    orders: dict[str, np.ndarray] = field(default_factory=dict)
    codes: dict[str, list[bytes]] = field(default_factory=dict)
    words: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        for name, own in self.leak.lists.items():
            self.orders[name] = self.draw.permutation(own.units.size)
            self.codes[name] = [self.draw.bytes(16) for _ in own.names]
            shape = (own.units.size, own.width)
            self.words[name] = self.draw.integers(0, 2**64, shape, dtype=np.uint64)
            for unit in own.units.tolist():
                self.tokens.setdefault(unit, self.draw.bytes(16))

    def token_rows(self, name):
        own = self.leak.lists[name]
        raw = b"".join(self.tokens[unit] for unit in own.units[self.orders[name]].tolist())
        return np.frombuffer(raw, np.uint8).reshape(-1, 16)

    def cell(self, found):
        """Return the numbers of the labels of rows that belong together: ``found`` has the units of a group."""
        (unit, *_) = found
        return tuple(int(own.labels[own.units == unit][0]) for own in self.leak.lists.values())


class Simulated:
    """A link to a party that is none."""

    def __init__(self, name, shared, identity, departments, policy_digest):
        self.department, self.shared, self.identity = name, shared, identity
        self.departments, self.policy_digest = departments, policy_digest
        self.draw = np.random.default_rng([*name.encode(), *shared.draw.bytes(8)])

    @property
    def own(self):
        return self.shared.leak.lists[self.department]

    async def join_open(self, raw, signature):
        del signature
        self.fragment = Fragment.from_mapping(json.loads(raw))
        self.context = join_context(self.fragment, self.departments)
        return self._signed(Hello, self.draw.bytes(32)).to_bytes()

    async def join_agree(self, key, hellos):
        del key, hellos
        if self.department != self.departments[0]:
            return {}
        others = self.departments[1:]
        return {name: self._signed(SealedKey, name, self.draw.bytes(48)).to_bytes() for name in others}  # fmt: skip

    async def join_list(self, key, sealed):
        del key, sealed
        own = self.own
        rows = own.units.size
        codes = tuple(sorted(self.shared.codes[self.department]))
        cuts = parts_of(rows, own.width, 0)
        note = self.draw.bytes(_NOTE_BYTES)
        return ListHead(own.side, rows, len(cuts), own.width, 0, short=False, codes=codes, note=note).to_bytes()  # fmt: skip

    async def join_rows(self, key, part):
        del key
        own, shared, name = self.own, self.shared, self.department
        order = shared.orders[name]
        first, last = parts_of(order.size, own.width, 0)[part]
        codes = shared.codes[name]
        places = np.argsort(np.argsort(np.array(codes, dtype="S16"))).astype(np.uint32)
        tokens, blind = shared.token_rows(name), np.zeros(0, np.uint32)
        if shared.leak.blinded:
            tokens, blind = tokens[:0], np.arange(first, last, dtype=np.uint32)
        chosen = places[own.labels[order]][first:last]
        told = tokens[first:last], chosen, (), shared.words[name][first:last], blind
        return ListPart(own.side, part, *told).to_bytes()

    async def join_points(self, key):
        del key
        return self._points(self.department)

    async def join_blind(self, key, owner, raw):
        del key, raw
        others = [name for name in self.departments if name != owner]
        way = others if len(others) == 1 else [*others, owner]
        if self.department != way[-1]:
            return self._points(owner)
        values = self.shared.token_rows(owner)
        return Points(self.shared.leak.lists[owner].side, values).to_bytes()

    def _points(self, owner):
        rows = self.shared.leak.lists[owner].units.size
        return self.draw.bytes(_TAG_BYTES + _POINT_BYTES * rows)

    async def join_sums(self, key, side, raw):
        del key
        asked = GroupLists.from_bytes(raw)
        found = []
        for group in range(asked.groups):
            total, units = None, []
            for name, starts, places in zip(asked.owners, asked.starts, asked.positions, strict=True):  # fmt: skip
                at = places[starts[group] : starts[group + 1]]
                own = self.shared.leak.lists[name]
                units += own.units[self.shared.orders[name][at]].tolist()
                masked = self.shared.words[name][at].sum(axis=0, dtype=np.uint64)
                total = masked if total is None else total + masked
            found.append(self.shared.leak.totals[side, self.shared.cell(units)] - total)
        return GroupSums(side, np.array(found, dtype=np.uint64)).to_bytes()

    async def join_reveal(self, key, codes):
        del key
        names = {}
        if self.department in self.shared.leak.lists:
            known = self.shared.codes[self.department]
            names = dict(zip(known, self.own.names, strict=True))
        labels = tuple(names[code] for code in codes)
        said = self._signed(LabelList, tuple(codes), labels)
        digest = agreed_digest(*codes).hex()
        told = ReceiptFields(
            self.fragment.query_id, self.fragment.digest(), self.policy_digest, "private_join", len(codes), digest,
        )  # fmt: skip
        return said.to_bytes(), sign_receipt(self.identity, told)

    async def drop(self, key):
        del key

    def _signed(self, kind, *values):
        assert kind is not CodeList
        head = (self.context.digest, self.department, _UNSIGNED)
        return signed(kind(*head, *values), self.identity)
