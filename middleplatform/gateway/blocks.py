"""How one release block gets its answer: by one department, or by secure sum over several."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.disclosure.disclose import reason_rule
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.errors import LimitError, SourceError
from middleplatform.gateway.received import check_cells
from middleplatform.gateway.secure_block import answer_block
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Block, Fragment
from middleplatform.model.policy import Bundle
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import PartialResult, Withholding

__all__ = ["BlockAnswer", "answer", "withheld_summary"]

_PAUSE_S = 0.2


@dataclass(frozen=True)
class BlockAnswer:
    """A block's released cells.

    Attributes:
        cells: Labels, words and marks.
        hidden: Marks of cells that are not shown at all.
        receipts: By department.
    """

    cells: pa.Table
    hidden: tuple[str, ...]
    receipts: dict[str, str]

    @property
    def labelled(self) -> pa.Table:
        """Return the cells whose label itself is released: a list of labels shows no others."""
        return self.cells.filter(
            pc.and_(pc.is_null(self.cells["m0"]), pc.is_null(self.cells["ml"]))
        )

    def marks(self) -> list[str]:
        """Return every mark of the block."""
        names = [name for name in self.cells.column_names if name.startswith("m") and name != "ml"]
        return [
            mark for name in names for mark in self.cells[name].to_pylist() if mark is not None
        ] + list(self.hidden)


async def answer(
    dispatcher: Dispatcher,
    request: QueryRequest,
    block: Block,
    number: int,
    decision: Decision,
    bundle: Bundle,
    at: str,
) -> BlockAnswer:
    """Have a block answered by its departments.

    Args:
        dispatcher: Reaches them.
        request: Whose block it is.
        block: What is asked.
        number: Of the block.
        decision: For the disclosure parameters of a secure sum.
        bundle: For its digest and limits.
        at: The present moment, ISO 8601, UTC: a node takes fragments of now only.

    Raises:
        MiddleplatformError: What a department raises.
        LimitError: L002 more cells than policy allows.
    """
    fragment = Fragment(
        query_id=request.query_id,
        attempt=1,
        number=number,
        department=block.departments[0],
        protocol=block.protocol,
        cohort=block.departments,
        sql=block.sql,
        subject=request.subject,
        purpose=request.purpose,
        project=request.project,
        policy_digest=bundle.digest,
        issued_at=at,
    )
    if block.protocol == "secure_sum":
        found = await answer_block(
            dispatcher, fragment, block, decision.disclosure, bundle.limits.cells_max
        )
        return BlockAnswer(found.cells, found.hidden, found.receipts)
    result = await _local(dispatcher, fragment)
    check_cells(result.cells, block)
    if result.cells.num_rows > bundle.limits.cells_max:
        raise LimitError("L002", limit=bundle.limits.cells_max)
    return BlockAnswer(result.cells, (), {result.department: result.receipt})


async def _local(dispatcher: Dispatcher, fragment: Fragment) -> PartialResult:
    """Ask once more, as a new attempt, where the department could not be reached: it may have been restarted."""
    try:
        return await dispatcher.local(fragment)
    except SourceError as error:
        if error.code != "S001":
            raise
    await asyncio.sleep(_PAUSE_S)
    return await dispatcher.local(replace(fragment, attempt=2))


def withheld_summary(answers: Sequence[BlockAnswer]) -> tuple[Withholding, ...]:
    """Count withheld values by reason, in the order of their names."""
    counts = Counter(mark for each in answers for mark in each.marks())
    return tuple(
        Withholding(reason_rule(reason), reason, cells) for reason, cells in sorted(counts.items())
    )
