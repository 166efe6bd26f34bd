"""Secondary suppression of a measured block (method ``table``).

Spec: docs/spec/disclosure.md, "Exact tables".
"""

from middleplatform.disclosure.disclose import Marks
from middleplatform.errors import ConfigError
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import CellQuery
from middleplatform.node.measure import Measured

__all__ = ["protect"]


def protect(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    marks: Marks,
    parameters: DisclosureParameters,
) -> None:
    """Mark further values until no withheld one can be told more closely than policy says; changes ``marks``.

    Reveals:
        Nothing: the caller decides what leaves.
    """
    raise ConfigError("C099", record="-")
