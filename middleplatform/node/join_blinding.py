"""A department's part in the blinded protocol: its own points, and the points of others that come by.

Points travel between departments sealed under their pair's key: a gateway that could read or make them would try
identifiers. Spec: docs/spec/private-join-blinded.md.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from middleplatform.crypto.blinded import (
    POINT_BYTES,
    BlindKey,
    blind,
    blind_again,
    check_points,
    route,
    tokens,
)
from middleplatform.crypto.curve_workers import CurveWork
from middleplatform.crypto.join_party import JoinParty
from middleplatform.errors import ProtocolError
from middleplatform.ports import Rng
from middleplatform.wire.join_lists import Points

__all__ = ["Blinding"]

_TWO = 2


class Blinding:
    """One department's secret numbers in one round.

    Args:
        own_name: Its name.
        departments: All that have a list, in the round's order.
        party: Its keys with the others.
        context: 32 bytes: digest of the round.
        rng: Gives the numbers.
    """

    def __init__(
        self,
        own_name: str,
        departments: Sequence[str],
        party: JoinParty,
        context: bytes,
        rng: Rng,
    ) -> None:
        self._own_name, self._departments, self._party = own_name, tuple(departments), party
        self._context = context
        self._key = BlindKey.fresh(rng, context)
        several = len(departments) > _TWO
        self._opening, self._closing = self._key.split(rng) if several else (self._key, self._key)

    def points(self, keys: pa.Array, unit: str, workers: CurveWork) -> bytes:
        """Return the points of the own keys, sealed for the next department.

        Args:
            keys: Distinct, in a secret order.
            unit: What they name.
            workers: Who computes.

        Raises:
            ProtocolError: X002 when called before; X004 for too many keys.

        Reveals:
            To the next department and the gateway: how many there are.
        """
        found = blind(keys, unit, self._opening, workers)
        following = route(self._own_name, self._departments)[0]
        return self._party.seal_for(following, _purpose(self._own_name), found.tobytes())

    def again(
        self, owner: str, side: int, raw: bytes, declared: int | None, workers: CurveWork
    ) -> bytes:
        """Return the points of a list that comes by, under one more key.

        Args:
            owner: Whose list.
            side: Its number.
            raw: As the department before sealed it.
            declared: How many there must be; None for another's list, whose length its sender says.
            workers: Who computes.

        Raises:
            ProtocolError: X001 when the list does not come by here, does not open or has points that are not valid;
                X002 when it came before.

        Reveals:
            To the next department: random points. To the gateway, by the last: tokens.
        """
        way = route(owner, self._departments)
        if self._own_name not in way:
            raise ProtocolError("X001", detail="points that do not come by here")
        at = way.index(self._own_name)
        sender = (owner, *way)[at]
        payload = self._party.open_from(sender, _purpose(owner), raw)
        if len(payload) % POINT_BYTES:
            raise ProtocolError("X001", detail="a list of points is cut short")
        points = np.frombuffer(payload, dtype=np.uint8).reshape(-1, POINT_BYTES)
        points = check_points(points, len(points) if declared is None else declared)
        key = self._closing if owner == self._own_name else self._key
        found = blind_again(points, key, workers)
        if at + 1 == len(way):
            return Points(side, tokens(found, self._context, workers)).to_bytes()
        return self._party.seal_for(way[at + 1], _purpose(owner), found.tobytes())


def _purpose(owner: str) -> str:
    return f"points/{owner}"
