"""Private join by the helper protocol, one party's side: pairs and totals show, rows and keys do not.

The caller carries the messages; this module does no input or output. The order of a round::

    start -> Hello                       to all, through the gateway
    agree <- all Hellos                  leader -> SealedKey for every other department
    accept_key                           every department but the leader; never a key holder
    tokens, second_tokens, codes         of the own list
    permutation, mask, count_note        of the own list, once
    accept_count_note, side_sums         as a helper, once a list

A party is a department, which brings rows and knows the label key, or a key holder, which does neither: it removes
masks.
Any refusal in the key agreement ends the party: a retry is a new attempt with fresh keys.
Imported by node.
Spec: docs/spec/private-join.md.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from middleplatform.crypto.encoding import Reader, bad_message, join_parts, tagged_digest
from middleplatform.crypto.hazmat.pair_keys import open_once, seal_once, single_use_key
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.join_masks import (
    Groups,
    add_group_masks,
    check_shape,
    masked_rows,
    permutation,
)
from middleplatform.crypto.join_tokens import Bytes, tokens
from middleplatform.crypto.messages import CODE_BYTES, LABEL_BYTES_MAX, Hello, SealedKey
from middleplatform.crypto.round_context import JOIN_SUITE, RoundContext
from middleplatform.crypto.secure_sum import Party
from middleplatform.crypto.used_rounds import UsedRounds
from middleplatform.errors import ProtocolError
from middleplatform.model.plan import Fragment
from middleplatform.ports import Rng

__all__ = ["PAYLOAD_BYTES_MAX", "JoinParty", "join_context"]

PAYLOAD_BYTES_MAX = 2**31 - 64
"""Bytes of one sealed payload."""

_KEY_EPOCH = 1
_SIDES_MAX = 1024
_SECRET_BYTES = 32
_PURPOSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_ROWS_BYTES, _WIDTH_BYTES = 8, 4

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.integer]


def join_context(fragment: Fragment, departments: Sequence[str]) -> RoundContext:
    """Return what every message of the round is bound to; each party builds it from its own data.

    Args:
        fragment: The signed one; its cohort is all parties.
        departments: Those of the cohort that hold data, strictly ascending.

    Reveals:
        Nothing.
    """
    # All that the gateway told, but who is asked and when, and which attempt it is: departments that were told of
    # another subject or purpose than the others share no key with them.
    told = replace(fragment, department="", issued_at="", attempt=0).to_bytes()
    layout = tagged_digest("middleplatform private-join layout v1", told, *departments)
    return RoundContext(
        JOIN_SUITE,
        _KEY_EPOCH,
        f"{fragment.query_id}.{fragment.number}",
        fragment.attempt,
        fragment.cohort,
        layout,
        fragment.policy_digest,
    )


class JoinParty:
    """One party in one round; neither copied nor pickled nor started twice.

    Made by ``start``. Its representation shows names and stage only.
    """

    def __init__(
        self,
        context: RoundContext,
        own_name: str,
        party: Party,
        rng: Rng,
        departments: Sequence[str],
    ) -> None:
        self._context, self._own_name, self._party, self._rng = context, own_name, party, rng
        self._departments = frozenset(departments)
        self._own_secret = rng.token_bytes(_SECRET_BYTES)
        self._lock = Lock()
        self._done: set[tuple[str, ...]] = set()
        self._noted: dict[tuple[str, int], tuple[int, int]] = {}
        self._shape: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"JoinParty({self._party!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a party is neither copied nor pickled: a mask used twice is no mask")

    @classmethod
    def start(
        cls,
        context: RoundContext,
        own_name: str,
        identity: IdentityKey,
        rng: Rng,
        *,
        used: UsedRounds,
        departments: Sequence[str],
    ) -> tuple["JoinParty", Hello]:
        """Claim the round, then draw a fresh exchange key.

        Args:
            context: The round, as ``join_context`` makes it.
            own_name: This party's name in the cohort.
            identity: This party's key.
            rng: The operating system's generator.
            used: This party's record of rounds; durable before this method returns.
            departments: Those of the cohort that hold data, two or more; the first by name leads.

        Returns:
            The party, and the hello for all of the cohort.

        Raises:
            ProtocolError: X001 when the party is not in the cohort, ``departments`` are not of it, or the context is
                of another protocol; X002 when the round, or its query id with another cohort, was used before.

        Reveals:
            To all: that the party takes part.
        """
        party, hello = Party.start(
            context, own_name, identity, rng, used=used, departments=departments
        )
        return cls(context, own_name, party, rng, departments), hello

    def agree(self, hellos: Sequence[Hello], pins: PinnedKeys) -> dict[str, SealedKey]:
        """Verify all hellos and derive the pairwise secrets.

        Args:
            hellos: One of each party, the own one included, in any order.
            pins: Identity keys of the whole cohort, from enrolment.

        Returns:
            For the leader one sealed label key for each other department, by name; else empty.

        Raises:
            ProtocolError: X001 for a missing, extra, doubled, foreign or forged hello or an exchange key of small
                order; X002 when called before. Both end the party.

        Reveals:
            To each other department: the label key. To the gateway and to a key holder: nothing.
        """
        return self._party.agree(hellos, pins)

    def accept_key(self, sealed: SealedKey) -> None:
        """Open the leader's label key.

        Raises:
            ProtocolError: X001 when it is not the leader's for this department and round, or this party holds no
                data; X002 when a label key is already known. All end the party.

        Reveals:
            Nothing.
        """
        self._party.accept_label_key(sealed)

    def tokens(self, identifiers: pa.Array | pa.ChunkedArray, domain: str) -> Bytes:
        """Return the tokens of the join key: equal at all departments for equal identifiers.

        Args:
            identifiers: Normalised keys, string or int64.
            domain: The protected unit, e.g. ``"person"``.

        Returns:
            Shape ``(identifiers, 16)``; all zeros where an identifier is missing: such a row matches nothing.

        Raises:
            ProtocolError: X001 before the label key is known, at a key holder, or for a type or domain that has no
                tokens; X004 for an identifier that is too long.

        Reveals:
            To the gateway, which gets them: which rows of which lists have equal identifiers. To a department that
            colludes with it: the identifiers, by trying.
        """
        return tokens(self._group_key("tokens"), domain, identifiers)

    def second_tokens(
        self,
        identifiers: pa.Array | pa.ChunkedArray,
        domain: str,
        side: int,
        number: int,
        *,
        shared: bool,
    ) -> Bytes:
        """Return the tokens of another unit that one side counts; they match nothing but each other.

        Args:
            identifiers: As for ``tokens``.
            domain: What the identifiers are, e.g. ``"firm"``.
            side: Number of the side that counts them.
            number: Number of the counted key in the layout.
            shared: Whether several departments hold rows of the side. If not, the key stays here.

        Returns:
            As ``tokens``.

        Raises:
            ProtocolError: As ``tokens``.

        Reveals:
            To the gateway: which rows of this side have equal ones. To other departments, even with the gateway:
            nothing more, unless ``shared``.
        """
        key = self._side_key(shared, "second tokens", _number(side), _number(number))
        return tokens(key, domain, identifiers)

    def codes(self, labels: Sequence[bytes], side: int, *, shared: bool) -> list[bytes]:
        """Return the 16-byte keyed code of each label of a side: HMAC-SHA256, cut.

        Args:
            labels: Canonical bytes of the labels, at most 4096 each.
            side: Number of the side: equal labels of two sides have different codes.
            shared: Whether several departments hold rows of the side. If not, the key stays here.

        Raises:
            ProtocolError: X001 before the label key is known, at a key holder, or for a label that is too long.

        Reveals:
            To the gateway: whether two labels of a side are equal. If ``shared``, any department can try labels
            against a code.
        """
        if any(len(label) > LABEL_BYTES_MAX for label in labels):
            raise bad_message("a label is too long")
        key = self._side_key(shared, "codes", _number(side))
        return [hmac.digest(key, label, "sha256")[:CODE_BYTES] for label in labels]

    def permutation(self, count: int) -> npt.NDArray[np.int64]:
        """Return a fresh order of ``count`` rows, each as likely: ``rows[order]`` is the list to send.

        Args:
            count: 0 to 2**31 - 1.

        Returns:
            Row numbers, shape ``(count,)``.

        Raises:
            ProtocolError: X001 for an impossible count.

        Reveals:
            Nothing; without it, positions tell the order of the department's table.
        """
        check_shape(count, 0)
        return permutation(self._rng.token_bytes(_SECRET_BYTES), count)

    def mask(self, words: Words, side: int, helper: str) -> Words:
        """Return ``words`` less the keystream that is shared with the helper, modulo 2**64.

        Args:
            words: Shape ``(rows, width)``, dtype uint64, in the order in which the rows are sent; not changed.
            side: Number of the own side.
            helper: Party that removes the masks.

        Returns:
            Shape ``(rows, width)``, little-endian.

        Raises:
            ProtocolError: X001 before the keys are agreed, for a party that has no rows or is no helper, for words of
                another shape or type or than the count note says; X002 when called before, whatever the arguments.

        Reveals:
            To the gateway: the number of rows and words. To the helper: nothing. To both together: the words.
        """
        if words.dtype != np.uint64 or words.ndim != 2:  # noqa: PLR2004 - rows and words
            raise bad_message("words to mask are not valid")
        shape = (int(words.shape[0]), int(words.shape[1]))
        self._owns(shape)
        key = self._mask_key(helper, self._own_name, helper, side, shape)
        self._once("mask")
        return masked_rows(key, words)

    def count_note(self, side: int, helper: str, rows: int, width: int) -> bytes:
        """Return the size of the own list, sealed for the helper: so that nobody else can tell it another.

        Args:
            side: Number of the own side.
            helper: Party that removes the masks.
            rows: Rows of the list.
            width: Words of a row.

        Raises:
            ProtocolError: X001 before the keys are agreed, for a party that has no rows, or for sizes other than
                those that were masked; X002 when called before.

        Reveals:
            To the helper: the size of the list. To the gateway: nothing that the list does not show.
        """
        self._owns((rows, width))
        body = rows.to_bytes(_ROWS_BYTES, "big") + width.to_bytes(_WIDTH_BYTES, "big")
        self._once("count note")
        key, bound = self._sealing(helper, self._own_name, helper, "count note", _number(side))
        return seal_once(key, body, bound)

    def accept_count_note(self, owner: str, side: int, raw: bytes) -> tuple[int, int]:
        """Open the size of a list whose masks this party removes.

        Args:
            owner: Department that has the list.
            side: Number of its side.
            raw: What its ``count_note`` returned.

        Returns:
            Rows, and words a row.

        Raises:
            ProtocolError: X001 when it does not open, or says impossible sizes; X002 when called before for this list.

        Reveals:
            Nothing.
        """
        self._is_department(owner)
        self._once("accepted", owner, str(side))
        key, bound = self._sealing(owner, owner, self._own_name, "count note", _number(side))
        reader = Reader(open_once(key, raw, bound))
        shape = reader.integer(_ROWS_BYTES), reader.integer(_WIDTH_BYTES)
        reader.end()
        check_shape(*shape)
        self._noted[owner, side] = shape
        return shape

    def side_sums(
        self,
        side: int,
        owners: Sequence[str],
        lists: Mapping[str, tuple[Places, Places]],
        *,
        least: int,
    ) -> Words:
        """Return the sums of the masks of all owners of a side by group: never one owner's alone.

        Args:
            side: Number of the side.
            owners: All departments of the side, from the plan.
            lists: By owner, for each of them: row numbers, group by group; and where each group starts in them and the
                last one ends, shape ``(groups + 1,)``. As many groups for each; a group may be empty at some owners.
            least: Rows that a group must have over all owners: the threshold in units.

        Returns:
            Shape ``(groups, width)``: added to the sums of the masked words, the totals modulo 2**64.

        Raises:
            ProtocolError: X001 without the note of each owner, for lists of others than these, a position that is out
                of range or stands twice, other groups at one owner than at another, a group with fewer rows than
                ``least``; X002 when called before for this side, even in vain.

        Reveals:
            To who gets them and the lists: the sums of the words of each group, of at least ``least`` rows. Rows are
            not units where a side has several rows a key.
        """
        if least < 1 or not owners or set(lists) != set(owners):
            raise bad_message("sums are asked for other lists")
        self._once("sums", str(side))
        shapes = {owner: self._noted.get((owner, side)) for owner in owners}
        known = {owner: shape for owner, shape in shapes.items() if shape is not None}
        if len(known) != len(shapes) or len({width for _, width in known.values()}) != 1:
            raise bad_message("a list has no note of its size")
        groups = {owner: Groups(rows, *lists[owner]) for owner, (rows, _) in known.items()}
        sizes = [each.sizes for each in groups.values()]
        if len({each.size for each in sizes}) != 1 or (np.sum(sizes, axis=0) < least).any():
            raise bad_message("groups are too small, or not the same at all owners")
        totals = np.zeros((sizes[0].size, next(iter(known.values()))[1]), dtype=np.uint64)
        for owner, shape in known.items():
            key = self._mask_key(owner, owner, self._own_name, side, shape)
            add_group_masks(key, shape[0], groups[owner], totals)
        return totals

    def seal_for(self, name: str, purpose: str, payload: bytes) -> bytes:
        """Return ``payload`` sealed for another party, which the gateway relays.

        Args:
            name: The other party.
            purpose: What it is, 1 to 128 characters of ``A-Z a-z 0-9 _ . : / -``; each once for each party.
            payload: At most 2**31 - 64 bytes.

        Raises:
            ProtocolError: X001 before the keys are agreed or for a purpose or payload that may not be; X002 when the
                purpose was used before.

        Reveals:
            To ``name``: the payload. To the gateway: its length.
        """
        _check_purpose(purpose)
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise bad_message("a payload is too long")
        key, bound = self._sealing(name, self._own_name, name, "relay", purpose)
        self._once("sealed", name, purpose)
        return seal_once(key, payload, bound)

    def open_from(self, name: str, purpose: str, raw: bytes) -> bytes:
        """Return what another party sealed for this one.

        Args:
            name: Who sealed it.
            purpose: What it must be.
            raw: What ``seal_for`` returned there.

        Raises:
            ProtocolError: X001 when it does not open, for every cause alike; X002 when the purpose was opened before,
                or tried.

        Reveals:
            Nothing.
        """
        _check_purpose(purpose)
        key, bound = self._sealing(name, name, self._own_name, "relay", purpose)
        self._once("opened", name, purpose)
        return open_once(key, raw, bound)

    def _group_key(self, *purpose: bytes | str) -> bytes:
        return self._party.group_key("private-join", *purpose)

    def _side_key(self, shared: bool, *purpose: bytes | str) -> bytes:  # noqa: FBT001 - passed on
        group = self._group_key(*purpose)  # of a key holder and before the label key: refused
        return group if shared else single_use_key(self._own_secret, group)

    def _mask_key(
        self, other: str, owner: str, helper: str, side: int, shape: tuple[int, int]
    ) -> bytes:
        rows, width = shape
        told = (
            _number(side),
            owner,
            helper,
            rows.to_bytes(_ROWS_BYTES, "big"),
            width.to_bytes(_WIDTH_BYTES, "big"),
        )
        return self._party.pair_key(other, "private-join mask", *told)

    def _sealing(
        self, other: str, sender: str, recipient: str, kind: str, purpose: bytes | str
    ) -> tuple[bytes, bytes]:
        """Return key and associated data of the one message of this kind and purpose from sender to recipient."""
        bound = join_parts(
            "private-join sealed", self._context.digest, kind, purpose, sender, recipient
        )
        return self._party.pair_key(other, bound), bound

    def _owns(self, shape: tuple[int, int]) -> None:
        """Refuse a list of who has none, of impossible size, or of two sizes."""
        self._is_department(self._own_name)
        check_shape(*shape)
        with self._lock:
            if self._shape not in (None, shape):
                raise bad_message("a list has two sizes")
            self._shape = shape

    def _is_department(self, name: str) -> None:
        if name not in self._departments:
            raise bad_message("a list of a party that holds no data")

    def _once(self, *step: str) -> None:
        with self._lock:
            if step in self._done:
                raise ProtocolError("X002", detail="a step came twice")
            self._done.add(step)


def _number(value: int) -> bytes:
    if not 0 <= value < _SIDES_MAX:
        raise bad_message("a side is not valid")
    return value.to_bytes(4, "big")


def _check_purpose(purpose: str) -> None:
    if _PURPOSE.fullmatch(purpose) is None:
        raise bad_message("a purpose is not valid")
