"""Secure sum, the department's side: totals show, summands do not.

The caller carries the messages; this module does no input or output. The order of a round::

    start -> Hello          to all, through the gateway
    agree <- all Hellos     leader -> SealedKey for every other department
    accept_label_key        every department but the leader
    code_list -> CodeList   to the gateway, which answers with the union of all codes
    mask -> MaskedVector    once for each phase
    reveal -> LabelList     of the codes that survived

Any refusal in the key agreement ends the party: a retry is a new attempt with fresh keys.
Imported by node.
Spec: docs/spec/secure-sum.md.
"""

import hmac
from collections.abc import Sequence
from enum import Enum
from threading import Lock
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from middleplatform.crypto.encoding import bad_message, join_parts, tagged_digest
from middleplatform.crypto.hazmat.masks import add_masks
from middleplatform.crypto.hazmat.pair_keys import (
    SECRET_BYTES,
    open_once,
    pair_secret,
    seal_once,
    single_use_key,
    single_use_keys,
)
from middleplatform.crypto.identity import SIGNATURE_BYTES, IdentityKey, PinnedKeys
from middleplatform.crypto.messages import (
    CODE_BYTES,
    LABEL_BYTES_MAX,
    WORDS_MAX,
    CodeList,
    Hello,
    LabelList,
    MaskedVector,
    SealedKey,
    check_codes,
    check_phase,
    check_senders,
    signed,
)
from middleplatform.crypto.round_context import DIGEST_BYTES, JOIN_SUITE, SUITE, RoundContext
from middleplatform.crypto.used_rounds import UsedRounds
from middleplatform.errors import ProtocolError
from middleplatform.ports import Rng

__all__ = ["Party", "agreed_digest"]

_UNSIGNED = bytes(SIGNATURE_BYTES)


class _Stage(Enum):
    HELLO = "hello sent"
    KEYED = "pairwise keys agreed, label key awaited"
    READY = "label key known"
    ENDED = "refused"


def agreed_digest(*told: bytes) -> bytes:
    """Return the 32-byte digest of what the gateway told every department for one phase.

    Departments that were told different things derive different masks, which do not cancel: a
    gateway that lies to one of them gets noise instead of that one's values.

    Args:
        told: Canonical bytes, e.g. the joined codes; for the share ladder codes, totals and ladder.
    """
    return tagged_digest("middleplatform secure-sum agreed v1", *told)


