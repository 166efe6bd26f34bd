"""What a department tells of its privacy budgets: the caps of its own policy, and what questions have spent.

Reveals:
    To the gateway: what everybody, a project and an analyst have spent of each dataset. It hangs on the questions
    that came, which the gateway sent, and on no row.

Spec: docs/spec/privacy-budget.md.
"""

from fractions import Fraction

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.errors import QueryError
from middleplatform.ledger.budget import BudgetLedger
from middleplatform.model.budget import Balance, Snapshot, epsilon_at, rho_text
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.node.config import NodeConfig
from middleplatform.node.journal import Journal

__all__ = ["balances", "begin_snapshot", "offered", "spent_lines"]


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


def begin_snapshot(
    department: str,
    catalog: Catalog,
    ledger: BudgetLedger,
    journal: Journal,
    told: tuple[str, str, str],
    at: str,
) -> Snapshot:
    """Begin a new snapshot of a dataset on the department's own command; the node's log has it first.

    Args:
        department: Whose node.
        catalog: Which datasets it holds.
        ledger: Of its budgets.
        journal: Its log.
        told: Name of the dataset, label of the snapshot, and why: which rows were replaced.
        at: This moment, ISO 8601.

    Raises:
        QueryError: Q041 the department holds no such dataset.
        ConfigError: C003 the label is not good or was used before; C011.
        AuditError: A001 the log cannot take it: then no snapshot begins.
    """
    dataset, label, reason = told
    if dataset not in catalog.datasets or department not in catalog.datasets[dataset].held_by:
        raise QueryError("Q041", what=("such dataset here", "本部门的该数据集"))
    fields = {"dataset": dataset, "snapshot": label, "reason": reason[:_REASON_MAX]}
    return ledger.begin_snapshot(dataset, label, at, lambda: journal.event("snapshot", fields))


def spent_lines(config: NodeConfig) -> list[dict[str, object]]:
    """Return what everybody has spent, for the department itself; the node may run meanwhile.

    Returns:
        One a snapshot, scope and name: ``dataset``, ``snapshot``, ``scope``, ``name``, ``spent``; and, of the present
        snapshot of a dataset that policy offers noise for, ``left``, ``epsilon`` of what is spent, and ``delta``.

    Raises:
        ConfigError: C001, C002 policy or catalogue; C011 the ledger cannot be read.
    """
    bundle = policies.load(config.bundle, catalogs.load(config.catalog))
    with BudgetLedger(config.state / "budget.db") as ledger:
        spent = ledger.spent()
        present = {snapshot: ledger.snapshot(snapshot.dataset) for snapshot, _, _ in spent}
    lines = []
    for (snapshot, scope, name), rho in spent.items():
        line: dict[str, object] = {
            "dataset": snapshot.dataset, "snapshot": snapshot.label, "scope": scope, "name": name,
            "spent": rho_text(rho),
        }  # fmt: skip
        rule = bundle.datasets.get(snapshot.dataset)
        caps = None if rule is None else rule.disclosure.privacy
        if caps is not None and present[snapshot] == snapshot:
            cap: Fraction = getattr(caps, f"rho_{scope}")
            line |= {
                "left": rho_text(max(cap - rho, Fraction(0))),
                "epsilon": round(epsilon_at(rho, caps.delta), 4),
                "delta": rho_text(caps.delta),
            }
        lines.append(line)
    return lines


_REASON_MAX = 200
