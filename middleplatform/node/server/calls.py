"""What a gateway may call, and how each call's message becomes a method's arguments and its result a reply.

Reveals:
    To the gateway: what the node and the round of each call reveal.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event

from middleplatform.crypto.encoding import bad_message
from middleplatform.node.join_round import JoinRounds
from middleplatform.node.secure_round import SecureRounds
from middleplatform.node.service import Node
from middleplatform.wire.frame import Message, pack, unpack

__all__ = ["CALLS", "Reply", "Served", "forget"]

_HELLOS_MAX = 10_000
_CODES_MAX = 1 << 22
_KEY_MAX = 200
_NAME_MAX = 200
_TOTALS_BYTES_MAX = 1 << 26


@dataclass(frozen=True)
class Served:
    """What the calls are served by.

    Attributes:
        node: For local answers.
        rounds: For secure sums.
        status: Tells how the node is.
        accept_roster: Takes a new roster.
        joins: For private joins; a node without takes part in none.
    """

    node: Node
    rounds: SecureRounds
    status: Callable[[], Mapping[str, object]]
    accept_roster: Callable[[bytes], None]
    joins: JoinRounds | None = None

    @property
    def joined(self) -> JoinRounds:
        """Return what serves private joins.

        Raises:
            ProtocolError: X001 at a node that takes part in none.

        Reveals:
            That.
        """
        if self.joins is None:
            raise bad_message("this node takes part in no private join")
        return self.joins


@dataclass(frozen=True)
class Reply:
    """What a call answers; ``digests`` as in ``wire.frame.Message``."""

    fields: Mapping[str, object]
    parts: tuple[bytes, ...] = ()
    digests: tuple[str, ...] = ()


def _answer(served: Served, asked: Message, stop: Event) -> Reply:
    found = served.node.answer(asked.part(0), asked.part(1), stop)
    if found.sealed:
        return Reply({"receipt": found.receipt}, (found.payload, found.sealed))
    return Reply({"receipt": found.receipt}, (found.payload,), (found.result_digest,))


def _hello(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    return Reply({}, (served.rounds.hello(asked.part(0), asked.part(1)),))


def _agree(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    sealed = served.rounds.agree(_key(asked), unpack(asked.part(0), _HELLOS_MAX))
    return Reply({"names": list(sealed)}, (pack(list(sealed.values())),))


def _codes(served: Served, asked: Message, stop: Event) -> Reply:
    sealed = asked.part(0) if asked.parts else None
    return Reply({}, (served.rounds.codes(_key(asked), sealed, stop),))


def _cells(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    return Reply({}, (served.rounds.cells(_key(asked), unpack(asked.part(0), _CODES_MAX)),))


def _ladder(served: Served, asked: Message, stop: Event) -> Reply:
    return Reply({}, (served.rounds.ladder(_key(asked), _totals(asked.part(0)), stop),))


def _reveal(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    labels, receipt = served.rounds.reveal(_key(asked), unpack(asked.part(0), _CODES_MAX))
    return Reply({"receipt": receipt}, (labels,))


def _sealing_key(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    served.node.take_key(asked.part(0))
    return Reply({})


def _seal(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    codes = unpack(asked.part(0), _CODES_MAX)
    return Reply({}, (served.rounds.seal(_key(asked), codes, asked.part(1)),))


def _drop(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    served.rounds.drop(_key(asked))
    if served.joins is not None:
        served.joins.drop(_key(asked))
    return Reply({})


def forget(served: Served, asked: Message) -> None:
    """Forget the round of a call whose caller has gone: the reply is lost, so nobody can go on with it.

    Args:
        served: What the calls are served by.
        asked: The call.

    Reveals:
        Nothing.
    """
    if "key" in asked.fields:
        _drop(served, asked, Event())


def _join_open(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    return Reply({}, (served.joined.join_open(asked.part(0), asked.part(1)),))


def _join_agree(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    sealed = served.joined.join_agree(_key(asked), unpack(asked.part(0), _HELLOS_MAX))
    return Reply({"names": list(sealed)}, (pack(list(sealed.values())),))


def _join_list(served: Served, asked: Message, stop: Event) -> Reply:
    sealed = asked.part(0) if asked.parts else None
    return Reply({}, (served.joined.join_list(_key(asked), sealed, stop),))


def _join_rows(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    return Reply({}, (served.joined.join_rows(_key(asked), _whole(asked, "part")),))


def _join_points(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    return Reply({}, (served.joined.join_points(_key(asked)),))


def _join_blind(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    found = served.joined.join_blind(_key(asked), asked.text("owner"), asked.part(0))
    return Reply({}, (found,))


def _join_sums(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    found = served.joined.join_sums(_key(asked), _whole(asked, "side"), asked.part(0))
    return Reply({}, (found,))


def _join_seal(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    return Reply({}, (served.joined.join_seal(_key(asked), asked.part(0)),))


def _join_reveal(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    labels, receipt = served.joined.join_reveal(_key(asked), unpack(asked.part(0), _CODES_MAX))
    return Reply({"receipt": receipt}, (labels,))


def _budget(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    project, analyst = asked.text("project"), asked.text("analyst")
    if max(len(project), len(analyst)) > _NAME_MAX:
        raise bad_message("a name is too long")
    found = served.node.budgets(project, analyst)
    return Reply({"budgets": [each.to_mapping() for each in found]})


def _policy(served: Served, asked: Message, stop: Event) -> Reply:
    """Take a published version; without one, tell which is held."""
    del stop
    if asked.parts:
        served.node.take_policy(asked.part(0), asked.part(1))
    return Reply({"number": _held(served)})


def _grants(served: Served, asked: Message, stop: Event) -> Reply:
    del stop
    served.node.take_grants(asked.part(0), asked.part(1))
    return Reply({"number": _held(served)})


def _held(served: Served) -> int:
    policies = served.node.policies
    return 0 if policies is None else policies.number


def _status(served: Served, asked: Message, stop: Event) -> Reply:
    del asked, stop
    return Reply(served.status())


CALLS: Mapping[str, Callable[[Served, Message, Event], Reply]] = {
    "answer": _answer,
    "hello": _hello,
    "agree": _agree,
    "codes": _codes,
    "cells": _cells,
    "ladder": _ladder,
    "reveal": _reveal,
    "sealing_key": _sealing_key,
    "seal": _seal,
    "join_open": _join_open,
    "join_agree": _join_agree,
    "join_list": _join_list,
    "join_rows": _join_rows,
    "join_points": _join_points,
    "join_blind": _join_blind,
    "join_sums": _join_sums,
    "join_seal": _join_seal,
    "join_reveal": _join_reveal,
    "drop": _drop,
    "budget": _budget,
    "policy": _policy,
    "grants": _grants,
    "status": _status,
}
"""By name, as in the address of a call."""


def _key(asked: Message) -> str:
    """Return the name of a round; a node keeps some that were dropped, so they are short."""
    key = asked.text("key")
    if len(key) > _KEY_MAX:
        raise bad_message("a round's name is too long")
    return key


def _whole(asked: Message, name: str) -> int:
    """Return a field that must be a whole number, not below 0."""
    value = asked.fields.get(name)
    if type(value) is not int or value < 0:
        raise bad_message(f"field {name} is no whole number")
    return value


def _totals(raw: bytes) -> list[list[int]]:
    """Read what the rungs of a share ladder are percents of: lists of whole numbers, nothing else."""
    if len(raw) > _TOTALS_BYTES_MAX:
        raise bad_message("totals are too long")
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        raise bad_message("totals are not valid") from None
    good = isinstance(told, list) and all(
        isinstance(each, list) and all(type(value) is int for value in each) for each in told
    )
    if not good:
        raise bad_message("totals are not valid")
    return told  # type: ignore[no-any-return]  # JSON, checked above
