"""Policies as data: JSON Schemas, the deny-by-default baseline, worked examples with their tests."""

from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["root"]


def root() -> Traversable:
    """Return the folder that holds ``schema/``, ``baseline/`` and ``examples/``."""
    return files(__name__)
