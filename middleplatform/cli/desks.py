"""Opens the desk at which acts of governance are done: the store, and the audit log where nobody else holds it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.errors import AuditError

if TYPE_CHECKING:
    from middleplatform.audit.log import AuditLog
    from middleplatform.governance.desk import Desk
    from middleplatform.settings import Settings

__all__ = ["opened_desk"]


@contextmanager
def opened_desk(settings: "Settings") -> Iterator["Desk"]:
    """Open the desk of the settings' store.

    While a service runs, it holds the log and finishes what is begun here; else this process does both.

    Raises:
        ConfigError: C003 or C015 for the store.
        AuditError: A001 or A002 for the log.
    """
    from middleplatform.governance.desk import Desk  # noqa: PLC0415 - slow to import
    from middleplatform.store.database import Store, url_of  # noqa: PLC0415 - the same

    clock, rng = SystemClock(), SystemRng()
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(url_of(settings)))
        log = _log(settings)
        if log is not None:
            stack.enter_context(log)
        yield Desk(store, clock, rng, log)


def _log(settings: "Settings") -> "AuditLog | None":
    from middleplatform.audit.keys import CheckpointSigner  # noqa: PLC0415 - slow to import
    from middleplatform.audit.log import AuditLog  # noqa: PLC0415 - the same

    signer = CheckpointSigner.load_or_create(
        settings.state / "audit.key", settings.origin, SystemRng()
    )
    try:
        return AuditLog.open(
            settings.state / "audit.db", signer, SystemClock(),
            retention_years=settings.retention_years,
        )  # fmt: skip
    except AuditError as error:
        if error.code != "A003":
            raise
        return None
