"""Opens a node as its settings say: its keys and certificate, catalogue and policy, log, and published connectors."""

import logging
from collections.abc import Mapping

from connectors.spi import Connector, ExecutionLimits
from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.crypto.used_rounds import SqliteUsedRounds
from middleplatform.enrolment.trust import Trust
from middleplatform.ledger.history import History
from middleplatform.node.config import NodeConfig
from middleplatform.node.journal import Journal
from middleplatform.node.measure import Source, Sources
from middleplatform.node.open import OpenNode, check_packages
from middleplatform.node.registration.loading import Registrations, load
from middleplatform.node.remembered import GivenAnswers
from middleplatform.node.secure_round import SecureRounds
from middleplatform.node.served import ServedFragments
from middleplatform.node.service import Node
from middleplatform.ports import Clock, Rng

__all__ = ["open_configured"]

_LOG = logging.getLogger("middleplatform.node")


def open_configured(config: NodeConfig, trust: Trust, clock: Clock, rng: Rng) -> OpenNode:
    """Open a node.

    Args:
        config: Its settings.
        trust: Its keys and whom it trusts.
        clock: Of this machine.
        rng: The operating system's generator.

    Raises:
        ConfigError: C001, C002 policy or catalogue; C010 a foreign package; C011 the disk; C013 a registration.
        AuditError: A001 to A003 its log.

    Reveals:
        Nothing.
    """
    check_packages()
    catalog = catalogs.load(config.catalog)
    bundle = policies.load(config.bundle, catalog)
    found = load(config.state, config.department, catalog)
    for name, (why, _) in found.set_aside.items():
        _LOG.warning("connector %s is not in use: %s", name, why)
    journal = Journal.open(
        config.state,
        config.department,
        trust.platform,
        clock,
        rng,
        retention_years=config.retention_years,
    )
    connectors: list[Connector] = []
    try:
        sources = _sources(config, found, connectors)
        used = SqliteUsedRounds(config.state / "served.db")
        node = Node(
            config.department, Sources(config.department, sources), catalog, bundle, trust.identity, trust.pins,
            History(config.state / "history.db"), used,
            ServedFragments(config.state / "served.db", clock, config.clock_tolerance_s), journal, clock, rng,
            config.clock_tolerance_s, GivenAnswers(config.limits.answers_mb),
        )  # fmt: skip
    except BaseException:
        for connector in connectors:
            connector.close()
        journal.close()
        raise
    rounds = SecureRounds(node, rounds_max=config.limits.rounds_max)
    registered = {each.name: each.registration.digest for each in found.published}
    return OpenNode(node, rounds, tuple(connectors), used, registered)


def _sources(
    config: NodeConfig, found: Registrations, connectors: list[Connector]
) -> Mapping[str, Source]:
    """Open every published connector; return their sources by dataset."""
    limits = ExecutionLimits(
        timeout_s=config.limits.timeout_s,
        rows_max=config.limits.rows_max,
        memory_mb=config.limits.memory_mb,
    )
    sources: dict[str, Source] = {}
    for each in found.published:
        source = each.open_source(limits, config.allowed)
        connectors.append(source.connector)
        sources.update(dict.fromkeys(each.datasets, source))
    return sources
