"""Another attempt where a party drops out, with fresh keys; never after a deviation."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from middleplatform.crypto.sum_words import ATTEMPTS_MAX
from middleplatform.errors import SourceError
from middleplatform.model.plan import Fragment

__all__ = ["attempted"]

_LOG = logging.getLogger("middleplatform.gateway")
_PAUSE_S = 0.2
"""Before another attempt: time for a node that restarts or a link that comes back."""
T = TypeVar("T")


async def attempted(
    fragment: Fragment,
    attempt: Callable[[Fragment], Awaitable[T]],
    attempts_max: int = ATTEMPTS_MAX,
) -> T:
    """Run a round; where a party drops out of it, once more with fresh keys and masks.

    Args:
        fragment: For any one party.
        attempt: Runs the round of a numbered fragment, and leaves nothing of it when it fails.
        attempts_max: Attempts in all, at most ``ATTEMPTS_MAX``, which nodes enforce.

    Raises:
        SourceError: S001 a party dropped out of every attempt, S002 it was late.
        MiddleplatformError: What ended an attempt for good.
    """
    for number in range(1, attempts_max):
        try:
            return await attempt(replace(fragment, attempt=number))
        except SourceError as error:
            if error.code != "S001":
                raise
            told = f"{error} {error.detail}".rstrip()
            _LOG.warning("query %s, attempt %d: %s", fragment.query_id, number, told)
        await asyncio.sleep(_PAUSE_S)
    return await attempt(replace(fragment, attempt=attempts_max))
