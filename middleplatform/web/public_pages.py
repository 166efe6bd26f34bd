"""The public pages of months that are over, each worked out once a day: they read the whole log, for anybody."""

import threading
from collections.abc import Callable
from datetime import date

from middleplatform.accountability.accounts import Accounts
from middleplatform.accountability.transparency import Transparency
from middleplatform.errors import LimitError
from middleplatform.governance.workdays import local_day

__all__ = ["PublicPages"]

_KEPT_MAX = 600


class PublicPages:
    """Pages by month; many threads may ask, one at a time works, so that nobody can occupy all of them."""

    def __init__(self, accounts: Callable[[], Accounts]) -> None:
        """Take what gives the accounts under the policy in force."""
        self._accounts, self._lock = accounts, threading.Lock()
        self._pages: dict[str, tuple[date, Transparency]] = {}

    def page(self, month: str) -> Transparency:
        """Return the page of ``month``, the last one where it is empty.

        Raises:
            QueryError: Q040 it is no month, or not over.
            LimitError: L001 another page is being worked out.
        """
        accounts = self._accounts()
        today = local_day(accounts.now())
        day, found = self._pages.get(month, (None, None))
        if found is not None and day == today:
            return found
        if not self._lock.acquire(blocking=False):
            raise LimitError("L001")
        try:
            found = accounts.transparency(month)
            if len(self._pages) >= _KEPT_MAX:
                self._pages.clear()
            self._pages[month] = (today, found)
        finally:
            self._lock.release()
        return found
