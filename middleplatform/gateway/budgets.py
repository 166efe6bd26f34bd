"""What an analyst may still spend: every department is asked, and tells from its own policy and ledger.

What a department tells hangs on the questions that were asked, never on its rows.

Spec: docs/spec/privacy-budget.md.
"""

import asyncio
from typing import Protocol

from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.errors import MiddleplatformError, PolicyError
from middleplatform.model.budget import Balance, Budgets
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.model.request import Subject

__all__ = ["budgets"]


class Asks(Protocol):
    """What is needed of a gateway; ``Gateway`` is one.

    Attributes:
        catalog: Which department holds what.
        bundle: Departments none of whose datasets it lets be asked with noise are not asked.
        dispatcher: Reaches the departments.
    """

    catalog: Catalog
    bundle: Bundle
    dispatcher: Dispatcher


async def budgets(
    gateway: Asks, subject: Subject, project: str = "", after: int = 0, most: int | None = None
) -> Budgets:
    """Return what is left, for a subject in a project.

    Args:
        gateway: Which.
        subject: Who asks; sees what oneself may spend.
        project: The subject's department's own unless named.
        after: Budgets to leave out, in the order of departments and datasets.
        most: Budgets to tell at most; None for all. Only their departments are asked.

    Raises:
        PolicyError: P004 the project is not registered (R14: G5 refuses its questions too).
    """
    bundle, catalog = gateway.bundle, gateway.catalog
    known = {"", subject.department, *bundle.limits.projects}
    if project not in known and "*" not in known:
        raise PolicyError(
            "P004", what=("ask in a project that is not registered", "在未登记的项目下查询")
        )
    named = project or subject.department
    offered = sorted(
        (holder, name)
        for name, rule in bundle.datasets.items()
        if rule.disclosure.privacy is not None and name in catalog.datasets
        for holder in catalog.datasets[name].held_by
    )
    wanted = offered[after:] if most is None else offered[after : after + most]
    departments = sorted({holder for holder, _ in wanted})
    told = await asyncio.gather(
        *(_asked(gateway.dispatcher, department, named, subject.id) for department in departments)
    )
    known_by = {
        (each.department, each.left.snapshot.dataset): each
        for balances, _ in told
        for each in balances
    }
    found = tuple(known_by[each] for each in wanted if each in known_by)
    missing = tuple(
        (department, code) for department, (_, code) in zip(departments, told, strict=True) if code
    )
    return Budgets(named, subject.id, found, missing, len(offered))


async def _asked(
    dispatcher: Dispatcher, department: str, project: str, analyst: str
) -> tuple[list[Balance], str]:
    """Return what a department tells, and the code of the error if it tells nothing."""
    try:
        return await dispatcher.link(department).budget(project, analyst), ""
    except MiddleplatformError as error:
        return [], error.code
