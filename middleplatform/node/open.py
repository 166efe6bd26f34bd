"""Opens a node on a DuckDB file of its department."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connectors.duckdb import DuckDBConnector
from connectors.registry import check_owner
from connectors.spi import Connector, ConnectorError, ExecutionLimits
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.used_rounds import SqliteUsedRounds
from middleplatform.errors import ConfigError
from middleplatform.ledger.history import History
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.node.error_map import mapped
from middleplatform.node.journal import Journal
from middleplatform.node.measure import Source
from middleplatform.node.secure_round import SecureRounds
from middleplatform.node.served import ServedFragments
from middleplatform.node.service import Node
from middleplatform.ports import Clock, Rng
from middleplatform.settings import Settings

__all__ = ["OpenNode", "check_packages", "open_connector", "open_node"]

_ROWS_MAX = 5_000_000


@dataclass(frozen=True)
class OpenNode:
    """A running node with what must be closed at its end.

    Attributes:
        node: For local answers.
        rounds: For secure sums.
        connectors: Of its sources.
        used: Its record of rounds.
        registered: Fingerprint of each published connector, by name.
    """

    node: Node
    rounds: SecureRounds
    connectors: tuple[Connector, ...]
    used: SqliteUsedRounds
    registered: Mapping[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """Close its rounds, its sources and its files."""
        self.rounds.close()
        for connector in self.connectors:
            connector.close()
        self.node.history.close()
        self.used.close()
        self.node.served.close()
        self.node.journal.close()


def check_packages() -> None:
    """Check, once at start, that nobody else's package answers to our connectors' name.

    Raises:
        ConfigError: C010.
    """
    try:
        check_owner()
    except ConnectorError as error:
        raise ConfigError("C010", name="connectors", detail=error.detail) from None


def open_connector(department: str, path: Path, settings: Settings) -> Connector:
    """Open a department's DuckDB file.

    Raises:
        ConfigError: C004 missing, C005 locked by another process.
        SourceError: S003 it is no database.
    """
    try:
        return DuckDBConnector(path, threads=settings.threads, memory_mb=settings.memory_mb)
    except ConnectorError as error:
        raise mapped(error, department, department) from None


def open_node(  # noqa: PLR0913, PLR0917 - everything that a node owns
    department: str,
    connector: Connector,
    catalog: Catalog,
    bundle: Bundle,
    identity: IdentityKey,
    pins: PinnedKeys,
    state: Path,
    clock: Clock,
    rng: Rng,
    settings: Settings,
) -> OpenNode:
    """Open a node over a connector, with its own log, history and record of what it served under ``state``."""
    limits = ExecutionLimits(
        timeout_s=settings.deadline_s, rows_max=_ROWS_MAX, memory_mb=settings.memory_mb
    )
    source = Source(department, connector, limits)
    state.mkdir(mode=0o700, exist_ok=True)
    used = SqliteUsedRounds(state / "served.db")
    served = ServedFragments(state / "served.db", clock)
    history = History(state / "history.db")
    journal = Journal.open(state, department, settings.origin, clock, rng)
    node = Node(
        department, source, catalog, bundle, identity, pins, history, used, served, journal, clock, rng,
    )  # fmt: skip
    return OpenNode(node, SecureRounds(node), (connector,), used)
