"""The platform's own records: policy versions, proposals, applications. No row of a department is among them."""

# Whoever settles an act may have to change a table of any of them, so all are declared with the first.
from middleplatform.store import (
    alike,
    applications,
    catalogs,
    freezes,
    jobs,
    leases,
    logins,
    policies,
    sealing_keys,
    tokens,
)

__all__ = [
    "alike",
    "applications",
    "catalogs",
    "freezes",
    "jobs",
    "leases",
    "logins",
    "policies",
    "sealing_keys",
    "tokens",
]
