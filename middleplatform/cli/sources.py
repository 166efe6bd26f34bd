"""Find the catalogue and the bundle that the settings name, without opening the platform."""

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from middleplatform.errors import ConfigError
from middleplatform.settings import Settings

if TYPE_CHECKING:
    from middleplatform.model.catalog import Catalog

__all__ = ["bundle_folder", "catalog_folder", "open_catalog", "read_bundle_path"]


def _shipped() -> Traversable:
    """Return the folder of the example that is shipped."""
    from middleplatform.policy.examples import example  # noqa: PLC0415 - slow to import

    return example("demo")


def bundle_folder(settings: Settings) -> Path | Traversable:
    """Return where the bundle lies."""
    return settings.bundle or _shipped()


def catalog_folder(settings: Settings, bundle: Path | None = None) -> Path | Traversable:
    """Return where the catalogue lies: as set, else beside ``bundle``, else the shipped one."""
    if settings.catalog is not None:
        return settings.catalog
    if bundle is not None and (bundle / "catalog").is_dir():
        return bundle / "catalog"
    return _shipped() / "catalog"


def open_catalog(folder: Path | Traversable) -> "Catalog":
    """Load a catalogue.

    Raises:
        ConfigError: C002.
    """
    from middleplatform import catalog  # noqa: PLC0415 - the validator is slow to import

    return catalog.load(folder)


def read_bundle_path(path: Path) -> Path:
    """Return ``path`` when there is something at it.

    Raises:
        ConfigError: C001 when there is nothing.
    """
    if not path.exists():
        what = (f"{path} does not exist", f"{path} 不存在")
        raise ConfigError("C001", what=what)
    return path
