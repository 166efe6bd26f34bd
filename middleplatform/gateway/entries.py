"""What the audit log is told of a query: no row, no identity number, no small count.

Spec: docs/spec/audit-log.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from middleplatform.errors import MiddleplatformError
from middleplatform.gateway.noise import block_noise, spent
from middleplatform.model.budget import rho_text
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Block, Plan
from middleplatform.model.query import QueryFacts
from middleplatform.model.record import AuditRecord
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import Release
from middleplatform.model.sealed import SealedAnswer
from middleplatform.policy.templates import named

__all__ = ["ended", "quality_of", "received", "released"]


def quality_of(catalog: Catalog, datasets: Iterable[str]) -> float:
    """Return the quality of an answer, 0 to 1: that of the worst dataset read."""
    return min((catalog.datasets[name].quality for name in datasets), default=1.0)


def _request(request: QueryRequest, at: str) -> dict[str, object]:
    return {
        "at": at,
        "query_id": request.query_id,
        "subject": request.subject.id,
        "department": request.subject.department,
        "roles": sorted(str(role) for role in request.subject.roles),
        "recipient": request.recipient or request.subject.department,
        "purpose": request.purpose,
        "project": request.project,
    }


def received(request: QueryRequest, *, inside: bool = False) -> AuditRecord:
    """Return the entry that a query came in: all that policy judges it by, so that it can be judged again.

    Args:
        request: As it came in.
        inside: It is a steward's question, answered inside his own department.
    """
    body = _request(request, request.received_at.isoformat())
    sealed = {"sealed_for": request.sealed_for} if request.sealed_for else {}
    noise = {"noise": request.noise} if request.noise else {}
    own = {"inside": True} if inside else {}
    regions = sorted(request.subject.regions)
    said = {"sql": request.sql, "strict": request.strict, "regions": regions}
    return AuditRecord("received", {**body, **said, **sealed, **noise, **own})


def ended(
    request: QueryRequest, error: MiddleplatformError, at: str, policy_digest: str
) -> AuditRecord:
    """Return the entry that a query was refused or failed: by whom it was asked, by which rule it ended."""
    event = "refused" if error.prefix in ("Q", "P", "D") else "failed"
    body = _request(request, at)
    rules = [getattr(reason, "rule", "") for reason in error.reasons] or [error.rule]
    return AuditRecord(
        event,
        {
            **body,
            "code": error.code,
            "rule": error.rule,
            "rules": list(dict.fromkeys(rules)),
            "policy_digest": policy_digest,
        },
    )


def released(  # noqa: PLR0913, PLR0917 - all that an entry says
    request: QueryRequest,
    decision: Decision,
    plan: Plan,
    facts: QueryFacts,
    release: Release,
    receipts: Sequence[Mapping[str, str]],
    at: str,
    catalog_digest: str,
    sealed: SealedAnswer | None = None,
) -> AuditRecord:
    """Return the entry that an answer is about to leave."""
    body = _request(request, at)
    parameters = asdict(decision.disclosure)
    parameters["dominance"] = [list(pair) for pair in decision.disclosure.dominance]
    if parameters["privacy"] is not None:
        fractions = parameters["privacy"].items()
        parameters["privacy"] = {name: str(value) for name, value in fractions}
    said = {"noise": block_noise(request, decision, plan), "template": named(decision.grants)}
    columns = sorted(
        {f"{use.dataset}.{use.column}" for use in facts.uses if use.dataset and use.column != "*"}
    )
    return AuditRecord("released", {
        **body,
        "datasets": list(facts.datasets),
        "columns": columns,
        "policy_digest": decision.bundle_digest,
        "catalog_digest": catalog_digest,
        "grants": list(decision.grants),
        "protocol": plan.protocol,
        "post_sql": plan.post_sql,
        "fragments": [_fragment(block, told, said) for block, told in zip(plan.blocks, receipts, strict=True)],
        "obligations": [[duty.kind, duty.dataset, duty.column, *duty.argument] for duty in decision.obligations],
        "disclosure": parameters,
        "withheld": [[each.rule, each.reason, each.cells] for each in release.withheld],
        **({"sealed_for": sealed.key_id, "sealed_digest": sealed.digest()} if sealed else {}),
        "released_values": sum(len(column) - column.null_count for column in release.table.columns),
        "budget": rho_text(spent(request, decision)),
        "result_digest": release.digest,
    })  # fmt: skip


def _fragment(
    block: Block, receipts: Mapping[str, str], said: Mapping[str, str]
) -> Mapping[str, object]:
    return {
        "name": block.name,
        "protocol": block.protocol,
        "sql": block.sql,
        "receipts": dict(sorted(receipts.items())),
        **{name: value for name, value in said.items() if value},
    }
