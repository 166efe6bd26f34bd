"""The endpoints of policy: versions, proposals and the acts of their life.

Each calls the life-cycle and tells what came of it; who may do what beyond the role is judged there.

Spec: docs/spec/policy-lifecycle.md.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request, Response

from middleplatform.errors import ConfigError
from middleplatform.governance.diff import Change, Difference, Direction, diff
from middleplatform.governance.examined import loaded
from middleplatform.governance.four_eyes import Required
from middleplatform.governance.lifecycle import Lifecycle, Weighed
from middleplatform.model.policy import Bundle
from middleplatform.store.policies import Approval, Proposal, State, Version
from middleplatform.web import bodies_policy as bodies
from middleplatform.web import problems
from middleplatform.web.checks import few
from middleplatform.web.guard import subject_of
from middleplatform.web.replies import (
    After,
    Limit,
    Number,
    Route,
    governed,
    json_reply,
    page,
    said,
)

__all__ = ["ROUTES", "unprocessable"]

_Side = Annotated[
    int, Query(ge=0, le=2**31 - 1, description="A version; 0 for what is in force while none was.")
]
_Handler = Callable[..., Response]


def unprocessable(handler: _Handler) -> _Handler:
    """Return ``handler`` with a bundle that is not valid refused as what the caller sent: 422, not 500."""

    @wraps(handler)
    def handled(request: Request, *given: Any, **named: Any) -> Response:  # noqa: ANN401 - whatever it takes
        try:
            return handler(request, *given, **named)
        except ConfigError as error:
            if error.code != "C001":
                raise
            return problems.response(request, error, status=HTTPStatus.UNPROCESSABLE_ENTITY)

    return handled


def _lifecycle(request: Request) -> Lifecycle:
    return governed(request).lifecycle


# --- what there is ------------------------------------------------------------------------------------------------


@unprocessable
def show_policy(request: Request) -> Response:
    """Say which policy is in force."""
    lifecycle = _lifecycle(request)
    standing = lifecycle.standing()
    return json_reply({
        "number": standing.number, "name": standing.bundle.name, "label": standing.bundle.version,
        "digest": standing.bundle.digest, "catalog_digest": lifecycle.catalog.digest,
    })  # fmt: skip


def list_versions(request: Request, after: After = 0, limit: Limit = 100) -> Response:
    """List the published versions, oldest first."""
    shown, following = page(_lifecycle(request).versions(), lambda each: each.number, after, limit)
    return json_reply({"versions": [_version(each) for each in shown], "next": following})


def show_version(request: Request, version: Number) -> Response:
    """Give one published version."""
    lifecycle = _lifecycle(request)
    lifecycle.files(version)  # refuses a version that is none
    return json_reply(_version(lifecycle.versions()[version - 1]))


def show_version_files(request: Request, version: Number) -> Response:
    """Give a version's files as they were written."""
    lifecycle = _lifecycle(request)
    files = lifecycle.files(version)
    content = lifecycle.versions()[version - 1].content
    return json_reply({"content": content, "files": dict(files)})


@unprocessable
def compare_versions(
    request: Request, old: _Side, new: _Side, after: After = 0, limit: Limit = 100
) -> Response:
    """Say in words what the change from one version to another loosens and tightens."""
    lifecycle = _lifecycle(request)
    before, behind = (_bundle(lifecycle, number) for number in (old, new))
    found = diff(before, behind, lifecycle.catalog, lifecycle.desk.clock.now())
    return json_reply(_difference(request, found, after, limit))


def _bundle(lifecycle: Lifecycle, number: int) -> Bundle:
    return loaded(lifecycle.files(number), lifecycle.catalog) if number else lifecycle.configured


# --- proposals ----------------------------------------------------------------------------------------------------


def list_proposals(
    request: Request, state: State | None = None, after: After = 0, limit: Limit = 100
) -> Response:
    """List the proposals, oldest first."""
    found = [each for each in _lifecycle(request).proposals() if state in (None, each.state)]
    shown, following = page(found, lambda each: each.number, after, limit)
    return json_reply({"proposals": [_proposal(each) for each in shown], "next": following})


@unprocessable
def weigh_proposal(
    request: Request, proposal: Number, after: After = 0, limit: Limit = 100
) -> Response:
    """Weigh a proposal: what it would change now, in words, and whose approval it has and needs."""
    return _weighed(request, _lifecycle(request).weigh(proposal), after, limit)


def show_proposal_files(request: Request, proposal: Number) -> Response:
    """Give a proposal's files as they were written."""
    lifecycle = _lifecycle(request)
    found = lifecycle.proposal(proposal)
    return json_reply({"content": found.content, "files": dict(lifecycle.proposed(proposal))})


@unprocessable
def propose_policy(request: Request, draft: bodies.ProposalDraft) -> Response:
    """Propose a bundle's files: they are checked, tested and weighed."""
    lifecycle = _lifecycle(request)
    number = lifecycle.propose(subject_of(request), draft.files, draft.reason)
    made = _weighed(request, lifecycle.weigh(number), status=HTTPStatus.CREATED)
    made.headers["Location"] = f"/v1/policy/proposals/{number}"
    return made


@unprocessable
def approve_proposal(request: Request, proposal: Number, given: bodies.CommentBody) -> Response:
    """Approve a proposal, as second officer or for your department's data."""
    weighed = _lifecycle(request).approve(subject_of(request), proposal, given.comment)
    return _weighed(request, weighed)


@unprocessable
def reject_proposal(request: Request, proposal: Number, given: bodies.RejectionBody) -> Response:
    """Say no to a proposal, for good."""
    lifecycle = _lifecycle(request)
    lifecycle.reject(subject_of(request), proposal, given.comment)
    return json_reply(_proposal(lifecycle.proposal(proposal)))


