"""Which connectors a node may load: ours, and those of named distributions on its allow-list.

An installed package can register any name under the entry point group, or carry a top-level package
of our name and shadow it. So the built-in ones never come from an entry point, a third-party one is
loaded only when the node's settings name both it and the distribution that offers it, and nothing
is loaded when ``connectors`` is not ours.
"""

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import metadata
from types import MappingProxyType

import connectors
from connectors.spi import Connector, ConnectorError, ErrorKind

__all__ = ["BUILT_IN", "GROUP", "check_owner", "connector_factory"]

GROUP = "middleplatform.connectors"
"""Entry point group of third-party connectors."""

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "duckdb": "connectors.duckdb:DuckDBConnector",
        "files": "connectors.files:FilesConnector",
        "memory": "connectors.memory:MemoryConnector",
        "odbc": "connectors.odbc:OdbcConnector",
        "postgres": "connectors.postgres:PostgresConnector",
        "spark": "connectors.spark:SparkConnector",
        "sqlite": "connectors.sqlite:SqliteConnector",
    }
)
"""Our own connectors by name."""

_DISTRIBUTION = "middleplatform"

_LISTS = ("top_level.txt", "RECORD", "installed-files.txt", "SOURCES.txt")
_LISTED = re.compile(
    r'"?(?:\./+)*(?:\.\./+)?connectors(?:[/,"]|$|\.(?:[\w-]+\.)*(?:pyc?|pyd|so)\b)'
)
"""Where a distribution says what it installed, and the line by which it says our package's name."""


def connector_factory(
    name: str, allowed: Mapping[str, str] | None = None
) -> Callable[..., Connector]:
    """Return what makes connectors of the kind ``name``.

    Args:
        name: A built-in one, or the name of an entry point.
        allowed: Third-party connectors by name, each with the distribution that must offer it.

    Raises:
        ConnectorError: REFUSED when ``connectors`` is not ours, or ``name`` is not allowed, not
            offered by the distribution named, or offered twice; MISSING when a built-in one needs a
            package that is not installed; its detail says which.
    """
    check_owner()
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        try:
            built_in: Callable[..., Connector] = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            detail = f"{error.name} is not installed: pip install 'middleplatform[{name}]'"
            raise ConnectorError(ErrorKind.MISSING, detail) from None
        return built_in
    wanted = _normal((allowed or {}).get(name, ""))
    if not wanted:
        raise ConnectorError(ErrorKind.REFUSED, f"connector {name!r} is not on the allow-list")
    offers = [entry for entry in metadata.entry_points(group=GROUP) if entry.name == name]
    if len(offers) != 1 or offers[0].dist is None or _normal(offers[0].dist.name) != wanted:
        raise ConnectorError(
            ErrorKind.REFUSED, f"connector {name!r} is not offered by {wanted!r} alone"
        )
    factory: Callable[..., Connector] = offers[0].load()
    return factory


def check_owner() -> None:
    """Check that the package ``connectors`` is ours and only ours.

    In a source tree or an editable installation no distribution lists the package; then it must at
    least be one folder, and no other distribution may claim the name.

    Raises:
        ConnectorError: REFUSED when another distribution owns it too, or it is spread over several
            folders.
    """
    owners = _owners(tuple(sys.path))
    if owners - {_DISTRIBUTION}:
        raise ConnectorError(
            ErrorKind.REFUSED, f"package connectors is also owned by {sorted(owners)}"
        )
    if len(list(connectors.__path__)) != 1:
        raise ConnectorError(ErrorKind.REFUSED, "package connectors is spread over several folders")


@lru_cache(maxsize=4)
def _owners(path: tuple[str, ...]) -> frozenset[str]:
    """Return who owns the package; all distributions are read, so once a search path is enough."""
    del path  # what the answer hangs on
    return frozenset(_normal(each.name) for each in metadata.distributions() if _lists(each))


def _lists(distribution: metadata.Distribution) -> bool:
    """Say whether a distribution's own lists name the package, as a folder or as a module of any kind."""
    return any(
        _LISTED.match(line)
        for name in _LISTS
        for line in _lines(name, distribution.read_text(name) or "")
    )


def _lines(name: str, text: str) -> list[str]:
    """Return the lines of a list; none where the word is nowhere in it, since lists are long and most are such."""
    if "connectors" not in text:
        return []
    return text.split() if name == "top_level.txt" else text.splitlines()


def _normal(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
