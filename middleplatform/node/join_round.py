"""A node's part in private joins: a state machine over the recipe, one instance a round.

A department runs the statement of its side and sends a list; a helper removes masks from groups of places; whoever
takes part signs a receipt. Spec: docs/spec/private-join.md, "Steps"; docs/spec/node.md, "Protocol private_join".
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Event

import numpy as np
import pyarrow as pa

from middleplatform.crypto.curve_workers import Workers
from middleplatform.crypto.identity import SIGNATURE_BYTES
from middleplatform.crypto.join_party import JoinParty, join_context
from middleplatform.crypto.messages import Hello, LabelList, SealedKey, signed
from middleplatform.crypto.round_context import RoundContext
from middleplatform.crypto.sealed_layout import join_ticket_subject
from middleplatform.crypto.secure_sum import agreed_digest
from middleplatform.crypto.sum_words import ATTEMPTS_MAX, round_key
from middleplatform.crypto.tickets import sign_input
from middleplatform.errors import LimitError, MiddleplatformError, ProtocolError
from middleplatform.model.join import JoinPlan, JoinProtocol, Side
from middleplatform.model.query import JoinKind
from middleplatform.node.entered_rounds import EnteredRounds
from middleplatform.node.join_blinding import Blinding
from middleplatform.node.join_list import MadeList, few_units, make_list, short_list
from middleplatform.node.join_marks import check_marks
from middleplatform.node.join_population import check_population
from middleplatform.node.join_read import First, SideReader
from middleplatform.node.join_seal import HeldMasks
from middleplatform.node.join_steps import (
    BLINDED_DEPARTMENT,
    HELPER_DEPARTMENT,
    KEY_HOLDER_ORDER,
    JoinStep,
)
from middleplatform.node.open_rounds import Order
from middleplatform.node.service import KEY_HOLDER, Node, Task
from middleplatform.planner.side_statement import missing_labels
from middleplatform.planner.side_words import width
from middleplatform.wire.frame import pack
from middleplatform.wire.join_lists import GroupLists, GroupSums, ReleasedCells

__all__ = ["JOINS_MAX", "JoinRounds", "join_idle_s"]

JOINS_MAX = 16
"""Private joins under way at one node: each holds a list."""

_GRACE_S = 10.0
_WAITS = 4
"""A round waits for other departments' statements, lists and matching, each of which may take as long as its own."""
_UNSIGNED = bytes(SIGNATURE_BYTES)
_LOW = np.uint64(0xFFFF_FFFF)
"""A cell key of a join has 32 bits: sums of all rows fit a word."""


def join_idle_s(timeout_s: float) -> float:
    """Return how many seconds a private join waits for its next step, of those that a statement may take.

    Reveals:
        Nothing.
    """
    return _WAITS * timeout_s + _GRACE_S if timeout_s else 0


@dataclass(eq=False)
class _Round:
    task: Task
    plan: JoinPlan
    context: RoundContext
    party: JoinParty
    side: Side | None
    made: MadeList | None = None
    blinding: Blinding | None = None
    sent: int = 0
    stop: Event = field(default_factory=Event)
    end: Event = field(
        default_factory=Event
    )  # of the round; ``stop`` is of the call that reads rows
    dropped: bool = False
    ahead: "Future[First] | None" = None
    sealed: bytes = b""
    held: HeldMasks = field(init=False)

    def __post_init__(self) -> None:
        self.held = HeldMasks(self.plan)

    @property
    def over(self) -> Event:
        """Set when nobody waits for rows: the call that reads them was left, or the round has ended."""
        return _Either(self)

    @property
    def key_holder(self) -> str:
        """The party without data, or an empty string."""
        return KEY_HOLDER if KEY_HOLDER in self.task.fragment.cohort else ""

    @property
    def order(self) -> Order:
        if self.side is None:
            return KEY_HOLDER_ORDER
        blinded = self.plan.protocol is JoinProtocol.BLINDED
        return BLINDED_DEPARTMENT if blinded else HELPER_DEPARTMENT

    @property
    def whole(self) -> bool:
        """Whether all of the own list has been sent."""
        made = self.made
        return self.side is None or (
            made is not None and not made.head.short and self.sent == made.head.parts
        )


class _Either(Event):
    """Set once a round's own event is, or that of the call under way."""

    def __init__(self, current: _Round) -> None:
        super().__init__()
        self._current = current

    def is_set(self) -> bool:
        return self._current.end.is_set() or self._current.stop.is_set()


