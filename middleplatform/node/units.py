"""Numbers for protected units, so that sets of them are compared as arrays of integers and kept as bitmaps.

A node gives each unit of a dataset a number when it first sees it, from 0 on without gaps. With a folder the numbers
are those of all earlier runs and snapshots: a secret of the department makes a token of each identifier, and a file
for each dataset holds tokens in order of their numbers. No identifier lies on disk.
Spec: docs/spec/history.md, "Units".
"""

import os
import secrets
from hashlib import sha256
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from middleplatform.crypto.key_files import key_invalid, read_private, replace_private, write_new
from middleplatform.crypto.unit_tokens import SECRET_BYTES, TOKEN_BYTES, RecordKeys, UnitTokens
from middleplatform.errors import ConfigError
from middleplatform.ports import Rng

__all__ = ["RecordKeys", "UnitNumbers", "Units"]

Units = npt.NDArray[np.int64]
_Tokens = npt.NDArray[np.uint64]
"""Shape (units, 2)."""

_KEY, _FOLDER = "units.key", "units"
_MAGIC = b"middleplatform/1"
_HEAD = len(_MAGIC) + TOKEN_BYTES
_ROOM = 1024


class UnitNumbers:
    """The numbers and record keys of one node's units, by dataset and key; safe between threads.

    Args:
        secret: Of the department, 32 bytes; a random one where not given: then for this run only.
        folder: Existing folder of the files; ``None`` keeps the numbers in memory.
    """

    def __init__(self, secret: bytes | None = None, folder: Path | None = None) -> None:
        self._made = UnitTokens(secret or secrets.token_bytes(SECRET_BYTES))
        self._folder = folder
        self._known: dict[str, _Known] = {}
        self._lock = Lock()

    @staticmethod
    def open(state: Path, rng: Rng) -> "UnitNumbers":
        """Open the numbers under a node's state folder; make the secret where there is none.

        Args:
            state: Existing folder.
            rng: The operating system's generator.

        Raises:
            ConfigError: C006 the secret is of another form, or is missing beside files made with it; C011 the disk.

        Reveals:
            Nothing.
        """
        folder, path = state / _FOLDER, state / _KEY
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if not path.exists():
                if any(folder.iterdir()):
                    raise key_invalid(f"{_KEY} is missing", f"缺少 {_KEY}")
                write_new(path, rng.token_bytes(SECRET_BYTES), rng)
        except OSError as error:
            raise _disk(error) from None
        secret = read_private(path)
        if len(secret) != SECRET_BYTES:
            raise key_invalid(f"{_KEY} has another length", f"{_KEY} 长度不符")
        return UnitNumbers(secret, folder)

    def numbers(self, dataset: str, units: pa.Array | pa.ChunkedArray) -> Units:
        """Return the number of each unit, new ones for those not seen before; these are on disk then.

        Args:
            dataset: Name under which numbers are kept.
            units: Key values, none missing.

        Returns:
            Shape (units,).

        Raises:
            ConfigError: C006 or C011 as ``open``, of the dataset's file.

        Reveals:
            Nothing: for the node's own history.
        """
        found = self._made.tokens(units).view(np.uint64).reshape(-1, 2)
        with self._lock:
            return self._of(dataset).numbers(found)

    def record_keys(self, dataset: str, numbers: Units) -> RecordKeys:
        """Return the record key of each unit: 64 pseudorandom bits, the same in every query, snapshot and run.

        Args:
            dataset: As ``numbers`` was asked.
            numbers: That it gave.

        Returns:
            Shape (numbers,).

        Reveals:
            Nothing: for the node's own cell keys.
        """
        with self._lock:
            found = self._of(dataset).tokens(numbers)
        return self._made.record_keys(found.view(np.uint8))

    def keys_of(self, units: pa.Array | pa.ChunkedArray) -> RecordKeys:
        """Return the record key of each unit, as ``record_keys``, without giving it a number.

        Args:
            units: Key values, none missing.

        Returns:
            Shape (units,).

        Reveals:
            Nothing: for the node's own cell keys.
        """
        return self._made.record_keys(self._made.tokens(units))

    def _of(self, dataset: str) -> "_Known":
        known = self._known.get(dataset)
        if known is None:
            path = None
            if self._folder is not None:
                path = self._folder / f"{sha256(dataset.encode()).hexdigest()[:32]}.tokens"
            known = self._known[dataset] = _Known(path, _MAGIC + self._made.check(dataset))
        return known


