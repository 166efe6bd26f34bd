"""Puts a sealed answer together: what the statement lists, the ciphertexts, and the ticket to open them."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from middleplatform.combine.released import Released, digest, run_post
from middleplatform.combine.sealed import cell_numbers, label_json, places
from middleplatform.crypto.identity import PinnedKeys
from middleplatform.crypto.sealed_layout import join_layout, sealed_layout
from middleplatform.crypto.tickets import issue_ticket
from middleplatform.gateway.blocks import withheld_summary
from middleplatform.gateway.sealed_cells import SealedBlock
from middleplatform.gateway.sealed_desk import SealingDesk
from middleplatform.model.plan import Plan
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.result import Release
from middleplatform.model.sealed import ISSUER, SIGNED_AS, SealedAnswer, SealedColumn, SealedWord
from middleplatform.planner.sealed import SealedOutput, sealed_outputs
from middleplatform.sql.post import MARK

__all__ = ["sealed_answer"]

_NOTE = (
    "values are sealed: only the holder of the key can open them",
    "数值已密封：只有密钥持有人可以打开",
)


def sealed_answer(
    query: QualifiedQuery,
    plan: Plan,
    found: SealedBlock,
    database: Released,
    desk: SealingDesk,
) -> tuple[Release, SealedAnswer]:
    """Return what the gateway may show of a sealed answer, and the answer itself.

    Args:
        query: What was asked.
        plan: With one block.
        found: The block.
        database: Runs ORDER BY labels and LIMIT, on labels and the numbers of cells.
        desk: Signs the ticket, and knows the departments' identity keys.

    Raises:
        ProtocolError: X001 a department's signature does not verify.
    """
    (block,), outputs = plan.blocks, sealed_outputs(query, plan)
    numbers = cell_numbers(found.cells, block.layout, MARK)
    named = {block.name: (numbers, block.layout)}
    values, marks = run_post(database, plan.post_sql, named, plan.outputs)
    ticket = issue_ticket(desk.identity, ISSUER, found.subject, found.inputs, [found.words])
    own = {ISSUER: desk.identity.public_key}
    others = {name: desk.pins.public_key(name) for name in found.subject.cohort}
    ticket.verify(ISSUER, PinnedKeys(own | others))
    answer = SealedAnswer(
        query_id=found.subject.query_id.partition(".")[0],
        protocol=block.protocol,
        key_id=found.subject.key_id,
        holders=(found.subject.key_id,),
        threshold=1,
        columns=tuple(
            _column(output, values.column(index), marks.column(index))
            for index, output in enumerate(outputs)
        ),
        rows=places(values, [each.source for each in outputs]),
        cells=found.cells.num_rows,
        words=tuple(
            SealedWord(each.name, each.words, each.scale)
            for each in (sealed_layout if block.join is None else join_layout)(
                block.layout
            ).measures
        ),
        sums=tuple(word.scale for word in block.layout.sums),
        formulas=block.layout.formulas,
        ciphertexts=found.words.to_bytes(),
        receipts=found.receipts,
        ticket=ticket.to_bytes(),
    )
    signature = desk.identity.sign(SIGNED_AS, answer.signed_bytes()).hex()
    shown = _shown(values, outputs)
    release = Release(
        shown, marks, withheld_summary([found]), (*plan.notes, _NOTE), digest(shown, marks)
    )
    return release, replace(answer, signature=signature)


def _column(output: SealedOutput, values: pa.ChunkedArray, marks: pa.ChunkedArray) -> SealedColumn:
    kind, labels = label_json(values) if output.is_label else ("", ())
    return SealedColumn(output.name, output.source, kind, labels, tuple(marks.to_pylist()))


def _shown(values: pa.Table, outputs: Sequence[SealedOutput]) -> pa.Table:
    """Return the labels; where a value would stand there is none."""
    columns = [
        column if output.is_label else pa.nulls(values.num_rows, pa.string())
        for column, output in zip(values.columns, outputs, strict=True)
    ]
    return pa.table(columns, names=values.column_names)
