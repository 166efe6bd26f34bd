"""What a department's answer must be before anything is made of it; a broken node is told from a broken gateway."""

import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.errors import ProtocolError
from middleplatform.model.plan import Block
from middleplatform.model.result import REASONS
from middleplatform.planner.results import released_result

__all__ = ["check_cells", "check_shown"]


def check_cells(cells: pa.Table, block: Block) -> None:
    """Return only if a local answer has exactly the columns of its block, known marks, and a count where none is set.

    Raises:
        ProtocolError: X001 for every cause alike.
    """
    _check_form(cells, released_result(block.cell, block.layout))
    for index, formula in enumerate(block.layout.formulas):
        free = pc.is_null(cells[f"m{index}"])
        for name in block.layout.words(formula):
            # Of no rows a sum is missing, a count is 0.
            counted = not name.startswith(("sum_", "sq_"))
            if counted and pc.any(pc.and_(pc.is_null(cells[name]), free)).as_py():
                raise ProtocolError("X001", detail="an answer without a count")


def check_shown(cells: pa.Table, block: Block) -> None:
    """Return only if a sealed answer has exactly the labels and marks of its block, and known marks.

    Raises:
        ProtocolError: X001 for every cause alike.
    """
    whole = released_result(block.cell, block.layout)
    _check_form(cells, pa.schema([item for item in whole if item.name[0] in "dm"]))


def _check_form(cells: pa.Table, schema: pa.Schema) -> None:
    if not cells.schema.equals(schema):
        raise ProtocolError("X001", detail="an answer with other columns")
    reasons = pa.array(sorted(REASONS))
    for name in [item.name for item in schema if item.name.startswith("m")]:
        known = pc.or_(pc.is_null(cells[name]), pc.is_in(cells[name], reasons))
        if not pc.all(known, min_count=0).as_py():
            raise ProtocolError("X001", detail="an answer with an unknown mark")
