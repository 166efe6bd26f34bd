"""A steward's question about the own department's data, answered inside the department: no gateway sees it.

Only so may cells of any size be shown (a grant with ``own_data``): through the gateway, the gateway would see them
too. The caller logs that it was asked; the log holds no value and no digest of so small an answer.
"""

from dataclasses import dataclass, replace
from threading import Event

import pyarrow as pa

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.authorization.refusals import refusal
from middleplatform.combine.released import Released, release, run_post
from middleplatform.combine.values import cells_table
from middleplatform.errors import MiddleplatformError, PolicyError
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Fragment, Layout, Plan
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import PartialResult, Release
from middleplatform.node.service import Node
from middleplatform.planner.plan import make_plan
from middleplatform.sql.parse import parse
from middleplatform.sql.post import MARK
from middleplatform.sql.qualify import qualify

__all__ = ["OwnAnswer", "own_answer"]


@dataclass(frozen=True)
class OwnAnswer:
    """What a steward learns, and what the log is told.

    Attributes:
        release: The rows; without a digest.
        query: The statement.
        decision: Of the department's own bundle.
        plan: All of whose blocks are this department's.
        entry: Index of the entry in the department's own log.
    """

    release: Release
    query: QualifiedQuery
    decision: Decision
    plan: Plan
    entry: int = -1


def own_answer(
    node: Node, request: QueryRequest, database: Released, stop: Event | None = None
) -> OwnAnswer:
    """Answer a steward of ``node``'s department; the node's own log has it before the answer is shown.

    Args:
        node: Whose data.
        request: The question.
        database: Runs what stands above the release boundary.
        stop: Set when nobody waits any more.

    Raises:
        PolicyError: P001 to P004: refused, or not a question about the own department alone.
        MiddleplatformError: As for any question.

    Reveals:
        To the steward: the answer. To nobody else: anything.
    """
    try:
        found = _answered(node, request, database, stop or Event())
    except MiddleplatformError as error:
        if error.prefix != "A":
            node.journal.own(request, node.bundle.digest, error=error)
        raise
    entry = node.journal.own(request, node.bundle.digest, facts=found.query.facts)
    return replace(found, entry=entry.index)


def _answered(node: Node, request: QueryRequest, database: Released, stop: Event) -> OwnAnswer:
    subject = request.subject
    if subject.department != node.department:
        raise PolicyError(
            "P004", what=("ask another department's own data", "查询其他部门的自有数据")
        )
    query = qualify(parse(request.sql, node.bundle.limits), node.catalog)
    asking = Asking(
        subject, request.purpose, request.received_at, project=request.project, inside=True
    )
    decision = authorize(query.facts, asking, node.rules()[0].merged, node.catalog)
    if not decision.permit:
        raise refusal(decision.reasons)
    plan = make_plan(query, decision, node.catalog, node.bundle.limits)
    if any(block.departments != (node.department,) for block in plan.blocks):
        raise PolicyError(
            "P004", what=("ask another department's own data", "查询其他部门的自有数据")
        )
    results = [
        node.own(_fragment(node, request, plan, number), stop) for number in range(len(plan.blocks))
    ]
    return OwnAnswer(
        _release(query, plan, results, database),
        query,
        decision,
        plan,
    )


def _fragment(node: Node, request: QueryRequest, plan: Plan, number: int) -> Fragment:
    return Fragment(
        query_id=request.query_id,
        attempt=1,
        number=number,
        department=node.department,
        protocol="local",
        cohort=(node.department,),
        sql=plan.blocks[number].sql,
        subject=request.subject,
        purpose=request.purpose,
        project=request.project,
        policy_digest=node.bundle.digest,
        issued_at=request.received_at.isoformat(),
    )


def _release(
    query: QualifiedQuery, plan: Plan, results: list[PartialResult], database: Released
) -> Release:
    cells: dict[str, tuple[pa.Table, Layout]] = {}
    for block, result in zip(plan.blocks, results, strict=True):
        cells[block.name] = (cells_table(result.cells, block.layout, MARK), block.layout)
    values, marks = run_post(database, plan.post_sql, cells, query.outputs)
    return replace(release(values, marks, (), plan.notes), digest="")
