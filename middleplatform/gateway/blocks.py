"""How one release block gets its answer: by one department, by secure sum over several, or by private join."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from middleplatform.disclosure.disclose import reason_rule
from middleplatform.disclosure.privacy import Noise
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.errors import LimitError
from middleplatform.gateway.attempts import attempted
from middleplatform.gateway.explain import RELEASED_ONLY
from middleplatform.gateway.join_block import answer_join
from middleplatform.gateway.received import check_cells
from middleplatform.gateway.secure_block import answer_block
from middleplatform.gateway.shown import JoinedUnits, RoundAnswer
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Block, Fragment, Plan
from middleplatform.model.policy import Bundle, DisclosureParameters, Limits
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import Withholding
from middleplatform.policy.templates import named
from middleplatform.ports import Progress
from middleplatform.sql.render import fragment as text_of

__all__ = ["Asks", "BlockAnswer", "answering", "cohort_of", "notes_of", "withheld_summary"]

Note = tuple[str, str]


@dataclass(frozen=True)
class BlockAnswer:
    """A block's released cells.

    Attributes:
        cells: Labels, words and marks.
        hidden: Marks of cells that are not shown at all.
        receipts: By party.
        notes: (English, Chinese) sentences about this block.
        counts: Units of the cells of a private join.
        noise: Of a differentially private answer, each department's.
    """

    cells: pa.Table
    hidden: tuple[str, ...]
    receipts: dict[str, str]
    notes: tuple[Note, ...] = field(default=(), kw_only=True)
    counts: JoinedUnits | None = field(default=None, kw_only=True)
    noise: Noise | None = field(default=None, kw_only=True)

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


Asks = Callable[
    [Dispatcher, QueryRequest, Block, int, Decision, Bundle, str], Awaitable[BlockAnswer]
]
"""Has a block answered: (dispatcher, request, block, its number, decision, bundle, present moment).

The moment is ISO 8601, UTC: a node takes fragments of now only.
"""


def answering(progress: Progress, noise: str = "") -> Asks:
    """Return what has a block answered by its departments.

    Args:
        progress: Hears the phases of a private join.
        noise: Privacy loss of each block, a fraction as text; empty for none.
    """

    async def ask(
        dispatcher: Dispatcher,
        request: QueryRequest,
        block: Block,
        number: int,
        decision: Decision,
        bundle: Bundle,
        at: str,
    ) -> BlockAnswer:
        fragment = Fragment(
            query_id=request.query_id,
            attempt=1,
            number=number,
            department=block.departments[0],
            protocol=block.protocol,
            cohort=cohort_of(dispatcher, block),
            sql=block.sql,
            subject=request.subject,
            purpose=request.purpose,
            project=request.project,
            policy_digest=bundle.digest,
            issued_at=at,
            noise=noise,
            template=named(decision.grants),
        )
        parameters, limits = decision.disclosure, bundle.limits
        return await _answered(dispatcher, fragment, block, parameters, limits, progress)

    return ask


async def _answered(
    dispatcher: Dispatcher,
    fragment: Fragment,
    block: Block,
    parameters: DisclosureParameters,
    limits: Limits,
    progress: Progress,
) -> BlockAnswer:
    """Have a block answered by its protocol.

    Raises:
        MiddleplatformError: What a department raises.
        LimitError: L002 more cells than policy allows, L005 more rows of a private join.
    """
    cells_max = limits.cells_max
    if block.protocol == "local":
        # Once more, as a new attempt, where the department could not be reached: it may have been restarted.
        result = await attempted(fragment, dispatcher.local)
        check_cells(result.cells, block)
        if result.cells.num_rows > cells_max:
            raise LimitError("L002", limit=cells_max)
        return BlockAnswer(result.cells, (), {result.department: result.receipt})
    if block.join is None:
        return _of_round(await answer_block(dispatcher, fragment, block, parameters, cells_max))
    found = await answer_join(dispatcher, fragment, block, parameters, limits, progress)
    return replace(_of_round(found), notes=_coarser(block, found))


def cohort_of(dispatcher: Dispatcher, block: Block) -> tuple[str, ...]:
    """Return all parties: under a private join the key holder too, where the platform has one."""
    if block.join is None or not dispatcher.key_holder:
        return block.departments
    return tuple(sorted({*block.departments, dispatcher.key_holder}))


def _of_round(found: RoundAnswer) -> BlockAnswer:
    return BlockAnswer(found.cells, found.hidden, found.receipts, counts=found.counts)


def _coarser(block: Block, found: RoundAnswer) -> tuple[Note, ...]:
    """Propose the same block without its groups where none of them is shown.

    The sentence is made from the statement, and stands whenever all cells are withheld: it says nothing about the
    total that the marks do not say.
    """
    if not block.cell.dimensions or found.cells.num_rows or not found.hidden:
        return ()
    text = text_of(replace(block.cell, dimensions=()))
    return (
        (
            f"Every group is withheld. The same question without groups may be answered: {text}",
            f"所有分组均被抑制。同一问题不分组或可得到回答：{text}",
        ),
    )


def notes_of(plan: Plan, answers: Sequence[BlockAnswer]) -> tuple[Note, ...]:
    """Return what an answer says of itself.

    Args:
        plan: Of the statement.
        answers: To its blocks.
    """
    folded = (RELEASED_ONLY,) if plan.folds and any(each.marks() for each in answers) else ()
    return (*plan.notes, *[note for each in answers for note in each.notes], *folded)


def withheld_summary(answers: Sequence[BlockAnswer]) -> tuple[Withholding, ...]:
    """Count withheld values by reason, in the order of their names."""
    counts = Counter(mark for each in answers for mark in each.marks())
    return tuple(
        Withholding(reason_rule(reason), reason, cells) for reason, cells in sorted(counts.items())
    )
