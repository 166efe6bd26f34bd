"""Opens a node as its settings say: its keys and certificate, catalogue and policy, log, and published connectors."""

import logging
from collections.abc import Mapping

from connectors.spi import Connector, ExecutionLimits
from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.enrolment.trust import Trust
from middleplatform.node.config import NodeConfig
from middleplatform.node.measure import Source, Sources
from middleplatform.node.open import NodeParts, OpenNode, assemble, check_packages
from middleplatform.node.registration.loading import Registrations, load
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
    parts = NodeParts(
        config.department, trust.platform, catalog, bundle, trust.identity, trust.pins, config.state,
        retention_years=config.retention_years, tolerance_s=config.clock_tolerance_s,
        answers_mb=config.limits.answers_mb, rounds_max=config.limits.rounds_max,
        registered={each.name: each.registration.digest for each in found.published},
        timeout_s=config.limits.timeout_s, own_grants=config.grants == "own",
    )  # fmt: skip

    def connect(connectors: list[Connector]) -> Sources:
        return Sources(config.department, _sources(config, found, connectors))

    return assemble(parts, connect, clock, rng)


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
