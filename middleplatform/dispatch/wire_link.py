"""A node on another machine: calls as signed messages over a transport.

Spec: docs/spec/node.md, "Messages".
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from middleplatform.crypto.encoding import bad_message
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.dispatch.handed import Handed, Signed
from middleplatform.dispatch.transport import Transport
from middleplatform.errors import ProtocolError
from middleplatform.model.budget import Balance
from middleplatform.model.result import PartialResult
from middleplatform.ports import Clock, Rng
from middleplatform.wire.faults import from_fields
from middleplatform.wire.frame import CALL, REPLY, Message, decode, encode, pack, unpack
from middleplatform.wire.tables import decode_table, sealed_digest

__all__ = ["Caller", "WireLink"]

_LARGE_BYTES = 1 << 18
_GATEWAY = "gateway"
_PARTIES_MAX = 10_000
_DATASETS_MAX = 10_000


@dataclass(frozen=True)
class Caller:
    """What every link of one gateway shares.

    Attributes:
        transport: Carries bytes.
        identity: The gateway's key.
        pins: Of the departments.
        clock: For the moment of each call.
        rng: For nonces.
        deadline_s: Seconds for one call.
        roster: Returns number and bytes of the roster where it is newer than the number given, else None; each node
            is told before its next call.
    """

    transport: Transport
    identity: IdentityKey
    pins: PinnedKeys
    clock: Clock
    rng: Rng
    deadline_s: float
    roster: Callable[[int], tuple[int, bytes] | None] | None = None


class WireLink:
    """One department's node, reached by messages.

    Args:
        department: Its code.
        caller: Shared by all links.
    """

    def __init__(self, department: str, caller: Caller) -> None:
        self.department = department
        self._caller = caller
        self._told = 0
        self.handed = Handed(department, self._held, self._hand_policy, self._hand_grants)

    async def call(self, name: str, parts: Sequence[bytes] = (), **fields: object) -> Message:
        """Send one call and return the reply.

        Args:
            name: Of the call.
            parts: Byte strings.
            **fields: Small values.

        Raises:
            MiddleplatformError: What the node's reply tells, or what the transport raises; X001 for a reply that is
                not this node's to this call.

        Reveals:
            To the node: the call. To the gateway: the reply.
        """
        await self._tell_roster()
        caller = self._caller
        nonce = caller.rng.token_bytes(16).hex()
        at = caller.clock.now().isoformat()
        asked = Message(CALL, name, _GATEWAY, self.department, nonce, at, fields, tuple(parts))
        raw = await caller.transport.call(
            self.department, name, encode(asked, caller.identity), caller.deadline_s
        )
        take = partial(
            decode, raw, caller.pins, kind=REPLY, sender=self.department, receiver=_GATEWAY
        )
        # A large reply is hashed beside the loop, which takes in the others' meanwhile.
        reply = take() if len(raw) < _LARGE_BYTES else await asyncio.to_thread(take)
        if (reply.nonce, reply.name) != (nonce, name):
            raise bad_message("a reply to another call")
        if "error" in reply.fields:
            raise from_fields(reply.fields["error"], self.department)
        return reply

    async def _tell_roster(self) -> None:
        """Hand over a roster that this node was not told of; a node that knows a newer one keeps it."""
        newer = None if self._caller.roster is None else self._caller.roster(self._told)
        if newer is None:
            return
        number, raw = newer
        caller = self._caller
        # No message of ours around it: a node may not know our newest key before it has read this roster.
        await caller.transport.call(self.department, "roster", raw, caller.deadline_s)
        self._told = number

    # --- policy ---------------------------------------------------------------------------------------------------

    async def tell(self) -> None:
        """Hand over documents of the platform that are newer than what the node was handed."""
        await self.handed.up_to_date()

    async def _held(self) -> int:
        return _number(await self.call("policy"))

    async def _hand_policy(self, document: Signed) -> int:
        return _number(await self.call("policy", [document.raw, document.signature]))

    async def _hand_grants(self, document: Signed) -> int:
        return _number(await self.call("grants", [document.raw, document.signature]))

    async def _opening(self, name: str, fragment: bytes, signature: bytes) -> Message:
        """Send a fragment, after what the node must know to judge it; once more where it has lost that."""
        await self.tell()
        try:
            return await self.call(name, [fragment, signature])
        except ProtocolError as error:
            if error.code != "X003" or not await self.handed.lost():
                raise
            refused = error
        await self.tell()
        try:
            return await self.call(name, [fragment, signature])
        except ProtocolError as error:
            # It was judged, and not for want of a document: then the first refusal is the one to tell.
            raise (refused if error.code == "X002" else error) from None

    # --- questions ------------------------------------------------------------------------------------------------

    async def answer(self, fragment: bytes, signature: bytes) -> PartialResult:
        """Answer a fragment all of whose rows lie there; the digest is of the bytes that came."""
        reply = await self._opening("answer", fragment, signature)
        payload, sealed = reply.part(0), reply.part(1) if len(reply.parts) > 1 else b""
        return PartialResult(
            self.department,
            decode_table(payload),
            reply.text("receipt"),
            sealed_digest(*reply.digests[:2]) if sealed else reply.digests[0],
            sealed=sealed,
        )

    async def hello(self, fragment: bytes, signature: bytes) -> bytes:
        """Open a round of secure sum."""
        return (await self._opening("hello", fragment, signature)).part(0)

    async def agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        """Take all hellos; the leader answers with sealed label keys."""
        return await self._agreed("agree", key, hellos)

    async def _agreed(self, name: str, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        reply = await self.call(name, [pack(hellos)], key=key)
        names = reply.fields.get("names")
        sealed = unpack(reply.part(0), _PARTIES_MAX)
        if not isinstance(names, list) or len(names) != len(sealed):
            raise bad_message("sealed keys without names")
        return {str(name): raw for name, raw in zip(names, sealed, strict=True)}

    async def codes(self, key: str, sealed: bytes | None) -> bytes:
        """Run the fragment and return the keyed codes of its groups."""
        return (await self.call("codes", [] if sealed is None else [sealed], key=key)).part(0)

    async def cells(self, key: str, codes: Sequence[bytes]) -> bytes:
        """Return the masked words of all cells."""
        return (await self.call("cells", [pack(codes)], key=key)).part(0)

    async def ladder(self, key: str, totals: Sequence[Sequence[int]]) -> bytes:
        """Return the masked share ladder."""
        told = json.dumps([[int(value) for value in each] for each in totals]).encode()
        return (await self.call("ladder", [told], key=key)).part(0)

    async def reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the labels of surviving codes and a receipt."""
        reply = await self.call("reveal", [pack(codes)], key=key)
        return reply.part(0), reply.text("receipt")

    async def drop(self, key: str) -> None:
        """Forget a round."""
        await self.call("drop", key=key)

    async def sealing_key(self, document: bytes) -> None:
        """Hand over a recipient's public key, before a fragment that names it."""
        await self.call("sealing_key", [document])

    async def seal(self, key: str, codes: Sequence[bytes], released: bytes) -> bytes:
        """Return the encrypted words of these cells; ``released`` has a 1 for each value that may leave."""
        return (await self.call("seal", [pack(codes), released], key=key)).part(0)

    async def budget(self, project: str, analyst: str) -> list[Balance]:
        """Return what a project and an analyst may still spend of each dataset there.

        Raises:
            ProtocolError: X001 the reply is not of that form, or another department's.
        """
        told = (await self.call("budget", project=project, analyst=analyst)).fields.get("budgets")
        if not isinstance(told, list) or len(told) > _DATASETS_MAX:
            raise bad_message("budgets are no list")
        try:
            return [Balance.from_mapping(each, self.department) for each in told]
        except (KeyError, TypeError, ValueError):
            raise bad_message("budgets are not valid") from None

    # --- private joins --------------------------------------------------------------------------------------------

    async def join_open(self, fragment: bytes, signature: bytes) -> bytes:
        """Open a private join; return the party's hello."""
        return (await self._opening("join_open", fragment, signature)).part(0)

    async def join_agree(self, key: str, hellos: Sequence[bytes]) -> Mapping[str, bytes]:
        """Take all hellos; the leader answers with sealed label keys for the other departments."""
        return await self._agreed("join_agree", key, hellos)

    async def join_list(self, key: str, sealed: bytes | None) -> bytes:
        """Run the statement of the department's side and return the head of its list."""
        return (await self.call("join_list", [] if sealed is None else [sealed], key=key)).part(0)

    async def join_rows(self, key: str, part: int) -> bytes:
        """Return a part of the list; each once, in order."""
        return (await self.call("join_rows", key=key, part=part)).part(0)

    async def join_points(self, key: str) -> bytes:
        """Return the blinded points of the own list, sealed for the next department."""
        return (await self.call("join_points", key=key)).part(0)

    async def join_blind(self, key: str, owner: str, raw: bytes) -> bytes:
        """Blind the points of a list; return them sealed for the next department, or the last one's tokens."""
        return (await self.call("join_blind", [raw], key=key, owner=owner)).part(0)

    async def join_sums(self, key: str, side: int, raw: bytes) -> bytes:
        """Return the masks of each group of a side, added up."""
        return (await self.call("join_sums", [raw], key=key, side=side)).part(0)

    async def join_seal(self, key: str, raw: bytes) -> bytes:
        """Return the sums of masks of what is released, under the recipient's key."""
        return (await self.call("join_seal", [raw], key=key)).part(0)

    async def join_reveal(self, key: str, codes: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the labels of surviving codes and a receipt; ends the join."""
        reply = await self.call("join_reveal", [pack(codes)], key=key)
        return reply.part(0), reply.text("receipt")

    async def status(self) -> Mapping[str, object]:
        """Ask how the node is: its policy and catalogue digests, its version, the roster that it knows.

        Reveals:
            To the gateway: these.
        """
        return (await self.call("status")).fields


def _number(reply: Message) -> int:
    """Return the version that a node says it holds."""
    number = reply.fields.get("number")
    if type(number) is not int or number < 0:
        raise bad_message("a version that is no number")
    return number
