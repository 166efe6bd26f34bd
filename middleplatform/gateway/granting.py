"""Grants that people give and take while the gateway runs: joined to the policy, and looked at again at the release.

Spec: docs/spec/grants.md, "In force".
"""

from datetime import datetime
from typing import Protocol

from middleplatform.authorization.refusals import refusal
from middleplatform.model.decision import Decision, Reason
from middleplatform.model.policy import Bundle
from middleplatform.model.request import QueryRequest
from middleplatform.policy import evaluate
from middleplatform.ports import Clock

__all__ = ["Grants", "PublishedOnly", "check_held"]


class Grants(Protocol):
    """Knows which grants are in force beside, or instead of, those that a bundle says."""

    def joined(self, bundle: Bundle, now: datetime) -> Bundle:
        """Return ``bundle`` with the grants of this moment; doing it again at a later one forgets the earlier."""


class PublishedOnly:
    """A platform without applications: what the bundle says is all."""

    def joined(self, bundle: Bundle, now: datetime) -> Bundle:
        """Return ``bundle``."""
        del now
        return bundle


def check_held(
    decision: Decision, request: QueryRequest, grants: Grants, bundle: Bundle, clock: Clock
) -> None:
    """Refuse an answer that rests on a grant which was stopped, or has ended, while it was worked on.

    Another grant in its place does not count: it could be of other regions.

    Args:
        decision: Under which the answer was made.
        request: The question.
        grants: Those of this moment.
        bundle: Under which the question was asked.
        clock: Time.

    Raises:
        PolicyError: P003 by rule G1.
    """
    now = clock.now()
    joined = grants.joined(bundle, now)
    active = evaluate.active_grants(joined, request.subject, request.purpose, now)
    if set(decision.grants) <= {grant.id for grant in active}:
        return
    what = (
        "a grant that the question rests on was stopped or has ended meanwhile",
        "查询所依据的授权已在处理过程中被停止或到期",
    )
    hint = ("Apply to the data owner for a grant.", "请向数据提供部门申请授权。")
    raise refusal((Reason("G1", what, policy_version=bundle.version, hint=hint),))
