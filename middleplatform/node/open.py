"""Puts a node together: its log, its sources, and its records of what it served and released."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from connectors.duckdb import DuckDBConnector
from connectors.registry import check_owner
from connectors.spi import Connector, ConnectorError, ExecutionLimits
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.used_rounds import SqliteUsedRounds
from middleplatform.errors import ConfigError
from middleplatform.ledger.budget import BudgetLedger
from middleplatform.ledger.history import History
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.node.error_map import mapped
from middleplatform.node.held_policies import HeldPolicies
from middleplatform.node.join_round import JoinRounds, join_idle_s
from middleplatform.node.journal import Journal
from middleplatform.node.measure import Source, Sources
from middleplatform.node.noisy_answers import NoisyAnswers
from middleplatform.node.open_rounds import ROUNDS_MAX
from middleplatform.node.overlap import Memory
from middleplatform.node.remembered import GivenAnswers
from middleplatform.node.secure_round import SecureRounds
from middleplatform.node.served import ServedFragments
from middleplatform.node.service import CLOCK_TOLERANCE_S, Node
from middleplatform.node.units import UnitNumbers
from middleplatform.ports import Clock, Rng
from middleplatform.settings import Settings

__all__ = ["NodeParts", "OpenNode", "assemble", "check_packages", "open_connector", "open_node"]

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
        joins: For private joins.
    """

    node: Node
    rounds: SecureRounds
    connectors: tuple[Connector, ...]
    used: SqliteUsedRounds
    registered: Mapping[str, str] = field(default_factory=dict)
    joins: JoinRounds | None = None

    def close(self) -> None:
        """Close its rounds, its sources and its files."""
        self.rounds.close()
        if self.joins is not None:
            self.joins.close()
        _close(self.connectors)
        self.node.history.close()
        self.used.close()
        self.node.served.close()
        self.node.budget.close()
        self.node.noisy.close()
        self.node.journal.close()


@dataclass(frozen=True)
class NodeParts:
    """What a node is made from, its sources aside.

    Attributes:
        department: Its code.
        platform: Name that its log's origin begins with.
        catalog: Its own copy.
        bundle: Its own copy.
        identity: Its key.
        pins: Of the gateway and the other departments.
        state: Existing folder of its log, history and record of what it served.
        retention_years: Of its log; at least 3.
        tolerance_s: Seconds by which the gateway's clock may differ.
        answers_mb: Mebibytes of answers that may be given again.
        rounds_max: Rounds open at once.
        registered: Fingerprint of each published connector, by name.
        timeout_s: Seconds of a statement, also where there is no source to ask for it.
        own_grants: Whether only grants of its own copy count.
        trusting: Whether its own copy of the policy ends with the first that is published; else it binds for ever.
    """

    department: str
    platform: str
    catalog: Catalog
    bundle: Bundle
    identity: IdentityKey
    pins: PinnedKeys
    state: Path
    retention_years: int = 3
    tolerance_s: int = CLOCK_TOLERANCE_S
    answers_mb: int = 0
    rounds_max: int = ROUNDS_MAX
    registered: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 0
    trusting: bool = False
    own_grants: bool = False


def assemble(
    parts: NodeParts,
    connect: Callable[[list[Connector]], Source | Sources],
    clock: Clock,
    rng: Rng,
) -> OpenNode:
    """Open a node's files, then its sources; when one of them fails, close what was opened.

    Args:
        parts: What it is made from.
        connect: Opens the sources and appends each connector, as soon as it is open, to the list that it is given.
        clock: Of this machine.
        rng: The operating system's generator.

    Raises:
        ConfigError: C011 the disk; what ``connect`` raises.
        AuditError: A001 to A003 its log.

    Reveals:
        Nothing.
    """
    department, state, connectors = parts.department, parts.state, list[Connector]()
    with ExitStack() as opened:
        journal = Journal.open(
            state, department, parts.platform, clock, rng, retention_years=parts.retention_years
        )
        opened.callback(journal.close)
        opened.callback(_close, connectors)
        source = connect(connectors)
        history = History(state / "history.db", sets=True)
        opened.callback(history.close)
        used = SqliteUsedRounds(state / "served.db")
        opened.callback(used.close)
        served = ServedFragments(state / "served.db", clock, parts.tolerance_s)
        opened.callback(served.close)
        budget = BudgetLedger(state / "budget.db")
        opened.callback(budget.close)
        noisy = NoisyAnswers(state / "noisy.db")
        opened.callback(noisy.close)
        policies = _policies(parts, journal, clock)
        newest = policies.newest
        enforced = parts.bundle if newest is None else newest.rules.merged
        node = Node(
            department, source, parts.catalog, enforced, parts.identity, parts.pins, history, used, served,
            journal, clock, rng, parts.tolerance_s, GivenAnswers(parts.answers_mb),
            budget=budget,
            noisy=noisy,
            policies=policies,
            _memory=Memory(UnitNumbers.open(state, rng)),
        )  # fmt: skip
        rounds = SecureRounds(node, rounds_max=parts.rounds_max)
        joins = JoinRounds(node, idle_s=join_idle_s(parts.timeout_s))
        opened.pop_all()
    return OpenNode(node, rounds, tuple(connectors), used, parts.registered, joins)


def _policies(parts: NodeParts, journal: Journal, clock: Clock) -> HeldPolicies:
    return HeldPolicies(
        parts.department, parts.catalog, parts.bundle, parts.pins, clock,
        lambda fields: journal.event("policy", fields),
        folder=None if parts.trusting else parts.state / "policy", trusting=parts.trusting,
        own_grants=parts.own_grants,
    )  # fmt: skip


def _close(connectors: Iterable[Connector]) -> None:
    for connector in connectors:
        connector.close()


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
    state.mkdir(mode=0o700, exist_ok=True)
    parts = NodeParts(
        department, settings.origin, catalog, bundle, identity, pins, state, trusting=True
    )

    def connect(opened: list[Connector]) -> Source:
        opened.append(connector)
        return Source(department, connector, limits)

    return assemble(parts, connect, clock, rng)
