"""Applications for data at the command line: opened for a moment, with today's policy and deadlines."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli.sources import bundle_folder, catalog_folder, open_catalog

if TYPE_CHECKING:
    from middleplatform.cli.context import Context
    from middleplatform.governance.handling import Handling
    from middleplatform.governance.terms import Rules
    from middleplatform.settings import Settings

__all__ = ["opened_handling", "rules_of"]


@contextmanager
def opened_handling(context: "Context", *, acting: bool = True) -> Iterator["Handling"]:
    """Open the desk of applications.

    Args:
        context: Of the command.
        acting: Whether anything will be done; who only looks does not touch the log.

    Raises:
        ConfigError: C001, C002, C003, C011 or C015.
        AuditError: A002 the log does not verify.
    """
    from middleplatform import policy  # noqa: PLC0415 - slow to import
    from middleplatform.governance.handling import Handling  # noqa: PLC0415 - the same
    from middleplatform.governance.opened import open_lifecycle  # noqa: PLC0415 - the same

    settings = context.settings
    catalog = open_catalog(catalog_folder(settings, settings.bundle))
    configured = policy.load(bundle_folder(settings), catalog)
    rules = rules_of(settings)
    parts = (settings, catalog, configured, SystemClock(), SystemRng())
    with open_lifecycle(*parts, acting=acting) as lifecycle:
        yield Handling(lifecycle.desk, lifecycle.standing().bundle, rules)


def rules_of(settings: "Settings") -> "Rules":
    """Return the deadlines and the working days of the settings.

    Raises:
        ConfigError: C001 or C003.
    """
    from middleplatform.governance.terms import Rules  # noqa: PLC0415 - slow to import
    from middleplatform.governance.workdays import Calendar  # noqa: PLC0415 - the same
    from middleplatform.policy import holidays, regulation  # noqa: PLC0415 - the same

    return Rules(
        regulation.load(settings.regulation), Calendar(holidays.load(settings.calendar))
    )  # fmt: skip
