"""The privacy budget of tier D: an exact ledger of what was spent, by snapshot, project and analyst.

One cap for a snapshot of a dataset; caps of projects and analysts lie inside it. A privacy loss is *reserved* before
anything is read, *started* when reading begins and *committed* when the answer leaves. It counts from its reservation;
it is given back only by ``release``, and only while nothing was read. A reservation that nobody finished, after a
crash say, counts for good. Nothing is renewed by time: only a department's command begins a new snapshot.

Losses are integers over their own denominators, so sums are exact. Every step is on the disk before its call returns.
Safe between threads, which share commits, and between processes.

Reveals: to who asks: what questions have spent; no row has any part in it.

Spec: docs/spec/privacy-budget.md.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any, Self

from middleplatform.errors import ConfigError, DisclosureError, MiddleplatformError
from middleplatform.model.budget import FIRST, LOSS_MAX, Charge, Entry, Left, Reservation, Snapshot
from middleplatform.model.policy import PrivacyRule
from middleplatform.model.request import person_key

__all__ = ["BudgetLedger"]

_BUSY_TIMEOUT_S = 60.0
_LABEL_MAX = 64


def _statements() -> dict[str, str]:
    text = files("middleplatform.ledger").joinpath("budget.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): body.strip() for name, _, body in parts}


_SQL = _statements()


@dataclass(frozen=True, slots=True)
class _Step:
    """Work that waits for its place in a transaction; it must decide before it writes."""

    work: Callable[[], Any]
    done: "Future[Any]" = field(default_factory=Future)


class BudgetLedger:
    """In a SQLite file of its own, readable by its owner only.

    Args:
        path: The file, made where missing; ``None`` keeps it in memory: for tests.

    Raises:
        ConfigError: C011 when the file cannot be opened or made, or its sums are not those of its entries.
    """

    def __init__(self, path: Path | None) -> None:
        self._gate, self._commit = Lock(), Lock()
        self._waiting: list[_Step] = []
        try:
            if path is not None and not path.exists():
                # Never opened twice in a process: closing it would drop the engine's locks on it.
                with suppress(FileExistsError):
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self._database = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False,
            )  # fmt: skip
            self._database.execute("PRAGMA journal_mode=WAL")
            # FULL: with WAL every commit is on the disk before it returns, not just ordered.
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute("PRAGMA foreign_keys=ON")
            self._database.create_function("person", 1, person_key, deterministic=True)
            self._database.executescript(_SQL["create"])
            (wrong,) = self._database.execute(_SQL["wrong"]).fetchone()
        except (OSError, sqlite3.Error) as error:
            raise _refused(error) from None
        if wrong:
            self._database.close()
            raise _refused("its sums are not those of its entries")

    # --- spending -------------------------------------------------------------------------------------------------

    def reserve(
        self,
        dataset: str,
        project: str,
        analyst: str,
        rho: Fraction,
        caps: PrivacyRule,
        *,
        query_id: str,
        at: str,
    ) -> Reservation:
        """Reserve a loss of one dataset: see ``reserve_all``."""
        return self.reserve_all([Charge(dataset, rho, caps)], project, analyst, query_id, at)

    def reserve_all(
        self, charges: Sequence[Charge], project: str, analyst: str, query_id: str, at: str
    ) -> Reservation:
        """Reserve losses of all datasets that a statement reads, or none; durable before return.

        Args:
            charges: One a dataset, at least one; each is charged to the dataset's current snapshot.
            project: For which it is asked.
            analyst: Login that asks; what was spent under other spellings of it counts too.
            query_id: Of the question.
            at: This moment, ISO 8601.

        Returns:
            What ``start``, ``commit`` and ``release`` take.

        Raises:
            DisclosureError: D013 a cap does not reach; the first of snapshot, project and analyst, dataset by dataset.
            ConfigError: C011 the file refuses the write: then nothing may be read.
            ValueError: No charge, two of one dataset, or a loss that is not above 0 or of more than 15 digits.
        """
        if not charges or len({each.dataset for each in charges}) < len(charges):
            raise ValueError("charges are one a dataset")
        if not all(
            each.rho > 0 and max(each.rho.as_integer_ratio()) <= LOSS_MAX for each in charges
        ):
            raise ValueError("a loss is above 0, of at most 15 digits")  # fmt: skip
        reserved: Reservation = self._do(
            lambda: self._reserve(charges, (project, analyst), query_id, at)
        )
        return reserved

    def start(self, reservation: Reservation) -> None:
        """Mark that data are being read from now on: the reservation is never given back.

        Raises:
            ConfigError: C011 the file refuses the write: then nothing may be read.
            ValueError: It was released, or is not of this ledger.
        """
        self._do(lambda: self._advance(reservation, "started", ("reserved", "started")))

    def commit(self, reservation: Reservation) -> None:
        """Mark that its answer leaves.

        Raises:
            ConfigError: C011 the file refuses the write; the loss counts all the same.
            ValueError: It was released, or is not of this ledger.
        """
        states = ("reserved", "started", "committed")
        self._do(lambda: self._advance(reservation, "committed", states))

    def release(self, reservation: Reservation) -> bool:
        """Give a reservation back, if nothing was read.

        Returns:
            False when data were read: then it counts for good.

        Raises:
            ConfigError: C011 the file refuses the write; then it counts.
            ValueError: It is not of this ledger.
        """
        return bool(self._do(lambda: self._release(reservation)))

    # --- snapshots ------------------------------------------------------------------------------------------------

    def snapshot(self, dataset: str) -> Snapshot:
        """Return the snapshot that is charged now.

        Raises:
            ConfigError: C011 the file cannot be read.
        """
        found = self._read("current", (dataset,))
        return Snapshot(dataset, str(found[0][1]) if found else FIRST)

    def begin_snapshot(
        self, dataset: str, label: str, at: str, enter: Callable[[], object] = lambda: None
    ) -> Snapshot:
        """Begin a new snapshot, whose budget is whole; for a department's explicit command after it replaced rows.

        Args:
            dataset: Name of the dataset.
            label: 1 to 64 printable characters, never used for this dataset before.
            at: This moment, ISO 8601.
            enter: Puts it into a log; called once the label is found good, before the snapshot counts.

        Raises:
            MiddleplatformError: What ``enter`` raises: then no snapshot begins.
            ConfigError: C003 the label is empty, longer than 64 characters, not printable, or was used before;
                C011 the file refuses the write.
        """
        if not (label.isprintable() and label.strip() == label and 0 < len(label) <= _LABEL_MAX):
            raise _label_refused(("1 to 64 printable characters", "须为 1 至 64 个可打印字符"))
        begun: Snapshot = self._do(lambda: self._begin(dataset, label, at, enter))
        return begun

    # --- reading --------------------------------------------------------------------------------------------------

    def left(self, dataset: str, project: str, analyst: str, caps: PrivacyRule) -> Left:
        """Return what is spent and left of the current snapshot, for one project and analyst.

        Raises:
            ConfigError: C011 the file cannot be read.
        """
        found: Left = self._do(lambda: self._left(self._current(dataset), (project, analyst), caps))
        return found

    def entries(self, dataset: str = "", project: str = "", analyst: str = "") -> list[Entry]:
        """Return charges, oldest first; all, or of one dataset, project or analyst.

        Raises:
            ConfigError: C011 the file cannot be read.
        """
        return [
            Entry(
                row[0], row[1], Snapshot(row[2], row[3]), row[4], row[5],
                Fraction(row[6], row[7]), row[8], row[9],
            )
            for row in self._read("entries", (dataset, project, analyst))
        ]  # fmt: skip

    def spent(self) -> dict[tuple[Snapshot, str, str], Fraction]:
        """Return what counts as spent, by snapshot, scope (``snapshot``, ``project``, ``analyst``) and name.

        Raises:
            ConfigError: C011 the file cannot be read.
        """
        found: dict[tuple[Snapshot, str, str], Fraction] = {}
        for dataset, label, scope, name, numerator, denominator in self._read("totals", ()):
            key = (Snapshot(dataset, label), scope, name)
            found[key] = found.get(key, Fraction(0)) + Fraction(numerator, denominator)
        return found

    def snapshots(self) -> list[tuple[Snapshot, str]]:
        """Return every snapshot that was charged or begun, with when; the last of a dataset is charged now.

        Raises:
            ConfigError: C011 the file cannot be read.
        """
        return [(Snapshot(row[0], row[1]), row[2]) for row in self._read("snapshots", ())]

    def close(self) -> None:
        """Close the file; every call fails from now on."""
        with self._commit:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- inside a transaction -------------------------------------------------------------------------------------

    def _reserve(
        self, charges: Sequence[Charge], who: tuple[str, str], query_id: str, at: str
    ) -> Reservation:
        snapshots = [self._current(each.dataset) for each in charges]
        for each, current in zip(charges, snapshots, strict=True):
            _check(self._left(current, who, each.caps), each.rho, who[0])
        run = self._database.execute
        number = run(_SQL["reserve"], (query_id, *who, at)).lastrowid
        for each, current in zip(charges, snapshots, strict=True):
            key = current[0] or self._first(each.dataset, at)
            run(_SQL["charge"], (number, key, *each.rho.as_integer_ratio()))
            self._count("add", key, who, each.rho.as_integer_ratio())
        return Reservation(number or 0, query_id, tuple(current[1] for current in snapshots))

    def _current(self, dataset: str) -> tuple[int, Snapshot]:
        """Return the key of the snapshot that is charged now, 0 when nothing was charged to it, and its name."""
        row = self._database.execute(_SQL["current"], (dataset,)).fetchone()
        return (row[0], Snapshot(dataset, row[1])) if row else (0, Snapshot(dataset))

    def _first(self, dataset: str, at: str) -> int:
        self._database.execute(_SQL["begin"], (dataset, FIRST, at))
        return self._current(dataset)[0]

    def _left(self, current: tuple[int, Snapshot], who: tuple[str, str], caps: PrivacyRule) -> Left:
        sums = {"snapshot": Fraction(0), "project": Fraction(0), "analyst": Fraction(0)}
        for scope, *ratio in self._database.execute(_SQL["spent"], (current[0], *who)):
            sums[scope] += Fraction(*ratio)
        return Left(current[1], caps, sums["snapshot"], sums["project"], sums["analyst"])

    def _count(self, name: str, key: int, who: tuple[str, str], ratio: tuple[int, int]) -> None:
        scopes = (("snapshot", ""), ("project", who[0]), ("analyst", who[1]))
        for scope in scopes:
            self._database.execute(_SQL[name], (key, *scope, *ratio))

    def _state(self, reservation: Reservation) -> tuple[str, tuple[str, str]]:
        row = self._database.execute(
            _SQL["state"], (reservation.number, reservation.query_id)
        ).fetchone()
        if row is None:
            raise ValueError("a reservation of another ledger")
        return row[0], (row[1], row[2])

    def _advance(self, reservation: Reservation, state: str, before: tuple[str, ...]) -> None:
        present, _ = self._state(reservation)
        if present not in before:
            raise ValueError(f"a reservation that is {present}")
        self._database.execute(_SQL["advance"], (state, reservation.number))

    def _release(self, reservation: Reservation) -> bool:
        state, who = self._state(reservation)
        if state == "reserved":
            for key, *ratio in self._database.execute(
                _SQL["charges"], (reservation.number,)
            ).fetchall():
                self._count("take_back", key, who, (ratio[0], ratio[1]))
            self._database.execute(_SQL["advance"], ("released", reservation.number))
        return state in {"reserved", "released"}

    def _begin(self, dataset: str, label: str, at: str, enter: Callable[[], object]) -> Snapshot:
        run = self._database.execute
        # The first snapshot has its label from the beginning, charged or not.
        if label == FIRST or run(_SQL["known"], (dataset, label)).fetchone():
            raise _label_refused(("it was used before", "此前已使用"))
        enter()
        for each in (FIRST, label):
            run(_SQL["begin"], (dataset, each, at))
        return Snapshot(dataset, label)

    # --- transactions ---------------------------------------------------------------------------------------------

    def _read(self, name: str, parameters: tuple[object, ...]) -> list[Any]:
        rows: list[Any] = self._do(
            lambda: self._database.execute(_SQL[name], parameters).fetchall()
        )
        return rows

    def _do(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the work returns
        """Run work in a transaction; threads that wait share one commit."""
        step = _Step(work)
        with self._gate:
            self._waiting.append(step)
        with self._commit:
            if not step.done.done():  # else another thread took it along
                with self._gate:
                    batch, self._waiting = self._waiting, []
                self._take(batch)
        return step.done.result()

    def _take(self, batch: Sequence[_Step]) -> None:
        """Commit a batch and tell each step; when the disk refuses, none of it happened."""
        try:
            told = self._transaction(batch)
        except BaseException as error:
            told = [(_refused(error), None) for _ in batch]
            if not isinstance(error, Exception):
                raise
        finally:  # nobody may wait for ever, whatever happened
            for step, (refusal, value) in zip(batch, told, strict=True):
                if refusal is not None:
                    step.done.set_exception(refusal)
                else:
                    step.done.set_result(value)

    def _transaction(self, batch: Sequence[_Step]) -> list[tuple[Exception | None, Any]]:
        run = self._database.execute
        run("BEGIN IMMEDIATE")
        try:
            told = [_tried(step.work) for step in batch]
            run("COMMIT")
        finally:
            if self._database.in_transaction:
                with suppress(sqlite3.Error):  # the first error says more
                    run("ROLLBACK")
        return told


def _tried(work: Callable[[], Any]) -> tuple[Exception | None, Any]:
    """Return a refusal or a value; anything but a refusal ends the whole transaction."""
    try:
        return None, work()
    except (MiddleplatformError, ValueError) as refusal:
        return refusal, None


def _check(left: Left, rho: Fraction, project: str) -> None:
    """Refuse a loss that a cap does not reach; the text names the cap and what was asked, which data cannot change."""
    dataset = left.snapshot.dataset
    if rho > left.by_snapshot:
        what = (f"dataset {dataset} as a whole", f"数据集 {dataset} 整体")
    elif rho > left.by_project:
        what = (f"project {project} for dataset {dataset}", f"项目 {project}（数据集 {dataset}）")
    elif rho > left.by_analyst:
        what = (f"the analyst for dataset {dataset}", f"分析人员本人（数据集 {dataset}）")
    else:
        return
    raise DisclosureError("D013", what=what)


def _label_refused(what: tuple[str, str]) -> ConfigError:
    return ConfigError("C003", what=(f"label of a snapshot: {what[0]}", f"快照标签：{what[1]}"))


def _refused(error: object) -> ConfigError:
    what = ("the ledger of privacy budgets", "隐私预算账本")
    return ConfigError("C011", what=what, detail=str(error))
