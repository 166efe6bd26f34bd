"""What can be accounted for, opened at the command line: the log for reading, beside the process that writes it."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.access.system import SystemClock
from middleplatform.cli import printable
from middleplatform.cli.applying import opened_handling
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.logs import open_log, unreadable
from middleplatform.cli.moments import moment
from middleplatform.cli.sources import catalog_folder, open_catalog

if TYPE_CHECKING:
    from middleplatform.accountability.accounts import Accounts
    from middleplatform.accountability.periods import Period
    from middleplatform.accountability.ticket_desk import TicketDesk
    from middleplatform.audit.entry import LogEntry

__all__ = [
    "add_span",
    "asset_state",
    "opened_accounts",
    "opened_tickets",
    "rows_of",
    "span",
    "write_file",
]


@contextmanager
def opened_accounts(context: Context, options: argparse.Namespace) -> Iterator["Accounts"]:
    """Open log, store, catalogue and policy for reading.

    Raises:
        QueryError: Q041 there is no log.
        ConfigError: C001, C002, C003, C011 or C015.
        AuditError: A001, A002.
    """
    from middleplatform.accountability.accounts import Accounts  # noqa: PLC0415 - slow to import

    catalog = open_catalog(catalog_folder(context.settings, context.settings.bundle))
    with opened_handling(context, acting=False) as handling, open_log(context, options) as log:
        yield Accounts(log, handling.store, catalog, handling.bundle, handling.rules, SystemClock())


@contextmanager
def opened_tickets(
    context: Context, options: argparse.Namespace, *, acting: bool = True
) -> Iterator["TicketDesk"]:
    """Open the desk of tickets.

    Raises:
        ConfigError: C001, C002, C003, C011 or C015.
        AuditError: A002 the log does not verify.
    """
    from middleplatform.accountability.ticket_desk import TicketDesk  # noqa: PLC0415 - slow to import

    catalog = open_catalog(catalog_folder(context.settings, context.settings.bundle))
    with opened_handling(context, acting=acting) as handling:
        held = handling.desk.log

        def entry(index: int) -> "LogEntry":
            if held is not None:
                return held.entry(index)
            with open_log(context, options) as log:
                return log.entry(index)

        yield TicketDesk(handling.desk, catalog, handling.rules, entry)


def add_span(parser: argparse.ArgumentParser, say: Say) -> None:
    """Add ``--since`` and ``--until``."""
    for name, text in (
        ("since", say("from this moment on (RFC 3339, or a date, UTC)", "起始时刻（含）")),
        ("until", say("before this moment", "截止时刻（不含）")),
    ):
        parser.add_argument(f"--{name}", metavar="TIME", help=text)


def span(options: argparse.Namespace) -> "Period":
    """Return what ``--since`` and ``--until`` say.

    Raises:
        QueryError: Q040.
    """
    from middleplatform.accountability.periods import Period  # noqa: PLC0415 - slow to import

    return Period(moment(options.since), moment(options.until))


def rows_of(context: Context, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print a table."""
    table = Table()
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable.line("" if each is None else str(each))) for each in row))
    context.out.print(table)


def write_file(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        QueryError: Q040 the file system refuses.
    """
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError:
        raise unreadable(path) from None


def asset_state(context: Context, dataset: str) -> dict[str, object]:
    """Return how a dataset stands by the tickets about it; nothing where there is no store yet."""
    settings = context.settings
    if not settings.store and not (settings.state / "store.db").exists():
        return {}
    from middleplatform.accountability.assets import asset_states  # noqa: PLC0415 - slow to import
    from middleplatform.accountability.ticket_desk import tickets  # noqa: PLC0415 - the same
    from middleplatform.store.database import Store, url_of  # noqa: PLC0415 - the same

    with Store.open(url_of(settings)) as store, store.reading() as connection:
        (found,) = asset_states((dataset,), tickets(connection))
    corrected = None if found.corrected_at is None else found.corrected_at.isoformat()
    return {"state": found.state, "disputed_by": list(found.pending), "corrected_at": corrected}