class JoinRounds(EnteredRounds[_Round]):
    """The private joins that a node takes part in; safe between threads.

    Each step comes in order, lists part by part; the first that fails, comes twice or too early ends the round here,
    and so does a gateway that does not go on. A round that ended gives nothing more: a retry is another attempt.

    Args:
        node: Whose rounds; one without connectors takes part as a key holder.
        rounds_max: Rounds under way at once; more are refused with L001.
        workers: Multiply points under the blinded protocol; closed with the rounds.
        idle_s: Seconds that a round waits for its next step; some times the source's deadline when 0.
        now: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        node: Node,
        *,
        rounds_max: int = JOINS_MAX,
        workers: Workers | None = None,
        idle_s: float = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = SideReader(node)
        self._ahead = ThreadPoolExecutor(rounds_max, thread_name_prefix="join rows")
        self._workers = Workers() if workers is None else workers
        idle = idle_s or join_idle_s(node.source.limits.timeout_s)
        super().__init__(node, idle, rounds_max, now)

    # --- keys -----------------------------------------------------------------------------------------------------

    def join_open(self, raw: bytes, signature: bytes) -> bytes:
        """Accept a fragment and open a round.

        Raises:
            ProtocolError: As ``Node.accept``; X001 for an attempt beyond ``ATTEMPTS_MAX``; X002 for a round that was
                used before.
            LimitError: L001 too many rounds under way.

        Reveals:
            To all: that the party takes part.
        """
        with self._rounds.opening() as put:
            task = self._node.checked(raw, signature, "private_join")
            # Two records on one disk, neither of which waits for the other; the hello waits for both.
            taken = self._node.journal.taking(task.fragment, task.bundle.digest)
            try:
                current, hello = self._start(task)
                taken.result()
                put(round_key(task.fragment), current, current.order)
                self._begin(current)
            except MiddleplatformError as error:
                self._node.failed(task, error)
                raise
        return hello.to_bytes()

    def _start(self, task: Task) -> tuple[_Round, Hello]:
        plan, node = task.join, self._node
        assert plan is not None, "a private join has a plan"
        if task.fragment.attempt > ATTEMPTS_MAX:
            raise ProtocolError("X001", detail="too many attempts")
        context = join_context(task.fragment, plan.departments)
        party, hello = JoinParty.start(
            context, node.department, node.identity, node.rng, used=node.used,
            departments=plan.departments,
        )  # fmt: skip
        return _Round(task, plan, context, party, plan.side_of(node.department)), hello

    def _begin(self, current: _Round) -> None:
        """Begin to read the own side: the engine works while the parties agree on keys."""
        side, source = current.side, self._node.source
        if side is not None:
            current.ahead = self._ahead.submit(
                self._reader.first, current.task, side, source.until(current.over)
            )

    def join_agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        """Take all hellos; the leader returns the label key sealed for each other department.

        Reveals:
            To the gateway and to a key holder: nothing. To each other department: the label key.
        """
        with self._step(key, JoinStep.AGREE) as current:
            if len(hellos) != len(current.task.fragment.cohort):
                raise ProtocolError("X001", detail="the hellos are not the cohort's")
            told = [Hello.from_bytes(raw) for raw in hellos]
            sealed = current.party.agree(told, self._node.pins)
            return {name: message.to_bytes() for name, message in sealed.items()}

    # --- the own list ---------------------------------------------------------------------------------------------

    def join_list(self, key: str, sealed: bytes | None, stop: Event | None = None) -> bytes:
        """Run the statement of the own side; return the head of the list.

        Args:
            key: Of the round.
            sealed: The label key, for everybody but the leader.
            stop: Set when nobody waits any more.

        Raises:
            DisclosureError: D010 by history, judged on the side's filtered rows.
            LimitError: L005 more rows than policy lets a private join have.
            SourceError: The source failed.

        Reveals:
            To the gateway: how many rows and label tuples the side has, or that it has fewer units than the
            threshold.
        """
        with self._step(key, JoinStep.LIST) as current:
            if sealed is not None:
                current.party.accept_key(SealedKey.from_bytes(sealed))
            current.stop = stop or current.stop
            current.made = self._made(current)
            if current.made.keys is not None:
                node, names = self._node, current.plan.departments
                current.blinding = Blinding(
                    node.department, names, current.party, current.context.digest, node.rng
                )
            return current.made.head.to_bytes()

    def _made(self, current: _Round) -> MadeList:
        task, plan, side, node = current.task, current.plan, current.side, self._node
        assert side is not None, "who has no side has no such step"
        assert current.ahead is not None, "begun when the round was opened"
        source, first = node.source.until(current.over), current.ahead.result()
        current.ahead = None
        rows = self._reader.read(task, side, source, current.party, first)
        if few_units(rows.table["k"], plan.min_units, unique=side.unique):
            return short_list(side)
        check_population(node, task, side, source)
        outer = side.kind is JoinKind.LEFT and bool(side.dimensions)
        missing = missing_labels(task.cell, task.layout, plan, side.number) if outer else ()
        helper = plan.helper(side.number, current.key_holder)
        if any(word.name.startswith("key_") for word in side.words):
            keys = node.units.keys_of(rows.table["k"]) & _LOW
            table = rows.table.append_column("key", pa.array(keys.astype(np.int64)))
            rows = replace(rows, table=table)
        return make_list(current.party, plan, side, rows, missing, helper)

    def join_rows(self, key: str, part: int) -> bytes:
        """Return a part of the own list; each once, in order. It is let go of.

        Raises:
            ProtocolError: X002 for a part that was sent, X001 for one that is not due.

        Reveals:
            To the gateway: which rows share a key, a label tuple or a second key, with rows of all lists; nothing of
            their values.
        """
        with self._step(key, JoinStep.ROWS) as current:
            made = current.made
            assert made is not None, "the step before this one"
            if part != current.sent or part >= len(made.parts):
                code = "X002" if part < current.sent else "X001"
                raise ProtocolError(code, detail="a part came twice or out of order")
            raw, made.parts[part] = made.parts[part], b""
            current.sent += 1
            return raw

    # --- the blinded protocol -------------------------------------------------------------------------------------

    def join_points(self, key: str) -> bytes:
        """Return the blinded points of the own list, sealed for the next department.

        Raises:
            ProtocolError: X002 when they were asked for before; X004 for a list that is too long.

        Reveals:
            To the next department: how many distinct keys the list has. To the gateway: their number.
        """
        with self._step(key, JoinStep.POINTS) as current:
            blinding, keys = _blinding(current)
            return blinding.points(keys, current.plan.unit, self._workers.until(current.end))

    def join_blind(self, key: str, owner: str, raw: bytes) -> bytes:
        """Blind the points of a list on its way.

        Args:
            key: Of the round.
            owner: Department whose list it is; the own one where it comes back.
            raw: From the department before this one, sealed.

        Returns:
            The points, sealed for the next department; of the last one ``wire.join_lists.Points`` with tokens.

        Raises:
            ProtocolError: X001 for a list that does not come by here, or points that are not the sender's or not
                valid; X002 for a list that came before.

        Reveals:
            To the next department: points that are random to it. To the gateway, by the last: which keys of which
            lists are equal.
        """
        with self._step(key, JoinStep.BLIND) as current:
            blinding, keys = _blinding(current)
            side = current.plan.side_of(owner)
            if side is None:
                raise ProtocolError("X001", detail="points of who has none")
            own = len(keys) if owner == self._node.department else None
            return blinding.again(owner, side.number, raw, own, self._workers.until(current.end))

    # --- masks ----------------------------------------------------------------------------------------------------

    def join_sums(self, key: str, side: int, raw: bytes) -> bytes:
        """Remove the masks of one side's groups.

        Args:
            key: Of the round.
            side: Its number.
            raw: ``wire.join_lists.GroupLists``.

        Raises:
            ProtocolError: X001 for a side whose masks others remove, lists of other owners, positions out of range or
                twice, a group of fewer rows than the threshold, or one in which a unit may stand twice; X002 for a
                side that came before.

        Reveals:
            To the gateway: totals of each nameless group, of at least ``min_units`` rows.
        """
        with self._step(key, JoinStep.SUMS) as current:
            plan, own = current.plan, self._node.department
            if side not in range(len(plan.sides)):
                raise ProtocolError("X001", detail="no such side")
            if plan.helper(side, current.key_holder) != own or not current.whole:
                raise ProtocolError("X001", detail="masks that are not this party's to remove")
            asked = GroupLists.from_bytes(raw)
            if (asked.side, asked.owners) != (side, plan.sides[side].departments):
                raise ProtocolError("X001", detail="groups of other owners")
            wide = width(plan.sides[side])
            rows = []
            for owner, note in zip(asked.owners, asked.notes, strict=True):
                count, width_there = current.party.accept_count_note(owner, side, note)
                rows.append(count)
                if width_there != wide:
                    raise ProtocolError("X001", detail="a list of another width")
            if not plan.sides[side].unique:
                check_marks(current.party, asked, rows)
            several = zip(asked.positions, asked.starts, strict=True)
            lists = dict(zip(asked.owners, several, strict=True))
            least = max(1, plan.min_units)
            words = current.party.side_sums(side, asked.owners, lists, least=least)
            if current.task.key is not None:
                words = current.held.keep(side, words)
            return GroupSums(side, words).to_bytes()

    def join_seal(self, key: str, raw: bytes) -> bytes:
        """Seal the masks of magnitudes under the recipient's key, of what is released.

        Args:
            key: Of the round.
            raw: ``wire.join_lists.ReleasedCells``.

        Returns:
            Sealed words and this party's signature over them, as ``sealed_release.signed`` puts them together.

        Raises:
            ProtocolError: X001 for a round that is not sealed, who seals nothing in it, or cells that are no groups.
            LimitError: L002 more cells than policy allows.

        Reveals:
            To the gateway: the number of cells. To the key's holder: with the gateway's part, released totals.
        """
        with self._step(key, JoinStep.SEAL) as current:
            task, plan, own = current.task, current.plan, self._node.department
            sealers = plan.sealers(current.key_holder)
            if task.key is None or own not in sealers:
                raise ProtocolError("X001", detail="sealed words that are not this party's")
            sides = [
                side.number
                for side in plan.sides
                if side.words and plan.helper(side.number, current.key_holder) == own
            ]
            asked = ReleasedCells.from_bytes(raw)
            if len(asked.released) > task.bundle.limits.cells_max:
                raise LimitError("L002", limit=task.bundle.limits.cells_max)
            words = current.held.seal(asked, sides, task.layout, task.key, len(sealers) + 1)
            subject = join_ticket_subject(task.fragment, task.layout, sealers)
            signature = sign_input(self._node.identity, subject, own, [words])
            current.sealed = pack([words.to_bytes(), signature.to_bytes()])
            return current.sealed

    # --- the end --------------------------------------------------------------------------------------------------

    def join_reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the labels of surviving codes that are this department's, and a receipt; ends the round.

        Args:
            key: Of the round.
            codes: Strictly ascending, of this department's side; none for a key holder, and none where the query ends
                as suppressed.

        Raises:
            ProtocolError: X001 for a code that is not this department's, or before all of the list was sent; X003 for
                one that fewer units have than the threshold.

        Reveals:
            To the gateway: these labels.
        """
        with self._step(key, JoinStep.REVEAL) as current:
            labels = self._labels(current, codes)
            head = (current.context.digest, self._node.department, _UNSIGNED)
            message = signed(LabelList(*head, tuple(codes), labels), self._node.identity)
            digest = agreed_digest(*codes, *filter(None, [current.sealed])).hex()
            return message.to_bytes(), self._node.receipt(current.task, len(codes), digest)

    def _labels(self, current: _Round, codes: Sequence[bytes]) -> tuple[bytes, ...]:
        made, side = current.made, current.side
        if not codes:
            return ()
        if made is None or side is None or not current.whole:
            raise ProtocolError("X001", detail="labels are asked for too early")
        if any(code not in made.labels for code in codes):
            raise ProtocolError("X001", detail="a code that no row has")
        if len(side.departments) == 1:
            # What matches is part of what is here; of a label in several departments only all of them know.
            small = (made.units.get(code, 0) < current.plan.min_units for code in codes)
            missing = (code == made.head.missing for code in codes)
            if any(few and not absent for few, absent in zip(small, missing, strict=True)):
                raise ProtocolError(
                    "X003", rule="R5", department=self._node.department,
                    detail="a label of too few units",
                )  # fmt: skip
        return tuple([made.labels[code] for code in codes])

    # --- rounds ---------------------------------------------------------------------------------------------------

    def _dropped(self, current: _Round) -> None:
        current.end.set()

    def close(self) -> None:
        """Forget all rounds and end the workers; for the end of the node.

        Reveals:
            Nothing.
        """
        super().close()
        self._ahead.shutdown(wait=False, cancel_futures=True)
        self._workers.close()


def _blinding(current: _Round) -> tuple[Blinding, pa.Array]:
    """Return what blinds, and the own distinct keys.

    Raises:
        ProtocolError: X001 where the list was short: then nobody's points are wanted.
    """
    keys = None if current.made is None else current.made.keys
    if current.blinding is None or keys is None:
        raise ProtocolError("X001", detail="points are asked for without a list")
    return current.blinding, keys
