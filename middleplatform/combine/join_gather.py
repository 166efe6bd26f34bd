"""Private join, the gateway's work: the lists of one side, put together as their parts arrive.

Every array has its place before the first part comes, and a part is copied there and let go of, so that no list is
ever in memory twice.

Spec: docs/spec/private-join.md.

Reveals:
    Nothing beyond what the lists show the gateway.
"""

from collections.abc import Callable, Mapping

import numpy as np

from middleplatform.combine.join_match import Places, SideList, Tokens
from middleplatform.errors import ProtocolError
from middleplatform.model.join import Side
from middleplatform.model.query import JoinKind
from middleplatform.wire.join_lists import TOKEN_BYTES, ListHead, ListPart
from middleplatform.wire.join_lists import Tokens as RawTokens

__all__ = ["Gathering"]

_ROWS_MAX = 1 << 31


class Gathering:
    """One side's lists on their way in.

    Args:
        side: As planned.
        heads: Of its departments, all of them.
        blinded: Tokens come by themselves, one for each key, and rows say which is theirs.

    Raises:
        ProtocolError: X001 where heads of one side do not fit each other, or the side has more than 2**31 rows.
    """

    def __init__(self, side: Side, heads: Mapping[str, ListHead], *, blinded: bool = False) -> None:
        self.side = side
        self._names = side.departments
        counts = [heads[name].rows for name in self._names]
        self.starts = tuple([sum(counts[:place]) for place in range(len(counts) + 1)])
        rows = self.starts[-1]
        if rows >= _ROWS_MAX:
            raise ProtocolError("X001", detail="a side with too many rows")
        missing = _missing(side, heads)
        labels = {code for name in self._names for code in heads[name].codes}
        self.labels = tuple(sorted(labels | ({missing} if missing else set())))
        places = {code: place for place, code in enumerate(self.labels)}
        self._missing = places[missing] if missing else -1
        self._own = {
            name: np.array([places[code] for code in heads[name].codes] or [0], dtype=np.uint32)
            for name in self._names
        }
        self._tokens: Tokens = np.empty((rows, 2), dtype=np.uint64)
        self._places: Places = np.empty(rows if blinded else 0, dtype=np.uint32)
        self._blinded = blinded
        self._codes: Places = np.empty(rows, dtype=np.uint32)
        self._seconds = tuple([np.empty((rows, 2), dtype=np.uint64) for _ in side.keys])
        width = sum(word.limbs for word in side.words)
        self._words: Tokens = np.empty((rows, width), dtype=np.uint64)

    def taker(self, name: str) -> Callable[[int, ListPart], None]:
        """Return what copies the parts of a department's list to their place.

        Args:
            name: Whose.

        Raises:
            ProtocolError: X001 by what is returned, for a part with tokens where they are blinded, or without.
        """
        begin = self.starts[self._names.index(name)]
        own = self._own[name]

        def take(first: int, part: ListPart) -> None:
            rows = int(part.words.shape[0])
            here = slice(begin + first, begin + first + rows)
            if (part.tokens.shape[0], part.places.size) != (
                (0, rows) if self._blinded else (rows, 0)
            ):
                raise ProtocolError("X001", detail="a part of another protocol")
            self._words[here] = part.words
            self._codes[here] = own[part.codes]
            for kept, tokens in zip(self._seconds, part.seconds, strict=True):
                kept[here] = _pairs(tokens)
            if self._blinded:
                self._places[here] = part.places
            else:
                self._tokens[here] = _pairs(part.tokens)

        return take

    def put_tokens(self, name: str, tokens: RawTokens) -> None:
        """Give the rows of a department's whole list their doubly blinded tokens.

        Args:
            name: Whose.
            tokens: uint8, shape (keys, 16), one for each key of the list.

        Raises:
            ProtocolError: X001 for another number of tokens than the rows name.
        """
        place = self._names.index(name)
        here = slice(self.starts[place], self.starts[place + 1])
        named = self._places[here]
        if int(named.max(initial=0)) + bool(named.size) != tokens.shape[0]:
            raise ProtocolError("X001", detail="tokens of other keys")
        self._tokens[here] = _pairs(tokens)[named]

    def list(self) -> SideList:
        """Return the side, all parts of which have come."""
        return SideList(
            self.side.kind,
            self.side.unique,
            self._tokens,
            self._codes,
            self.labels,
            self._missing,
            self.starts,
            self._seconds,
            self._words,
        )


def _pairs(tokens: RawTokens) -> Tokens:
    return np.ascontiguousarray(tokens).view("<u8").reshape(-1, TOKEN_BYTES // 8)


def _missing(side: Side, heads: Mapping[str, ListHead]) -> bytes:
    """Return the code of the label of keys without a match, on which all departments of a side agree."""
    (missing, *others) = {heads[name].missing for name in side.departments}
    needed = side.kind is JoinKind.LEFT and bool(side.dimensions)
    if others or bool(missing) != needed:
        raise ProtocolError("X001", detail="no label, or several, for keys without a match")
    return missing
