"""The gateway: START HERE. ``gateway.py`` takes one query through its eight stages, in order."""

from middleplatform.gateway.gateway import Gateway

__all__ = ["Gateway"]
