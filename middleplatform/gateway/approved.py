"""Approved query templates at the gateway, which alone sees whole questions and so their form.

Spec: docs/spec/grants.md, "Approved templates".
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.authorization.templates import columns_of, matching, opened
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision, Reason
from middleplatform.model.policy import Bundle, Template
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.request import Subject
from middleplatform.policy.templates import named, number, offers, stands

__all__ = ["decided", "hinted", "ruled", "still"]


def decided(query: QualifiedQuery, asking: Asking, bundle: Bundle, catalog: Catalog) -> Decision:
    """Authorize a question, with what a template opens to it where it is one."""
    name = matching(query.parsed, asking, bundle)
    return authorize(query.facts, asking, opened(bundle, name, catalog), catalog)


def ruled(decision: Decision, bundle: Bundle, catalog: Catalog) -> Bundle:
    """Return the rules by which a question was decided: with what its template opens, where it rests on one."""
    return opened(bundle, named(decision.grants), catalog)


def still(
    decision: Decision,
    subject: Subject,
    purpose: str,
    bundles: tuple[Bundle, Bundle],
    now: datetime,
) -> Collection[str]:
    """Return the number of the template that a decision rests on, where it stands as it did and is still open.

    Args:
        decision: Under which an answer was made.
        subject: Who asked.
        purpose: Why.
        bundles: The question's policy, and the one in force.
        now: This moment.
    """
    began, current = (each.templates.get(named(decision.grants)) for each in bundles)
    if began is None or began != current or not stands(began, subject, purpose, now):
        return ()
    return (number(began),)


def hinted(
    reasons: tuple[Reason, ...], asking: Asking, bundle: Bundle, catalog: Catalog
) -> tuple[Reason, ...]:
    """Return the reasons; where a grant is missing and a template would do, its name in the place of the hint.

    What is told is made of the policy, of the statement's columns and of who asks, never of data.
    """
    missing = {each.column for each in reasons if each.rule == "G1"}
    template = _covering(missing, asking, bundle, catalog) if missing else None
    if template is None:
        return reasons
    hint = (
        f"Approved template {template.name} covers this: {template.title_en}.",
        f"已获批的查询模板 {template.name} 可用于此：{template.title_zh}。",
    )
    return tuple(replace(each, hint=hint) if each.rule == "G1" else each for each in reasons)


def _covering(
    columns: Collection[str], asking: Asking, bundle: Bundle, catalog: Catalog
) -> Template | None:
    """Return the first template that is open to who asks, for the stated purpose, and names all of ``columns``."""
    for offer in offers(bundle, asking.subject, asking.now):
        if asking.purpose not in {each.code for each in offer.purposes}:
            continue
        opened_by = columns_of(offer.template, bundle, catalog, first=True)
        if frozenset().union(*opened_by.values()) >= set(columns):
            return offer.template
    return None
