"""Simulations that officers asked for over HTTP: one at work at a time, few kept, each its officer's own.

They live in this process, as questions do; what is lost with it can be asked for again.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import LimitError, MiddleplatformError, QueryError
from middleplatform.governance.replay import Window
from middleplatform.governance.simulation import Simulation
from middleplatform.model.request import Subject, same_person
from middleplatform.ports import Progress, Rng

__all__ = ["KEPT_MAX", "SimulationJob", "Simulations", "Trial"]

KEPT_MAX = 16
"""Simulations that are kept, of all officers."""
_WAITING_MAX = 4
_WINDOW_MAX, _NOW_MAX = 80, 40

Work = Callable[[Progress], Simulation]
"""Does the simulation, telling how far it is."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried on which questions, as it was asked for: one of the first three is said.

    Attributes:
        proposal: Number of the proposal that is the candidate.
        version: Number of the published version that is.
        files: Text by name of the draft that is.
        window: Which questions, as ``Window.read`` reads it.
        now: Moment at which all are judged; empty for each at its own.
        reason: What was typed beside a draft, to go on with it.
    """

    proposal: int | None = None
    version: int | None = None
    files: Mapping[str, str] | None = None
    window: str = "30d"
    now: str = ""
    reason: str = ""

    def over(self, window: str, now: str) -> "Trial":
        """Return it with these questions and this moment as they were typed, in bounds; nothing typed is the usual."""
        window, now = window.strip()[:_WINDOW_MAX], now.strip()[:_NOW_MAX]
        return replace(self, window=window or self.window, now=now)


@dataclass
class SimulationJob:
    """One simulation.

    Attributes:
        id: 128 random bits, hexadecimal.
        subject: Who asked for it.
        trial: What for.
        window: Of the questions, as it was read when it began.
        status: ``running``, ``finished``, ``failed`` or ``canceled``.
        done: Statements that are judged.
        total: Statements in all; 0 while they are being read.
        error: Why it failed.
        result: What came of it.
    """

    id: str
    subject: Subject
    trial: Trial = field(default_factory=Trial)
    window: Window | None = None
    status: str = "running"
    done: int = 0
    total: int = 0
    error: MiddleplatformError | None = None
    result: Simulation | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def finished(self, seconds: float) -> bool:
        """Wait until it has ended, at most ``seconds``; say whether it has."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)
        return self.ended.is_set()


class Simulations:
    """All simulations of this process."""

    def __init__(self, rng: Rng, log: OperatorLog) -> None:
        """Take what makes ids, and where unexpected exceptions go."""
        self._rng, self._log = rng, log
        self._jobs: dict[str, SimulationJob] = {}
        self._worker = ThreadPoolExecutor(1, "simulation")
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, subject: Subject, work: Work, trial: Trial | None = None, window: Window | None = None
    ) -> SimulationJob:
        """Begin one, on the event loop.

        Args:
            subject: Whose it will be.
            work: Does it, in a thread of its own.
            trial: What is asked for.
            window: Of the questions.

        Raises:
            LimitError: L001 too many wait already.
        """
        if sum(each.status == "running" for each in self._jobs.values()) >= _WAITING_MAX:
            raise LimitError("L001")
        while len(self._jobs) >= KEPT_MAX:
            oldest = next(each.id for each in self._jobs.values() if each.status != "running")
            del self._jobs[oldest]
        number = self._rng.token_bytes(16).hex()
        job = SimulationJob(number, subject, trial or Trial(), window)
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def find(self, number: str, subject: Subject) -> SimulationJob:
        """Return a subject's own simulation.

        Raises:
            QueryError: Q041 there is none, or it is another's.
        """
        job = self._jobs.get(number)
        if job is None or not same_person(job.subject.id, subject.id):
            raise QueryError("Q041", what=("such simulation", "该模拟"))
        return job

    def of(self, subject: Subject) -> list[SimulationJob]:
        """Return what is kept of a subject's simulations, the newest first; from any thread."""
        return [
            each
            for each in reversed(list(self._jobs.values()))
            if same_person(each.subject.id, subject.id)
        ]

    @staticmethod
    def cancel(job: SimulationJob) -> None:
        """Have one end before its next statement; one that has ended stays as it is."""
        if job.status == "running":
            job.status = "canceled"
            job.ended.set()

    async def close(self) -> None:
        """End what is at work and wait for it."""
        for each in self._jobs.values():
            self.cancel(each)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._worker.shutdown()

    async def _run(self, job: SimulationJob, work: Work) -> None:
        def hear(stage: str, done: int, total: int) -> None:
            del stage  # there is one
            job.done, job.total = done, total
            if job.status == "canceled":
                raise LimitError("L003")

        def begun() -> Simulation:
            hear("", 0, 0)  # it may have been canceled while it waited
            return work(hear)

        try:
            result = await asyncio.get_running_loop().run_in_executor(self._worker, begun)
        except MiddleplatformError as error:
            self._end(job, "failed", error=error)
        except Exception as error:  # noqa: BLE001 - ends this simulation, not the process
            self._end(job, "failed", error=self._log.internal(error))
        else:
            self._end(job, "finished", result=result)

    @staticmethod
    def _end(
        job: SimulationJob,
        status: str,
        error: MiddleplatformError | None = None,
        result: Simulation | None = None,
    ) -> None:
        if job.status == "running":
            job.error, job.result = error, result
            job.status = status  # last: other threads look at it first
            job.ended.set()
