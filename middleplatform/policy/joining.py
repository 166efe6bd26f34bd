"""Joins grants that people gave, beside any bundle, to a bundle.

Spec: docs/spec/grants.md, "In force".
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from middleplatform.model.policy import Bundle, Grant
from middleplatform.policy import evaluate

__all__ = ["PREFIX", "Given", "fitting", "joined"]

PREFIX = "GX"
"""共享: begins the number of every application and of the grants that it yields."""

Given = tuple[str, Grant]
"""The provider, of whose columns alone a grant opens any, and the grant."""

_OF_AN_APPLICATION = re.compile(rf"{PREFIX}[0-9]+/")


def joined(bundle: Bundle, held: tuple[Grant, ...]) -> Bundle:
    """Return ``bundle`` with ``held`` in the place of all its own grants that bear an application's number.

    Officers may have written such a grant down; it holds only as the application says now.
    """
    own = tuple(each for each in bundle.grants if not _OF_AN_APPLICATION.match(each.id))
    return replace(bundle, grants=own + held) if own + held != bundle.grants else bundle


def fitting(bundle: Bundle, grants: Iterable[Given]) -> tuple[Grant, ...]:
    """Return the grants without what is no longer their provider's to give: of another owner now, or denied."""
    return tuple(found for provider, grant in grants for found in _still(provider, grant, bundle))


def _still(provider: str, grant: Grant, bundle: Bundle) -> Iterator[Grant]:
    columns = frozenset(name for name in grant.columns if _owned(name, provider, bundle))
    if columns:
        yield replace(grant, columns=columns)


def _owned(name: str, provider: str, bundle: Bundle) -> bool:
    dataset, _, column = name.rpartition(".")
    rule = evaluate.dataset_rule(bundle, dataset)
    if rule is None or rule.owner != provider:
        return False
    return not evaluate.denied(evaluate.column_rule(bundle, dataset, column))
