"""Opens the platform's log as the settings say."""

from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.ports import Clock, Rng
from middleplatform.settings import Settings

__all__ = ["open_log"]


def open_log(settings: Settings, clock: Clock, rng: Rng) -> AuditLog:
    """Open the log in the state folder for writing.

    Raises:
        AuditError: A001 it cannot be opened, A002 it does not verify, A003 it is in use.
        ConfigError: C006, C011.
    """
    return AuditLog.open(
        settings.state / "audit.db",
        CheckpointSigner.load_or_create(settings.state / "audit.key", settings.origin, rng),
        clock,
        retention_years=settings.retention_years,
    )
