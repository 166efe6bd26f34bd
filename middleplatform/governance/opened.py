"""Opens what governance works with: the log, the store, and the life-cycle over both."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from middleplatform.audit.log import AuditLog
from middleplatform.errors import AuditError
from middleplatform.governance.desk import Desk
from middleplatform.governance.entering import SharedEntering
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.governance.shared import is_shared, open_log
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.ports import Clock, Rng
from middleplatform.settings import Settings
from middleplatform.store.database import Store, url_of

__all__ = ["lifecycle", "open_lifecycle"]


def lifecycle(
    settings: Settings, catalog: Catalog, configured: Bundle, log: AuditLog, clock: Clock, rng: Rng
) -> Lifecycle:
    """Return the life-cycle of the process that holds the log, with all finished that others left; its store is open.

    Raises:
        AuditError: A001 the log cannot take an entry.
        ConfigError: C003, C011, C015.
    """
    store = Store.open(url_of(settings))
    try:
        made = Lifecycle(_desk(settings, store, clock, rng, log), catalog, configured)
        made.desk.finish()
    except BaseException:
        store.close()
        raise
    return made


@contextmanager
def open_lifecycle(
    settings: Settings,
    catalog: Catalog,
    configured: Bundle,
    clock: Clock,
    rng: Rng,
    *,
    acting: bool = True,
) -> Iterator[Lifecycle]:
    """Give the life-cycle to a command: with the log, or beside the process that holds it.

    Args:
        settings: Of the platform.
        catalog: What exists.
        configured: What is in force while nothing was published.
        clock: Time.
        rng: For ids.
        acting: Whether acts will be done; who only reads needs no log.

    Raises:
        AuditError: A002 the log does not verify.
        ConfigError: C003, C011, C015.
    """
    with ExitStack() as opened:
        store = opened.enter_context(Store.open(url_of(settings)))
        log = _log(settings, clock, rng) if acting else None
        if log is not None:
            opened.callback(log.close)
        made = Lifecycle(_desk(settings, store, clock, rng, log), catalog, configured)
        made.desk.finish()
        yield made


def _desk(settings: Settings, store: Store, clock: Clock, rng: Rng, log: AuditLog | None) -> Desk:
    """Return the desk; where several processes append to one log, they agree on the order of acts and releases."""
    made = Desk(store, clock, rng, log)
    if log is not None and is_shared(settings):
        made.entering = SharedEntering(store, log, alone=True)
    return made


def _log(settings: Settings, clock: Clock, rng: Rng) -> AuditLog | None:
    """Return the log, or None where another process holds it."""
    try:
        return open_log(settings, clock, rng)[0]
    except AuditError as error:
        if error.code != "A003":
            raise
        return None
