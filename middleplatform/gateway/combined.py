"""Stage 6 at the gateway: released words put together, and what stands above the release boundary run on them."""

from collections.abc import Sequence

import pyarrow as pa

from middleplatform.combine.released import Released, release, run_post
from middleplatform.combine.values import cells_table
from middleplatform.gateway.blocks import BlockAnswer, notes_of, withheld_summary
from middleplatform.gateway.intervals import noisy_values
from middleplatform.gateway.sealed_answer import sealed_answer
from middleplatform.gateway.sealed_cells import SealedBlock
from middleplatform.gateway.sealed_desk import SealingDesk
from middleplatform.model.plan import Layout, Plan
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.result import Release
from middleplatform.model.sealed import SealedAnswer
from middleplatform.sql.post import MARK

__all__ = ["combined"]


def combined(
    query: QualifiedQuery,
    plan: Plan,
    answers: Sequence[BlockAnswer],
    database: Released,
    sealing: SealingDesk | None,
) -> tuple[Release, SealedAnswer | None]:
    """Return what is released of a statement, from the released cells of its blocks.

    Args:
        query: As qualified.
        plan: Of the query.
        answers: To the plan's blocks, in their order.
        database: Runs what stands above the boundary.
        sealing: Published keys; None where none can be published.

    Raises:
        LimitError: L004 what stands above the boundary took too long.
    """
    if sealing is not None and answers and isinstance(answers[0], SealedBlock):
        return sealed_answer(query, plan, answers[0], database, sealing)
    if answers and all(each.noise is not None for each in answers):
        noisy = {
            block.name: (
                found.labelled if block.name in query.label_only else found.cells,
                found,
                block,
            )
            for block, found in zip(plan.blocks, answers, strict=True)
        }
        values, marks, intervals = noisy_values(database, plan, noisy)
        return release(values, marks, (), notes_of(plan, answers), intervals), None
    cells: dict[str, tuple[pa.Table, Layout]] = {}
    for block, found in zip(plan.blocks, answers, strict=True):
        shown = found.labelled if block.name in query.label_only else found.cells
        cells[block.name] = (cells_table(shown, block.layout, MARK), block.layout)
    values, marks = run_post(database, plan.post_sql, cells, plan.outputs)
    return release(values, marks, withheld_summary(answers), notes_of(plan, answers)), None
