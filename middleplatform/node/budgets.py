"""What a department tells of its privacy budgets: the caps of its own policy, and what questions have spent.

Reveals:
    To the gateway: what everybody, a project and an analyst have spent of each dataset. It hangs on the questions
    that came, which the gateway sent, and on no row.

Spec: docs/spec/privacy-budget.md.
"""

from middleplatform.ledger.budget import BudgetLedger
from middleplatform.model.budget import Balance
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle

__all__ = ["balances", "offered"]


def offered(department: str, catalog: Catalog, bundle: Bundle) -> list[str]:
    """Return the datasets that a department holds and of which policy offers differentially private answers."""
    return sorted(
        name
        for name, rule in bundle.datasets.items()
        if rule.disclosure.privacy is not None
        and name in catalog.datasets
        and department in catalog.datasets[name].held_by
    )


def balances(
    department: str,
    catalog: Catalog,
    bundle: Bundle,
    ledger: BudgetLedger,
    project: str,
    analyst: str,
) -> list[Balance]:
    """Return what is left of every dataset's current snapshot, for one project and analyst.

    Raises:
        ConfigError: C011 the ledger cannot be read.
    """
    found = []
    for name in offered(department, catalog, bundle):
        caps = bundle.datasets[name].disclosure.privacy
        if caps is not None:
            found.append(Balance(department, ledger.left(name, project, analyst, caps)))
    return found
