"""How a node that runs in this process is: what it enforces, and whether its sources still have what they serve.

A node elsewhere says so much of it as its ``status`` does; its sources are its own department's to look at.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.spi import ConnectorError
from middleplatform.errors import MiddleplatformError, SourceError
from middleplatform.model.catalog import Dataset
from middleplatform.node.drift import drift, table_name
from middleplatform.node.error_map import mapped
from middleplatform.node.measure import Source, Sources
from middleplatform.node.open import OpenNode

__all__ = ["SourceCondition", "source_conditions", "status_of"]


@dataclass(frozen=True, slots=True)
class SourceCondition:
    """One dataset as its source serves it.

    Attributes:
        dataset: Its name.
        kind: Class of the connector.
        mapped: Names of the catalogue that lie under other names in the source, itself included.
        problem: Why nothing of it can be answered now; None where it can.
    """

    dataset: str
    kind: str
    mapped: tuple[str, ...]
    problem: MiddleplatformError | None = None


def status_of(opened: OpenNode) -> Mapping[str, object]:
    """Return what a node elsewhere would answer to ``status``.

    Reveals:
        To who may ask for a status: versions and digests.
    """
    node = opened.node
    return {
        "department": node.department,
        "policy_digest": node.bundle.digest,
        "catalog_digest": node.catalog.digest,
        "policy": {} if node.policies is None else node.policies.status(),
        "time": node.clock.now().isoformat(),
    }


def source_conditions(opened: OpenNode) -> tuple[SourceCondition, ...]:
    """Look at the source of each dataset that a node holds; no row is read.

    Reveals:
        To the department: what a question about the dataset would be told, as ``drift``; the connector's class.
    """
    node = opened.node
    held = [each for each in node.catalog.datasets.values() if node.department in each.held_by]
    return tuple(_condition(node.source, node.department, each) for each in held)


def _condition(source: Source | Sources, department: str, dataset: Dataset) -> SourceCondition:
    found = source.sources.get(dataset.name) if isinstance(source, Sources) else source
    if found is None:
        missing = SourceError("S011", name=dataset.name)
        return SourceCondition(dataset.name, "", (), missing)
    columns = [each for each in dataset.columns.values() if each.held]
    table = table_name(dataset.name, found.names)
    names = found.names.table(dataset.name)
    renamed = [dataset.name] if table != dataset.name.partition(".")[2] else []
    renamed += [each.name for each in columns if names.physical(each.name) != each.name]
    kind = type(found.connector).__name__.removesuffix("Connector")
    try:
        now = found.connector.describe([table])
    except ConnectorError as error:
        problem = mapped(error, department, dataset.name)
        return SourceCondition(dataset.name, kind, tuple(renamed), problem)
    reads = tuple((dataset.name, each.name, each.type) for each in columns)
    changed = drift(reads, found.names, found.registered, now)
    if changed is None:
        return SourceCondition(dataset.name, kind, tuple(renamed))
    what = changed[1]
    drifted = SourceError("S010", department=department, dataset=dataset.name, what=what)
    return SourceCondition(dataset.name, kind, tuple(renamed), drifted)