class _Known:
    """The tokens of one dataset's units in order of number, with a table to find them by."""

    def __init__(self, path: Path | None, head: bytes) -> None:
        self._path = path
        self._tokens: _Tokens = np.empty((_ROOM, 2), dtype=np.uint64)
        self._count = 0
        self._slots: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        if path is not None:
            kept = _read(path, head)
            self._count = len(kept)
            self._tokens = np.concatenate([kept, self._tokens])
        self._spread()

    def numbers(self, tokens: _Tokens) -> Units:
        found = self._find(tokens)
        missing = np.flatnonzero(found < 0)
        if missing.size:
            asked = np.ascontiguousarray(tokens[missing])
            column = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(TOKEN_BYTES), len(asked), [None, pa.py_buffer(asked)]
            ).dictionary_encode()
            fresh = np.frombuffer(column.dictionary.buffers()[1], dtype=np.uint64)
            fresh = fresh[: 2 * len(column.dictionary)].reshape(-1, 2)
            begin = self._count
            self._add(fresh)
            found[missing] = begin + column.indices.to_numpy()
        return found

    def tokens(self, numbers: Units) -> _Tokens:
        assert not numbers.size or int(numbers.max()) < self._count, "a number never given"
        return self._tokens[numbers]

    def _find(self, tokens: _Tokens) -> Units:
        """Return each token's number, -1 where it has none: all tokens step through the table together."""
        found = np.full(len(tokens), -1, dtype=np.int64)
        mask = np.int64(len(self._slots) - 1)
        open_, place = np.arange(len(tokens)), tokens[:, 0].view(np.int64) & mask
        while open_.size:
            number = self._slots[place] - 1
            taken = number >= 0
            asked, at = tokens[open_], self._tokens[number]
            same = taken & (asked[:, 0] == at[:, 0]) & (asked[:, 1] == at[:, 1])
            found[open_[same]] = number[same]
            further = taken & ~same
            open_, place = open_[further], (place[further] + 1) & mask
        return found

    def _add(self, fresh: _Tokens) -> None:
        """Keep distinct new tokens, on disk first: a number that is given is never another unit's."""
        if self._path is not None:
            _append(self._path, fresh, _HEAD + self._count * TOKEN_BYTES)
        begin, end = self._count, self._count + len(fresh)
        if end > len(self._tokens):
            room = np.empty((max(_ROOM, 2 * end), 2), dtype=np.uint64)
            room[:begin] = self._tokens[:begin]
            self._tokens = room
        self._tokens[begin:end] = fresh
        self._count = end
        if 2 * end > len(self._slots):
            self._spread()
        else:
            self._place(np.arange(begin, end))

    def _spread(self) -> None:
        """Make a table of at least twice as many places as tokens, and some to come."""
        size = 1 << (2 * max(_ROOM, self._count) + self._count // 2).bit_length()
        self._slots = np.zeros(size, dtype=np.int64)
        self._place(np.arange(self._count))

    def _place(self, numbers: Units) -> None:
        mask = np.int64(len(self._slots) - 1)
        place = self._tokens[numbers, 0].view(np.int64) & mask
        while numbers.size:
            free = self._slots[place] == 0
            self._slots[place[free]] = (
                numbers[free] + 1
            )  # of those for one place the last one stays
            lost = self._slots[place] != numbers + 1
            numbers, place = numbers[lost], (place[lost] + 1) & mask


def _read(path: Path, head: bytes) -> _Tokens:
    """Return the tokens of a file; what an interrupted write left at its end was never given out."""
    try:
        if not path.exists():
            replace_private(path, head)
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise _disk(error) from None
    if content[:_HEAD].tobytes() != head:
        raise key_invalid(f"{_KEY} did not make {path.name}", f"{path.name} 不是由 {_KEY} 生成的")
    whole = (len(content) - _HEAD) // TOKEN_BYTES * TOKEN_BYTES
    return content[_HEAD : _HEAD + whole].copy().view(np.uint64).reshape(-1, 2)


def _append(path: Path, fresh: _Tokens, at: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            os.ftruncate(handle, at)  # an earlier write that failed may have left a part
            with os.fdopen(os.dup(handle), "wb") as file:
                file.seek(at)
                file.write(np.ascontiguousarray(fresh).tobytes())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise _disk(error) from None


def _disk(error: OSError) -> ConfigError:
    what = ("the numbers of units", "保护单元的编号")
    return ConfigError("C011", what=what, detail=str(error))
