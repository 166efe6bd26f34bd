"""Where a demonstration department's data lie, and how its engineer registers them: the same steps as the commands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.node.registration.profile import make_profile
from middleplatform.node.registration.publication import Publisher, publish
from middleplatform.node.registration.register import Request, register
from middleplatform.node.registration.trial import run_test
from middleplatform.ports import Clock

__all__ = ["SourceSpec"]


@dataclass(frozen=True)
class SourceSpec:
    """One department's source.

    Attributes:
        kind: Of the connector.
        options: For its registration.
        catalog: The department's copy.
        bundle: The department's copy.
        mappings: ``dataset=table`` and ``dataset.column=physical`` where names differ.
    """

    kind: str
    options: Mapping[str, str]
    catalog: Catalog
    bundle: Bundle
    mappings: tuple[str, ...] = field(default=())

    def register(self, department: str, state: Path, clock: Clock) -> None:
        """Register, test and publish the connector in a node's state folder.

        Raises:
            ConfigError: C013: what is missing.
        """
        request = Request(
            "main", department, self.kind, self.options, self.mappings, accept=True, replace=True
        )
        register(state, request, self.catalog, clock)
        run_test(state, "main", self.catalog, clock)
        make_profile(state, "main", self.catalog, clock)
        publish(state, "main", Publisher(self.catalog, self.bundle, clock, by="demo"))
