"""Cell-key perturbation of a measured block (tier S): what leaves are perturbed words only.

Spec: docs/spec/disclosure.md, "Perturbation".
"""

from middleplatform.disclosure.disclose import Marks
from middleplatform.errors import ConfigError
from middleplatform.model.plan import Layout
from middleplatform.model.policy import DisclosureParameters
from middleplatform.model.query import CellQuery
from middleplatform.node.measure import Measured, Source, Sources
from middleplatform.node.units import UnitNumbers

__all__ = ["perturbed"]


def perturbed(
    cell: CellQuery,
    layout: Layout,
    measured: Measured,
    marks: Marks,
    parameters: DisclosureParameters,
    source: Source | Sources,
    numbers: UnitNumbers,
) -> Measured:
    """Return the same cells with perturbed words; marks further values whose perturbed count is below the threshold.

    Reveals:
        Nothing: the caller decides what leaves.
    """
    raise ConfigError("C099", record="-")
