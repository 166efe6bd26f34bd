"""How a simulation is begun: the same for REST and for the console, so that neither judges anything by itself.

Spec: docs/spec/policy-simulation.md.
"""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

from middleplatform.audit.entry import LogEntry
from middleplatform.audit.reader import LogView
from middleplatform.errors import QueryError
from middleplatform.governance.examined import loaded
from middleplatform.governance.grants_in_force import GrantsInForce, with_all
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.governance.replay import Asked, Window, asked
from middleplatform.governance.simulate import simulate
from middleplatform.governance.simulation import Simulation
from middleplatform.governance.wanting import when
from middleplatform.model.policy import Bundle
from middleplatform.model.request import Subject
from middleplatform.ports import Progress
from middleplatform.web.simulations import SimulationJob, Simulations, Trial

__all__ = ["begin", "moment_of", "window_of"]


async def begin(
    table: Simulations, subject: Subject, lifecycle: Lifecycle, log: LogView, trial: Trial
) -> SimulationJob:
    """Read what is asked for and begin to judge the questions of ``log``, on the event loop.

    Args:
        table: Takes it in.
        subject: Whose it will be.
        lifecycle: Knows what is in force and what is proposed.
        log: The platform's; read when the simulation's turn comes.
        trial: What is asked for.

    Raises:
        QueryError: Q040 for a window or moment that is none, or a candidate that is not named; Q041 for one that
            there is not.
        ConfigError: C001 the candidate does not load.
        LimitError: L001 too many wait already.
    """
    window, now = window_of(trial, lifecycle), moment_of(trial)
    candidate = await asyncio.to_thread(_candidate, lifecycle, trial)

    def work(progress: Progress) -> Simulation:
        questions = asked(_heard(log.entries(), progress), window)
        return _judged(lifecycle, candidate, questions, now, progress)

    return table.start(subject, work, trial, window)


def window_of(trial: Trial, lifecycle: Lifecycle) -> Window:
    """Return the span of time that is asked for, up to now unless it says its end.

    Raises:
        QueryError: Q040 it is none.
    """
    return Window.read(trial.window, lifecycle.desk.clock.now())


def moment_of(trial: Trial) -> datetime | None:
    """Return the moment at which all questions are judged; None for each at its own.

    Raises:
        QueryError: Q040 it is none.
    """
    return when(trial.now) if trial.now else None


def _candidate(lifecycle: Lifecycle, trial: Trial) -> Bundle:
    given = [each for each in (trial.proposal, trial.version, trial.files) if each is not None]
    if len(given) != 1:
        what = ("name one of proposal, version and files", "请只指定提案、版本、文件三者之一")
        raise QueryError("Q040", what=what)
    if trial.proposal is not None:
        return loaded(lifecycle.proposed(trial.proposal), lifecycle.catalog)
    if trial.version is not None:
        return loaded(lifecycle.files(trial.version), lifecycle.catalog)
    return loaded(trial.files or {}, lifecycle.catalog)


def _heard(entries: Iterable[LogEntry], progress: Progress) -> Iterator[LogEntry]:
    """Yield the entries; whoever cancels is heard between any two, for a log may be long."""
    for each in entries:
        progress("read", 0, 0)
        yield each


def _judged(
    lifecycle: Lifecycle,
    candidate: Bundle,
    questions: Iterable[Asked],
    now: datetime | None,
    progress: Progress,
) -> Simulation:
    grants = GrantsInForce(lifecycle.desk.store).current()
    current = with_all(lifecycle.compared().bundle, grants)
    return simulate(
        with_all(candidate, grants),
        current,
        lifecycle.catalog,
        questions,
        now=now,
        progress=progress,
    )
