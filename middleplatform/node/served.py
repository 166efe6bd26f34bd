"""Which fragments a node has served: none is served twice, also not after a restart or a kill.

A fragment is known by query id, number and attempt. All fragments of one query come with one policy
digest, purpose, project and subject: a gateway cannot mix two people's grants under one query.

What may be forgotten: a fragment is refused elsewhere (X005) unless it was issued within ``window_s``
of now, so one issued longer ago need not be remembered. The *horizon*, the time up to which rows were
forgotten, is kept too, and nothing issued before it is taken: a clock that is set back opens nothing.

Reveals: to who sends a fragment: that it came before, or that its query came with something else.

Spec: docs/spec/node.md, "Checks, in order".
"""

import hashlib
import json
import os
import re
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Self

from middleplatform.errors import ConfigError, MiddleplatformError, ProtocolError
from middleplatform.model.plan import Fragment
from middleplatform.ports import Clock

__all__ = ["WINDOW_S", "ServedFragments"]

WINDOW_S = 300
"""Seconds by which clocks may differ; of X005."""

_BUSY_TIMEOUT_S = 5.0
_QUERY_ID = re.compile(r"[A-Za-z0-9_.:+-]{1,128}")
_NUMBER_MAX = 2**31


def _statements() -> dict[str, str]:
    text = files("middleplatform.node").joinpath("served.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): body.strip() for name, _, body in parts}


_SQL = _statements()


@dataclass(frozen=True, slots=True)
class _Claim:
    """A fragment that waits to be taken; the future holds why it was refused, or None."""

    query_id: str
    number: int
    attempt: int
    binding: bytes
    issued: int
    done: "Future[MiddleplatformError | None]" = field(default_factory=Future)


class ServedFragments:
    """A file, readable by its owner only, that ``crypto.used_rounds`` may share; for many threads.

    Args:
        path: The file; made where missing. None keeps it in memory: for tests, and for one process
            that never restarts.
        clock: Says what may be forgotten.
        window_s: Seconds either side of now within which fragments are taken.

    Raises:
        ConfigError: C011 when it cannot be opened or made.
    """

    def __init__(self, path: Path | None, clock: Clock, window_s: int = WINDOW_S) -> None:
        self._clock, self._window_s = clock, window_s
        self._commit, self._gate = threading.Lock(), threading.Lock()
        self._waiting: list[_Claim] = []
        self._forget_at = 0
        try:
            if path is not None:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._database = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False,
            )  # fmt: skip
            self._database.execute("PRAGMA journal_mode=WAL")
            # FULL: with WAL every commit is on the disk before it returns, not just ordered.
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SQL["create"])
        except (OSError, sqlite3.Error) as error:
            raise _refused(error) from None

    def claim(self, fragment: Fragment) -> None:
        """Take a fragment; it is on the disk before return. Threads that wait share one commit.

        Args:
            fragment: Signed by the gateway; its time was judged already.

        Raises:
            ProtocolError: X002 served before, or issued before what is remembered; X001 malformed,
                or its query came with another policy digest, purpose, project, subject or template.
            ConfigError: C011 when the file refuses the entry: then no answer may be given.

        Reveals:
            To who sends it: which of these.
        """
        claim = _claim(fragment)
        with self._gate:
            self._waiting.append(claim)
        with self._commit:
            if not claim.done.done():  # else another thread took it along
                with self._gate:
                    batch, self._waiting = self._waiting, []
                self._take(batch)
        refusal = claim.done.result()
        if refusal is not None:
            raise refusal

    def _take(self, batch: Sequence[_Claim]) -> None:
        """Commit a batch and tell each claim; when the disk refuses, none of it was taken."""
        try:
            refusals: Sequence[MiddleplatformError | None] = self._transaction(batch)
        except BaseException as error:
            refusals = [_refused(error) for _ in batch]
            if not isinstance(error, Exception):
                raise
        finally:  # no claim may wait for ever, whatever happened
            for claim, refusal in zip(batch, refusals, strict=True):
                claim.done.set_result(refusal)

    def _transaction(self, batch: Sequence[_Claim]) -> list[ProtocolError | None]:
        run = self._database.execute
        run("BEGIN IMMEDIATE")
        try:
            self._forget(max(claim.issued for claim in batch))
            (horizon,) = run(_SQL["horizon"]).fetchone()
            refusals = [self._insert(claim, horizon) for claim in batch]
            run("COMMIT")
        finally:
            if self._database.in_transaction:
                with suppress(sqlite3.Error):  # the first error says more
                    run("ROLLBACK")
        return refusals

    def _forget(self, latest: int) -> None:
        """Forget, now and then, what is too old; neither our clock nor a fragment's alone decides."""
        now = min(int(self._clock.now().timestamp()), latest)
        if now < self._forget_at:
            return
        horizon = now - 2 * self._window_s
        for name in ("forget_fragments", "forget_queries", "advance"):
            self._database.execute(_SQL[name], (horizon,))
        self._forget_at = now + self._window_s

    def _insert(self, claim: _Claim, horizon: int) -> ProtocolError | None:
        run = self._database.execute
        if claim.issued < horizon:
            return ProtocolError("X002", detail="a fragment older than what is remembered")
        run(_SQL["bind"], (claim.query_id, claim.binding, claim.issued))
        (binding,) = run(_SQL["binding"], (claim.query_id,)).fetchone()
        if binding != claim.binding:
            return ProtocolError("X001", detail="a query came back with another policy or subject")
        key = (claim.query_id, claim.number, claim.attempt)
        if run(_SQL["take"], (*key, claim.issued)).rowcount != 1:
            return ProtocolError("X002", detail="a fragment came twice")
        return None

    def close(self) -> None:
        """Close the file; ``claim`` fails from now on."""
        with self._commit:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _claim(fragment: Fragment) -> _Claim:
    """Read what a claim needs; the text may hold anything that JSON can.

    Raises:
        ProtocolError: X001.
    """
    query_id, numbers = str(fragment.query_id), (fragment.number, fragment.attempt)
    named = _QUERY_ID.fullmatch(query_id)
    if not named or any(type(each) is not int or not 0 <= each < _NUMBER_MAX for each in numbers):
        raise ProtocolError("X001", detail="a malformed fragment")
    return _Claim(query_id, *numbers, _binding(fragment), _seconds(fragment.issued_at))


def _binding(fragment: Fragment) -> bytes:
    """Return SHA-256 over what all fragments of a query have in common."""
    subject = fragment.subject
    bound = [
        fragment.policy_digest,
        fragment.purpose,
        fragment.project,
        [subject.id, subject.department, sorted(map(str, subject.roles)), list(subject.regions)],
        *([fragment.template] if fragment.template else []),
    ]
    return hashlib.sha256(json.dumps(bound, separators=(",", ":")).encode()).digest()


def _seconds(issued_at: str) -> int:
    """Return seconds since 1970, rounded down.

    Raises:
        ProtocolError: X001 when it is no aware moment.
    """
    try:
        moment = datetime.fromisoformat(issued_at)
        seconds = int(moment.timestamp() // 1)
    except (ValueError, TypeError, OverflowError):
        moment, seconds = None, 0
    if moment is None or moment.tzinfo is None:
        raise ProtocolError("X001", detail="a fragment without a time")
    return seconds


def _refused(error: BaseException) -> ConfigError:
    what = ("the record of served fragments", "已执行片段的记录")
    return ConfigError("C011", what=what, detail=str(error))
