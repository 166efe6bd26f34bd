"""The catalogue: which departments, datasets and columns exist, who answers for them.

Metadata only: no value of any row.

Reference: docs/reference/catalog.md.
"""

from middleplatform.catalog.browse import Match, describe, search
from middleplatform.catalog.loader import load

__all__ = ["Match", "describe", "load", "search"]
