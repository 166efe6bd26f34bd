"""What a node opens: the published connectors of its department, and which datasets have none.

Secrets are read when a source is opened, not when its registration is read.

Reveals:
    Nothing: everything stays in the node's process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors.spi import Connector, ExecutionLimits, TableDescription
from middleplatform.errors import ConfigError
from middleplatform.model.catalog import Catalog
from middleplatform.model.physical import PhysicalNames
from middleplatform.node.measure import Source
from middleplatform.node.registration.files import incomplete, load_one, names
from middleplatform.node.registration.mapping import held
from middleplatform.node.registration.options import opened
from middleplatform.node.registration.record import Registration

__all__ = ["Published", "Registrations", "load"]


@dataclass(frozen=True)
class Published:
    """One published connector, not opened yet.

    Attributes:
        registration: As it was published.
    """

    registration: Registration

    @property
    def name(self) -> str:
        """Return the connector's name."""
        return self.registration.name

    @property
    def datasets(self) -> tuple[str, ...]:
        """Return the datasets that it serves."""
        return tuple(self.registration.datasets)

    @property
    def physical(self) -> PhysicalNames:
        """Return where they lie in the source."""
        return self.registration.names()

    @property
    def registered(self) -> Mapping[str, TableDescription]:
        """Return what the source had when it was registered, by dataset: against drift."""
        return {name: self.registration.table_of(name) for name in self.registration.datasets}

    def open(self, allowed: Mapping[str, str] | None = None) -> Connector:
        """Open the connector, its secrets read now.

        Args:
            allowed: Third-party connectors by name, each with its distribution (``NodeConfig.allowed``).

        Raises:
            ConfigError: C013.
        """
        return opened(self.name, self.registration.kind, self.registration.options, allowed)

    def open_source(
        self, limits: ExecutionLimits, allowed: Mapping[str, str] | None = None
    ) -> Source:
        """Open the connector as a node's source; the caller closes ``source.connector``.

        Args:
            limits: Of each statement.
            allowed: As ``open``.

        Raises:
            ConfigError: C013.
        """
        return Source(
            self.registration.department, self.open(allowed), limits, self.physical, self.registered
        )


@dataclass(frozen=True)
class Registrations:
    """The connectors of a department.

    Attributes:
        department: Code.
        published: In order of their names.
        not_connected: Datasets of the department that no published connector serves: asked for, they are S011.
        set_aside: Registrations that are not in use, each with the reason, English and Chinese.
    """

    department: str
    published: tuple[Published, ...]
    not_connected: tuple[str, ...]
    set_aside: Mapping[str, tuple[str, str]]

    def serving(self, dataset: str) -> Published | None:
        """Return the connector that serves ``dataset``, or None."""
        return next((each for each in self.published if dataset in each.datasets), None)


def load(state: Path, department: str, catalog: Catalog) -> Registrations:
    """Read the registrations of a department; nothing is opened.

    A registration that is not published, was altered since, or is damaged is set aside: its datasets are not
    connected, and the others still are.

    Args:
        state: The node's folder.
        department: Code.
        catalog: The department's copy.

    Raises:
        ConfigError: C013 when two published connectors serve one dataset.
    """
    own = held(catalog, department)
    published: list[Published] = []
    aside: dict[str, tuple[str, str]] = {}
    for name in names(state):
        found = _usable(state, name, department, aside)
        if found is not None:
            published.append(Published(found))
    by_dataset: dict[str, str] = {}
    for each in published:
        for dataset in each.datasets:
            other = by_dataset.setdefault(dataset, each.name)
            if other != each.name:
                raise incomplete(
                    each.name,
                    f"{dataset} is published by connector {other}",
                    f"{dataset} 已由连接器 {other} 发布",
                )
    absent = tuple(name for name in own if name not in by_dataset)
    return Registrations(department, tuple(published), absent, aside)


def _usable(
    state: Path, name: str, department: str, aside: dict[str, tuple[str, str]]
) -> Registration | None:
    try:
        found = load_one(state, name)
    except ConfigError as error:
        words = error.parts["what"]
        assert isinstance(words, tuple)
        aside[name] = words
        return None
    if found.department != department:
        aside[name] = ("it is another department's", "属于其他部门")
    elif found.published is None:
        aside[name] = ("it is not published", "尚未发布")
    elif not found.is_published:
        aside[name] = ("it was altered since it was published", "发布后已被修改")
    else:
        return found
    return None
