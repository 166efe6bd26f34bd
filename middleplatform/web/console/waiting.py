"""What waits for a person, beside each line of the navigation.

Everything that waits changes by acts or by the clock: so the numbers are worked out again once another act is in force
or a minute has passed, and not for every page. Who is shown a number is judged where it leads.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any, Protocol

from fastapi import Request

from middleplatform.errors import MiddleplatformError
from middleplatform.model.request import Subject
from middleplatform.store.acts import newest
from middleplatform.web.services import services_of

__all__ = ["Counts", "Line", "counts_of"]

_KEPT_MAX = 2000
_OF_NO_MATTER = ("login", "saved")
"""Events of acts after which nothing else waits for anybody: who comes in, and what people keep for themselves."""
_Stamp = tuple[int, datetime]


class Line(Protocol):
    """What a line of the navigation knows of what waits (``pages.Entry``)."""

    @property
    def path(self) -> str:
        """Where it leads."""
        ...

    @property
    def waiting(self) -> Any:  # noqa: ANN401 - a function of the request, or None
        """Returns how many things wait for the person there; None where nothing ever waits."""
        ...


class Counts:
    """The numbers of one application, by line and person; many threads may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[tuple[str, Subject], tuple[_Stamp, int]] = {}

    def of(self, request: Request, line: Line, who: Subject, stamp: _Stamp) -> int:
        """Return how many things wait for ``who`` there; worked out where none is kept for ``stamp``.

        Raises:
            MiddleplatformError: What the line's own function refuses with.
        """
        key = (line.path, who)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        found = int(line.waiting(request))
        with self._lock:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[key] = (stamp, found)
        return found


def counts_of(request: Request, counts: Counts, lines: Sequence[Line]) -> Mapping[str, int]:
    """Return how many things wait for whom the guard let in, by the address of the line.

    Nothing for what cannot be said now, nor on a page about a refusal. On the event loop nothing is asked: a page made
    there shows no numbers rather than hold all others up.
    """
    who: Subject | None = getattr(request.state, "subject", None)
    wanted = [each for each in lines if each.waiting is not None]
    if who is None or not wanted or "hx-request" in request.headers or _on_the_loop():
        return {}
    found = {}
    try:
        stamp = _stamp(request)
        for each in wanted:
            found[each.path] = counts.of(request, each, who, stamp)
    except MiddleplatformError:
        return {}
    return found


def _stamp(request: Request) -> _Stamp:
    """Return the newest act that is in force, and the minute.

    Raises:
        ConfigError: C015 there is no store, or it cannot be read.
    """
    desk = services_of(request).lifecycle.desk
    with desk.store.glance() as connection:
        number = newest(connection, _OF_NO_MATTER)
    return number, desk.clock.now().replace(second=0, microsecond=0)


def _on_the_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
