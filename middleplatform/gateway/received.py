"""What a department's answer must be before anything is made of it; a broken node is told from a broken gateway."""

import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.errors import ProtocolError
from middleplatform.model.plan import Block
from middleplatform.model.result import REASONS
from middleplatform.planner.results import released_result

__all__ = ["check_cells"]


def check_cells(cells: pa.Table, block: Block) -> None:
    """Return only if a local answer has exactly the columns of its block, known marks, and a count where none is set.

    Raises:
        ProtocolError: X001 for every cause alike.
    """
    if not cells.schema.equals(released_result(block.cell, block.layout)):
        raise ProtocolError("X001", detail="an answer with other columns")
    reasons = pa.array(sorted(REASONS))
    for index, formula in enumerate(block.layout.formulas):
        mark = cells[f"m{index}"]
        if not pc.all(pc.or_(pc.is_null(mark), pc.is_in(mark, reasons)), min_count=0).as_py():
            raise ProtocolError("X001", detail="an answer with an unknown mark")
        for name in block.layout.words(formula):
            counted = not name.startswith(
                ("sum_", "sq_")
            )  # of no rows a sum is missing, a count is 0
            if counted and pc.any(pc.and_(pc.is_null(cells[name]), pc.is_null(mark))).as_py():
                raise ProtocolError("X001", detail="an answer without a count")
    if not pc.all(
        pc.or_(pc.is_null(cells["ml"]), pc.is_in(cells["ml"], reasons)), min_count=0
    ).as_py():
        raise ProtocolError("X001", detail="an answer with an unknown mark")
