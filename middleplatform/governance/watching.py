"""Keeps a running gateway's policy that of the store: no restart, no half state.

Spec: docs/spec/policy-lifecycle.md, "Coming into force".
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from middleplatform.access.operator_log import where
from middleplatform.errors import MiddleplatformError
from middleplatform.governance.lifecycle import Lifecycle, Standing
from middleplatform.model.policy import Bundle

__all__ = ["EVERY_S", "SPREAD_S", "spread", "watch"]

EVERY_S = 1.0
"""Seconds between two looks at the store."""

SPREAD_S = 0.4
"""The same, for what nodes are told without a question: a withdrawal reaches them in under a second."""

_LOG = logging.getLogger("middleplatform.governance")


async def watch(
    lifecycle: Lifecycle,
    standing: Standing,
    put: Callable[[Bundle], None],
    every_s: float = EVERY_S,
    also: Callable[[], None] = lambda: None,
) -> None:
    """Finish what other processes have decided, and put each new version in force, until canceled.

    The store is read in a thread; ``put`` is called on the event loop, between two steps of any question. While the
    store cannot be read, or a version does not load, what is in force stays so.

    Args:
        lifecycle: With the process's log.
        standing: What is in force now.
        put: Puts another bundle in force.
        every_s: Seconds between two looks.
        also: Done at each look, in the thread; sees to its own failures.
    """
    number, told = standing.number, ""
    while True:
        try:
            seen = await asyncio.to_thread(_look, lifecycle, also)
            if seen.number != number:
                put(seen.bundle)
                number = seen.number
            told = ""
        except Exception as error:  # noqa: BLE001 - whatever it is, the next version must be seen
            said = _said(error)
            if said != told:  # once, not each second
                _LOG.error("policy in the store: %s", said)
            told = said
        await asyncio.sleep(every_s)


async def spread(
    changed: Callable[[], bool], tell: Callable[[], Awaitable[None]], every_s: float = SPREAD_S
) -> None:
    """Tell the nodes what is newly published, granted or withdrawn, without waiting for a question; until canceled.

    Args:
        changed: Looks, in a thread, and says whether there is anything new (``telling.Telling.look``).
        tell: Tells all nodes (``dispatch.Dispatcher.tell``).
        every_s: Seconds between two looks.
    """
    told = ""
    while True:
        try:
            if await asyncio.to_thread(changed):
                await tell()
            told = ""
        except Exception as error:  # noqa: BLE001 - as above
            said = _said(error)
            if said != told:
                _LOG.error("what nodes are told: %s", said)
            told = said
        await asyncio.sleep(every_s)


def _said(error: Exception) -> str:
    if isinstance(error, MiddleplatformError):
        return f"{error.code} {error.public_message} {error.detail}"
    return where(error)


def _look(lifecycle: Lifecycle, also: Callable[[], None]) -> Standing:
    lifecycle.desk.finish()
    also()
    return lifecycle.standing()
