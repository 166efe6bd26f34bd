"""Simulations that officers asked for over HTTP: one at work at a time, few kept, each its officer's own.

They live in this process, as questions do; what is lost with it can be asked for again.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import LimitError, MiddleplatformError, QueryError
from middleplatform.governance.simulation import Simulation
from middleplatform.model.request import Subject
from middleplatform.ports import Progress, Rng

__all__ = ["SimulationJob", "Simulations"]

_KEPT_MAX = 16
_WAITING_MAX = 4

Work = Callable[[Progress], Simulation]
"""Does the simulation, telling how far it is."""


@dataclass
class SimulationJob:
    """One simulation.

    Attributes:
        id: 128 random bits, hexadecimal.
        subject: Who asked for it.
        status: ``running``, ``finished``, ``failed`` or ``canceled``.
        done: Statements that are judged.
        total: Statements in all; 0 while they are being read.
        error: Why it failed.
        result: What came of it.
    """

    id: str
    subject: Subject
    status: str = "running"
    done: int = 0
    total: int = 0
    error: MiddleplatformError | None = None
    result: Simulation | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Simulations:
    """All simulations of this process."""

    def __init__(self, rng: Rng, log: OperatorLog) -> None:
        """Take what makes ids, and where unexpected exceptions go."""
        self._rng, self._log = rng, log
        self._jobs: dict[str, SimulationJob] = {}
        self._worker = ThreadPoolExecutor(1, "simulation")
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, subject: Subject, work: Work) -> SimulationJob:
        """Begin one, on the event loop.

        Raises:
            LimitError: L001 too many wait already.
        """
        if sum(each.status == "running" for each in self._jobs.values()) >= _WAITING_MAX:
            raise LimitError("L001")
        while len(self._jobs) >= _KEPT_MAX:
            oldest = next(each.id for each in self._jobs.values() if each.status != "running")
            del self._jobs[oldest]
        job = SimulationJob(self._rng.token_bytes(16).hex(), subject)
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
        if job is None or job.subject.id != subject.id:
            raise QueryError("Q041", what=("such simulation", "该模拟"))
        return job

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
            job.status, job.error, job.result = status, error, result
            job.ended.set()