def withdraw_proposal(request: Request, proposal: Number, given: bodies.CommentBody) -> Response:
    """Take back your own proposal."""
    lifecycle = _lifecycle(request)
    lifecycle.withdraw(subject_of(request), proposal, given.comment)
    return json_reply(_proposal(lifecycle.proposal(proposal)))


@unprocessable
def publish_proposal(request: Request, proposal: Number) -> Response:
    """Bring a proposal into force: gateways judge by it within a second."""
    return json_reply({"version": _lifecycle(request).publish(subject_of(request), proposal)})


@unprocessable
def restore_version(request: Request, version: Number, given: bodies.ReasonBody) -> Response:
    """Put an earlier version's files in force again, at once if that needs nobody else."""
    number, made = _lifecycle(request).roll_back(subject_of(request), version, given.reason)
    return json_reply({"proposal": number, "version": made or None})


# --- shapes -------------------------------------------------------------------------------------------------------


def _version(each: Version) -> dict[str, object]:
    return {
        "number": each.number, "kind": each.kind, "proposal": each.proposal, "content": each.content,
        "digest": each.digest, "bundle": each.bundle, "label": each.label,
        "predecessor": each.predecessor, "restores": each.restores,
        "published_by": each.published_by, "at": each.at.isoformat(),
        "audit_index": each.audit_index,
    }  # fmt: skip


def _proposal(each: Proposal) -> dict[str, object]:
    return {
        "number": each.number, "kind": each.kind, "state": each.state, "author": each.author,
        "department": each.department, "reason": each.reason, "content": each.content,
        "digest": each.digest, "bundle": each.bundle, "label": each.label, "base": each.base,
        "restores": each.restores, "at": each.at.isoformat(), "closed_by": each.closed_by,
        "closed_at": None if each.closed_at is None else each.closed_at.isoformat(),
        "comment": each.comment,
    }  # fmt: skip


def _weighed(
    request: Request,
    weighed: Weighed,
    after: int = 0,
    limit: int = 100,
    status: int = HTTPStatus.OK,
) -> Response:
    value = {
        "proposal": _proposal(weighed.proposal),
        "difference": _difference(request, weighed.difference, after, limit),
        "required": _needed(weighed.required),
        "missing": _needed(weighed.missing),
        "approvals": [_approval(each) for each in weighed.approvals],
    }
    return json_reply(value, status)


def _needed(required: Required) -> Mapping[str, object]:
    return {"second_officer": required.second_officer, "owners": sorted(required.owners)}


def _approval(each: Approval) -> Mapping[str, object]:
    return {
        "person": each.person, "department": each.department, "capacity": each.capacity,
        "comment": each.comment, "at": each.at.isoformat(),
    }  # fmt: skip


def _difference(
    request: Request, found: Difference, after: int, limit: int
) -> Mapping[str, object]:
    both = set(map(id, found.loosens)) & set(map(id, found.tightens))
    changes = [
        *found.loosens,
        *(each for each in found.tightens if id(each) not in both),
        *found.other,
    ]
    numbered = list(enumerate(changes, start=1))
    shown, following = page(numbered, lambda each: each[0], after, limit)
    return {
        "old": found.old, "new": found.new, "summary": said(request, found.summary),
        "loosened": found.loosened, "tightened": found.tightened, "owners": sorted(found.owners),
        "size": len(changes), "changes": [_change(request, each) for _, each in shown],
        "next": following,
    }  # fmt: skip


_DIRECTIONS: Mapping[Direction, str] = {
    Direction.LOOSENS: "loosens",
    Direction.TIGHTENS: "tightens",
    Direction.BOTH: "both",
}


def _change(request: Request, each: Change) -> Mapping[str, object]:
    return {
        "direction": _DIRECTIONS.get(each.direction, "other"),
        "sentence": said(request, each.sentence), "where": said(request, each.where),
        "before": said(request, each.before), "after": said(request, each.after),
        "owners": sorted(each.owners), "cells": each.cells, "dataset": each.dataset,
        "columns": list(each.columns), "purposes": list(each.purposes),
        "setting": list(each.setting),
    }  # fmt: skip


_AT = "/v1/policy"
_OF = f"{_AT}/proposals/{{proposal}}"

ROUTES = (
    Route("GET", _AT, show_policy, bodies.PolicyBody),
    Route("GET", f"{_AT}/versions", list_versions, bodies.VersionsBody),
    Route("GET", f"{_AT}/versions/{{version}}", show_version, bodies.VersionBody),
    Route("GET", f"{_AT}/versions/{{version}}/files", show_version_files, bodies.FilesBody),
    Route("POST", f"{_AT}/versions/{{version}}/restore", restore_version, bodies.RollbackBody),
    Route("GET", f"{_AT}/diff", compare_versions, bodies.DifferenceBody),
    Route("GET", f"{_AT}/proposals", list_proposals, bodies.ProposalsBody),
    Route(
        "POST",
        f"{_AT}/proposals",
        few(propose_policy, "drafts"),
        bodies.WeighedBody,
        HTTPStatus.CREATED,
    ),
    Route("GET", _OF, weigh_proposal, bodies.WeighedBody),
    Route("GET", f"{_OF}/files", show_proposal_files, bodies.FilesBody),
    Route("POST", f"{_OF}/approve", approve_proposal, bodies.WeighedBody),
    Route("POST", f"{_OF}/reject", reject_proposal, bodies.ProposalBody),
    Route("POST", f"{_OF}/withdraw", withdraw_proposal, bodies.ProposalBody),
    Route("POST", f"{_OF}/publish", publish_proposal, bodies.PublishedBody),
)
