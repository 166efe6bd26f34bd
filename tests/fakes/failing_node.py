"""A node's program that fails at a step of a private join as a file in its state folder tells: ends, hangs, lies.

It is the real program but for what it does just before or after the step: the moment is exact, on any machine.
Run as ``node serve`` is; ``Fault.put`` tells a running one what to do next.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from middleplatform.node import join_blinding, join_round
from middleplatform.node import open as opening
from middleplatform.wire.join_lists import GroupSums, ListHead, Points

__all__ = ["IDLE_S", "LIES", "Fault", "held"]

IDLE_S = 6.0
"""Seconds that a round waits at such a node for its next step: more than a gateway's deadline in these tests."""

_LOOK_EVERY_S = 0.02
_STEPS = (
    "join_open", "join_agree", "join_list", "join_rows", "join_points", "join_blind", "join_sums", "join_reveal",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What a node does once.

    Attributes:
        step: At which call.
        what: ``kill`` or ``stop`` itself, ``hold`` the step until ``release``, find its disk ``full``, or a lie.
        after: Once the step is done, before its reply leaves; a lie always is.
        number: At the which-th time of this step, from 0.
    """

    step: str
    what: str
    after: bool = False
    number: int = 0

    def put(self, state: Path) -> None:
        """Tell the node whose folder it is."""
        scratch = _file(state).with_suffix(".new")
        scratch.write_text(json.dumps(asdict(self)), encoding="utf-8")
        scratch.replace(_file(state))


def _file(state: Path) -> Path:
    return state / "fault.json"


def held(state: Path) -> Path:
    """Return the file that is there while a node holds a step; it goes on when somebody removes it."""
    return state / "held"


# --- lies -------------------------------------------------------------------------------------------------------------


def _head(change: Callable[[ListHead], Mapping[str, Any]]) -> Callable[[bytes], bytes]:
    def lied(raw: bytes) -> bytes:
        head = ListHead.from_bytes(raw)
        return replace(head, **change(head)).to_bytes()

    return lied


def _sums(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    def lied(raw: bytes) -> bytes:
        groups, width = (
            int(np.frombuffer(raw[8:12], "<u4")[0]),
            int(np.frombuffer(raw[12:14], "<u2")[0]),
        )
        found = GroupSums.from_bytes(raw, groups, width)
        return GroupSums(found.side, change(found.words)).to_bytes()

    return lied


def _short_tokens(raw: bytes) -> bytes:
    """Cut the last byte of each token of a list part of one second token or none."""
    rows = int(np.frombuffer(raw[12:16], "<u4")[0])
    tokens = np.frombuffer(raw, np.uint8, 16 * rows, 32).reshape(rows, 16)
    return raw[:32] + tokens[:, :15].tobytes() + raw[32 + 16 * rows :]


def _short_points(raw: bytes) -> bytes:
    points = Points.from_bytes(raw)
    return Points(points.side, points.values[:, :8].copy()).to_bytes()


LIES: Mapping[str, Callable[[Any], Any]] = {
    "fewer rows": _head(lambda head: {"rows": head.rows - 1}),
    "more rows": _head(lambda head: {"rows": head.rows + 1}),
    "another side": _head(lambda head: {"side": 1 - head.side}),
    "another note": _head(lambda head: {"note": bytes(len(head.note))}),
    "other marks": _head(lambda head: {"marks": head.marks[:-1] + bytes([head.marks[-1] ^ 1])}),
    "short part": lambda raw: raw[:-1],
    "short tokens": _short_tokens,
    "short blinded tokens": _short_points,
    "fewer sums": _sums(lambda words: words[1:]),
    "narrow sums": _sums(lambda words: words[:, 1:]),
    "noise": _sums(lambda words: words ^ np.uint64(0x5A5A_5A5A_5A5A_5A5A)),
    "no receipt": lambda told: (told[0], ""),
}
"""What becomes of a step's result."""

_POINTS: Mapping[str, bytes] = {
    "points above the prime": (2**255 - 19 + 9).to_bytes(32, "little"),
    "points with the high bit": (2**255 + 9).to_bytes(32, "little"),
    "points of small order": (1).to_bytes(32, "little"),
    "points of the twist": (2).to_bytes(32, "little"),
}
"""What the first blinded point of a list becomes, before it is sealed."""


# --- the program ------------------------------------------------------------------------------------------------------


class FailingRounds(join_round.JoinRounds):
    """Real rounds with a fault."""

    state: Path
    _seen: dict[str, int]

    def _due(self, step: str) -> Fault | None:
        """Return the fault if it is one of this step, this time; it happens once."""
        file = _file(self.state)
        if not file.exists():
            return None
        fault = Fault(**json.loads(file.read_text(encoding="utf-8")))
        if fault.step != step:
            return None
        if fault.number:
            replace(fault, number=fault.number - 1).put(self.state)
            return None
        file.unlink()
        return fault


def _failing(step: str) -> Callable[..., Any]:
    real = getattr(join_round.JoinRounds, step)

    def call(self: FailingRounds, *told: Any, **named: Any) -> Any:
        fault = self._due(step)
        if fault is None:
            return real(self, *told, **named)
        if fault.what in _POINTS:
            return _with_points(_POINTS[fault.what], lambda: real(self, *told, **named))
        if not fault.after:
            _befall(fault, self.state)
        found = real(self, *told, **named)
        if fault.after:
            _befall(fault, self.state)
        return LIES.get(fault.what, lambda same: same)(found)

    return call


def _befall(fault: Fault, state: Path) -> None:
    if fault.what in {"kill", "stop"}:
        os.kill(os.getpid(), signal.SIGKILL if fault.what == "kill" else signal.SIGSTOP)
    elif fault.what == "hold":
        held(state).touch()
        while held(state).exists():
            Event().wait(_LOOK_EVERY_S)
    elif fault.what == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _with_points(point: bytes, work: Callable[[], Any]) -> Any:
    blind = join_blinding.blind

    def spoiled(*told: Any) -> Any:
        found = blind(*told).copy()
        found[0] = np.frombuffer(point, np.uint8)
        return found

    join_blinding.blind = spoiled
    try:
        return work()
    finally:
        join_blinding.blind = blind


def main() -> int:
    """Run the node whose settings the command line names."""
    from middleplatform.cli.main import main as program  # noqa: PLC0415 - the tests import the rest

    state = Path(sys.argv[-1]).parent
    for step in _STEPS:
        setattr(FailingRounds, step, _failing(step))
    FailingRounds.state = state
    opening.JoinRounds = FailingRounds
    opening.join_idle_s = lambda _: IDLE_S
    return program(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