class Party:
    """One department in one round; neither copied nor pickled nor started twice.

    Made by ``start``. Its representation shows names and stage only.
    """

    def __init__(
        self,
        context: RoundContext,
        own_name: str,
        identity: IdentityKey,
        rng: Rng,
        departments: Sequence[str],
    ) -> None:
        self._context, self._own_name, self._identity = context, own_name, identity
        self._departments, self._leader = frozenset(departments), min(departments)
        self._lock = Lock()
        self._stage = _Stage.HELLO
        self._label_key = rng.token_bytes(SECRET_BYTES) if own_name == self._leader else b""
        self._exchange_key: X25519PrivateKey | None = X25519PrivateKey.from_private_bytes(
            rng.token_bytes(SECRET_BYTES)
        )
        public = self._exchange_key.public_key().public_bytes_raw()
        self._hello = signed(Hello(context.digest, own_name, _UNSIGNED, public), identity)
        self._pins = PinnedKeys({})
        self._pair_secrets: dict[str, bytes] = {}
        self._labels: dict[bytes, bytes] | None = None
        self._done: set[str] = set()

    def __repr__(self) -> str:
        return f"Party({self._own_name!r}, {self._context.query_id!r}, {self._stage.value})"

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
        departments: Sequence[str] | None = None,
    ) -> tuple["Party", Hello]:
        """Claim the round, then draw a fresh exchange key.

        Args:
            context: The round, checked by the caller against its own fragment, layout and policy.
            own_name: This department's name in the cohort.
            identity: This department's key.
            rng: Gives 32 bytes for the exchange key and, to the leader, 32 for the label key.
            used: The department's record of rounds; durable before this method returns.
            departments: Of a private join only: who of the cohort holds data, and so gets the label
                key; strictly ascending, the first of them leads. A secure sum has no others.

        Returns:
            The party, and the hello for all departments of the cohort.

        Raises:
            ProtocolError: X001 when the department is not in the cohort, for a context of another
                protocol and for ``departments`` outside the cohort; X002 when the round, or its
                query id with another cohort, was used before.

        Reveals:
            To all: that the department takes part.
        """
        if own_name not in context.cohort:
            raise bad_message("this department is not in the cohort")
        if context.suite != (SUITE if departments is None else JOIN_SUITE):
            raise bad_message("a round context is of another protocol")
        holders = context.cohort if departments is None else tuple(departments)
        several = len(holders) > 1 and holders == tuple(sorted(set(holders)))
        if not several or not set(holders) <= set(context.cohort):
            raise bad_message("the departments of a round are not of its cohort")
        used.claim(context)
        party = cls(context, own_name, identity, rng, holders)
        return party, party._hello

    def agree(self, hellos: Sequence[Hello], pins: PinnedKeys) -> dict[str, SealedKey]:
        """Verify all hellos and derive the pairwise secrets.

        Args:
            hellos: One of each department, the own one included, in any order.
            pins: Identity keys of the whole cohort, from enrolment.

        Returns:
            For the leader one sealed label key for each other department, by name; else empty.

        Raises:
            ProtocolError: X001 for a missing, extra, doubled, foreign or forged hello or an
                exchange key of small order; X002 when called before. Both end the party.

        Reveals:
            To the gateway: nothing. To each other department: the label key. To a party of the
            cohort that holds no data: nothing.
        """
        self._leave(_Stage.HELLO)
        check_senders(self._context, hellos, pins)
        if self._hello not in hellos:
            raise bad_message("the own hello was replaced")
        self._pins = pins
        self._derive(sorted(hellos, key=lambda hello: hello.sender))
        if self._own_name != self._leader:
            self._stage = _Stage.KEYED
            return {}
        self._stage = _Stage.READY
        return {
            name: self._seal_for(name) for name in self._pair_secrets if name in self._departments
        }

    def _derive(self, hellos: Sequence[Hello]) -> None:
        transcript = tagged_digest(
            "middleplatform secure-sum hellos v1", *(hello.to_bytes() for hello in hellos)
        )
        private_key, self._exchange_key = self._exchange_key, None
        assert private_key is not None
        for hello in hellos:
            if hello.sender != self._own_name:
                low, high = sorted((self._own_name, hello.sender))
                info = join_parts("secure-sum pair", self._context.digest, low, high)
                self._pair_secrets[hello.sender] = pair_secret(
                    private_key, hello.exchange_key, transcript, info
                )

    def _seal_for(self, recipient: str) -> SealedKey:
        key, bound = self._sealing(recipient, self._pair_secrets[recipient])
        sealed = seal_once(key, self._label_key, bound)
        message = SealedKey(self._context.digest, self._own_name, _UNSIGNED, recipient, sealed)
        return signed(message, self._identity)

    def _sealing(self, recipient: str, secret: bytes) -> tuple[bytes, bytes]:
        """Return key and associated data of the one sealed key that goes to ``recipient``."""
        bound = join_parts("secure-sum label key", self._context.digest, self._leader, recipient)
        return single_use_key(secret, bound), bound

    def accept_label_key(self, sealed: SealedKey) -> None:
        """Open the leader's label key.

        Raises:
            ProtocolError: X001 when it is not the leader's for this department and round, or this
                party holds no data; X002 when a label key is already known. All end the party.

        Reveals:
            Nothing.
        """
        self._leave(_Stage.KEYED)
        sealed.check(self._context, self._pins)
        if sealed.sender != self._leader or sealed.recipient != self._own_name:
            raise bad_message("a sealed key is for somebody else")
        if self._own_name not in self._departments:
            raise bad_message("a label key was sent to a party that holds no data")
        key, bound = self._sealing(self._own_name, self._pair_secrets[sealed.sender])
        self._label_key = open_once(key, sealed.sealed, bound)
        self._stage = _Stage.READY

    def group_key(self, *purpose: bytes | str) -> bytes:
        """Return 32 bytes that all departments of the round know, and nobody else, for ``purpose``.

        Args:
            purpose: What the key is for; two uses must differ in it.

        Raises:
            ProtocolError: X001 before the label key is known.

        Reveals:
            Nothing, as long as it stays here.
        """
        self._require_ready()
        return single_use_key(self._label_key, "group key", self._context.digest, *purpose)

    def pair_key(self, other: str, *purpose: bytes | str) -> bytes:
        """Return 32 bytes that this party and ``other`` know, and nobody else, for ``purpose``.

        Args:
            other: Another name of the cohort.
            purpose: What the key is for; two uses must differ in it.

        Raises:
            ProtocolError: X001 before the keys are agreed, after a refusal, and for a stranger.

        Reveals:
            Nothing, as long as it stays here.
        """
        if self._stage not in (_Stage.KEYED, _Stage.READY) or other not in self._pair_secrets:
            raise bad_message("there is no key with that party")
        return single_use_key(self._pair_secrets[other], "pair key", self._context.digest, *purpose)

    def label_codes(self, labels: Sequence[bytes]) -> list[bytes]:
        """Return the 16-byte keyed code of each label: HMAC-SHA256, cut.

        Args:
            labels: Canonical bytes of the group labels, at most 4096 each; equal labels have equal
                bytes in all departments.

        Returns:
            Codes in the order of ``labels``.

        Raises:
            ProtocolError: X001 before the label key is known or for a label that is too long.

        Reveals:
            A code tells who has no label key only whether two labels are equal. Any department can
            try labels against it.
        """
        self._require_ready()
        if any(len(label) > LABEL_BYTES_MAX for label in labels):
            raise bad_message("a label is too long")
        key = single_use_key(self._label_key, "secure-sum codes", self._context.digest)
        return [hmac.digest(key, label, "sha256")[:CODE_BYTES] for label in labels]

    def code_list(self, labels: Sequence[bytes]) -> CodeList:
        """Return the codes of all groups of this department, sorted, for the gateway.

        Args:
            labels: One for each group, each once.

        Raises:
            ProtocolError: X001 as ``label_codes``, or for a repeated label; X002 when called
                before: two lists of one department show which groups came or went.

        Reveals:
            To the gateway: how many groups this department has, and which codes others have too.
        """
        codes = self.label_codes(labels)
        named = dict(zip(codes, labels, strict=True))
        if len(named) != len(codes):
            raise bad_message("a label stands twice")
        unsigned = CodeList(self._context.digest, self._own_name, _UNSIGNED, tuple(sorted(named)))
        self._once("code list")
        self._labels = named
        return signed(unsigned, self._identity)

    def place(self, labels: Sequence[bytes], codes: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """Return where each label's cell stands among all cells.

        Args:
            labels: This department's labels in the order of its cells.
            codes: The union of all codes, as the gateway sent it: strictly ascending.

        Returns:
            Positions in ``codes``, shape ``(labels,)``.

        Raises:
            ProtocolError: X001 when ``codes`` is not valid or lacks one of this department's.

        Reveals:
            Nothing.
        """
        check_codes(codes)
        position = {code: at for at, code in enumerate(codes)}
        own = self.label_codes(labels)
        if any(code not in position for code in own):
            raise bad_message("the gateway dropped a code")
        return np.array([position[code] for code in own], dtype=np.int64)

    def mask(self, words: npt.NDArray[np.uint64], *, phase: str, agreed: bytes) -> MaskedVector:
        """Return ``words`` under the masks of all pairs, modulo 2**64.

        Args:
            words: Shape ``(words,)``, dtype uint64, 1 to 2**26 of them, as ``WordLayout.encode``
                made them; not changed.
            phase: Name of the phase, 1 to 32 characters of ``a-z 0-9 -``. **Once a party and
                phase**: two vectors under one mask give their difference away.
            agreed: 32 bytes, ``agreed_digest`` of what the gateway told for this phase.

        Raises:
            ProtocolError: X001 before the label key is known or for words of another shape or
                type; X002 when the phase was masked before.

        Reveals:
            To the gateway: the number of words; with the vectors of **all** others, told the same,
            the sums. To all but one of the cohort together with the gateway: that one's words.
        """
        self._require_ready()
        check_phase(phase)
        if words.dtype != np.uint64 or words.ndim != 1 or not 1 <= words.size <= WORDS_MAX:
            raise bad_message("words to mask are not valid")
        if len(agreed) != DIGEST_BYTES:
            raise bad_message("an agreed digest is not valid")
        self._once(f"phase {phase}")
        masked = np.array(words, dtype="<u8", order="C")
        keys = self._mask_keys(phase, agreed, words.size)
        add_masks(
            masked,
            adding=[key for name, key in keys.items() if self._own_name < name],
            subtracting=[key for name, key in keys.items() if self._own_name > name],
        )
        return signed(
            MaskedVector(
                self._context.digest, self._own_name, _UNSIGNED, phase, agreed, masked.tobytes()
            ),
            self._identity,
        )

    def _mask_keys(self, phase: str, agreed: bytes, count: int) -> dict[str, bytes]:
        # The label key takes part: a leader that gave two departments different ones, to tell
        # their cells apart, gets masks that do not cancel.
        confirmation = single_use_key(
            self._label_key, "secure-sum confirmation", self._context.digest
        )
        told = (phase, agreed, confirmation, count.to_bytes(8, "big"))
        keys = single_use_keys(
            list(self._pair_secrets.values()), "secure-sum mask", self._context.digest, *told
        )
        return dict(zip(self._pair_secrets, keys, strict=True))

    def reveal(self, codes: Sequence[bytes]) -> LabelList:
        """Return the labels of those ``codes`` that are this department's own.

        Args:
            codes: Codes that survived disclosure control, strictly ascending.

        Raises:
            ProtocolError: X001 before ``code_list`` or when ``codes`` is not valid; X002 when
                called before.

        Reveals:
            To the gateway: the labels of these codes, whatever their totals are: what a node
            checks before it calls this is the node's business.
        """
        check_codes(codes)
        if self._labels is None:
            raise bad_message("labels are asked for too early")
        self._once("reveal")
        own = tuple(code for code in codes if code in self._labels)
        labels = tuple(self._labels[code] for code in own)
        unsigned = LabelList(self._context.digest, self._own_name, _UNSIGNED, own, labels)
        return signed(unsigned, self._identity)

    def _require_ready(self) -> None:
        if self._stage is not _Stage.READY:
            raise bad_message("the keys are not agreed")

    def _leave(self, stage: _Stage) -> None:
        """Leave ``stage`` for good; who fails on the way to the next stays ended."""
        with self._lock:
            expected, self._stage = self._stage is stage, _Stage.ENDED
        if not expected:
            raise ProtocolError("X002", detail="a step came twice or out of order")

    def _once(self, step: str) -> None:
        with self._lock:
            if step in self._done:
                raise ProtocolError("X002", detail="a step came twice")
            self._done.add(step)
