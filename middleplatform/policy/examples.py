"""The worked examples that are shipped with the platform."""

from importlib.resources.abc import Traversable

import policies

__all__ = ["example"]


def example(name: str) -> Traversable:
    """Return the folder of a shipped example: ``"demo"`` or ``"cases"``."""
    return policies.root() / "examples" / name
